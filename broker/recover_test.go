package broker

import (
	"bytes"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// A logbook is a logger that remembers.
type logbook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// addBrokenRows adds commands that fail in their handler, behind it, and while a
// blocked client is served.
func addBrokenRows(t testing.TB) {
	addRow(t, &command.Command{Name: "broken", Arity: -1, Flags: command.Write, Run: func(*keyspace.Call, [][]byte) resp.Reply { panic("oh") }})
	addRow(t, &command.Command{Name: "odd", Arity: 1, Run: func(*keyspace.Call, [][]byte) resp.Reply { return resp.Reply{Kind: resp.KindWait} }})
	addRow(t, &command.Command{Name: "brokenpop", Arity: 2, Run: func(_ *keyspace.Call, args [][]byte) resp.Reply {
		return (&keyspace.Wait{
			Keys: [][]byte{args[1]}, Serve: func(*keyspace.Call, *keyspace.Entry) (resp.Reply, bool) { panic("oh") }, Refused: resp.Null, Late: resp.Null,
		}).Reply()
	}})
}

// expectNothingLeft fails the test if a client waits for a key, or watches one.
func expectNothingLeft(t testing.TB, b *Broker) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats.blocked != 0 || len(b.blocked[0]) != 0 || len(b.watched[0]) != 0 {
		t.Errorf("%d clients count as blocked, %d keys are waited for, %d are watched; expected none", b.stats.blocked, len(b.blocked[0]), len(b.watched[0]))
	}
}

// A handler that panics costs its client an error, and nobody else anything.
func TestPanicInAHandler(t *testing.T) {
	addBrokenRows(t)
	log := &logbook{}
	transports(t, Options{Logger: log.logger()}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w, other := newWire(dial(t)), newWire(dial(t))
		other.expect(t, "+PONG", "PING")
		const failed = "-ERR internal error in 'broken', which is a mistake of the broker"
		w.expect(t, failed, "BROKEN", "a\r\n\x00", strings.Repeat("x", 1000))
		w.expect(t, "+PONG", "PING")
		w.expect(t, "+OK", "WATCH", "k")
		w.expect(t, "+OK", "MULTI")
		for _, args := range [][]string{{"SET", "k", "v"}, {"BROKEN"}, {"APPEND", "k", "w"}} {
			w.expect(t, "+QUEUED", args...)
		}
		w.expect(t, "[+OK "+failed+" 2]", "EXEC")
		w.expect(t, "-ERR EXEC without MULTI", "EXEC")
		w.expect(t, "vw", "GET", "k")
		other.expect(t, "1", "DEL", "k")
		expectNothingLeft(t, b)
	})
	shown := `BROKEN "a\r\n\x00" "` + strings.Repeat("x", keptBytes) + `... (872 more bytes)"`
	if !strings.Contains(log.String(), "command="+strconv.Quote(shown)) {
		t.Errorf("the log does not show %s: %s", shown, log.String())
	}
}

// What fails behind a handler, where nobody knows what the client has been told,
// costs its connection, also in the middle of a transaction.
func TestPanicBehindAHandler(t *testing.T) {
	addBrokenRows(t)
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		other := newWire(dial(t))
		for _, before := range [][][]string{nil, {{"WATCH", "k"}, {"MULTI"}, {"SET", "k", "v"}}} {
			w := newWire(dial(t))
			for _, args := range before {
				if got := w.do(t, args...); got != "+OK" && got != "+QUEUED" {
					t.Fatal(got)
				}
			}
			if before != nil {
				w.expect(t, "+QUEUED", "ODD")
				w.send(t, "EXEC")
			} else {
				w.send(t, "ODD")
			}
			if got, err := w.read(); err == nil {
				t.Errorf("got %s, expected the connection to be closed", got)
			}
		}
		other.expect(t, "v", "GET", "k")
		if n := len(b.Clients()); n != 1 {
			t.Errorf("%d clients are left, expected one", n)
		}
		expectNothingLeft(t, b)
	})
}

