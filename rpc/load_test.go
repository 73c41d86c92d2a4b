package rpc_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

var steadyCalls = flag.Int("rpc.calls", 30_000, "calls of TestSteadyMemory")

// testKilledConnections kills all connections again and again under load. Every
// call ends, once, and in what is true of it: one that was answered has run, one
// that was not sent has not, and none has run twice.
func testKilledConnections(t *testing.T, h *house) {
	const callers, each, kills = 32, 60, 25
	var ran [callers * each]atomic.Int32
	h.serve(rpc.ServerOptions{Workers: 8}, offer("count", func(_ context.Context, in struct{ N int }) (int, error) {
		ran[in.N].Add(1)
		return in.N, nil
	}))
	client := h.client(rpc.ClientOptions{Timeout: 500 * time.Millisecond}) // which calls that are lost have to wait for
	var answered, notSent, unknown atomic.Int32
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				n := c*each + i
				got, err := rpc.Call[int](context.Background(), client, "count", rpc.Args{"n": n})
				runs := ran[n].Load()
				switch {
				case err == nil && got == n && runs == 1:
					answered.Add(1)
				case errors.Is(err, rpc.ErrNotSent):
					notSent.Add(1)
					defer func() {
						if runs := ran[n].Load(); runs != 0 {
							t.Errorf("call %d was not sent, and ran %d times", n, runs)
						}
					}()
				case errors.Is(err, rpc.ErrNoResult) && errors.Is(err, context.DeadlineExceeded) && runs <= 1:
					unknown.Add(1)
				default:
					t.Errorf("call %d ran %d times, and ended with %d, %v", n, runs, got, err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for range kills {
		h.must("client", "kill", "type", "normal", "skipme", "yes")
		select {
		case <-time.After(time.Duration(5+rand.N(10)) * time.Millisecond):
		case <-ended:
		}
	}
	<-ended
	t.Logf("%d answered, %d not sent, %d unknown", answered.Load(), notSent.Load(), unknown.Load())
	for n := range ran {
		if got := ran[n].Load(); got > 1 {
			t.Errorf("call %d ran %d times", n, got)
		}
	}
	if x, err := rpc.Call[int](context.Background(), client, "count", rpc.Args{"n": 0}, rpc.Timeout(time.Minute)); err != nil || x != 0 {
		t.Errorf("afterwards: got %v, %v", x, err)
	}
}

// testStalledRedis: callers are told in time, and the client goes on afterwards.
func testStalledRedis(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{}, echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	call := func(timeout time.Duration) error {
		return client.Call(context.Background(), "echo", rpc.Args{"x": 1}, nil, rpc.Timeout(timeout))
	}
	if err := call(time.Minute); err != nil {
		t.Fatal(err)
	}
	for pause := time.Second; ; pause *= 2 {
		h.must("client", "pause", pause.Milliseconds(), "all")
		start := time.Now()
		outcomes := make(chan error)
		for range 20 {
			go func() { outcomes <- call(50 * time.Millisecond) }()
		}
		for range 20 {
			err, kind := next(t, outcomes), rpc.ErrNoResult
			if errors.Is(err, rpc.ErrNotSent) { // a connection was yet to be made
				kind = rpc.ErrNotSent
			}
			if err != nil || time.Since(start) < pause {
				is(t, err, kind, context.DeadlineExceeded)
			}
		}
		took := time.Since(start)
		if err := call(time.Minute); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if took < pause { // else the machine is too busy for a pause that short
			break
		}
		if pause > patience {
			t.Fatalf("calls with 50ms ended after %v, when Redis went on", took)
		}
	}
}

// TestGivenUpCallsLeaveNoGoroutine runs while no other test does.
func TestGivenUpCallsLeaveNoGoroutine(t *testing.T) {
	for _, f := range allFleets {
		h := newHouse(t, inMemory(newBroker(t))).with(f)
		client := h.client(rpc.ClientOptions{Timeout: time.Minute})
		const calls = 20
		ctx, cancel := context.WithCancel(context.Background())
		outcomes := make(chan error, calls)
		for n := range calls {
			go func() { outcomes <- client.Call(ctx, "f", rpc.Args{"n": n}, nil) }()
		}
		h.take(calls)
		before := runtime.NumGoroutine() - calls
		cancel()
		for range calls {
			is(t, next(t, outcomes), rpc.ErrNoResult, context.Canceled)
		}
		eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// TestManyCallsInFlight: thousands at a time take little each, and leave nothing. It runs
// while no other test does.
func TestManyCallsInFlight(t *testing.T) {
	h := newHouse(t, inMemory(newBroker(t)))
	const calls, most = 2000, 40 << 10 // bytes a call, of caller, client, broker, worker and function together
	var running atomic.Int32
	release := make(chan struct{})
	h.serve(rpc.ServerOptions{Workers: calls}, echo, offer("hold", func(_ context.Context, in struct{ N int }) (int, error) {
		running.Add(1)
		<-release
		return in.N, nil
	}))
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	if err := client.Call(context.Background(), "echo", rpc.Args{"x": 1}, nil); err != nil {
		t.Fatal(err)
	}
	inUse := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before, goroutines := inUse(), runtime.NumGoroutine()
	var all sync.WaitGroup
	for n := range calls {
		all.Go(func() {
			if got, err := rpc.Call[int](context.Background(), client, "hold", rpc.Args{"n": n}); err != nil || got != n {
				t.Errorf("got %v, %v, want %d", got, err, n)
			}
		})
	}
	eventually(t, "all calls to run at a time", func() bool { return running.Load() == calls })
	each := (inUse() - before) / calls
	t.Logf("%d bytes a call", each)
	if each > most {
		t.Errorf("a call in flight takes %d bytes, want %d at most", each, most)
	}
	close(release)
	all.Wait()
	eventually(t, "the goroutines of the calls to end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// testGivenUpCalls: the client is as good as before when their results come after all.
func testGivenUpCalls(t *testing.T, h *house) {
	client := h.client(rpc.ClientOptions{Timeout: time.Minute, MaxConns: 20})
	const calls = 20
	ctx, cancel := context.WithCancel(context.Background())
	call := func(ctx context.Context) <-chan error {
		outcomes := make(chan error, calls)
		for n := range calls {
			go func() { outcomes <- client.Call(ctx, "f", rpc.Args{"n": n}, nil) }()
		}
		return outcomes
	}
	outcomes := call(ctx)
	first := h.take(calls)
	cancel()
	for range calls {
		is(t, next(t, outcomes), rpc.ErrNoResult, context.Canceled)
	}
	h.answer(h.rdb, first)
	outcomes = call(context.Background())
	h.answer(h.rdb, h.take(calls))
	for range calls {
		if err := next(t, outcomes); err != nil {
			t.Error(err)
		}
	}
	for _, c := range first { // results on lists of their own expire
		eventually(t, "the result to expire", func() bool {
			return c.list == h.prefix+":f:result:"+c.id || h.rdb.Exists(context.Background(), c.list).Val() == 0
		})
	}
}

// TestSlowCallsHoldUpNobody: in fake time, in which only handlers take any.
func TestSlowCallsHoldUpNobody(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		const callers, each, slow = 64, 25, 100 * time.Millisecond
		h.serve(rpc.ServerOptions{}, offer("work", func(_ context.Context, in struct{ D time.Duration }) (int, error) {
			time.Sleep(in.D)
			return 0, nil
		}))
		client := h.client(rpc.ClientOptions{Timeout: time.Minute})
		if err := client.Call(context.Background(), "work", rpc.Args{"d": 0}, nil); err != nil { // finds out who answers
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				for i := range each {
					d := time.Duration(0)
					if (c*each+i)%100 == 0 {
						d = slow
					}
					start := time.Now()
					err := client.Call(context.Background(), "work", rpc.Args{"d": d}, nil)
					if took := time.Since(start); err != nil || took != d {
						t.Errorf("a call of %v took %v: %v", d, took, err)
					}
				}
			})
		}
		all.Wait()
	})
}

// TestCallsShareTransactions: where there are many there are many in each.
func TestCallsShareTransactions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	h.serve(rpc.ServerOptions{}, echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	const callers, each = 200, 20
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for n := range each {
				if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n}); err != nil || x != n {
					t.Errorf("got %v, %v, want %v", x, err, n)
				}
			}
		})
	}
	all.Wait()
	n := h.stat("commandstats", "cmdstat_multi", "calls=")
	if n == 0 || n > callers*each/2 {
		t.Errorf("%d calls and their answers took %d transactions, want few", callers*each, n)
	}
}

