package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Listen serves clients on a network address until Close: "tcp" with a host and
// port, where port 0 chooses a free one, or "unix" with a path. It returns the
// address that it listens on.
func (b *Broker) Listen(network, address string) (net.Addr, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := b.Serve(l); err != nil {
		l.Close()
		return nil, err
	}
	return l.Addr(), nil
}

// Serve serves the clients that a listener accepts, until Close, which closes the
// listener. It does not wait.
func (b *Broker) Serve(l net.Listener) error {
	name := "listener " + l.Addr().String()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || !b.goroutines.enter(name) {
		return ErrClosed
	}
	b.listeners[l] = struct{}{}
	go func() {
		defer b.goroutines.leave(name)
		b.accept(l)
	}()
	return nil
}

func (b *Broker) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, or a client that gave up while it waited: try
			// again, without spinning.
			b.options.Logger.Warn("accept failed", "listener", l.Addr().String(), slog.Any("error", err))
			time.Sleep(10 * time.Millisecond)
			continue
		}
		b.serveConn(conn)
	}
}

// serveConn serves a connection in a goroutine of its own.
func (b *Broker) serveConn(conn net.Conn) {
	s := newSocket(b, conn)
	if !b.goroutines.enter(s.name) {
		conn.Close()
		return
	}
	go func() {
		defer b.goroutines.leave(s.name)
		defer conn.Close()
		b.enter()
		err := b.open(s)
		b.leave()
		if err != nil {
			return
		}
		s.read(func(p []byte) { b.receive(s.session, p) })
		b.hangUp(s.session)
	}()
}

// A socket is the link of a client on a net.Conn.
//
// Its goroutine reads. Output is written by whoever caused it, after the lock
// has been released, as far as the client takes it at once; the rest is left to
// a goroutine that exists only while there is a rest.
type socket struct {
	broker  *Broker
	session *session
	conn    net.Conn
	raw     syscall.RawConn // of the file descriptor; nil: not to be had
	direct  bool            // raw carries the client's bytes as they are
	name    string

	mu      sync.Mutex // guards what follows; taken under the broker's lock, never around it
	pending []byte     // delivered, and not yet being sent
	spare   []byte     // memory to use for pending
	rest    int        // bytes being sent
	sending bool       // somebody sends
	last    bool       // nothing follows: close the connection when all is sent
	failed  bool       // the connection takes no more
}

func newSocket(b *Broker, conn net.Conn) *socket {
	s := &socket{broker: b, conn: conn, name: "client " + conn.RemoteAddr().String()}
	under := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		under = wrapped.NetConn()
	}
	if c, ok := under.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw, s.direct = raw, under == conn
		}
	}
	return s
}

func (s *socket) attach(x *session) { s.session = x }

func (s *socket) deliver(out []byte) (spare []byte, flush bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		return out[:0], false
	}
	if len(s.pending) == 0 {
		s.pending, spare = out, s.spare
		s.spare = nil
	} else {
		s.pending, spare = append(s.pending, out...), out
	}
	if s.sending {
		return spare[:0], false
	}
	s.sending = true
	return spare[:0], true
}

// flush sends what is pending, as far as that needs no waiting.
func (s *socket) flush() { s.send(s.tryWrite) }

// send takes what is pending and writes it, until nothing is pending. The writer
// may write less than it is given: then the rest is written by a goroutine.
func (s *socket) send(write func([]byte) (int, error)) {
	for {
		s.mu.Lock()
		p := s.pending
		if len(p) == 0 || s.failed {
			s.stopSending()
			s.mu.Unlock()
			return
		}
		s.pending, s.rest = nil, len(p)
		s.mu.Unlock()

		n, err := write(p)
		if err == nil && n < len(p) {
			s.sendSlowly(p[n:])
			return
		}
		s.wrote(p, err)
	}
}

// sendSlowly goes on sending in a goroutine.
func (s *socket) sendSlowly(p []byte) {
	name := "writer to " + s.name
	if !s.broker.goroutines.enter(name) {
		s.wrote(nil, net.ErrClosed)
		s.send(s.conn.Write)
		return
	}
	go func() {
		defer s.broker.goroutines.leave(name)
		_, err := s.conn.Write(p)
		s.wrote(nil, err)
		s.send(s.conn.Write)
	}()
}

// wrote notes the end of a write, and takes its memory back.
func (s *socket) wrote(p []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = 0
	if err != nil {
		s.failed = true
		s.pending = nil
		s.conn.Close() // which ends the reader, and so the session
	}
	if s.spare == nil && cap(p) <= 64<<10 {
		s.spare = p[:0]
	}
}

// stopSending is called with mu held.
func (s *socket) stopSending() {
	s.sending = false
	if s.last {
		s.conn.Close()
	}
}

func (s *socket) backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) + s.rest
}

func (s *socket) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = true
	if !s.sending {
		s.conn.Close()
	}
}

func (s *socket) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	s.pending = nil
	s.conn.Close()
}

func (s *socket) addresses() (client, broker string) {
	client, broker = s.conn.RemoteAddr().String(), s.conn.LocalAddr().String()
	if s.conn.LocalAddr().Network() == "unix" { // where the client has no address
		client, broker = broker+":0", broker+":0"
	}
	return client, broker
}

// readPlainly reads through package net, with a buffer of the connection's own.
func (s *socket) readPlainly(receive func([]byte)) {
	buf := make([]byte, 16<<10)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			receive(buf[:n])
		}
		if err != nil {
			return // EOF, or a connection that is of no more use
		}
	}
}
