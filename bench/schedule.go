package bench

import (
	"context"
	"sync"
	"time"
)

// A due call is one whose time has come.
type due struct {
	number   int64
	intended time.Duration
}

// openLoop releases the calls of the schedule, each at its time, and returns when
// the last one has ended.
//
// Calls run on goroutines that are used again, as a new one for each call would
// grow its stack anew. There are never more than calls have been in flight.
func (r *run) openLoop(sending, calls context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	queue := make(chan due, r.cfg.MaxInFlight) // so that a send never waits
	defer close(queue)
	started := 0
	release := func(d due) {
		busy := int(r.released.Load() - r.ended.Load()) // or fewer: calls may end meanwhile
		if busy == r.cfg.MaxInFlight {
			r.miss(d.intended)
			return
		}
		r.released.Add(1)
		if busy == started {
			w := r.worker(started)
			started++
			workers.Go(func() { w.serve(calls, queue) })
		}
		queue <- d
	}
	r.schedule(sending, release)
}

// serve makes one due call after the other.
func (w *worker) serve(ctx context.Context, queue <-chan due) {
	for d := range queue {
		c := call{intended: d.intended, sent: w.elapsed(), measured: d.intended >= w.cfg.Warmup}
		w.make(ctx, d.number, &c)
		w.ended.Add(1)
	}
}

// schedule walks through the schedule and releases each call of this instance when
// it is due, one that is late, too, until the window closes, the calls are used up
// or sending ends. Then what should have been released before is missed.
func (r *run) schedule(sending context.Context, release func(due)) {
	p := r.newPacer(sending)
	defer p.close()
	var (
		number   = int64(-1)
		measured int64
		over     bool
		last     time.Duration
	)
	for at := range r.cfg.Model.Times(r.cfg.Seed) {
		number++
		if at >= r.cfg.Warmup {
			measured++
		}
		last = at
		if over = at >= r.closes() || r.cfg.Calls > 0 && measured > r.cfg.Calls; over {
			break
		}
		if !r.mine(number) {
			continue
		}
		if p.until(at) {
			release(due{number, at})
			continue
		}
		if m, ok := r.cfg.Model.(OpenLoop); ok {
			last, over = r.missRest(m, number, at, measured), true
			break
		}
		r.miss(at)
	}
	switch {
	case r.cfg.Calls > 0:
		r.offeredUntil.Store(int64(last))
		r.exhaust.Do(func() { close(r.exhausted) })
	case !over: // the schedule ended before the window
		p.until(r.windowEnd())
	}
}

// mine reports whether a call of the schedule is this instance's.
func (r *run) mine(number int64) bool {
	return number%int64(r.cfg.Instances) == int64(r.cfg.Instance)
}

func (r *run) miss(intended time.Duration) {
	r.dropped.Add(1)
	if intended >= r.cfg.Warmup {
		r.missedMeasured.Add(1)
	}
}

// missRest counts as missed all calls of a schedule from one on that could not be sent:
// its number, its time, and how many have been measured with it. It returns the time of the
// first call that was not intended any more. At a rate that nobody can send they may be
// billions, so it does not walk through them.
func (r *run) missRest(m OpenLoop, number int64, at time.Duration, measured int64) time.Duration {
	opens := number - measured + 1 // the first measured call
	if measured == 0 {
		opens = m.before(r.cfg.Warmup, number, at)
	}
	end := m.before(r.closes(), number, at)
	if r.cfg.Calls > 0 {
		end = min(end, opens+r.cfg.Calls)
	}
	r.dropped.Add(r.share(number, end))
	r.missedMeasured.Add(r.share(max(number, opens), end))
	until, ok := m.Profile.When(m.Profile.Calls(at) + float64(end-number))
	if !ok {
		return at
	}
	return until
}

// share is how many of the calls from one number to before another are this instance's.
func (r *run) share(from, to int64) int64 {
	i, n := int64(r.cfg.Instance), int64(r.cfg.Instances)
	below := func(number int64) int64 { return max(0, number-i+n-1) / n }
	return max(0, below(to)-below(from))
}
