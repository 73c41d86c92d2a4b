package rpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"redrpc/rpc"
)

// testConcurrency: a function with a limit never runs more often than that at a
// time, all its calls are run, and it does not hold up others.
func testConcurrency(t *testing.T, h *house) {
	var now, most atomic.Int64
	limited := func(s *rpc.Server) error {
		return rpc.Handle(s, "limited", func(_ context.Context, in struct{ N int }) (int, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			return in.N, nil
		}, rpc.Concurrency(2), rpc.Weight(3))
	}
	_, entered, goOn := blocked("")
	one := func(s *rpc.Server) error {
		return rpc.Handle(s, "one", func(ctx context.Context, in struct{ N int }) (int, error) {
			entered <- in.N
			<-goOn
			return in.N, nil
		}, rpc.Concurrency(1))
	}
	h.serve(rpc.ServerOptions{Workers: 8}, limited, one, echo)
	client, ctx := h.client(rpc.ClientOptions{Timeout: patience}), context.Background()
	var calls sync.WaitGroup
	call := func(fn, arg string, n int) {
		for i := range n {
			calls.Go(func() {
				if got, err := rpc.Call[int](ctx, client, fn, rpc.Args{arg: i}); err != nil || got != i {
					t.Errorf("%s: got %v, %v, want %v", fn, got, err, i)
				}
			})
		}
	}
	call("one", "n", 3)
	next(t, entered) // and two wait, whom the others do not wait for
	var others sync.WaitGroup
	others.Go(func() {
		for i := range 50 {
			if _, err := rpc.Call[int](ctx, client, "echo", rpc.Args{"x": i}); err != nil {
				t.Error(err)
			}
		}
	})
	call("limited", "n", 100)
	others.Wait()
	select {
	case n := <-entered:
		t.Errorf("call %d of one runs at the same time as another", n)
	default:
	}
	close(goOn)
	calls.Wait()
	if most.Load() > 2 {
		t.Errorf("%d calls ran at a time, want no more than 2", most.Load())
	}
}

func testMaxCalls(t *testing.T, h *house) {
	ctx := context.Background()
	queue := h.prefix + ":echo:calls"
	for i := range 5 {
		h.rdb.RPush(ctx, queue, fmt.Sprintf(`{"id":"%d","kw":{"x":1}}`, i))
	}
	w := h.hire(rpc.ServerOptions{MaxCalls: 3}, echo)
	w.run(ctx)
	w.wait(t)
	if left := h.rdb.LLen(ctx, queue).Val(); left != 2 || w.Stats().Calls != 3 {
		t.Errorf("%d calls ran and %d are left, want 3 and 2", w.Stats().Calls, left)
	}
	if n := h.rdb.LLen(ctx, h.prefix+":echo:result:2").Val(); n != 1 {
		t.Error("the last call that ran was not answered")
	}
	if keys := h.rdb.Keys(ctx, h.prefix+":server:*").Val(); len(keys) != 0 {
		t.Errorf("got keys %q, want no heartbeat", keys)
	}
	if err := w.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func testSizes(t *testing.T, h *house) {
	h.serve(rpc.ServerOptions{MaxArgsBytes: 20, MaxResultBytes: 12}, echo)
	client, ctx := h.client(rpc.ClientOptions{Timeout: patience}), context.Background()
	if got, err := rpc.Call[string](ctx, client, "echo", rpc.Args{"x": strings.Repeat("x", 10)}); err != nil || len(got) != 10 {
		t.Errorf("got %q, %v", got, err)
	}
	for n, text := range map[int]string{
		11:   "the result has 13 bytes, this server sends no more than 12",
		1000: "the arguments have 1008 bytes, this server takes no more than 20",
	} {
		if e := isRemote(t, client.Call(ctx, "echo", rpc.Args{"x": strings.Repeat("x", n)}, nil), text); e.Type != rpc.TypeTooLarge {
			t.Errorf("got type %q", e.Type)
		}
	}
	for _, opt := range []rpc.ServerOptions{{MaxCalls: -1}, {MaxArgsBytes: -1}, {MaxResultBytes: -1}, {Tolerance: -1}, {Intercept: []rpc.Interceptor{nil}}} {
		if _, err := rpc.NewServer(h.rdb, opt); err == nil {
			t.Errorf("%+v: got no error", opt)
		}
	}
}
