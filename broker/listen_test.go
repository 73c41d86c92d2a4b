package broker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/broker/internal/transport"
	"redrpc/internal/redistest"
	"redrpc/internal/tlstest"
)

// A TLS listener serves who has the certificates that it asks for, and nobody else.
func TestListenTLS(t *testing.T) {
	pair, roots := tlstest.Certificate()
	server := &tls.Config{Certificates: []tls.Certificate{pair}}
	demanding := server.Clone()
	demanding.ClientCAs, demanding.ClientAuth = roots, tls.RequireAndVerifyClientCert
	plain := &tls.Config{RootCAs: roots}
	withCertificate := plain.Clone()
	withCertificate.Certificates = []tls.Certificate{pair}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		served         bool
	}{
		{"without client certificates", server, plain, true},
		{"with a certificate nobody asks for", server, withCertificate, true},
		{"with the certificate that is asked for", demanding, withCertificate, true},
		{"without the certificate that is asked for", demanding, plain, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBroker(t, Options{})
			addr, err := b.ListenTLS("tcp", "127.0.0.1:0", c.server)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tls.Dial("tcp", addr.String(), c.client)
			if err != nil {
				t.Fatal(err) // in TLS 1.3 the client learns later that its certificate was missed
			}
			defer conn.Close()
			w := newWire(conn)
			w.send(t, "PING")
			switch got, err := w.read(); {
			case c.served && got != "+PONG":
				t.Errorf("got %s, %v", got, err)
			case !c.served && (err == nil || !strings.Contains(err.Error(), "certificate required")):
				t.Errorf("got %s, %v; expected to be told that a certificate is missing", got, err)
			}
		})
	}
	for _, config := range []*tls.Config{nil, {}} {
		if _, err := newBroker(t, Options{}).ListenTLS("tcp", "127.0.0.1:0", config); err == nil || !strings.Contains(err.Error(), "expected a config with a certificate") {
			t.Errorf("without a certificate: got %v", err)
		}
	}
}

func TestListenWithoutAHost(t *testing.T) {
	for _, c := range []struct{ network, address, host string }{
		{"tcp", "", "127.0.0.1"}, {"tcp", ":0", "127.0.0.1"}, {"tcp4", ":0", "127.0.0.1"}, {"tcp", "127.0.0.1:0", "127.0.0.1"},
	} {
		addr := listen(t, newBroker(t, Options{}), c.network, c.address)
		if host, _, _ := net.SplitHostPort(addr.String()); host != c.host {
			t.Errorf("%s %q: it listens on %v, expected on %s", c.network, c.address, addr, c.host)
		}
	}
	if got := onLoopback("tcp6", ":6379"); got != "[::1]:6379" {
		t.Errorf("tcp6: %s", got)
	}
	if got := onLoopback("tcp", "0.0.0.0:6379"); got != "0.0.0.0:6379" {
		t.Errorf("an address with a host became %s", got)
	}
}

// What is in the way of a Unix socket is only removed if it is a socket that nobody
// serves.
func TestListenUnixInThePlaceOfAnother(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }

	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: in("stale"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, Options{})
	addr := listen(t, b, "unix", in("stale"))
	newWire(dial(t, addr)).expect(t, "+PONG", "PING")

	for name, want := range map[string]string{"stale": "somebody serves it", "file": "no socket", "directory": "no socket", "link": "no socket"} {
		switch name {
		case "file":
			err = os.WriteFile(in(name), []byte("precious"), 0o600)
		case "directory":
			err = os.Mkdir(in(name), 0o700)
		case "link":
			err = os.Symlink(in("stale"), in(name))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Listen("unix", in(name)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), in(name)) {
			t.Errorf("%s: got %v, expected an error with %q and the path", name, err, want)
		}
		if _, err := os.Lstat(in(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	newWire(dial(t, addr)).expect(t, "+PONG", "PING")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(in("stale")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v, expected the socket to be gone", err)
	}
	if _, err := newBroker(t, Options{}).Listen("unix", in("no/such/directory")); err == nil || !strings.Contains(err.Error(), "no/such/directory") {
		t.Errorf("in no directory: %v", err)
	}
}

func TestIsRemote(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	for _, c := range []struct {
		addr net.Addr
		want bool
	}{
		{tcp("127.0.0.1:1"), false}, {tcp("127.9.9.9:1"), false}, {tcp("[::1]:1"), false}, {tcp("[::ffff:127.0.0.1]:1"), false},
		{&net.UnixAddr{Net: "unix"}, false}, {&net.UnixAddr{Net: "unix", Name: "192.0.2.1:1"}, false}, {transport.MemoryAddr(7), false},
		{tcp("192.0.2.1:1"), true}, {tcp("[2001:db8::1]:1"), true}, {tcp("[fe80::1%eth0]:1"), true}, {tcp("[::ffff:192.0.2.1]:1"), true}, {tcp("0.0.0.0:1"), true},
	} {
		if got := transport.IsRemote(c.addr); got != c.want {
			t.Errorf("%s %v: %t", c.addr.Network(), c.addr, got)
		}
	}
}

// A farConn is a connection that seems to come from another machine.
type farConn struct{ *net.TCPConn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }

// Without a password, clients on other machines are told so and closed, until they
// are let in.
func TestProtectedMode(t *testing.T) {
	for name, driver := range map[string]func(*Broker, net.Listener) func(net.Conn){
		"as usual": (*Broker).driver,
		"goroutines": func(b *Broker, _ net.Listener) func(net.Conn) {
			return func(c net.Conn) { transport.Serve(host{b}, c) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, Options{})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			b.enter()
			serve := driver(b, l)
			b.leave()
			fromFar := func(t testing.TB) *wire {
				w := newWire(dial(t, l.Addr()))
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				serve(farConn{conn.(*net.TCPConn)})
				return w
			}
			denied := func(t testing.TB) {
				t.Helper()
				w := fromFar(t)
				if got := w.reply(t); got != "-"+protectedMode.Text {
					t.Error(got)
				}
				if got, err := w.read(); err == nil {
					t.Errorf("the connection is still open: %s", got)
				}
			}
			near := inMemory(t, b)
			denied(t)
			near.expect(t, "[protected-mode yes]", "CONFIG", "GET", "protected-mode")
			near.expect(t, "+OK", "CONFIG", "SET", "protected-mode", "no")
			fromFar(t).expect(t, "+PONG", "PING")
			near.expect(t, "+OK", "CONFIG", "SET", "protected-mode", "YES")
			denied(t)
			near.expect(t, "+OK", "CONFIG", "SET", "requirepass", "secret")
			fromFar(t).expect(t, "-NOAUTH Authentication required.", "PING")
			if b.stats.rejected != 2 {
				t.Errorf("%d connections count as rejected, expected 2", b.stats.rejected)
			}
		})
	}
}

// The text is one that redis-server has.
func TestProtectedModeSpeaksAsRedis(t *testing.T) {
	program, err := os.ReadFile(redistest.Program(t, "redis-server"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(program, []byte("-"+protectedMode.Text+"\r\n\x00")) {
		t.Error("redis-server has no such text")
	}
}
