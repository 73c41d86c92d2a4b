package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestCluster is what holds for a server with functions in several slots of a Cluster,
// besides what holds everywhere.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3)}
	for _, test := range []struct {
		name string
		test func(*testing.T, *house)
	}{
		{"few workers", testFewWorkers},
		{"peace with few workers", testPeace},
		{"free workers of all slots", testFreeWorkersOfSlots},
		{"all workers for one slot", testAllWorkersForOneSlot},
		{"weights of slots", testWeightsOfSlots},
		{"limits of slots", testLimitsOfSlots},
		{"maximum of calls in all slots", testMaxCallsOfSlots},
		{"stop", testStopInCluster},
		{"places of results", testPlacesOfResults},
		{"many slots", testManySlots},
		{"sent only", testSendInCluster},
		{"inspector", testInspectorInCluster},
		{"old server", testOldServerInCluster},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			test.test(t, &house{T: t, cluster: c.client(t), prefix: test.name})
		})
	}
}

// push puts calls n, which nobody waits for, into the queue of fn.
func push(h *house, fn string, from, to int) {
	h.Helper()
	for n := from; n < to; n++ {
		message := fmt.Sprintf(`{"id":"%d","kw":{"n":%d}}`, n, n)
		if err := h.redis().RPush(context.Background(), h.prefix+":"+fn+":calls", message).Err(); err != nil {
			h.Fatal(err)
		}
	}
}

// left is how many calls are in the queues.
func left(h *house, functions ...string) (n int64) {
	h.Helper()
	for _, fn := range functions {
		depth, err := h.redis().LLen(context.Background(), h.prefix+":"+fn+":calls").Result()
		if err != nil {
			h.Fatal(err)
		}
		n += depth
	}
	return n
}

// testFewWorkers: where there are fewer workers than slots these take turns.
func testFewWorkers(t *testing.T, h *house) {
	var all []func(*rpc.Server) error
	var mu sync.Mutex
	for _, fn := range spread {
		all = append(all, offer(fn, func(context.Context, struct{}) (string, error) {
			if !mu.TryLock() {
				t.Error("two calls ran at a time, with one worker")
			} else {
				defer mu.Unlock()
			}
			return fn, nil
		}))
	}
	h.serve(rpc.ServerOptions{Workers: 1}, all...)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	var callers sync.WaitGroup
	for _, fn := range spread {
		callers.Go(func() {
			for range 10 {
				if got, err := rpc.Call[string](context.Background(), client, fn, nil); err != nil || got != fn {
					t.Errorf("%s: got %q, %v", fn, got, err)
				}
			}
		})
	}
	callers.Wait()
}

