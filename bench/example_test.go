package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
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

func ExampleReport() {
	res, err := bench.Run(context.Background(), bench.Config{
		Call:    func(context.Context) error { return errors.New("connection refused") },
		Calls:   20,
		Callers: 2,
		Warmup:  time.Microsecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	res.DurationS, res.Warmup = 0.001, bench.Warmup{} // so that this example prints the same every time
	report := bench.Report{Settings: []bench.Setting{{Name: "target", Value: "nobody"}}, Result: res}
	if err := report.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// load model     closed loop, 2 callers
	// target         nobody
	//
	// warm-up        0.000 s, 0 calls and 0 errors left out
	// measured       0.001 s
	// calls          0
	// throughput     0 calls/s
	// errors         20
	//                20  error, such as: connection refused
	//
	// latency        none: no call was answered with success
}
