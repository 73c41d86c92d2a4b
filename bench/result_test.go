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
		var s Samples
		for range c.calls {
			s.Record(time.Millisecond)
		}
		l := figures(&s)
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
		parts := make([]Samples, 3)
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
			parts[rng.IntN(len(parts))].Record(all[i])
		}
		slices.Sort(all)
		var total Samples
		for i := range parts {
			total.Add(&parts[i])
		}
		l := figures(&total)
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
	var part, total Samples
	for range 350 {
		part.Record(time.Second)
	}
	for range 50 {
		part.Record(3 * time.Hour)
	}
	total.Add(&part)
	l := figures(&total)
	if total.Unrecorded != 50 || *l.Max != *microseconds(3 * time.Hour) {
		t.Errorf("%d beyond, max %v: expected 50 and 3 h", total.Unrecorded, *l.Max)
	}
	if l.P50 == nil || l.P95 != nil || l.P99 != nil {
		t.Errorf("p50 %v, p95 %v, p99 %v: expected a number and two nil", l.P50, l.P95, l.P99)
	}
}

func TestResetKeepsNothing(t *testing.T) {
	tally := newTally(&Config{Phases: []string{""}, Labels: []string{""}})
	for _, c := range []call{{measured: true, done: time.Second}, {done: time.Minute}, {measured: true, done: time.Hour, kind: "odd", err: errors.New("odd one")}} {
		c.phases = []time.Duration{time.Second}
		n := &tally.warmup
		if c.measured {
			n = &tally.window
		}
		n.record(&c, true)
	}
	tally.reset()
	total := newTally(&Config{Phases: []string{""}, Labels: []string{""}})
	total.add(tally)
	for _, n := range []*counts{&tally.window, &tally.warmup, &total.window, &total.warmup} {
		for _, s := range []*Samples{&n.response, &n.service, &n.lag, &n.phases[0], &n.labels[0]} {
			if s.Count != 0 || s.Max != 0 || s.Sum != 0 || s.Histogram().TotalCount() != 0 {
				t.Errorf("left over: %+v", s)
			}
		}
		if n.failed() != 0 {
			t.Errorf("%d failures left over", n.failed())
		}
	}
	if len(total.window.failures) != 0 {
		t.Errorf("%v: an old kind came back", total.window.failures)
	}
}
