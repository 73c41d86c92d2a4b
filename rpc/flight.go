package rpc

import (
	"math"
	"sync/atomic"
	"time"
)

// A sender takes calls to Redis and brings back their outcomes. This is where ways of
// waiting differ.
type sender interface {
	// send takes f to Redis and sees to it that f.end is called if there is an
	// outcome. It does not wait.
	send(f *flight)

	// finished is called once for each flight that was sent, when its caller has
	// the outcome, or waits for it no longer.
	finished(f *flight)
}

// A flight is a call on its way.
type flight struct {
	queue    string    // the list to push to
	message  []byte    // what to push
	reply    string    // the list in which the result comes
	deadline time.Time // when its caller will have given up
	only     bool      // it is only sent, nobody waits for a result

	phase   atomic.Int32
	trouble atomic.Pointer[error] // how the connection was lost, if it was
	done    chan outcome          // of size 1: nobody waits for the caller

	checked time.Time // of trackTransport
}

// Phases of a flight.
const (
	waiting int32 = iota // not written
	written              // it may be in Redis
	ended                // there is an outcome, or the caller has left
)

type outcome struct {
	message []byte
	err     *failure
}

// A failure is why there is no result, and what is known of the call: kind is
// ErrNotSent or ErrNoResult.
type failure struct {
	kind  error
	cause error
}

// write reports whether the flight may be written for the first time, which it
// then counts as.
func (f *flight) write() bool { return f.phase.CompareAndSwap(waiting, written) }

// unwrite says that what was written is certainly not in Redis, and reports
// whether it is worth writing again.
func (f *flight) unwrite() bool { return f.phase.CompareAndSwap(written, waiting) }

func (f *flight) is(phase int32) bool { return f.phase.Load() == phase }

// end gives the caller an outcome, unless there was one or the caller has left.
func (f *flight) end(o outcome) {
	if f.phase.Swap(ended) != ended {
		f.done <- o
	}
}

func (f *flight) fail(kind, cause error) { f.end(outcome{err: &failure{kind, cause}}) }

// abandon ends the flight without a result, because of cause.
func (f *flight) abandon(cause error) {
	was := f.phase.Swap(ended)
	if was == ended {
		return
	}
	if why := f.trouble.Load(); why != nil {
		cause = &troubled{cause, *why}
	}
	kind := ErrNoResult
	if was == waiting {
		kind = ErrNotSent
	}
	f.done <- outcome{err: &failure{kind, cause}}
}

// lost notes that the connection was lost which the result was to come over.
func (f *flight) lost(why error) { f.trouble.Store(&why) }

// A waiter is what a caller needs to wait. Other calls use it again.
type waiter struct {
	done    chan outcome
	timer   *time.Timer // abandons flight
	flight  *flight
	timeout time.Duration
}

func newWaiter() *waiter {
	w := &waiter{done: make(chan outcome, 1)}
	w.timer = time.AfterFunc(math.MaxInt64, func() { w.flight.abandon(timeUp(w.timeout)) })
	return w
}

// start makes f's outcome come over done, at the latest when timeout is over, of
// which left is left.
func (w *waiter) start(f *flight, timeout, left time.Duration) {
	f.done = w.done
	w.flight, w.timeout = f, timeout
	w.timer.Reset(left)
}

// stop reports whether the waiter can be used again: the timer is not at work.
func (w *waiter) stop() bool {
	if !w.timer.Stop() {
		return false
	}
	w.flight = nil // which may be large
	return true
}

// A backlog is flights in their order. Those that have ended are dropped when
// they are many.
type backlog struct {
	fifo[*flight]
	enough int // how many there may be before it is looked for ended ones
}

func (b *backlog) push(f *flight) {
	if len(b.waiting()) >= max(b.enough, 64) {
		b.keep(func(f *flight) bool { return !f.is(ended) })
		b.enough = 2 * len(b.waiting())
	}
	b.fifo.push(f)
}
