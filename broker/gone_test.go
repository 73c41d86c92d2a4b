package broker

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A client that is blocked and goes away must not take an element with it: once
// its Close has returned, whatever is pushed is for others, also when the client
// had sent more commands behind the one that blocks.
func TestBlockedClientThatGoesLosesNothing(t *testing.T) {
	const times = 200
	for _, more := range []string{"nothing", "a PING", "1,000 PINGs"} {
		t.Run(more+" behind it", func(t *testing.T) {
			loseNothing := func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
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
			}
			transports(t, Options{}, loseNothing)
			t.Run("tls", func(t *testing.T) {
				b := newBroker(t, Options{})
				loseNothing(t, b, overTLS(t, b))
			})
		})
	}
}

// overTLS makes the broker serve TLS, and returns how to connect.
func overTLS(t *testing.T, b *Broker) func(testing.TB) net.Conn {
	t.Helper()
	model := httptest.NewUnstartedServer(nil) // it has a certificate for 127.0.0.1
	model.StartTLS()
	defer model.Close()
	roots := model.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(tls.NewListener(plain, model.TLS)); err != nil {
		t.Fatal(err)
	}
	return func(t testing.TB) net.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
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
		const n = 1000
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
