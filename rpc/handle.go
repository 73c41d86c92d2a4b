package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
	"redrpc/rpc/internal/wire"
)

// A runQueue is where fetched calls wait for a worker. There are never more of them than
// workers that are free, so none waits for long.
//
// A worker is woken only if there is a call for it, and only one at a time: it
// wakes the next one if there is more to do. So where calls take less time than
// waking a worker, few workers do them all, and where they take long, all do. A channel
// wakes one for each call, which took a tenth more processor time.
type runQueue struct {
	mu     sync.Mutex // guards what follows
	calls  []fetchedCall
	taken  int // how many of calls are
	idle   int
	waking bool // a worker has been woken and has not come yet
	closed bool
	wake   sync.Cond
}

func newRunQueue() *runQueue {
	q := new(runQueue)
	q.wake.L = &q.mu
	return q
}

func (q *runQueue) put(calls []fetchedCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls, q.taken = append(append(q.calls[:0], q.calls[q.taken:]...), calls...), 0
	q.wakeOne()
}

// wakeOne wakes a worker if there is something to do. It is called under the lock.
func (q *runQueue) wakeOne() {
	if q.taken < len(q.calls) && q.idle > 0 && !q.waking {
		q.waking = true
		q.wake.Signal()
	}
}

// take waits for a call. It is not ok when the queue is closed and empty.
func (q *runQueue) take() (c fetchedCall, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.taken == len(q.calls) && !q.closed {
		q.idle++
		q.wake.Wait()
		q.idle--
		q.waking = false
	}
	if q.taken == len(q.calls) {
		return fetchedCall{}, false
	}
	c = q.calls[q.taken]
	q.calls[q.taken] = fetchedCall{}
	q.taken++
	q.wakeOne()
	return c, true
}

