package capacity_test

import (
	"context"
	"fmt"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

// measure stands for bench.Run: a system of eight workers that take 10 ms a call, of which
// 800 a second are the most it can do.
func measure(_ context.Context, rate float64, length time.Duration) (*bench.Result, error) {
	res := &bench.Result{OpenLoop: true, DurationS: length.Seconds(), Throughput: min(rate, 800), Verdict: bench.Verdict{State: bench.Valid}}
	if rate > 800 {
		res.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"calls came faster than they were answered"}}
		return res, nil
	}
	samples := bench.NewSamples()
	for range int(rate * length.Seconds()) {
		samples.Record(10*time.Millisecond + time.Duration(1000/(801-rate)*float64(time.Millisecond)))
	}
	p99 := float64(samples.Max.Microseconds())
	res.Calls, res.Samples.Response, res.Latency.P99 = samples.Count, samples, &p99
	return res, nil
}

func ExampleParseSLO() {
	slo, err := capacity.ParseSLO("p99=20ms, errors=0.1%")
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := measure(context.Background(), 790, 10*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range slo.Check(res) {
		fmt.Println(f.Met, f.Text)
	}
	// Output:
	// false p99 101ms, more than 20ms
	// true errors 0 %, at most 0.1%
}

func ExampleSearch() {
	slo, err := capacity.ParseSLO("p99=20ms")
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := capacity.Search(context.Background(), measure, capacity.SearchOptions{SLO: slo, Start: 200, Precision: 0.1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("at least %.0f/s\n", found.HighestMet)
	fmt.Println("too much:", found.LimitingFactor)
	for _, p := range found.Trials {
		fmt.Printf("%.0f/s for %v s: %s\n", p.Rate, p.DurationS, p.Outcome)
	}
	// Output:
	// at least 673/s
	// too much: 734/s: p99 24.8ms, more than 20ms
	// 200/s for 3 s: met
	// 400/s for 3 s: met
	// 800/s for 3 s: missed
	// 566/s for 3 s: met
	// 673/s for 3 s: met
	// 734/s for 3 s: missed
	// 734/s for 3 s: missed
	// 673/s for 15 s: met
}

func ExampleSweep() {
	curve, err := capacity.Sweep(context.Background(), measure, capacity.SweepOptions{
		Loads: []float64{100, 200, 300, 400, 500, 600, 700, 780, 900},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range curve.Points {
		if p.Latency.P99 == nil {
			fmt.Printf("%.0f/s: %s\n", p.Load, p.Verdict.State)
			continue
		}
		fmt.Printf("%.0f/s: p99 %.1f ms\n", p.Load, *p.Latency.P99/1000)
	}
	fmt.Printf("knee at %.0f/s\n", *curve.Knee)
	// Output:
	// 100/s: p99 11.4 ms
	// 200/s: p99 11.7 ms
	// 300/s: p99 12.0 ms
	// 400/s: p99 12.5 ms
	// 500/s: p99 13.3 ms
	// 600/s: p99 15.0 ms
	// 700/s: p99 19.9 ms
	// 780/s: p99 57.6 ms
	// 900/s: diverging
	// knee at 700/s
}

// A closed loop: what so many callers get, who all need one lock for a twentieth of
// a call.
func ExampleSweep_callers() {
	locked := func(_ context.Context, callers float64, length time.Duration) (*bench.Result, error) {
		rate := 1000 * callers / (1 + 0.05*(callers-1))
		return &bench.Result{Callers: int(callers), DurationS: length.Seconds(), Calls: int64(rate * length.Seconds()),
			Throughput: rate, Verdict: bench.Verdict{State: bench.Valid}}, nil
	}
	curve, err := capacity.Sweep(context.Background(), locked, capacity.SweepOptions{
		Loads: []float64{1, 2, 4, 8, 16, 32}, Callers: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("one caller %.0f/s, contention %.0f %%, at most %.0f/s\n", curve.USL.Lambda, 100*curve.USL.Sigma, curve.USL.At(1e6))
	// Output: one caller 1000/s, contention 5 %, at most 20000/s
}

func ExamplePlan() {
	slo, err := capacity.ParseSLO("p99=30ms")
	if err != nil {
		fmt.Println(err)
		return
	}
	// Nine of ten calls keep a worker busy for 5 ms, the tenth for 20 ms.
	run, err := capacity.Measured([]time.Duration{
		5e6, 5e6, 5e6, 5e6, 5e6, 5e6, 5e6, 5e6, 5e6, 20e6,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	needed, err := capacity.Plan(context.Background(), capacity.PlanOptions{
		Rate: 2000, SLO: slo, Run: run, Overhead: capacity.Constant(time.Millisecond),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d workers, of which %.0f are busy\n", needed.Workers, needed.OfferedLoad)
	for _, p := range needed.Predictions {
		fmt.Printf("%d workers: %s\n", p.Workers, p.Terms[0].Text)
	}
	for _, a := range needed.Assumptions[:3] {
		fmt.Println("-", a)
	}
	// Output:
	// 15 workers, of which 13 are busy
	// 14 workers: p99 31.9ms, more than 30ms
	// 15 workers: p99 24.8ms, at most 30ms
	// 16 workers: p99 22.9ms, at most 30ms
	// - calls arrive as a Poisson process, 2,000/s on average
	// - they wait in one queue, first in, first out, for the next free worker
	// - a worker runs one call at a time, for its run time (measured: 10 samples, mean 6.50ms)
}

func ExampleCompare() {
	// A run whose p99 is so many milliseconds.
	version := func(base float64) func(context.Context) (*bench.Result, error) {
		n := 0.0
		return func(context.Context) (*bench.Result, error) {
			n++
			p99 := 1000 * (base + n/10)
			return &bench.Result{Calls: 1000, DurationS: 1, Throughput: 1000, Latency: bench.Latency{P99: &p99}}, nil
		}
	}
	old, changed, err := capacity.Interleave(context.Background(), 6, 1, nil, version(20), version(18))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := capacity.Compare(
		capacity.Side{Name: "old", Settings: map[string]any{"revision": "1f3a", "payload_bytes": 100}, Runs: old},
		capacity.Side{Name: "new", Settings: map[string]any{"revision": "9bd2", "payload_bytes": 100}, Runs: changed},
		capacity.CompareOptions{MayDiffer: []string{"revision"}, Metrics: []capacity.Metric{capacity.P99, capacity.Throughput}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range c.Metrics {
		fmt.Printf("%s: %s\n", x.Judgement, x.Text)
	}
	// Output:
	// better: p99: 20.4ms -> 18.4ms: -9.83 % (95 % CI -11.3 to -8.37, p=0.0043)
	// no difference: throughput: 1,000/s -> 1,000/s: +0 % (95 % CI +0 to +0, p=1)
}
