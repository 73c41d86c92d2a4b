package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

func TestOnRedisServer(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) *redis.Options { return &redis.Options{Addr: redistest.Start(t).Addr} })
}

// A fleet is which clients and servers there are: some may be old ones, which know no
// extensions of the protocol.
type fleet string

const (
	newFleet   fleet = "new"         // none is old
	oldClient  fleet = "old_client"  // of new servers
	oldServers fleet = "old_servers" // of a new client
	mixedFleet fleet = "mixed"       // a new client, and servers of which every other one is old
)

var (
	fleets    = []fleet{newFleet, oldClient, oldServers}
	allFleets = append(slices.Clip(fleets), mixedFleet)
)

// A tenet is a part of the suite.
type tenet struct {
	name string
	test func(*testing.T, *house)
}

// suite is what must hold on anything that speaks Redis's protocol, whether clients and
// servers are new or old. Each fleet has a Redis of its own, which start starts.
func suite(t *testing.T, start func(*testing.T) *redis.Options) {
	for _, f := range allFleets {
		hold(t, start, f, string(f), []tenet{
			{"values", testValues},
			{"call on the wire", testCallOnTheWire},
			{"results of others", testResultsOfOthers},
			{"timeouts", testTimeouts},
			{"cancel", testCancel},
			{"late result", testLateResult},
			{"misuse", testMisuse},
			{"queue of another type", testWrongType},
			{"each call once", testEachCallOnce},
			{"few connections", testFewConnections},
			{"close in mid-call", testCloseInMidCall},
			{"rolling restart", testRollingRestart},
			{"changed keys", testChangedKeys},
			{"killed connections", testKilledConnections},
			{"stalled Redis", testStalledRedis},
			{"given up calls", testGivenUpCalls},
		})
	}
	hold(t, start, newFleet, "of any fleet", []tenet{
		{"failures", testFailures},
		{"malformed calls", testMalformedCalls},
		{"result on the wire", testResultOnTheWire},
		{"free workers only", testFreeWorkersOnly},
		{"rotation", testRotation},
		{"discovery", testDiscovery},
		{"send", testSend},
		{"inspect servers", testInspectServers},
		{"inspect queues", testInspectQueues},
		{"reports", testReports},
		{"stop when idle", testStopWhenIdle},
		{"stop without patience", testStopWithoutPatience},
		{"stop before run", testStopBeforeRun},
		{"context of run", testContextOfRun},
		{"interceptors", testInterceptors},
		{"interceptors decide", testInterceptorsDecide},
		{"types of failures", testTypesOfFailures},
		{"additions on the wire", testAdditionsOnTheWire},
		{"expired calls", testExpiredCalls},
		{"budget of a handler", testBudgetOfHandler},
		{"stats", testStats},
		{"concurrency of a function", testConcurrency},
		{"maximum of calls", testMaxCalls},
		{"sizes", testSizes},
	})
}

// hold checks the tenets one after the other, on one Redis; other fleets have theirs
// meanwhile.
func hold(t *testing.T, start func(*testing.T) *redis.Options, f fleet, name string, tenets []tenet) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		opt := start(t)
		for _, c := range tenets {
			t.Run(c.name, func(t *testing.T) {
				h := newHouse(t, opt)
				h.prefix, h.fleet = strings.ReplaceAll(t.Name(), "/", ":"), f
				c.test(t, h)
			})
		}
	})
}

// A house is a Redis with a prefix of its own, in which a test lives.
type house struct {
	*testing.T
	rdb     *redis.Client
	cluster *redis.ClusterClient // in place of rdb, if it is one
	prefix  string
	fleet   fleet // of its clients and servers, unless they say otherwise
	hired   int   // servers
}

// redis is the client that clients and servers are made from.
func (h *house) redis() redis.UniversalClient {
	if h.cluster != nil {
		return h.cluster
	}
	return h.rdb
}

func (h *house) client(opt rpc.ClientOptions) *rpc.Client {
	h.Helper()
	opt.Prefix = h.prefix
	opt.NoExtensions = opt.NoExtensions || h.fleet == oldClient
	opt.Logger = slog.New(slog.DiscardHandler)
	client, err := rpc.NewClient(h.redis(), opt)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		if err := client.Close(); err != nil {
			h.Errorf("Close: %v", err)
		}
	})
	return client
}

// A hand is a server at work.
type hand struct {
	*rpc.Server
	log *logbook
	ran chan error // what Run returned
}

