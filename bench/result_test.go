package bench

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestMinSamples(t *testing.T) {
	for q, want := range map[float64]int64{0.5: 5, 0.9: 29, 0.95: 59, 0.99: 299, 0.999: 2995} {
		if got := MinSamples(q); got != want {
			t.Errorf("MinSamples(%v) is %d, expected %d", q, got, want)
		}
	}
}

func TestPercentilesThatTheSamplesDoNotSupportAreNil(t *testing.T) {
	for _, c := range []struct {
		calls                    int
		p50, p90, p95, p99, p999 bool
	}{
		{0, false, false, false, false, false},
		{1, false, false, false, false, false},
		{4, false, false, false, false, false},
		{5, true, false, false, false, false},
		{29, true, true, false, false, false},
		{298, true, true, true, false, false},
		{299, true, true, true, true, false},
		{2994, true, true, true, true, false},
		{2995, true, true, true, true, true},
	} {
		tally := newTally()
		for range c.calls {
			tally.success(time.Millisecond)
		}
		l := tally.latency()
		got := []bool{l.P50 != nil, l.P90 != nil, l.P95 != nil, l.P99 != nil, l.P999 != nil}
		if want := []bool{c.p50, c.p90, c.p95, c.p99, c.p999}; !slices.Equal(got, want) {
			t.Errorf("%d calls: p50 p90 p95 p99 p99.9 known: %v, expected %v", c.calls, got, want)
		}
		if (l.Max != nil) != (c.calls > 0) || (l.Min != nil) != (c.calls > 0) || (l.Mean != nil) != (c.calls > 0) {
			t.Errorf("%d calls: min %v, mean %v, max %v", c.calls, l.Min, l.Mean, l.Max)
		}
	}
}

// Merged percentiles are those of all samples, sorted.
func TestPercentilesOfRandomSamples(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		n := 2995 + rng.IntN(5000)
		parts := []*tally{newTally(), newTally(), newTally()}
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
			parts[rng.IntN(len(parts))].success(all[i])
		}
		slices.Sort(all)
		total := newTally()
		for _, p := range parts {
			total.add(p)
		}
		l := total.latency()
		if *l.Min != *microseconds(all[0]) || *l.Max != *microseconds(all[n-1]) {
			t.Errorf("seed %d: min %v, max %v, expected %v and %v", seed, *l.Min, *l.Max, all[0], all[n-1])
		}
		for permille, got := range map[int]*float64{500: l.P50, 900: l.P90, 950: l.P95, 990: l.P99, 999: l.P999} {
			want := *microseconds(all[(n*permille+999)/1000-1])
			if *got < want || *got > want*1.001 {
				t.Errorf("seed %d: %d calls, quantile %d/1000: got %v us, expected %v", seed, n, permille, *got, want)
			}
		}
	}
}

func TestLatencyBeyondTheHistogram(t *testing.T) {
	tally := newTally()
	for range 350 {
		tally.success(time.Second)
	}
	for range 50 {
		tally.success(3 * time.Hour)
	}
	total := newTally()
	total.add(tally)
	l := total.latency()
	if total.unrecorded != 50 || *l.Max != *microseconds(3 * time.Hour) {
		t.Errorf("%d unrecorded, max %v: expected 50 and 3 h", total.unrecorded, *l.Max)
	}
	if l.P50 == nil || l.P95 != nil || l.P99 != nil {
		t.Errorf("p50 %v, p95 %v, p99 %v: expected a number and two nil", l.P50, l.P95, l.P99)
	}
}

func TestResetKeepsNothing(t *testing.T) {
	tally := newTally()
	tally.success(time.Second)
	tally.failure("odd", errors.New("odd one"))
	tally.reset()
	if tally.calls != 0 || tally.failed() != 0 || tally.max != 0 || tally.latencies.TotalCount() != 0 || len(tally.samples) != 0 {
		t.Errorf("left over: %+v", tally)
	}
}
