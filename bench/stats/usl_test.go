package stats

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// SPEC SDM91 on a Sun, Gunther, Guerrilla Capacity Planning, 5.5.
func TestFitUSLOfTheBook(t *testing.T) {
	u, err := FitUSL([]Point{{1, 64.9}, {18, 995.9}, {36, 1652.4}, {72, 1853.2}, {108, 1828.9}, {144, 1775.0}, {216, 1702.2}})
	if err != nil || !near(u.Lambda, 89.995, 0.01) || !near(u.Sigma, 0.02773, 1e-5) || !near(u.Kappa, 0.0001044, 1e-7) || !near(u.PeakN, 96.52, 0.01) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestFitUSL(t *testing.T) {
	ns := []float64{1, 2, 4, 8, 16, 32, 64}
	for _, c := range []struct{ lambda, sigma, kappa, peakN, peakX float64 }{
		{1000, 0.05, 0.001, math.Sqrt(0.95 / 0.001), -1},
		{1000, 0.05, 0, 0, 20000},
		{1000, 0, 0.0005, math.Sqrt(1 / 0.0005), -1},
		{1000, 0, 0, 0, 0},
		{0.001, 0.9, 0.1, 1, 0.001},
		{1e9, 1, 0.01, 1, 1e9},
	} {
		law := USL{Lambda: c.lambda, Sigma: c.sigma, Kappa: c.kappa}
		if c.peakX < 0 {
			c.peakX = law.At(c.peakN)
		}
		var points []Point
		for _, n := range ns {
			points = append(points, Point{n, law.At(n)})
		}
		u, err := FitUSL(points)
		if err != nil || !near(u.Lambda/c.lambda, 1, 1e-6) || !near(u.Sigma, c.sigma, 1e-6) || !near(u.Kappa, c.kappa, 1e-6) || !near(u.R2, 1, 1e-9) {
			t.Errorf("%+v: %+v, %v", c, u, err)
			continue
		}
		// What is hardly above 0 has a peak far away.
		if c.peakN == 0 && u.PeakN > 0 && u.PeakN < 1e5 || c.peakN > 0 && !near(u.PeakN/c.peakN, 1, 1e-4) {
			t.Errorf("%+v: peak at %v", c, u.PeakN)
		}
		if c.peakN > 0 && !near(u.PeakX/c.peakX, 1, 1e-4) {
			t.Errorf("%+v: peak of %v", c, u.PeakX)
		}
		for i, r := range u.Residuals {
			if !near(r, 0, points[i].X*1e-6) {
				t.Errorf("%+v: residual %v at %v", c, r, points[i])
			}
		}
	}
}

// With noise the fit is near the truth, never outside what is allowed, and no
// neighbour of it is better.
func TestFitUSLOfNoise(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		law := USL{Lambda: 100 * math.Exp(rng.NormFloat64()), Sigma: max(0, rng.Float64()*0.3-0.1), Kappa: max(0, rng.Float64()*0.004-0.001)}
		var points []Point
		for n := 1.; n <= 100; n *= 1.5 {
			points = append(points, Point{math.Round(n), law.At(math.Round(n)) * (1 + 0.03*rng.NormFloat64())})
		}
		u, err := FitUSL(points)
		if err != nil || u.Sigma < 0 || u.Kappa < 0 || u.Lambda <= 0 {
			t.Fatalf("seed %d: %+v: %+v, %v", seed, law, u, err)
		}
		for _, n := range []float64{4, 20, 80} {
			if !near(u.At(n)/law.At(n), 1, 0.15) {
				t.Errorf("seed %d: %+v: %v at %v, expected %v", seed, law, u.At(n), n, law.At(n))
			}
		}
		squares := func(u USL) (sum float64) {
			for _, p := range points {
				sum += (p.X - u.At(p.N)) * (p.X - u.At(p.N))
			}
			return sum
		}
		least := squares(u)
		for range 30 {
			v := USL{
				Lambda: u.Lambda * (1 + 0.01*rng.NormFloat64()),
				Sigma:  max(0, u.Sigma+0.01*rng.NormFloat64()),
				Kappa:  max(0, u.Kappa+0.0003*rng.NormFloat64()),
			}
			if squares(v) < least*(1-1e-9) {
				t.Errorf("seed %d: %+v is better than %+v for %v", seed, v, u, points)
			}
		}
	}
}

func TestFitUSLOfNothing(t *testing.T) {
	for want, points := range map[string][]Point{
		"expected at least 4 different N, got 0":        nil,
		"expected at least 4 different N, got 2":        {{1, 1}, {1, 2}, {2, 3}, {2, 4}, {1, 5}},
		"points[1]: expected N of 1 or more":            {{1, 1}, {0, 2}, {2, 3}, {4, 4}},
		"points[0]: expected N of 1 or more and X abov": {{1, 0}, {2, 2}, {3, 3}, {4, 4}},
		"got {N:1 X:NaN}":                               {{1, math.NaN()}, {2, 2}, {3, 3}, {4, 4}},
		"got {N:+Inf X:1}":                              {{math.Inf(1), 1}, {2, 2}, {3, 3}, {4, 4}},
	} {
		if _, err := FitUSL(points); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	// What no law explains, as measured on a busy machine: its contention would be 198 %.
	if u, err := FitUSL([]Point{{1, 38994}, {4, 20886}, {16, 13503}, {64, 30010}, {256, 17608}}); err == nil || !strings.Contains(err.Error(), "the law does not fit: it is off by 36 % of the throughput") {
		t.Errorf("%+v, %v", u, err)
	}
	// A throughput that does not depend on N, about so, and one that only falls.
	for _, points := range [][]Point{{{1, 5}, {2, 5}, {3, 5}, {4, 5}}, {{1, 5.1}, {2, 4.9}, {4, 4.8}, {8, 5}}, {{1, 9}, {2, 5}, {3, 2}, {4, 1}}} {
		u, err := FitUSL(points)
		if err != nil || u.Sigma > 1 || !near(u.PeakX, u.At(1), 1e-9) {
			t.Errorf("%v: %+v, %v; expected no more than at 1", points, u, err)
		}
	}
}
