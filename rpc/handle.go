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

// put adds calls.
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
	defer e.end()
	e.runHandler(ctx)
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
	e.function.ended.Add(1)
	e.result.At = time.Now()
	if e.result.Ran < 0 {
		e.result.Ran = e.result.At.Sub(e.begun)
	}
	if e.result.Error != "" && e.times.over(e.result.At) {
		e.scheduler.give(1)
	} else {
		e.reply()
	}
	e.spare.put(e.result.Value)
	if len(e.opt.Intercept) == 0 { // else it may be kept in a CallInfo
		e.spare.put(e.message)
	}
}

// reply sends the result of a call.
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
	a.message = e.result.Append(slices.Grow(e.spare.get()[:0], size))
	e.replies.Add(1)
	a.size = int64(len(a.message))
	a.holds = e.undelivered.Add(a.size) > mostUndelivered
	if !a.holds {
		defer e.scheduler.give(1)
	}
	a.deliver()
}

// runHandler runs a call, with the interceptors around it if there are any, and fills in
// its result.
func (e *execution) runHandler(ctx context.Context) {
	var err error
	if len(e.opt.Intercept) == 0 {
		e.result.Value, err = e.attempt(ctx)
	} else {
		err = e.intercepted(ctx)
	}
	if err != nil {
		e.fail(err)
	}
}

// intercepted runs a call with the interceptors around it.
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
