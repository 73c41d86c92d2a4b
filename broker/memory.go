package broker

import (
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"redrpc/broker/internal/resp"
)

// A memoryConn is the client's end of a connection in memory. There is no
// goroutine behind it: Write runs the commands it carries, and replies wait in a
// buffer for Read.
type memoryConn struct {
	broker  *Broker
	session *session
	closed  atomic.Bool

	mu       sync.Mutex  // guards what follows; taken under the broker's lock, never around it
	arrived  sync.Cond   // signalled when in, ended or a deadline changes
	in       resp.Output // replies not yet read
	taken    int         // how many bytes of its first piece have been read
	ended    bool        // the broker has closed the connection
	origin   origin
	deadline time.Time // for reading
	timer    *time.Timer
	writeBy  time.Time
}

func newMemoryConn(b *Broker) *memoryConn {
	c := &memoryConn{broker: b}
	c.arrived.L = &c.mu
	return c
}

// Read returns replies, waiting for the first byte.
func (c *memoryConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed.Load():
			return 0, c.failed("read", net.ErrClosed)
		case expired(c.deadline):
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case c.in.Len() > 0:
			return c.read(p), nil
		case c.ended:
			return 0, io.EOF
		}
		c.wait()
	}
}

// read takes what there is of replies.
func (c *memoryConn) read(p []byte) (n int) {
	for n < len(p) && c.in.Len() > 0 {
		first := c.in.First()
		more := copy(p[n:], first[c.taken:])
		n += more
		c.taken += more
		if c.taken == len(first) {
			c.in.Reuse(c.in.Pop())
			c.taken = 0
		}
	}
	return n
}

// wait waits for a change. A deadline needs a timer only while somebody waits.
func (c *memoryConn) wait() {
	if !c.deadline.IsZero() {
		left := time.Until(c.deadline)
		if c.timer == nil {
			c.timer = time.AfterFunc(left, c.wakeUp)
		} else {
			c.timer.Reset(left)
		}
		defer c.timer.Stop()
	}
	c.arrived.Wait()
}

func (c *memoryConn) wakeUp() {
	c.mu.Lock()
	c.arrived.Broadcast()
	c.mu.Unlock()
}

// Write runs the commands in p. It never waits for replies to be read.
func (c *memoryConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	late, ended := expired(c.writeBy), c.ended
	if c.origin.written == nil {
		c.origin.write()
	}
	c.mu.Unlock()
	switch {
	case c.closed.Load():
		return 0, c.failed("write", net.ErrClosed)
	case late:
		return 0, c.failed("write", os.ErrDeadlineExceeded)
	case ended:
		return 0, c.failed("write", syscall.EPIPE)
	}
	c.broker.receive(c.session, p)
	return len(p), nil
}

// Close ends the session. Once it has returned, no element is delivered to it.
func (c *memoryConn) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	c.mu.Lock()
	c.in, c.taken = resp.Output{}, 0
	c.arrived.Broadcast()
	c.mu.Unlock()
	c.broker.hangUp(c.session)
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.deadline, &c.writeBy)
}
func (c *memoryConn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(t, &c.deadline) }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *memoryConn) setDeadlines(t time.Time, deadlines ...*time.Time) error {
	if c.closed.Load() {
		return c.failed("set", net.ErrClosed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range deadlines {
		*d = t
	}
	c.arrived.Broadcast()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr  { return memoryAddr(c.session.id) }
func (c *memoryConn) RemoteAddr() net.Addr { return memoryAddr(0) }

func (c *memoryConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// A memoryAddr is the address of one end of a connection in memory: the number
// of the client, or 0 for the broker.
type memoryAddr int64

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return "memory:" + strconv.FormatInt(int64(a), 10) }

// A memoryTransport is the broker's end of a memoryConn.
type memoryTransport struct{ *memoryConn }

func (c *memoryConn) transport() memoryTransport { return memoryTransport{c} }

// dialledAt is where the client dialled, if that is known.
func (l memoryTransport) dialledAt() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.origin.String()
}

func (l memoryTransport) attach(s *session) { l.session = s }

func (l memoryTransport) deliver(out *resp.Output) (flush bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		out.Truncate(0)
		return false
	}
	l.in.Take(out)
	l.arrived.Broadcast()
	return false
}

func (l memoryTransport) flush() {}

func (l memoryTransport) backlog() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in.Len() - l.taken
}

func (l memoryTransport) peer() peer {
	if l.closed.Load() {
		return gone
	}
	return present
}

func (l memoryTransport) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.arrived.Broadcast()
}

func (l memoryTransport) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in, l.taken = resp.Output{}, 0
	l.ended = true
	l.arrived.Broadcast()
}

func (l memoryTransport) addresses() (client, broker string) {
	return l.LocalAddr().String(), l.RemoteAddr().String()
}

func (l memoryTransport) remote() bool    { return false }
func (l memoryTransport) isUnix() bool    { return false }
func (l memoryTransport) descriptor() int { return -1 }
