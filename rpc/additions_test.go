package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/rpc"
)

// fields decodes the only message of a list.
func (h *house) fields(list string) map[string]any {
	h.Helper()
	messages := h.rdb.LRange(context.Background(), list, 0, -1).Val()
	if len(messages) != 1 {
		h.Fatalf("%s: got %q, want one message", list, messages)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(messages[0]), &fields); err != nil {
		h.Fatal(err)
	}
	return fields
}

// redisMillis is what Redis's clock shows.
func (h *house) redisMillis() float64 {
	h.Helper()
	now, err := h.rdb.Time(context.Background()).Result()
	if err != nil {
		h.Fatal(err)
	}
	return float64(now.UnixMilli())
}

// testAdditionsOnTheWire: what is known is said, and what is not is left out.
func testAdditionsOnTheWire(t *testing.T, h *house) {
	ctx := context.Background()
	client := h.client(rpc.ClientOptions{Name: "ż", Timeout: patience})
	for i := range 2 {
		list := fmt.Sprintf("%s:f%d:calls", h.prefix, i)
		before := h.redisMillis()
		timeout, err := unanswered(func(timeout time.Duration) error {
			return client.Call(ctx, fmt.Sprint("f", i), nil, nil, rpc.Timeout(timeout))
		})
		is(t, err, rpc.ErrNoResult)
		call, most := h.fields(list), float64(timeout.Milliseconds())
		if left, ok := call["timeout_ms"].(float64); call["client"] != "ż" || !ok || left < 1 || left > most {
			t.Errorf("got call %v, want the client's name and what is left of %v", call, timeout)
		}
		deadline, ok := call["deadline_ms"].(float64)
		if !ok || deadline < before || deadline > h.redisMillis()+most+10 {
			t.Errorf("got call %v, want a deadline up to %v after %v", call, timeout, before)
		}
	}

	var info rpc.CallInfo
	client = h.client(rpc.ClientOptions{Timeout: patience, Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			err := next(ctx)
			info = *call
			return err
		},
	}})
	h.serve(rpc.ServerOptions{ID: "s", Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			if call.Client != "" {
				t.Errorf("got client %q", call.Client)
			}
			err := next(ctx)
			if call.Ran <= 0 {
				t.Errorf("the handler ran for %v", call.Ran)
			}
			return err
		},
	}}, offer("echo", func(ctx context.Context, in struct{ X json.RawMessage }) (json.RawMessage, error) {
		<-time.After(2 * time.Millisecond)
		return in.X, nil
	}), offer("fail", func(context.Context, struct{}) (int, error) { return 0, rpc.WithType("t", errors.New("no")) }))
	for range 2 {
		if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if info.Server != "s" || info.Ran < 2*time.Millisecond || info.Queued < 0 || info.Queued > patience {
		t.Errorf("got %+v", info)
	}
	for id, want := range map[string][]string{
		"known":   {"queue_ms", "run_ms", "server", "res"},
		"unknown": {"run_ms", "server", "res"},
	} {
		now := h.redisMillis()
		call := fmt.Sprintf(`{"id":%q,"kw":{"x":1}}`, id)
		if id == "known" {
			call = fmt.Sprintf(`{"id":%q,"timeout_ms":60000,"deadline_ms":%.0f,"kw":{"x":1}}`, id, now+59_000)
		}
		key := h.prefix + ":echo:result:" + id
		h.rdb.RPush(ctx, h.prefix+":echo:calls", call)
		h.rdb.BLMove(ctx, key, key, "LEFT", "LEFT", 10*time.Second)
		result := h.fields(key)
		if len(result) != len(want)+1 {
			t.Errorf("got result %v, want %q", result, want)
		}
		for _, name := range want {
			if result[name] == nil {
				t.Errorf("got result %v, want %q", result, want)
			}
		}
		if ms, ok := result["queue_ms"].(float64); ok && (ms < 900 || ms > 20_000) {
			t.Errorf("got %v ms in the queue, want about 1000", ms)
		}
	}
}

// testExpiredCalls: a call is dropped if its caller has certainly given up, and
// only then.
func testExpiredCalls(t *testing.T, h *house) {
	ctx := context.Background()
	now := h.redisMillis()
	push := func(queue string) {
		for _, deadline := range []string{
			fmt.Sprintf("%.0f", now-20_000), fmt.Sprintf("%.0f", now+60_000), fmt.Sprintf("%.1f", now-20_000),
			`"1"`, "-1", "0", "null", "1e300", "[1]", strings.Repeat("9", 30),
		} {
			h.rdb.RPush(ctx, h.prefix+":"+queue+":calls", fmt.Sprintf(`{"id":"x","timeout_ms":1,"deadline_ms":%s,"kw":{"x":1}}`, deadline))
		}
		h.rdb.RPush(ctx, h.prefix+":"+queue+":calls", `{"id":"last","kw":{"x":1}}`)
	}
	push("echo")
	w := h.serve(rpc.ServerOptions{Workers: 1, Tolerance: 10 * time.Second}, echo)
	h.rdb.BLPop(ctx, patience, h.prefix+":echo:result:last")
	w.stop(t)
	// The first may be taken before Redis's clock is known, and then it is run.
	if s := w.Stats().Functions["echo"]; s.Expired < 1 || s.Expired > 2 || s.Calls+s.Expired != 11 || s.Errors != 0 || s.Malformed != 0 {
		t.Errorf("got %+v, want 2 dropped and 9 run, or 1 and 10", s)
	}
	if log := w.log.String(); !strings.Contains(log, "their callers have given up") {
		t.Errorf("got log %s", log)
	}

	push("two")
	w = h.serve(rpc.ServerOptions{Workers: 1, IgnoreDeadlines: true}, offer("two", func(ctx context.Context, in struct{ X int }) (int, error) {
		if _, ok := ctx.Deadline(); ok {
			t.Error("got a deadline")
		}
		return in.X, nil
	}))
	h.rdb.BLPop(ctx, patience, h.prefix+":two:result:last")
	w.stop(t)
	if s := w.Stats(); s.Expired != 0 || s.Calls != 11 {
		t.Errorf("got %+v, want all run", s)
	}
}

