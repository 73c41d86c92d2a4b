package bench

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func queue(rate float64, seed uint64) func(context.Context) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	turn := make(chan struct{}, 1)
	return func(context.Context) error {
		turn <- struct{}{} // first come, first served
		time.Sleep(time.Duration(rng.ExpFloat64() / rate * float64(time.Second)))
		<-turn
		return nil
	}
}

func TestOverloadIsDiverging(t *testing.T) {
	for _, c := range []struct {
		arrivals Arrivals
		runOn    bool
	}{{Poisson, false}, {Even, false}, {Poisson, true}} {
		synctest.Test(t, func(t *testing.T) {
			depth := 0.
			res := measure(t, t.Context(), Config{
				Model: OpenLoop{Profile: Constant(1100), Arrivals: c.arrivals}, Call: queue(1000, 1), Warmup: time.Second, Duration: 30 * time.Second, RunOn: c.runOn, Drain: time.Minute,
				Gauges: []Gauge{{"queue depth", func() float64 { depth = 3*depth + 1; return depth }}},
			})
			if res.Verdict.State != Diverging || res.StoppedEarly == c.runOn || (res.DurationS < 15) == c.runOn || res.Interrupted {
				t.Errorf("%v: %v, stopped early %v, after %v s; expected diverging", c, res.Verdict, res.StoppedEarly, res.DurationS)
			}
			if res.Latency.P50 != nil || res.Latency.P99 != nil || res.Service.P99 != nil || res.Latency.CI95 != nil {
				t.Errorf("%v: an overload has percentiles: %+v", c, res.Latency)
			}
			if !strings.Contains(res.Bottleneck, "queue depth grew from") {
				t.Errorf("bottleneck %q", res.Bottleneck)
			}
			if text := strings.Join(res.Verdict.Reasons, "; "); !strings.Contains(text, "more calls were sent than are answered") {
				t.Error(text)
			}
		})
	}
}

func TestNoOverloadIsDiverging(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			res := measure(t, t.Context(), Config{
				Model: OpenLoop{Profile: Constant(900), Arrivals: Poisson}, Call: queue(1000, seed), Seed: seed, Warmup: time.Second, Duration: 20 * time.Second, Drain: time.Minute,
			})
			if res.Verdict.State != Valid || res.StoppedEarly || res.DurationS != 20 || res.Latency.P99 == nil || res.Bottleneck != "" {
				t.Errorf("seed %d: %v, stopped early %v, after %v s, bottleneck %q; expected valid", seed, res.Verdict, res.StoppedEarly, res.DurationS, res.Bottleneck)
			}
		})
	}
	// A tenth of the calls take 6 s, so for 6 s those in flight do nothing but grow.
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(500)}, Duration: 20 * time.Second, Drain: time.Minute,
			Do: func(_ context.Context, a *Attempt) error {
				time.Sleep(ms)
				if a.Number%10 == 0 {
					time.Sleep(6 * time.Second)
				}
				return nil
			}})
		if res.Verdict.State != Valid {
			t.Errorf("filling up: %+v", res.Verdict)
		}
	})
	// A closed loop waits for what it measures.
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Callers: 100, Call: queue(1000, 1), Duration: 20 * time.Second})
		if res.Verdict.State != Valid {
			t.Errorf("closed loop: %+v", res.Verdict)
		}
	})
}

// Timeouts keep the calls in flight few, but an overload is one nevertheless.
func TestOverloadWithTimeOutsIsDiverging(t *testing.T) {
	timeOut := func(call func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- call(ctx) }()
			select {
			case err := <-ended:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for _, c := range []struct {
		rate  float64
		state State
		is    CheckResult
	}{{50, Valid, OK}, {400, Diverging, Failed}} {
		synctest.Test(t, func(t *testing.T) {
			res := measure(t, t.Context(), Config{
				Model: OpenLoop{Profile: Constant(c.rate)}, Call: timeOut(queue(100, 1)), Warmup: 3 * time.Second, Duration: 10 * time.Second,
				TimeoutKinds: []string{"timeout"}, Classify: func(error) string { return "timeout" },
			})
			time.Sleep(time.Minute) // until the last call's turn has come
			if got := checkOf(t, res, "timeouts"); got.Result != c.is || res.Verdict.State != c.state || (res.Latency.P50 == nil) != (c.state == Diverging) {
				t.Errorf("at %v calls/s: %+v, %+v, p50 %v", c.rate, got, res.Verdict, res.Latency.P50)
			}
		})
	}
}

// A fifth of the calls is too much, however few they are, in either loop.
func TestGivenUp(t *testing.T) {
	for _, c := range []struct {
		answered, givenUp int
		state             State
	}{{25, 0, Valid}, {24, 1, Valid}, {17, 4, Valid}, {16, 4, Diverging}, {4, 1, Diverging}, {1, 24, Diverging}, {1000, 30, Valid}, {100, 30, Diverging}} {
		for _, model := range []Model{ClosedLoop{}, OpenLoop{Profile: Constant(10)}} {
			synctest.Test(t, func(t *testing.T) {
				res := measure(t, t.Context(), Config{
					Model: model, Calls: int64(c.answered + c.givenUp), Classify: func(error) string { return "timeout" }, TimeoutKinds: []string{"timeout"},
					Do: func(_ context.Context, a *Attempt) error {
						if time.Sleep(ms); a.Number < int64(c.givenUp) {
							return context.DeadlineExceeded
						}
						return nil
					},
				})
				if res.Verdict.State != c.state || res.Calls != int64(c.answered) {
					t.Errorf("%v, %d answered and %d given up: %+v", model, c.answered, c.givenUp, res.Verdict)
				}
			})
		}
	}
}
