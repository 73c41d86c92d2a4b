package rpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
	"redrpc/internal/tlstest"
	"redrpc/rpc"
)

func newBroker(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.New(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return b
}

func inMemory(b *broker.Broker) *redis.Options {
	return &redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial}
}

func listening(t *testing.T, b *broker.Broker) string {
	t.Helper()
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

func TestOnBroker(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) *redis.Options { return inMemory(newBroker(t)) })
}

// A part of the suite, for sockets of the broker: what moves many bytes, many calls, and
// what ends connections.
var overSockets = []tenet{{"values", testValues}, {"each call once", testEachCallOnce}, {"killed connections", testKilledConnections}, {"stalled Redis", testStalledRedis}}

func TestOnBrokerOverTCP(t *testing.T) {
	t.Parallel()
	for _, f := range fleets {
		hold(t, func(t *testing.T) *redis.Options { return &redis.Options{Addr: listening(t, newBroker(t))} }, f, string(f), overSockets)
	}
}

func TestOnBrokerOverTLS(t *testing.T) {
	t.Parallel()
	certificate, pool := tlstest.Certificate()
	start := func(t *testing.T) *redis.Options {
		addr, err := newBroker(t).ListenTLS("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			t.Fatal(err)
		}
		return &redis.Options{Addr: addr.String(), TLSConfig: &tls.Config{RootCAs: pool}}
	}
	for _, f := range []fleet{newFleet, oldClient} {
		hold(t, start, f, string(f), overSockets)
	}
}

func TestPythonOnBroker(t *testing.T) {
	t.Parallel()
	pythonSuite(t, redistest.Python(t, "redis"), listening(t, newBroker(t)))
}

// bubble is a test in fake time: minutes pass in milliseconds, and are exact. It is
// run for each fleet.
func bubble(t *testing.T, test func(*house)) {
	for _, f := range fleets {
		t.Run(string(f), func(t *testing.T) { bubbleOf(t, f, test) })
	}
}

func bubbleOf(t *testing.T, f fleet, test func(*house)) {
	synctest.Test(t, func(t *testing.T) {
		opt := inMemory(newBroker(t))
		opt.MaxRetries = -1
		rdb := redis.NewClient(opt)
		t.Cleanup(func() { rdb.Close() })
		test(&house{T: t, rdb: rdb, prefix: "p", fleet: f})
	})
}

// ends checks that call ends after d exactly.
func ends(h *house, name string, d time.Duration, call func() error, kind error, others ...error) {
	h.Helper()
	start := time.Now()
	err := call()
	is(h.T, err, kind, others...)
	if took := time.Since(start); took != d {
		h.Errorf("%s: ended after %v, want %v", name, took, d)
	}
}

func TestTimeoutsAreExact(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		client, ctx := h.client(rpc.ClientOptions{}), context.Background()
		ends(h, "the default", time.Second, func() error {
			return client.Call(ctx, "f", nil, nil)
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		ends(h, "short", 250*time.Microsecond, func() error {
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(250*time.Microsecond))
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		ends(h, "several slices", 10*time.Minute+time.Millisecond, func() error {
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(10*time.Minute+time.Millisecond))
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		ends(h, "of the context", 1900*time.Millisecond, func() error {
			ctx, cancel := context.WithTimeout(ctx, 1900*time.Millisecond)
			defer cancel()
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(time.Hour))
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		ends(h, "cancelled", 1500*time.Millisecond, func() error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(1500*time.Millisecond, cancel)
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(time.Hour))
		}, rpc.ErrNoResult, context.Canceled)
	})
}

// TestLastMoment: a result just before the timeout is a result, whatever the
// slices; and one just after it is dropped.
func TestLastMoment(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		h.serve(rpc.ServerOptions{}, offer("wait", func(_ context.Context, in struct{ D time.Duration }) (time.Duration, error) {
			time.Sleep(in.D)
			return in.D, nil
		}))
		client, ctx := h.client(rpc.ClientOptions{Timeout: 3 * time.Second}), context.Background()
		if err := client.Call(ctx, "wait", rpc.Args{"d": 0}, nil); err != nil { // finds out who answers
			h.Fatal(err)
		}
		for _, d := range []time.Duration{0, time.Second, time.Second + 1, 2999 * time.Millisecond} {
			start := time.Now()
			got, err := rpc.Call[time.Duration](ctx, client, "wait", rpc.Args{"d": d})
			if took := time.Since(start); err != nil || got != d || took != d {
				h.Errorf("%v: got %v, %v after %v", d, got, err, took)
			}
		}
		ends(h, "late", 3*time.Second, func() error {
			return client.Call(ctx, "wait", rpc.Args{"d": 3001 * time.Millisecond}, nil)
		}, rpc.ErrNoResult, context.DeadlineExceeded)
	})
}

