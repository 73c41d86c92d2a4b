package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A shift is one run of a server. One goroutine takes calls from Redis, as many
// as there are free workers; workers run them and hand the answers to the post;
// one keeps the heartbeat; one wakes the taker when it is time to stop.
type shift struct {
	*Server
	link     *link
	post     *post
	desk     *desk
	log      *slog.Logger
	byKey    map[string]*function // by the key of the queue
	field    []byte               // with the server's ID, for results
	rotation *rotation
	wake     string
	alive    string
	stats    string
	started  time.Time
	free     seats
	drops    dropLog
}

// A popped is a message as it came off a queue.
type popped struct {
	*function
	message []byte
	taken   time.Time
}

// retries are the shortest and the longest pause after a failure of Redis.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func newShift(ctx context.Context, s *Server) *shift {
	r := &shift{
		Server:  s,
		link:    newLink(s.rdb, s.home),
		desk:    newDesk(),
		log:     s.opt.Logger.With("server", s.opt.ID),
		byKey:   map[string]*function{},
		wake:    wakeKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		alive:   aliveKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		stats:   statsKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		started: time.Now(),
		free:    seats{free: s.opt.Workers, freed: make(chan struct{}, 1)},
	}
	r.post = newPost(ctx, r.link, s.opt.Expiry, r.log, &s.spare, r.free.give)
	if !s.opt.Plain || !s.opt.IgnoreDeadlines {
		r.link.clock = newClock()
	}
	r.field = appendTextField(nil, "server", s.opt.ID)
	var functions []*function // sorted by name
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		f := s.functions[name]
		functions = append(functions, f)
		r.byKey[f.queue] = f
	}
	r.rotation = newRotation(functions)
	return r
}

// serve runs the shift until ctx ends or the server is told to stop, and until
// all that it took is answered.
func (r *shift) serve(ctx context.Context) {
	stop := make(chan struct{}) // closed when no more calls are to be taken
	finished := make(chan struct{})
	var workers, helpers sync.WaitGroup
	helpers.Go(func() {
		select {
		case <-ctx.Done():
		case <-r.stopping:
		case <-finished: // by itself
		}
		close(stop)
		r.wakeTaker("stopping takes a little longer")
	})
	helpers.Go(func() { r.beat(finished) })
	for range r.opt.Workers {
		workers.Go(func() { r.work(ctx, &workers) })
	}

	r.take(stop)
	r.desk.close()
	workers.Wait()
	close(finished)
	helpers.Wait()
	r.post.do("heartbeat not withdrawn, it will expire", []string{"DEL", r.alive, r.stats, r.wake})
	r.post.close()
}

// take moves calls from Redis to the workers until stop is closed, or there have
// been enough. It takes nothing after that, and loses nothing: what a command in
// progress still pops is handed on too.
func (r *shift) take(stop <-chan struct{}) {
	t := taker{link: r.link, wake: r.wake, spare: &r.spare}
	defer t.hangUp()
	retry := firstRetry
	for left := r.opt.MaxCalls; r.opt.MaxCalls == 0 || left > 0; {
		n := r.free.takeAll(stop)
		if n == 0 {
			return
		}
		most := n
		if r.opt.MaxCalls > 0 {
			most = min(n, left)
		}
		queues, most, wait := r.rotation.begin(most)
		if len(queues) == 0 {
			r.free.give(n)
			select {
			case <-r.rotation.room:
			case <-stop:
			}
			continue
		}
		key, messages, err := t.pop(queues, most, wait)
		f, known := r.byKey[key]
		r.rotation.end(known)
		if known {
			calls, now := make([]popped, len(messages)), time.Now()
			for i, m := range messages {
				calls[i] = popped{f, m, now}
			}
			f.took(len(messages))
			r.desk.put(calls)
			n -= len(messages)
			left -= len(messages)
		}
		r.free.give(n)
		if err == nil {
			retry = firstRetry
			continue
		}
		r.link.failed(err)
		pause := retry/2 + rand.N(retry/2)
		retry = min(2*retry, lastRetry)
		r.log.Warn("rpc: Redis does not give calls", "error", err, "again_in", pause)
		sleep(pause, stop)
	}
}

// wakeTaker ends the taker's wait. If it fails the wait ends after its slice.
func (r *shift) wakeTaker(otherwise string) {
	r.post.do(otherwise, []string{"RPUSH", r.wake, "stop"}, []string{"EXPIRE", r.wake, "2"})
}

// beat keeps the heartbeat alive, and a report with it, until finished is closed.
func (r *shift) beat(finished <-chan struct{}) {
	life := strconv.FormatInt((2 * r.opt.Heartbeat).Milliseconds(), 10)
	tick := time.NewTicker(r.opt.Heartbeat)
	defer tick.Stop()
	for {
		r.post.do("no heartbeat", []string{"SET", r.alive, "1", "PX", life})
		if !r.opt.Plain {
			r.post.do("no report", []string{"SET", r.stats, string(r.report()), "PX", life})
		}
		select {
		case <-tick.C:
		case <-finished:
			return
		}
	}
}

// work answers calls until there are no more. A handler that ends its goroutine
// with runtime.Goexit, as t.FailNow does, is replaced by a new worker.
func (r *shift) work(ctx context.Context, workers *sync.WaitGroup) {
	returned := false
	defer func() {
		if !returned {
			workers.Go(func() { r.work(ctx, workers) })
		}
	}()
	for c, ok := r.desk.take(); ok; c, ok = r.desk.take() {
		r.answer(ctx, c)
	}
	returned = true
}

