// Package bench measures how fast calls are answered, and how many. It knows a
// call as a function and nothing of what the function does.
//
// Run calls it from many callers at once, for a time or a number of calls, and
// returns a Result, which package report writes. The calls of a warm-up are left out of
// the figures, errors are counted by kind and their latencies never mixed with
// those of successes, and what the samples cannot support is not a number.
package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Run measures and returns when every call has ended.
//
// If ctx ends, no further call is sent, the measured window closes, the calls in
// flight are waited for as at any end, and the Result, which is about what was
// measured until then, says that it was Interrupted. The error is about cfg alone.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &run{
		cfg:       cfg,
		began:     time.Now(),
		exhausted: make(chan struct{}),
		total:     newTally(),
		spare:     newTally(),
	}
	for range min(cfg.Callers, 4*runtime.GOMAXPROCS(0)) {
		r.recorders = append(r.recorders, &recorder{
			interval: newTally(),
			window:   window{opens: cfg.Warmup, closes: r.windowEnd()},
		})
	}
	return r.run(ctx), nil
}

// A run is one Run under way.
type run struct {
	cfg       Config
	began     time.Time
	recorders []*recorder

	tickets   atomic.Int64  // measured calls sent, if their number is limited
	exhaust   sync.Once     // closes exhausted
	exhausted chan struct{} // the last ticket is gone
	cutOff    atomic.Bool   // the calls' context has ended

	// The rest belongs to the goroutine of Run.
	total     *tally // all that was collected
	spare     *tally // empty
	draining  bool
	collected time.Duration // when, last
	answered  int64         // until then, the warm-up's calls too
}

func (r *run) elapsed() time.Duration { return time.Since(r.began) }

// windowEnd is when the measured window is to end.
func (r *run) windowEnd() time.Duration {
	if r.cfg.Duration == 0 {
		return math.MaxInt64
	}
	return r.cfg.Warmup + r.cfg.Duration
}

// closeWindow closes the measured window now, unless end has passed, and returns
// when it closed. While it holds the locks nothing is recorded, so a call that
// ended before is counted, and one that ends later is not.
func (r *run) closeWindow(end time.Duration) time.Duration {
	for _, rec := range r.recorders {
		rec.mu.Lock()
		defer rec.mu.Unlock()
	}
	end = min(end, r.elapsed())
	for _, rec := range r.recorders {
		rec.window.closes = end
	}
	return end
}

// run starts the callers and watches over them until the last one has ended.
func (r *run) run(ctx context.Context) *Result {
	// Not of ctx: its end closes the window first, and then stops the callers.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var callers sync.WaitGroup
		for i := range r.cfg.Callers {
			callers.Go(func() { r.caller(sending, calls, r.recorders[i%len(r.recorders)]) })
		}
		callers.Wait()
	}()

	var (
		end       = r.windowEnd()
		windowEnd <-chan time.Time
		tick      <-chan time.Time
		interrupt = ctx.Done()
		exhausted = r.exhausted
		drained   <-chan time.Time
	)
	if r.cfg.Duration > 0 {
		windowEnd = time.After(end)
	}
	if r.cfg.Progress != nil {
		ticker := time.NewTicker(r.cfg.Interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	drain := func() {
		if !r.draining {
			r.draining = true
			stopSending()
			drained = time.After(r.cfg.Drain)
		}
	}
	interrupted := false
	for {
		select {
		case <-tick:
			r.cfg.Progress(r.progress())
		case <-interrupt:
			interrupt = nil
			if !r.draining { // else there was nothing left to send
				interrupted = true
				end = r.closeWindow(end)
			}
			drain()
		case <-windowEnd:
			drain()
		case <-exhausted:
			exhausted = nil
			drain()
		case <-drained:
			r.cutOff.Store(true)
			cut()
		case <-ended:
			r.collect()
			return r.result(end, interrupted)
		}
	}
}

// caller sends one call after the other, as the model says, until sending ends,
// the window closes or the calls are used up. The time at which a call is sent
// decides what it counts for; throughput alone asks when it ended.
func (r *run) caller(sending, calls context.Context, rec *recorder) {
	windowEnd := r.windowEnd()
	for sent := int64(0); ; sent++ {
		if !r.waitUntil(sending, r.cfg.Model.Next(r.elapsed(), sent)) {
			return
		}
		c := call{sent: r.elapsed()}
		c.measured = c.sent >= r.cfg.Warmup
		if c.sent >= windowEnd || (c.measured && !r.ticket()) {
			return
		}
		rec.sent.Add(1)
		c.err = r.cfg.Call(calls)
		c.done = r.elapsed()
		if c.err != nil {
			c.kind, c.err = r.classify(c.err)
		}
		rec.record(c)
	}
}

// waitUntil reports whether the time came before sending ended.
func (r *run) waitUntil(sending context.Context, at time.Duration) bool {
	wait := at - r.elapsed()
	if wait <= 0 {
		return sending.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return sending.Err() == nil
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

// collect adds up what was recorded since the last time.
func (r *run) collect() {
	for _, rec := range r.recorders {
		full := rec.swap(r.spare)
		r.total.add(full)
		full.reset()
		r.spare = full
	}
}

func (r *run) result(end time.Duration, interrupted bool) *Result {
	t := r.total
	completed, cut := t.completed, float64(r.cfg.Callers)
	if r.cfg.Calls > 0 && !interrupted {
		end, completed, cut = t.lastEnd, t.calls, 0
	}
	res := &Result{
		Model:        r.cfg.Model.String(),
		Callers:      r.cfg.Callers,
		Calls:        t.calls,
		Errors:       t.failed(),
		ErrorsByKind: t.errors,
		ErrorSamples: t.samples,
		Completed:    completed,
		DurationS:    max(0, end-r.cfg.Warmup).Seconds(),
		Latency:      t.latency(),
		Unrecorded:   t.unrecorded,
		Warmup: Warmup{
			DurationS: min(end, r.cfg.Warmup).Seconds(),
			Calls:     t.warmupCalls,
			Errors:    t.warmupErrors,
		},
		Interrupted: interrupted,
	}
	if res.DurationS > 0 {
		res.Throughput = float64(res.Completed) / res.DurationS
		res.ThroughputMargin = cut / res.DurationS
	}
	return res
}
