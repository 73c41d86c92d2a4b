package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"redrpc/bench"
	"redrpc/bench/stats"
)

func TestQuantileRanks(t *testing.T) {
	for _, c := range []struct {
		n             int64
		q, confidence float64
		low, high     int64
		both          float64
	}{
		// The usual tables of intervals of the median.
		{6, 0.5, 0.975, 1, 6, 0.96875},
		{8, 0.5, 0.975, 1, 8, 0.99219},
		{10, 0.5, 0.975, 2, 9, 0.97852},
		{20, 0.5, 0.975, 6, 15, 0.95861},
		{100, 0.5, 0.975, 40, 61, 0.96480},
		// One-sided bounds of 95 %.
		{5, 0.5, 0.95, 1, 5, 1 - 2./32},
		{299, 0.99, 0.95, 293, 299, 1 - math.Pow(0.99, 299) - 0.032254},
		// Far too many to sum all: 1e9/2 -+ 1.96*sqrt(1e9)/2.
		{1_000_000_000, 0.5, 0.975, 499_969_010, 500_030_991, 0.95},
	} {
		got, ok := stats.QuantileRanks(c.n, c.q, c.confidence)
		if !ok || got.Low != c.low || got.High != c.high || math.Abs(got.Confidence-c.both) > 5e-5 {
			t.Errorf("%d samples, quantile %v at %v: %+v %v, expected %d %d with %v",
				c.n, c.q, c.confidence, got, ok, c.low, c.high, c.both)
		}
	}
}

func TestQuantileRanksOfTooFew(t *testing.T) {
	for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999} {
		n := bench.MinSamples(q)
		if _, ok := stats.QuantileRanks(n, q, 0.95); !ok {
			t.Errorf("quantile %v has no interval with %d samples, which is enough for its percentile", q, n)
		}
		r, ok := stats.QuantileRanks(n-1, q, 0.95)
		if ok || r.High != 0 || q > 0.5 && (r.Low == 0 || r.Confidence < 0.95) {
			t.Errorf("quantile %v of %d samples: %+v %v, expected no upper bound", q, n-1, r, ok)
		}
		if _, ok := stats.QuantileRanks(n, 1-q, 0.95); !ok {
			t.Errorf("quantile %v has no interval, but %v has", 1-q, q)
		}
	}
	for _, c := range []struct {
		n             int64
		q, confidence float64
	}{{0, 0.5, 0.95}, {-1, 0.5, 0.95}, {100, 0, 0.95}, {100, 1, 0.95}, {100, 0.5, 1}, {100, 0.5, 0.4}, {100, math.NaN(), 0.95}, {100, 0.5, math.NaN()}} {
		if r, ok := stats.QuantileRanks(c.n, c.q, c.confidence); ok || r != (stats.Ranks{}) {
			t.Errorf("%+v: got %+v, expected none", c, r)
		}
	}
}

// The interval holds as often as it says, and narrower ones do not.
func TestQuantileRanksHold(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		n int64
		q float64
	}{{20, 0.5}, {40, 0.9}, {400, 0.99}, {1000, 0.95}} {
		r, ok := stats.QuantileRanks(c.n, c.q, 0.95)
		if !ok {
			t.Fatalf("%+v: no interval", c)
		}
		const runs = 4000
		truth := -math.Log1p(-c.q)
		xs := make([]float64, c.n)
		var both, above, below int
		for range runs {
			for i := range xs {
				xs[i] = rng.ExpFloat64()
			}
			slices.Sort(xs)
			switch low, high := xs[r.Low-1], xs[r.High-1]; {
			case truth < low:
				below++
			case truth > high:
				above++
			default:
				both++
			}
		}
		// 4,000 runs: five standard errors are 0.02.
		if share := float64(both) / runs; math.Abs(share-r.Confidence) > 0.025 {
			t.Errorf("seed %d: %+v: %+v held in %v of the runs", seed, c, r, share)
		}
		if above > runs*7/100 || below > runs*7/100 {
			t.Errorf("seed %d: %+v: the bounds of %+v failed in %d and %d of %d runs", seed, c, r, below, above, runs)
		}
	}
}
