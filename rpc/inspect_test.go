package rpc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"redrpc/rpc"
)

func testInspectServers(t *testing.T, h *house) {
	ctx := context.Background()
	h.prefix += `:*?[a-z]\`
	inspector, err := rpc.NewInspector(h.rdb, h.prefix)
	if err != nil {
		t.Fatal(err)
	}
	servers := func() (names []string) {
		t.Helper()
		list, err := inspector.Servers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if forever := s.Kind == "forever"; (s.Expires == 0) != forever || s.Expires < 0 || s.Expires > 4*time.Second {
				t.Errorf("%s:%s expires in %v, want up to 4 s, or 0 for never", s.Kind, s.ID, s.Expires)
			}
			names = append(names, s.Kind+":"+s.ID)
		}
		return names
	}
	for _, key := range []string{"a:b:c:alive", "alive", "nocolon:alive", "kind:1:wake", "kind:1:alive:x"} {
		if err := h.rdb.Set(ctx, h.prefix+":"+key, "1", 4*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got := servers(); len(got) != 0 {
		t.Errorf("got servers %q before any started", got)
	}
	// Those that nobody whom we know would write are listed, too, as by rpc.Servers.
	if err := h.rdb.Set(ctx, h.prefix+":forever:text:alive", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := h.rdb.RPush(ctx, h.prefix+":forever:list:alive", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if ids, err := rpc.Servers(ctx, h.rdb, h.prefix, "forever"); err != nil || len(ids) != 2 || len(servers()) != 2 {
		t.Errorf("got servers %q, %v, and %q", ids, err, servers())
	}
	one := h.serve(rpc.ServerOptions{Kind: "kind", ID: "b"}, echo)
	h.serve(rpc.ServerOptions{Kind: "kind", ID: "a"}, echo)
	h.serve(rpc.ServerOptions{Kind: "k*nd", ID: "c"}, echo)
	eventually(t, "all servers to be seen", func() bool { return len(servers()) >= 5 })
	if got := strings.Join(servers(), " "); got != "forever:list forever:text k*nd:c kind:a kind:b" {
		t.Errorf("got servers %s", got)
	}
	one.stop(t)
	if got := strings.Join(servers(), " "); got != "forever:list forever:text k*nd:c kind:a" {
		t.Errorf("after a stop got servers %s", got)
	}
}

func testInspectQueues(t *testing.T, h *house) {
	ctx := context.Background()
	inspector, err := rpc.NewInspector(h.rdb, h.prefix)
	if err != nil {
		t.Fatal(err)
	}
	queues := func() map[string]rpc.Queue {
		t.Helper()
		list, err := inspector.Queues(ctx)
		if err != nil {
			t.Fatal(err)
		}
		byName, last := map[string]rpc.Queue{}, ""
		for _, q := range list {
			if q.Func < last {
				t.Errorf("%q comes after %q", q.Func, last)
			}
			last, byName[q.Func] = q.Func, q
		}
		return byName
	}
	if got := queues(); len(got) != 0 {
		t.Errorf("got queues %v before any call", got)
	}
	now, err := h.rdb.Time(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	deadline := now.UnixMilli() - 100_000 + 1000
	push := func(queue string, messages ...any) {
		t.Helper()
		if err := h.rdb.RPush(ctx, h.prefix+":"+queue, messages...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	push("budget:calls", fmt.Sprintf(`{"id":"1","kw":{},"timeout_ms":1000,"deadline_ms":%d}`, deadline), "second", "third")
	push("both:calls", fmt.Sprintf(`{"deadline_ms":%d,"ts":"2001-01-01T00:00:00Z","timeout_ms":1000}`, deadline))
	push("go:calls", fmt.Sprintf(`{"id":"1","ts":%q}`, now.Add(-100*time.Second).Format(time.RFC3339Nano)))
	push("python:calls", `{"id":"1","ts":"2001-01-01T00:00:00.123456"}`)
	push("future:calls", fmt.Sprintf(`{"id":"1","ts":%q}`, now.Add(time.Hour).Format(time.RFC3339)))
	push("rubbish:calls", "no JSON")
	push("numbers:calls", `{"id":1,"ts":1,"timeout_ms":"x","deadline_ms":1e3}`)
	push("a:b:calls", "{}") // a name may have colons
	push(":calls", "{}")    // and even be empty, for a client of others
	push("calls", "{}")     // but this is no queue
	push("budget:result:1", "{}")
	if err := h.rdb.Set(ctx, h.prefix+":text:calls", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}

	got := queues()
	want := map[string]struct {
		depth int64
		age   time.Duration // 0 is none
	}{
		"budget": {3, 100 * time.Second}, "both": {1, 100 * time.Second}, "go": {1, 100 * time.Second}, "python": {1, 0},
		"future": {1, 0}, "rubbish": {1, 0}, "numbers": {1, 0}, "a:b": {1, 0},
	}
	for name, w := range want {
		q := got[name]
		if q.Depth != w.depth || q.Dated != (w.age > 0 || name == "future") || q.Oldest < w.age || q.Oldest > w.age+time.Minute || w.age == 0 && q.Oldest != 0 {
			t.Errorf("%s: got %+v, want %+v", name, q, w)
		}
	}
	if len(got) != len(want)+1 { // and the empty name
		t.Errorf("got %v", got)
	}

	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	callCtx, giveUp := context.WithCancel(ctx)
	called := make(chan error, 1)
	go func() { called <- client.Call(callCtx, "own", nil, nil, rpc.Timeout(patience)) }()
	eventually(t, "the call to be in its queue", func() bool { return queues()["own"].Depth > 0 })
	if q := queues()["own"]; q.Depth != 1 || !q.Dated || q.Oldest > patience {
		t.Errorf("of a call of our own: got %+v", q)
	}
	giveUp()
	is(t, next(t, called), rpc.ErrNoResult, context.Canceled)
}

func TestInspectorOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := rpc.NewInspector(nil, ""); err == nil || !strings.Contains(err.Error(), "NewInspector") {
		t.Errorf("got error %v", err)
	}
}