// answer runs a call and hands in its result. Its seat is free when the result
// has been delivered, or cannot be. A failure after the caller's deadline, which may
// well be because of it, is not handed in: the caller knows best that its time is up.
func (r *shift) answer(ctx context.Context, c popped) {
	defer r.finish(c.function)
	call, err := decodeCall(c.message)
	if err != nil {
		c.malformed.Add(1)
		r.log.Warn("rpc: malformed call dropped", "func", c.name, "reason", err, "message", logExcerpt(c.message))
		r.free.give(1)
		return
	}
	m, begun := r.moments(&call, c.taken), time.Now()
	if r.expired(&m, begun) {
		r.drop(c.function, call.id, begun, &m)
		r.free.give(1)
		return
	}
	budget := m.budget(ctx)
	if budget != nil {
		ctx = budget
	}
	a := answer{full: !r.opt.Plain, server: r.field, queued: m.queued, ran: -1}
	returned := false
	c.begun.Add(1)
	defer func() {
		if budget != nil {
			budget.end()
		}
		if !returned {
			r.log.Error("rpc: handler ended its goroutine", "func", c.name, "id", call.id)
			r.fail(c.function, call, &a, Typed(TypePanic, errors.New("the handler ended its goroutine")))
		}
		c.ended.Add(1)
		a.at = time.Now()
		if a.ran < 0 {
			a.ran = a.at.Sub(begun)
		}
		if a.text != "" && m.over(a.at) {
			r.free.give(1)
		} else {
			r.post.answer(resultKey(r.opt.Prefix, c.name, call.id), a.append(slices.Grow(r.spare.get()[:0], len(a.res)+len(a.extra)+len(a.server)+96)))
		}
		r.spare.put(a.res)
		if len(r.opt.Intercept) == 0 { // else it may be kept in a CallInfo
			r.spare.put(c.message)
		}
	}()
	r.run(ctx, c, call, &a)
	returned = true
}

// run runs a call, with the interceptors around it if there are any, and fills in
// its answer.
func (r *shift) run(ctx context.Context, c popped, call call, a *answer) {
	var err error
	if len(r.opt.Intercept) == 0 {
		a.res, err = r.attempt(ctx, c.function, call)
	} else {
		err = r.intercepted(ctx, c, call, a)
	}
	if err != nil {
		r.fail(c.function, call, a, err)
	}
}

// intercepted runs a call with the interceptors around it.
func (r *shift) intercepted(ctx context.Context, c popped, call call, a *answer) (err error) {
	defer r.recovered(c.function, call, &err)
	info := &CallInfo{Func: c.name, Queue: c.queue, ID: call.id, Server: r.opt.ID, Queued: max(0, a.queued), received: c.message}
	info.Client = info.Field("client")
	info.Deadline, _ = ctx.Deadline()
	err = intercept(ctx, r.opt.Intercept, info, func(ctx context.Context) (err error) {
		begun := time.Now()
		a.res, err = r.attempt(ctx, c.function, call)
		a.ran = time.Since(begun)
		info.Ran = a.ran
		return err
	})
	a.extra = info.extra
	return err
}

// attempt runs the handler of a call. A panic becomes an error, also one while the
// result is encoded.
func (r *shift) attempt(ctx context.Context, f *function, c call) (res []byte, err error) {
	defer r.recovered(f, c, &err)
	if c.fault != nil {
		return nil, Typed(TypeBadArguments, c.fault)
	}
	if most := r.opt.MaxArgsBytes; most > 0 && len(c.kw) > most {
		return nil, Typed(TypeTooLarge, fmt.Errorf("the arguments have %d bytes, this server takes no more than %d", len(c.kw), most))
	}
	res, err = f.run(ctx, c.kw)
	if most := r.opt.MaxResultBytes; most > 0 && len(res) > most {
		return nil, Typed(TypeTooLarge, fmt.Errorf("the result has %d bytes, this server sends no more than %d", len(res), most))
	}
	return res, err
}

// recovered is deferred to make an error of a panic.
func (r *shift) recovered(f *function, c call, err *error) {
	if v := recover(); v != nil {
		p := &panicked{v, string(debug.Stack())}
		r.log.Error("rpc: handler panicked", "func", f.name, "id", c.id, "panic", v, "traceback", p.traceback)
		*err = p
	}
}

// fail makes the answer that of a failure. An error whose methods panic is a
// panic, too.
func (r *shift) fail(f *function, c call, a *answer, err error) {
	var broken error
	func() {
		defer r.recovered(f, c, &broken)
		a.text, a.errType = failureText(err), TypeOf(err)
	}()
	if broken != nil {
		err = broken
		a.text, a.errType = err.Error(), TypePanic
	}
	f.failed.Add(1)
	if a.errType == TypePanic {
		f.panicked.Add(1)
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		a.traceback = p.traceback
	}
}

// failureText is the text of an error, or at least its type.
func failureText(err error) string {
	if text := err.Error(); text != "" {
		return text
	}
	return fmt.Sprintf("%T without a message", err)
}

// sleep waits for d, or until stop is closed.
func sleep(d time.Duration, stop <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}

// seats counts the workers that are free.
type seats struct {
	mu    sync.Mutex // guards free
	free  int
	freed chan struct{} // of size 1: something was given since the last look
}

// takeAll takes all that are free, waiting until there is at least one. It
// returns 0 if stop is closed.
func (s *seats) takeAll(stop <-chan struct{}) int {
	for {
		select {
		case <-stop:
			return 0
		default:
		}
		s.mu.Lock()
		n := s.free
		s.free = 0
		s.mu.Unlock()
		if n > 0 {
			return n
		}
		select {
		case <-s.freed:
		case <-stop:
			return 0
		}
	}
}

func (s *seats) give(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.free += n
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
