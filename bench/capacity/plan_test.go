package capacity

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/bench"
)

// erlangC is the probability that a call of M/M/k waits, of a busy workers.
func erlangC(k int, a float64) float64 {
	b := 1.0 // Erlang B, by its recursion
	for i := 1; i <= k; i++ {
		b = a * b / (float64(i) + a*b)
	}
	return b / (1 - a/float64(k)*(1-b))
}

func TestQueueAgainstErlang(t *testing.T) {
	const calls = 1_000_000
	for _, c := range []struct {
		workers     int
		utilisation float64
		constant    bool // run times
	}{
		{1, 0.5, false}, {1, 0.8, false}, {4, 0.7, false}, {10, 0.8, false}, {20, 0.8, false},
		{1, 0.5, true}, {1, 0.8, true},
	} {
		rate := c.utilisation * float64(c.workers) * 100 // a call takes 10 ms
		q := queue{rate: rate, run: Exponential(10 * ms)}
		// The mean wait and the share of calls that wait; for M/D/1 by Pollaczek and Khinchine.
		share := erlangC(c.workers, c.utilisation*float64(c.workers))
		mean := share * 0.010 / (float64(c.workers) * (1 - c.utilisation))
		if c.constant {
			q.run = Constant(10 * ms)
			mean = c.utilisation * 0.010 / (2 * (1 - c.utilisation))
		}
		var sum, waited float64
		waits := make([]float64, 0, calls)
		for i, v := range q.visits(c.workers, calls, 1) {
			if i < calls/10 {
				continue
			}
			sum += v.wait
			if v.wait > 0 {
				waited++
			}
			waits = append(waits, v.wait)
		}
		n := float64(len(waits))
		if !near(sum/n, mean, 0.04) || !near(waited/n, share, 0.02) {
			t.Errorf("%+v: a mean wait of %v and a share of %v, expected %v and %v", c, sum/n, waited/n, mean, share)
		}
		if !c.constant {
			slices.Sort(waits)
			// P(wait > t) = share exp(-(1-utilisation) k mu t).
			want := math.Log(share/0.01) * 0.010 / (float64(c.workers) * (1 - c.utilisation))
			if got := waits[int(n*0.99)]; !near(got, want, 0.04) {
				t.Errorf("%+v: a p99 of the wait of %v, expected %v", c, got, want)
			}
		}
	}
}

// The least number of workers is that of Erlang's formula.
func TestPlan(t *testing.T) {
	const rate, mu = 1000.0, 100.0
	o := PlanOptions{Rate: rate, SLO: slo(t, "mean=12ms"), Run: Exponential(10 * ms)}
	wait := func(k int) float64 { return erlangC(k, rate/mu) / (float64(k)*mu - rate) }
	want := 11
	for wait(want) > 0.002 {
		want++
	}
	n, err := Plan(t.Context(), o)
	if err != nil || n.Workers != want || n.OfferedLoad != 10 || n.Reason != "" || n.SLO != "mean=12ms" {
		t.Fatalf("%+v, %v; expected %d workers", n, err, want)
	}
	for i, p := range n.Predictions {
		if p.Met != (p.Workers >= want) || p.Utilization != 10/float64(p.Workers) || i > 0 && p.Workers <= n.Predictions[i-1].Workers {
			t.Errorf("%+v", p)
		}
		if p.Latency != nil && !near(*p.Latency.Mean, 1e6*(0.010+wait(p.Workers)), 0.02) {
			t.Errorf("%d workers: a mean of %v us, expected %v", p.Workers, *p.Latency.Mean, 1e6*(0.010+wait(p.Workers)))
		}
	}
	var tried []int
	for _, p := range n.Predictions {
		tried = append(tried, p.Workers)
	}
	for _, k := range []int{want - 1, want, want + 1} {
		if !slices.Contains(tried, k) {
			t.Errorf("tried %v, expected %d among them", tried, k)
		}
	}
	if len(n.Assumptions) < 5 || !strings.Contains(strings.Join(n.Assumptions, "\n"), "exponential, mean 10ms") {
		t.Errorf("assumptions %q", n.Assumptions)
	}
	again, err := Plan(t.Context(), o)
	if err != nil || *again.Predictions[len(tried)-1].Latency.P999 != *n.Predictions[len(tried)-1].Latency.P999 {
		t.Errorf("another answer with the same seed: %v", err)
	}
}

