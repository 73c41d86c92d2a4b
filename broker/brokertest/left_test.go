package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// A trial is a test that may fail without failing this one.
type trial struct {
	testing.TB
	errors []string
	logs   []string
	clean  []func()
}

func (f *trial) Helper()                      {}
func (f *trial) Failed() bool                 { return len(f.errors) > 0 }
func (f *trial) Cleanup(fn func())            { f.clean = append(f.clean, fn) }
func (f *trial) Error(args ...any)            { f.errors = append(f.errors, fmt.Sprint(args...)) }
func (f *trial) Logf(s string, args ...any)   { f.logs = append(f.logs, fmt.Sprintf(s, args...)) }
func (f *trial) Errorf(s string, args ...any) { f.errors = append(f.errors, fmt.Sprintf(s, args...)) }

// end runs what a test runs when it ends.
func (f *trial) end() {
	for i := len(f.clean) - 1; i >= 0; i-- {
		f.clean[i]()
	}
}

// expect fails the test unless there was one error with each of the texts.
func (f *trial) expect(t *testing.T, patterns ...string) {
	t.Helper()
	if len(f.errors) != len(patterns) {
		t.Fatalf("got %d errors, want %d: %q", len(f.errors), len(patterns), f.errors)
	}
	for i, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(f.errors[i]) {
			t.Errorf("got   %s\nwant  %s", f.errors[i], pattern)
		}
	}
}

// here is the place of its caller's caller, with a distance in lines.
func here(distance int) string {
	_, _, line, _ := runtime.Caller(1)
	return fmt.Sprintf(`dialled=left_test\.go:%d$`, line+distance)
}

func TestClientLeftConnected(t *testing.T) {
	t.Parallel()
	f, other := &trial{TB: t}, &trial{TB: t}
	b, _ := brokertest.Start(f)
	brokertest.Start(other)

	conn, err := b.Dial(t.Context(), "", "")
	want := here(-1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("CLIENT SETNAME forgotten\r\n")); err != nil {
		t.Fatal(err)
	}
	other.end()
	other.expect(t)
	f.end()
	f.expect(t, "the test left a client connected: id=.* name=forgotten .* "+want)
}

// The pools of go-redis dial in goroutines of their own: then it is who uses the
// connection first.
func TestGoRedisClientLeftConnected(t *testing.T) {
	t.Parallel()
	f := &trial{TB: t}
	b, _ := brokertest.Start(f)
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()
	err := rdb.Ping(t.Context()).Err()
	want := here(-1)
	if err != nil {
		t.Fatal(err)
	}
	sub := rdb.Subscribe(t.Context(), "c")
	wantSub := here(-1)
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	f.end()
	f.expect(t, want, wantSub)
}

// A socket that was closed just before the end is not left connected; one that was not
// is named by its address.
func TestSocketLeftConnected(t *testing.T) {
	t.Parallel()
	f := &trial{TB: t}
	b, _ := brokertest.Start(f)
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]net.Conn
	for i := range conns {
		if conns[i], err = net.Dial("tcp", addr.String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if _, err := conns[i].Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conns[i].Read(make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
	}
	conns[0].Close()
	f.end()
	f.expect(t, "the test left a client connected: id=.* addr="+regexp.QuoteMeta(conns[1].LocalAddr().String())+" ")
}

// A stubborn listener goes on waiting for a client when it is closed.
type stubborn struct{ release chan struct{} }

func (l stubborn) Accept() (net.Conn, error) {
	<-l.release
	return nil, net.ErrClosed
}
func (l stubborn) Close() error   { return errors.New("no") }
func (l stubborn) Addr() net.Addr { return &net.UnixAddr{Name: "stubborn", Net: "unix"} }

func TestGoroutineLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &trial{TB: t}
		b, _ := brokertest.Start(f)
		l := stubborn{make(chan struct{})}
		if err := b.Serve(l); err != nil {
			t.Fatal(err)
		}
		f.end()
		f.expect(t, "still running after 5 s: listener stubborn")
		close(l.release)
	})
}

// Clients that leave when the test's context ends are not left connected.
func TestClientOnItsWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &trial{TB: t}
		ctx, cancel := context.WithCancel(t.Context())
		b, _ := brokertest.Start(f)
		conn, err := b.Dial(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		cancel()
		f.end()
		f.expect(t)
	})
}