// testPeace: where there are fewer workers than slots these ask each other for one only
// now and then while no call comes, which is some 120 commands a second. All the time
// would be 1,500 and more.
func testPeace(t *testing.T, h *house) {
	var all []func(*rpc.Server) error
	for _, fn := range spread {
		all = append(all, offer(fn, func(context.Context, struct{}) (any, error) { return nil, nil }))
	}
	h.serve(rpc.ServerOptions{Workers: 3}, all...)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for _, fn := range spread { // so that all are there
		if err := client.Call(context.Background(), fn, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	commands := func() (n int) {
		for _, s := range h.stats("total_commands_processed") {
			n += s
		}
		return n
	}
	before, start := commands(), time.Now()
	time.Sleep(time.Second)
	if n, seconds := commands()-before, time.Since(start).Seconds(); float64(n) > 500*seconds {
		t.Errorf("%d commands in %.1f s without a call", n, seconds)
	}
}

// stats are numbers of all masters.
func (h *house) stats(name string) (numbers []int) {
	h.Helper()
	var mu sync.Mutex
	if err := h.cluster.ForEachMaster(context.Background(), func(ctx context.Context, node *redis.Client) error {
		info, err := node.InfoMap(ctx, "stats").Result()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(info["Stats"][name])
		mu.Lock()
		defer mu.Unlock()
		numbers = append(numbers, n)
		return err
	}); err != nil {
		h.Fatal(err)
	}
	return numbers
}

// testFreeWorkersOfSlots: all slots together have no more calls taken than there are
// workers.
func testFreeWorkersOfSlots(t *testing.T, h *house) {
	add, entered, goOn := blocked("count")
	all := []func(*rpc.Server) error{add}
	for _, fn := range spread[1:] {
		all = append(all, offer(fn, func(ctx context.Context, in struct{ N int }) (int, error) {
			entered <- in.N
			<-goOn
			return in.N, nil
		}))
	}
	for _, fn := range spread {
		push(h, fn, 0, 5)
	}
	h.serve(rpc.ServerOptions{Workers: 8}, all...)
	for range 8 {
		next(t, entered)
	}
	if n := left(h, spread...); n != 5*6-8 || len(entered) != 0 {
		t.Errorf("with 8 workers at work got %d calls waiting and %d more at work, want 22 and 0", n, len(entered))
	}
	close(goOn)
	for range 5*6 - 8 {
		next(t, entered)
	}
}

// testAllWorkersForOneSlot: slots where nothing comes keep no worker from work.
func testAllWorkersForOneSlot(t *testing.T, h *house) {
	add, entered, goOn := blocked("count")
	all := []func(*rpc.Server) error{add}
	for _, fn := range spread[1:] {
		all = append(all, offer(fn, func(context.Context, struct{}) (string, error) { return fn, nil }))
	}
	h.serve(rpc.ServerOptions{Workers: len(spread)}, all...)
	client := h.client(rpc.ClientOptions{Timeout: patience})
	call := func(fn string) {
		if _, err := rpc.Call[string](context.Background(), client, fn, nil); err != nil {
			t.Errorf("%s: %v", fn, err)
		}
	}
	for _, fn := range spread[1:] { // so that all wait in Redis
		call(fn)
	}
	push(h, "count", 0, len(spread))
	for range spread {
		next(t, entered)
	}
	push(h, "b", 0, 1) // waits for a worker
	if n := left(h, "b"); n != 1 {
		t.Errorf("got %d calls waiting while no worker is free, want 1", n)
	}
	close(goOn)
	for _, fn := range spread[1:] {
		call(fn)
	}
}

// testWeightsOfSlots: a worker that is free goes to a function as often as its weight
// says.
func testWeightsOfSlots(t *testing.T, h *house) {
	const each = 100
	var mu sync.Mutex
	var order []string
	done := make(chan struct{}, 2*each)
	count := func(fn string, weight int) func(*rpc.Server) error {
		return func(s *rpc.Server) error {
			return rpc.Handle(s, fn, func(context.Context, struct{ N int }) (any, error) {
				time.Sleep(time.Millisecond) // so that one that finds nothing is soon back
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fn)
				done <- struct{}{}
				return nil, nil
			}, rpc.Weight(weight))
		}
	}
	push(h, "count", 0, each)
	push(h, "b", 0, each)
	h.serve(rpc.ServerOptions{Workers: 1}, count("count", 3), count("b", 1))
	for range 2 * each {
		next(t, done)
	}
	all := slices.Clone(order)
	// Before both have connected, and found each other wanting, one has some calls alone,
	// and so has one at the end, when the other has none left.
	const window = 24
	for ; len(order) >= window; order = order[1:] {
		first := 0
		for _, fn := range order[:window] {
			if fn == "count" {
				first++
			}
		}
		if 16 <= first && first <= 20 && slices.Contains(order[window:], "count") && slices.Contains(order[window:], "b") {
			return
		}
	}
	t.Errorf("of no %d calls in a row about three of four were of the function with weight 3 of 4, while both had calls: %q", window, all)
}

// testLimitsOfSlots: a function has no more calls running than it may, and keeps others
// from nothing.
func testLimitsOfSlots(t *testing.T, h *house) {
	entered, goOn := make(chan string, 100), make(chan struct{})
	limited := func(fn string, opts ...rpc.HandleOption) func(*rpc.Server) error {
		return func(s *rpc.Server) error {
			return rpc.Handle(s, fn, func(context.Context, struct{ N int }) (any, error) {
				entered <- fn
				<-goOn
				return nil, nil
			}, opts...)
		}
	}
	push(h, "count", 0, 10)
	h.serve(rpc.ServerOptions{Workers: 8}, limited("count", rpc.Concurrency(2)), limited("b"), limited("c", rpc.Concurrency(1)))
	for _, step := range []struct {
		fn            string
		running, left int
	}{{"count", 2, 8}, {"b", 6, 4}} {
		if step.fn != "count" {
			push(h, step.fn, 0, 10)
		}
		for range step.running {
			if fn := next(t, entered); fn != step.fn {
				t.Errorf("a call of %s runs, want one of %s", fn, step.fn)
			}
		}
		if n := left(h, step.fn); n != int64(step.left) || len(entered) > 0 {
			t.Errorf("%s: %d calls wait and %d more run, want %d and 0", step.fn, n, len(entered), step.left)
		}
	}
	close(goOn)
	for range 12 {
		next(t, entered)
	}
}

// testMaxCallsOfSlots: all slots together have so many calls taken, none is lost, and
// Run ends.
func testMaxCallsOfSlots(t *testing.T, h *house) {
	var all []func(*rpc.Server) error
	for _, fn := range spread {
		all = append(all, offer(fn, func(context.Context, struct{ N int }) (any, error) { return nil, nil }))
	}
	for _, fn := range spread[:3] {
		push(h, fn, 0, 5)
	}
	w := h.hire(rpc.ServerOptions{MaxCalls: 7, Workers: 20}, all...)
	w.run(context.Background())
	w.wait(t)
	if n := left(h, spread...); n != 15-7 || w.Stats().Calls != 7 {
		t.Errorf("%d calls ran and %d are left, want 7 and 8", w.Stats().Calls, n)
	}

	w = h.hire(rpc.ServerOptions{MaxCalls: 9, Workers: 20}, all...) // one more than there are
	w.run(context.Background())
	for start := time.Now(); left(h, spread...) > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > recovery {
			t.Fatalf("%d calls are left, want 0", left(h, spread...))
		}
	}
	push(h, spread[5], 0, 2)
	w.wait(t)
	if n := left(h, spread...); n != 1 || w.Stats().Calls != 9 {
		t.Errorf("%d calls ran and %d are left, want 9 and 1", w.Stats().Calls, n)
	}
}

