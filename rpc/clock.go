package rpc

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A clock knows what time it is for Redis, by which clients and servers tell each
// other moments, as their own clocks may differ. TIME is asked for on new
// connections and once a minute, or each second while the answers come too slowly
// to be exact. A nil clock never knows.
//
// It goes on from the last reading by the monotonic clock, so that it does not
// jump when the machine's clock is set.
type clock struct {
	born  time.Time
	asked atomic.Int64 // when, in nanoseconds after born; 0 is never
	last  atomic.Pointer[reading]
	mu    sync.Mutex // for one reading at a time
}

// A reading says that Redis's clock showed micros, in Unix time, at a moment that
// is known but for doubt.
type reading struct {
	at     time.Time
	micros int64
	doubt  time.Duration
}

const (
	askEvery      = time.Minute
	askConnecting = time.Second // on new connections, not more often than that
	askDoubtful   = time.Second // while the best reading is
	doubtful      = time.Millisecond

	// clockDrift is how much two clocks may part in the time that is divided by it.
	clockDrift = 10_000
)

func newClock() *clock { return &clock{born: time.Now()} }

// claim reports whether it is for its caller to ask Redis: the last time was longer
// ago than age, or than askDoubtful if the answer was not worth much.
func (c *clock) claim(age time.Duration) bool {
	if c == nil {
		return false
	}
	if r := c.last.Load(); r != nil && r.doubt > doubtful {
		age = min(age, askDoubtful)
	}
	now, last := int64(time.Since(c.born)), c.asked.Load()
	return (last == 0 || now-last >= int64(age)) && c.asked.CompareAndSwap(last, max(1, now))
}

// read notes that Redis answered micros to a question between two moments. It is
// for nothing if the answer took so long that the last reading is better, unless
// that cannot be true, as after a failover.
func (c *clock) read(sent, came time.Time, micros int64) {
	doubt := came.Sub(sent) / 2
	now := &reading{at: sent.Add(doubt), micros: micros, doubt: doubt}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.last.Load(); old != nil {
		age := now.at.Sub(old.at)
		old := reading{old.at, old.micros, old.doubt + age/clockDrift}
		if off := time.Duration(micros-old.microsAt(now.at)) * time.Microsecond; old.doubt < doubt && off.Abs() <= old.doubt+doubt {
			return
		}
	}
	c.last.Store(now)
}

func (r *reading) microsAt(t time.Time) int64 { return r.micros + t.Sub(r.at).Microseconds() }

// millis returns what Redis's clock shows at t, in Unix milliseconds.
func (c *clock) millis(t time.Time) (ms int64, known bool) {
	if c == nil {
		return 0, false
	}
	r := c.last.Load()
	if r == nil {
		return 0, false
	}
	return r.microsAt(t) / 1000, true
}

// moment returns when Redis's clock shows ms.
func (c *clock) moment(ms int64) (t time.Time, known bool) {
	if c == nil {
		return time.Time{}, false
	}
	r := c.last.Load()
	if r == nil {
		return time.Time{}, false
	}
	const century = 100 * 366 * 24 * 3600 * 1_000_000
	away := min(max(ms*1000-r.micros, -century), century)
	return r.at.Add(time.Duration(away) * time.Microsecond), true
}

const askTime = "*1\r\n$4\r\nTIME\r\n"

// readTime reads the reply to TIME. Redis may refuse it, which is no error: then
// it is not ok.
func (r *reader) readTime() (micros int64, ok bool, err error) {
	n, err := r.array()
	switch {
	case isReply(err):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case n != 2:
		return 0, false, fmt.Errorf("expected seconds and microseconds from TIME, got %d values", n)
	}
	var parts [2]int64
	for i := range parts {
		text, err := r.view()
		if err != nil {
			return 0, false, err
		}
		if parts[i], err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return 0, false, fmt.Errorf("expected a number from TIME: %w", err)
		}
	}
	return parts[0]*1_000_000 + parts[1], true, nil
}

// keepTime reads Redis's clock if it is time to, on a connection that nobody else
// uses now. An error says that the connection is of no use any more.
func (c *conn) keepTime() error {
	clock := c.link.clock
	if !clock.claim(askEvery) {
		return nil
	}
	c.within(0)
	sent := time.Now()
	if _, err := c.Write([]byte(askTime)); err != nil {
		return err
	}
	micros, ok, err := c.readTime()
	if ok {
		clock.read(sent, time.Now(), micros)
	}
	return err
}