// TestGivenUpCallFreesItsConnection: at once, whether its context ended or its time.
func TestGivenUpCallFreesItsConnection(t *testing.T) {
	t.Parallel()
	bubbleOf(t, oldClient, func(h *house) {
		client, ctx := h.client(rpc.ClientOptions{MaxConns: 1, Timeout: time.Hour}), context.Background()
		short, cancel := context.WithCancel(ctx)
		time.AfterFunc(300*time.Millisecond, cancel)
		ends(h, "given up", 300*time.Millisecond, func() error {
			return client.Call(short, "f", nil, nil)
		}, rpc.ErrNoResult, context.Canceled)
		answered := h.answerOnce("g", `{"res":7}`)
		start := time.Now()
		got, err := rpc.Call[int](ctx, client, "g", nil)
		if took := time.Since(start); err != nil || got != 7 || took != 0 {
			h.Errorf("another at once: got %v, %v after %v, want 7 after no time", got, err, took)
		}
		<-answered

		short, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		ends(h, "out of time", 300*time.Millisecond, func() error {
			return client.Call(short, "f", nil, nil)
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		ends(h, "another at once", time.Millisecond, func() error {
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(time.Millisecond))
		}, rpc.ErrNoResult, context.DeadlineExceeded)
	})
}

// TestNotSentIsNeverSent: a call given up while its connection is dialled is
// not sent when the connection is there at last.
func TestNotSentIsNeverSent(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		opt, goOn := h.rdb.Options(), make(chan struct{})
		dial := opt.Dialer
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-goOn
			return dial(ctx, network, addr)
		}
		client, ctx := h.client(rpc.ClientOptions{}), context.Background()
		ends(h, "while dialling", time.Second, func() error {
			return client.Call(ctx, "f", nil, nil)
		}, rpc.ErrNotSent, context.DeadlineExceeded)
		close(goOn)
		synctest.Wait()
		if n := h.rdb.LLen(ctx, h.prefix+":f:calls").Val(); n != 0 {
			h.Errorf("got %d calls in the queue, want none", n)
		}
		ends(h, "next", 10*time.Millisecond, func() error {
			return client.Call(ctx, "f", nil, nil, rpc.Timeout(10*time.Millisecond))
		}, rpc.ErrNoResult, context.DeadlineExceeded)
		if n := h.rdb.LLen(ctx, h.prefix+":f:calls").Val(); n != 1 {
			h.Errorf("got %d calls in the queue, want one", n)
		}
	})
}

// TestSlowDial: a connection that takes longer to set up than its call may take
// is there for the calls after it, and a call that was given up is not sent.
func TestSlowDial(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		var ran atomic.Int32
		h.serve(rpc.ServerOptions{}, offer("count", func(context.Context, struct{}) (int32, error) { return ran.Add(1), nil }))
		synctest.Wait()
		const timeout, latency, conns = 60 * time.Millisecond, 200 * time.Millisecond, 8
		opt := *h.rdb.Options()
		dial := opt.Dialer
		var dials atomic.Int32
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			time.Sleep(latency)
			return dial(ctx, network, addr)
		}
		rdb := redis.NewClient(&opt)
		defer rdb.Close()
		slow := &house{T: h.T, rdb: rdb, prefix: h.prefix, fleet: h.fleet}
		client := slow.client(rpc.ClientOptions{Timeout: timeout, MaxConns: conns})
		const calls = 50
		var answered, unanswered int32
		for n := range calls {
			_, err := rpc.Call[int32](context.Background(), client, "count", nil)
			if err == nil {
				answered++
				continue
			}
			kind := rpc.ErrNotSent
			if h.fleet != newFleet && errors.Is(err, rpc.ErrNoResult) { // the connection to read the result over is still to come
				kind = rpc.ErrNoResult
				unanswered++
			}
			if is(h.T, err, kind, context.DeadlineExceeded); n > 4*int(latency/timeout) {
				h.Errorf("call %d: got %v, want an answer by now", n, err)
			}
		}
		if n := dials.Load(); n > conns || answered == 0 || ran.Load() != answered+unanswered {
			h.Errorf("got %d dials, %d calls answered and %d run, want up to %d, some, and the same", n, answered, ran.Load(), conns)
		}
	})
}

// TestCloseTwice: a second Close waits like the first.
func TestCloseTwice(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		opt, unstick := h.rdb.Options(), make(chan struct{})
		dial := opt.Dialer
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return sticky{conn, unstick}, err
		}
		client := h.client(rpc.ClientOptions{Timeout: time.Hour})
		failed, closed := make(chan error, 1), make(chan error, 2)
		go func() { failed <- client.Call(context.Background(), "f", nil, nil) }()
		synctest.Wait()
		for range 2 {
			go func() { closed <- client.Close() }()
			synctest.Wait()
			if len(closed) != 0 {
				h.Error("Close returned while a wait goes on")
			}
		}
		close(unstick)
		for range 2 {
			if err := <-closed; err != nil {
				h.Errorf("Close: %v", err)
			}
		}
		is(h.T, <-failed, rpc.ErrNoResult, redis.ErrClosed)
	})
}