// serve runs a server until the end of the test.
func (h *house) serve(opt rpc.ServerOptions, functions ...func(*rpc.Server) error) *hand {
	h.Helper()
	w := h.hire(opt, functions...)
	w.run(context.Background())
	h.Cleanup(func() { w.stop(h.T) })
	return w
}

func (h *house) hire(opt rpc.ServerOptions, functions ...func(*rpc.Server) error) *hand {
	h.Helper()
	w := &hand{log: &logbook{}, ran: make(chan error, 1)}
	opt.Prefix = h.prefix
	opt.NoExtensions = opt.NoExtensions || h.fleet == oldServers || h.fleet == mixedFleet && h.hired%2 == 1
	h.hired++
	opt.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	if w.Server, err = rpc.NewServer(h.redis(), opt); err != nil {
		h.Fatal(err)
	}
	for _, add := range functions {
		if err := add(w.Server); err != nil {
			h.Fatal(err)
		}
	}
	return w
}

func (w *hand) run(ctx context.Context) {
	go func() { w.ran <- w.Run(ctx) }()
}

// stop stops the server and waits for its Run.
func (w *hand) stop(t *testing.T) {
	t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	w.wait(t)
}

func (w *hand) wait(t *testing.T) {
	t.Helper()
	if err := next(t, w.ran); err != nil {
		t.Errorf("Run: %v", err)
	}
	w.ran <- nil // for whoever waits next
}

// offer makes a server offer f.
func offer[In, Out any](fn string, f func(context.Context, In) (Out, error)) func(*rpc.Server) error {
	return func(s *rpc.Server) error { return rpc.Handle(s, fn, f) }
}

var echo = offer("echo", func(_ context.Context, in struct{ X json.RawMessage }) (json.RawMessage, error) { return in.X, nil })

// blocked offers a function that waits until the test lets it go on, or its
// context ends.
func blocked(fn string) (add func(*rpc.Server) error, entered chan int, goOn chan struct{}) {
	entered, goOn = make(chan int, 1000), make(chan struct{})
	return offer(fn, func(ctx context.Context, in struct{ N int }) (int, error) {
		entered <- in.N
		select {
		case <-goOn:
			return in.N, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}), entered, goOn
}

// next receives from ch, and fails the test if nothing comes.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("not reached")
	}
}

// unanswered makes a call that nobody answers, with the shortest timeout within which this
// machine sends it, and returns that and the call's error.
func unanswered(call func(timeout time.Duration) error) (time.Duration, error) {
	for timeout := 250 * time.Millisecond; ; timeout *= 2 {
		err := call(timeout)
		if !errors.Is(err, rpc.ErrNotSent) || timeout > patience {
			return timeout, err
		}
	}
}

type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// is checks that err is of exactly one kind, and of all others given.
func is(t *testing.T, err error, kind error, others ...error) {
	t.Helper()
	for _, k := range []error{rpc.ErrNotSent, rpc.ErrNoResult, rpc.ErrBadResult} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("got error %v; is it %q: %v", err, k, errors.Is(err, k))
		}
	}
	if remote := (*rpc.RemoteError)(nil); errors.As(err, &remote) {
		t.Errorf("got remote error %v, want %v", err, kind)
	}
	for _, o := range others {
		if !errors.Is(err, o) {
			t.Errorf("got error %v, want one that is also %q", err, o)
		}
	}
}

func isRemote(t *testing.T, err error, want string) *rpc.RemoteError {
	t.Helper()
	var remote *rpc.RemoteError
	if !errors.As(err, &remote) {
		t.Fatalf("got error %v, want a remote error", err)
	}
	if !strings.Contains(remote.Message, want) {
		t.Errorf("got remote error %q, want %q", remote.Message, want)
	}
	return remote
}

