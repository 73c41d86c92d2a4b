package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// newHouse is a Redis of its own for a test.
func newHouse(t *testing.T, opt *redis.Options) *house {
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { rdb.Close() })
	return &house{T: t, rdb: rdb, prefix: "p"}
}

// with makes the clients and servers of a house those of a fleet.
func (h *house) with(f fleet) *house {
	h.fleet = f
	return h
}

// inEachFleet runs a test for each fleet.
func inEachFleet(t *testing.T, test func(*testing.T, fleet)) {
	for _, f := range fleets {
		t.Run(string(f), func(t *testing.T) { test(t, f) })
	}
}

// A wire is a connection on which a reply can be lost: what was written goes
// out, but once it was a command to cut at, the next read finds the connection
// gone.
type wire struct {
	net.Conn
	cut  func(string) bool
	lost *atomic.Int32 // counts replies lost
	hit  atomic.Bool
}

func (w *wire) Write(p []byte) (int, error) {
	if w.cut(strings.ToLower(string(p))) {
		w.hit.Store(true)
	}
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p) // the reply is there, so Redis has run the command
	if w.hit.Load() {
		w.lost.Add(1)
		w.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// losing dials addr for connections that lose the replies to what cut says.
func losing(addr string, cut func(string) bool) (*redis.Options, *atomic.Int32) {
	var lost atomic.Int32
	return &redis.Options{Addr: addr, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wire{Conn: conn, cut: cut, lost: &lost}, nil
	}}, &lost
}

// untilLost makes a call that ends by its timeout, with the shortest one within which this
// machine comes to the reply that is lost.
func untilLost(lost *atomic.Int32, call func(timeout time.Duration) error) (err error) {
	for timeout := time.Second; ; timeout *= 2 {
		if err = call(timeout); lost.Load() > 0 || timeout > patience {
			return err
		}
	}
}

// TestReplyToPushLost: the call is in the queue, once, and its result is waited for
// over another connection. If none comes the caller is told of both.
func TestReplyToPushLost(t *testing.T) {
	t.Parallel()
	inEachFleet(t, func(t *testing.T, f fleet) {
		addr := redistest.Start(t).Addr
		opt, lost := losing(addr, func(sent string) bool { return strings.Contains(sent, `"kw"`) })
		h := newHouse(t, opt)
		h.fleet = f
		client := h.client(rpc.ClientOptions{})
		err := untilLost(lost, func(timeout time.Duration) error {
			return client.Call(context.Background(), "f", nil, nil, rpc.Timeout(timeout))
		})
		is(t, err, rpc.ErrNoResult, io.ErrUnexpectedEOF, context.DeadlineExceeded)
		plain := newHouse(t, &redis.Options{Addr: addr})
		if n := plain.rdb.LLen(context.Background(), "p:f:calls").Val(); n != 1 || lost.Load() != 1 {
			t.Errorf("got %d calls in the queue and %d lost replies, want one each", n, lost.Load())
		}
		var ran atomic.Int32
		plain.serve(rpc.ServerOptions{}, offer("count", func(context.Context, struct{}) (int32, error) { return ran.Add(1), nil }))
		for n := range int32(3) {
			got, err := rpc.Call[int32](context.Background(), client, "count", nil, rpc.Timeout(time.Minute))
			if err != nil || got != n+1 || ran.Load() != n+1 {
				t.Errorf("call %d: got %d, %v after %d runs", n+1, got, err, ran.Load())
			}
		}
	})
}

// TestReplyToPopLost: the result was popped and lost with the connection, as it can be
// for an old client.
func TestReplyToPopLost(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	opt, lost := losing(addr, func(sent string) bool { return strings.Contains(sent, "blpop") })
	newHouse(t, &redis.Options{Addr: addr}).serve(rpc.ServerOptions{}, echo)
	h := newHouse(t, opt).with(oldClient)
	client := h.client(rpc.ClientOptions{})
	err := untilLost(lost, func(timeout time.Duration) error {
		return client.Call(context.Background(), "echo", rpc.Args{"x": 1}, nil, rpc.Timeout(timeout))
	})
	is(t, err, rpc.ErrNoResult, io.ErrUnexpectedEOF, context.DeadlineExceeded)
	if lost.Load() == 0 {
		t.Error("no reply was lost")
	}
}

