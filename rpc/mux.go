package rpc

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
)

// A mux is a connection that many share (it is multiplexed) to append messages to lists.
// What they push gathers while the last batch is written, so there are as many messages
// in a batch as are worth it: one if there is little to do, hundreds if there is much.
// Each batch is a transaction. Nobody waits for its replies before the next one is
// written.
//
// It connects when there is something to push, and reconnects when the connection is
// lost and there still is.
type mux struct {
	dialer *dialer
	most   int // messages in a batch

	wake    chan struct{} // of size 1: there is something to push
	hurry   chan struct{} // of size 1: don't pause before the next attempt to connect
	start   sync.Once
	running sync.WaitGroup
	batches sync.Pool // used ones

	mu        sync.Mutex // guards what follows
	queue     []queuePush
	sent      []*batch // whose replies have not all come, in their order
	draining  error    // Redis refuses for now: when all replies have come the connection is given up
	throttled bool     // Redis refused for a moment what is pushed again

	// Of the goroutine that writes.
	next []queuePush // before those in queue
	done int         // how many of next are no longer to be pushed
	last time.Time   // when the last batch was written
	out  []byte
}

const (
	batchPushes    = 1024      // most messages in a batch
	batchBytes     = 256 << 10 // in a batch, before another message is added
	keptBuffer     = 1 << 20   // the most memory that is kept for the next batch
	idleBeforePeek = time.Millisecond
	lastWords      = 100 * time.Millisecond // that Redis may take to say why it closed a connection
	muxBuffer      = 16 << 10               // to read through
)

func newMux(d *dialer, most int) *mux {
	return &mux{dialer: d, most: most, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
}

// push takes something to push, for the first time or once more.
func (m *mux) push(p queuePush) {
	m.mu.Lock()
	m.queue = append(m.queue, p)
	m.mu.Unlock()
	m.start.Do(func() { m.running.Go(m.run) })
	poke(m.wake)
}

// pushLater is push after a pause, as Redis refuses for a moment.
func (m *mux) pushLater(p queuePush) {
	m.mu.Lock()
	m.throttled = true
	m.mu.Unlock()
	m.push(p)
}

// close returns when nothing runs any more. The dialer has to be closed before. What is
// still to be pushed stays so.
func (m *mux) close() {
	m.start.Do(func() {})
	m.running.Wait()
}

func (m *mux) run() {
	var again backoff
	for {
		select {
		case <-m.wake:
		case <-m.dialer.life.Done():
			return
		}
		if m.waiting() == 0 {
			continue
		}
		c, err := m.dialer.connect(muxBuffer)
		if err != nil {
			m.drop(err)
		} else {
			err = m.serve(c)
			if c.worked {
				again = backoff{}
			}
		}
		m.dialer.failed(err)
		if !again.pause(m.hurry, m.dialer.life.Done()) {
			return
		}
		if m.waiting() > 0 {
			poke(m.wake)
		}
	}
}

func (m *mux) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.next) - m.done + len(m.queue)
}

// drop leaves out what does not wait for Redis any longer.
func (m *mux) drop(err error) {
	m.mu.Lock()
	all := append(m.next[m.done:], m.queue...)
	m.next, m.done, m.queue = nil, 0, nil
	m.mu.Unlock()
	m.next = slices.DeleteFunc(all, func(p queuePush) bool { return !p.unreachable(err) })
}

// serve pushes over a connection until it is lost.
func (m *mux) serve(c *conn) error {
	m.mu.Lock()
	m.draining = nil
	m.mu.Unlock()
	poke(m.wake) // for what was pushed before
	lost := make(chan error, 1)
	go func() {
		err := m.read(c)
		c.Close()
		lost <- err
	}()
	err := m.write(c, lost)
	c.Close()
	m.mu.Lock()
	sent := m.sent
	m.sent = nil
	m.mu.Unlock()
	for _, b := range sent {
		b.lose(m.dialer.multi.Load(), err)
	}
	return err
}

// write writes batches until the connection is lost, and why is known.
func (m *mux) write(c *conn, lost <-chan error) error {
	var again backoff
	var tick <-chan time.Time // while replies may be due
	wasLate := false          // they were late when it was last looked
	for {
		select {
		case <-m.wake:
			runtime.Gosched() // goroutines that are ready to push something run first
			m.mu.Lock()
			throttled := m.throttled
			m.throttled = false
			m.mu.Unlock()
			if !throttled {
				again = backoff{}
			} else if !again.pause(m.hurry, m.dialer.life.Done()) {
				continue // until the end is seen
			}
			for b := m.take(); b != nil; b = m.take() {
				if err := m.writeBatch(c, b); err != nil {
					c.SetReadDeadline(time.Now().Add(lastWords)) // fails only if it is closed
					return cmp.Or(<-lost, err)
				}
			}
			if tick == nil {
				tick = time.After(m.lookEvery())
			}
		case <-tick:
			tick = nil
			due, late := m.awaits(c)
			switch {
			case late != nil && wasLate:
				c.Close()
				<-lost
				return late
			case late != nil: // or have come, and are yet to be read
				tick = time.After(lastLook)
			case due:
				tick = time.After(m.lookEvery())
			}
			wasLate = late != nil
		case err := <-lost:
			return err
		case <-m.dialer.life.Done():
			c.Close()
			<-lost
			return redis.ErrClosed
		}
	}
}

