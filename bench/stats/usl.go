package stats

import (
	"fmt"
	"math"
)

// A Point is a throughput, in calls per second, at a number of callers or workers.
type Point struct {
	N float64 `json:"n"`
	X float64 `json:"x"`
}

// A USL is the Universal Scalability Law fitted to measured throughputs:
//
//	X(N) = Lambda N / (1 + Sigma (N-1) + Kappa N (N-1))
//
// (Gunther, A Simple Capacity Model of Massively Parallel Transaction Systems, 1993,
// and Guerrilla Capacity Planning, 2007).
type USL struct {
	Lambda float64 `json:"lambda_per_s"` // throughput of one, in calls per second
	Sigma  float64 `json:"sigma"`        // contention: the share that only one can do at a time
	Kappa  float64 `json:"kappa"`        // coherence: what each pair costs

	// Residuals are X minus the law's throughput, of each point in the order
	// given, and R2 is the share of the variance of X that the law explains.
	Residuals []float64 `json:"residuals_per_s"`
	R2        float64   `json:"r2"`

	// PeakN is where the throughput is greatest, sqrt((1-Sigma)/Kappa), and PeakX how
	// great it is there. If it never falls PeakN is 0, and PeakX is its limit,
	// Lambda/Sigma, or 0 if it has none.
	PeakN float64 `json:"peak_n"`
	PeakX float64 `json:"peak_per_s"`
}

// At returns the law's throughput at n.
func (u USL) At(n float64) float64 {
	return u.Lambda * n / (1 + u.Sigma*(n-1) + u.Kappa*n*(n-1))
}

// FitUSL fits the law to points by least squares of the throughput, with Sigma from 0 to 1
// and Kappa not below 0. It needs four different N of 1 or more, as three parameters fit three
// points of any shape exactly. A fit that is off by more than a fifth of the throughput is none,
// as of points that are measured on a busy machine, and what is wrong is the error.
//
// With a = 1/Lambda, b = Sigma/Lambda and c = Kappa/Lambda the law is N/X = a + b(N-1) + cN(N-1),
// which is linear and gives the start of a Levenberg-Marquardt search. Where that leaves
// what is allowed, a parameter is 0 and the others are fitted again.
func FitUSL(points []Point) (USL, error) {
	different := map[float64]bool{}
	for i, p := range points {
		if !(p.N >= 1) || math.IsInf(p.N, 0) || !(p.X > 0) || math.IsInf(p.X, 0) {
			return USL{}, fmt.Errorf("stats: points[%d]: expected N of 1 or more and X above 0, got %+v", i, p)
		}
		different[p.N] = true
	}
	if len(different) < 4 {
		return USL{}, fmt.Errorf("stats: points: expected at least 4 different N, got %d", len(different))
	}
	// The minimum within bounds is the best of those on each set of bounds.
	var best [3]float64
	least := math.Inf(1)
	for _, b := range []struct {
		free   []int
		serial bool
	}{{[]int{0, 1, 2}, false}, {[]int{0, 1}, false}, {[]int{0, 2}, false}, {[]int{0}, false}, {[]int{0, 2}, true}, {[]int{0}, true}} {
		fit, ok := fitUSL(points, b.free, b.serial)
		if !ok {
			continue
		}
		if sum := squaresUSL(points, fit); sum < least {
			best, least = fit, sum
		}
	}
	if math.IsInf(least, 1) {
		return USL{}, fmt.Errorf("stats: no law fits the points %v", points)
	}
	u := USL{Lambda: 1 / best[0], Sigma: best[1] / best[0], Kappa: best[2] / best[0]}
	u.rate(points)
	var all float64
	for _, p := range points {
		all += p.X
	}
	n := float64(len(points))
	if off := math.Sqrt(least/n) / (all / n); off > mostOff {
		return USL{}, fmt.Errorf("stats: the law does not fit: it is off by %.0f %% of the throughput", 100*off)
	}
	return u, nil
}

// mostOff is by how much of the mean throughput a law may be off, as a root mean square.
const mostOff = 0.2

// rate fills in what follows from the parameters.
func (u *USL) rate(points []Point) {
	xs := make([]float64, len(points))
	u.Residuals = make([]float64, len(points))
	for i, p := range points {
		xs[i] = p.X
		u.Residuals[i] = p.X - u.At(p.N)
	}
	var left, all float64
	middle := mean(xs)
	for i, x := range xs {
		left += u.Residuals[i] * u.Residuals[i]
		all += (x - middle) * (x - middle)
	}
	if all > 0 {
		u.R2 = 1 - left/all
	}
	switch {
	case u.Sigma >= 1:
		u.PeakN, u.PeakX = 1, u.Lambda
	case u.Kappa > 0:
		u.PeakN = max(1, math.Sqrt((1-u.Sigma)/u.Kappa))
		u.PeakX = u.At(u.PeakN)
	case u.Sigma > 0:
		u.PeakX = u.Lambda / u.Sigma
	}
}

