package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// timesOf notes when calls are made, since it was made itself, by their number.
func timesOf(calls map[int64]time.Duration, takes time.Duration) func(context.Context, *Attempt) error {
	var mu sync.Mutex
	began := time.Now()
	return func(_ context.Context, a *Attempt) error {
		mu.Lock()
		calls[a.Number] = time.Since(began)
		mu.Unlock()
		time.Sleep(takes)
		return nil
	}
}

func TestOpenLoop(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name       string
		cfg        Config
		intended   int64
		warmup     int64
		seconds    float64
		offered    float64
		completed  int64
		throughput float64
	}{
		{"duration", Config{Model: OpenLoop{Profile: Constant(100)}, Duration: s}, 100, 0, 1, 100, 99, 99},
		{"warm-up", Config{Model: OpenLoop{Profile: Constant(100)}, Duration: s, Warmup: s / 2}, 100, 50, 1, 100, 100, 100},
		{"calls", Config{Model: OpenLoop{Profile: Constant(100)}, Calls: 50}, 50, 0, 0.505, 100, 50, 50 / 0.505},
		{"calls after a warm-up", Config{Model: OpenLoop{Profile: Constant(100)}, Calls: 50, Warmup: s}, 50, 100, 0.505, 100, 50, 50 / 0.505},
		{"steps", Config{Model: OpenLoop{Profile: Steps(s, 10, 50, 100)}, Duration: 4 * s}, 260, 0, 4, 65, 259, 259. / 4},
		{"a schedule that ends", Config{Model: OpenLoop{Profile: Steps(s, 100, 0)}, Duration: 4 * s}, 100, 0, 4, 25, 100, 25},
		{"a schedule that ends before the calls do", Config{Model: OpenLoop{Profile: Steps(s, 100, 0)}, Calls: 1000}, 100, 0, 1.005, 100 / 0.99, 100, 100 / 1.005},
		{"recording", Config{Model: Recording{{Offset: 0}, {Offset: 0}, {Offset: s}, {Offset: 2 * s}}}, 4, 0, 2.015, 2, 4, 4 / 2.015},
		{"recording after a warm-up", Config{Model: Recording{{Offset: 0}, {Offset: 0}, {Offset: s}, {Offset: 2 * s}}, Warmup: s}, 2, 2, 1.015, 2, 2, 2 / 1.015},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := make(map[int64]time.Duration)
				c.cfg.Do = timesOf(calls, 15*ms)
				res := measure(t, t.Context(), c.cfg)
				if !res.OpenLoop || res.Calls != c.intended || res.Intended != c.intended || res.Dropped != 0 || res.Warmup.Calls != c.warmup {
					t.Errorf("open %v, %d calls of %d, %d missed, %d in the warm-up; expected true, %d, %[6]d, 0, %d", res.OpenLoop,
						res.Calls, res.Intended, res.Dropped, res.Warmup.Calls, c.intended, c.warmup)
				}
				if res.DurationS != c.seconds || res.Completed != c.completed || math.Abs(res.Throughput-c.throughput) > 1e-9 || res.ThroughputMargin != 0 {
					t.Errorf("%v s, %d completed, %v calls/s give or take %v; expected %v, %d, %v, 0", res.DurationS, res.Completed,
						res.Throughput, res.ThroughputMargin, c.seconds, c.completed, c.throughput)
				}
				if math.Abs(res.OfferedRate-c.offered) > 1e-9 {
					t.Errorf("offered %v calls/s, expected %v", res.OfferedRate, c.offered)
				}
				for i, at := range first(c.cfg.Model, 0, len(calls)) {
					if got, ok := calls[int64(i)]; !ok || got != at {
						t.Errorf("call %d was sent at %v, %v; expected %v", i, got, ok, at)
					}
				}
				if *res.Latency.Max != 15_000 || *res.Service.Min != 15_000 || *res.Lag.Max != 0 {
					t.Errorf("response up to %v, service from %v, lag up to %v us; expected 15,000, 15,000, 0", *res.Latency.Max, *res.Service.Min, *res.Lag.Max)
				}
			})
		})
	}
}

