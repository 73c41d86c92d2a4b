package rpc

import (
	"math"
	"sync/atomic"
	"time"

	"redrpc/rpc/internal/wire"
)

// A pendingCall is a call on its way, until there is an outcome.
type pendingCall struct {
	slot     *slotClient
	function *calledFunction
	id       string
	message  []byte    // what to push
	sent     time.Time // when it was made
	deadline time.Time // when its caller will have given up
	list     int       // number of the reply list that it names; 0 is none
	sendOnly bool      // nobody waits for a result

	phase    atomic.Int32
	reserved atomic.Bool  // it holds a place for a BLPOP that has not begun
	blocked  atomic.Bool  // a BLPOP waits for its result
	long     atomic.Bool  // its result is said to be on its single-use list, as it is long
	done     chan outcome // of size 1: nobody waits for the caller
}

// Phases of a pendingCall.
const (
	waiting int32 = iota // not written
	written              // it may be in Redis
	ended                // there is an outcome, or the caller has left
)

type outcome struct {
	message   []byte // the result
	delivered bool   // it came on the reply list
	err       error  // why there is no result
}

func (c *pendingCall) begin() (queueMessage, bool) {
	if !c.phase.CompareAndSwap(waiting, written) {
		return queueMessage{}, false
	}
	return queueMessage{key: c.function.queue, message: c.message, life: c.slot.client.opt.Expiry}, true
}

func (c *pendingCall) settle(r pushResult) {
	switch r.pushOutcome {
	case pushed:
		if c.sendOnly {
			c.end(outcome{})
		} else {
			c.slot.waitByBLPOP(c)
		}
	case refused:
		if !isRedirect(r.err) {
			c.fail(ErrNotSent, r.err)
		} else if c.unwrite() {
			c.slot.sendRedirected(c, r.err)
		}
	case notWritten:
		if c.unwrite() {
			c.slot.mux(c).push(c)
		}
	case cutOff: // not again: what is in it may be why
		c.fail(ErrNotSent, r.err)
	case unknown:
		c.slot.trouble(r.err)
		if c.sendOnly {
			c.fail(ErrNoResult, r.err)
		} else {
			c.slot.waitByBLPOP(c)
		}
	}
}

func (c *pendingCall) unreachable(err error) bool {
	if isRedirect(err) { // the next connection goes to the right one
		return true
	}
	c.fail(ErrNotSent, err)
	return false
}

// unwrite says that what was written is certainly not in Redis, and reports whether it
// is worth writing again.
func (c *pendingCall) unwrite() bool { return c.phase.CompareAndSwap(written, waiting) }

func (c *pendingCall) is(phase int32) bool { return c.phase.Load() == phase }

// end gives the caller an outcome, unless there was one or the caller has left.
func (c *pendingCall) end(o outcome) {
	if c.phase.Swap(ended) != ended {
		c.done <- o
	}
}

func (c *pendingCall) fail(kind, cause error) {
	c.end(outcome{err: &callError{c.function.name, kind, cause}})
}

// abandon ends the call without a result, because of cause.
func (c *pendingCall) abandon(cause error) {
	was := c.phase.Swap(ended)
	if was == ended {
		return
	}
	if why := c.slot.troubleSince(c.sent); why != nil {
		cause = &troubled{cause, why}
	}
	kind := ErrNoResult
	if was == waiting {
		kind = ErrNotSent
	}
	c.done <- outcome{err: &callError{c.function.name, kind, cause}}
}

// singleUse is the list in which a server that knows no reply lists answers.
func (c *pendingCall) singleUse() string { return c.function.results + c.id }

// A waiter is what a caller needs to wait. Other calls use it again.
type waiter struct {
	done    chan outcome
	timer   *time.Timer // abandons the call
	call    *pendingCall
	timeout time.Duration
}

func newWaiter() *waiter {
	w := &waiter{done: make(chan outcome, 1)}
	w.timer = time.AfterFunc(math.MaxInt64, func() {
		w.call.slot.dialer.clock.suspect()
		w.call.abandon(timeUp(w.timeout))
	})
	return w
}

// A calledFunction is what a client knows of a function that it calls.
type calledFunction struct {
	name    string
	queue   string // the key of its queue
	results string // the beginning of the keys of its single-use lists

	// In a Cluster: the slot of the queue, what IDs of calls begin with so that their
	// single-use lists are there, too, and why that cannot be.
	slot int
	tag  string
	err  error

	// Which kind of server answers is found out: old ones, which know no reply lists,
	// answer on single-use lists.
	answered atomic.Bool  // by new servers
	old      atomic.Int32 // more than 0 while old servers are counted on: that many answers of new ones in a row end it
}

// oldMemory is how many answers of new servers in a row it takes to count no longer on old
// ones.
const oldMemory = 1000

// answeredByNew and answeredByOld are told who answered a call.
func (f *calledFunction) answeredByNew() {
	if !f.answered.Load() {
		f.answered.Store(true)
	}
	if f.old.Load() > 0 {
		f.old.Add(-1)
	}
}

func (f *calledFunction) answeredByOld() { f.old.Store(oldMemory) }

// answeredBy is told of a result on a single-use list, where those of old servers come, and
// of new ones those that are long, which have the call's ID.
func (f *calledFunction) answeredBy(message []byte) {
	if len(message) >= longMessage {
		if _, ok := wire.ResultID(message); ok {
			f.answeredByNew()
			return
		}
	}
	f.answeredByOld()
}

// hasOldServers reports whether old servers are counted on.
func (f *calledFunction) hasOldServers() bool { return f.old.Load() > 0 }

func (c *pendingCall) unreserve() {
	if c.reserved.CompareAndSwap(true, false) {
		c.slot.client.blpops <- struct{}{}
	}
}
