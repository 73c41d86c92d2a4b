package rpc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"redrpc/rpc/internal/wire"
)

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

// over reports whether the caller's deadline is known and past.
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

// end ends it, as the handler has returned.
func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// A summary logs what may happen thousands of times a second once a second: the first at
// once, and how many there were since.
type summary struct {
	text string

	mu     sync.Mutex // guards what follows
	last   time.Time  // it was logged
	untold int
	attrs  []any // of the last one
}

// add notes one, which attrs describe.
func (s *summary) add(log *slog.Logger, attrs ...any) {
	s.mu.Lock()
	s.untold++
	s.attrs = attrs
	due := time.Since(s.last) >= time.Second
	s.mu.Unlock()
	if due {
		s.flush(log)
	}
}

// flush logs those that have not been.
func (s *summary) flush(log *slog.Logger) {
	s.mu.Lock()
	n, attrs := s.untold, s.attrs
	s.untold, s.attrs, s.last = 0, nil, time.Now()
	s.mu.Unlock()
	if n > 0 {
		log.Warn("rpc: "+s.text, append([]any{"count", n}, attrs...)...)
	}
}