// close lets the workers go when all calls are taken.
func (q *runQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

// work answers calls until there are no more. A handler that ends its goroutine
// with runtime.Goexit, as t.FailNow does, is replaced by a new worker.
func (r *serverRun) work(ctx context.Context, workers *sync.WaitGroup) {
	returned := false
	defer func() {
		if !returned {
			workers.Go(func() { r.work(ctx, workers) })
		}
	}()
	for c, ok := r.runQueue.take(); ok; c, ok = r.runQueue.take() {
		r.answer(ctx, c)
	}
	returned = true
}

// An execution is a call that a worker runs.
type execution struct {
	*serverRun
	fetchedCall
	call     wire.ReceivedCall
	times    callTimes
	begun    time.Time
	deadline *deadlineContext // nil if it is not known
	result   wire.Result
	returned bool // the handler has
}

// answer runs a call and sends its result. Its worker is free again when the result
// has been delivered, or cannot be.
func (r *serverRun) answer(ctx context.Context, c fetchedCall) {
	defer r.finish(c.function)
	e, _ := r.executions.Get().(*execution)
	if e == nil {
		e = new(execution)
	}
	*e = execution{serverRun: r, fetchedCall: c, begun: time.Now()}
	defer r.executions.Put(e)
	var err error
	if e.call, err = wire.DecodeCall(c.message); err != nil {
		c.function.malformed.Add(1)
		r.malformed.add(r.log, "last_func", c.name, "last_reason", err, "last_message", wire.LogExcerpt(c.message))
		r.scheduler.give(1)
		return
	}
	if e.isExpired() {
		c.function.expired.Add(1)
		r.expired.add(r.log, "last_func", c.name, "last_id", e.call.ID(), "last_late_by", e.begun.Sub(e.times.deadline))
		r.scheduler.give(1)
		return
	}
	if e.deadline = e.times.context(ctx); e.deadline != nil {
		ctx = e.deadline
	}
	e.result = wire.Result{Extensions: !r.opt.NoExtensions, Server: r.field, Queued: e.times.queued, Ran: -1}
	c.function.begun.Add(1)
	c.function.inFlight.Add(1)
	defer e.end()
	if len(r.opt.Intercept) == 0 {
		e.result.Value, err = e.attempt(ctx)
	} else {
		err = e.intercepted(ctx)
	}
	if err != nil {
		e.fail(err)
	}
	e.returned = true
}

// isExpired reads the times of the call, and reports whether it is too late to be run.
func (e *execution) isExpired() bool {
	clock := e.consumer.dialer.clock
	e.times = e.callTimes(clock, &e.call, e.at)
	late := func() bool { return e.times.exact && e.begun.Sub(e.times.deadline) > e.opt.Tolerance }
	if late() && clock.claim(readDoubtful) { // unless Redis's clock was set
		_ = clock.readFrom(func() *redis.TimeCmd { return e.nodes.time(e.function.queue) }) // else by the last reading
		e.times = e.callTimes(clock, &e.call, e.at)
	}
	return late()
}

// end sends the result, and is called however the handler ends. A failure after the
// caller's deadline, which may well be because of it, is not sent: the caller knows best
// that its time is up.
func (e *execution) end() {
	if e.deadline != nil {
		e.deadline.end()
	}
	if !e.returned {
		e.log.Error("rpc: handler ended its goroutine", "func", e.name, "id", e.call.ID())
		e.fail(WithType(TypePanic, errors.New("the handler ended its goroutine")))
	}
	e.function.inFlight.Add(-1)
	e.result.At = time.Now()
	if e.result.Ran < 0 {
		e.result.Ran = e.result.At.Sub(e.begun)
	}
	if e.result.Error != "" && e.times.over(e.result.At) {
		e.scheduler.give(1)
	} else {
		e.reply()
	}
	e.spare.Put(e.result.Value)
	if len(e.opt.Intercept) == 0 { // else it may be kept in a CallInfo
		e.spare.Put(e.message)
	}
}

func (e *execution) reply() {
	a, _ := e.sentReplies.Get().(*reply)
	if a == nil {
		a = new(reply)
	}
	id := append(a.id[:0], e.call.RawID...) // the message is used again
	*a = reply{id: id, run: e.serverRun, consumer: e.consumer, function: e.function, until: e.times.deadline}
	if a.until.IsZero() {
		a.until = e.result.At.Add(replyPatience)
	}
	if !e.opt.NoExtensions {
		a.list = e.consumer.replyList(e.serverRun, e.call.ReplyTo)
	}
	if a.list != "" {
		e.result.ID = e.call.RawID
	}
	size := len(e.result.Value) + len(e.result.Extra) + len(e.result.Server) + len(e.result.ID) + 104
	a.message = e.result.Append(slices.Grow(e.spare.Get()[:0], size))
	e.replies.Add(1)
	a.size = int64(len(a.message))
	a.holds = e.undelivered.Add(a.size) > mostUndelivered
	if !a.holds {
		defer e.scheduler.give(1)
	}
	a.deliver()
}

func (e *execution) intercepted(ctx context.Context) (err error) {
	defer e.recovered(&err)
	info := &CallInfo{Func: e.name, Queue: e.function.queue, ID: e.call.ID(), Server: e.opt.ID, Queued: max(0, e.result.Queued), received: e.message}
	info.Client = info.Field("client")
	info.Deadline, _ = ctx.Deadline()
	err = intercept(ctx, e.opt.Intercept, info, func(ctx context.Context) (err error) {
		begun := time.Now()
		e.result.Value, err = e.attempt(ctx)
		e.result.Ran = time.Since(begun)
		info.Ran = e.result.Ran
		return err
	})
	e.result.Extra = info.extra
	return err
}

// attempt runs the handler of a call. A panic becomes an error, also one while the
// result is encoded.
func (e *execution) attempt(ctx context.Context) (res []byte, err error) {
	defer e.recovered(&err)
	kw := e.call.KW
	if e.call.Fault != nil {
		return nil, WithType(TypeBadArguments, e.call.Fault)
	}
	if most := e.opt.MaxArgsBytes; most > 0 && len(kw) > most {
		return nil, WithType(TypeTooLarge, fmt.Errorf("the arguments have %d bytes, this server takes no more than %d", len(kw), most))
	}
	res, err = e.run(ctx, kw)
	if most := e.opt.MaxResultBytes; most > 0 && len(res) > most {
		return nil, WithType(TypeTooLarge, fmt.Errorf("the result has %d bytes, this server sends no more than %d", len(res), most))
	}
	return res, err
}

// recovered is deferred to make an error of a panic.
func (e *execution) recovered(err *error) {
	if v := recover(); v != nil {
		p := &panicked{v, string(debug.Stack())}
		e.log.Error("rpc: handler panicked", "func", e.name, "id", e.call.ID(), "panic", v, "traceback", p.traceback)
		*err = p
	}
}

// fail makes the result that of a failure. An error whose methods panic is a
// panic, too.
func (e *execution) fail(err error) {
	var broken error
	func() {
		defer e.recovered(&broken)
		e.result.Error, e.result.ErrorType = failureText(err), TypeOf(err)
	}()
	if broken != nil {
		err = broken
		e.result.Error, e.result.ErrorType = err.Error(), TypePanic
	}
	e.function.failed.Add(1)
	if e.result.ErrorType == TypePanic {
		e.function.panicked.Add(1)
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		e.result.Traceback = p.traceback
	}
}

// failureText is the text of an error, or at least its type.
func failureText(err error) string {
	if text := err.Error(); text != "" {
		return text
	}
	return fmt.Sprintf("%T without a message", err)
}

// A reply is the result of a call on its way to its caller. It is sent again until Redis
// has confirmed it, so it may come twice, but it will come: on a reply list clients drop
// the second by its ID, a single-use list is deleted before.
type reply struct {
	run      *serverRun
	consumer *consumer
	function *function
	id       []byte // of the call, a JSON string
	list     string // the reply list; empty for a single-use list
	message  []byte
	until    time.Time // nobody waits for it any longer
	size     int64     // that counts towards what is undelivered
	holds    bool      // its worker is not free before it is delivered

	again bool // it may be there already
	cuts  int  // connections that were lost while it was sent, alone
}

const (
	// replyPatience is how long a server tries to deliver a result if the caller does not
	// say how long it waits.
	replyPatience = 30 * time.Second

	// mostCuts is how many lost connections make a message that is longer than the
	// smallest limit of Redis be taken for too long, if Redis does not tell its limit.
	mostCuts = 3
)

// mostUndelivered is how many bytes of results may be on their way before workers are held
// until they have arrived: then no more calls are fetched than can be answered.
const mostUndelivered = 1 << 20

func (r *reply) deliver() {
	if n := len(r.message); n >= smallestLimit {
		ctx, cancel := context.WithDeadline(context.Background(), r.until)
		most := r.run.nodes.largestMessage(ctx, r.function.queue)
		cancel()
		if n > most {
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, Redis takes no more than %d", n, most))
		}
	}
	r.push()
}

// push sends it to where its list is.
func (r *reply) push() {
	if r.run.cluster != nil && r.list == "" && keyslot.Of(r.key()) != r.consumer.slot {
		r.pushCrossSlot()
		return
	}
	r.mux().push(r)
}

// isLong reports whether the message goes over the connection for long ones, and to the
// single-use list even if there is a reply list, which is told of it afterwards.
func (r *reply) isLong() bool { return len(r.message) >= longMessage }

// key is the list that message goes to next.
func (r *reply) key() string {
	if r.list != "" && !r.isLong() {
		return r.list
	}
	return wire.ResultKey(r.run.opt.Prefix, r.function.name, wire.Unquote(r.id))
}

func (r *reply) begin() (queueMessage, bool) {
	key := r.key()
	return queueMessage{key: key, message: r.message, life: r.run.opt.Expiry, again: r.again && (r.list == "" || r.isLong())}, true
}

func (r *reply) settle(p pushResult) {
	switch p.pushOutcome {
	case pushed:
		if r.list != "" && r.isLong() {
			r.message, r.again = wire.AppendNotice(nil, r.id, time.Now()), false
			r.push()
			return
		}
		r.run.spare.Put(r.message)
		r.run.delivered(r)
	case notWritten:
		r.retry(p.err)
	case cutOff, unknown:
		r.again = r.again || p.pushOutcome == unknown
		if len(r.message) >= smallestLimit {
			r.cuts++
		}
		if r.cuts >= mostCuts {
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, at which Redis closed %d connections", len(r.message), r.cuts))
		}
		r.retry(p.err)
	case refused:
		switch {
		case isMigrating(p.err):
			r.pushCrossSlot()
		case needsReconnect(p.err):
			r.retry(p.err)
		case isTransient(p.err):
			if r.isOld() {
				r.lost(p.err)
			} else {
				r.mux().pushLater(r)
			}
		case len(r.message) >= smallestLimit:
			r.tooLong(fmt.Sprintf("the result is a message of %d bytes, which Redis does not take: %v", len(r.message), p.err))
			r.push()
		case r.list != "": // the list is forbidden, or of another type: the client looks at the other, too
			r.consumer.avoid(r.list)
			r.list = ""
			r.push()
		default:
			r.lost(p.err)
		}
	}
}

func (r *reply) mux() *mux {
	if r.isLong() {
		return r.consumer.bulk
	}
	return r.consumer.replies
}

func (r *reply) unreachable(err error) bool {
	if r.isOld() {
		r.lost(err)
		return false
	}
	return true
}

// retry sends it again, unless it is old.
func (r *reply) retry(why error) {
	if r.isOld() {
		r.lost(why)
		return
	}
	r.mux().push(r)
}

// isOld reports whether it is given up if it is not delivered now.
func (r *reply) isOld() bool { return !time.Now().Before(r.until) || r.run.impatient.Err() != nil }

func (r *reply) lost(why error) {
	r.run.lost.add(r.run.log, "last_key", r.key(), "last_error", why)
	r.run.delivered(r)
}

// tooLong replaces the result by a failure that says why.
func (r *reply) tooLong(why string) {
	failure := wire.Result{
		At: time.Now(), Error: why, ErrorType: TypeTooLarge,
		Extensions: !r.run.opt.NoExtensions, Server: r.run.field, Queued: -1,
	}
	if r.list != "" {
		failure.ID = r.id
	}
	r.function.failed.Add(1)
	r.run.log.Error("rpc: result too long", "func", r.function.name, "id", wire.Unquote(r.id), "reason", why)
	r.message, r.again = failure.Append(nil), false
}

// pushCrossSlot sends a reply whose list lies in another slot of a Cluster, as those for the
// old ports may, or in one that is being migrated.
func (r *reply) pushCrossSlot() {
	run := r.run
	run.across.Go(func() {
		var again backoff
		for {
			m, _ := r.begin()
			p := run.nodes.push(m)
			switch {
			case p.pushOutcome == pushed || p.pushOutcome == refused && !isTransient(p.err) && !isRedirect(p.err):
				r.settle(p)
				return
			case p.pushOutcome == unknown:
				r.again = true
			}
			if r.isOld() {
				r.lost(p.err)
				return
			}
			again.pause(nil, nil)
		}
	})
}
