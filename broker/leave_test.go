package broker

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/broker/internal/transport"
	"redrpc/internal/tlstest"
)

// A pipeListener accepts connections in memory, which testing/synctest knows.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return transport.MemoryAddr(0) }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	synctest.Wait()
	return client
}

// openSockets is how many connections a broker has, those of no client any more included.
func openSockets(b *Broker) int {
	b.enter()
	defer b.leave()
	return len(b.conns)
}

func checkSockets(t *testing.T, b *Broker, when string, want int) {
	t.Helper()
	synctest.Wait()
	if got := openSockets(b); got != want {
		t.Errorf("%s %d connections are open, expected %d", when, got, want)
	}
}

// A hastyConn has deadlines that come a thousand times sooner.
type hastyConn struct{ net.Conn }

func (c hastyConn) SetDeadline(at time.Time) error {
	return c.Conn.SetDeadline(time.Now().Add(time.Until(at) / 1000))
}

type hastyListener struct{ net.Listener }

func (l hastyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return hastyConn{conn}, err
}

// listenTLSHastily serves TLS, and returns how to connect without a handshake.
func listenTLSHastily(t *testing.T, b *Broker) (dialTCP func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair, _ := tlstest.Certificate()
	if err := b.Serve(tls.NewListener(hastyListener{l}, &tls.Config{Certificates: []tls.Certificate{pair}})); err != nil {
		t.Fatal(err)
	}
	return func() net.Conn { return dial(t, l.Addr()) }
}

// Connections that never shake hands end: those beyond MaxClients soon, others when they
// have been idle for too long.
func TestWithoutAHandshake(t *testing.T) {
	for _, part := range []string{"", "\x16\x03\x01"} { // of a handshake
		b := newBroker(t, Options{MaxClients: 2, IdleTimeout: time.Hour, ManualTime: time.Unix(1e9, 0)})
		dial := listenTLSHastily(t, b)
		for i := range 5 {
			if _, err := io.WriteString(dial(), part); err != nil {
				t.Fatal(err)
			}
			await(t, b, "the connection is open", func() bool { return b.stats.connections == int64(i+1) })
		}
		await(t, b, "those that are turned away are closed", func() bool { return len(b.conns) == 2 })
		if n := len(b.Clients()); n != 2 {
			t.Errorf("there are %d clients, expected 2", n)
		}
		b.Advance(time.Hour)
		await(t, b, "those that are idle are closed", func() bool { return len(b.conns) == 0 })
	}
}

// Close waits for nobody who has yet to shake hands.
func TestCloseDuringHandshakes(t *testing.T) {
	pair, _ := tlstest.Certificate()
	b := newBroker(t, Options{MaxClients: 1})
	addr, err := b.ListenTLS("tcp", "", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		dial(t, addr)
	}
	await(t, b, "all are open", func() bool { return len(b.conns) == 3 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// Who has said QUIT and takes nothing of what is still to come is closed after some
// time; who takes it slowly gets all of it.
func TestQuitWithOutputUnread(t *testing.T) {
	const size = 1 << 20
	for _, reads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, Options{})
			if _, err := b.Do("SET", "k", bytes.Repeat([]byte("x"), size)); err != nil {
				t.Fatal(err)
			}
			l := newPipeListener()
			if err := b.Serve(l); err != nil {
				t.Fatal(err)
			}
			conn := l.dial()
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET k\r\nQUIT\r\n"); err != nil {
				t.Fatal(err)
			}
			checkSockets(t, b, "at first", 1)
			if !reads {
				time.Sleep(transport.PatienceForOutput)
				checkSockets(t, b, "after a time", 0)
				return
			}
			got := 0
			for buf := make([]byte, 64<<10); ; {
				time.Sleep(transport.PatienceForOutput / 2)
				n, err := io.ReadFull(conn, buf)
				if got += n; err != nil {
					break
				}
			}
			if want := len("$1048576\r\n\r\n+OK\r\n") + size; got != want {
				t.Errorf("it has read %d bytes, expected %d", got, want)
			}
			checkSockets(t, b, "at the end", 0)
		})
	}
}