// testBudgetOfHandler: the handler's context ends when its caller gives up.
func testBudgetOfHandler(t *testing.T, h *house) {
	ended := make(chan error, 1)
	h.serve(rpc.ServerOptions{}, echo, offer("wait", func(ctx context.Context, _ struct{}) (int, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return 0, ctx.Err()
	}))
	client := h.client(rpc.ClientOptions{})
	for least := time.Duration(0); ; {
		timeout, err := unanswered(func(timeout time.Duration) error {
			return client.Call(context.Background(), "wait", nil, nil, rpc.Timeout(max(timeout, least)))
		})
		is(t, err, rpc.ErrNoResult)
		least = 2 * max(timeout, least)
		select {
		case err := <-ended:
			is(t, err, context.DeadlineExceeded)
			return
		case <-time.After(least): // the call came too late to run
			if least > patience {
				t.Fatal("no call ran")
			}
		}
	}
}

func testStats(t *testing.T, h *house) {
	add, entered, goOn := blocked("wait")
	w := h.serve(rpc.ServerOptions{}, add, echo,
		offer("fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no") }),
		offer("panic", func(context.Context, struct{}) (int, error) { panic("oh no") }))
	client, ctx := h.client(rpc.ClientOptions{Timeout: patience}), context.Background()
	for _, fn := range []string{"echo", "fail", "panic"} {
		_ = client.Call(ctx, fn, rpc.Args{}, nil)
	}
	waited := make(chan error, 1)
	go func() { waited <- client.Call(ctx, "wait", rpc.Args{"n": 1}, nil) }()
	next(t, entered)
	if s := w.Stats(); s.InFlight != 1 || s.Functions["wait"] != (rpc.FuncStats{Calls: 1, InFlight: 1}) {
		t.Errorf("got %+v, want one in flight", s)
	}
	close(goOn)
	if err := next(t, waited); err != nil {
		t.Error(err)
	}
	h.rdb.RPush(ctx, h.prefix+":wait:calls", "rubbish")
	w.stop(t)
	s := w.Stats()
	for fn, want := range map[string]rpc.FuncStats{
		"echo":  {Calls: 1, Errors: 1}, // no x
		"fail":  {Calls: 1, Errors: 1},
		"panic": {Calls: 1, Errors: 1, Panics: 1},
	} {
		if s.Functions[fn] != want {
			t.Errorf("%s: got %+v, want %+v", fn, s.Functions[fn], want)
		}
	}
	if s.Calls != 4 || s.InFlight != 0 || s.Errors != 3 || s.Panics != 1 || s.Expired != 0 {
		t.Errorf("got %+v", s)
	}
}

// TestFailureAtTheDeadline: a handler that fails because its caller's time is up does
// not tell the caller so, who says it better, whichever of the two is first.
func TestFailureAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		h := newHouse(t, inMemory(b))
		w := h.serve(rpc.ServerOptions{Workers: 2}, echo, offer("wait", func(ctx context.Context, _ struct{}) (int, error) {
			<-ctx.Done()
			return 0, fmt.Errorf("interrupted: %v", ctx.Err())
		}))
		client, ctx := h.client(rpc.ClientOptions{}), context.Background()
		for range 2 { // the clock is known from the second call on
			if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
				t.Fatal(err)
			}
		}
		const calls = 50
		for n := range calls {
			time.Sleep(time.Duration(n) * 37 * time.Microsecond) // the message tells milliseconds
			err := client.Call(ctx, "wait", nil, nil, rpc.Timeout(50*time.Millisecond))
			is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
		}
		time.Sleep(time.Second)
		if keys := h.rdb.Keys(ctx, "*:result:*").Val(); len(keys) != 0 {
			t.Errorf("results that nobody waits for: %q", keys)
		}
		// All workers are free again.
		if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
			t.Error(err)
		}
		if s := w.Stats().Functions["wait"]; s != (rpc.FuncStats{Calls: calls, Errors: calls}) {
			t.Errorf("got %+v", s)
		}
	})
}
