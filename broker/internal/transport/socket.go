package transport

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Serve serves a connection in a goroutine of its own.
func Serve(h Host, conn net.Conn) {
	s := newSocket(h, conn)
	if !h.Go(s.name, s.serve) {
		conn.Close()
	}
}

func (s *socket) serve() {
	defer s.conn.Close()
	s.host.Enter()
	err := s.host.Open(s)
	if err == nil {
		s.host.Serving(s)
		s.limitTurnedAway()
	}
	s.host.Leave()
	if err != nil {
		return
	}
	s.readAll()
	s.readOut()
	s.host.Enter()
	s.session.HangUp()
	s.host.Served(s)
	s.host.Leave()
}

// patienceForHandshake is how long a client that is turned away has to shake hands, which
// TLS needs before it can be told why: as long as net/http gives servers.
const patienceForHandshake = 10 * time.Second

// limitTurnedAway sees to it that a client which is turned away does not stay. It is no
// client of the broker's, so that nothing else ends it.
func (s *socket) limitTurnedAway() {
	if s.session.IsEnding() {
		s.conn.SetDeadline(time.Now().Add(patienceForHandshake)) // fails only if the connection has ended
	}
}

// readAll passes on what the client sends, until the connection ends.
func (s *socket) readAll() {
	defer s.host.Recover(s.name)
	s.read(func(p []byte) { s.host.Receive(s.session, p) })
}

// readOut is the end of part: the rest that the client sends is read and dropped.
func (s *socket) readOut() {
	defer s.host.Recover(s.name)
	half, can := s.conn.(interface{ CloseWrite() error })
	if !can || !s.parting() || s.conn.SetDeadline(time.Now().Add(PatienceAtEnd)) != nil || half.CloseWrite() != nil {
		return
	}
	io.CopyN(io.Discard, s.conn, inputAtEnd) // the error says how the connection has ended
}

// A socket is the link of a client on a net.Conn. A goroutine reads, and another
// exists while there is output that the client does not take at once.
type socket struct {
	outputBuffer
	host    Host
	session Session
	conn    net.Conn
	under   net.Conn        // what conn stands on: itself, or the connection under TLS
	raw     syscall.RawConn // of the file descriptor; nil: not to be had
	direct  bool            // raw carries the client's bytes as they are
	name    string

	ends
	fd int // of the file descriptor; -1: not to be had
}

func newSocket(h Host, conn net.Conn) *socket {
	s := &socket{host: h, conn: conn, name: "client " + conn.RemoteAddr().String(), ends: endsOf(conn), fd: -1}
	under := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		under = wrapped.NetConn()
	}
	s.under = under
	if c, ok := under.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw, s.direct = raw, under == conn
			raw.Control(func(fd uintptr) { s.fd = int(fd) }) // fails only if it is closed
		}
	}
	return s
}

func (s *socket) Attach(x Session) { s.session = x }
func (s *socket) Flush()           { s.write(s) }
func (s *socket) Finish()          { s.outputBuffer.finish(s) }

// Abort closes the connection without a word: the farewell of TLS could take long.
func (s *socket) Abort() {
	s.outputBuffer.abort(s)
	s.fail()
}

func (s *socket) fail() { s.under.Close() }

func (s *socket) part() { s.shut() }

// shut makes the reader end, which then closes the connection.
func (s *socket) shut() { s.conn.SetReadDeadline(time.Unix(1, 0)) }

// stall goes on writing in a goroutine.
func (s *socket) stall(rest []byte) {
	name := "writer to " + s.name
	if !s.host.Go(name, func() { s.resume(s, s.writeAll(name, rest)) }) {
		s.resume(s, net.ErrClosed)
	}
}

// writeAll writes as long as it takes, in pieces, so that it is known what the client has
// taken.
func (s *socket) writeAll(name string, p []byte) (err error) {
	err = net.ErrClosed // unless it returns
	defer s.host.Recover(name)
	for len(p) > 0 {
		n, err := s.conn.Write(p[:min(len(p), 64<<10)])
		if err != nil {
			return err
		}
		p = p[n:]
		s.left(len(p))
	}
	return nil
}

func (s *socket) Descriptor() int { return s.fd }

// ends are what a link on a socket knows of both sides.
type ends struct {
	client, server string // addresses
	far            bool   // the client may be on another machine
	unix           bool   // it is a Unix socket
}

func (e *ends) Addresses() (client, broker string) { return e.client, e.server }
func (e *ends) Remote() bool                       { return e.far }
func (e *ends) IsUnix() bool                       { return e.unix }

// endsOf looks at a connection. On a Unix socket the client has no address, and Redis
// shows the broker's for both.
func endsOf(conn net.Conn) ends {
	e := ends{conn.RemoteAddr().String(), conn.LocalAddr().String(), IsRemote(conn.RemoteAddr()), conn.LocalAddr().Network() == "unix"}
	if e.unix {
		e.server += ":0"
		e.client = e.server
	}
	return e
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

// IsRemote reports whether a client may be on another machine: it has an IP address,
// and not one of the loopback interface.
func IsRemote(client net.Addr) bool {
	if client.Network() == "unix" {
		return false
	}
	host, _, err := net.SplitHostPort(client.String())
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && !ip.Unmap().IsLoopback()
}