// take returns a batch of what is to be pushed next, and begins it, or nil if there is
// nothing or Redis refuses.
func (m *mux) take() *batch {
	b, _ := m.batches.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	b.size, b.sent, b.asked = 0, 0, time.Time{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, size := 0, 0; n < m.most && size < batchBytes && m.draining == nil && !m.throttled; {
		if m.done == len(m.next) {
			if len(m.queue) == 0 {
				break
			}
			m.next, m.done, m.queue = m.queue, 0, m.next[:0]
		}
		q := m.next[m.done]
		m.next[m.done] = nil
		m.done++
		p, ok := q.begin()
		if !ok {
			continue
		}
		n++
		size += len(p.message)
		b.add(q, p)
	}
	if len(b.pushes) == 0 {
		m.batches.Put(b)
		return nil
	}
	m.sent = append(m.sent, b)
	return b
}

func (m *mux) writeBatch(c *conn, b *batch) error {
	out := m.out[:0]
	now := time.Now()
	if m.dialer.clock.claim(readEvery) {
		b.asked = now
		out = resp.AppendCommand(out, "TIME")
	}
	out = b.appendTo(out)
	n, err := 0, net.ErrClosed
	if now.Sub(m.last) < idleBeforePeek || !c.isDead() {
		n, err = c.Write(out)
	}
	m.last = now
	if m.out = out; cap(out) > keptBuffer {
		m.out = nil
	}
	m.mu.Lock()
	b.size, b.sent, b.written, b.end = len(out), n, c.written, c.total
	m.mu.Unlock()
	return err
}

// lookEvery is how often it is looked whether replies are late.
func (m *mux) lookEvery() time.Duration {
	if timeout := m.dialer.readTimeout; timeout > 0 {
		return min(time.Second, timeout/4+time.Millisecond)
	}
	return time.Second
}

// awaits reports whether replies are due, and returns an error if nothing has come, nor
// has been sent, for too long.
func (m *mux) awaits(c *conn) (due bool, late error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) == 0 {
		return false, nil
	}
	timeout := m.dialer.readTimeout
	c.progress(m.sent[0].end)
	if timeout == 0 || time.Since(m.sent[0].written) <= timeout || time.Since(c.drained) <= timeout || time.Since(time.Unix(0, c.heard.Load())) <= timeout {
		return true, nil
	}
	return true, fmt.Errorf("no reply within %v: %w", timeout, os.ErrDeadlineExceeded)
}

// read reads replies. It returns an error after which nothing can be read any more.
func (m *mux) read(c *conn) error {
	for {
		m.mu.Lock()
		draining, idle := m.draining, len(m.sent) == 0
		m.mu.Unlock()
		if draining != nil && idle {
			return draining
		}
		if err := c.Wait(); err != nil {
			return err
		}
		m.mu.Lock()
		if len(m.sent) == 0 {
			m.mu.Unlock()
			return errors.New("got a reply of Redis that answers nothing")
		}
		b := m.sent[0]
		m.mu.Unlock()
		passing, err := m.readBatch(c, b)
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.sent = m.sent[:copy(m.sent, m.sent[1:])]
		c.worked = c.worked || passing == nil
		if m.draining == nil {
			m.draining = passing
		}
		m.mu.Unlock()
		b.clear()
		m.batches.Put(b)
	}
}

// readBatch reads the replies to a batch and settles it. An error that passes says that
// another connection may be better.
func (m *mux) readBatch(c *conn, b *batch) (passing, err error) {
	if !b.asked.IsZero() {
		micros, ok, err := c.Time()
		if err != nil {
			return nil, err
		}
		if ok {
			m.dialer.clock.read(b.asked, time.Now(), micros)
		}
	}
	multi, err := b.readFrom(c.Reader)
	if err == nil || multi {
		m.dialer.multi.Store(multi)
	}
	if err != nil && err != errCut && err != errOpen {
		return nil, err
	}
	for i := range b.pushes {
		if r := &b.pushes[i].result; r.pushOutcome == refused && needsReconnect(r.err) {
			passing = r.err
		}
	}
	b.settle()
	if err != nil {
		b.clear() // it is settled
	}
	return passing, err
}
