package rpc

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
)

// A queuePush is a message on its way to a list: a call to its queue, or a result to its
// caller.
type queuePush interface {
	// begin returns what to append to which list, or reports that it is no longer to be
	// done. The message is not to change before settle.
	begin() (m queueMessage, ok bool)

	// settle is told what became of it, once for each begin.
	settle(r pushResult)

	// unreachable is told that it waits while Redis cannot be reached, and reports
	// whether it waits on.
	unreachable(err error) bool
}

// A queueMessage is what is appended to a list.
type queueMessage struct {
	key     string
	message []byte
	life    time.Duration // of the list
	again   bool          // it may be there already
}

// A pushResult is what became of a queuePush that was begun.
type pushResult struct {
	pushOutcome
	err error // Redis's, or why the connection was lost
}

type pushOutcome int

const (
	pushed     pushOutcome = iota // Redis has it
	refused                       // Redis said no
	notWritten                    // certainly not in Redis, and not the reason why: it may be sent again
	cutOff                        // not in Redis, as the end of the transaction was not written
	unknown                       // the connection was lost before Redis confirmed it
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
	closing chan struct{}
	closed  chan struct{}
	start   sync.Once
	stop    sync.Once
	batches sync.Pool // used ones

	mu        sync.Mutex // guards what follows
	queue     fifo[queuePush]
	sent      []*batch // whose replies have not all come, in their order
	draining  error    // Redis refuses for now: when all replies have come the connection is given up
	throttled bool     // Redis refused for a moment what is pushed again

	// Of the goroutine that writes.
	last time.Time // when the last batch was written
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
	return &mux{
		dialer: d, most: most,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		closing: make(chan struct{}), closed: make(chan struct{}),
	}
}

// push takes something to push, for the first time or once more.
func (m *mux) push(p queuePush) {
	m.mu.Lock()
	m.queue.push(p)
	m.mu.Unlock()
	m.signal()
}

// pushLater is push after a pause, as Redis refuses for a moment.
func (m *mux) pushLater(p queuePush) {
	m.mu.Lock()
	m.throttled = true
	m.mu.Unlock()
	m.push(p)
}

// signal says that there is something to push.
func (m *mux) signal() {
	m.start.Do(func() { go m.run() })
	poke(m.wake)
}

// close cuts the connection and returns when nothing runs any more. The dialer has to be
// closed before. What is still to be pushed stays so.
func (m *mux) close() {
	m.stop.Do(func() { close(m.closing) })
	m.start.Do(func() { close(m.closed) })
	<-m.closed
}

func (m *mux) run() {
	defer close(m.closed)
	var again backoff
	for {
		select {
		case <-m.wake:
		case <-m.closing:
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
		if !again.pause(m.hurry, m.closing) {
			return
		}
		if m.waiting() > 0 {
			poke(m.wake)
		}
	}
}

// waiting is how many are to be pushed.
func (m *mux) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue.waiting())
}

// drop leaves out what does not wait for Redis any longer.
func (m *mux) drop(err error) {
	m.mu.Lock()
	all := m.queue.take(nil, len(m.queue.waiting()))
	m.mu.Unlock()
	keep := all[:0]
	for _, p := range all {
		if p.unreachable(err) {
			keep = append(keep, p)
		}
	}
	m.mu.Lock()
	m.queue.push(keep...)
	m.mu.Unlock()
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
		if resp.IsCut(err) {
			b.sent = 0 // Redis has not read it
		}
		b.lose(m.dialer.multi.Load(), err)
	}
	return err
}

// write writes batches until the connection is lost, and why is known.
func (m *mux) write(c *conn, lost <-chan error) error {
	var again backoff
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	ticking := true
	for {
		select {
		case <-m.wake:
			runtime.Gosched() // whoever is ready to push something, too, goes first
			m.mu.Lock()
			throttled := m.throttled
			m.throttled = false
			m.mu.Unlock()
			if !throttled {
				again = backoff{}
			} else if !again.pause(m.hurry, m.closing) {
				continue // until closing is seen
			}
			for b := m.take(); b != nil; b = m.take() {
				if err := m.writeBatch(c, b); err != nil {
					c.SetReadDeadline(time.Now().Add(lastWords)) // fails only if it is closed
					return cmp.Or(<-lost, err)
				}
			}
			if !ticking {
				ticking = true
				timer.Reset(time.Second)
			}
		case <-timer.C:
			var late error
			if ticking, late = m.awaits(c); late != nil {
				c.Close()
				<-lost
				return late
			}
			if ticking {
				timer.Reset(time.Second)
			}
		case err := <-lost:
			return err
		case <-m.closing:
			c.Close()
			<-lost
			return redis.ErrClosed
		}
	}
}

