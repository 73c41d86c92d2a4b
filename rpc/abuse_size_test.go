package rpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// Redis closes a connection on which an argument comes that is longer than its
// proto-max-bulk-len. 1 MiB is the least that it can be set to.
const (
	lowLimit  = "1048576"
	tooLong   = 2_000_000
	fineStill = 900_000
)

// restrictedUser is one who may not ask Redis for its settings.
var restrictedUser = []any{"acl", "setuser", "restricted", "on", "nopass", "~*", "&*", "+@all", "-@admin", "-config"}

// restricted is the same Redis and prefix as that user sees them.
func (h *house) restricted() *house {
	return h.withOptions(func(opt *redis.Options) { opt.Username, opt.Password = "restricted", "any" })
}

// A traffic is what went over connections.
type traffic struct {
	dials   atomic.Int32
	written atomic.Int64 // bytes
}

// counting is the same Redis and prefix, with a count of what goes there.
func (h *house) counting() (*house, *traffic) {
	var n traffic
	return h.withOptions(func(opt *redis.Options) {
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			n.dials.Add(1)
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return countedConn{conn, &n}, nil
		}
	}), &n
}

type countedConn struct {
	net.Conn
	n *traffic
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.written.Add(int64(n))
	return n, err
}

// TestResultTooLongForRedis: a result that Redis does not take is the failure of its
// call and of no other, for clients and servers of any version, and the server ends.
func TestResultTooLongForRedis(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t, "--proto-max-bulk-len", "1mb").Addr
	newHouse(t, &redis.Options{Addr: addr}).do(restrictedUser...)
	var scenarios []scenario
	for _, c := range []struct {
		name               string
		client             rpc.ClientOptions
		server             rpc.ServerOptions
		fn                 string
		restricted, untold bool // CONFIG is forbidden; the failure need not say why
	}{
		{name: "result", fn: "sized"},
		{name: "result for an old client", fn: "sized", client: rpc.ClientOptions{NoExtensions: true}},
		{name: "result of an old server", fn: "sized", server: rpc.ServerOptions{NoExtensions: true}},
		{name: "result, old client and server", fn: "sized", client: rpc.ClientOptions{NoExtensions: true}, server: rpc.ServerOptions{NoExtensions: true}},
		{name: "result, few workers", fn: "sized", server: rpc.ServerOptions{Workers: 2}},
		{name: "text of a failure", fn: "failing"},
		{name: "result, CONFIG forbidden", fn: "sized", restricted: true},
		{name: "result for an old client, CONFIG forbidden", fn: "sized", client: rpc.ClientOptions{NoExtensions: true}, restricted: true},
	} {
		scenarios = append(scenarios, scenario{strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: addr})
			h.prefix = c.name
			staff := h
			if c.restricted {
				staff = h.restricted()
			}
			staff, sent := staff.counting()
			w := staff.employ(c.server, small, sized, failing)
			c.client.Timeout = prompt
			timeout := prompt
			if c.restricted { // the outcome may be that there is no result in time
				timeout = 2 * time.Second
			}
			client := h.newClient(c.client)
			steady := []*steadyCaller{h.callSteadily(client, "small"), h.callSteadily(h.newClient(rpc.ClientOptions{}), "small")}
			for _, s := range steady {
				s.await(5)
			}
			for range 2 { // the second shows what the first left behind
				err := client.Call(context.Background(), c.fn, rpc.Args{"n": tooLong}, nil, rpc.Timeout(timeout))
				if c.restricted {
					if err == nil {
						t.Error("got no error")
					}
				} else {
					e := isRemote(t, err, "")
					switch {
					case !c.server.NoExtensions && c.fn == "sized" && e.Type != rpc.TypeTooLarge:
						t.Errorf("got type %q, want %q: %.200v", e.Type, rpc.TypeTooLarge, e)
					case c.fn == "sized" && !strings.Contains(e.Message, lowLimit):
						t.Errorf("got %.200q, want the limit in it", e.Message)
					}
				}
				for _, s := range steady {
					s.await(5)
				}
			}
			if got, err := rpc.Call[string](context.Background(), client, "sized", rpc.Args{"n": fineStill}); err != nil || len(got) != fineStill {
				t.Errorf("a result of %d bytes: got %d bytes, %v", fineStill, len(got), err)
			}
			for _, s := range steady {
				s.await(5)
				s.stop()
			}
			w.end(t)
			if n := sent.dials.Load(); n > 20 {
				t.Errorf("the server dialled %d times", n)
			}
		}})
	}
	atOnce(t, scenarios)
}

