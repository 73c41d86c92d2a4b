package capacity_test

import (
	"context"
	"fmt"
	"os"
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
	if err := found.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// objective      p99=20ms
	// answer         673/s, confirmed by a trial of 15s
	// too much       734/s: p99 24.8ms, more than 20ms
	//
	// trials         rate   window  outcome  why
	//                200/s  3s      met      p99 11.7ms, at most 20ms
	//                400/s  3s      met      p99 12.5ms, at most 20ms
	//                800/s  3s      missed   p99 1.01s, more than 20ms
	//                566/s  3s      met      p99 14.2ms, at most 20ms
	//                673/s  3s      met      p99 17.8ms, at most 20ms
	//                734/s  3s      missed   p99 24.8ms, more than 20ms
	//                673/s  15s     met      p99 17.8ms, at most 20ms
}

func ExampleSweep() {
	curve, err := capacity.Sweep(context.Background(), measure, capacity.SweepOptions{
		Loads: []float64{100, 200, 300, 400, 500, 600, 700, 780, 900},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := curve.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// curve          rate  throughput  p50  p99     errors
	//                100   100/s       -    11.4ms  0 %
	//                200   200/s       -    11.7ms  0 %
	//                300   300/s       -    12.0ms  0 %
	//                400   400/s       -    12.5ms  0 %
	//                500   500/s       -    13.3ms  0 %
	//                600   600/s       -    15.0ms  0 %
	//                700   700/s       -    19.9ms  0 %     knee
	//                780   780/s       -    57.6ms  0 %
	//                900   800/s       -    -       0 %     DIVERGING
	//
	// knee           the p99 rises steeply from 700 calls/s on
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
	if err := needed.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// objective      p99=30ms at 2,000/s
	// answer         15 workers, of which 13.0 are busy on average
	//
	// prediction     workers  busy    wait p99  p50     p99     outcome
	//                14       92.9 %  19.8ms    8.27ms  31.9ms  missed: p99 31.9ms, more than 30ms
	//                15       86.7 %  9.48ms    6.26ms  24.8ms  met: p99 24.8ms, at most 30ms
	//                16       81.2 %  5.70ms    6.00ms  22.9ms  met: p99 22.9ms, at most 30ms
	//
	// assumptions    calls come at random, as a Poisson process, 2,000/s on average
	//                they wait in one line, and the next free worker takes the one that has waited longest
	//                a worker is busy with a call for its run time (as measured, 10 times, mean 6.50ms), one call at a time
	//                beyond that a call takes its overhead (constant, 1ms), whatever the load
	//                run times do not depend on the load or on each other: workers do not share what they need
	//                no call fails, and none gives up
	//                1,000,000 calls were simulated for each number of workers, with the seed 0
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
	if err := c.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// comparison     new (6 runs) against old (6 runs)
	//
	// metrics                    judgement      difference
	//                p99         better         20.4ms -> 18.4ms: -9.8 %, -11.3 to -8.4, p 0.0043
	//                throughput  no difference  1,000/s -> 1,000/s: +0.0 %, +0.0 to +0.0, p 1
}