// A batch is what is pushed in one transaction.
type batch struct {
	owners   [][]queuePush // of each push
	pushes   []resp.Push
	outcomes []resp.PushOutcome
	asked    time.Time // when it asked for Redis's clock, if it did
	size     int       // bytes
	sent     int       // of them
	written  time.Time // when they were
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
		q, ok := m.queue.next()
		if !ok {
			break
		}
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

// add adds what is pushed, with others to the same list if there are any.
func (b *batch) add(q queuePush, m queueMessage) {
	for i := len(b.pushes) - 1; i >= max(0, len(b.pushes)-8) && !m.again; i-- {
		if same := &b.pushes[i]; same.Key == m.key && same.Life == m.life && !same.Again {
			same.Messages = append(same.Messages, m.message)
			b.owners[i] = append(b.owners[i], q)
			return
		}
	}
	n := len(b.pushes)
	if n < cap(b.pushes) { // with the memory of an earlier one
		b.pushes = b.pushes[:n+1]
	} else {
		b.pushes = append(b.pushes, resp.Push{})
	}
	if n < cap(b.owners) {
		b.owners = b.owners[:n+1]
	} else {
		b.owners = append(b.owners, nil)
	}
	b.pushes[n] = resp.Push{Key: m.key, Messages: append(b.pushes[n].Messages[:0], m.message), Life: m.life, Again: m.again}
	b.owners[n] = append(b.owners[n][:0], q)
}

// writeBatch writes a batch.
func (m *mux) writeBatch(c *conn, b *batch) error {
	out := m.out[:0]
	now := time.Now()
	if m.dialer.clock.claim(readEvery) {
		b.asked = now
		out = resp.AppendTime(out)
	}
	out = resp.AppendPushes(out, b.pushes)
	n, err := 0, net.ErrClosed
	if now.Sub(m.last) < idleBeforePeek || !c.isDead() {
		n, err = c.Write(out)
	}
	m.last = now
	if m.out = out; cap(out) > keptBuffer {
		m.out = nil
	}
	m.mu.Lock()
	b.size, b.sent, b.written = len(out), n, c.written
	m.mu.Unlock()
	return err
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
	if timeout == 0 || c.drains() || time.Since(m.sent[0].written) <= timeout || time.Since(c.drained) <= timeout || time.Since(time.Unix(0, c.heard.Load())) <= timeout {
		return true, nil
	}
	return true, fmt.Errorf("no reply within %v: %w", timeout, os.ErrDeadlineExceeded)
}

// lose settles a batch whose connection was lost before its replies came. multi says that
// Redis takes MULTI.
func (b *batch) lose(multi bool, err error) {
	r := pushResult{unknown, err}
	switch {
	case b.sent == 0:
		r.pushOutcome = notWritten
	case b.sent < b.size && multi: // without its EXEC
		r.pushOutcome = cutOff
	}
	for _, owners := range b.owners {
		for _, q := range owners {
			q.settle(r)
		}
	}
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
		b.recycle(&m.batches)
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
	for len(b.outcomes) < len(b.pushes) {
		b.outcomes = append(b.outcomes, resp.PushOutcome{})
	}
	b.outcomes = b.outcomes[:len(b.pushes)]
	multi, err := c.ReadPushes(b.pushes, b.outcomes)
	if err == nil || multi {
		m.dialer.multi.Store(multi)
	}
	if err != nil && !resp.IsSettled(err) {
		return nil, err
	}
	for i, o := range b.outcomes {
		r := pushResult{pushed, o.Err}
		switch o.Kind {
		case resp.Refused:
			r.pushOutcome = refused
			if needsReconnect(o.Err) {
				passing = o.Err
			}
		case resp.Aborted:
			r.pushOutcome = notWritten
		}
		for _, q := range b.owners[i] {
			q.settle(r)
		}
	}
	if err != nil {
		b.clear() // it is settled
	}
	return passing, err
}

func (b *batch) clear() {
	for i := range b.pushes {
		clear(b.pushes[i].Messages)
		clear(b.owners[i])
		b.owners[i] = b.owners[i][:0]
	}
	b.pushes, b.owners = b.pushes[:0], b.owners[:0]
}

// recycle makes an empty batch of b, for another time.
func (b *batch) recycle(to *sync.Pool) {
	b.clear()
	to.Put(b)
}
