package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"redrpc/rpc/internal/resp"
)

// A dialer makes the connections of a client or a server to one Redis, or to one slot of
// a Cluster. go-redis sets them up as the caller's options say: it dials,
// authenticates, selects the database and calls OnConnect. Those of the hot path are then
// ours alone; the others stay in a pool of go-redis.
type dialer struct {
	opt   redis.Options
	clock *clock       // of this Redis; nil if nobody wants to know
	slot  *slotAddress // if it is a slot's
	life  context.Context
	cut   context.CancelFunc

	// The longest time without progress of a read and of a write; 0 is no limit.
	readTimeout, writeTimeout time.Duration

	multi     atomic.Bool // Redis takes MULTI, so that nothing is done before EXEC
	sentinel  bool        // the address is the master that Sentinel names
	following sync.WaitGroup
	dialing   sync.WaitGroup // dials that go on; some are of go-redis, which waits for none

	mu       sync.Mutex // guards what follows
	conns    map[*conn]struct{}
	followed bool // followMaster runs
}

// maxBlock is the longest time that one command blocks on Redis, and maxBlockInCluster
// that in a Cluster: a slot may be moved while one does, which nobody tells it before the
// last key has gone.
const (
	maxBlock          = time.Second
	maxBlockInCluster = 250 * time.Millisecond
)

// newDialer derives a dialer from the caller's options, or from a slot's if it is not
// nil. Address, dialer, TLS, credentials, database and timeouts are the caller's.
func newDialer(opt *redis.Options, slot *slotAddress) *dialer {
	d := &dialer{opt: *opt, slot: slot, conns: map[*conn]struct{}{}}
	d.life, d.cut = context.WithCancel(context.Background())
	d.readTimeout, d.writeTimeout = max(0, opt.ReadTimeout), max(0, opt.WriteTimeout)
	d.sentinel = opt.Addr == sentinelAddr

	d.opt.Protocol = 2
	d.opt.MaxRetries, d.opt.DialerRetries = -1, 1
	d.opt.ReadTimeout, d.opt.WriteTimeout = -2, -2 // conn has its own
	d.opt.PoolSize, d.opt.PipelinePoolSize = 1, -1
	d.opt.MaxConcurrentDials, d.opt.MinIdleConns, d.opt.MaxIdleConns, d.opt.MaxActiveConns = 0, 0, 0, 0
	d.opt.ReadBufferSize, d.opt.WriteBufferSize = 4<<10, 4<<10
	d.opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	d.opt.ClientSideCache, d.opt.ClientSideCacheConfig = nil, nil
	d.opt.PushNotificationProcessor = nil
	d.opt.Limiter = nil
	return d
}

// pool returns a client of go-redis with up to size connections of the dialer, to addr if
// it is not empty.
func (d *dialer) pool(addr string, size int) *redis.Client {
	opt := d.opt
	opt.PoolSize = size
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) {
		c, err := d.dial(addr)
		if err != nil {
			// A pool of go-redis that could not dial as often as it has connections dials
			// once a second by itself, beyond its end, and refuses meanwhile; and it logs.
			return failedConn{fmt.Errorf("%w", err)}, nil // of which go-redis unwraps one layer
		}
		if d.readTimeout > 0 {
			c.patience = d.readTimeout + maxBlock // a command may block so long
		}
		if s, ok := c.raw().(syscall.Conn); ok {
			return struct { // go-redis looks whether it is alive
				*conn
				syscall.Conn
			}{c, s}, nil
		}
		return c, nil
	}
	return redis.NewClient(&opt)
}

// block is how long one command may block.
func (d *dialer) block() time.Duration {
	if d.slot != nil {
		return maxBlockInCluster
	}
	return maxBlock
}

// errHandshakeDone ends go-redis's part in the set-up of a connection.
var errHandshakeDone = errors.New("handshake done")

