package bench

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func stalling() func(context.Context) error {
	began := time.Now()
	return func(context.Context) error {
		time.Sleep(ms)
		if phase := time.Since(began) % (5 * time.Second); phase >= 4*time.Second {
			time.Sleep(5*time.Second - phase)
		}
		return nil
	}
}

func TestStallsShowInOpenLoopsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Call: stalling(), Model: OpenLoop{Profile: Constant(1000)}, Warmup: time.Second, Duration: 30 * time.Second})
		if res.Verdict.State != Valid || res.Calls != 30_000 || *res.Latency.P99 < 0.9e6 || *res.Latency.P99 > 1e6 || *res.Latency.Max < 0.99e6 || *res.Latency.P50 > 1010 {
			t.Errorf("open loop: %v, %d calls, p50 %v us, p99 %v us, max %v us; expected valid, 30,000, 1,000 and 900,000 or more", res.Verdict, res.Calls,
				*res.Latency.P50, *res.Latency.P99, *res.Latency.Max)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Call: stalling(), Callers: 5, Warmup: time.Second, Duration: 30 * time.Second})
		if *res.Service.P99 > 2000 || *res.Latency.Max < 0.9e6 {
			t.Errorf("closed loop: service p99 %v us, max %v us; expected about 1,000, and 1,000,000", *res.Service.P99, *res.Latency.Max)
		}
	})
}

func TestKnownDistributions(t *testing.T) {
	const mean = 5 * ms
	for _, d := range []struct {
		name     string
		quantile func(q float64) time.Duration
	}{
		{"constant", func(float64) time.Duration { return mean }},
		{"exponential", func(q float64) time.Duration { return time.Duration(-math.Log(1-q) * float64(mean)) }},
		{"bimodal", func(q float64) time.Duration {
			if q > 0.97 {
				return 20 * mean
			}
			return mean
		}},
	} {
		for _, model := range []Model{ClosedLoop{}, OpenLoop{Profile: Constant(500)}, OpenLoop{Profile: Constant(500), Arrivals: Poisson}} {
			t.Run(d.name+"/"+model.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := Config{Model: model, Warmup: time.Second, Duration: 20 * time.Second, Do: func(_ context.Context, a *Attempt) error {
						_, u := math.Modf(float64(a.Number+1) * (math.Phi - 1))
						time.Sleep(d.quantile(u))
						return nil
					}}
					if !cfg.open() {
						cfg.Callers = 4
					}
					res := measure(t, t.Context(), cfg)
					for name, p := range map[string]struct {
						q   float64
						got *float64
					}{"p50": {0.5, res.Latency.P50}, "p90": {0.9, res.Latency.P90}, "p95": {0.95, res.Latency.P95}, "p99": {0.99, res.Latency.P99}, "p999": {0.999, res.Latency.P999}} {
						want := *microseconds(d.quantile(p.q))
						if p.got == nil {
							t.Fatalf("%s is not known of %d calls", name, res.Calls)
						}
						ci := res.Latency.CI95[name]
						if ci[0] == nil || ci[1] == nil || *ci[0] > *p.got || *ci[1] < *p.got {
							t.Fatalf("%s is %v, its interval %v", name, *p.got, ci)
						}
						within := *ci[0] <= want && want <= *ci[1]
						if !within && math.Abs(*p.got-want) > 0.01*want {
							t.Errorf("%s is %v us, from %v to %v; expected %v", name, *p.got, *ci[0], *ci[1], want)
						}
					}
				})
			})
		}
	}
}

func TestIntervalOfFewCalls(t *testing.T) {
	var s Samples
	for i := range 300 {
		s.Record(time.Duration(i+1) * ms)
	}
	l := sureFigures(&s)
	if ci := l.CI95["p99"]; ci[0] == nil || *ci[0] > *l.P99 || ci[1] != nil {
		t.Errorf("p99 of 300 calls: %v", ci)
	}
	if ci := l.CI95["p50"]; ci[0] == nil || ci[1] == nil || *ci[1]-*ci[0] < 20e3 || *ci[1]-*ci[0] > 50e3 {
		t.Errorf("p50 of 300 calls: %v", ci)
	}
	if _, ok := l.CI95["p999"]; ok {
		t.Error("an interval of a percentile that is not known")
	}
}
