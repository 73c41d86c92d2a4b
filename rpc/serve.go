package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"redrpc/rpc/internal/wire"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A shift is one run of a server. One goroutine takes calls from Redis, as many
// as there are free workers; workers run them and hand the answers to the post;
// one keeps the heartbeat; one wakes the taker when it is time to stop. In a Cluster
// there may be several that take calls, and as many posts.
type shift struct {
	*Server
	stands  []*stand
	desk    *desk
	log     *slog.Logger
	field   []byte // with the server's ID, for results
	alive   string
	stats   string
	started time.Time
	free    seats
	give    func(int) // is called with a number of workers that are free again
	drops   dropLog

	// Of a Cluster.
	nodes  *nodes
	strays *strays
	turns  *turns // if there are several stands
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
		desk:    newDesk(),
		log:     s.opt.Logger.With("server", s.opt.ID),
		field:   wire.AppendTextField(nil, "server", s.opt.ID),
		alive:   wire.AliveKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		stats:   wire.StatsKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		started: time.Now(),
		free:    seats{free: s.opt.Workers, freed: make(chan struct{}, 1)},
	}
	r.give = r.free.give
	var functions []*function // sorted by name
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		functions = append(functions, s.functions[name])
	}
	if s.cluster == nil {
		r.stand(newLink(s.rdb, nil), wire.WakeKey(s.opt.Prefix, s.opt.Kind, s.opt.ID), functions)
	} else {
		r.spread(functions)
		r.strays = &strays{nodes: r.nodes, life: s.opt.Expiry, log: r.log, spare: &s.spare, free: r.give, impatient: ctx}
	}
	for _, s := range r.stands {
		s.post = newPost(ctx, s.link, r.opt.Expiry, r.log, &r.spare, r.give)
		s.post.other = r.strays
	}
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
		case <-r.enough():
		case <-finished: // by itself
		}
		close(stop)
		for _, s := range r.stands {
			r.wakeTaker(s, "stopping takes a little longer")
		}
	})
	helpers.Go(func() { r.beat(finished, "no heartbeat", r.alive, func() string { return "1" }) })
	if !r.opt.NoExtensions {
		helpers.Go(func() { r.beat(finished, "no report", r.stats, r.report) })
	}
	for range r.opt.Workers {
		workers.Go(func() { r.work(ctx, &workers) })
	}

	if r.turns == nil {
		r.take(r.stands[0], stop)
	} else {
		var takers sync.WaitGroup
		for _, s := range r.stands {
			takers.Go(func() { r.takeInTurns(s, stop) })
		}
		takers.Wait()
	}
	r.desk.close()
	workers.Wait()
	close(finished)
	helpers.Wait()
	r.keep("heartbeat not withdrawn, it will expire", "DEL", r.alive)
	r.keep("report not withdrawn, it will expire", "DEL", r.stats)
	for _, s := range r.stands {
		s.post.do("a list that woke the server is left, it will expire", []string{"DEL", s.wake})
		s.post.close()
	}
	if r.nodes != nil {
		r.strays.close()
		r.nodes.close()
	}
}

// enough is closed when several stands have taken all calls that may be taken.
func (r *shift) enough() <-chan struct{} {
	if r.turns == nil {
		return nil
	}
	return r.turns.over
}

// keep has a command done that keeps the heartbeat, whose key is the first argument.
func (r *shift) keep(failed string, args ...string) {
	if r.nodes == nil {
		r.stands[0].post.do(failed, args)
		return
	}
	e := command(args...)
	if r.nodes.run(e); e.err != nil {
		r.log.Warn("rpc: "+failed, "error", e.err)
	}
}

// take moves calls from a stand to the workers until stop is closed, or there have
// been enough. It takes nothing after that, and loses nothing: what a command in
// progress still pops is handed on too.
func (r *shift) take(s *stand, stop <-chan struct{}) {
	defer s.taker.hangUp()
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
		queues, most, wait := s.rotation.begin(most)
		if len(queues) == 0 {
			r.free.give(n)
			select {
			case <-s.rotation.room:
			case <-stop:
			}
			continue
		}
		key, messages, err := s.taker.pop(queues, most, min(wait, s.link.slice()))
		away := r.nodes != nil && isAsk(err)
		if away {
			key, messages, err = r.look(queues, most)
		}
		f, known := s.byKey[key]
		s.rotation.end(known)
		if known {
			f.took(len(messages))
			r.hand(f, messages)
			n -= len(messages)
			left -= len(messages)
		}
		r.free.give(n)
		switch {
		case err != nil:
			retry = r.pause(s.link, err, retry, stop)
			continue
		case away && !known:
			sleep(firstRest, stop)
		}
		retry = firstRetry
	}
}

// hand gives calls to the workers.
func (r *shift) hand(f *function, messages [][]byte) {
	calls, now := make([]popped, len(messages)), time.Now()
	for i, m := range messages {
		calls[i] = popped{f, m, now}
	}
	r.desk.put(calls)
}

// pause waits after an error of Redis, for about so long, and returns how long the next
// time.
func (r *shift) pause(l *link, err error, retry time.Duration, stop <-chan struct{}) time.Duration {
	l.failed(err)
	pause := retry/2 + rand.N(retry/2)
	r.log.Warn("rpc: Redis does not give calls", "error", err, "again_in", pause)
	sleep(pause, stop)
	return min(2*retry, lastRetry)
}

// wakeTaker ends the taker's wait. If it fails the wait ends after its slice.
func (r *shift) wakeTaker(s *stand, otherwise string) {
	s.post.do(otherwise, []string{"RPUSH", s.wake, "stop"}, []string{"EXPIRE", s.wake, "2"})
}