// A test that has failed shows the last commands; one that has passed does not.
func TestLog(t *testing.T) {
	t.Parallel()
	f := &trial{TB: t}
	_, rdb := brokertest.Start(f)
	for range 60 {
		if err := rdb.Get(t.Context(), "k").Err(); err != redis.Nil {
			t.Fatal(err)
		}
	}
	f.Error("failed")
	f.end()
	if len(f.logs) != 1 || strings.Count(f.logs[0], "get k -> nil") != 50 || strings.Contains(f.logs[0], "hello") {
		t.Errorf("expected the last 50 commands, got %q", f.logs)
	}
	f = &trial{TB: t}
	_, rdb = brokertest.Start(f)
	if err := rdb.Get(t.Context(), "k").Err(); err != redis.Nil {
		t.Fatal(err)
	}
	f.end()
	if len(f.errors)+len(f.logs) != 0 {
		t.Errorf("got %q, %q", f.errors, f.logs)
	}
}

// In strict mode go-redis connects without a violation; what it is made to do wrong is
// shown with the log.
func TestStrict(t *testing.T) {
	t.Parallel()
	f := &trial{TB: t}
	_, rdb := brokertest.Start(f, broker.Options{Strict: true})
	if err := rdb.Watch(t.Context(), func(tx *redis.Tx) error { return tx.Get(t.Context(), "k").Err() }, "k"); err != redis.Nil {
		t.Fatal(err)
	}
	if err := rdb.Do(t.Context(), "EVAX", "return 1", 0).Err(); err == nil {
		t.Fatal("EVAX is known")
	}
	conn := rdb.Conn()
	if err := conn.Do(t.Context(), "WATCH", "k").Err(); err != nil {
		t.Fatal(err)
	}
	f.end()
	f.expect(t, `EVAX "return 1" 0 -> refused: ERR unknown command 'EVAX'`, `WATCH k -> value; the connection ended before EXEC or UNWATCH \(watched: 1\)`)
	if len(f.logs) != 1 || !strings.Contains(f.logs[0], `EVAX "return 1" 0 -> refused`) {
		t.Errorf("got the log %q", f.logs)
	}
}

// The log of a test that failed leaves out what go-redis sends by itself, unless that
// failed, and nothing that the test sent.
func TestLogWithoutGreetings(t *testing.T) {
	t.Parallel()
	f := &trial{TB: t}
	b, rdb := brokertest.Start(f)
	ctx := t.Context()
	o := brokertest.ClientOptions(b, "")
	o.DB, o.ClientName = 3, "worker"
	named := redis.NewClient(o)
	defer named.Close()
	send := func(c redis.Cmdable, args ...any) {
		t.Helper()
		if err := c.(interface {
			Do(context.Context, ...any) *redis.Cmd
		}).Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	send(rdb, "SET", "a", "b")
	send(rdb, "HELLO", "3") // by the test
	send(named, "PING")
	if err := named.Close(); err != nil {
		t.Fatal(err)
	}
	rule, err := b.Inject(broker.Fault{Command: "hello", Error: "ERR no"})
	if err != nil {
		t.Fatal(err)
	}
	refused := redis.NewClient(brokertest.ClientOptions(b, ""))
	send(refused, "PING")
	rule.Remove()
	if err := refused.Close(); err != nil {
		t.Fatal(err)
	}
	f.Error("it failed")
	f.end()
	var got []string
	for line := range strings.Lines(f.logs[0]) {
		if _, shown, ok := strings.Cut(line, " client "); ok {
			got = append(got, strings.TrimSpace(shown))
		}
	}
	if want := []string{
		"1 db 0: SET a b -> value",
		"1 db 0: HELLO 3 -> value",
		"2 (worker) db 3: select 3 -> value",
		"2 (worker) db 3: client setname worker -> value",
		"2 (worker) db 3: PING -> value",
		"3 db 0: hello 3 -> refused: ERR no",
		"3 db 0: PING -> value",
	}; !slices.Equal(got, want) {
		t.Errorf("the log has\n%s", strings.Join(got, "\n"))
	}
}

// The example is one.
func TestExample(t *testing.T) {
	t.Run("worker", testWorker)
	t.Run("lock", testLock)
}