func TestPlanEdges(t *testing.T) {
	for _, c := range []struct {
		name    string
		o       PlanOptions
		workers int
		why     string
	}{
		{"constant and just enough", PlanOptions{Rate: 390, SLO: slo(t, "p99=11ms"), Run: Constant(10 * ms), ConstantArrivals: true, Calls: 1_000_000}, 4, ""},
		{"one is enough", PlanOptions{Rate: 1, SLO: slo(t, "p99=11ms"), Run: Constant(ms)}, 1, ""},
		{"never", PlanOptions{Rate: 1000, SLO: slo(t, "p99=20ms"), Run: Constant(10 * ms), Overhead: Constant(15 * ms)}, 0,
			"no number of workers does: when no call waits, p99 25.0ms, more than 20ms"},
		{"not as many", PlanOptions{Rate: 1000, SLO: slo(t, "p99=20ms"), Run: Constant(10 * ms), MaxWorkers: 10}, 0, "10 workers do not"},
		{"throughput and errors", PlanOptions{Rate: 1000, SLO: slo(t, "throughput=1000/s,errors=0,p99=100ms"), Run: Constant(10 * ms), MaxWorkers: 20}, 11, ""},
		{"too much throughput", PlanOptions{Rate: 1000, SLO: slo(t, "throughput=1001/s"), Run: Constant(10 * ms), MaxWorkers: 20}, 0, "throughput 1,000/s, less than 1001/s"},
		{"hundreds", PlanOptions{Rate: 100_000, SLO: slo(t, "p99=11ms"), Run: Constant(10 * ms), ConstantArrivals: true, Calls: 300_000}, 1037, ""},
	} {
		c.o.Calls = cmp.Or(c.o.Calls, 100_000)
		n, err := Plan(t.Context(), c.o)
		if err != nil || n.Workers != c.workers || !strings.Contains(n.Reason, c.why) || (n.Reason == "") != (c.why == "") {
			t.Errorf("%s: %+v, %v; expected %d, %q", c.name, n, err, c.workers, c.why)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Plan(ctx, PlanOptions{Rate: 1000, SLO: slo(t, "p99=20ms"), Run: Constant(10 * ms)}); err != context.Canceled {
		t.Errorf("got %v, expected that it was cancelled", err)
	}
	ok := slo(t, "p99=20ms")
	for want, o := range map[string]PlanOptions{
		"PlanOptions.SLO: expected one term or more":           {Rate: 1, Run: Constant(1)},
		"PlanOptions.Rate: expected calls per second, got 0":   {SLO: ok, Run: Constant(1)},
		"PlanOptions.Run: expected times above 0, got none":    {SLO: ok, Rate: 1},
		"PlanOptions.MaxWorkers: expected":                     {SLO: ok, Rate: 1, Run: Constant(1), MaxWorkers: -1},
		"PlanOptions.Calls: expected 1 or more":                {SLO: ok, Rate: 1, Run: Constant(1), Calls: -1},
		"PlanOptions.Calls: expected 598 or more for p99=20ms": {SLO: ok, Rate: 1, Run: Constant(1), Calls: 10},
	} {
		if _, err := Plan(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}

func TestTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]time.Duration, 20_000)
	samples := bench.NewSamples()
	for i := range list {
		list[i] = time.Duration((5 + rng.ExpFloat64()) * float64(ms))
		samples.Record(list[i])
	}
	slices.Sort(list)
	one, err := Measured(list)
	if err != nil {
		t.Fatal(err)
	}
	two, err := FromSamples(samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, times := range []Times{one, two} {
		if times.Mean() != samples.Mean() || times.String() != "measured: 20,000 samples, mean 6.00ms" {
			t.Errorf("%v with a mean of %v, expected %v", times, times.Mean(), samples.Mean())
		}
		drawn := make([]float64, 100_000)
		for i := range drawn {
			drawn[i] = times.next(rng)
		}
		slices.Sort(drawn)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99} {
			if got, want := drawn[int(q*100_000)], list[int(q*20_000)].Seconds(); !near(got, want, 0.02) {
				t.Errorf("%v: %v at %v, expected %v", times, got, q, want)
			}
		}
	}
	if zero := (Times{}); zero.next(rng) != 0 || zero.Mean() != 0 || zero.String() != "none" {
		t.Errorf("zero: %v", zero)
	}
	beyond := bench.NewSamples()
	beyond.Record(2 * time.Hour)
	for name, s := range map[string]*bench.Samples{"nil": nil, "none": bench.NewSamples(), "two hours": beyond} {
		if got, err := FromSamples(s); err == nil {
			t.Errorf("%s makes %v", name, got)
		}
	}
	for _, list := range [][]time.Duration{nil, {-1}} {
		if got, err := Measured(list); err == nil {
			t.Errorf("%v makes %v", list, got)
		}
	}
}

// The prediction is within 20 % of what goroutines do that take calls from a channel, in
// fake time.
func TestPlanAgainstWorkers(t *testing.T) {
	for _, c := range []struct {
		workers int
		rate    float64
		slow    time.Duration // one call of ten
	}{
		{4, 300, 10 * ms},
		{8, 400, 55 * ms},
		{2, 100, 30 * ms},
	} {
		run, err := Measured(append(slices.Repeat([]time.Duration{10 * ms}, 9), c.slow))
		if err != nil {
			t.Fatal(err)
		}
		measured := bench.NewSamples()
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			type call struct {
				came time.Time
				run  time.Duration
			}
			line := make(chan call, 100_000)
			var mu sync.Mutex
			var workers sync.WaitGroup
			for range c.workers {
				workers.Go(func() {
					for call := range line {
						time.Sleep(call.run)
						mu.Lock()
						measured.Record(time.Since(call.came) + 2*ms)
						mu.Unlock()
					}
				})
			}
			for range 60_000 {
				time.Sleep(time.Duration(rng.ExpFloat64() / c.rate * float64(time.Second)))
				line <- call{time.Now(), inDuration(run.next(rng))}
			}
			close(line)
			workers.Wait()
		})
		o := PlanOptions{Rate: c.rate, SLO: slo(t, "p99=1s"), Run: run, Overhead: Constant(2 * ms)}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		p := o.predict(t.Context(), c.workers)
		want := latencies(measured)
		if p.Utilization > 0.8 || !near(*p.Latency.P99, *want.P99, 0.2) || !near(*p.Latency.P50, *want.P50, 0.2) {
			t.Errorf("%+v, %.2f busy: predicted a p50 of %v and a p99 of %v, measured %v and %v",
				c, p.Utilization, *p.Latency.P50, *p.Latency.P99, *want.P50, *want.P99)
		}
	}
}