// TestReplyToReadLost: a result stays where it is until it has been read, so it is read
// again.
func TestReplyToReadLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fleet   fleet
		command string
		long    bool
	}{
		{newFleet, "blmove", false},
		{newFleet, "lindex", true},
		{oldServers, "lindex", false},
	} {
		t.Run(fmt.Sprintf("%s/%s", c.fleet, c.command), func(t *testing.T) {
			addr := redistest.Start(t).Addr
			var cut atomic.Int32
			opt, lost := losing(addr, func(sent string) bool {
				return strings.Contains(sent, c.command) && !strings.Contains(sent, "multi") && cut.Add(1) <= 3
			})
			add, entered, goOn := blocked("f")
			newHouse(t, &redis.Options{Addr: addr}).with(c.fleet).serve(rpc.ServerOptions{}, add,
				offer("long", func(context.Context, struct{}) (string, error) { return strings.Repeat("x", 100_000), nil }))
			client := newHouse(t, opt).with(c.fleet).client(rpc.ClientOptions{Timeout: patience})
			if c.long {
				got, err := rpc.Call[string](context.Background(), client, "long", nil)
				if err != nil || len(got) != 100_000 {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			} else {
				const calls = 10
				outcomes := make(chan error, calls)
				for n := range calls {
					go func() {
						got, err := rpc.Call[int](context.Background(), client, "f", rpc.Args{"n": n})
						if err == nil && got != n {
							err = fmt.Errorf("got %d, want %d", got, n)
						}
						outcomes <- err
					}()
				}
				for range calls {
					next(t, entered)
				}
				close(goOn)
				for range calls {
					if err := next(t, outcomes); err != nil {
						t.Error(err)
					}
				}
			}
			if lost.Load() == 0 {
				t.Error("no reply was lost")
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testConnectionRefused)
}

func testConnectionRefused(t *testing.T, f fleet) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	var dials atomic.Int32
	opt := &redis.Options{Addr: l.Addr().String(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	err = newHouse(t, opt).with(f).client(rpc.ClientOptions{Timeout: patience}).Call(context.Background(), "f", nil, nil)
	is(t, err, rpc.ErrNotSent, syscall.ECONNREFUSED)
	if want := "rpc: f: not sent: dial tcp " + l.Addr().String(); !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got error %q, want %q", err, want)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("dialled %d times, want once", n)
	}
}

// silent is the address of a listener that accepts and never says a word.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, conn := range conns {
			conn.Close()
		}
	})
	return l.Addr().String()
}

// TestSilentRedis: callers and Close don't wait for a Redis that says nothing.
func TestSilentRedis(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testSilentRedis)
}

func testSilentRedis(t *testing.T, f fleet) {
	h := newHouse(t, &redis.Options{Addr: silent(t)})
	client := h.with(f).client(rpc.ClientOptions{})
	start := time.Now()
	err := client.Call(context.Background(), "f", nil, nil, rpc.Timeout(30*time.Millisecond))
	is(t, err, rpc.ErrNotSent, context.DeadlineExceeded) // the connection is not set up, so nothing went out
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	is(t, client.Call(ctx, "f", nil, nil), rpc.ErrNotSent, context.Canceled)
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("two calls and Close took %v, want about 60ms", took)
	}
}

// TestDialHangs: neither do they wait for a dialler.
func TestDialHangs(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testDialHangs)
}

func testDialHangs(t *testing.T, f fleet) {
	opt := &redis.Options{Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	client := newHouse(t, opt).with(f).client(rpc.ClientOptions{})
	start := time.Now()
	err := client.Call(context.Background(), "f", nil, nil, rpc.Timeout(30*time.Millisecond))
	is(t, err, rpc.ErrNotSent, context.DeadlineExceeded)
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("a call and Close took %v, want about 30ms", took)
	}
}

// TestRedisKilledInMidCall: a call that runs while Redis is replaced by an empty one
// at the same place is answered all the same. Calls in between are not sent, and
// learn it at once; client and server go on with the new Redis.
func TestRedisKilledInMidCall(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testRedisKilledInMidCall)
}

