package stats

import (
	"fmt"
	"math"
)

// Knee returns the index of the point from which latency rises steeply with load:
// of a convex curve that increases, x being the load, ascending, and y the latency. False
// means that the curve has no knee, being about straight.
//
// It is Kneedle's, offline and without smoothing (Satopää, Albrecht, Irwin and Raghavan,
// Finding a "Kneedle" in a Haystack, 2011): both axes are scaled to 0..1, and the knee is
// the point furthest below the diagonal. It has to be at least 0.1 below. As every
// knee it depends on the range that was measured: a point far into overload moves it up, so
// leave out those that diverged.
func Knee(x, y []float64) (int, bool, error) {
	if len(x) != len(y) || len(x) < 3 {
		return 0, false, fmt.Errorf("stats: a knee: expected 3 or more points, got %d loads and %d latencies", len(x), len(y))
	}
	if err := known("x", x); err != nil {
		return 0, false, err
	}
	if err := known("y", y); err != nil {
		return 0, false, err
	}
	low, high := math.Inf(1), math.Inf(-1)
	for i := range x {
		if i > 0 && x[i] <= x[i-1] {
			return 0, false, fmt.Errorf("stats: x[%d]: expected more than %v, got %v", i, x[i-1], x[i])
		}
		low, high = min(low, y[i]), max(high, y[i])
	}
	if high == low {
		return 0, false, nil
	}
	knee, far := 0, 0.1
	for i := range x {
		below := (x[i]-x[0])/(x[len(x)-1]-x[0]) - (y[i]-low)/(high-low)
		if below > far {
			knee, far = i, below
		}
	}
	return knee, far > 0.1, nil
}