// connect sets up a connection that is the caller's alone, and reads through a buffer of
// size bytes. It ends when the dialer is closed.
func (d *dialer) connect(size int) (*conn, error) {
	c, err := d.dial("")
	if err != nil {
		return nil, err
	}
	opt := d.opt
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) { return noClose{c}, nil }
	done, onConnect := false, opt.OnConnect
	opt.OnConnect = func(ctx context.Context, set *redis.Conn) error {
		if onConnect != nil {
			if err := onConnect(ctx, set); err != nil {
				return err
			}
		}
		if d.clock.claim(readConnecting) {
			if err := d.clock.readFrom(func() *redis.TimeCmd { return set.Time(ctx) }); err != nil && !resp.IsError(err) {
				return err
			}
		}
		done = true
		return errHandshakeDone
	}
	c.patience = d.readTimeout
	set := redis.NewClient(&opt)
	err = errors.Join(set.Ping(d.life).Err(), set.Close())
	if !done {
		c.Close()
		switch {
		case d.life.Err() != nil:
			err = redis.ErrClosed
		case c.refusal != "": // such as "max number of clients reached", said before it was closed
			err = errors.Join(resp.Error(c.refusal), err)
		}
		return nil, err
	}
	c.patience = 0
	c.Reader = resp.NewReader(c, size)
	return c, c.SetReadDeadline(time.Time{})
}

// dial makes a connection to an address; an empty one is the dialer's.
func (d *dialer) dial(addr string) (*conn, error) {
	d.mu.Lock()
	if d.life.Err() != nil {
		d.mu.Unlock()
		return nil, &dialError{redis.ErrClosed}
	}
	d.dialing.Add(1)
	d.mu.Unlock()
	defer d.dialing.Done()
	ctx, cancel := d.life, context.CancelFunc(func() {})
	if d.opt.DialTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.opt.DialTimeout)
	}
	defer cancel()
	var raw net.Conn
	var err error
	switch {
	case addr != "":
		raw, err = d.opt.Dialer(ctx, "tcp", addr)
	case d.slot != nil:
		raw, err = d.slot.dial(ctx, d.opt.Dialer)
	default:
		raw, err = d.opt.Dialer(ctx, d.opt.Network, d.opt.Addr)
	}
	if err != nil {
		if d.life.Err() != nil {
			err = redis.ErrClosed
		}
		return nil, &dialError{err}
	}
	c := &conn{Conn: raw, dialer: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.Err() != nil {
		return nil, &dialError{errors.Join(redis.ErrClosed, raw.Close())}
	}
	d.conns[c] = struct{}{}
	if d.sentinel && !d.followed {
		d.followed = true
		d.following.Go(d.followMaster)
	}
	return c, nil
}

// A dialError is why there is no connection: nothing was sent.
type dialError struct{ cause error }

func (e *dialError) Error() string { return e.cause.Error() }
func (e *dialError) Unwrap() error { return e.cause }

// isUnsent reports whether a command failed before anything was sent.
func isUnsent(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok || errors.Is(err, redis.ErrPoolTimeout)
}

func (d *dialer) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// failed is told why a connection could not be made, or failed.
func (d *dialer) failed(err error) {
	if d.slot != nil {
		d.slot.follow(err)
	}
}

// close cuts all connections, also those in use and those that are being set up.
func (d *dialer) close() {
	d.mu.Lock()
	d.cut()
	conns := d.conns
	d.conns = map[*conn]struct{}{}
	d.mu.Unlock()
	for c := range conns {
		c.Conn.Close() // what it says is of no interest: nobody counts on what was in flight
	}
	d.following.Wait()
	d.dialing.Wait()
}

const (
	// sentinelAddr is what go-redis says that the address of a client of Sentinel is.
	sentinelAddr = "FailoverClient"

	// followEvery is how often it is looked where the master is. A master that was cut
	// off and comes back takes itself for the master for about 8 s, until a sentinel
	// tells it otherwise, and meanwhile answers as ever on the connections to it.
	followEvery = time.Second
)

