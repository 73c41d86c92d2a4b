package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A link is where connections of our own come from. go-redis sets them up as the
// caller's options say: dials, authenticates, selects the database, calls
// OnConnect. Then they are ours, and nobody else reads or writes them.
type link struct {
	opt   redis.Options
	read  time.Duration // longest that a reply takes; 0 is for ever
	write time.Duration // longest that a write takes; 0 is for ever
	timed bool          // connections have deadlines
	clock *clock        // of this Redis; nil if nobody wants to know
	home  *home         // if it is a Cluster's
	life  context.Context
	cut   context.CancelFunc

	follows   bool // the dialer goes to whatever is the master now
	following sync.WaitGroup

	mu      sync.Mutex // guards what follows
	conns   map[*conn]struct{}
	looking bool // follow runs
}

// maxSlice is the longest time that one command blocks on Redis.
const maxSlice = time.Second

// A conn is a connection to Redis.
type conn struct {
	net.Conn
	reader
	link *link

	quiet    func()        // if not nil, called before each read from the network
	patience time.Duration // of each of them; 0 is for ever
	heard    atomic.Int64  // when the last of them ended, in Unix nanoseconds
}

// A source is where a conn's reader reads.
type source conn

func (s *source) Read(p []byte) (int, error) {
	if s.quiet != nil {
		s.quiet()
	}
	if s.patience > 0 {
		s.SetReadDeadline(time.Now().Add(s.patience)) // fails only if it is closed, which Read says
	}
	n, err := s.Conn.Read(p)
	s.heard.Store(time.Now().UnixNano())
	return n, err
}

// send writes b, and returns how much of it was written. The time that a write may
// take counts anew for each piece of what is long.
func (c *conn) send(b []byte) (written int, err error) {
	const piece = 256 << 10
	for err == nil && written < len(b) {
		if c.link.timed && c.link.write > 0 {
			c.SetWriteDeadline(time.Now().Add(c.link.write)) // fails only if it is closed
		}
		var n int
		n, err = c.Write(b[written:min(len(b), written+piece)])
		written += n
	}
	return written, err
}

// newLink derives a link from rdb, or from h if it is not nil. Address, dialer, TLS,
// credentials, database and time-outs are the caller's.
func newLink(rdb *redis.Client, h *home) *link {
	l := &link{home: h, conns: map[*conn]struct{}{}}
	if h != nil { // options that have been through go-redis's defaults once
		l.opt = h.options()
	} else {
		l.opt = *rdb.Options()
	}
	l.life, l.cut = context.WithCancel(context.Background())
	l.timed = l.opt.ReadTimeout >= 0 && l.opt.WriteTimeout >= 0
	l.read, l.write = max(0, l.opt.ReadTimeout), max(0, l.opt.WriteTimeout)

	l.follows = l.opt.Addr == sentinelAddr
	l.opt.MaxRetries = -1
	l.opt.PoolSize, l.opt.PipelinePoolSize = 1, -1
	l.opt.MaxConcurrentDials, l.opt.MinIdleConns, l.opt.MaxIdleConns, l.opt.MaxActiveConns = 0, 0, 0, 0
	l.opt.ReadBufferSize, l.opt.WriteBufferSize = 1<<10, 1<<10
	l.opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	l.opt.ClientSideCache, l.opt.ClientSideCacheConfig = nil, nil
	l.opt.PushNotificationProcessor = nil
	l.opt.Limiter = nil
	l.opt.ReadTimeout = rawTimeout(l.opt.ReadTimeout)
	l.opt.WriteTimeout = rawTimeout(l.opt.WriteTimeout)
	return l
}

// rawTimeout undoes what go-redis makes of the two special values of a time-out
// when it takes options, for it will do so again: -1, "none", becomes 0, and
// -2, "don't touch deadlines", becomes -1.
func rawTimeout(d time.Duration) time.Duration {
	switch d {
	case 0:
		return -1
	case -1:
		return -2
	}
	return d
}

// connect sets up a connection that speaks RESP protocol (2 or 3, the latter if
// Redis can) and reads through a buffer of size bytes. It ends when the link is
// closed.
func (l *link) connect(protocol, size int) (*conn, error) { return l.connectTo("", protocol, size) }

