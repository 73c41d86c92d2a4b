package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
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

func TestSpinIsAsTold(t *testing.T) {
	for mode, want := range map[Spin]bool{SpinOn: true, SpinOff: false, SpinAuto: true} {
		var spun atomic.Int64
		s := spinner{elapsed: func() time.Duration { return 0 }, mode: mode, cores: 2, spun: &spun}
		if s.may() != want {
			t.Errorf("%s: may spin: %v", mode, !want)
		}
	}
	// A spin that is torn by others is the last one for a time.
	now := time.Duration(0)
	var spun atomic.Int64
	s := spinner{elapsed: func() time.Duration { now += tornBy + 1; return now }, mode: SpinAuto, cores: 2, spun: &spun}
	s.until(2 * tornBy)
	now = lookEvery
	if s.torn == 0 || s.may() || s.may() {
		t.Errorf("spins go on after %d of %d were torn", s.torn, s.spins)
	}
	now = 3 * lookEvery
	if !s.may() {
		t.Error("it never spins again")
	}
	if one := (spinner{elapsed: s.elapsed, mode: SpinAuto, cores: 1, spun: &spun}); one.may() {
		t.Error("it spins on the only core")
	}
}
