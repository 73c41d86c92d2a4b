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
func TestRefusedAmongOthers(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testRefusedAmongOthers)
}

func testRefusedAmongOthers(t *testing.T, f fleet) {
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
	h.fleet = f
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

// TestWithoutReplyLists: where Redis forbids what they need each result comes on a list of
// its own, and the client says why, once.
func TestWithoutReplyLists(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, why string
		arg       []string
	}{
		{"blocking forbidden", "NOPERM", user("-blmove", "-brpoplpush")},
		{"blocking unknown", "unknown command", []string{"--rename-command", "BLMOVE", "", "--rename-command", "BRPOPLPUSH", ""}},
		{"LRANGE forbidden", "NOPERM", user("-lrange")},
		{"LTRIM forbidden", "NOPERM", user("-ltrim")},
		{"keys forbidden", "NOPERM", []string{"--user", "default", "on", "nopass", "~p:echo:*", "~p:server:*", "&*", "+@all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t, c.arg...).Addr})
			h.serve(rpc.ServerOptions{}, echo)
			client, log := h.logging()
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n}); err != nil || x != n {
						t.Errorf("call %d: got %v, %v", n, x, err)
					}
				})
			}
			all.Wait()
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "reply lists cannot be used") || !strings.Contains(text, c.why) {
				t.Errorf("got log %s, want one line that says that it is because of %s", text, c.why)
			}
		})
	}
}

// logging returns a client whose log is read.
func (h *house) logging() (*rpc.Client, *logbook) {
	h.Helper()
	log := &logbook{}
	client, err := rpc.NewClient(h.rdb, rpc.ClientOptions{Prefix: h.prefix, Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { client.Close() })
	return client, log
}

// TestWithReplyLists: also where some of what could be used is forbidden, results come over
// few connections, and there is nothing to complain about.
func TestWithReplyLists(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		arg  []string
	}{
		{"all allowed", nil},
		{"BLMOVE forbidden", user("-blmove")},
		{"BLMOVE unknown", []string{"--rename-command", "BLMOVE", ""}},
		{"CLIENT forbidden", user("-client")},
		{"HELLO unknown", []string{"--rename-command", "HELLO", ""}},
		{"EXISTS forbidden", user("-exists")},
		{"TIME and CONFIG forbidden", user("-time", "-config")},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t, c.arg...).Addr})
			add, entered, goOn := blocked("f")
			h.serve(rpc.ServerOptions{}, add)
			client, log := h.logging()
			const calls = 50
			outcomes := h.call(client, calls)
			for range calls {
				next(t, entered)
			}
			if n := client.Conns(); n > 4 {
				t.Errorf("got %d connections for %d calls, want no more than 4", n, calls)
			}
			close(goOn)
			for range calls {
				if err := next(t, outcomes); err != nil {
					t.Error(err)
				}
			}
			if text := log.String(); text != "" {
				t.Errorf("got log %s", text)
			}
		})
	}
}

// user is the default user, who may do everything but what rules say.
func user(rules ...string) []string {
	return append([]string{"--user", "default", "on", "nopass", "~*", "&*", "+@all"}, rules...)
}