func testValues(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{}, echo,
		offer("add", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }),
		offer("nothing", func(context.Context, struct{}) (any, error) { return nil, nil }))
	client, ctx := h.client(rpc.ClientOptions{Timeout: time.Minute}), context.Background()

	if sum, err := rpc.Call[int](ctx, client, "add", rpc.Args{"a": 1, "b": 2}); err != nil || sum != 3 {
		t.Errorf("add: got %v, %v", sum, err)
	}
	if sum, err := rpc.Call[int](ctx, client, "add", struct{ A, B int }{3, 4}); err != nil || sum != 7 {
		t.Errorf("add of a struct: got %v, %v", sum, err)
	}
	out := "unchanged by null"
	if err := client.Call(ctx, "nothing", nil, &out); err != nil || out != "unchanged by null" {
		t.Errorf("nothing: got %q, %v", out, err)
	}
	if err := client.Call(ctx, "nothing", nil, nil); err != nil {
		t.Errorf("nothing, into nothing: %v", err)
	}
	for _, x := range []string{
		`null`, `true`, `0`, `-1.5e-7`, `""`, `[]`, `{}`, `"zażółć <>& \"q\" 🙂"`, `{"a":[1,{"b":null}]}`,
		`12345678901234567890123456789`, `[9007199254740993]`, `"` + strings.Repeat("x", 1<<20) + `"`,
	} {
		raw, err := rpc.Call[json.RawMessage](ctx, client, "echo", rpc.Args{"x": json.RawMessage(x)})
		var got, want bytes.Buffer
		if err == nil {
			err = errors.Join(json.Compact(&got, raw), json.Compact(&want, []byte(x)))
		}
		if err != nil || unescape(t, got.String()) != unescape(t, want.String()) {
			t.Errorf("echo of %.80s: got %.80s, %v", x, raw, err)
		}
	}
	if v, err := rpc.Call[any](ctx, client, "echo", rpc.Args{"x": uint64(math.MaxUint64)}); err != nil || v != json.Number("18446744073709551615") {
		t.Errorf("a large number as any: got %v, %v", v, err)
	}
}

// unescape undoes the escapes that encoders are free to write.
func unescape(t *testing.T, text string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%#v", v)
}

type silentError struct{}

func (silentError) Error() string { return "" }

type rudeError struct{ text *string }

func (e rudeError) Error() string { return *e.text }

func testFailures(t *testing.T, h *house) {
	w := h.serve(rpc.ServerOptions{Workers: 2},
		offer("fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no \"such\" thing: ż") }),
		offer("silent", func(context.Context, struct{}) (int, error) { return 0, silentError{} }),
		offer("rude", func(context.Context, struct{}) (int, error) { return 0, rudeError{} }),
		offer("panic", func(context.Context, struct{}) (int, error) { panic("oh no") }),
		offer("goexit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil }),
		offer("nan", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil }),
		offer("raw", func(context.Context, struct{}) (json.RawMessage, error) { return json.RawMessage("{"), nil }),
		offer("latin", func(context.Context, struct{}) (json.RawMessage, error) { return json.RawMessage("\"\xe9\""), nil }),
		offer("add", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }))
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	call := func(fn string, args any) error { return client.Call(context.Background(), fn, args, nil) }

	if e := isRemote(t, call("fail", nil), "no \"such\" thing: ż"); e.Func != "fail" || e.Traceback != "" {
		t.Errorf("got %+v, want no traceback", e)
	}
	isRemote(t, call("silent", nil), "silentError without a message")
	if e := isRemote(t, call("panic", nil), "panic: oh no"); !strings.Contains(e.Traceback, "testFailures") {
		t.Errorf("got traceback %q, want the stack of the panic", e.Traceback)
	}
	isRemote(t, call("rude", nil), "panic: runtime error: invalid memory address")
	for range 5 { // more than there are workers
		isRemote(t, call("goexit", nil), "ended its goroutine")
	}
	isRemote(t, call("nan", nil), "cannot be encoded")
	isRemote(t, call("raw", nil), "cannot be encoded")
	isRemote(t, call("latin", nil), "cannot be encoded: expected JSON in UTF-8")
	isRemote(t, call("add", rpc.Args{"a": 1}), `missing argument "b", expected a, b`)
	isRemote(t, call("add", rpc.Args{"a": 1, "b": 2, "c": 3}), `unknown argument "c"`)
	isRemote(t, call("add", rpc.Args{"a": 1, "b": "x"}), `argument "b": expected int, got string`)
	if log := w.log.String(); strings.Count(log, "handler panicked") != 2 || strings.Count(log, "ended its goroutine") != 5 {
		t.Errorf("got log %s, want 2 panics and 5 ended goroutines", log)
	}
}

