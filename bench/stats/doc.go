// Package stats has the mathematics of measuring performance: how sure a
// percentile is, whether two sets of runs differ, whether a run was stationary or
// was overloaded, how a system scales. Its functions are pure: numbers go in and
// numbers come out, the same every time. None changes what it is given.
package stats

import (
	"fmt"
	"math"
	"slices"
)

// known returns an error if xs has a number that is not finite.
func known(name string, xs []float64) error {
	for i, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("stats: %s[%d]: expected a finite number, got %v", name, i, x)
		}
	}
	return nil
}

// Median returns the middle of xs, and the mean of the two in the middle if their
// number is even. The median of nothing is NaN.
func Median(xs []float64) float64 { return medianOfSorted(slices.Sorted(slices.Values(xs))) }

func medianOfSorted(xs []float64) float64 {
	n := len(xs)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return xs[n/2]
	}
	return xs[n/2-1] + (xs[n/2]-xs[n/2-1])/2
}

func mean(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// normalCDF is P(Z <= z) of a standard normal Z.
func normalCDF(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// normalQuantile is the z with P(Z <= z) = p.
func normalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }
