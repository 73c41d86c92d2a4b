package capacity

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/bench"
)

// A pool is workers that take calls from a channel, one at a time each.
type pool struct {
	line    chan job
	workers sync.WaitGroup
}

type job struct {
	queued time.Time
	done   chan<- [2]time.Duration // in the queue and running
}

// newPool starts workers whose calls take what run draws.
func newPool(workers int, run Times) *pool {
	p := &pool{line: make(chan job, 100_000)}
	for i := range workers {
		p.workers.Go(func() {
			rng := rand.New(rand.NewPCG(8, uint64(i)))
			for j := range p.line {
				began := time.Now()
				time.Sleep(inDuration(run.next(rng)))
				j.done <- [2]time.Duration{began.Sub(j.queued), time.Since(began)}
			}
		})
	}
	return p
}

func (p *pool) stop() {
	close(p.line)
	p.workers.Wait()
}

// trial is one of bench.Run, with a millisecond on the way there and another back.
func (p *pool) trial(arrivals bench.Arrivals) Trial {
	return func(ctx context.Context, rate float64, length time.Duration) (*bench.Result, error) {
		return bench.Run(ctx, bench.Config{
			Model:    bench.OpenLoop{Profile: bench.Constant(rate), Arrivals: arrivals},
			Warmup:   time.Second,
			Duration: length,
			Phases:   []string{"queue", "run"},
			Do: func(ctx context.Context, a *bench.Attempt) error {
				time.Sleep(time.Millisecond)
				done := make(chan [2]time.Duration, 1)
				p.line <- job{time.Now(), done}
				select {
				case took := <-done:
					a.Phases[0], a.Phases[1] = took[0], took[1]
				case <-ctx.Done():
					return ctx.Err()
				}
				time.Sleep(time.Millisecond)
				return nil
			},
		})
	}
}

// empty waits until no call is left in the queue: the workers go on with those that
// were given up.
func (p *pool) empty(ctx context.Context) error {
	for len(p.line) > 0 {
		time.Sleep(10 * time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// With the defaults, in less than two minutes, it finds w/D, D being the run time that was
// measured in the same run.
func TestSearchOfAServer(t *testing.T) {
	const workers = 4
	synctest.Test(t, func(t *testing.T) {
		p := newPool(workers, Constant(10*ms))
		defer p.stop()
		began := time.Now()
		found, err := Search(t.Context(), p.trial(bench.Even), SearchOptions{SLO: slo(t, "p99=20ms,errors=0.1%"), Drain: p.empty})
		took := time.Since(began)
		if err != nil || found.Best == nil {
			t.Fatalf("%+v, %v", found, err)
		}
		want := workers / found.Best.Samples.Phases["run"].Mean().Seconds()
		if !near(found.HighestMet, want, 0.05) || !found.Confirmed || took > 2*time.Minute {
			t.Errorf("after %v: met %v, missed %v, confirmed %v, %q, %q; expected %v", took, found.HighestMet, found.LowestMissed, found.Confirmed, found.LimitingFactor, found.StopReason, want)
		}
		for _, probe := range found.Trials {
			if probe.Outcome != Met && probe.Outcome != Missed {
				t.Errorf("%v/s: %s, %q", probe.Rate, probe.Outcome, probe.Reasons)
			}
		}
	})
}

// From run times measured while the workers are idle it predicts the p99 of those that are
// 75 % busy within 20 %.
func TestPlanOfAServer(t *testing.T) {
	const workers = 8
	run, err := Measured([]time.Duration{5 * ms, 8 * ms, 8 * ms, 9 * ms, 10 * ms, 10 * ms, 12 * ms, 40 * ms})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPool(workers, run)
		defer p.stop()
		idle, err := p.trial(bench.Poisson)(t.Context(), 100, 50*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		measured, err := FromSamples(idle.Samples.Phases["run"])
		if err != nil {
			t.Fatal(err)
		}
		overhead := idle.Samples.Response.Mean() - idle.Samples.Phases["queue"].Mean() - idle.Samples.Phases["run"].Mean()
		rate := 0.75 * workers / measured.Mean().Seconds()
		busy, err := p.trial(bench.Poisson)(t.Context(), rate, 60*time.Second)
		if err != nil || busy.Verdict.State != bench.Valid {
			t.Fatalf("%+v, %v", busy.Verdict, err)
		}
		needed, err := Plan(t.Context(), PlanOptions{
			Rate: rate, SLO: SLO{{P99, *busy.Latency.P99 * 1.2}}, Run: measured, Overhead: Constant(overhead), Calls: 200_000,
		})
		if err != nil || needed.Workers < workers-1 || needed.Workers > workers {
			t.Fatalf("%+v, %v; expected %d workers", needed, err, workers)
		}
		for _, p := range needed.Predictions {
			if p.Workers == workers && (!near(*p.Latency.P99, *busy.Latency.P99, 0.2) || !near(*p.Latency.P50, *busy.Latency.P50, 0.1)) {
				t.Errorf("predicted a p50 of %.0f us and a p99 of %.0f, measured %.0f and %.0f", *p.Latency.P50, *p.Latency.P99, *busy.Latency.P50, *busy.Latency.P99)
			}
		}
	})
}
