package bench_test

import (
	"context"
	"errors"
	"fmt"

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
