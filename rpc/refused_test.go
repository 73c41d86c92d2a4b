package rpc_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestRefusedAmongOthers: calls that Redis refuses do no harm to those which are
// sent in the same transaction.
func TestRefusedAmongOthers(t *testing.T) { inEachWay(t, testRefusedAmongOthers) }

func testRefusedAmongOthers(t *testing.T, way rpc.Wait) {
	addr := redistest.Start(t).Addr
	admin := newHouse(t, &redis.Options{Addr: addr})
	admin.must("acl", "setuser", "some", "on", "nopass", "~p:good:*", "~p:string:*", "&*", "+@all")
	admin.must("set", "p:string:calls", "a string")
	var ran [300]atomic.Int32
	admin.serve(rpc.ServerOptions{}, offer("good", func(_ context.Context, in struct{ N int }) (int, error) {
		ran[in.N].Add(1)
		return in.N, nil
	}))
	h := newHouse(t, &redis.Options{Addr: addr, Username: "some", Password: "any"})
	h.wait = way
	client := h.client(rpc.ClientOptions{Timeout: time.Minute, MaxConns: 50})
	var all sync.WaitGroup
	for n := range len(ran) {
		all.Go(func() {
			fn := []string{"good", "bad", "string"}[n%3]
			got, err := rpc.Call[int](context.Background(), client, fn, rpc.Args{"n": n})
			prefix := map[string]string{"bad": "NOPERM", "string": "WRONGTYPE"}[fn]
			switch {
			case fn == "good" && (err != nil || got != n):
				t.Errorf("call %d: got %v, %v", n, got, err)
			case fn != "good":
				is(t, err, rpc.ErrNotSent)
				if !strings.Contains(err.Error(), prefix) {
					t.Errorf("call %d of %s: got error %v, want %s", n, fn, err, prefix)
				}
			}
		})
	}
	all.Wait()
	for n := range ran {
		want := int32(0)
		if n%3 == 0 {
			want = 1
		}
		if got := ran[n].Load(); got != want {
			t.Errorf("call %d ran %d times, want %d", n, got, want)
		}
	}
}

// TestWhereTrackingFails: a Redis that forbids what it needs is used by BLPOP alone,
// and the client says why, once; unless tracking was asked for.
func TestWhereTrackingFails(t *testing.T) {
	for _, c := range []struct {
		name, why string
		arg       []string
	}{
		{"CLIENT forbidden", "CLIENT TRACKING: NOPERM", user("-client")},
		{"EXISTS forbidden", "EXISTS: NOPERM", user("-exists")},
		{"LPOP forbidden", "LPOP: NOPERM", user("-lpop")},
		{"RESP3 unknown", "no notice came", []string{"--rename-command", "HELLO", ""}},
		{"CLIENT unknown", "CLIENT TRACKING: ERR unknown command", []string{"--rename-command", "CLIENT", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t, c.arg...).Addr})
			h.serve(rpc.ServerOptions{}, echo)
			log := &logbook{}
			client, err := rpc.NewClient(h.rdb, rpc.ClientOptions{Prefix: h.prefix, Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if way, why := client.Waiting(); way != rpc.WaitAuto {
				t.Errorf("before a call got %s, %s", way, why)
			}
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n}); err != nil || x != n {
						t.Errorf("call %d: got %v, %v", n, x, err)
					}
				})
			}
			all.Wait()
			if way, why := client.Waiting(); way != rpc.WaitBLPOP || !strings.Contains(why, c.why) {
				t.Errorf("got %s because %q, want blpop because %q", way, why, c.why)
			}
			if n := strings.Count(log.String(), "waited for by BLPOP"); n != 1 {
				t.Errorf("got it logged %d times, want once: %s", n, log)
			}
			err = h.client(rpc.ClientOptions{Wait: rpc.WaitTracking}).Call(context.Background(), "echo", rpc.Args{"x": 1}, nil)
			is(t, err, rpc.ErrNotSent)
			if !strings.Contains(err.Error(), "tracking, which was asked for, does not work here") || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got error %v, want %s", err, c.why)
			}
		})
	}
}

// user is the default user, who may do everything but what rules say.
func user(rules ...string) []string {
	return append([]string{"--user", "default", "on", "nopass", "~*", "&*", "+@all"}, rules...)
}

// TestWhereTrackingWorks: the client says so.
func TestWhereTrackingWorks(t *testing.T) {
	h := newHouse(t, inMemory(newBroker(t)))
	h.serve(rpc.ServerOptions{}, echo)
	client := h.client(rpc.ClientOptions{Wait: rpc.WaitTracking, Timeout: 10 * time.Second})
	if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": 1}); err != nil || x != 1 {
		t.Errorf("got %v, %v", x, err)
	}
	if way, why := client.Waiting(); way != rpc.WaitTracking || why == "" || client.Conns() != 1 {
		t.Errorf("got %s, %q over %d connections, want tracking over one", way, why, client.Conns())
	}
	client = h.client(rpc.ClientOptions{Wait: rpc.WaitBLPOP})
	if way, why := client.Waiting(); way != rpc.WaitBLPOP || why == "" {
		t.Errorf("got %s, %q, want blpop as it was asked for", way, why)
	}
}