// A call that is sent late keeps the time at which it was intended.
func TestLateCallsCountFromTheirIntendedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{}, 1) // the calls wait for each other
		res := measure(t, t.Context(), Config{
			Model: OpenLoop{Profile: Constant(100)}, Calls: 10, Phases: []string{"queue", "run", "never"},
			Do: func(_ context.Context, a *Attempt) error {
				began := time.Now()
				turn <- struct{}{}
				defer func() { <-turn }()
				a.Phases[0] = time.Since(began)
				time.Sleep(20 * ms)
				if a.Number > 0 {
					a.Phases[1] = 20 * ms
				}
				return nil
			},
		})
		// The last one comes at 90 ms, and is done at 200.
		if *res.Latency.Min != 20e3 || *res.Latency.Max != 110e3 || *res.Latency.Mean != 65e3 {
			t.Errorf("response time %v to %v us, mean %v", *res.Latency.Min, *res.Latency.Max, *res.Latency.Mean)
		}
		if len(res.Phases) != 3 || res.Phases[0].Name != "queue" || res.Phases[0].Calls != 10 || *res.Phases[0].Latency.Max != 90e3 ||
			res.Phases[1].Calls != 9 || *res.Phases[1].Latency.Min != 20e3 || res.Phases[2].Calls != 0 || res.Phases[2].Latency.Max != nil {
			t.Errorf("phases: %+v", res.Phases)
		}
	})
}

// What comes when too many calls are in flight is missed, and the run says so.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{
			Model: OpenLoop{Profile: Constant(100)}, Warmup: 100 * ms, Duration: time.Second, MaxInFlight: 5, Call: takes(95 * ms), Interval: 333 * ms,
		})
		if res.Calls != 50 || res.Dropped != 50 || res.Intended != 100 || res.Errors != 0 || res.MaxInFlight != 5 {
			t.Errorf("%d calls, %d missed of %d", res.Calls, res.Dropped, res.Intended)
		}
		if res.Verdict.State != Invalid || !strings.Contains(strings.Join(res.Verdict.Reasons, " "), "50 of 100 calls were dropped") {
			t.Errorf("verdict: %+v", res.Verdict)
		}
		var intended, sent, missed int64
		for _, i := range res.Intervals {
			intended, sent, missed = intended+i.Intended, sent+i.Sent, missed+i.Dropped
		}
		if intended != 110 || sent != 55 || missed != 55 {
			t.Errorf("in all intervals %d intended, %d sent, %d missed, expected 110, 55 and 55", intended, sent, missed)
		}
	})
}

// An interrupt ends an open loop between two calls; what was due before counts.
func TestOpenLoopInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 255*ms)
		defer cancel()
		res := measure(t, ctx, Config{Model: OpenLoop{Profile: Constant(100)}, Warmup: 100 * ms, Duration: time.Hour, Call: takes(15 * ms)})
		if !res.Interrupted || res.Calls != 16 || res.Dropped != 0 || res.DurationS != 0.155 || res.Verdict.State != Valid {
			t.Errorf("interrupted %v, %d calls, %d missed in %v s, %v", res.Interrupted, res.Calls, res.Dropped, res.DurationS, res.Verdict)
		}
	})
}

func TestOpenLoopDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		res := measure(t, t.Context(), Config{
			Model: OpenLoop{Profile: Constant(20)}, Duration: time.Second, Drain: 2 * time.Second, TimeoutKinds: []string{"timeout"},
			Do: func(ctx context.Context, a *Attempt) error {
				switch a.Number {
				case 3:
					<-ctx.Done()
					return ctx.Err()
				case 5:
					time.Sleep(500 * ms)
					return errors.New("timeout")
				case 7:
					return errors.New("refused")
				}
				return nil
			},
			Classify: func(err error) string { return err.Error() },
		})
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, expected 3 s", took)
		}
		if res.Calls != 17 || res.Errors != 3 || res.ErrorsByKind[Unfinished] != 1 || res.ErrorsByKind["timeout"] != 1 || res.ErrorsByKind["refused"] != 1 {
			t.Errorf("%d calls, errors %v", res.Calls, res.ErrorsByKind)
		}
		c := res.TimedOut
		if c == nil || c.Calls != 2 || c.AtLeast != 500e3 || *c.Latency.Max != 2.85e6 || *c.Latency.P50 != 0 || *res.Latency.Max != 0 {
			t.Errorf("censored: %+v", c)
		}
		if res.Samples.Errors["refused"].Max != 0 || res.Samples.Errors["timeout"].Max != 500*ms {
			t.Errorf("errors: %+v", res.Samples.Errors)
		}
	})
}