func testMalformedCalls(t *testing.T, h *house) {
	w := h.serve(rpc.ServerOptions{}, echo)
	ctx := context.Background()
	queue := h.prefix + ":echo:calls"
	bad := []any{"not json", "[1]", `{"kw":{}}`, `{"id":42,"kw":{"x":1}}`, `{"ID":"x"}`, "\x00\xff", "", `{"id":"x","kw":{"x":nan}}` + strings.Repeat(" ", 1000)}
	if err := h.rdb.RPush(ctx, queue, bad...).Err(); err != nil {
		t.Fatal(err)
	}
	// Answered all the same, since they have an id.
	for call, want := range map[string]string{
		`{"id":"wrong","kw":[1]}`:       `"err":"expected the arguments in \"kw\" as a JSON object, got an array"`,
		`{"id":"wrong","kw":{"x":NaN}}`: `"err":"argument \"x\": expected JSON, got NaN, which is not JSON"`,
	} {
		if err := h.rdb.RPush(ctx, queue, call).Err(); err != nil {
			t.Fatal(err)
		}
		answer, err := h.rdb.BLPop(ctx, time.Minute, h.prefix+":echo:result:wrong").Result()
		if err != nil || !strings.Contains(answer[1], want) {
			t.Errorf("%s: got answer %q, %v, want %s", call, answer, err, want)
		}
	}
	if x, err := rpc.Call[int](ctx, h.client(rpc.ClientOptions{Timeout: time.Minute}), "echo", rpc.Args{"x": 7}); err != nil || x != 7 {
		t.Errorf("after malformed calls: got %v, %v", x, err)
	}
	w.stop(t)
	if got := w.Stats().Malformed; got != uint64(len(bad)) {
		t.Errorf("got %d malformed calls, want %d", got, len(bad))
	}
	for message, want := range map[string]string{
		"\x00\xff":      `message="\x00\xff"`,
		`{"kw":{}}`:     `message="{\"kw\":{}}"`,
		bad[7].(string): "(1025 bytes)",
	} {
		w := h.serve(rpc.ServerOptions{}, echo)
		if err := h.rdb.RPush(ctx, queue, message, `{"id":"last","kw":{"x":1}}`).Err(); err != nil {
			t.Fatal(err)
		}
		if err := h.rdb.BLPop(ctx, time.Minute, h.prefix+":echo:result:last").Err(); err != nil {
			t.Fatal(err)
		}
		w.stop(t)
		if log := w.log.String(); !strings.Contains(log, want) {
			t.Errorf("got log %s, want messages escaped once, and cut: %s", log, want)
		}
	}
}

func testCallOnTheWire(t *testing.T, h *house) {
	client, ctx := h.client(rpc.ClientOptions{NoExtensions: true, Name: "n"}), context.Background()
	_, err := unanswered(func(timeout time.Duration) error { return client.Call(ctx, "f", nil, nil, rpc.Timeout(timeout)) })
	is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
	queue := h.prefix + ":f:calls"
	if ttl := h.rdb.TTL(ctx, queue).Val(); ttl < patience || ttl > 120*time.Second {
		t.Errorf("got %v for the queue to live, want 120s", ttl)
	}
	messages := h.rdb.LRange(ctx, queue, 0, -1).Val()
	if len(messages) != 1 {
		t.Fatalf("got queue %q, want one call", messages)
	}
	var call map[string]any
	if err := json.Unmarshal([]byte(messages[0]), &call); err != nil {
		t.Fatal(err)
	}
	id, _ := call["id"].(string)
	ts, _ := call["ts"].(string)
	sent, err := time.Parse(time.RFC3339, ts)
	if len(id) != 36 || err != nil || time.Since(sent).Abs() > time.Minute || fmt.Sprint(call["kw"]) != "map[]" || len(call) != 3 {
		t.Errorf("got call %s, want an id, a time and no arguments", messages[0])
	}
}

func testResultOnTheWire(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{NoExtensions: true}, echo)
	ctx := context.Background()
	for id, kw := range map[string]string{"a": `{"x": {"b": 1}}`, `ż "é"`: `{"x":2}`} {
		text, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.rdb.RPush(ctx, h.prefix+":echo:calls", fmt.Sprintf(`{"id":%s,"ts":"yesterday","kw":%s}`, text, kw)).Err(); err != nil {
			t.Fatal(err)
		}
		key := h.prefix + ":echo:result:" + id
		element := h.rdb.BLMove(ctx, key, key+":seen", "LEFT", "LEFT", 10*time.Second).Val()
		var result map[string]json.RawMessage
		if err := json.Unmarshal([]byte(element), &result); err != nil {
			t.Fatalf("result %q: %v", element, err)
		}
		if len(result) != 2 || result["ts"] == nil || result["res"] == nil {
			t.Errorf("got result %s, want a time and a value", element)
		}
	}
	if err := h.rdb.RPush(ctx, h.prefix+":echo:calls", `{"id":"ttl","kw":{"x":1}}`).Err(); err != nil {
		t.Fatal(err)
	}
	key := h.prefix + ":echo:result:ttl"
	eventually(t, "the result to be there", func() bool { return h.rdb.Exists(ctx, key).Val() == 1 })
	if ttl := h.rdb.TTL(ctx, key).Val(); ttl < patience || ttl > 120*time.Second {
		t.Errorf("got %v for the result to live, want 120s", ttl)
	}
}

