package rpc

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// popTransport waits for each result by a BLPOP on a connection of its own, which
// takes the least time and the most connections.
//
// There are as many workers as there ever were calls at a time, each with a
// connection. A caller that leaves lets its worker be: it finishes its BLPOP,
// drops what may still come, and is free again; or, if nothing was sent yet,
// finishes the connection and leaves it to the next call.
type popTransport struct {
	link   *link
	expiry time.Duration
	detour *detour // if it is a Cluster

	careful      atomic.Bool // the last push was refused
	wholeSeconds atomic.Bool // a Redis before 6.0
	gate         gate        // to connections for calls that are yet to be pushed

	mu      sync.Mutex // guards what follows
	most    int        // poppers
	poppers map[*popper]struct{}
	free    int     // poppers without a flight
	queue   backlog // flights without a popper
	closing chan struct{}
	wake    sync.Cond
	running sync.WaitGroup
}

func newPopTransport(l *link, opt ClientOptions, most int) *popTransport {
	t := &popTransport{link: l, expiry: opt.Expiry, most: most, poppers: map[*popper]struct{}{}, closing: make(chan struct{})}
	t.wake.L = &t.mu
	return t
}

func (t *popTransport) send(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.place(f) {
		t.queue.push(f)
	}
}

// offer is send, but only if there is a worker for f at once.
func (t *popTransport) offer(f *flight) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.place(f)
}

// place gives f to a worker that waits, or to a new one.
func (t *popTransport) place(f *flight) bool {
	switch {
	case t.isClosing():
		f.abandon(redis.ErrClosed)
	case t.free > len(t.queue.waiting()):
		t.queue.push(f)
		t.wake.Signal()
	case len(t.poppers) < t.most:
		p := &popper{popTransport: t, flight: f}
		t.poppers[p] = struct{}{}
		t.running.Go(p.work)
	default:
		return false
	}
	return true
}

// allow changes how many workers there may be.
func (t *popTransport) allow(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

func (t *popTransport) isClosing() bool {
	select {
	case <-t.closing:
		return true
	default:
		return false
	}
}

// abandon ends all flights, those that are yet to be sent included.
func (t *popTransport) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.closing)
	t.wake.Broadcast()
	for _, f := range t.queue.waiting() {
		f.abandon(redis.ErrClosed)
	}
	for p := range t.poppers {
		if p.flight != nil {
			p.flight.abandon(redis.ErrClosed)
		}
	}
}

// release makes p free for the next flight.
func (t *popTransport) release(p *popper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.flight != nil {
		p.flight = nil
		t.free++
	}
}