// What instances send is together what one sends, call by call.
func TestInstances(t *testing.T) {
	for _, text := range []string{"constant:1000", "poisson:1000", "poisson:sine:1..2000/700ms"} {
		model, err := ParseModel(text)
		if err != nil {
			t.Fatal(err)
		}
		send := func(instance, instances int, cfg Config) (all map[int64]time.Duration, res *Result) {
			synctest.Test(t, func(t *testing.T) {
				all = make(map[int64]time.Duration)
				cfg.Model, cfg.Seed, cfg.Instance, cfg.Instances, cfg.Do = model, 5, instance, instances, timesOf(all, ms)
				res = measure(t, t.Context(), cfg)
			})
			return all, res
		}
		for _, cfg := range []Config{{Warmup: 300 * ms, Duration: time.Second}, {Calls: 1501, Warmup: 100 * ms}} {
			whole, res := send(0, 1, cfg)
			union := make(map[int64]time.Duration)
			var offered float64
			var intended int64
			for i := range 4 {
				part, r := send(i, 4, cfg)
				for n, at := range part {
					if _, twice := union[n]; twice {
						t.Errorf("%s: call %d was sent twice", text, n)
					}
					union[n] = at
				}
				intended += r.Intended
				offered += r.OfferedRate
			}
			if len(union) != len(whole) || intended != res.Intended || math.Abs(offered-res.OfferedRate) > 1e-6 {
				t.Errorf("%s: %d calls, %d of them measured, %v calls/s; expected %d, %d, %v", text, len(union), intended, offered, len(whole), res.Intended, res.OfferedRate)
			}
			for n, at := range whole {
				if union[n] != at {
					t.Errorf("%s: call %d at %v, expected %v", text, n, union[n], at)
				}
			}
		}
	}
}

func TestStartAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(time.Minute)
		var times []time.Time
		res := measure(t, t.Context(), Config{StartAt: start, Model: OpenLoop{Profile: Constant(10)}, Calls: 3, Call: func(context.Context) error {
			times = append(times, time.Now())
			return nil
		}})
		want := []time.Time{start, start.Add(100 * ms), start.Add(200 * ms)}
		if !slices.EqualFunc(times, want, time.Time.Equal) || !res.StartedAt.Equal(start) {
			t.Errorf("sent at %v, started at %v; expected %v", times, res.StartedAt, want)
		}
		_, err := Run(t.Context(), Config{StartAt: start, Calls: 1, Call: takes(ms)})
		if err == nil || !strings.Contains(err.Error(), "Config.StartAt: expected a time to come") || !strings.Contains(err.Error(), "200ms ago") {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res := measure(t, ctx, Config{StartAt: time.Now().Add(time.Hour), Model: OpenLoop{Profile: Constant(10)}, Calls: 3, Call: takes(ms)}); !res.Interrupted || res.Intended != 0 {
			t.Errorf("interrupted before its start: %v, %d intended", res.Interrupted, res.Intended)
		}
	})
}

func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		depth := 0.
		res := measure(t, t.Context(), Config{
			Model: OpenLoop{Profile: Constant(100)}, Warmup: time.Second, Duration: 2 * time.Second, Call: takes(255 * ms),
			Gauges:    []Gauge{{"queue depth", func() float64 { depth++; return depth }}},
			Resources: []Resource{{Name: "one", Capacity: 4, Used: func() time.Duration { return time.Duration(depth) * time.Second }}},
			Counters:  func() map[string]float64 { return map[string]float64{"gets": 10 * depth} },
		})
		if len(res.Intervals) != 4 || res.IntervalS != 1 {
			t.Fatalf("%d intervals of %v s, expected 4 of 1", len(res.Intervals), res.IntervalS)
		}
		var calls, all int64
		for n, i := range res.Intervals {
			all += i.Calls + i.LateWarmupCalls
			if !i.WarmingUp {
				calls += i.Calls
			}
			if i.WarmingUp != (n == 0) || i.Draining != (n == 3) || i.StartS != float64(n) || i.Gauges["queue depth"] != float64(n+1) {
				t.Errorf("interval %d: %+v", n, i)
			}
		}
		if i := res.Intervals[1]; i.Intended < 99 || i.Intended > 101 || i.InFlight < 25 || i.InFlight > 26 || *i.Latency.P50 != 255e3 || i.ResponseSamples.Count != i.Calls {
			t.Errorf("the second one: %+v", i)
		}
		if calls != res.Calls || all != res.Calls+res.Warmup.Calls || res.Intervals[1].LateWarmupCalls < 25 {
			t.Errorf("%d measured calls in intervals, %d with those of the warm-up, expected %d and %d", calls, all, res.Calls, res.Calls+res.Warmup.Calls)
		}
		if len(res.Resources) != 1 || math.Abs(res.Resources[0].Utilization-2./2/4) > 0.5/4 || res.Counters["gets"] < 10 || res.Counters["gets"] > 30 {
			t.Errorf("resources %+v, counters %v", res.Resources, res.Counters)
		}
	})
}

func TestProgressOfAnOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		measure(t, t.Context(), Config{
			Call: takes(105 * ms), Model: OpenLoop{Profile: Constant(100)}, MaxInFlight: 10, Warmup: time.Second, Duration: 2 * time.Second,
			Interval: 10 * time.Second, ProgressEvery: 993 * ms, Progress: func(p Progress) { lines = append(lines, p.String()) },
		})
		want := []string{
			"  1.0s  81.6/s (target 101/s)  in flight 10  dropped 9  warming up",
			"  2.0s  91.6/s (target 99.7/s)  in flight 9  dropped 18  p50 105ms  p99 -  errors 0  1.0s left",
			"  3.0s  90.6/s (target 99.7/s)  in flight 9  dropped 27  p50 105ms  p99 -  errors 0  0.0s left",
		}
		if strings.Join(lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nexpected\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Where there is no room for all, what matters less is left out, and nothing is cut.
func TestProgressWithin(t *testing.T) {
	p50, p99 := 2570.0, 168_000.0
	p := Progress{Elapsed: 61600 * ms, Left: 12400 * ms, Rate: 10_153, TargetRate: 10_200, InFlight: 42, Dropped: 7, Errors: 3, Latency: Latency{P50: &p50, P99: &p99}}
	for columns, want := range map[int]string{
		200: " 61.6s  10,153/s (target 10,200/s)  in flight 42  dropped 7  p50 2.57ms  p99 168ms  errors 3  12.4s left",
		90:  " 61.6s  10,153/s  in flight 42  dropped 7  p50 2.57ms  p99 168ms  errors 3  12.4s left",
		80:  " 61.6s  10,153/s  dropped 7  p50 2.57ms  p99 168ms  errors 3  12.4s left",
		40:  " 61.6s  10,153/s  dropped 7  errors 3",
		0:   " 61.6s  10,153/s",
	} {
		if got := p.Within(columns); got != want {
			t.Errorf("%d columns: got %q, expected %q", columns, got, want)
		}
	}
	if got := p.String(); got != p.Within(200) {
		t.Errorf("got %q", got)
	}
}

// Whatever the warm-up, the intervals of the window have its calls and no others.
func TestIntervalsAreOfOnePeriod(t *testing.T) {
	for _, warmup := range []time.Duration{0, 300 * ms, 500 * ms, time.Second, 1500 * ms} {
		for _, model := range []Model{ClosedLoop{}, OpenLoop{Profile: Constant(100)}} {
			synctest.Test(t, func(t *testing.T) {
				res := measure(t, t.Context(), Config{Model: model, Warmup: warmup, Duration: 2500 * ms, Call: takes(90 * ms)})
				var measured, warm, late int64
				for n, i := range res.Intervals {
					if late += i.LateWarmupCalls; i.WarmingUp {
						warm += i.Calls
					} else {
						measured += i.Calls
					}
					if i.WarmingUp && i.EndS > warmup.Seconds() || n > 0 && i.StartS != res.Intervals[n-1].EndS {
						t.Errorf("interval %d is from %v to %v s, warming up: %v", n, i.StartS, i.EndS, i.WarmingUp)
					}
				}
				if measured != res.Calls || warm+late != res.Warmup.Calls {
					t.Errorf("warm-up %v, %v: %d measured, %d and %d in the warm-up; expected %d and %d", warmup, model, measured, warm, late, res.Calls, res.Warmup.Calls)
				}
			})
		}
	}
}

// The warm-up has the first rate of a model, and leaves the model whole.
func TestWarmupBeforeAModel(t *testing.T) {
	for _, c := range []struct {
		model            string
		warmup           time.Duration
		intended, warmed int64
	}{
		{"steps:10,20,40/1s", time.Second, 70, 10},
		{"steps:10,20,40/1s", 550 * ms, 70, 6},
		{"steps:10,20,40/1s", 0, 70, 0},
		{"ramp:0..100/3s", time.Second, 150, 0},
		{"burst:10..100/1s/3s", 2 * time.Second, 120, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, err := ParseModel(c.model)
			if err != nil {
				t.Fatal(err)
			}
			res := measure(t, t.Context(), Config{Model: m, Warmup: c.warmup, Duration: 3 * time.Second, Call: takes(ms)})
			if res.Intended != c.intended || res.Warmup.Calls != c.warmed || res.Model != c.model {
				t.Errorf("%s after %v: %d calls and %d before, expected %d and %d", res.Model, c.warmup, res.Intended, res.Warmup.Calls, c.intended, c.warmed)
			}
		})
	}
}

