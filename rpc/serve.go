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
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A shift is one run of a server. One goroutine takes calls from Redis, as many
// as there are free workers; workers run and answer them; one keeps the
// heartbeat; one wakes the taker when it is time to stop.
type shift struct {
	*Server
	redis  *link
	log    *slog.Logger
	byKey  map[string]function // by the key of the queue
	queues []string            // sorted by the name of the function
	wake   string
	alive  string
	calls  chan popped // never full: no more are popped than workers are free
	free   seats
	single bool // this Redis has no BLMPOP, or forbids it
}

type function struct {
	name string
	run  handler
}

// A popped is a message as it came off a queue.
type popped struct {
	function
	message []byte
}

// retries are the shortest and the longest pause after a failure of Redis.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

func newShift(s *Server) *shift {
	r := &shift{
		Server: s,
		redis:  newLink(s.rdb, s.opt.Workers+3), // and the taker, the heartbeat, the waker
		log:    s.opt.Logger.With("server", s.opt.ID),
		byKey:  map[string]function{},
		wake:   wakeKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		alive:  aliveKey(s.opt.Prefix, s.opt.Kind, s.opt.ID),
		calls:  make(chan popped, s.opt.Workers),
		free:   seats{free: s.opt.Workers, freed: make(chan struct{}, 1)},
	}
	for name, h := range s.handlers {
		r.byKey[callsKey(s.opt.Prefix, name)] = function{name, h}
	}
	names := slices.Sorted(maps.Keys(s.handlers))
	for _, name := range names {
		r.queues = append(r.queues, callsKey(s.opt.Prefix, name))
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
		}
		close(stop)
		r.wakeTaker()
	})
	helpers.Go(func() { r.beat(finished) })
	for range r.opt.Workers {
		workers.Go(func() { r.work(ctx, &workers) })
	}

	r.take(stop)
	close(r.calls)
	workers.Wait()
	close(finished)
	helpers.Wait()
	if err := r.redis.Del(context.Background(), r.alive, r.wake).Err(); err != nil {
		r.log.Warn("rpc: heartbeat not withdrawn, it will expire", "error", err)
	}
	if err := r.redis.close(); err != nil {
		r.log.Warn("rpc: connections not closed cleanly", "error", err)
	}
}

// take moves calls from Redis to the workers until stop is closed. It takes
// nothing after that, and loses nothing: what a command in progress still pops
// is handed on too.
func (r *shift) take(stop <-chan struct{}) {
	retry := firstRetry
	for turn := 0; ; turn++ {
		n := r.free.takeAll(stop)
		if n == 0 {
			return
		}
		calls, err := r.pop(turn, n)
		for _, c := range calls {
			r.calls <- c
		}
		r.free.give(n - len(calls))
		if err == nil {
			retry = firstRetry
			continue
		}
		pause := retry/2 + rand.N(retry/2)
		retry = min(2*retry, lastRetry)
		r.log.Warn("rpc: Redis does not give calls", "error", err, "again_in", pause)
		sleep(pause, stop)
	}
}

// pop takes up to n calls from the first queue that has any, waiting up to
// maxSlice for one. The order of the queues starts one further at each turn.
func (r *shift) pop(turn, n int) ([]popped, error) {
	start := turn % len(r.queues)
	keys := make([]any, 0, 1+len(r.queues))
	keys = append(keys, r.wake)
	for i := range r.queues {
		keys = append(keys, r.queues[(start+i)%len(r.queues)])
	}
	key, elements, err := r.redis.popMany(keys, n, r.single)
	if !r.single && (redis.HasErrorPrefix(err, "unknown command") || redis.HasErrorPrefix(err, "NOPERM")) {
		r.single = true
		key, elements, err = r.redis.popMany(keys, n, r.single)
	}
	if errors.Is(err, redis.Nil) || key == r.wake {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, ok := r.byKey[key]
	if !ok {
		return nil, fmt.Errorf("expected one of the keys %q, got %q", keys, key)
	}
	calls := make([]popped, len(elements))
	for i, message := range elements {
		calls[i] = popped{f, []byte(message)}
	}
	return calls, nil
}

// wakeTaker ends the taker's wait. If it fails the wait ends after its slice.
func (r *shift) wakeTaker() {
	p := payload{message: []byte("stop")}
	if f := r.redis.push(r.wake, &p, 2*maxSlice); f != nil {
		r.log.Warn("rpc: stopping takes a little longer", "error", f)
	}
}

// beat keeps the heartbeat key alive until finished is closed.
func (r *shift) beat(finished <-chan struct{}) {
	tick := time.NewTicker(r.opt.Heartbeat)
	defer tick.Stop()
	for {
		if err := r.redis.Set(context.Background(), r.alive, "1", 2*r.opt.Heartbeat).Err(); err != nil {
			r.log.Warn("rpc: no heartbeat", "error", err)
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
	for c := range r.calls {
		r.answer(ctx, c)
	}
	returned = true
}

// answer runs a call and pushes its result.
func (r *shift) answer(ctx context.Context, c popped) {
	defer r.free.give(1)
	call, err := decodeCall(c.message)
	if err != nil {
		r.malformed.Add(1)
		r.log.Warn("rpc: malformed call dropped", "func", c.name, "reason", err, "message", logExcerpt(c.message))
		return
	}
	reply := payload{}
	defer func() {
		if reply.message == nil {
			r.log.Error("rpc: handler ended its goroutine", "func", c.name, "id", call.id)
			reply.message = appendFailure(nil, time.Now(), "the handler ended its goroutine", "")
		}
		if f := r.redis.push(resultKey(r.opt.Prefix, c.name, call.id), &reply, r.opt.Expiry); f != nil {
			r.log.Error("rpc: result lost", "func", c.name, "id", call.id, "error", f)
		}
	}()
	reply.message = r.run(ctx, c.function, call)
}

// run runs the handler of a call and returns the message that answers it. A
// panic becomes a failure, also one while the result or error is encoded.
func (r *shift) run(ctx context.Context, f function, c call) (message []byte) {
	defer func() {
		if v := recover(); v != nil {
			traceback := string(debug.Stack())
			r.log.Error("rpc: handler panicked", "func", f.name, "id", c.id, "panic", v, "traceback", traceback)
			message = appendFailure(nil, time.Now(), fmt.Sprintf("panic: %v", v), traceback)
		}
	}()
	err := c.fault
	var res []byte
	if err == nil {
		res, err = f.run(ctx, c.kw)
	}
	if err != nil {
		return appendFailure(nil, time.Now(), failureText(err), "")
	}
	return appendResult(make([]byte, 0, len(res)+64), time.Now(), res)
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