// terms are the factors of a, b and c at n. In a serial law b is a, so that Sigma is 1,
// and the factors of both are a's.
func terms(n float64, serial bool) [3]float64 {
	if serial {
		return [3]float64{n, 0, n * (n - 1)}
	}
	return [3]float64{1, n - 1, n * (n - 1)}
}

func denominator(n float64, abc [3]float64) float64 {
	t := terms(n, false)
	return abc[0]*t[0] + abc[1]*t[1] + abc[2]*t[2]
}

func squaresUSL(points []Point, abc [3]float64) float64 {
	var sum float64
	for _, p := range points {
		r := p.X - p.N/denominator(p.N, abc)
		sum += r * r
	}
	return sum
}

// fitUSL searches the free ones of a, b and c; the others are 0, or b is a in a serial
// law. It is false if the minimum is not where a > 0, a >= b >= 0 and c >= 0.
func fitUSL(points []Point, free []int, serial bool) ([3]float64, bool) {
	var abc [3]float64
	allowed := func(v [3]float64) bool { return v[0] > 0 && v[1] >= 0 && v[1] <= v[0] && v[2] >= 0 }
	whole := func(v [3]float64) [3]float64 {
		if serial {
			v[1] = v[0]
		}
		return v
	}
	// N/X is as exact as X, weighted by X^2/N: what makes residuals those of X.
	solve := func(row func(p Point) ([3]float64, float64), damping float64) ([3]float64, bool) {
		return leastSquares(points, free, row, damping)
	}
	start, ok := solve(func(p Point) ([3]float64, float64) {
		w := p.X * p.X / p.N
		t := terms(p.N, serial)
		return [3]float64{w * t[0], w * t[1], w * t[2]}, w * p.N / p.X
	}, 0)
	if !ok {
		return abc, false
	}
	if !allowed(whole(start)) {
		// Somewhere inside, so that every point has a throughput.
		start = [3]float64{}
		for _, p := range points {
			start[0] = max(start[0], 1/p.X)
		}
	}
	abc = start
	sum, damping := squaresUSL(points, whole(abc)), 1e-3
	for range 500 {
		step, ok := solve(func(p Point) ([3]float64, float64) {
			d := denominator(p.N, whole(abc))
			t := terms(p.N, serial)
			k := -p.N / (d * d) // dX/d(abc)
			return [3]float64{k * t[0], k * t[1], k * t[2]}, p.X - p.N/d
		}, damping)
		if !ok {
			break
		}
		next := [3]float64{abc[0] + step[0], abc[1] + step[1], abc[2] + step[2]}
		for _, i := range free[1:] {
			next[i] = max(0, next[i])
		}
		nextSum := squaresUSL(points, whole(next))
		if next[0] <= 0 || !(nextSum < sum) {
			damping *= 10
			if damping > 1e12 {
				break
			}
			continue
		}
		abc, damping = next, damping/10
		settled := sum-nextSum <= 1e-14*sum
		sum = nextSum
		if settled {
			break
		}
	}
	abc = whole(abc)
	return abc, allowed(abc)
}

// leastSquares solves for the free parameters by the normal equations, whose diagonal is
// made greater by the damping.
func leastSquares(points []Point, free []int, row func(Point) ([3]float64, float64), damping float64) ([3]float64, bool) {
	var m [3][4]float64
	for _, p := range points {
		r, y := row(p)
		for i, fi := range free {
			for j, fj := range free {
				m[i][j] += r[fi] * r[fj]
			}
			m[i][3] += r[fi] * y
		}
	}
	n := len(free)
	for i := range n {
		m[i][i] *= 1 + damping
	}
	// Elimination; the matrix is positive, so the diagonal will do as pivots, once
	// its rows and columns are of one size.
	var scale [3]float64
	for i := range n {
		if !(m[i][i] > 0) {
			return [3]float64{}, false
		}
		scale[i] = 1 / math.Sqrt(m[i][i])
	}
	for i := range n {
		for j := range n {
			m[i][j] *= scale[i] * scale[j]
		}
		m[i][3] *= scale[i]
	}
	for i := range n {
		if !(m[i][i] > 1e-14) {
			return [3]float64{}, false
		}
		for k := i + 1; k < n; k++ {
			f := m[k][i] / m[i][i]
			for j := i; j < 4; j++ {
				m[k][j] -= f * m[i][j]
			}
		}
	}
	var out [3]float64
	for i := n - 1; i >= 0; i-- {
		v := m[i][3]
		for j := i + 1; j < n; j++ {
			v -= m[i][j] * out[free[j]] / scale[j]
		}
		out[free[i]] = v / m[i][i] * scale[i]
	}
	return out, true
}