// TestManyResultsTooLongForRedis: they fail, and short results of the same moment come.
func TestManyResultsTooLongForRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t, "--proto-max-bulk-len", "1mb").Addr})
	const calls = 8 // of each kind
	ready := make(chan struct{}, 2*calls)
	goOn := make(chan struct{})
	w := h.employ(rpc.ServerOptions{Workers: 2 * calls}, small, offer("together", func(_ context.Context, in struct{ N int }) (string, error) {
		ready <- struct{}{}
		<-goOn
		return strings.Repeat("x", in.N), nil
	}))
	client := h.newClient(rpc.ClientOptions{Timeout: patience})
	type sizedOutcome struct {
		n   int
		got string
		err error
	}
	outcomes := make(chan sizedOutcome, 2*calls)
	for i := range 2 * calls {
		n := []int{10 + i, tooLong}[i%2]
		go func() {
			got, err := rpc.Call[string](context.Background(), client, "together", rpc.Args{"n": n})
			outcomes <- sizedOutcome{n, got, err}
		}()
	}
	for range 2 * calls {
		next(t, ready)
	}
	close(goOn)
	for range 2 * calls {
		o := next(t, outcomes)
		var remote *rpc.RemoteError
		switch {
		case o.n == tooLong && (!errors.As(o.err, &remote) || remote.Type != rpc.TypeTooLarge):
			t.Errorf("a result of %d bytes: got %v, want a remote error of type %s", o.n, o.err, rpc.TypeTooLarge)
		case o.n != tooLong && (o.err != nil || len(o.got) != o.n):
			t.Errorf("a result of %d bytes: got %d bytes, %v", o.n, len(o.got), o.err)
		}
	}
	next(t, h.start(context.Background(), client, "small", 1)).isResult(t)
	w.end(t)
}

// TestLimitLoweredUnderServer: a server that has learnt one limit finds another.
func TestLimitLoweredUnderServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
	w := h.employ(rpc.ServerOptions{Workers: 4}, small, sized)
	client := h.newClient(rpc.ClientOptions{Timeout: prompt})
	steady := h.callSteadily(client, "small")
	call := func(n int) error {
		got, err := rpc.Call[string](context.Background(), client, "sized", rpc.Args{"n": n})
		if err == nil && len(got) != n {
			t.Errorf("got %d bytes, want %d", len(got), n)
		}
		return err
	}
	if err := call(tooLong); err != nil {
		t.Errorf("a result that Redis takes: %v", err)
	}
	h.do("config", "set", "proto-max-bulk-len", "1mb")
	for range 2 {
		if err := call(tooLong); err == nil {
			t.Error("a result that Redis does not take: got no error")
		}
		steady.await(5)
	}
	if err := call(fineStill); err != nil {
		t.Errorf("a result of %d bytes: %v", fineStill, err)
	}
	steady.stop()
	w.end(t)
}

// TestTransactionTooLongForRedis: Redis closes a connection on which a transaction
// comes that is longer in all than its client-query-buffer-limit. Calls and results of
// which each is short enough all come, also if they are ready at the same moment, and
// one that is too long fails alone.
func TestTransactionTooLongForRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t, "--client-query-buffer-limit", "1mb").Addr})
	const calls, size = 12, 200_000
	ready, goOn := make(chan struct{}, calls), make(chan struct{})
	w := h.employ(rpc.ServerOptions{Workers: 2 * calls}, small, sized, length, offer("together", func(_ context.Context, in struct{ N int }) (string, error) {
		ready <- struct{}{}
		<-goOn
		return strings.Repeat("x", in.N), nil
	}))
	client := h.newClient(rpc.ClientOptions{Timeout: prompt})
	outcomes := make(chan error, calls)
	for range calls {
		go func() {
			got, err := rpc.Call[string](context.Background(), client, "together", rpc.Args{"n": size})
			if err == nil && len(got) != size {
				t.Errorf("got %d bytes, want %d", len(got), size)
			}
			outcomes <- err
		}()
	}
	for range calls {
		next(t, ready)
	}
	close(goOn)
	for range calls {
		if err := next(t, outcomes); err != nil {
			t.Error(err)
		}
	}
	for range calls {
		go func() {
			outcomes <- client.Call(context.Background(), "length", rpc.Args{"x": strings.Repeat("x", size)}, nil)
		}()
	}
	for range calls {
		if err := next(t, outcomes); err != nil {
			t.Error(err)
		}
	}
	steady := h.callSteadily(client, "small")
	if err := client.Call(context.Background(), "sized", rpc.Args{"n": tooLong}, nil); err == nil {
		t.Error("a result that Redis does not take: got no error")
	}
	steady.await(5)
	is(t, client.Call(context.Background(), "length", rpc.Args{"x": strings.Repeat("x", tooLong)}, nil), rpc.ErrNotSent)
	steady.await(5)
	steady.stop()
	w.end(t)
}

