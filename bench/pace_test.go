package bench

import (
	"context"
	"testing"
)

func TestLag(t *testing.T) {
	for range 5 {
		res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(2000)}, Warmup: 50 * ms, Duration: 500 * ms, Call: func(context.Context) error { return nil }})
		if res.Intended != 1000 || res.Errors > 0 {
			t.Fatalf("%d calls, %d errors", res.Intended, res.Errors)
		}
		if *res.Lag.P50 < 2000 && *res.Lag.P99 < 100_000 {
			return
		}
		t.Logf("lag: p50 %v us, p99 %v us, max %v us", *res.Lag.P50, *res.Lag.P99, *res.Lag.Max)
	}
	t.Error("calls are sent late again and again")
}
