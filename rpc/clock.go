package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/wire"
)

// A clock knows what time it is for Redis, by which clients and servers tell each
// other moments, as their own clocks may differ. TIME is sent on new connections and
// once a minute, or each second while the answers come too slowly to be exact or there
// is a doubt. A nil clock never knows.
//
// It goes on from the last reading by the monotonic clock, so that it does not
// jump when the machine's clock is set.
type clock struct {
	born    time.Time
	asked   atomic.Int64 // when, in nanoseconds after born; 0 is never
	doubted atomic.Bool  // something did not fit the last reading
	stepped atomic.Int64 // when Redis's clock was last seen to have been set, as asked
	last    atomic.Pointer[reading]
	mu      sync.Mutex // for one reading at a time
}

// A reading says that Redis's clock showed micros, in Unix time, at a moment that
// is known but for doubt.
type reading struct {
	at     time.Time
	micros int64
	doubt  time.Duration
}

const (
	readEvery      = time.Minute
	readConnecting = time.Second // on new connections, not more often than that
	readDoubtful   = time.Second // while there is a doubt
	doubtful       = time.Millisecond

	// clockDrift is how much two clocks may part in the time that is divided by it.
	clockDrift = 10_000

	// clockStep is a difference between two readings that no drift explains. After it
	// deadlines are not to be trusted before all others have read the clock again.
	clockStep  = 100 * time.Millisecond
	stepSettle = readEvery + 5*time.Second
)

func newClock() *clock { return &clock{born: time.Now()} }

// claim reports whether it is for its caller to ask Redis: the last time was longer
// ago than age, or than readDoubtful if there is a doubt.
func (c *clock) claim(age time.Duration) bool {
	if c == nil {
		return false
	}
	if r := c.last.Load(); r != nil && (r.doubt > doubtful || c.doubted.Load()) {
		age = min(age, readDoubtful)
	}
	now, last := int64(time.Since(c.born)), c.asked.Load()
	return (last == 0 || now-last >= int64(age)) && c.asked.CompareAndSwap(last, max(1, now))
}

// suspect has the clock read soon, as a call was not answered in time: if Redis's clock
// was set, servers may take calls for late.
func (c *clock) suspect() {
	if c != nil {
		c.doubted.Store(true)
	}
}

func (c *clock) readFrom(ask func() *redis.TimeCmd) error {
	sent := time.Now()
	t, err := ask().Result()
	if err == nil {
		c.read(sent, time.Now(), t.UnixMicro())
	}
	return err
}

// read notes that Redis answered micros to a question between two moments. It is
// for nothing if the answer took so long that the last reading is better, unless
// that cannot be true, as after a failover.
func (c *clock) read(sent, came time.Time, micros int64) {
	doubt := came.Sub(sent) / 2
	now := &reading{at: sent.Add(doubt), micros: micros, doubt: doubt}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted.Store(false)
	if old := c.last.Load(); old != nil {
		age := now.at.Sub(old.at)
		old := reading{old.at, old.micros, old.doubt + age/clockDrift}
		off := (time.Duration(micros-old.microsAt(now.at)) * time.Microsecond).Abs()
		if old.doubt < doubt && off <= old.doubt+doubt {
			return
		}
		if off > old.doubt+doubt+clockStep {
			c.stepped.Store(max(1, int64(time.Since(c.born))))
		}
	}
	c.last.Store(now)
}

// trusted reports whether others may be taken to know the same clock: it was not set of
// late.
func (c *clock) trusted() bool {
	at := c.stepped.Load()
	return at == 0 || time.Since(c.born)-time.Duration(at) > stepSettle
}

func (c *clock) known() *reading {
	if c == nil {
		return nil
	}
	return c.last.Load()
}

func (r *reading) microsAt(t time.Time) int64 { return r.micros + t.Sub(r.at).Microseconds() }

// millis returns what Redis's clock shows at t, in Unix milliseconds.
func (c *clock) millis(t time.Time) (ms int64, known bool) {
	r := c.known()
	if r == nil {
		return 0, false
	}
	return r.microsAt(t) / 1000, true
}

// moment returns when Redis's clock shows ms.
func (c *clock) moment(ms int64) (t time.Time, known bool) {
	r := c.known()
	if r == nil {
		return time.Time{}, false
	}
	const century = 100 * 366 * 24 * 3600 * 1_000_000
	away := min(max(ms*1000-r.micros, -century), century)
	return r.at.Add(time.Duration(away) * time.Microsecond), true
}

// callTimes are what a server makes of the times in a call, by its own clock.
type callTimes struct {
	deadline time.Time     // when the caller gives up; zero if it is not known
	exact    bool          // Redis's clock was known to both sides, so this is not only the latest that it may be
	queued   time.Duration // how long the call waited to be fetched; less than 0 if it is not known
}

// callTimes reads a call that was fetched at a time, by a clock of Redis.
func (r *serverRun) callTimes(clock *clock, c *wire.ReceivedCall, fetched time.Time) callTimes {
	t := callTimes{queued: -1}
	if !r.opt.NoExtensions && c.Timeout > 0 && c.Deadline > 0 {
		if now, ok := clock.millis(fetched); ok {
			t.queued = time.Duration(max(0, now-(c.Deadline-c.Timeout))) * time.Millisecond
		}
	}
	if r.opt.IgnoreDeadlines {
		return t
	}
	if c.Deadline > 0 && clock.trusted() {
		t.deadline, t.exact = clock.moment(c.Deadline)
	}
	if c.Timeout > 0 { // it cannot be later than that
		latest := fetched.Add(time.Duration(min(c.Timeout, int64(1<<43))) * time.Millisecond)
		if !t.exact || latest.Before(t.deadline) {
			t.deadline = latest
		}
	}
	return t
}

func (t *callTimes) over(now time.Time) bool { return !t.deadline.IsZero() && !now.Before(t.deadline) }

// A deadlineContext is context.WithDeadline, made when somebody looks at it, which most
// handlers do not: it takes a timer.
type deadlineContext struct {
	context.Context // of the run
	deadline        time.Time

	mu     sync.Mutex // guards what follows
	timed  context.Context
	cancel context.CancelFunc
	over   bool
}

// context returns the context for a call whose deadline is known, else nil.
func (t *callTimes) context(ctx context.Context) *deadlineContext {
	if t.deadline.IsZero() {
		return nil
	}
	return &deadlineContext{Context: ctx, deadline: t.deadline}
}

func (c *deadlineContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.deadline)
		if c.over {
			c.cancel()
		}
	}
	return c.timed
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.made().Deadline() }
func (c *deadlineContext) Done() <-chan struct{}       { return c.made().Done() }
func (c *deadlineContext) Err() error                  { return c.made().Err() }
func (c *deadlineContext) Value(key any) any           { return c.made().Value(key) }

func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}
