package stats

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestDrifting(t *testing.T) {
	rising := make([]float64, 10)
	for i := range rising {
		rising[i] = float64(i + 1)
	}
	d, err := Drifting(rising, 2*time.Second, 0.05)
	// S = 45, its variance 125: z = 44/sqrt(125).
	if err != nil || d.Verdict != DriftingUp || d.Slope != 0.5 || d.First != 3 || d.Second != 8 || d.Change != 5./8 || !near(d.P, 8.3e-5, 1e-6) {
		t.Errorf("1 to 10: %+v, %v", d, err)
	}
	for name, c := range map[string]struct {
		f    func(i float64) float64
		want Verdict
	}{
		"constant":           {func(float64) float64 { return 5 }, Stationary},
		"zero":               {func(float64) float64 { return 0 }, Stationary},
		"falling":            {func(i float64) float64 { return 100 - i }, DriftingDown},
		"a step":             {func(i float64) float64 { return 100 + 50*math.Floor(i/30) + math.Mod(i*7, 11) }, DriftingUp},
		"up and down":        {func(i float64) float64 { return 100 + 20*math.Sin(i*math.Pi/10) }, Stationary},
		"too little":         {func(i float64) float64 { return 1000 + i/2 }, Stationary},
		"a spike":            {func(i float64) float64 { return 100 + math.Mod(i*7, 11) + 1000*max(0, 1-math.Abs(i-50)) }, Stationary},
		"from below nothing": {func(i float64) float64 { return i - 30 }, DriftingUp},
	} {
		xs := make([]float64, 60)
		for i := range xs {
			xs[i] = c.f(float64(i))
		}
		if d, err := Drifting(xs, time.Second, 0.05); err != nil || d.Verdict != c.want {
			t.Errorf("%s: %+v, %v; expected %s", name, d, err, c.want)
		}
	}
	if d, err := Drifting(rising[:9], time.Second, 0.05); err != nil || d.Verdict != TooShort {
		t.Errorf("9 figures: %+v, %v", d, err)
	}
	for want, f := range map[string]func() error{
		"every: expected more than 0, got 0s":       func() error { _, err := Drifting(rising, 0, 0); return err },
		"tolerance: expected 0 or more, got -1":     func() error { _, err := Drifting(rising, 1, -1); return err },
		"xs[0]: expected a finite number, got NaN":  func() error { _, err := Drifting([]float64{math.NaN()}, 1, 0); return err },
		"tolerance: expected 0 or more, got NaN":    func() error { _, err := Drifting(rising, 1, math.NaN()); return err },
		"every: expected more than 0, got -1ns":     func() error { _, err := Drifting(rising, -1, 0); return err },
		"xs[1]: expected a finite number, got -Inf": func() error { _, err := Drifting([]float64{1, math.Inf(-1)}, 1, 0); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}

// A series that remembers is rarely said to drift, and one that drifts nearly always.
func TestDriftingOfNoise(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		n             int
		memory, drift float64
		least, most   float64
	}{
		{10, 0, 0, 0, 0.04},
		{60, 0, 0, 0, 0.04},
		{60, 0.5, 0, 0, 0.08},
		{60, 0.8, 0, 0, 0.15}, // about 6 independent figures remain
		{600, 0.8, 0, 0, 0.1},
		{30, 0, 0.3, 0.8, 1},
		{60, 0.5, 0.5, 0.9, 1},
		{3600, 0, -0.3, 0.99, 1},
	} {
		runs := 400
		if c.n > 100 {
			runs = 40
		}
		drifts := 0
		for range runs {
			xs, last := make([]float64, c.n), rng.NormFloat64()
			for i := range xs {
				last = c.memory*last + math.Sqrt(1-c.memory*c.memory)*rng.NormFloat64()
				xs[i] = 100 + 10*last + 100*c.drift*float64(i)/float64(c.n)
			}
			d, err := Drifting(xs, time.Second, 0.01)
			if err != nil {
				t.Fatal(err)
			}
			if d.Verdict != Stationary {
				drifts++
			}
			if c.drift != 0 && (d.Slope > 0) != (c.drift > 0) {
				t.Errorf("seed %d: %+v: %+v", seed, c, d)
			}
		}
		if share := float64(drifts) / float64(runs); share < c.least || share > c.most {
			t.Errorf("seed %d: %+v: %v of the runs drift", seed, c, share)
		}
	}
}
