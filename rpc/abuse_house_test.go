package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// The files abuse_*_test.go are about what a Redis with limits, a bad network, clients
// of other versions and other programs do to clients and servers. A test in them ends
// within a bounded time also if what it looks for is broken: no call, no Stop and no
// Close is waited for without a limit. The limits are many times what is needed.

const (
	// patience is the limit for what has to happen, however busy the machine is.
	patience = time.Minute

	// prompt is the limit for a short call that nothing may hold up.
	prompt = patience
)

// A scenario is a subtest.
type scenario struct {
	name string
	run  func(*testing.T)
}

// atOnce runs subtests that wait most of the time, all at the same time.
func atOnce(t *testing.T, scenarios []scenario) {
	var all sync.WaitGroup
	for _, s := range scenarios {
		all.Go(func() { t.Run(s.name, s.run) })
	}
	all.Wait()
}

// onBoth runs a test on a redis-server and on a broker.
func onBoth(t *testing.T, test func(*testing.T, *house)) {
	for name, options := range map[string]func(*testing.T) *redis.Options{
		"redis-server": func(t *testing.T) *redis.Options { return &redis.Options{Addr: redistest.Start(t).Addr} },
		"broker":       func(t *testing.T) *redis.Options { return inMemory(newBroker(t)) },
	} {
		t.Run(name, func(t *testing.T) { test(t, newHouse(t, options(t))) })
	}
}

// inFakeTime runs a test with a broker in a synctest bubble.
func inFakeTime(t *testing.T, test func(*testing.T, *house, *broker.Broker)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		opt := inMemory(b)
		opt.MaxRetries = -1
		test(t, newHouse(t, opt), b)
	})
}

// withOptions is the same Redis and prefix, reached with other options.
func (h *house) withOptions(change func(*redis.Options)) *house {
	opt := *h.rdb.Options()
	opt.PushNotificationProcessor = nil
	change(&opt)
	other := *h
	other.rdb = redis.NewClient(&opt)
	h.Cleanup(func() { other.rdb.Close() })
	return &other
}

// named is the same Redis and prefix, with a name for the connections.
func (h *house) named(name string) *house {
	return h.withOptions(func(opt *redis.Options) { opt.ClientName = name })
}

// do runs a command, which has to succeed.
func (h *house) do(args ...any) {
	h.Helper()
	if err := h.rdb.Do(context.Background(), args...).Err(); err != nil {
		h.Fatalf("%v: %v", args, err)
	}
}

// connections are the ids of the connections that have a name.
func (h *house) connections(name string) (ids []string) {
	h.Helper()
	list, err := h.rdb.ClientList(context.Background()).Result()
	if err != nil {
		h.Fatal(err)
	}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		for _, f := range fields {
			if f == "name="+name {
				ids = append(ids, strings.TrimPrefix(fields[0], "id="))
			}
		}
	}
	return ids
}

// kill closes all connections that have a name, and returns how many there were.
func (h *house) kill(name string) (killed int) {
	h.Helper()
	for _, id := range h.connections(name) {
		if n, err := h.rdb.ClientKillByFilter(context.Background(), "id", id).Result(); err != nil {
			h.Fatal(err)
		} else {
			killed += int(n)
		}
	}
	return killed
}

// keys are those that match a pattern behind the prefix.
func (h *house) keys(pattern string) []string {
	h.Helper()
	keys, err := h.rdb.Keys(context.Background(), h.prefix+":"+pattern).Result()
	if err != nil {
		h.Fatal(err)
	}
	return keys
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("expected %s within %v", what, patience)
		}
	}
}

// newClient is client whose Close has a limit, and whose calls take as long as they need
// unless they say otherwise.
func (h *house) newClient(opt rpc.ClientOptions) *rpc.Client {
	h.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = patience
	}
	opt.Prefix = h.prefix
	opt.Logger = slog.New(slog.DiscardHandler)
	client, err := rpc.NewClient(h.redis(), opt)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { closeSoon(h.T, client) })
	return client
}

// closeSoon closes a client, which has a limit.
func closeSoon(t *testing.T, client *rpc.Client) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- client.Close() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-timer.C:
		t.Errorf("Close has not returned within %v", patience)
	}
}

// employ is serve with a limit for the server's end.
func (h *house) employ(opt rpc.ServerOptions, functions ...func(*rpc.Server) error) *hand {
	h.Helper()
	w := h.hire(opt, functions...)
	ctx, cancel := context.WithCancel(context.Background())
	w.run(ctx)
	h.Cleanup(func() {
		if h.Failed() { // whatever it was, it shall not take much longer
			cancel()
			w.endWithin(h.T, time.Second)
			return
		}
		w.end(h.T)
		cancel()
	})
	return w
}

// end stops a server, and waits until its Run has returned, both within a limit.
func (w *hand) end(t *testing.T) {
	t.Helper()
	w.endWithin(t, patience)
}

func (w *hand) endWithin(t *testing.T, limit time.Duration) {
	t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Errorf("Stop: %v after %v", err, time.Since(begun))
	}
	timer := time.NewTimer(max(time.Second, limit-time.Since(begun)))
	defer timer.Stop()
	select {
	case err := <-w.ran:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		w.ran <- nil // for whoever waits next
	case <-timer.C:
		t.Errorf("Run has not returned %v after Stop was called", time.Since(begun))
	}
}

