package broker

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// A client that is blocked and goes away must not take an element with it: once
// its Close has returned, whatever is pushed is for others, also when the client
// had sent more commands behind the one that blocks.
func TestBlockedClientThatGoesLosesNothing(t *testing.T) {
	const times = 60
	for _, more := range []string{"nothing", "a PING", "1,000 PINGs"} {
		t.Run(more+" behind it", func(t *testing.T) {
			transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
				pusher := newWire(dial(t))
				for i := range times {
					goer := newWire(dial(t))
					goer.send(t, "BLPOP", "q", "0")
					if err := b.WaitBlocked(t.Context(), 1); err != nil {
						t.Fatal(err)
					}
					var err error
					switch more {
					case "a PING":
						_, err = goer.Write(request("PING"))
					case "1,000 PINGs":
						_, err = goer.Write(bytes.Repeat(request("PING"), 1_000))
					}
					if err != nil {
						t.Fatal(err)
					}
					if err := goer.Close(); err != nil {
						t.Fatal(err)
					}
					pusher.expect(t, "1", "RPUSH", "q", fmt.Sprint("element ", i))
					pusher.expect(t, fmt.Sprintf("%q", fmt.Sprint("element ", i)), "LPOP", "q")
				}
			})
		})
	}
}

// The client that comes next in the queue gets the element instead.
func TestNextInLineIsServed(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		goer, stayer, pusher := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
		goer.send(t, "BLPOP", "q", "0")
		if err := b.WaitBlocked(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		stayer.send(t, "BLPOP", "q", "0")
		if err := b.WaitBlocked(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if err := goer.Close(); err != nil {
			t.Fatal(err)
		}
		pusher.expect(t, "1", "RPUSH", "q", "x")
		if got := stayer.reply(t); got != "[q x]" {
			t.Error(got)
		}
		pusher.expect(t, "0", "EXISTS", "q")
	})
}

// A thousand blocked clients are served in order, each by one push.
func TestManyBlockedClients(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		const n = 400
		waiting := make([]*wire, n)
		for i := range waiting {
			waiting[i] = newWire(dial(t))
			waiting[i].send(t, "BLPOP", "q", "0")
			if err := b.WaitBlocked(t.Context(), i+1); err != nil {
				t.Fatal(err)
			}
		}
		pusher := newWire(dial(t))
		started := time.Now()
		for i, w := range waiting {
			pusher.expect(t, "1", "RPUSH", "q", fmt.Sprint("e", i))
			if got, want := w.reply(t), fmt.Sprintf("[q e%d]", i); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		t.Logf("%d served in %v", n, time.Since(started))
	})
}

// A fakeTransport is a link whose client is as a test says.
type fakeTransport struct {
	session *session
	state   transport.Peer
	got     []byte
	over    bool
	mute    bool // got stays empty
	remote  bool // it is on another machine
}

func (f *fakeTransport) Attach(s transport.Session) { f.session = s.(*session) }
func (f *fakeTransport) Deliver(out *resp.Output) bool {
	for !f.mute && out.Len() > 0 {
		f.got = append(f.got, out.Pop()...)
	}
	out.Truncate(0)
	return false
}
func (f *fakeTransport) Remote() bool                { return f.remote }
func (f *fakeTransport) IsUnix() bool                { return false }
func (f *fakeTransport) Descriptor() int             { return -1 }
func (f *fakeTransport) Flush()                      {}
func (f *fakeTransport) Backlog() int                { return 0 }
func (f *fakeTransport) Peer() transport.Peer        { return f.state }
func (f *fakeTransport) Finish()                     { f.over = true }
func (f *fakeTransport) Abort()                      { f.over = true }
func (f *fakeTransport) Addresses() (string, string) { return "client", "broker" }

// While it is not sure that a client is still there, an element stays where it
// is, and goes to whom it belongs once that is known.
func TestUnsureClient(t *testing.T) {
	for _, c := range []struct {
		state         transport.Peer
		first, second string
	}{
		{transport.Present, "*2\r\n$1\r\nq\r\n$1\r\nx\r\n", ""},
		{transport.Gone, "", "*2\r\n$1\r\nq\r\n$1\r\nx\r\n"},
	} {
		b := newBroker(t, Options{})
		first, second := &fakeTransport{state: transport.Unsure}, &fakeTransport{}
		for _, l := range []*fakeTransport{first, second} {
			b.enter()
			if err := b.open(l); err != nil {
				t.Fatal(err)
			}
			b.leave()
			b.receive(l.session, request("BLPOP", "q", "0"))
		}
		w := inMemory(t, b)
		w.expect(t, "1", "RPUSH", "q", "x")
		w.expect(t, "1", "LLEN", "q")
		first.state = c.state
		b.receive(first.session, request("PING")[:5])
		w.expect(t, "0", "LLEN", "q")
		if string(first.got) != c.first || string(second.got) != c.second {
			t.Errorf("the first got %q, the second %q; want %q and %q", first.got, second.got, c.first, c.second)
		}
	}
}

// sessionOf is the session of a connection in memory.
func sessionOf(c *transport.MemoryClient) *session { return c.Session().(*session) }

// hangUp ends a client's connection from its side.
func hangUp(b *Broker, s *session) {
	b.enter()
	defer b.leave()
	s.HangUp()
}