// answerOnce plays a server that answers one call of fn with message.
func (h *house) answerOnce(fn, message string) (answered chan struct{}) {
	answered = make(chan struct{})
	go func() {
		defer close(answered)
		ctx := context.Background()
		element, err := h.rdb.BLPop(ctx, time.Minute, h.prefix+":"+fn+":calls").Result()
		if err != nil {
			h.Error(err)
			return
		}
		var call struct{ ID string }
		if err := json.Unmarshal([]byte(element[1]), &call); err != nil {
			h.Error(err)
		}
		if err := h.rdb.RPush(ctx, h.prefix+":"+fn+":result:"+call.ID, message).Err(); err != nil {
			h.Error(err)
		}
	}()
	return answered
}

func testResultsOfOthers(t *testing.T, h *house) {
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for _, c := range []struct {
		message string
		want    int
		failure string // of the remote
		bad     string // part of the error if it cannot be read
	}{
		{message: `{"ts": "2026-11-22T10:51:17.443249", "res": 3, "verbose": false}`, want: 3},
		{message: `{}`, want: 0},
		{message: `{"res":1,"err":null}`, want: 1},
		{message: `{"err":""}`, failure: "failed, without a message"},
		{message: `{"err":"bad"}`, failure: "bad"},
		{message: `not json`, bad: `expected JSON: invalid character 'o' in literal null (expecting 'u'): "not json"`},
		{message: `{"res":NaN}`, bad: `expected JSON`},
		{message: `[]`, bad: `expected a JSON object, got an array`},
		{message: `{"res":"text"}`, bad: `expected int, got string`},
		{message: `{"res":1.5}`, bad: `expected int, got number 1.5`},
	} {
		answered := h.answerOnce("f", c.message)
		got, err := rpc.Call[int](context.Background(), client, "f", nil)
		<-answered
		switch {
		case c.bad != "":
			is(t, err, rpc.ErrBadResult)
			if !strings.Contains(fmt.Sprint(err), c.bad) {
				t.Errorf("%s: got error %v, want %q", c.message, err, c.bad)
			}
		case c.failure != "":
			isRemote(t, err, "")
			if !strings.HasSuffix(err.Error(), "rpc: f: "+c.failure) {
				t.Errorf("%s: got error %v, want %q", c.message, err, c.failure)
			}
		case err != nil || got != c.want:
			t.Errorf("%s: got %v, %v, want %v", c.message, got, err, c.want)
		}
	}
}

// testTimeouts: that timeouts are exact, and that calls end and servers stop at once, is
// tested in fake time.
func testTimeouts(t *testing.T, h *house) {
	client := h.client(rpc.ClientOptions{Timeout: 350 * time.Millisecond})
	within := func(name string, least time.Duration, call func() error) {
		start := time.Now()
		err, kind := call(), rpc.ErrNoResult
		if errors.Is(err, rpc.ErrNotSent) { // on a busy machine
			kind = rpc.ErrNotSent
		}
		is(t, err, kind, context.DeadlineExceeded)
		if took := time.Since(start); took < least {
			t.Errorf("%s: ended after %v, want %v", name, took, least)
		}
	}
	ctx := context.Background()
	var long sync.WaitGroup
	defer long.Wait()
	long.Go(func() {
		within("more than a slice", 1100*time.Millisecond, func() error { return client.Call(ctx, "f", nil, nil, rpc.Timeout(1100*time.Millisecond)) })
	})
	within("the client's", 350*time.Millisecond, func() error { return client.Call(ctx, "f", nil, nil) })
	within("the call's", 250*time.Millisecond, func() error { return client.Call(ctx, "f", nil, nil, rpc.Timeout(250*time.Millisecond)) })
	within("the context's", 200*time.Millisecond, func() error {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		return client.Call(ctx, "f", nil, nil)
	})
}