// A run at a rate that nobody can send ends when it should, and knows how many calls it
// did not send.
func TestRateThatCannotBeReached(t *testing.T) {
	for _, c := range []struct {
		model     string
		cfg       Config
		intended  int64
		tolerance int64
	}{
		{"constant:1000000000", Config{Duration: 100 * ms, Instances: 3, Instance: 1}, 33_333_333, 0},
		{"constant:1000000000", Config{Duration: 100 * ms, Warmup: 50 * ms}, 1e8, 0},
		{"poisson:1000000000", Config{Duration: 100 * ms}, 1e8, 1e5},
		{"steps:1000000000,0/100ms", Config{Calls: 1e8}, 1e8, 0},
		{"constant:1000000000", Config{Calls: 1e8}, 1e8, 0},
	} {
		m, err := ParseModel(c.model)
		if err != nil {
			t.Fatal(err)
		}
		c.cfg.Model, c.cfg.MaxInFlight, c.cfg.Spin, c.cfg.Drain, c.cfg.Call = m, 1, SpinOff, ms, func(context.Context) error { return nil }
		began, known := processorTime()
		res := measure(t, t.Context(), c.cfg)
		if res.Verdict.State != Invalid || max(res.Intended-c.intended, c.intended-res.Intended) > c.tolerance {
			t.Errorf("%s, %+v: %s, %d calls intended, expected %d", c.model, c.cfg, res.Verdict.State, res.Intended, c.intended)
		}
		if ended, _ := processorTime(); known && ended-began > 3*time.Second { // walking through the schedule takes more
			t.Errorf("%s: took %v of processor time", c.model, ended-began)
		}
	}
}

// A long run has longer intervals, also if it only turns out to be long.
func TestLongRunsHaveFewIntervals(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{0: time.Second, 10 * time.Minute: time.Second, 10*time.Minute + 1: 2 * time.Second,
		8 * time.Hour: time.Minute, 1000 * time.Hour: time.Hour} {
		if got := intervalOf(length); got != want {
			t.Errorf("%v: intervals of %v, expected %v", length, got, want)
		}
	}
	one := new(Samples)
	one.Record(ms)
	r := &run{ticker: time.NewTicker(time.Hour), cfg: Config{Interval: 10 * time.Second}}
	defer r.ticker.Stop()
	ends := []float64{3, 13, 20, 30, 40, 50, 53}
	for n, end := range ends {
		i := Interval{EndS: end, WarmingUp: n < 3, Draining: n == 6, Calls: 1, Intended: 2, InFlight: int64(n), ResponseSamples: one, ServiceSamples: one}
		if n > 0 {
			i.StartS = ends[n-1]
		}
		r.intervals = append(r.intervals, i)
	}
	r.widen()
	var got []string
	for _, i := range r.intervals {
		got = append(got, fmt.Sprintf("%v-%v: %d/%d, %d in flight", i.StartS, i.EndS, i.Calls, i.Intended, i.InFlight))
	}
	want := []string{"0-13: 2/4, 1 in flight", "13-20: 1/2, 2 in flight", "20-30: 1/2, 3 in flight", "30-50: 2/4, 5 in flight", "50-53: 1/2, 6 in flight"}
	if !slices.Equal(got, want) || r.cfg.Interval != 20*time.Second {
		t.Errorf("%v: got %q, expected %q", r.cfg.Interval, got, want)
	}
}
