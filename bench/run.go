// Package bench measures how fast calls are answered, and how many. It knows a
// call as a function and nothing of what the function does.
//
// Run calls it as a load model says, in a closed loop or an open one, for a time or
// a number of calls, and returns a Result, which package report writes. Each call has three times: when it was
// intended, sent, and done. The calls of a warm-up are left out of the figures,
// errors are counted by kind and their latencies never mixed with those of
// successes, and what the samples cannot support is not a number.
package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"redrpc/bench/stats"
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
	waiting := time.NewTimer(time.Until(cfg.StartAt))
	defer waiting.Stop()
	select {
	case <-waiting.C:
	case <-ctx.Done():
	}
	return newRun(cfg).run(ctx), nil
}

// A run is one Run under way.
type run struct {
	cfg       Config
	began     time.Time
	fake      bool // time is that of testing/synctest
	recorders []*recorder

	tickets   atomic.Int64  // measured calls sent, if their number is limited
	exhaust   sync.Once     // closes exhausted
	exhausted chan struct{} // the last ticket is gone
	cutOff    atomic.Bool   // the calls' context has ended
	closing   atomic.Int64  // when the window closes, as closes returns it

	// Of an open loop.
	spun           atomic.Int64 // time spent reading the clock
	released       atomic.Int64 // calls
	ended          atomic.Int64 // of these
	dropped        atomic.Int64 // never sent
	missedMeasured atomic.Int64 // of these, in the window
	offeredUntil   atomic.Int64 // when the last call was intended, or the one after it, if Calls is set

	// The rest belongs to the goroutine of Run.
	total     *tally // all that was collected
	recent    *tally // of this, since the interval began
	spare     *tally // empty
	draining  bool
	ticker    *time.Ticker // of intervals
	reported  reported
	intervals []Interval
	marks     marks // when the interval began
	opened    meters
	closed    meters
	levels    []stats.Load
	diverging diverging
	chance    *rand.Rand
}

func newRun(cfg Config) *run {
	now := time.Now()
	r := &run{
		cfg:       cfg,
		began:     now.Add(cfg.StartAt.Sub(now)),
		fake:      inBubble(),
		exhausted: make(chan struct{}),
		intervals: []Interval{},
		total:     newTally(&cfg),
		recent:    newTally(&cfg),
		spare:     newTally(&cfg),
		chance:    rand.New(rand.NewPCG(cfg.Seed, 1)),
	}
	r.closing.Store(int64(r.windowEnd()))
	for range min(cfg.Callers+cfg.MaxInFlight, 4*runtime.GOMAXPROCS(0)) {
		r.recorders = append(r.recorders, &recorder{
			open:   cfg.open(),
			recent: newTally(&cfg),
			window: window{opens: cfg.Warmup, closes: r.windowEnd()},
		})
	}
	return r
}

func (r *run) elapsed() time.Duration { return time.Since(r.began) }

// windowEnd is when the measured window is to end.
func (r *run) windowEnd() time.Duration {
	if r.cfg.Duration == 0 {
		return math.MaxInt64
	}
	return r.cfg.Warmup + r.cfg.Duration
}

// closes is when the measured window ends, or has ended.
func (r *run) closes() time.Duration { return time.Duration(r.closing.Load()) }

// closeWindow closes the measured window now, unless it has ended. While it holds
// the locks nothing is recorded, so a call that ended before is counted, and one
// that ends later is not.
func (r *run) closeWindow() {
	for _, rec := range r.recorders {
		rec.mu.Lock()
		defer rec.mu.Unlock()
	}
	end := min(r.closes(), r.elapsed())
	r.closing.Store(int64(end))
	for _, rec := range r.recorders {
		rec.window.closes = end
	}
}

// run starts the load and watches over it until the last call has ended.
func (r *run) run(ctx context.Context) *Result {
	// Not of ctx: its end closes the window first, and then stops the callers.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()

	if r.cfg.Warmup == 0 {
		r.opened = r.meters()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if r.cfg.open() {
			r.openLoop(sending, calls)
		} else {
			r.closedLoop(sending, calls)
		}
	}()

	var (
		windowOpen <-chan time.Time
		windowEnd  <-chan time.Time
		progress   <-chan time.Time
		sample     = time.NewTimer(r.untilSample())
		interrupt  = ctx.Done()
		exhausted  = r.exhausted
		drained    <-chan time.Time
		overdue    <-chan time.Time
	)
	r.ticker = time.NewTicker(r.cfg.Interval)
	defer r.ticker.Stop()
	defer sample.Stop()
	if r.cfg.Warmup > 0 {
		windowOpen = time.After(r.cfg.Warmup - r.elapsed())
	}
	if r.cfg.Duration > 0 {
		windowEnd = time.After(r.windowEnd() - r.elapsed())
	}
	if length := min(r.cfg.length(), math.MaxInt64/8); r.cfg.open() && r.cfg.Calls > 0 && length > 0 {
		// Random arrivals may take longer than on the average, by 6 standard deviations.
		slack := time.Duration(6 / math.Sqrt(float64(r.cfg.Calls)) * float64(length))
		overdue = time.After(length + slack + r.cfg.Drain - r.elapsed())
	}
	if r.cfg.Progress != nil {
		ticker := time.NewTicker(r.cfg.ProgressEvery)
		defer ticker.Stop()
		progress = ticker.C
	}
	drain := func() {
		if !r.draining {
			r.draining = true
			r.closed = r.meters()
			// An open loop ends by itself, with the last call that is due.
			if !r.cfg.open() {
				stopSending()
			}
			drained = time.After(r.cfg.Drain)
		}
	}
	interrupted := false
	stop := func() {
		if !r.draining { // else there was nothing left to send
			r.closeWindow()
		}
		drain()
		stopSending()
	}
	for {
		select {
		case <-sample.C:
			r.sample()
			sample.Reset(r.untilSample())
			if r.diverges() && !r.cfg.RunOn && !r.draining {
				r.diverging.stopped = true
				stop()
			}
		case <-r.ticker.C:
			r.endInterval()
		case <-progress:
			r.cfg.Progress(r.progress())
		case <-windowOpen:
			r.opened = r.meters()
			if r.marks.at < r.cfg.Warmup { // so that each is of the warm-up or of the window
				r.endInterval()
				r.ticker.Reset(r.cfg.Interval)
			}
		case <-interrupt:
			interrupt = nil
			interrupted = interrupted || !r.draining
			stop()
		case <-windowEnd:
			drain()
		case <-exhausted:
			exhausted = nil
			drain()
		case <-overdue: // the rate is more than can be sent
			drain()
			stopSending()
		case <-drained:
			r.cutOff.Store(true)
			stopSending()
			cut()
		case <-ended:
			drain() // unless it was done, when nothing is left to wait for
			r.endInterval()
			return r.result(interrupted)
		}
	}
}

// collect adds up what was recorded since the last time.
func (r *run) collect() {
	for _, rec := range r.recorders {
		full := rec.swap(r.spare)
		r.recent.add(full)
		r.total.add(full)
		full.reset()
		r.spare = full
	}
}