func testCancel(t *testing.T, h *house) {
	add, entered, goOn := blocked("f")
	h.serve(rpc.ServerOptions{}, add)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() { failed <- client.Call(ctx, "f", rpc.Args{"n": 1}, nil) }()
	next(t, entered)
	cancel()
	is(t, next(t, failed), rpc.ErrNoResult, context.Canceled)

	is(t, client.Call(ctx, "g", nil, nil), rpc.ErrNotSent, context.Canceled)
	if n := h.rdb.Exists(context.Background(), h.prefix+":g:calls").Val(); n != 0 {
		t.Error("a call that was not sent is in the queue")
	}
	close(goOn)
}

func testLateResult(t *testing.T, h *house) {
	add, entered, goOn := blocked("f")
	h.serve(rpc.ServerOptions{}, add)
	client, ctx := h.client(rpc.ClientOptions{Timeout: time.Minute, MaxConns: 1}), context.Background()
	givenUp, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- client.Call(givenUp, "f", rpc.Args{"n": 1}, nil) }()
	next(t, entered)
	cancel()
	is(t, next(t, failed), rpc.ErrNoResult, context.Canceled)
	close(goOn)
	for n := 2; n < 10; n++ {
		if got, err := rpc.Call[int](ctx, client, "f", rpc.Args{"n": n}); err != nil || got != n {
			t.Errorf("call %d after a late result: got %v, %v", n, got, err)
		}
	}
}

func testMisuse(t *testing.T, h *house) {
	client, ctx := h.client(rpc.ClientOptions{Timeout: time.Minute}), context.Background()
	for name, err := range map[string]error{
		"expected the name of a function":       client.Call(ctx, "", nil, nil),
		"Timeout: expected more than 0, got 0s": client.Call(ctx, "f", nil, nil, rpc.Timeout(0)),
		"expected a non-nil pointer":            client.Call(ctx, "f", nil, 7),
		"got []int":                             client.Call(ctx, "f", []int{1}, nil),
	} {
		is(t, err, rpc.ErrNotSent)
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("got error %v, want %q", err, name)
		}
	}
	if n := h.rdb.Exists(ctx, h.prefix+":f:calls").Val(); n != 0 {
		t.Error("a call that was not sent is in the queue")
	}
}

func testWrongType(t *testing.T, h *house) {
	client, ctx := h.client(rpc.ClientOptions{Timeout: time.Minute}), context.Background()
	if err := h.rdb.Set(ctx, h.prefix+":f:calls", "a string", 0).Err(); err != nil {
		t.Fatal(err)
	}
	err := client.Call(ctx, "f", nil, nil)
	is(t, err, rpc.ErrNotSent)
	if !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("got error %v, want WRONGTYPE", err)
	}
}

func testEachCallOnce(t *testing.T, h *house) {
	const callers, each = 50, 40
	var runs [callers * each]atomic.Int32
	count := offer("count", func(_ context.Context, in struct{ N int }) (int, error) {
		runs[in.N].Add(1)
		return in.N, nil
	})
	h.serve(rpc.ServerOptions{Workers: 3}, count)
	h.serve(rpc.ServerOptions{Workers: 20}, count)
	client := h.client(rpc.ClientOptions{Timeout: patience})
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				n := c*each + i
				if got, err := rpc.Call[int](context.Background(), client, "count", rpc.Args{"n": n}); err != nil || got != n {
					t.Errorf("call %d: got %v, %v", n, got, err)
				}
			}
		})
	}
	all.Wait()
	for n := range runs {
		if got := runs[n].Load(); got != 1 {
			t.Errorf("call %d ran %d times", n, got)
		}
	}
}

// testFewConnections: there are no more than four besides those on which calls wait, which
// are no more than allowed, and none in a new fleet. Where each call of an old client has
// to have one, further calls wait within their timeout, and are not sent if it runs out.
func testFewConnections(t *testing.T, h *house) {
	add, entered, goOn := blocked("f")
	h.serve(rpc.ServerOptions{Workers: 30}, add)
	ctx := context.Background()
	for _, most := range []int{1, 2, 100} {
		client := h.client(rpc.ClientOptions{Timeout: patience, MaxConns: most})
		var all sync.WaitGroup
		call := func(n int) {
			if got, err := rpc.Call[int](ctx, client, "f", rpc.Args{"n": n}); err != nil || got != n {
				t.Errorf("call %d: got %v, %v", n, got, err)
			}
		}
		atOnce, limit := 20, most+4
		switch h.fleet {
		case newFleet:
			limit = 4
		case oldClient:
			atOnce = min(most, 20)
		}
		for n := range atOnce {
			all.Go(func() { call(n) })
			next(t, entered)
		}
		if got := client.Conns(); got > limit {
			t.Errorf("got %d connections, want no more than %d", got, limit)
		}
		if h.fleet == oldClient && atOnce == most {
			err := client.Call(ctx, "f", rpc.Args{"n": 99}, nil, rpc.Timeout(20*time.Millisecond))
			is(t, err, rpc.ErrNotSent, context.DeadlineExceeded)
		}
		for n := range 20 {
			all.Go(func() { call(n) })
		}
		for range atOnce + 20 {
			goOn <- struct{}{}
		}
		all.Wait()
		for len(entered) > 0 {
			if n := <-entered; n == 99 {
				t.Error("a call that was not sent ran")
			}
		}
	}
}

