package bench

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// takes is a call that takes d, of fake time, or until its context ends.
func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func measure(t *testing.T, ctx context.Context, cfg Config) *Result {
	t.Helper()
	res, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var byKind int64
	for kind, n := range res.ErrorsByKind {
		byKind += n
		if res.ErrorSamples[kind] == "" {
			t.Errorf("no sample of the %d errors of kind %q", n, kind)
		}
	}
	if byKind != res.Errors {
		t.Errorf("errors by kind add up to %d, errors is %d", byKind, res.Errors)
	}
	return res
}

func TestClosedLoop(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     Config
		calls   int64
		seconds float64
		warmup  int64
		rate    float64
	}{
		{"one caller", Config{Duration: time.Second}, 100, 1, 0, 100},
		{"ten callers", Config{Duration: time.Second, Callers: 10}, 1000, 1, 0, 1000},
		{"warm-up left out", Config{Duration: time.Second, Callers: 10, Warmup: 100 * ms}, 1000, 1, 100, 1000},
		// Sent at -5 ms, counted nowhere but in the warm-up; at 5 ms; ...; at 95 ms.
		{"across the boundary", Config{Duration: 100 * ms, Warmup: 15 * ms}, 10, 0.1, 2, 100},
		{"the last is awaited", Config{Duration: 95 * ms}, 10, 0.095, 0, 9 / 0.095},
		{"think time", Config{Duration: time.Second, Model: ClosedLoop{Think: 40 * ms}}, 20, 1, 0, 20},
		{"calls", Config{Calls: 25, Callers: 10}, 25, 0.03, 0, 25 / 0.03},
		{"calls after a warm-up", Config{Calls: 20, Callers: 10, Warmup: 50 * ms}, 20, 0.02, 50, 1000},
		{"fewer calls than callers", Config{Calls: 3, Callers: 10}, 3, 0.01, 0, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Call = takes(10 * ms)
				res := measure(t, t.Context(), c.cfg)
				if res.Calls != c.calls || res.Errors != 0 || res.Warmup.Calls != c.warmup || res.Interrupted {
					t.Errorf("%d calls, %d errors, %d in the warm-up, interrupted %v; expected %d, 0, %d, false",
						res.Calls, res.Errors, res.Warmup.Calls, res.Interrupted, c.calls, c.warmup)
				}
				if res.DurationS != c.seconds {
					t.Errorf("measured for %v s, expected %v", res.DurationS, c.seconds)
				}
				if math.Abs(res.Throughput-c.rate) > 1e-9*c.rate {
					t.Errorf("throughput %v, expected %v", res.Throughput, c.rate)
				}
				for name, us := range map[string]*float64{
					"min": res.Latency.Min, "mean": res.Latency.Mean, "max": res.Latency.Max,
				} {
					if us == nil || *us != 10_000 {
						t.Errorf("%s is %v, expected exactly 10,000 us", name, us)
					}
				}
			})
		})
	}
}

// However long calls take, throughput is what was answered in the window: what was
// in flight when it opened makes up for what was in flight when it closed.
func TestThroughputOfSlowCalls(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name      string
		cfg       Config
		calls     int64
		completed int64
		rate      float64
		warmup    int64
	}{
		{"many calls in the window", Config{Warmup: 3 * s, Duration: 20 * s}, 640, 640, 32, 128},
		{"the window opens in a call", Config{Warmup: 3 * s, Duration: 2 * s}, 64, 64, 32, 128},
		{"and closes in one", Config{Warmup: 3 * s, Duration: 3 * s}, 64, 128, 128. / 3, 128},
		{"no warm-up", Config{Duration: 4 * s}, 128, 128, 32, 0},
		{"the window is shorter than a call", Config{Duration: s}, 64, 0, 0, 0},
		{"and within one", Config{Warmup: s / 2, Duration: s}, 0, 0, 0, 64},
		{"and around an end", Config{Warmup: 3*s + s/2, Duration: s}, 64, 64, 64, 128},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Call, c.cfg.Callers = takes(2*s), 64
				res := measure(t, t.Context(), c.cfg)
				if res.Calls != c.calls || res.Completed != c.completed || res.Throughput != c.rate || res.Warmup.Calls != c.warmup {
					t.Errorf("%d calls, %d completed, %v calls/s, %d in the warm-up; expected %d, %d, %v, %d", res.Calls,
						res.Completed, res.Throughput, res.Warmup.Calls, c.calls, c.completed, c.rate, c.warmup)
				}
				if margin := 64 / c.cfg.Duration.Seconds(); res.ThroughputMargin != margin || math.Abs(res.Throughput-32) > margin {
					t.Errorf("%v calls/s, give or take %v: expected give or take %v, and 32 within it", res.Throughput, res.ThroughputMargin, margin)
				}
			})
		})
	}
}

