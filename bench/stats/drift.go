package stats

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A Verdict says what a series of figures did over time.
type Verdict string

const (
	Stationary   Verdict = "stationary"
	DriftingUp   Verdict = "drifting up"
	DriftingDown Verdict = "drifting down"
	TooShort     Verdict = "too short to say"
)

const (
	minSeries  = 10   // below it the normal distribution of the trend test is poor
	maxSeries  = 240  // the test compares all pairs
	driftLevel = 0.01 // greatest P of a drift
)

// A Drift is what is known about the trend of a series.
type Drift struct {
	Verdict Verdict `json:"verdict"`

	// P is the probability that a series without a trend shows one as strong.
	P float64 `json:"p"`

	// Slope is how fast the figure changes, in its unit per second: the median of the
	// slopes of all pairs (Sen, 1968).
	Slope float64 `json:"slope_per_s"`

	// First and Second are the medians of the two halves, and Change is what
	// Second differs from First by, as a share of the greater of them.
	First  float64 `json:"first"`
	Second float64 `json:"second"`
	Change float64 `json:"change"`
}

// Drifting tells if a series of figures, such as the p50 or the throughput of each interval
// of a run, changed over time. It drifts if a trend is significant, P below 0.01,
// and matters, which is that the medians of the halves differ, in the same direction, by
// more than the tolerance, a share such as 0.05. Fewer than 10 figures are too short.
//
// The trend is tested by Mann and Kendall's S (Kendall, Rank Correlation Methods, 1975)
// with the variance corrected for autocorrelation as by Hamed and Rao (A modified
// Mann-Kendall trend test for autocorrelated data, 1998), since one slow moment of a
// system makes the next ones slow, too. Unlike theirs the correction uses the
// lags up to the first without a positive correlation, never makes the variance smaller,
// and is of what is left without a step where that explains far more than a slope.
// Of a series longer than 240 neighbours are put together, as their median.
func Drifting(xs []float64, every time.Duration, tolerance float64) (Drift, error) {
	switch {
	case every <= 0:
		return Drift{}, fmt.Errorf("stats: every: expected more than 0, got %v", every)
	case !(tolerance >= 0):
		return Drift{}, fmt.Errorf("stats: tolerance: expected 0 or more, got %v", tolerance)
	}
	if err := known("xs", xs); err != nil {
		return Drift{}, err
	}
	if len(xs) < minSeries {
		return Drift{Verdict: TooShort, P: 1}, nil
	}
	xs, every = condense(xs, every)
	n := len(xs)
	d := Drift{Verdict: Stationary, First: Median(xs[:n/2]), Second: Median(xs[(n+1)/2:])}
	if scale := max(math.Abs(d.First), math.Abs(d.Second)); scale > 0 {
		d.Change = (d.Second - d.First) / scale
	}
	slope := senSlope(xs)
	d.Slope = slope / every.Seconds()
	d.P = mannKendall(xs, slope)
	if d.P < driftLevel && math.Abs(d.Change) > tolerance {
		switch {
		case d.Change > 0 && d.Slope > 0:
			d.Verdict = DriftingUp
		case d.Change < 0 && d.Slope < 0:
			d.Verdict = DriftingDown
		}
	}
	return d, nil
}

// condense puts neighbours together until the series is short enough to compare all
// pairs. What is left over is its beginning.
func condense(xs []float64, every time.Duration) ([]float64, time.Duration) {
	size := (len(xs) + maxSeries - 1) / maxSeries
	if size == 1 {
		return xs, every
	}
	var short []float64
	for part := range slices.Chunk(xs[len(xs)%size:], size) {
		short = append(short, Median(part))
	}
	return short, every * time.Duration(size)
}

// senSlope is the median of the slopes of all pairs, per step.
func senSlope(xs []float64) float64 {
	slopes := make([]float64, 0, len(xs)*(len(xs)-1)/2)
	for i, x := range xs {
		for j := i + 1; j < len(xs); j++ {
			slopes = append(slopes, (xs[j]-x)/float64(j-i))
		}
	}
	return Median(slopes)
}

// mannKendall returns the probability, on both sides, of a trend as strong as that of xs.
func mannKendall(xs []float64, slope float64) float64 {
	var s float64 // pairs that rise less pairs that fall
	for i, x := range xs {
		for _, y := range xs[i+1:] {
			switch {
			case y > x:
				s++
			case y < x:
				s--
			}
		}
	}
	n := float64(len(xs))
	variance := n * (n - 1) * (2*n + 5)
	sorted := slices.Sorted(slices.Values(xs))
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		t := float64(j - i)
		variance -= t * (t - 1) * (2*t + 5)
		i = j
	}
	variance *= inflation(xs, slope) / 18
	if variance <= 0 || s == 0 {
		return 1
	}
	return min(1, 2*normalCDF(-(math.Abs(s)-1)/math.Sqrt(variance)))
}

// inflation is by how much autocorrelation makes the variance of S greater, 1 or more.
func inflation(xs []float64, slope float64) float64 {
	flat := make([]float64, len(xs))
	for i, x := range xs {
		flat[i] = x - slope*float64(i)
	}
	if stepped := withoutStep(xs); spread(stepped) < spread(flat)/2 {
		flat = stepped
	}
	ranks, _ := doubledRanks(flat)
	n := float64(len(xs))
	var variance float64
	for _, r := range ranks {
		off := float64(r) - (n + 1)
		variance += off * off
	}
	if variance == 0 {
		return 1
	}
	sum := 0.0
	for lag := 1; lag < len(xs)/2; lag++ {
		var cov float64
		for i, r := range ranks[lag:] {
			cov += (float64(r) - (n + 1)) * (float64(ranks[i]) - (n + 1))
		}
		rho := cov / variance
		if rho <= 0 {
			break
		}
		k := n - float64(lag)
		sum += k * (k - 1) * (k - 2) * rho
	}
	return 1 + 2*sum/(n*(n-1)*(n-2))
}

// withoutStep takes the step out of xs that leaves the least.
func withoutStep(xs []float64) []float64 {
	var best []float64
	least := math.Inf(1)
	for at := 3; at <= len(xs)-3; at++ {
		low, high := Median(xs[:at]), Median(xs[at:])
		flat := make([]float64, len(xs))
		for i, x := range xs {
			if i < at {
				flat[i] = x - low
			} else {
				flat[i] = x - high
			}
		}
		if s := spread(flat); s < least {
			best, least = flat, s
		}
	}
	return best
}

// spread is how far xs are from their median, in all.
func spread(xs []float64) float64 {
	var sum float64
	middle := Median(xs)
	for _, x := range xs {
		sum += math.Abs(x - middle)
	}
	return sum
}