// beat sets a key to a text of now at each heartbeat, until finished is closed. Then it
// expires by itself when the server is gone.
func (r *shift) beat(finished <-chan struct{}, failed, key string, text func() string) {
	life := strconv.FormatInt((2 * r.opt.Heartbeat).Milliseconds(), 10)
	tick := time.NewTicker(r.opt.Heartbeat)
	defer tick.Stop()
	for {
		r.keep(failed, "SET", key, text(), "PX", life)
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
	call, err := wire.DecodeCall(c.message)
	if err != nil {
		c.malformed.Add(1)
		r.log.Warn("rpc: malformed call dropped", "func", c.name, "reason", err, "message", wire.LogExcerpt(c.message))
		r.give(1)
		return
	}
	m, begun := r.moments(c.stand.link.clock, &call, c.taken), time.Now()
	if r.expired(&m, begun) {
		r.drop(c.function, call.ID, begun, &m)
		r.give(1)
		return
	}
	budget := m.budget(ctx)
	if budget != nil {
		ctx = budget
	}
	a := wire.Result{Extensions: !r.opt.NoExtensions, Server: r.field, Queued: m.queued, Ran: -1}
	returned := false
	c.begun.Add(1)
	defer func() {
		if budget != nil {
			budget.end()
		}
		if !returned {
			r.log.Error("rpc: handler ended its goroutine", "func", c.name, "id", call.ID)
			r.fail(c.function, call, &a, WithType(TypePanic, errors.New("the handler ended its goroutine")))
		}
		c.ended.Add(1)
		a.At = time.Now()
		if a.Ran < 0 {
			a.Ran = a.At.Sub(begun)
		}
		if a.Error != "" && m.over(a.At) {
			r.give(1)
		} else {
			r.deliver(c.stand, wire.ResultKey(r.opt.Prefix, c.name, call.ID), a.Append(slices.Grow(r.spare.get()[:0], len(a.Value)+len(a.Extra)+len(a.Server)+96)))
		}
		r.spare.put(a.Value)
		if len(r.opt.Intercept) == 0 { // else it may be kept in a CallInfo
			r.spare.put(c.message)
		}
	}()
	r.run(ctx, c, call, &a)
	returned = true
}

// deliver sends an answer to where its list is.
func (r *shift) deliver(s *stand, key string, message []byte) {
	if r.strays != nil && keySlot(key) != s.slot {
		r.strays.answer(&letter{key: key, message: message, since: time.Now()})
		return
	}
	s.post.answer(key, message)
}

// run runs a call, with the interceptors around it if there are any, and fills in
// its answer.
func (r *shift) run(ctx context.Context, c popped, call wire.ReceivedCall, a *wire.Result) {
	var err error
	if len(r.opt.Intercept) == 0 {
		a.Value, err = r.attempt(ctx, c.function, call)
	} else {
		err = r.intercepted(ctx, c, call, a)
	}
	if err != nil {
		r.fail(c.function, call, a, err)
	}
}

// intercepted runs a call with the interceptors around it.
func (r *shift) intercepted(ctx context.Context, c popped, call wire.ReceivedCall, a *wire.Result) (err error) {
	defer r.recovered(c.function, call, &err)
	info := &CallInfo{Func: c.name, Queue: c.queue, ID: call.ID, Server: r.opt.ID, Queued: max(0, a.Queued), received: c.message}
	info.Client = info.Field("client")
	info.Deadline, _ = ctx.Deadline()
	err = intercept(ctx, r.opt.Intercept, info, func(ctx context.Context) (err error) {
		begun := time.Now()
		a.Value, err = r.attempt(ctx, c.function, call)
		a.Ran = time.Since(begun)
		info.Ran = a.Ran
		return err
	})
	a.Extra = info.extra
	return err
}

// attempt runs the handler of a call. A panic becomes an error, also one while the
// result is encoded.
func (r *shift) attempt(ctx context.Context, f *function, c wire.ReceivedCall) (res []byte, err error) {
	defer r.recovered(f, c, &err)
	if c.Fault != nil {
		return nil, WithType(TypeBadArguments, c.Fault)
	}
	if most := r.opt.MaxArgsBytes; most > 0 && len(c.KW) > most {
		return nil, WithType(TypeTooLarge, fmt.Errorf("the arguments have %d bytes, this server takes no more than %d", len(c.KW), most))
	}
	res, err = f.run(ctx, c.KW)
	if most := r.opt.MaxResultBytes; most > 0 && len(res) > most {
		return nil, WithType(TypeTooLarge, fmt.Errorf("the result has %d bytes, this server sends no more than %d", len(res), most))
	}
	return res, err
}

// recovered is deferred to make an error of a panic.
func (r *shift) recovered(f *function, c wire.ReceivedCall, err *error) {
	if v := recover(); v != nil {
		p := &panicked{v, string(debug.Stack())}
		r.log.Error("rpc: handler panicked", "func", f.name, "id", c.ID, "panic", v, "traceback", p.traceback)
		*err = p
	}
}

// fail makes the answer that of a failure. An error whose methods panic is a
// panic, too.
func (r *shift) fail(f *function, c wire.ReceivedCall, a *wire.Result, err error) {
	var broken error
	func() {
		defer r.recovered(f, c, &broken)
		a.Error, a.ErrorType = failureText(err), TypeOf(err)
	}()
	if broken != nil {
		err = broken
		a.Error, a.ErrorType = err.Error(), TypePanic
	}
	f.failed.Add(1)
	if a.ErrorType == TypePanic {
		f.panicked.Add(1)
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		a.Traceback = p.traceback
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