// When errors make up for successes, or calls differ, only what succeeded counts.
func TestThroughputOfMixedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		res := measure(t, t.Context(), Config{
			Callers: 30, Warmup: 10 * time.Second, Duration: 100 * time.Second, Drain: time.Minute,
			Call: func(ctx context.Context) error {
				n := n.Add(1)
				if err := takes(time.Duration(1+n%3) * time.Second)(ctx); err != nil {
					return err
				}
				if n%4 == 0 {
					return errors.New("fourth")
				}
				return nil
			},
		})
		// 30 callers, 2 s a call, three of four succeed.
		if want := 30 / 2. * 3 / 4; math.Abs(res.Throughput-want) > res.ThroughputMargin {
			t.Errorf("%v calls/s, expected %v, give or take %v", res.Throughput, want, res.ThroughputMargin)
		}
	})
}

// Every hundredth call takes 50 ms, every thousandth a second, the others 1 ms.
func TestPercentilesOfAKnownDistribution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		res := measure(t, t.Context(), Config{Calls: 10_000, Callers: 1, Call: func(ctx context.Context) error {
			switch n := n.Add(1); {
			case n%1000 == 0:
				return takes(time.Second)(ctx)
			case n%50 == 0:
				return takes(50 * ms)(ctx)
			}
			return takes(ms)(ctx)
		}})
		near := func(name string, us *float64, want float64) {
			if us == nil || *us < want || *us > want*1.001 {
				t.Errorf("%s: %v us, expected %v, at most 0.1 %% more", name, *us, want)
			}
		}
		near("p50", res.Latency.P50, 1e3)
		near("p95", res.Latency.P95, 1e3)
		near("p99", res.Latency.P99, 50e3)
		near("p99.9", res.Latency.P999, 50e3) // 9,990 are not above it
		if *res.Latency.Max != 1e6 || *res.Latency.Min != 1e3 {
			t.Errorf("min %v, max %v: expected exactly 1,000 and 1,000,000", *res.Latency.Min, *res.Latency.Max)
		}
	})
}

func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     time.Duration
		cfg    Config
		calls  int64
		warmup int64

		completed int64
	}{
		{"in the window", 255 * ms, Config{Duration: time.Second, Warmup: 100 * ms}, 16, 10, 15},
		{"in the warm-up", 55 * ms, Config{Duration: time.Second, Warmup: 100 * ms}, 0, 6, 0},
		{"of a number of calls", 255 * ms, Config{Calls: 1000}, 26, 0, 25},
		{"of a number of calls after a warm-up", 255 * ms, Config{Calls: 1000, Warmup: 105 * ms}, 15, 11, 15},
		{"while thinking", 55 * ms, Config{Duration: time.Hour, Model: ClosedLoop{Think: time.Minute}}, 1, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.at)
				defer cancel()
				began := time.Now()
				c.cfg.Call = takes(10 * ms)
				res := measure(t, ctx, c.cfg)
				if !res.Interrupted || res.Calls != c.calls || res.Errors != 0 || res.Warmup.Calls != c.warmup {
					t.Errorf("interrupted %v, %d calls, %d errors, %d in the warm-up; expected true, %d, 0, %d",
						res.Interrupted, res.Calls, res.Errors, res.Warmup.Calls, c.calls, c.warmup)
				}
				want := max(0, c.at-c.cfg.Warmup).Seconds()
				if res.DurationS != want {
					t.Errorf("measured for %v s, expected %v", res.DurationS, want)
				}
				if want > 0 && (res.Completed != c.completed || res.Throughput != float64(c.completed)/want) {
					t.Errorf("%d completed, %v calls/s; expected %d, %v", res.Completed, res.Throughput, c.completed, float64(c.completed)/want)
				}
				if took := time.Since(began); took > c.at+10*ms {
					t.Errorf("Run took %v after an interrupt at %v", took, c.at)
				}
			})
		})
	}
}

// An interrupt that Run sees late is no less told, nor overtaken by the callers'
// end.
func TestInterruptIsNotOvertaken(t *testing.T) {
	for range 20 { // it would be so every other time
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res := measure(t, ctx, Config{
				Duration: time.Hour, Model: ClosedLoop{Think: time.Minute}, Call: takes(ms),
				Interval: time.Second, Progress: func(Progress) {
					cancel()
					synctest.Wait()
				},
			})
			if !res.Interrupted || res.DurationS != 1 {
				t.Errorf("interrupted %v after %v s, expected true after 1", res.Interrupted, res.DurationS)
			}
		})
	}
}

func TestErrorsByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		refused, late := errors.New("refused"), errors.New("late")
		res := measure(t, t.Context(), Config{
			Calls: 100,
			Call: func(ctx context.Context) error {
				switch n := n.Add(1); {
				case n%10 == 0:
					_ = takes(time.Second)(ctx)
					return late
				case n%4 == 0:
					return refused
				case n == 99:
					return errors.New("other")
				}
				return takes(ms)(ctx)
			},
			Classify: func(err error) string {
				switch err {
				case refused:
					return "refused"
				case late:
					return "timeout"
				}
				return ""
			},
		})
		if res.Calls != 69 || res.Errors != 31 || len(res.ErrorsByKind) != 3 ||
			res.ErrorsByKind["timeout"] != 10 || res.ErrorsByKind["refused"] != 20 || res.ErrorsByKind["error"] != 1 {
			t.Errorf("%d calls, errors %v", res.Calls, res.ErrorsByKind)
		}
		if *res.Latency.Max != 1000 {
			t.Errorf("the slowest success took %v us: an error's time got mixed in", *res.Latency.Max)
		}
	})
}

