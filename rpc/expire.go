package rpc

import (
	"context"
	"redrpc/rpc/internal/wire"
	"sync"
	"time"
)

// moments are what a server makes of the times in a call, by its own clock.
type moments struct {
	deadline time.Time     // when the caller gives up; zero if it is not known
	exact    bool          // Redis's clock was known to both sides, so this is not only the latest that it may be
	queued   time.Duration // how long the call waited to be taken; less than 0 if it is not known
}

// moments reads a call that was taken at a time, by a clock of Redis.
func (r *shift) moments(clock *clock, c *wire.ReceivedCall, taken time.Time) moments {
	m := moments{queued: -1}
	if !r.opt.NoExtensions && c.Timeout > 0 && c.Deadline > 0 {
		if now, ok := clock.millis(taken); ok {
			m.queued = time.Duration(max(0, now-(c.Deadline-c.Timeout))) * time.Millisecond
		}
	}
	if r.opt.IgnoreDeadlines {
		return m
	}
	if c.Deadline > 0 {
		m.deadline, m.exact = clock.moment(c.Deadline)
	}
	if !m.exact && c.Timeout > 0 {
		m.deadline = taken.Add(time.Duration(min(c.Timeout, int64(1<<43))) * time.Millisecond)
	}
	return m
}

// over reports whether the caller's deadline is known and past.
func (m *moments) over(now time.Time) bool { return !m.deadline.IsZero() && !now.Before(m.deadline) }

// budget returns the context for a call whose deadline is known, else nil.
func (m *moments) budget(ctx context.Context) *budget {
	if m.deadline.IsZero() {
		return nil
	}
	return &budget{Context: ctx, deadline: m.deadline}
}

// expired reports whether a call is too late to be run now.
func (r *shift) expired(m *moments, now time.Time) bool {
	return m.exact && now.Sub(m.deadline) > r.opt.Tolerance
}

// A dropLog logs calls that are dropped, but not each one: a server that has too
// much to do drops thousands a second.
type dropLog struct {
	mu     sync.Mutex // guards what follows
	last   time.Time
	untold int
}

// drop is told of a call that is dropped.
func (r *shift) drop(f *function, id string, now time.Time, m *moments) {
	f.expired.Add(1)
	d := &r.drops
	d.mu.Lock()
	d.untold++
	tell := 0
	if now.Sub(d.last) >= time.Second {
		tell, d.untold, d.last = d.untold, 0, now
	}
	d.mu.Unlock()
	if tell > 0 {
		r.log.Warn("rpc: calls dropped, their callers have given up", "count", tell, "last_func", f.name, "last_id", id, "last_late_by", now.Sub(m.deadline))
	}
}