func testCloseInMidCall(t *testing.T, h *house) {
	add, entered, goOn := blocked("f")
	h.serve(rpc.ServerOptions{}, add)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	failed := make(chan error)
	go func() { failed <- client.Call(context.Background(), "f", rpc.Args{"n": 1}, nil) }()
	next(t, entered)
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	is(t, next(t, failed), rpc.ErrNoResult, redis.ErrClosed)
	is(t, client.Call(context.Background(), "f", nil, nil), rpc.ErrNotSent, redis.ErrClosed)
	close(goOn)
}

func testFreeWorkersOnly(t *testing.T, h *house) {
	add, entered, goOn := blocked("f")
	ctx, queue := context.Background(), h.prefix+":f:calls"
	for n := range 10 {
		if err := h.rdb.RPush(ctx, queue, fmt.Sprintf(`{"id":"%d","kw":{"n":%d}}`, n, n)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	h.serve(rpc.ServerOptions{Workers: 3}, add)
	for range 3 {
		next(t, entered)
	}
	if n := h.rdb.LLen(ctx, queue).Val(); n != 7 || len(entered) != 0 {
		t.Errorf("with 3 workers at work got %d calls waiting and %d more at work, want 7 and 0", n, len(entered))
	}
	close(goOn)
	for n := range 10 {
		if _, err := h.rdb.BLPop(ctx, time.Minute, fmt.Sprintf("%s:f:result:%d", h.prefix, n)).Result(); err != nil {
			t.Errorf("call %d: %v", n, err)
		}
	}
}

// testRotation has one worker and a flood of one function: calls of others get
// their turn.
func testRotation(t *testing.T, h *house) {
	ctx := context.Background()
	var mu sync.Mutex
	var order []string
	var functions []func(*rpc.Server) error
	for _, fn := range []string{"b", "a", "c"} { // not in their order
		functions = append(functions, offer(fn, func(_ context.Context, in struct{ N int }) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, fn)
			return 0, nil
		}))
		for n := range map[string]int{"a": 20, "b": 2, "c": 2}[fn] {
			if err := h.rdb.RPush(ctx, h.prefix+":"+fn+":calls", fmt.Sprintf(`{"id":"%s%d","kw":{"n":1}}`, fn, n)).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.serve(rpc.ServerOptions{Workers: 1}, functions...)
	if _, err := h.rdb.BLPop(ctx, time.Minute, h.prefix+":a:result:a19").Result(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(order[:8], ""), "abcabcaa"; got != want {
		t.Errorf("got order %s, want %s", got, want)
	}
}

func testDiscovery(t *testing.T, h *house) {
	ctx := context.Background()
	h.prefix += `:*?[a-z]\`
	servers := func(kind string) []string {
		ids, err := rpc.Servers(ctx, h.rdb, h.prefix, kind)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for _, key := range []string{"x:kind:1:alive", "kind:1:2:alive", "kind:1:wake", "kind:alive"} {
		if err := h.rdb.Set(ctx, h.prefix+":"+key, "1", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got := servers("kind"); len(got) != 0 {
		t.Errorf("got servers %q before any started", got)
	}
	one := h.serve(rpc.ServerOptions{Kind: "kind", ID: "b"}, echo)
	h.serve(rpc.ServerOptions{Kind: "kind", ID: "a"}, echo)
	h.serve(rpc.ServerOptions{Kind: "k*nd", ID: "c"}, echo)
	other := h.serve(rpc.ServerOptions{}, echo)
	eventually(t, "all servers to be seen", func() bool {
		return len(servers("kind")) == 2 && len(servers("k*nd")) == 1 && len(servers("")) == 1
	})
	if got := servers("kind"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got servers %q, want a and b", got)
	}
	if got := servers("k*nd"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("got servers %q, want c", got)
	}
	if got := servers(""); !slices.Equal(got, []string{other.ID()}) {
		t.Errorf("got servers %q, want %q", got, other.ID())
	}
	beat := h.prefix + ":kind:b:alive"
	if value, ttl := h.rdb.Get(ctx, beat).Val(), h.rdb.TTL(ctx, beat).Val(); value != "1" || ttl > 4*time.Second || ttl < time.Second {
		t.Errorf("got heartbeat %q for %v, want 1 for 4s", value, ttl)
	}
	one.stop(t)
	if got := servers("kind"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after a stop got servers %q, want a", got)
	}
	if n := h.rdb.Exists(ctx, h.prefix+":kind:b:wake").Val(); n != 0 {
		t.Error("the wake list is still there")
	}
	if _, err := rpc.Servers(ctx, h.rdb, h.prefix, "a:b"); err == nil || !strings.Contains(err.Error(), "kind") {
		t.Errorf("got error %v, want one about the kind", err)
	}
}

func testStopWhenIdle(t *testing.T, h *house) {
	w := h.serve(rpc.ServerOptions{ID: "w"}, echo)
	ctx := context.Background()
	eventually(t, "the server to wait for calls", func() bool {
		return strings.Contains(h.rdb.Do(ctx, "client", "list").String(), "cmd=blmpop")
	})
	w.stop(t)
	w.stop(t) // again
	if log := w.log.String(); log != "" {
		t.Errorf("got log %s, want nothing to complain about", log)
	}
}

func testStopWithoutPatience(t *testing.T, h *house) {
	add, entered, _ := blocked("f")
	w := h.serve(rpc.ServerOptions{}, add)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	failed := make(chan error)
	go func() { failed <- client.Call(context.Background(), "f", rpc.Args{"n": 1}, nil) }()
	next(t, entered)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := w.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: got error %v, want the context's", err)
	}
	isRemote(t, next(t, failed), "context canceled")
	w.wait(t)
	if err := w.Stop(ctx); err != nil {
		t.Errorf("Stop of a server that has stopped: %v", err)
	}
}

func testStopBeforeRun(t *testing.T, h *house) {
	w := h.hire(rpc.ServerOptions{}, echo)
	if err := w.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := w.Run(context.Background()); err == nil {
		t.Error("Run after Stop: got no error")
	}
	if err := h.hire(rpc.ServerOptions{}).Run(context.Background()); err == nil || !strings.Contains(err.Error(), "Handle") {
		t.Errorf("Run without functions: got error %v", err)
	}
}

func testContextOfRun(t *testing.T, h *house) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "value"))
	entered := make(chan any, 1)
	w := h.hire(rpc.ServerOptions{}, offer("f", func(ctx context.Context, _ struct{}) (int, error) {
		entered <- ctx.Value(key{})
		<-ctx.Done()
		return 0, ctx.Err()
	}))
	w.run(ctx)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	failed := make(chan error)
	go func() { failed <- client.Call(context.Background(), "f", nil, nil) }()
	if got := next(t, entered); got != "value" {
		t.Errorf("the handler's context has %v, want the value of Run's", got)
	}
	if err := rpc.Handle(w.Server, "late", func(context.Context, struct{}) (int, error) { return 0, nil }); err == nil {
		t.Error("Handle after Run: got no error")
	}
	cancel()
	isRemote(t, next(t, failed), "context canceled")
	w.wait(t)
	if err := w.Run(ctx); err == nil {
		t.Error("second Run: got no error")
	}
}

// testRollingRestart replaces servers under load: every call is answered, once.
func testRollingRestart(t *testing.T, h *house) {
	const callers, restarts = 16, 12
	var ran atomic.Int64
	work := offer("work", func(_ context.Context, in struct{ N int }) (int, error) {
		ran.Add(1)
		return in.N, nil
	})
	client := h.client(rpc.ClientOptions{Timeout: patience})
	end := make(chan struct{})
	var called atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				called.Add(1)
				if got, err := rpc.Call[int](context.Background(), client, "work", rpc.Args{"n": n}); err != nil || got != n {
					t.Errorf("call: got %v, %v, want %v", got, err, n)
					return
				}
			}
		})
	}
	for range restarts {
		w := h.serve(rpc.ServerOptions{Workers: 8}, work)
		before := ran.Load()
		eventually(t, "calls to run", func() bool { return ran.Load() >= before+100 })
		w.stop(t)
	}
	h.serve(rpc.ServerOptions{}, work)
	close(end)
	all.Wait()
	if called.Load() != ran.Load() {
		t.Errorf("%d calls ran %d times", called.Load(), ran.Load())
	}
}
