package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A worker is a goroutine that makes calls.
type worker struct {
	*run
	rec     *recorder
	attempt Attempt
}

// worker number i shares its recorder with others.
func (r *run) worker(i int) *worker {
	return &worker{
		run:     r,
		rec:     r.recorders[i%len(r.recorders)],
		attempt: Attempt{Phases: make([]time.Duration, len(r.cfg.Phases))},
	}
}

// make makes a call that has all but its end.
func (w *worker) make(ctx context.Context, number int64, c *call) {
	w.attempt.Number, w.attempt.Label = number, 0
	for i := range w.attempt.Phases {
		w.attempt.Phases[i] = -1
	}
	w.rec.sent.Add(1)
	err := w.cfg.Do(ctx, &w.attempt)
	c.phases, c.label = w.attempt.Phases, w.attempt.Label
	w.end(c, err)
}

// end records a call that has ended now.
func (w *worker) end(c *call, err error) {
	c.done = w.elapsed()
	if err != nil {
		c.kind, c.err = w.classify(err)
	}
	w.rec.record(c)
}

func (r *run) classify(err error) (string, error) {
	if r.cutOff.Load() {
		return Unfinished, fmt.Errorf("still in flight when the run stopped waiting for it: %w", err)
	}
	if r.cfg.Classify != nil {
		if kind := r.cfg.Classify(err); kind != "" {
			return kind, err
		}
	}
	return "error", err
}

// closedLoop runs the callers until the last one has ended.
func (r *run) closedLoop(sending, calls context.Context) {
	var callers sync.WaitGroup
	defer callers.Wait()
	if size := r.cfg.Batch; size > 1 {
		for i := 0; i < r.cfg.Callers; i += size {
			callers.Go(func() { r.batches(sending, calls, i, min(size, r.cfg.Callers-i)) })
		}
		return
	}
	for i := range r.cfg.Callers {
		callers.Go(func() { r.caller(sending, calls, i) })
	}
}

// caller sends one call after the other until sending ends, the window closes or
// the calls are used up. The time at which a call is sent decides what it counts
// for; throughput alone asks when it ended.
func (r *run) caller(sending, calls context.Context, i int) {
	var (
		w         = r.worker(i)
		windowEnd = r.windowEnd()
		loop, _   = r.cfg.Model.(ClosedLoop)
	)
	for number := int64(i); ; number += int64(r.cfg.Callers) {
		if number > int64(i) && !r.think(sending, loop.Think) || sending.Err() != nil {
			return
		}
		now := r.elapsed()
		c := call{intended: now, sent: now, measured: now >= r.cfg.Warmup}
		if now >= windowEnd || (c.measured && !r.ticket()) {
			return
		}
		w.make(calls, number, &c)
	}
}

// think reports whether it came to its end before sending did.
func (r *run) think(sending context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-sending.Done():
		return false
	}
}

// ticket reports whether another measured call may be sent.
func (r *run) ticket() bool {
	if r.cfg.Calls == 0 {
		return true
	}
	n := r.tickets.Add(1)
	if n >= r.cfg.Calls {
		r.exhaust.Do(func() { close(r.exhausted) })
	}
	return n <= r.cfg.Calls
}
