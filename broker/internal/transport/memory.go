package transport

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

// A MemoryClient is the client's end of a connection in memory. There is no
// goroutine behind it: Write runs the commands it carries, and replies wait in a
// buffer for Read.
type MemoryClient struct {
	host    Host
	session Session
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

// NewMemory returns the client's end of a new connection in memory.
func NewMemory(h Host) *MemoryClient {
	c := &MemoryClient{host: h}
	c.arrived.L = &c.mu
	return c
}

// Dialled notes who has dialled, two calls up.
func (c *MemoryClient) Dialled() { c.origin.dial() }

// Session is what the connection serves.
func (c *MemoryClient) Session() Session { return c.session }

// Unread is how many bytes of replies have not been read, and how much memory they take.
// It reports whether the broker has closed the connection.
func (c *MemoryClient) Unread() (n, memory int, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.Len() - c.taken, c.in.Memory(), c.ended
}

// Read returns replies, waiting for the first byte.
func (c *MemoryClient) Read(p []byte) (int, error) {
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
func (c *MemoryClient) read(p []byte) (n int) {
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
func (c *MemoryClient) wait() {
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

func (c *MemoryClient) wakeUp() {
	c.mu.Lock()
	c.arrived.Broadcast()
	c.mu.Unlock()
}

// Write runs the commands in p. It never waits for replies to be read.
func (c *MemoryClient) Write(p []byte) (int, error) {
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
	c.host.Receive(c.session, p)
	return len(p), nil
}

// Close ends the session. Once it has returned, no element is delivered to it.
func (c *MemoryClient) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	c.mu.Lock()
	c.in, c.taken = resp.Output{}, 0
	c.arrived.Broadcast()
	c.mu.Unlock()
	c.host.Enter()
	c.session.HangUp()
	c.host.Leave()
	return nil
}

func (c *MemoryClient) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.deadline, &c.writeBy)
}
func (c *MemoryClient) SetReadDeadline(t time.Time) error  { return c.setDeadlines(t, &c.deadline) }
func (c *MemoryClient) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *MemoryClient) setDeadlines(t time.Time, deadlines ...*time.Time) error {
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

func (c *MemoryClient) LocalAddr() net.Addr  { return MemoryAddr(c.session.ID()) }
func (c *MemoryClient) RemoteAddr() net.Addr { return MemoryAddr(0) }

func (c *MemoryClient) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// A MemoryAddr is the address of one end of a connection in memory: the number
// of the client, or 0 for the broker.
type MemoryAddr int64

func (MemoryAddr) Network() string  { return "memory" }
func (a MemoryAddr) String() string { return "memory:" + strconv.FormatInt(int64(a), 10) }

// A Memory is the broker's end of a memoryConn.
type Memory struct{ *MemoryClient }

func (c *MemoryClient) Transport() Memory { return Memory{c} }

// DialledAt is where the client dialled, if that is known.
func (l Memory) DialledAt() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.origin.String()
}

func (l Memory) Attach(s Session) { l.session = s }

func (l Memory) Deliver(out *resp.Output) (flush bool) {
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

func (l Memory) Flush() {}

func (l Memory) Backlog() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in.Len() - l.taken
}

func (l Memory) Peer() Peer {
	if l.closed.Load() {
		return Gone
	}
	return Present
}

func (l Memory) Finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.arrived.Broadcast()
}

func (l Memory) Abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in, l.taken = resp.Output{}, 0
	l.ended = true
	l.arrived.Broadcast()
}

func (l Memory) Addresses() (client, broker string) {
	return l.LocalAddr().String(), l.RemoteAddr().String()
}

func (l Memory) Remote() bool    { return false }
func (l Memory) IsUnix() bool    { return false }
func (l Memory) Descriptor() int { return -1 }