// next waits for p's next flight, and reports whether there is one: there is none
// when the transport is closed.
func (t *popTransport) next(p *popper) bool {
	t.release(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.isClosing() {
		if f, ok := t.queue.next(); ok {
			p.flight = f
			t.free--
			return true
		}
		t.wake.Wait()
	}
	return false
}

// A popper is a worker: one connection, or none.
type popper struct {
	*popTransport
	flight *flight // guarded by the transport's mu
	conn   *conn
	try    *try      // if it tries for all
	used   time.Time // when, last
	out    []byte
}

func (p *popper) work() {
	for more := true; more; more = p.next(p) {
		p.carry(p.flight)
	}
	p.hangUp()
}

func (p *popper) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// carry sends a flight and waits for its result. If the connection is lost in
// between it waits on over another one.
func (p *popper) carry(f *flight) {
	var again backoff
	for !f.is(ended) {
		fresh := p.conn == nil
		err := p.ready(f)
		if err == nil {
			err = p.exchange(f)
			p.used = time.Now()
		}
		if err == nil {
			p.yield()
			return
		}
		p.hangUp()
		p.link.failed(err)
		if p.try != nil {
			p.failed(err)
		}
		if p.detour != nil && isAsk(err) {
			p.detour.take(f)
			return
		}
		if f.is(waiting) && !fresh { // it was lost before
			continue
		}
		if f.is(waiting) && !isElsewhere(err) {
			f.fail(ErrNotSent, err)
			return
		}
		f.lost(err)
		if f.is(ended) || !again.pause(nil, p.closing) {
			return
		}
	}
}

// failed, passed and yield say what came of the try that p made for all, if it did.
// failed is news even if it did not.
func (p *popper) failed(err error) {
	p.gate.failed(p.try, err)
	p.try = nil
}

func (p *popper) passed() {
	p.gate.passed(p.try)
	p.try = nil
}

func (p *popper) yield() {
	if p.try != nil {
		p.gate.yield(p.try)
		p.try = nil
	}
}

// ready sees to it that there is a connection for f.
func (p *popper) ready(f *flight) (err error) {
	if p.conn != nil && time.Since(p.used) > time.Millisecond && p.conn.isDead() {
		p.hangUp()
	}
	if p.conn == nil {
		isNew := f.is(waiting)
		if isNew {
			if p.try, err = p.gate.enter(p.closing); err != nil {
				return err
			}
		}
		if p.conn, err = p.link.connect(2, 4<<10); err != nil {
			if isNew {
				p.failed(err)
			}
			return err
		}
	}
	return p.conn.keepTime()
}

// exchange pushes the flight, if it has not been, and waits for its result. An
// error says that the connection is of no use any more.
func (p *popper) exchange(f *flight) error {
	blocked := false // there is a BLPOP on its way
	if f.write() {
		var err error
		if blocked, err = p.push(f); err != nil {
			return err
		}
	}
	for blocked || !f.is(ended) && time.Now().Before(f.deadline) {
		if !blocked {
			p.out = p.appendPop(p.out[:0], f)
			p.conn.within(maxSlice)
			if _, err := p.conn.send(p.out); err != nil {
				return err
			}
		}
		blocked = false
		_, message, err := readPop(p.conn)
		switch {
		case err == nil:
			p.release(p) // before the caller's next call
			f.end(outcome{message: message})
		case err == errNull:
		case !isReply(err) || isPassing(err):
			return err
		case redis.HasErrorPrefix(err, "timeout is not ") && !p.wholeSeconds.Swap(true):
		default:
			f.fail(ErrNoResult, err)
		}
	}
	return nil
}

// push pushes the flight and sends the first BLPOP along, unless pushes have been
// refused of late: then the BLPOP would hold up the connection for nothing.
func (p *popper) push(f *flight) (blocked bool, err error) {
	out := appendPushes(p.out[:0], []parcel{{key: f.queue, messages: [][]byte{f.message}, life: p.expiry}})
	end := len(out)
	if blocked = !p.careful.Load(); blocked {
		out = p.appendPop(out, f)
	}
	p.out = out
	if cap(out) > largestBuffer {
		p.out = nil
	}
	p.conn.within(maxSlice)
	if n, err := p.conn.send(out); err != nil {
		switch {
		case n == 0:
			f.unwrite()
		case n < end && p.conn.multi:
			f.fail(ErrNotSent, err)
		}
		return false, err
	}
	fates := make([]fate, 1)
	if err := readPushes(&p.conn.reader, fates); err != nil {
		return false, err
	}
	p.careful.Store(fates[0].kind == refused)
	if fates[0].kind == refused && isPassing(fates[0].why) && !isElsewhere(fates[0].why) {
		p.failed(fates[0].why)
	} else {
		p.passed()
	}
	if fates[0].kind == refused {
		if isElsewhere(fates[0].why) {
			f.unwrite()
			return false, fates[0].why
		}
		f.fail(ErrNotSent, fates[0].why)
		if blocked || isPassing(fates[0].why) {
			return false, fates[0].why
		}
	}
	return blocked, nil
}

// appendPop appends a BLPOP that waits for the result as long as its caller does,
// but no longer than a slice.
func (p *popper) appendPop(out []byte, f *flight) []byte {
	d := min(time.Until(f.deadline), p.link.slice())
	if p.wholeSeconds.Load() {
		d = maxSlice
	}
	out = append(out, "*3\r\n$5\r\nBLPOP\r\n"...)
	out = appendArg(out, f.reply)
	return appendArg(out, blockFor(d))
}

// readPop reads the reply to a BLPOP: a key and its element, or errNull if none
// came.
func readPop(c *conn) (key string, message []byte, err error) {
	n, err := c.array()
	if err != nil {
		return "", nil, err
	}
	if n != 2 {
		return "", nil, fmt.Errorf("expected a key and an element from BLPOP, got %d values", n)
	}
	name, err := c.view()
	if err != nil {
		return "", nil, err
	}
	key = string(name)
	message, err = c.bulk(nil)
	return key, message, err
}

// blockFor renders a time to block: a whole number where it is one, as Redis
// before 6.0 takes nothing else. Zero would mean for ever, so it is never less
// than a millisecond.
func blockFor(d time.Duration) string {
	if d == d.Truncate(time.Second) && d > 0 {
		return strconv.Itoa(int(d / time.Second))
	}
	return strconv.FormatFloat(max(d, time.Millisecond).Seconds(), 'f', 3, 64)
}
