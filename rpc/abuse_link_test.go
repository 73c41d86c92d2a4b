package rpc_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

const (
	slowRate    = 150_000         // bytes a second
	slowTimeout = 3 * time.Second // of reads and writes where a link is slow
	linkTimeout = time.Second     // where it stalls
)

// impatient is the same Redis and prefix, with a short timeout of reads and writes.
func (h *house) impatient(timeout time.Duration) *house {
	return h.withOptions(func(opt *redis.Options) { opt.ReadTimeout, opt.WriteTimeout = timeout, timeout })
}

// TestLinks runs beside no other test, as links pass bytes at a rate, and have timeouts.
func TestLinks(t *testing.T) {
	t.Run("slow", testSlowLink)
	t.Run("stalled", testStalledLink)
	t.Run("closed while stalled", testClosedWhileStalled)
}

// testSlowLink: what is long takes its time over a slow link, which is several times
// the timeout of reads and writes. It arrives, over a connection that is made once, and
// short calls of the same client to the same server are not held up.
func testSlowLink(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	var scenarios []scenario
	for _, c := range []struct {
		name           string
		server, client int // the direction in which the link of either is slow
		args, result   int // bytes of each long call
		calls          int // that are long, at the same time
		clientOptions  rpc.ClientOptions
		serverOptions  rpc.ServerOptions
	}{
		{name: "long result from a server", server: up, result: 1_500_000},
		{name: "long results from a server", server: up, result: 700_000, calls: 3},
		{name: "long result from a server to an old client", server: up, result: 1_500_000, clientOptions: rpc.ClientOptions{NoExtensions: true}},
		{name: "long result from an old server", server: up, result: 1_500_000, serverOptions: rpc.ServerOptions{NoExtensions: true}},
		{name: "long arguments from a client", client: up, args: 1_500_000},
		{name: "long arguments from a client, several", client: up, args: 700_000, calls: 3},
		{name: "long arguments from an old client", client: up, args: 1_500_000, clientOptions: rpc.ClientOptions{NoExtensions: true}},
		{name: "long result to a client", client: down, result: 1_500_000},
		{name: "long results to a client", client: down, result: 700_000, calls: 3},
		{name: "long result of an old server to a client", client: down, result: 1_500_000, serverOptions: rpc.ServerOptions{NoExtensions: true}},
	} {
		scenarios = append(scenarios, scenario{strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: addr})
			h.prefix = c.name
			links := map[int][2]int{up: {slowRate, 0}, down: {0, slowRate}}
			staff, callers := h.impatient(slowTimeout), h.impatient(slowTimeout)
			var slow *proxy
			if c.server != 0 {
				slow, staff = startProxy(staff, links[c.server][0], links[c.server][1])
			} else {
				slow, callers = startProxy(callers, links[c.client][0], links[c.client][1])
			}
			var ran atomic.Int32
			w := staff.employ(c.serverOptions, small, offer("work", func(_ context.Context, in struct {
				N int
				X string
			}) (string, error) {
				ran.Add(1)
				if len(in.X) != c.args {
					t.Errorf("got %d bytes of arguments, want %d", len(in.X), c.args)
				}
				return strings.Repeat("y", in.N), nil
			}))
			client := callers.newClient(c.clientOptions)
			steady := callers.callSteadily(client, "small")
			steady.await(20)
			begun, dials := time.Now(), slow.accepted.Load()
			calls := max(1, c.calls)
			outcomes := make(chan error, calls)
			for range calls {
				go func() {
					args := rpc.Args{"n": c.result, "x": strings.Repeat("x", c.args)}
					got, err := rpc.Call[string](context.Background(), client, "work", args, rpc.Timeout(2*patience))
					if err == nil && len(got) != c.result {
						t.Errorf("got %d bytes, want %d", len(got), c.result)
					}
					outcomes <- err
				}()
			}
			for range calls {
				select {
				case err := <-outcomes:
					if err != nil {
						t.Errorf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
					}
				case <-time.After(3 * patience):
					t.Fatal("a call has not ended")
				}
			}
			took := time.Since(begun)
			steady.await(5)
			steady.stop()
			dials = slow.accepted.Load() - dials
			t.Logf("%d bytes took %v, the longest short call %v, %d more connections", calls*(c.args+c.result), took.Round(time.Millisecond), steady.longest.Round(time.Millisecond), dials)
			if ran.Load() != int32(calls) {
				t.Errorf("%d calls ran %d times", calls, ran.Load())
			}
			if steady.longest > max(took/2, 2*slowTimeout) {
				t.Errorf("a short call took %v while a long one took %v", steady.longest, took)
			}
			if dials > int32(calls)+3 { // the first that is long has a connection, and what is rare has some
				t.Errorf("dialled %d times meanwhile", dials)
			}
			w.end(t)
		}})
	}
	atOnce(t, scenarios)
}

// Directions of a link that are slow.
const (
	up   = 1 // to Redis
	down = 2 // from Redis
)