func TestHangingCallIsUnfinished(t *testing.T) {
	for name, cfg := range map[string]Config{
		"duration": {Duration: time.Second},
		"calls":    {Calls: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hung atomic.Bool
				cfg.Callers = 10
				cfg.Drain = 3 * time.Second
				cfg.Call = func(ctx context.Context) error {
					if hung.CompareAndSwap(false, true) {
						<-ctx.Done()
						return ctx.Err()
					}
					return takes(10 * ms)(ctx)
				}
				began := time.Now()
				res := measure(t, t.Context(), cfg)
				if res.Errors != 1 || res.ErrorsByKind[Unfinished] != 1 || res.Calls < 900 {
					t.Errorf("%d calls, errors %v: expected at least 900 and one unfinished", res.Calls, res.ErrorsByKind)
				}
				if took := time.Since(began); took < 4*time.Second || took > 5*time.Second {
					t.Errorf("took %v: expected about a second of calls and 3 s of waiting", took)
				}
			})
		})
	}
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		measure(t, t.Context(), Config{
			Call: takes(10 * ms), Callers: 20, Warmup: time.Second, Duration: 2 * time.Second,
			Interval: 997 * ms, ProgressEvery: 997 * ms,
			Progress: func(p Progress) {
				lines = append(lines, p.String())
				if p.InFlight != 20 {
					t.Errorf("%d in flight, expected 20", p.InFlight)
				}
			},
		})
		want := []string{
			"  1.0s  1,986/s  in flight 20  warming up",
			"  2.0s  2,006/s  in flight 20  p50 10.0ms  p99 10.0ms  errors 0  1.0s left",
			"  3.0s  2,006/s  in flight 20  p50 10.0ms  p99 10.0ms  errors 0  0.0s left",
		}
		if strings.Join(lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nexpected\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Collecting at every instant loses and repeats nothing.
func TestProgressDisturbsNoFigure(t *testing.T) {
	var n, seen atomic.Int64
	res := measure(t, t.Context(), Config{
		Calls: 20_000, Callers: 50, Interval: 50 * time.Microsecond,
		Call: func(context.Context) error {
			if n.Add(1)%10 == 0 {
				return errors.New("tenth")
			}
			return nil
		},
		Progress: func(p Progress) { seen.Store(p.Calls) },
	})
	if res.Calls != 18_000 || res.Errors != 2_000 || seen.Load() > res.Calls {
		t.Errorf("%d calls, %d errors, %d seen on the way; expected 18,000 and 2,000", res.Calls, res.Errors, seen.Load())
	}
}

func TestConfig(t *testing.T) {
	call := takes(ms)
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Duration: 1}, "Config.Call: expected a function"},
		{Config{Call: call}, "Config.Duration: expected either Duration or Calls, got Duration 0s and Calls 0"},
		{Config{Call: call, Duration: 1, Calls: 1}, "either Duration or Calls"},
		{Config{Call: call, Duration: -1}, "Config.Duration: expected more than 0"},
		{Config{Call: call, Calls: -1}, "Config.Calls: expected 1 or more"},
		{Config{Call: call, Calls: 1, Callers: -1}, "Config.Callers: expected 1 or more"},
		{Config{Call: call, Calls: 1, Batch: -1}, "Config.Batch: expected 1 or more"},
		{Config{Call: call, Calls: 1, Batch: 2}, "Config.DoBatch: expected a function"},
		{Config{Call: call, Calls: 1, Batch: 2, Model: OpenLoop{Profile: Constant(1)}}, "Config.Batch: expected 0 in an open loop"},
		{Config{Call: call, Calls: 1, Warmup: -1}, "Config.Warmup: expected 0 or more"},
		{Config{Call: call, Calls: 1, Drain: -1}, "Config.Drain: expected more than 0"},
		{Config{Call: call, Calls: 1, Interval: -1}, "Config.Interval: expected more than 0"},
	} {
		if _, err := Run(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
}

// What the generator itself costs for each call, which does nothing: of the
// processors' time, that is, as an open loop mostly waits.
func BenchmarkRun(b *testing.B) {
	for name, cfg := range map[string]Config{
		"closed": {Callers: 100},
		"open":   {Model: OpenLoop{Profile: Constant(50_000)}, Spin: SpinOff},
	} {
		b.Run(name, func(b *testing.B) {
			cfg.Call, cfg.Calls = func(context.Context) error { return nil }, int64(b.N)
			b.ReportAllocs()
			before, _ := processorTime()
			if _, err := Run(b.Context(), cfg); err != nil {
				b.Fatal(err)
			}
			after, _ := processorTime()
			b.ReportMetric(float64(after-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