// testStopInCluster: a server that is idle is woken in all its slots, and leaves nothing.
func testStopInCluster(t *testing.T, h *house) {
	var all []func(*rpc.Server) error
	for _, fn := range spread {
		all = append(all, offer(fn, func(context.Context, struct{ N int }) (any, error) { return nil, nil }))
	}
	w := h.serve(rpc.ServerOptions{ID: "w"}, all...)
	ctx := context.Background()
	for ids := []string{}; len(ids) != 1; {
		var err error
		if ids, err = rpc.Servers(ctx, h.cluster, h.prefix, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.stop(t)
	if ids, err := rpc.Servers(ctx, h.cluster, h.prefix, ""); len(ids) != 0 || err != nil {
		t.Errorf("got servers %q, %v after the stop", ids, err)
	}
	if log := w.log.String(); log != "" {
		t.Errorf("got log %s, want nothing to complain about", log)
	}
	if keys := keysOf(h); len(keys) != 0 {
		t.Errorf("got keys %q, want none", keys)
	}
}

// keysOf are all keys with the prefix of h.
func keysOf(h *house) (keys []string) {
	h.Helper()
	var mu sync.Mutex
	if err := h.cluster.ForEachMaster(context.Background(), func(ctx context.Context, node *redis.Client) error {
		found, err := node.Keys(ctx, h.prefix+":*").Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, found...)
		return err
	}); err != nil {
		h.Fatal(err)
	}
	return keys
}

// testPlacesOfResults: the results of our own calls come where the calls went, so a
// client needs one node for a function.
func testPlacesOfResults(t *testing.T, h *house) {
	ctx := context.Background()
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for _, fn := range append([]string{"a{b", "a}b", "{a}{b", "x{{y}}"}, spread...) {
		queue := h.prefix + ":" + fn + ":calls"
		id, err := client.Send(ctx, fn, nil)
		if err != nil {
			t.Fatalf("%s: %v", fn, err)
		}
		slot, err := h.cluster.ClusterKeySlot(ctx, queue).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := h.cluster.ClusterKeySlot(ctx, h.prefix+":"+fn+":result:"+id).Val(); got != slot {
			t.Errorf("%s: the result of %s comes in slot %d, want %d, that of the call", fn, id, got, slot)
		}
		if err := h.cluster.Del(ctx, queue).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// testManySlots: a client has connections for the slots that it used last, and its
// calls leave nothing.
func testManySlots(t *testing.T, h *house) {
	var all []func(*rpc.Server) error
	var functions []string
	for n := range 100 {
		functions = append(functions, fmt.Sprint("f", n))
		all = append(all, offer(functions[n], func(context.Context, struct{}) (int, error) { return n, nil }))
	}
	w := h.serve(rpc.ServerOptions{Workers: 200}, all...)
	client := h.client(rpc.ClientOptions{Timeout: patience})
	call := func(n int) {
		if got, err := rpc.Call[int](context.Background(), client, functions[n], nil); err != nil || got != n {
			t.Errorf("%s: got %v, %v", functions[n], got, err)
		}
	}
	var callers sync.WaitGroup
	for n := range functions {
		callers.Go(func() { call(n) })
	}
	callers.Wait()
	for n := range functions {
		call(n)
	}
	if n := client.Conns(); n > 64*3 {
		t.Errorf("the client has %d connections after calls in %d slots, want those of 64 slots", n, len(functions))
	}
	for _, n := range []int{0, 99, 0, 99} {
		call(n)
	}
	w.stop(t)
	// A wake-up may come after the end; it expires.
	if keys := slices.DeleteFunc(keysOf(h), func(key string) bool { return strings.HasSuffix(key, ":wake") }); len(keys) != 0 {
		t.Errorf("got keys %q, want none", keys)
	}
	eventually(t, "no key to be left", func() bool { return len(keysOf(h)) == 0 })
}

// testSendInCluster: what is only sent runs, too.
func testSendInCluster(t *testing.T, h *house) {
	add, entered, goOn := blocked("count")
	close(goOn)
	h.serve(rpc.ServerOptions{}, add)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	var got []int
	for n := range 20 {
		if _, err := client.Send(context.Background(), "count", rpc.Args{"n": n}); err != nil {
			t.Error(err)
		}
	}
	for range 20 {
		got = append(got, next(t, entered))
	}
	slices.Sort(got)
	for n := range got {
		if got[n] != n {
			t.Fatalf("got calls %v, want each once", got)
		}
	}
}

// testInspectorInCluster: queues and servers of all masters are seen.
func testInspectorInCluster(t *testing.T, h *house) {
	ctx := context.Background()
	inspector, err := rpc.NewInspector(h.cluster, h.prefix)
	if err != nil {
		t.Fatal(err)
	}
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for n, fn := range spread {
		push(h, fn, 0, n)
		if _, err := client.Send(ctx, fn, nil); err != nil {
			t.Fatal(err)
		}
	}
	queues, err := inspector.Queues(ctx)
	if err != nil {
		t.Fatal(err)
	}
	depths, want := map[string]int64{}, map[string]int64{}
	for _, q := range queues {
		depths[q.Func] = q.Depth
		if q.Dated != (q.Depth == 1) || q.Oldest < 0 || q.Oldest > patience {
			t.Errorf("got %+v, want an age of the call of our own", q)
		}
	}
	for n, fn := range spread {
		want[fn] = int64(n) + 1
	}
	if !maps.Equal(depths, want) {
		t.Errorf("got queues %v, want %v", depths, want)
	}
	h.prefix += ":online" // whose servers take nothing
	online, err := rpc.NewInspector(h.cluster, h.prefix)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range 10 {
		names = append(names, fmt.Sprint("kind:", n))
		h.serve(rpc.ServerOptions{Kind: "kind", ID: fmt.Sprint(n)}, echo)
	}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		look, err := online.Overview(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range look.Servers {
			if _, _, known := s.Busy(); known {
				got = append(got, s.Kind+":"+s.ID)
			}
		}
		if slices.Equal(got, names) {
			if f := look.Functions; len(f) != 1 || f[0].Func != "echo" || f[0].Servers != len(names) {
				t.Errorf("got functions %+v, want one, of all servers", f)
			}
			break
		}
		if time.Since(start) > patience {
			t.Fatalf("got servers %q, want %q", got, names)
		}
	}
}

// testOldServerInCluster: a server that knows nothing of slots answers where it is
// waited for, as it takes IDs for text.
func testOldServerInCluster(t *testing.T, h *house) {
	ctx := context.Background()
	client := h.client(rpc.ClientOptions{Timeout: patience})
	for _, fn := range spread {
		called := make(chan error, 1)
		var got string
		go func() { called <- client.Call(ctx, fn, nil, &got) }()
		popped, err := h.cluster.BLPop(ctx, time.Minute, h.prefix+":"+fn+":calls").Result()
		if err != nil {
			t.Fatal(err)
		}
		var call struct{ ID string }
		if err := json.Unmarshal([]byte(popped[1]), &call); err != nil {
			t.Fatal(err)
		}
		result := fmt.Sprintf(`{"ts":"2026-01-02T03:04:05.678901","res":%q,"verbose":false}`, fn)
		if err := h.cluster.RPush(ctx, h.prefix+":"+fn+":result:"+call.ID, result).Err(); err != nil {
			t.Fatal(err)
		}
		if err := next(t, called); err != nil || got != fn {
			t.Errorf("%s: got %q, %v", fn, got, err)
		}
	}
}

// TestStopInDeadCluster: a Cluster that is gone holds up nobody for long, and calls say
// that they were not sent.
func TestStopInDeadCluster(t *testing.T) {
	t.Parallel()
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3)}
	h := &house{T: t, cluster: c.client(t), prefix: "p"}
	var all []func(*rpc.Server) error
	for _, fn := range spread {
		all = append(all, offer(fn, func(context.Context, struct{}) (any, error) { return nil, nil }))
	}
	w := h.hire(rpc.ServerOptions{Heartbeat: 50 * time.Millisecond}, all...)
	w.run(context.Background())
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	for _, fn := range spread {
		if err := client.Call(context.Background(), fn, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.nodes {
		s.Stop()
	}
	for _, fn := range spread {
		is(t, client.Call(context.Background(), fn, nil, nil), rpc.ErrNotSent)
	}
	start := time.Now()
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	soon, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := w.Stop(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) { // an answer may not have been confirmed
		t.Error(err)
	}
	w.wait(t)
	if took := time.Since(start); took > patience {
		t.Errorf("Close and Stop took %v", took)
	}
}