func testRedisKilledInMidCall(t *testing.T, f fleet) {
	var mu sync.Mutex
	server := redistest.Start(t)
	opt := &redis.Options{Addr: "redis:1", Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Addr)
	}}
	h := newHouse(t, opt)
	h.fleet = f
	add, entered, goOn := blocked("f")
	w := h.serve(rpc.ServerOptions{}, add, echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	const calls = 5
	outcomes := make(chan error)
	for range calls {
		go func() {
			n, err := rpc.Call[int](context.Background(), client, "f", rpc.Args{"n": 1})
			if err == nil && n != 1 {
				err = fmt.Errorf("got %d, want 1", n)
			}
			outcomes <- err
		}()
		next(t, entered)
	}
	server.Stop()
	between := func() error {
		return client.Call(context.Background(), "echo", rpc.Args{"x": 1}, nil, rpc.Timeout(time.Second))
	}
	err := between()
	for errors.Is(err, rpc.ErrNoResult) { // the end of the connection was not known yet
		err = between()
	}
	is(t, err, rpc.ErrNotSent, syscall.ECONNREFUSED)
	close(goOn) // the results cannot be delivered now

	other := redistest.Start(t)
	mu.Lock()
	server = other
	mu.Unlock()
	if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": 2}); err != nil || x != 2 {
		t.Errorf("after a restart of Redis: got %v, %v", x, err)
	}
	for range calls {
		if err := next(t, outcomes); err != nil {
			t.Errorf("a call that ran during the restart: %v", err)
		}
	}
	w.stop(t)
	if log := w.log.String(); strings.Contains(log, "result lost") || !strings.Contains(log, "does not give calls") {
		t.Errorf("got log %s, want the failed pops and no lost result", log)
	}
}

// TestRefused: Redis says no, and nothing is in the queue.
func TestRefused(t *testing.T) {
	t.Parallel()
	inEachFleet(t, testRefused)
}

func testRefused(t *testing.T, f fleet) {
	addr := redistest.Start(t).Addr
	admin := redis.NewClient(&redis.Options{Addr: addr})
	defer admin.Close()
	ctx := context.Background()
	must := func(args ...any) {
		t.Helper()
		if err := admin.Do(ctx, args...).Err(); err != nil {
			t.Fatal(args, err)
		}
	}
	must("acl", "setuser", "nopush", "on", "nopass", "~*", "+@all", "-rpush")
	must("acl", "setuser", "nokey", "on", "nopass", "~other:*", "+@all")
	must("acl", "setuser", "nomulti", "on", "nopass", "~*", "+@all", "-multi")
	as := func(user string, opts ...rpc.CallOption) error {
		client := newHouse(t, &redis.Options{Addr: addr, Username: user, Password: "any"}).with(f).client(rpc.ClientOptions{Timeout: patience})
		return client.Call(ctx, "f", nil, nil, opts...)
	}
	refused := func(err error, prefix string) {
		t.Helper()
		is(t, err, rpc.ErrNotSent)
		if !redis.HasErrorPrefix(err, prefix) {
			t.Errorf("got error %v, want %s", err, prefix)
		}
		if n := admin.Exists(ctx, "p:f:calls").Val(); n != 0 {
			t.Errorf("%s: the call is in the queue", prefix)
		}
	}
	refused(as("nopush"), "NOPERM")
	refused(as("nokey"), "NOPERM")
	must("config", "set", "maxmemory", "1")
	refused(as("default"), "OOM")
	must("config", "set", "maxmemory", "0")
	must("replicaof", "127.0.0.1", "1")
	refused(as("default"), "READONLY")
	must("replicaof", "no", "one")
	must("config", "set", "requirepass", "secret")
	err := as("default")
	is(t, err, rpc.ErrNotSent)
	if !redis.HasErrorPrefix(err, "WRONGPASS") {
		t.Errorf("got error %v, want WRONGPASS", err)
	}
	must("config", "set", "requirepass", "")

	// What could not be executed is not taken for sent by what comes after it.
	must("acl", "setuser", "noexec", "on", "nopass", "~*", "+@all", "-exec")
	client := newHouse(t, &redis.Options{Addr: addr, Username: "noexec", Password: "any"}).with(f).client(rpc.ClientOptions{Timeout: patience})
	for range 3 {
		_, err := client.Send(ctx, "f", nil)
		is(t, err, rpc.ErrNotSent)
		if !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("got error %v, want NOPERM", err)
		}
	}

	// Without MULTI the call goes out all the same, so it is not "not sent".
	_, err = unanswered(func(timeout time.Duration) error { return as("nomulti", rpc.Timeout(timeout)) })
	is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
	if n := admin.LLen(ctx, "p:f:calls").Val(); n != 1 {
		t.Errorf("without MULTI got %d calls in the queue, want 1", n)
	}
}

