package broker

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"redrpc/internal/tlstest"
)

// transports connects to a broker in each way there is.
func transports(t *testing.T, o Options, test func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn)) {
	t.Run("memory", func(t *testing.T) {
		b := newBroker(t, o)
		test(t, b, func(t testing.TB) net.Conn { return inMemory(t, b).Conn })
	})
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			b := newBroker(t, o)
			test(t, b, serve(t, b, network))
		})
	}
}

// networks are those that a broker is tested on. Where there is a poller, it
// serves "tcp" and "unix"; "goroutines" is TCP without it.
var networks = []string{"tcp", "unix", "goroutines", "tls"}

// plainListener hides what a listener is, so that no poller takes it.
type plainListener struct{ net.Listener }

// serve makes a broker serve a network, and returns how to connect.
func serve(t testing.TB, b *Broker, network string) func(testing.TB) net.Conn {
	t.Helper()
	var addr net.Addr
	switch network {
	case "unix":
		addr = listen(t, b, "unix", filepath.Join(t.TempDir(), "broker.sock"))
	case "goroutines":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Serve(plainListener{l}); err != nil {
			t.Fatal(err)
		}
		addr = l.Addr()
	case "tls":
		pair, roots := tlstest.Certificate()
		addr, err := b.ListenTLS("tcp", "", &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		return func(t testing.TB) net.Conn {
			t.Helper()
			return tls.Client(dial(t, addr), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		}
	default:
		addr = listen(t, b, network, "127.0.0.1:0")
	}
	return func(t testing.TB) net.Conn { return dial(t, addr) }
}

func listen(t testing.TB, b *Broker, network, address string) net.Addr {
	t.Helper()
	addr, err := b.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Input that has killed, stalled or bloated servers gets Redis's error and the
// connection closed, and others are served as before. What Redis reads without
// complaint is read.
func TestHostileInput(t *testing.T) {
	manySmall := "*1000000\r\n" + strings.Repeat("$1\r\nx\r\n", 999_999) // one short of complete
	for _, c := range []struct {
		name, input, want string
	}{
		{"a bulk as long as can be", "*1\r\n$9223372036854775807\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"a bulk one over the limit", "*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"a negative bulk", "*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"very many arguments", "*1099511627776\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"one argument over the limit", "*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"a count that wraps to 1", "*18446744073709551617\r\n$4\r\nPING\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"a count that is no number", "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"no arguments at all", "*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
		{"something else than a bulk", "*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"},
		{"a count without end", "*" + strings.Repeat("1", defaultMaxInline+1), "-ERR Protocol error: too big mbulk count string\r\n"},
		{"a length without end", "*1\r\n$" + strings.Repeat("1", defaultMaxInline+1), "-ERR Protocol error: too big bulk count string\r\n"},
		{"a line without end", strings.Repeat("x", defaultMaxInline+1), "-ERR Protocol error: too big inline request\r\n"},
		{"a quote without end", "SET k \"v\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{"a command before the mistake", "PING\r\n*1\r\n$x\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
		{"very many tiny arguments", manySmall + "*1\r\n", "-ERR Protocol error: expected '$', got '*'\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				bad := dial(t)
				if err := bad.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(bad, c.input); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(c.want))
				if _, err := io.ReadFull(bad, got); err != nil || string(got) != c.want {
					t.Fatalf("got %q, %v; want %q", got, err, c.want)
				}
				if strings.Contains(c.want, "Protocol error") {
					if n, err := bad.Read(make([]byte, 1)); n != 0 || err == nil {
						t.Error("the connection is still open")
					}
				}
				newWire(dial(t)).expect(t, "+PONG", "PING")
			})
		})
	}
}

// What a client declares is not allocated, only what it sends.
func TestDeclaredSizesAreNotAllocated(t *testing.T) {
	b := newBroker(t, Options{})
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	for range 100 {
		w := inMemory(t, b)
		if _, err := io.WriteString(w, "*1048576\r\n$536870912\r\nx"); err != nil {
			t.Fatal(err)
		}
	}
	if got := allocated() - before; got > 10<<20 {
		t.Errorf("100 clients that declared 512 MiB and sent 25 bytes made the broker allocate %d MiB", got>>20)
	}
}

// Nor is what has been read of a command copied with every piece that comes.
func TestManyArgumentsInSmallPieces(t *testing.T) {
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	const n = 200_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fmt.Fprintf(w, "*%d\r\n$4\r\nMGET\r\n", n+1)
	piece := []byte(strings.Repeat("$1\r\nx\r\n", 100))
	for range n / 100 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 200 {
		t.Errorf("%d arguments in %d pieces made the broker allocate %d MiB", n, n/100, got)
	}
}

// A large argument that comes in small pieces takes time in proportion to its
// size: the bytes are not looked at again with every piece.
func TestLargeArgumentInSmallPieces(t *testing.T) {
	const size = 32 << 20
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", size)
		piece := bytes.Repeat([]byte("x"), 4<<10)
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(w, "\r\n")
		if got := w.reply(t); got != "+OK" {
			t.Fatal(got)
		}
		w.expect(t, fmt.Sprint(size), "STRLEN", "k")
	})
}

// A client that sends without end behind a command that blocks is closed.
func TestQueryLimit(t *testing.T) {
	transports(t, Options{MaxQuery: 1 << 20}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		w.send(t, "BLPOP", "q", "0")
		if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		piece := bytes.Repeat(request("PING"), 10_000)
		for range 100 {
			if _, err := w.Write(piece); err != nil {
				newWire(dial(t)).expect(t, "+PONG", "PING")
				return
			}
		}
		t.Error("14 MB were taken, with a limit of 1 MiB")
	})
}

// A push does not wait for a subscriber that does not read; one that falls too far
// behind is closed.
func TestSlowReader(t *testing.T) {
	transports(t, Options{PendingPubSub: PendingLimit{Hard: 4 << 20}}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		slow, publisher := newWire(dial(t)), newWire(dial(t))
		slow.expect(t, "[subscribe news 1]", "SUBSCRIBE", "news")
		message := strings.Repeat("x", 64<<10)
		for i := range 1000 {
			if got := publisher.do(t, "PUBLISH", "news", message); got == "0" {
				if i < 4<<20/len(message) {
					t.Errorf("the subscriber was closed after %d messages, within its limit", i)
				}
				return
			}
		}
		t.Error("64 MB were queued for a subscriber that does not read, with a limit of 4 MiB")
	})
}

// A client may send any number of commands before it reads the first reply.
func TestWriteBeforeReading(t *testing.T) {
	const n = 200_000
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat(request("ECHO", strings.Repeat("x", 100)), n)); err != nil {
			t.Fatal(err)
		}
		read, err := io.CopyN(io.Discard, w.in, n*int64(len("$100\r\n\r\n")+100))
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
	})
}

// A request over HTTP with commands in its text runs none of them, whatever comes first,
// and the log and strict mode can tell of it.
func TestHTTPRunsNothing(t *testing.T) {
	transports(t, Options{Strict: true}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		for _, request := range []string{
			"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k v\r\n",
			"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET k v\r\n",
		} {
			conn := dial(t)
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, conn) // until it is closed; what it was answered may have got lost
		}
		if got := b.Snapshot(); got != "" {
			t.Errorf("it has run: %s", got)
		}
		log := b.Log()
		if last := log[len(log)-1]; last.Outcome != Dropped || last.Args[0] != "Host:" {
			t.Errorf("the last in the log is %v", last)
		}
	})
}