// Functions that many tests offer: small returns its n, sized a text of n bytes, failing
// an error of n bytes, and length how long its x is.
var (
	small = offer("small", returnN)
	sized = offer("sized", func(_ context.Context, in struct{ N int }) (string, error) { return strings.Repeat("x", in.N), nil })

	length = offer("length", func(_ context.Context, in struct{ X string }) (int, error) { return len(in.X), nil })

	failing = offer("failing", func(_ context.Context, in struct{ N int }) (int, error) {
		return 0, fmt.Errorf("%s", strings.Repeat("x", in.N))
	})
)

func returnN(_ context.Context, in struct{ N int }) (int, error) { return in.N, nil }

// A steadyCaller calls a function with an n of its own all the time, one call after the
// other. Each call has to be answered promptly.
type steadyCaller struct {
	t        *testing.T
	fn       string
	answered atomic.Int64
	failed   atomic.Int64
	longest  time.Duration // of a call that was answered; read it after stop
	stopping chan struct{}
	stopped  chan struct{}
	once     sync.Once
}

func (h *house) callSteadily(client *rpc.Client, fn string) *steadyCaller {
	s := &steadyCaller{t: h.T, fn: fn, stopping: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(s.stopped)
		for n := 0; ; n++ {
			begun := time.Now()
			got, err := rpc.Call[int](context.Background(), client, fn, rpc.Args{"n": n}, rpc.Timeout(prompt))
			if err == nil && got == n {
				s.answered.Add(1)
				s.longest = max(s.longest, time.Since(begun))
			} else if s.failed.Add(1) <= 3 {
				s.t.Errorf("%s: call %d meanwhile: got %v, %v after %v", fn, n, got, err, time.Since(begun).Round(time.Millisecond))
			}
			select {
			case <-s.stopping:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	h.Cleanup(func() { s.stop() })
	return s
}

// await waits for so many more answers.
func (s *steadyCaller) await(more int64) {
	s.t.Helper()
	before := s.answered.Load()
	eventually(s.t, fmt.Sprintf("%d answers of %s", more, s.fn), func() bool { return s.answered.Load() >= before+more })
}

// stop ends the calls, and reports whether all were answered.
func (s *steadyCaller) stop() bool {
	s.once.Do(func() { close(s.stopping) })
	<-s.stopped
	return s.failed.Load() == 0
}

// A takenCall is a call that a test took from its queue, to play the server by hand.
type takenCall struct {
	ID      string
	ReplyTo string `json:"reply_to"`
	KW      struct{ N int }

	fn  string
	raw string
}

// takeCall takes a call from the queue of fn.
func (h *house) takeCall(fn string) takenCall {
	h.Helper()
	element, err := h.rdb.BLPop(context.Background(), patience, h.prefix+":"+fn+":calls").Result()
	if err != nil {
		h.Fatalf("expected a call of %s: %v", fn, err)
	}
	return decodeCall(h.T, fn, element[1])
}

func decodeCall(t *testing.T, fn, message string) takenCall {
	t.Helper()
	c := takenCall{fn: fn, raw: message}
	if err := json.Unmarshal([]byte(message), &c); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	return c
}

// takeCallWithList is takeCall for one that has to name a reply list.
func (h *house) takeCallWithList(fn string) takenCall {
	h.Helper()
	c := h.takeCall(fn)
	if c.ReplyTo == "" {
		h.Fatalf("the call names no reply list: %s", c.raw)
	}
	return c
}

// replyList is the list that a client names by an id.
func (h *house) replyList(id string) string { return h.prefix + ":client:" + id + ":results" }

// resultKey is the single-use list of a call.
func (h *house) resultKey(fn, id string) string { return h.prefix + ":" + fn + ":result:" + id }

// pushResults pushes messages to a list as a server does.
func (h *house) pushResults(list string, messages ...any) {
	h.Helper()
	if _, err := h.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		p.RPush(context.Background(), list, messages...)
		p.Expire(context.Background(), list, 120*time.Second)
		return nil
	}); err != nil {
		h.Fatal(err)
	}
}

// pushCalls pushes messages to the queue of fn, many at a time.
func (h *house) pushCalls(fn string, messages ...string) {
	h.Helper()
	const batch = 500
	for len(messages) > 0 {
		n := min(batch, len(messages))
		elements := make([]any, n)
		for i, m := range messages[:n] {
			elements[i] = m
		}
		h.pushResults(h.prefix+":"+fn+":calls", elements...)
		messages = messages[n:]
	}
}

// An outcome is how a call ended.
type outcome struct {
	n, got int
	err    error
	took   time.Duration
}

// start makes a call of fn with an n, which is to be its result, too.
func (h *house) start(ctx context.Context, client *rpc.Client, fn string, n int, opts ...rpc.CallOption) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		begun := time.Now()
		got, err := rpc.Call[int](ctx, client, fn, rpc.Args{"n": n}, opts...)
		ended <- outcome{n, got, err, time.Since(begun)}
	}()
	return ended
}

// isResult checks that a call ended with its result.
func (o outcome) isResult(t *testing.T) {
	t.Helper()
	if o.err != nil || o.got != o.n {
		t.Errorf("call %d: got %v, %v after %v", o.n, o.got, o.err, o.took.Round(time.Millisecond))
	}
}

// awaitNoKeys waits until Redis has no key under the prefix, once clients are closed
// and servers have ended.
func (h *house) awaitNoKeys() {
	h.Helper()
	var keys []string
	for start := time.Now(); time.Since(start) < patience; time.Sleep(2 * time.Millisecond) {
		if keys = h.keys("*"); len(keys) == 0 {
			return
		}
	}
	h.Errorf("expected nothing to be left in Redis, got %q", keys)
}
