package torture

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// echoing starts a proxy before a server that sends back what it gets, and returns it and
// a connection.
func echoing(t *testing.T) (*proxy, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			})
		}
	})
	p, err := startProxy(l.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p, dial(t, p)
}

func dial(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// sendAndGet sends a text and returns what comes back until there is as much, or the end.
func sendAndGet(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	n, _ := io.ReadFull(conn, b) // the end is what some tests want
	return string(b[:n])
}

func TestProxy(t *testing.T) {
	text := strings.Repeat("abc", 1000)
	p, conn := echoing(t)
	for _, w := range []weather{{}, {delay: time.Millisecond}, {rate: 1 << 20}, {clock: time.Second}} {
		p.set(func(now *weather) { *now = w })
		if got := sendAndGet(t, conn, text); got != text {
			t.Errorf("%+v: got %d bytes that differ", w, len(got))
		}
	}
	p.set(func(now *weather) { *now = weather{clock: 30 * time.Second} })
	const reply, later = "+OK\r\n*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n", "+OK\r\n*2\r\n$10\r\n1700000030\r\n$6\r\n123456\r\n"
	if got := sendAndGet(t, conn, reply); got != later {
		t.Errorf("got %q, want %q", got, later)
	}
	p.set(func(now *weather) { *now = weather{} })
	p.cut()
	if got := sendAndGet(t, conn, text); len(got) >= len(text) || !strings.HasPrefix(text, got) {
		t.Errorf("a connection that was cut passed on %d bytes of %d", len(got), len(text))
	}
	if got := sendAndGet(t, dial(t, p), text); got != text {
		t.Errorf("a new connection: got %d bytes that differ", len(got))
	}
}

// TestProxySwallows: what was swallowed is lost, and so is what comes after it; new connections
// are well when it is over.
func TestProxySwallows(t *testing.T) {
	for _, w := range []weather{{up: true}, {down: true}} {
		p, conn := echoing(t)
		p.set(func(now *weather) { *now = w })
		if _, err := io.WriteString(conn, "lost"); err != nil {
			t.Fatal(err)
		}
		for { // until it was
			p.mu.Lock()
			lost := false
			for l := range p.conns {
				lost = l.upLost || l.downLost
			}
			p.mu.Unlock()
			if lost {
				break
			}
			time.Sleep(time.Millisecond)
		}
		p.set(func(now *weather) { *now = weather{} })
		other := dial(t, p)
		if got := sendAndGet(t, other, "well"); got != "well" {
			t.Errorf("%+v: a new connection: got %q", w, got)
		}
		if err := conn.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if got := sendAndGet(t, conn, "more"); got != "" {
			t.Errorf("%+v: got %q behind what was lost", w, got)
		}
	}
}
