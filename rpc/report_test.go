package rpc_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/rpc"
)

// testReports: a server says what it does, next to its heartbeat and as long as that,
// where those who know nothing of it do not see it.
func testReports(t *testing.T, h *house) {
	ctx := context.Background()
	inspector, err := rpc.NewInspector(h.rdb, h.prefix)
	if err != nil {
		t.Fatal(err)
	}
	look := func() *rpc.Overview {
		t.Helper()
		l, err := inspector.Overview(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one := h.serve(rpc.ServerOptions{Kind: "kind", ID: "one", Workers: 3}, echo)
	plain := h.serve(rpc.ServerOptions{Kind: "kind", ID: "plain", NoExtensions: true}, echo)
	for id, rubbish := range map[string]string{"a": "no JSON", "b": "[]", "c": `{"uptime_ms":-1}`, "d": `{"functions":{"f":{"calls":-1}}}`, "e": `{"workers":"x"}`, "f": `{"workers":-1}`, "g": `{"uptime_ms":9223372036854775807}`} {
		h.rdb.Set(ctx, h.prefix+":rubbish:"+id+":alive", "1", time.Minute)
		h.rdb.Set(ctx, h.prefix+":rubbish:"+id+":stats", rubbish, time.Minute)
	}
	h.rdb.Set(ctx, h.prefix+":rubbish:list:alive", "1", time.Minute)
	h.rdb.RPush(ctx, h.prefix+":rubbish:list:stats", "1")
	h.rdb.RPush(ctx, h.prefix+":waits:calls", "1")

	l := look()
	eventually(t, "all servers to be seen, and a report", func() bool {
		l = look()
		return len(l.Servers) >= 10 && l.Servers[0].Report != nil
	})
	for _, s := range l.Servers {
		busy, workers, known := s.Busy()
		if known != (s.ID == "one") || known != (s.Report != nil) || known && (busy != 0 || workers != 3) {
			t.Errorf("got %+v, report %+v", s, s.Report)
		}
	}
	r := l.Servers[0].Report
	if _, ok := r.Functions["echo"]; !ok || len(r.Functions) != 1 || time.Since(r.Started) > time.Minute || r.Uptime < 0 {
		t.Errorf("got report %+v", r)
	}
	if f := l.Functions; len(f) != 2 || f[0].Func != "echo" || f[0].Servers != 1 || f[0].Rated || f[1].Func != "waits" || f[1].Depth != 1 || f[1].Servers != 0 {
		t.Errorf("got functions %+v", f)
	}

	key := h.prefix + ":kind:one:stats"
	var written map[string]any
	if err := json.Unmarshal([]byte(h.rdb.Get(ctx, key).Val()), &written); err != nil || len(written) != 4 {
		t.Errorf("got %v, %v", written, err)
	}
	if ttl := h.rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > 4*time.Second {
		t.Errorf("the report lives for %v, want up to 4 s", ttl)
	}
	if n := h.rdb.Exists(ctx, h.prefix+":kind:plain:stats").Val(); n != 0 {
		t.Error("a plain server reports")
	}
	// This is how the Python port looks for servers.
	if keys := h.rdb.Keys(ctx, h.prefix+":kind:*:alive").Val(); len(keys) != 2 {
		t.Errorf("got heartbeats %q, want those of two servers", keys)
	}
	one.stop(t)
	plain.stop(t)
	if n := h.rdb.Exists(ctx, key).Val(); n != 0 {
		t.Error("the report is still there after a stop")
	}
}

// TestRates: they are of the time between two reports of the same run, whenever one
// looks.
func TestRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		h := newHouse(t, inMemory(newBroker(t)))
		inspector, err := rpc.NewInspector(h.rdb, h.prefix)
		if err != nil {
			t.Fatal(err)
		}
		add, entered, goOn := blocked("wait")
		functions := []func(*rpc.Server) error{add, echo, offer("fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no") })}
		serve := func() *hand { return h.serve(rpc.ServerOptions{Kind: "kind", ID: "one", Workers: 4}, functions...) }
		first := serve()
		h.serve(rpc.ServerOptions{Kind: "kind", ID: "two", Workers: 4}, functions[1])
		client := h.client(rpc.ClientOptions{Timeout: time.Hour})
		time.Sleep(time.Second) // looks are halfway between reports

		var last *rpc.Overview
		look := func() map[string]rpc.Function {
			t.Helper()
			if last, err = inspector.Overview(ctx, last); err != nil {
				t.Fatal(err)
			}
			byName := map[string]rpc.Function{}
			for _, f := range last.Functions {
				byName[f.Func] = f
			}
			return byName
		}
		want := func(when, fn string, rate rpc.Rate, rated bool, busy int) {
			t.Helper()
			f := look()[fn]
			if f.Rate != rate || f.Rated != rated || f.InFlight != busy {
				t.Errorf("%s: got %+v, want rate %+v (%v) and %d in flight", when, f, rate, rated, busy)
			}
		}
		want("at first", "echo", rpc.Rate{}, false, 0)
		for range 10 {
			if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			_ = client.Call(ctx, "fail", nil, nil)
		}
		h.rdb.RPush(ctx, h.prefix+":fail:calls", "rubbish", "rubbish")
		waited := make(chan error, 1)
		go func() { waited <- client.Call(ctx, "wait", rpc.Args{"n": 1}, nil) }()
		<-entered
		want("between reports", "echo", rpc.Rate{}, false, 0)
		time.Sleep(2 * time.Second)
		want("after a report", "echo", rpc.Rate{Calls: 5}, true, 0)
		want("at once again", "fail", rpc.Rate{Calls: 2, Errors: 2, Dropped: 1}, true, 0)
		want("at once again", "wait", rpc.Rate{Calls: 0.5}, true, 1)
		time.Sleep(4 * time.Second)
		want("when it is quiet", "fail", rpc.Rate{}, true, 0)
		want("when it is quiet", "wait", rpc.Rate{}, true, 1)
		if busy, workers, _ := last.Servers[0].Busy(); busy != 1 || workers != 4 {
			t.Errorf("got %d of %d workers", busy, workers)
		}
		if f := look()["echo"]; f.Servers != 2 || f.Calls != 10 {
			t.Errorf("got %+v, want two servers and 10 calls", f)
		}
		close(goOn)
		if err := next(t, waited); err != nil {
			t.Error(err)
		}

		first.stop(t)
		serve()
		time.Sleep(500 * time.Millisecond) // its first report is written
		if err := client.Call(ctx, "fail", nil, nil); err == nil {
			t.Error("got no error")
		}
		time.Sleep(500 * time.Millisecond)
		want("of a new run", "fail", rpc.Rate{}, false, 0)
		time.Sleep(2 * time.Second)
		want("of a new run", "fail", rpc.Rate{Calls: 0.5, Errors: 0.5}, true, 0)
		if !slices.IsSortedFunc(last.Functions, func(a, b rpc.Function) int { return cmp.Compare(a.Func, b.Func) }) {
			t.Errorf("not in order: %+v", last.Functions)
		}
	})
}