// A client that cannot be served is told so, and the next in line gets what there is.
func TestPanicWhileABlockedClientIsServed(t *testing.T) {
	addBrokenRows(t)
	log := &logbook{}
	transports(t, Options{Logger: log.logger()}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		first, second, pusher := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		first.send(t, "BROKENPOP", "q")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		second.send(t, "BLPOP", "q", "0")
		if err := b.WaitBlocked(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		pusher.expect(t, "1", "RPUSH", "q", "x")
		if got := first.reply(t); !strings.HasPrefix(got, "-ERR internal error in 'brokenpop'") {
			t.Error(got)
		}
		if got := second.reply(t); got != "[q x]" {
			t.Error(got)
		}
		first.expect(t, "+PONG", "PING")
		pusher.expect(t, "0", "EXISTS", "q")
		expectNothingLeft(t, b)
	})
	if !strings.Contains(log.String(), `command="BROKENPOP q"`) {
		t.Errorf("the log does not show the command: %s", log.String())
	}
}

// A brokenTransport does not know whether its client is there.
type brokenTransport struct{ fakeTransport }

func (*brokenTransport) Peer() transport.Peer { panic("oh") }

func TestPanicInALinkWhileABlockedClientIsServed(t *testing.T) {
	b := newBroker(t, Options{})
	l := &brokenTransport{}
	b.enter()
	if err := b.open(l); err != nil {
		t.Fatal(err)
	}
	b.leave()
	b.receive(l.session, request("BLPOP", "q", "0"))
	second, pusher := inMemory(t, b), inMemory(t, b)
	second.send(t, "BLPOP", "q", "0")
	pusher.expect(t, "1", "RPUSH", "q", "x")
	if got := second.reply(t); got != "[q x]" {
		t.Error(got)
	}
	if !l.over || len(l.got) > 0 {
		t.Errorf("the client got %q, expected to be closed", l.got)
	}
}

// An alarm that fails keeps no other from being heard.
func TestPanicInAnAlarm(t *testing.T) {
	log := &logbook{}
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0), Logger: log.logger()})
	w, waiting := inMemory(t, b), inMemory(t, b)
	w.expect(t, "+OK", "SET", "bad", "v", "PX", "1000")
	w.expect(t, "+OK", "SET", "good", "v", "PX", "1000")
	waiting.send(t, "BLPOP", "q", "1")
	b.mu.Lock()
	b.watched[0]["bad"] = map[*session]*watch{nil: nil} // nobody can be told
	b.mu.Unlock()
	b.Advance(time.Second)
	w.expect(t, "0", "EXISTS", "good")
	if got := waiting.reply(t); got != "nil-list" {
		t.Error(got)
	}
	b.Advance(time.Hour)
	w.expect(t, "+OK", "FLUSHALL")
	if !strings.Contains(log.String(), "something failed inside the broker") {
		t.Errorf("the log says %q", log.String())
	}
}

// A brokenConn fails in one of its methods.
type brokenConn struct {
	net.Conn
	in string
}

func (c brokenConn) Read(p []byte) (int, error) {
	if c.in == "Read" {
		panic("oh")
	}
	return c.Conn.Read(p)
}

func (c brokenConn) Write(p []byte) (int, error) {
	if c.in == "Write" {
		panic("oh")
	}
	return c.Conn.Write(p)
}

func (c brokenConn) RemoteAddr() net.Addr {
	if c.in == "RemoteAddr" {
		panic("oh")
	}
	return c.Conn.RemoteAddr()
}

// A brokenListener fails, or its connections do.
type brokenListener struct {
	net.Listener
	in string
}

func (l brokenListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && l.in == "Accept" {
		conn.Close()
		panic("oh")
	}
	return brokenConn{conn, l.in}, err
}

// Listeners and connections that others wrote may fail: the client's connection is
// closed, and all others are served.
func TestPanicInAGoroutine(t *testing.T) {
	for _, in := range []string{"Read", "Write", "RemoteAddr", "Accept"} {
		t.Run(in, func(t *testing.T) {
			log := &logbook{}
			b := newBroker(t, Options{Logger: log.logger()})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Serve(brokenListener{l, in}); err != nil {
				t.Fatal(err)
			}
			w := newWire(dial(t, l.Addr()))
			w.Write(request("PING"))
			if got, err := w.read(); err == nil {
				t.Errorf("got %s, expected the connection to be closed", got)
			}
			inMemory(t, b).expect(t, "+PONG", "PING")
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if n := len(b.Clients()); n != 0 {
				t.Errorf("%d clients are left", n)
			}
			if !strings.Contains(log.String(), "panic=oh") {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}