// connectTo is connect to an address; none is that of the link.
func (l *link) connectTo(addr string, protocol, size int) (*conn, error) {
	raw, err := l.dial(addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, link: l}
	if !l.add(c) {
		return nil, errors.Join(redis.ErrClosed, raw.Close())
	}
	if err := l.setUp(raw, protocol); err != nil {
		c.Close()
		if l.life.Err() != nil {
			err = redis.ErrClosed
		}
		return nil, err
	}
	c.reader = newReader((*source)(c), size)
	if err := c.anyTime(); err != nil { // after go-redis's time-outs
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (l *link) dial(addr string) (net.Conn, error) {
	ctx, cancel := l.life, context.CancelFunc(func() {})
	if l.opt.DialTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.opt.DialTimeout)
	}
	defer cancel()
	var raw net.Conn
	var err error
	switch {
	case addr != "":
		raw, err = l.opt.Dialer(ctx, "tcp", addr)
	case l.home != nil:
		raw, err = l.home.dial(ctx, l.opt.Dialer)
	default:
		raw, err = l.opt.Dialer(ctx, l.opt.Network, l.opt.Addr)
	}
	if err != nil && l.life.Err() != nil {
		return nil, redis.ErrClosed
	}
	return raw, err
}

// slice is how long one command may block. A slot of a Cluster may leave while one
// does, which nobody tells it before the last key has gone.
func (l *link) slice() time.Duration {
	if l.home != nil {
		return maxSlice / 4
	}
	return maxSlice
}

// failed is told why a connection could not be had, or is of no use any more.
func (l *link) failed(err error) {
	if l.home != nil {
		l.home.follow(err)
	}
}

// errReady ends go-redis's part.
var errReady = errors.New("ready")

// setUp lends raw to a go-redis client, which sets it up and calls OnConnect
// last. That is where it is taken back, so the client has no connection left.
func (l *link) setUp(raw net.Conn, protocol int) error {
	opt := l.opt
	opt.Protocol = protocol
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) { return lent{raw}, nil }
	ready, onConnect := false, opt.OnConnect
	opt.OnConnect = func(ctx context.Context, c *redis.Conn) error {
		if onConnect != nil {
			if err := onConnect(ctx, c); err != nil {
				return err
			}
		}
		if err := l.readTime(ctx, c); err != nil {
			return err
		}
		ready = true
		return errReady
	}
	rdb := redis.NewClient(&opt)
	err := rdb.Ping(l.life).Err()
	err = errors.Join(err, rdb.Close())
	if !ready {
		return err
	}
	return nil
}

// readTime reads Redis's clock on a new connection, unless another one has just
// done so, or Redis refuses.
func (l *link) readTime(ctx context.Context, c *redis.Conn) error {
	if !l.clock.claim(askConnecting) {
		return nil
	}
	sent := time.Now()
	switch t, err := c.Time(ctx).Result(); {
	case err == nil:
		l.clock.read(sent, time.Now(), t.UnixMicro())
	case !isReply(err):
		return err
	}
	return nil
}

// A lent connection is not the borrower's to close.
type lent struct{ net.Conn }

func (lent) Close() error { return nil }

// add reports whether the link is open, and then remembers c.
func (l *link) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil {
		return false
	}
	l.conns[c] = struct{}{}
	if l.follows && !l.looking {
		l.looking = true
		l.following.Go(l.follow)
	}
	return true
}

// Close closes the connection, whoever uses it.
func (c *conn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}

// open is how many connections there are.
func (l *link) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// close cuts all connections, also those in use and those being set up.
func (l *link) close() {
	l.mu.Lock()
	l.cut()
	conns := l.conns
	l.conns = map[*conn]struct{}{}
	l.mu.Unlock()
	for c := range conns {
		c.Conn.Close() // what it says is of no interest: nobody counts on what was in flight
	}
	l.following.Wait()
}

// within makes reads wait for d beyond what a reply may take, or for ever if the
// caller's options set no time-out.
func (c *conn) within(d time.Duration) {
	if c.link.timed && c.link.read > 0 {
		c.patience = d + c.link.read
	}
}

// anyTime takes back what within set.
func (c *conn) anyTime() error {
	c.patience = 0
	if c.link.timed {
		return c.SetDeadline(time.Time{})
	}
	return nil
}

// isReply says whether err is an error reply of Redis, rather than a failure to get one.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
