package bench_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"redrpc/bench"
)

func ExampleRun() {
	res, err := bench.Run(context.Background(), bench.Config{
		Call: func(ctx context.Context) error {
			// What is measured: a remote call, a query, anything.
			return nil
		},
		Callers: 10,
		Calls:   5000,
		Classify: func(err error) string {
			if errors.Is(err, context.DeadlineExceeded) {
				return "timeout"
			}
			return "other"
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Calls, "calls,", res.Errors, "errors, p99.9 known:", res.Latency.P999 != nil)
	// Output: 5000 calls, 0 errors, p99.9 known: true
}

// Users who arrive at random, 2,000 a second on the average, whether or not the
// system keeps up. Response times are from when a call should have been sent.
func ExampleRun_openLoop() {
	model, err := bench.ParseModel("poisson:2000")
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := bench.Run(context.Background(), bench.Config{
		Call:   func(ctx context.Context) error { return nil },
		Model:  model,
		Seed:   1,
		Warmup: 50 * time.Millisecond,
		Calls:  600,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Calls, "calls,", res.Dropped, "missed, p99 known:", res.Latency.P99 != nil)
	// Output: 600 calls, 0 missed, p99 known: true
}

// Parts of a call that it can tell are figures of their own.
func ExampleRun_phases() {
	res, err := bench.Run(context.Background(), bench.Config{
		Do: func(ctx context.Context, call *bench.Attempt) error {
			call.Phases[0] = 2 * time.Millisecond // as the answer says
			if call.Number%2 == 0 {
				call.Phases[1] = 5 * time.Millisecond // known of every other call
			}
			return nil
		},
		Phases: []string{"queue", "run"},
		Calls:  1000,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range res.Phases {
		fmt.Printf("%s: %d calls, at most %v us\n", p.Name, p.Calls, *p.Latency.Max)
	}
	// Output:
	// queue: 1000 calls, at most 2000 us
	// run: 500 calls, at most 5000 us
}

// Two generators, here one after the other, share one schedule; together they are
// the load.
func ExampleMerge() {
	results := make([]*bench.Result, 2)
	start := time.Now().Add(50 * time.Millisecond)
	var running sync.WaitGroup
	for instance := range results {
		running.Go(func() { // each in a process of its own, most often
			res, err := bench.Run(context.Background(), bench.Config{
				Call:     func(ctx context.Context) error { return nil },
				Model:    bench.OpenLoop{Profile: bench.Constant(5000)},
				Instance: instance, Instances: 2,
				StartAt:  start,
				Duration: 200 * time.Millisecond,
			})
			if err != nil {
				fmt.Println(err)
			}
			results[instance] = res
		})
	}
	running.Wait()
	all, err := bench.Merge(results...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(results[0].Calls, "+", results[1].Calls, "=", all.Calls)
	// Output: 500 + 500 = 1000
}