// TestArgumentsTooLongForRedis: a call that Redis does not take is not sent, whatever
// the client knows of Redis's limit, and does no harm to others.
func TestArgumentsTooLongForRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--proto-max-bulk-len", "1mb")
	var scenarios []scenario
	for _, c := range []struct {
		name       string
		opt        rpc.ClientOptions
		restricted bool // CONFIG is forbidden
		send       bool // by Send
		lowered    bool // the limit, when the client has learnt another
	}{
		{name: "call"},
		{name: "call of an old client", opt: rpc.ClientOptions{NoExtensions: true}},
		{name: "call with few connections", opt: rpc.ClientOptions{MaxConns: 3}},
		{name: "send", send: true},
		{name: "call, CONFIG forbidden", restricted: true},
		{name: "call of an old client, CONFIG forbidden", opt: rpc.ClientOptions{NoExtensions: true}, restricted: true},
		{name: "send, CONFIG forbidden", send: true, restricted: true},
		{name: "call, limit lowered", lowered: true},
	} {
		scenarios = append(scenarios, scenario{strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			s := server
			if c.lowered {
				s = redistest.Start(t)
			}
			h := newHouse(t, &redis.Options{Addr: s.Addr})
			h.prefix = c.name
			add, entered, goOn := blocked("f")
			w := h.employ(rpc.ServerOptions{}, small, add, length)
			callers := h
			if c.restricted {
				h.do(restrictedUser...)
				callers = h.restricted()
			}
			callers, sent := callers.counting()
			c.opt.Timeout = prompt
			client := callers.newClient(c.opt)
			ctx := context.Background()
			const calls = 5
			var inFlight []<-chan outcome
			for n := range calls {
				inFlight = append(inFlight, callers.start(ctx, client, "f", n, rpc.Timeout(4*patience)))
				next(t, entered)
			}
			steady := callers.callSteadily(client, "small")
			steady.await(5)
			if c.lowered {
				h.do("config", "set", "proto-max-bulk-len", "1mb")
			}
			before := sent.written.Load()
			for range 2 {
				args := rpc.Args{"x": strings.Repeat("x", tooLong)}
				err := error(nil)
				if c.send {
					_, err = client.Send(ctx, "length", args)
				} else {
					err = client.Call(ctx, "length", args, nil)
				}
				is(t, err, rpc.ErrNotSent)
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want to be told at once", err)
				}
				if !c.restricted && !c.lowered && err != nil && !strings.Contains(err.Error(), lowLimit) {
					t.Errorf("got %v, want the limit in it", err)
				}
				if n, err := rpc.Call[int](ctx, client, "small", rpc.Args{"n": 7}); err != nil || n != 7 {
					t.Errorf("a call after it: got %v, %v", n, err)
				}
			}
			if n := sent.written.Load() - before; !c.restricted && !c.lowered && n > tooLong/2 { // of short calls
				t.Errorf("sent %d bytes meanwhile, want no call that Redis does not take", n)
			}
			if n, err := rpc.Call[int](ctx, client, "length", rpc.Args{"x": strings.Repeat("x", fineStill)}); err != nil || n != fineStill {
				t.Errorf("arguments of %d bytes: got %v, %v", fineStill, n, err)
			}
			steady.await(5)
			steady.stop()
			close(goOn)
			for _, ended := range inFlight {
				next(t, ended).isResult(t)
			}
			w.end(t)
			if got := w.Stats().Functions["length"].Calls; got != 1 {
				t.Errorf("%d calls with long arguments ran, want the one that was sent", got)
			}
			if n := h.rdb.Exists(ctx, h.prefix+":length:calls").Val(); n != 0 {
				t.Error("a call that was not sent is in the queue")
			}
		}})
	}
	atOnce(t, scenarios)
}

// TestArgumentsTooLongAmongOthers: many callers share what is sent. None of them has
// part in the failure of those whose arguments Redis does not take.
func TestArgumentsTooLongAmongOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t, "--proto-max-bulk-len", "1mb").Addr})
	h.do(restrictedUser...)
	var ran [400]atomic.Int32
	h.employ(rpc.ServerOptions{}, offer("count", func(_ context.Context, in struct{ N int }) (int, error) {
		ran[in.N].Add(1)
		return in.N, nil
	}))
	callers := h.restricted()
	client, ctx := callers.newClient(rpc.ClientOptions{Timeout: patience}), context.Background()
	outcomes := make(chan outcome, len(ran))
	for n := range ran {
		go func() {
			time.Sleep(time.Duration(n%20) * time.Millisecond)
			args := rpc.Args{"n": n}
			if n%40 == 0 {
				args["long"] = strings.Repeat("x", tooLong)
			}
			got, err := rpc.Call[int](ctx, client, "count", args)
			outcomes <- outcome{n: n, got: got, err: err}
		}()
	}
	for range ran {
		o := next(t, outcomes)
		if o.n%40 == 0 {
			is(t, o.err, rpc.ErrNotSent)
			continue
		}
		o.isResult(t)
	}
	for n := range ran {
		if got, want := ran[n].Load(), int32(min(n%40, 1)); got != want {
			t.Errorf("call %d ran %d times, want %d", n, got, want)
		}
	}
}