// followMaster cuts connections to what Sentinel no longer calls the master, until the
// dialer is closed. Those who lose one reconnect to the new master.
func (d *dialer) followMaster() {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.life.Done():
			return
		}
		c, err := d.dial("")
		if err != nil {
			continue // the others have trouble enough
		}
		master := c.RemoteAddr().String()
		c.Close() // nothing was sent
		d.mu.Lock()
		for c := range d.conns {
			if c.RemoteAddr().String() != master {
				c.Conn.Close() // what it says is of no interest
			}
		}
		d.mu.Unlock()
	}
}

// A conn is a connection to Redis. Its timeouts are for time without progress, however
// long a message is.
type conn struct {
	net.Conn
	*resp.Reader // of connections that are ours alone
	dialer       *dialer

	patience time.Duration // the longest time that a read takes; 0 is no limit
	heard    atomic.Int64  // when the last read ended, in Unix nanoseconds
	written  time.Time     // when the system last took something
	total    int64         // bytes that it has taken
	arrived  int64         // of them, those that had arrived when it was last looked
	drained  time.Time     // when it was seen last that some had that a reply waits for
	unsent   int           // bytes that had not arrived when a read last timed out
	worked   bool          // it was of use, so the next may be, too: no pause grows
	reads    int           // that brought something
	refusal  string        // the error that the first of them brought
}

// lastLook is how long a read, a write or a reply that has timed out gets once more. A process
// that was stopped, as by SIGSTOP, goes on after its deadlines, though what it waits for may have
// come long before: once a deadline has passed Go does not look at the socket.
const lastLook = 10 * time.Millisecond

// Read reads what has come. As long as the system still sends what was written, however
// slowly, it waits on.
func (c *conn) Read(p []byte) (n int, err error) {
	for {
		if c.patience > 0 {
			c.SetReadDeadline(time.Now().Add(c.patience)) // fails only if it is closed, which Read says
		}
		n, err = c.Conn.Read(p)
		if n == 0 && isTimeout(err) {
			c.SetReadDeadline(time.Now().Add(lastLook))
			n, err = c.Conn.Read(p)
		}
		if n > 0 || !isTimeout(err) || !c.drains() {
			break
		}
	}
	c.heard.Store(time.Now().UnixNano())
	c.note(p[:n])
	return n, err
}

// note keeps what Redis says when it closes a connection at once: an error, and nothing
// else.
func (c *conn) note(b []byte) {
	if c.reads > 1 || len(b) == 0 {
		return
	}
	c.reads++
	c.refusal = ""
	if line, end := bytes.CutSuffix(b, []byte("\r\n")); end && line[0] == '-' && c.reads == 1 {
		c.refusal = string(line[1:])
	}
}

// Write writes all of b. The time that a write may take counts anew when a part of b was
// written.
func (c *conn) Write(b []byte) (written int, err error) {
	const piece = 64 << 10
	for written < len(b) {
		if timeout := c.dialer.writeTimeout; timeout > 0 {
			c.SetWriteDeadline(time.Now().Add(timeout)) // fails only if it is closed
		}
		n, err := c.Conn.Write(b[written:min(len(b), written+piece)])
		if n == 0 && isTimeout(err) {
			c.SetWriteDeadline(time.Now().Add(lastLook))
			n, err = c.Conn.Write(b[written:min(len(b), written+piece)])
		}
		written += n
		c.total += int64(n)
		c.written = time.Now()
		if err != nil && !(isTimeout(err) && n > 0) {
			if c.reads == 0 { // Redis may have said why it closed the connection
				var b [512]byte
				c.SetReadDeadline(time.Now().Add(lastLook))
				n, _ := c.Conn.Read(b[:])
				c.note(b[:n])
			}
			return written, err
		}
	}
	return written, nil
}