// TestRedisAway: while Redis is away a server tries again and again, but less
// and less often, and stops at once; when Redis is back it serves.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		opt := h.rdb.Options()
		dial := opt.Dialer
		var away atomic.Bool
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if away.Load() {
				return nil, errors.New("away")
			}
			return dial(ctx, network, addr)
		}
		client := h.client(rpc.ClientOptions{Timeout: 5 * time.Second})
		for _, back := range []bool{true, false} {
			away.Store(true)
			w := h.hire(rpc.ServerOptions{}, echo)
			w.run(context.Background())
			time.Sleep(time.Minute)
			// Pauses are of 1 s to 2 s in the end.
			if tries := strings.Count(w.log.String(), "does not give calls"); tries < 30 || tries > 70 {
				h.Errorf("got %d tries in a minute, want about 45", tries)
			}
			if back {
				away.Store(false)
				if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": 1}); err != nil || x != 1 {
					h.Errorf("when Redis is back: got %v, %v", x, err)
				}
			}
			start := time.Now()
			w.stop(h.T)
			if took := time.Since(start); took != 0 {
				h.Errorf("stopping took %v, want no time", took)
			}
		}
	})
}

// A sticky connection notices late that it was closed.
type sticky struct {
	net.Conn
	unstick chan struct{}
}

func (c sticky) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		<-c.unstick
	}
	return n, err
}

// TestCloseWaits: Close returns when nothing runs any more, not sooner.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		opt, unstick := h.rdb.Options(), make(chan struct{})
		dial := opt.Dialer
		opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return sticky{conn, unstick}, err
		}
		client, err := rpc.NewClient(h.rdb, rpc.ClientOptions{Timeout: time.Hour})
		if err != nil {
			h.Fatal(err)
		}
		failed, closed := make(chan error, 1), make(chan error, 1)
		go func() { failed <- client.Call(context.Background(), "f", nil, nil) }()
		synctest.Wait()
		go func() { closed <- client.Close() }()
		synctest.Wait()
		is(h.T, <-failed, rpc.ErrNoResult, redis.ErrClosed) // the caller does not wait
		select {
		case err := <-closed:
			h.Errorf("Close returned %v while a wait goes on", err)
		default:
		}
		close(unstick)
		if err := <-closed; err != nil {
			h.Errorf("Close: %v", err)
		}
	})
}

// TestHeartbeat: a server is listed as long as it runs, and no longer.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		servers := func() int {
			ids, err := rpc.Servers(context.Background(), h.rdb, h.prefix, "")
			if err != nil {
				h.Fatal(err)
			}
			return len(ids)
		}
		w := h.serve(rpc.ServerOptions{}, echo)
		synctest.Wait()
		for range 100 {
			if servers() != 1 {
				h.Fatal("a server that runs is not listed")
			}
			time.Sleep(99 * time.Millisecond)
		}
		w.stop(h.T)
		if servers() != 0 {
			h.Error("a server that stopped is listed")
		}
	})
}

// TestStopTakesNoTime: an idle server needs no time to stop, a busy one as long
// as its handlers, and less if patience ends.
func TestStopTakesNoTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(h *house) {
		nap := offer("nap", func(ctx context.Context, _ struct{}) (int, error) {
			select {
			case <-time.After(10 * time.Second):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		client := h.client(rpc.ClientOptions{Timeout: time.Minute})
		for _, c := range []struct {
			name           string
			busy           bool
			patience, want time.Duration
		}{
			{"idle", false, time.Minute, 0},
			{"busy", true, time.Minute, 10 * time.Second},
			{"impatient", true, 3 * time.Second, 3 * time.Second},
		} {
			w := h.hire(rpc.ServerOptions{}, nap)
			w.run(context.Background())
			outcome := make(chan error, 1)
			if c.busy {
				go func() { outcome <- client.Call(context.Background(), "nap", nil, nil) }()
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), c.patience)
			start := time.Now()
			err := w.Stop(ctx)
			w.wait(h.T)
			cancel()
			impatient := c.want == c.patience
			if took := time.Since(start); took != c.want || errors.Is(err, context.DeadlineExceeded) != impatient {
				h.Errorf("%s: stopped after %v with %v, want %v", c.name, took, err, c.want)
			}
			if !c.busy {
				continue
			}
			if err := <-outcome; impatient {
				isRemote(h.T, err, "context canceled")
			} else if err != nil {
				h.Errorf("%s: the call got %v", c.name, err)
			}
		}
	})
}