// testStalledLink: a call ends by its timeout when its link passes nothing any more, and
// calls go on when it passes bytes again, or other connections do.
func testStalledLink(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	const (
		stalled = 2500 * time.Millisecond // longer than reads and writes may take
		timeout = 400 * time.Millisecond
	)
	var scenarios []scenario
	for _, c := range []struct {
		name      string
		server    bool // its link stalls, otherwise the client's
		replaced  bool // the connections that stalled are cut, others pass bytes
		slow      bool // the link is slow, too, and stalls in the midst of a long message
		oldClient bool
		patient   bool // reads and writes may take longer than the link is stalled
	}{
		{name: "of a client"},
		{name: "of a client, replaced", replaced: true},
		{name: "of a client, for a short time", patient: true},
		{name: "of a client in a long message", slow: true},
		{name: "of a client in a long message, replaced", slow: true, replaced: true},
		{name: "of an old client", oldClient: true},
		{name: "of a server", server: true},
		{name: "of a server, replaced", server: true, replaced: true},
		{name: "of a server in a long message", server: true, slow: true},
	} {
		scenarios = append(scenarios, scenario{strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: addr})
			h.prefix = c.name
			staff, callers := h, h.impatient(linkTimeout)
			if c.patient {
				callers = h
			}
			rate := 0
			if c.slow {
				rate = slowRate
			}
			var link *proxy
			if c.server {
				link, staff = startProxy(h.impatient(linkTimeout), rate, 0)
			} else {
				link, callers = startProxy(callers, rate, 0)
			}
			w := staff.employ(rpc.ServerOptions{}, small, sized, length)
			client, ctx := callers.newClient(rpc.ClientOptions{NoExtensions: c.oldClient}), context.Background()
			for n := range 3 {
				next(t, callers.start(ctx, client, "small", n, rpc.Timeout(prompt))).isResult(t)
			}
			long := func(timeout time.Duration) error {
				if c.server {
					return client.Call(ctx, "sized", rpc.Args{"n": 600_000}, nil, rpc.Timeout(timeout))
				}
				return client.Call(ctx, "length", rpc.Args{"x": strings.Repeat("x", 600_000)}, nil, rpc.Timeout(timeout))
			}
			under := make(chan error, 1) // the outcome of one that was under way before
			if c.slow {
				go func() { under <- long(timeout) }()
				before := link.passed.Load()
				eventually(t, "some of a long message to pass", func() bool { return link.passed.Load() > before+50_000 })
			} else {
				under <- context.DeadlineExceeded
			}
			link.stall()
			begun := time.Now()
			outcomes := make(chan error)
			const calls = 5
			for range calls {
				go func() {
					for time.Since(begun) < stalled-timeout {
						before := time.Now()
						err := client.Call(ctx, "small", rpc.Args{"n": 1}, nil, rpc.Timeout(timeout))
						switch took := time.Since(before); {
						case !errors.Is(err, rpc.ErrNoResult) && !errors.Is(err, rpc.ErrNotSent):
							t.Errorf("while nothing passes: got %v", err)
						case took > timeout+prompt:
							t.Errorf("a call with %v ended after %v", timeout, took)
						case took < timeout:
							time.Sleep(10 * time.Millisecond) // a connection was lost
						}
					}
					outcomes <- nil
				}()
			}
			for range calls {
				next(t, outcomes)
			}
			if err := next(t, under); err == nil {
				t.Error("a call that had sent a part has got its result")
			}
			if c.replaced {
				link.relay.Cut()
			}
			link.resume()
			eventually(t, "a call to be answered", func() bool { // others may still find that a connection was lost
				return client.Call(ctx, "small", rpc.Args{"n": 1}, nil) == nil
			})
			steady := callers.callSteadily(client, "small")
			steady.await(5)
			if err := long(patience); err != nil {
				t.Errorf("a long call afterwards: %v", err)
			}
			steady.await(5)
			steady.stop()
			w.end(t)
			closeSoon(t, client)
		}})
	}
	atOnce(t, scenarios)
}

// testClosedWhileStalled: neither Close nor Stop waits for a link that passes nothing,
// beyond their limits.
func testClosedWhileStalled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	link, behind := startProxy(h.impatient(linkTimeout), 0, 0)
	add, entered, _ := blocked("f")
	w := behind.employ(rpc.ServerOptions{}, small, add)
	client, ctx := behind.newClient(rpc.ClientOptions{Timeout: patience}), context.Background()
	next(t, behind.start(ctx, client, "small", 1)).isResult(t)
	ended := behind.start(ctx, client, "f", 1)
	next(t, entered)
	link.stall()
	closeSoon(t, client)
	is(t, next(t, ended).err, rpc.ErrNoResult, redis.ErrClosed)
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := w.Stop(limited); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: got %v, want the end of its context", err)
	}
	if took := time.Since(begun); took > prompt {
		t.Errorf("Stop with a second returned after %v", took)
	}
	link.resume()
	w.end(t)
}