// drains reports whether the system has sent a part of what was written since it was last
// asked, while nothing more is written.
func (c *conn) drains() bool {
	before := c.unsent
	c.unsent = unsentBytes(c.raw())
	return (before > 0 || c.unsent > 0) && (before == 0 || c.unsent < before)
}

// progress looks how much of what was written has arrived, and notes when that was more of
// the first bytes than the last time, up to end. What was written behind them does not count:
// it arrives all the time, also where no reply comes any more.
func (c *conn) progress(end int64) {
	c.noteArrived(c.total-int64(unsentBytes(c.raw())), end, time.Now())
}

func (c *conn) noteArrived(arrived, end int64, now time.Time) {
	if c.arrived < end && arrived > c.arrived {
		c.drained = now
	}
	c.arrived = arrived
}

// raw is the connection below TLS.
func (c *conn) raw() net.Conn {
	if t, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c.Conn
}

// isDead reports whether Redis is known to have closed the connection, and to have sent
// nothing before that is yet to be read. It may be read meanwhile.
func (c *conn) isDead() bool { return peerClosed(c.raw()) }

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// Close closes the connection, also while it is used.
func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

// within makes reads take up to d beyond what a reply may take.
func (c *conn) within(d time.Duration) {
	if c.dialer.readTimeout > 0 {
		c.patience = d + c.dialer.readTimeout
	}
}

// failedConn is in place of a connection that could not be made: all use of it fails.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c failedConn) SetDeadline(time.Time) error      { return nil }
func (c failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c failedConn) SetWriteDeadline(time.Time) error { return nil }

// A noClose connection is not the borrower's to close.
type noClose struct{ net.Conn }

func (noClose) Close() error { return nil }

// A backoff is the pauses between attempts to reconnect that fail. They grow and differ,
// so that those who lost the same Redis do not all come back at the same time.
type backoff struct{ next time.Duration }

const (
	shortestPause = 10 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// pause reports whether it ended otherwise than by the end of stop. hurry, which may be
// nil, shortens it.
func (b *backoff) pause(hurry, stop <-chan struct{}) bool {
	d := max(b.next, shortestPause)
	b.next = min(2*d, longestPause)
	return sleepOr(hurry, d/2+rand.N(d/2), stop)
}

// sleep waits for d, or until stop is closed, and reports whether it was not.
func sleep(d time.Duration, stop <-chan struct{}) bool { return sleepOr(nil, d, stop) }

// sleepOr is sleep, but ends when something comes over hurry, too.
func sleepOr(hurry <-chan struct{}, d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-stop:
		return false
	}
	return true
}

// runFor runs f, and waits for its end no longer than for d.
func runFor(d time.Duration, running *sync.WaitGroup, f func()) {
	done := make(chan struct{})
	running.Go(func() {
		defer close(done)
		f()
	})
	sleep(d, done)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// checkClient returns what dialers can be derived from: the options of the one Redis or of
// each node, and the client of a Cluster if it is one.
func checkClient(rdb redis.UniversalClient, prefix string) (*redis.Options, *redis.ClusterClient, error) {
	if err := checkAsked(rdb); err != nil {
		return nil, nil, err
	}
	cluster, ok := rdb.(*redis.ClusterClient)
	switch {
	case !ok:
		return rdb.(*redis.Client).Options(), nil, nil
	case defiesTags(prefix):
		return nil, nil, fmt.Errorf("expected a prefix without {} for a Cluster, as no key that starts with it can be put where others are, got %q", prefix)
	}
	return nodeOptions(cluster.Options()), cluster, nil
}

// checkAsked refuses clients of which it is not known who is to be asked.
func checkAsked(rdb redis.UniversalClient) error {
	single, _ := rdb.(*redis.Client)
	cluster, _ := rdb.(*redis.ClusterClient)
	if single == nil && cluster == nil {
		return fmt.Errorf("expected a non-nil *redis.Client or *redis.ClusterClient (not a Ring), got %T", rdb)
	}
	return nil
}