// TestWithoutBLMPOP runs a server on a Redis that takes it for unknown or forbids it.
func TestWithoutBLMPOP(t *testing.T) {
	t.Parallel()
	for _, arg := range [][]string{{"--rename-command", "BLMPOP", ""}, {"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-blmpop"}} {
		h := newHouse(t, &redis.Options{Addr: redistest.Start(t, arg...).Addr})
		w := h.serve(rpc.ServerOptions{}, echo)
		client := h.client(rpc.ClientOptions{Timeout: time.Minute})
		for n := range 20 {
			if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": n}); err != nil || x != n {
				t.Errorf("%q: call %d: got %v, %v", arg, n, x, err)
			}
		}
		w.stop(t)
		if log := w.log.String(); log != "" {
			t.Errorf("%q: got log %s, want nothing to complain about", arg, log)
		}
	}
}

// TestOptions checks that wrong values are refused by name.
func TestOptions(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer rdb.Close()
	ring := redis.NewRing(&redis.RingOptions{HeartbeatFrequency: time.Hour})
	defer ring.Close()
	client := func(rdb redis.UniversalClient, opt rpc.ClientOptions) error {
		_, err := rpc.NewClient(rdb, opt)
		return err
	}
	server := func(rdb redis.UniversalClient, opt rpc.ServerOptions) error {
		_, err := rpc.NewServer(rdb, opt)
		return err
	}
	for want, err := range map[string]error{
		"NewClient: expected a non-nil *redis.Client": client(nil, rpc.ClientOptions{}),
		"got *redis.Ring":                             client(ring, rpc.ClientOptions{}),
		"ClientOptions.Timeout":                       client(rdb, rpc.ClientOptions{Timeout: -1}),
		"ClientOptions.Expiry":                        client(rdb, rpc.ClientOptions{Expiry: -1}),
		"ClientOptions.MaxConns":                      client(rdb, rpc.ClientOptions{MaxConns: -1}),
		"NewServer: expected a non-nil *redis.Client": server((*redis.Client)(nil), rpc.ServerOptions{}),
		"ServerOptions.Kind":                          server(rdb, rpc.ServerOptions{Kind: "a:b"}),
		"ServerOptions.ID":                            server(rdb, rpc.ServerOptions{ID: "a:b"}),
		"ServerOptions.Workers":                       server(rdb, rpc.ServerOptions{Workers: -1}),
		"ServerOptions.Heartbeat":                     server(rdb, rpc.ServerOptions{Heartbeat: -1}),
		"ServerOptions.Expiry":                        server(rdb, rpc.ServerOptions{Expiry: -1}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
	s, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(s); err != nil {
		t.Fatal(err)
	}
	var none func(context.Context, struct{}) (int, error)
	for want, err := range map[string]error{
		"there is one already":          echo(s),
		"expected the name":             rpc.Handle(s, "", func(context.Context, struct{}) (int, error) { return 0, nil }),
		"and the function":              rpc.Handle(s, "none", none),
		"expected a handler that takes": rpc.Handle(s, "int", func(context.Context, int) (int, error) { return 0, nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// TestDerived checks that the caller's options count: credentials, database,
// and what is done on connect; and that the caller's connections are left alone.
func TestDerived(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t, "--requirepass", "secret").Addr
	var connected atomic.Int32
	h := newHouse(t, &redis.Options{
		Addr: addr, DB: 3, ReadTimeout: -1, WriteTimeout: -2, PoolSize: 1, MaxActiveConns: 1,
		CredentialsProvider: func() (string, string) { return "default", "secret" },
		OnConnect: func(ctx context.Context, cn *redis.Conn) error {
			connected.Add(1)
			return cn.ClientSetName(ctx, fmt.Sprintf("n%d", connected.Load())).Err()
		},
	})
	h.serve(rpc.ServerOptions{}, echo)
	client := h.client(rpc.ClientOptions{Timeout: time.Minute})
	if x, err := rpc.Call[int](context.Background(), client, "echo", rpc.Args{"x": 1}); err != nil || x != 1 {
		t.Errorf("got %v, %v", x, err)
	}
	if stats := h.rdb.PoolStats(); stats.TotalConns != 0 || connected.Load() < 3 {
		t.Errorf("got %d connections of the caller's and %d of our own, want 0 and some", stats.TotalConns, connected.Load())
	}
	keys := h.rdb.Keys(context.Background(), "p:*").Val()
	if len(keys) == 0 {
		t.Error("database 3 has no heartbeat")
	}
}