// stat is a number of INFO.
func (h *house) stat(section, line, before string) int {
	h.Helper()
	info := h.rdb.Info(context.Background(), section).Val()
	_, rest, _ := strings.Cut(info, line)
	_, rest, _ = strings.Cut(rest, before)
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(rest[:max(0, end)])
	if err != nil {
		h.Fatalf("no %s %s in %s: %v", line, before, info, err)
	}
	return n
}

// TestFewAllocations: a call costs about 20, in client and server together.
func TestFewAllocations(t *testing.T) {
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	h.serve(rpc.ServerOptions{}, echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	const callers, each = 64, 100
	run := func() {
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range each {
					if _, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": 1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	run()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	n := float64(after.Mallocs-before.Mallocs) / (callers * each)
	t.Logf("%.1f allocations, %.0f bytes", n, float64(after.TotalAlloc-before.TotalAlloc)/(callers*each))
	if n > 40 {
		t.Errorf("got %.1f allocations a call, want fewer than 40", n)
	}
}

// TestSteadyMemory: calls leave nothing, neither in the process nor in Redis. With
// -rpc.calls=1000000 it takes a minute.
func TestSteadyMemory(t *testing.T) {
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	w := h.serve(rpc.ServerOptions{}, echo, offer("slow", func(context.Context, struct{}) (int, error) {
		time.Sleep(3 * time.Millisecond)
		return 0, nil
	}))
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	run := func(calls int) {
		const callers = 100
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for n := range calls / callers {
					if n%100 == 99 { // given up, and answered late
						err := client.Call(context.Background(), "slow", nil, nil, rpc.Timeout(time.Millisecond))
						if err != nil && !errors.Is(err, context.DeadlineExceeded) {
							t.Error(err)
						}
						continue
					}
					if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n}); err != nil || x != n {
						t.Errorf("got %v, %v, want %v", x, err, n)
					}
				}
			})
		}
		all.Wait()
	}
	keys := func() []string {
		return slices.DeleteFunc(h.rdb.Keys(context.Background(), "*").Val(), func(key string) bool {
			return strings.HasSuffix(key, ":alive") || strings.HasSuffix(key, ":stats") // of the server
		})
	}
	state := func() (heap uint64, goroutines, redisBytes int) {
		for deadline := time.Now().Add(patience); len(keys()) > 0; {
			if time.Now().After(deadline) {
				t.Fatalf("keys are left: %q", keys())
			}
		}
		runtime.GC()
		runtime.GC() // for what the pools of the first had
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine(), h.stat("memory", "used_memory", ":")
	}
	run(*steadyCalls / 10)
	heap, goroutines, redisBytes := state()
	run(*steadyCalls)
	heap2, goroutines2, redisBytes2 := state()
	for deadline := time.Now().Add(patience); goroutines2 > goroutines && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		goroutines2 = runtime.NumGoroutine() // one that looks for results may not have ended yet
	}
	t.Logf("heap %d -> %d, goroutines %d -> %d, used_memory %d -> %d", heap, heap2, goroutines, goroutines2, redisBytes, redisBytes2)
	if heap2 > heap+1<<20 || goroutines2 > goroutines || redisBytes2 > redisBytes+1<<20 {
		t.Errorf("%d calls left something: heap %d -> %d, goroutines %d -> %d, used_memory %d -> %d", *steadyCalls,
			heap, heap2, goroutines, goroutines2, redisBytes, redisBytes2)
	}
	w.stop(t)
	if n := h.rdb.DBSize(context.Background()).Val(); n != 0 {
		t.Errorf("got %d keys after the server's end, want none", n)
	}
}
