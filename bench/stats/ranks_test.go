package stats

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The permeability of human chorioamnion, Hollander and Wolfe, table 4.1.
var (
	atTerm = []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	early  = []float64{1.15, 0.88, 0.90, 0.74, 1.21}
)

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func TestMannWhitney(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []float64
		u, p float64
	}{
		{"one each", []float64{1}, []float64{2}, 1, 1},
		{"three apart", []float64{1, 2, 3}, []float64{4, 5, 6}, 9, 0.1},
		{"four apart, reversed", []float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, 0, 2. / 70},
		{"critical at 5 %", []float64{1, 2, 3, 5, 6}, []float64{4, 7, 8, 9, 10}, 23, 8. / 252},
		{"book", early, atTerm, 35, 2 * 0.1272},
		{"all equal", []float64{7, 7, 7}, []float64{7, 7}, 3, 1},
		{"a tie", []float64{1, 2}, []float64{2, 3}, 3.5, 2. / 3},
	} {
		got, err := MannWhitney(c.a, c.b)
		if err != nil || !got.Exact || got.U != c.u || !near(got.P, c.p, 1e-4) {
			t.Errorf("%s: %+v, %v; expected U %v, p %v", c.name, got, err, c.u, c.p)
		}
		if want := c.u / float64(len(c.a)*len(c.b)); got.Superiority != want {
			t.Errorf("%s: superiority %v, expected %v", c.name, got.Superiority, want)
		}
	}
}

// Every way of dealing the values out is counted, with ties too.
func TestMannWhitneyAgainstEnumeration(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		m, n := 1+rng.IntN(5), 1+rng.IntN(5)
		values := 2 + rng.IntN(20)
		all := make([]float64, m+n)
		for i := range all {
			all[i] = float64(rng.IntN(values))
		}
		u := func(inB uint) (u float64) {
			for i, x := range all {
				for j, y := range all {
					if inB>>i&1 == 0 && inB>>j&1 == 1 {
						switch {
						case y > x:
							u++
						case y == x:
							u += 0.5
						}
					}
				}
			}
			return u
		}
		dealt := uint(1)<<(m+n) - uint(1)<<m // b is the last n
		middle := float64(m*n) / 2
		var extreme, ways float64
		for set := range uint(1) << (m + n) {
			if bits.OnesCount(set) != n {
				continue
			}
			ways++
			if math.Abs(u(set)-middle) >= math.Abs(u(dealt)-middle) {
				extreme++
			}
		}
		got, err := MannWhitney(all[:m], all[m:])
		if err != nil || got.U != u(dealt) || !near(got.P, extreme/ways, 1e-12) {
			t.Errorf("seed %d: %v against %v: %+v, %v; expected U %v, p %v", seed, all[:m], all[m:], got, err, u(dealt), extreme/ways)
		}
	}
}

// Just beyond the exact ones the normal distribution agrees with counting.
func TestMannWhitneyOfMany(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, round := range []float64{0, 5} { // 5: many ties
		a, b := make([]float64, 24), make([]float64, 30)
		for i := range a {
			a[i] = rng.NormFloat64()
		}
		for i := range b {
			b[i] = rng.NormFloat64() + 0.5
		}
		if round > 0 {
			for _, xs := range [][]float64{a, b} {
				for i := range xs {
					xs[i] = math.Round(xs[i] * round / 2)
				}
			}
		}
		got, err := MannWhitney(a, b)
		if err != nil || got.Exact {
			t.Fatalf("%+v, %v", got, err)
		}
		ranks, _ := doubledRanks(slices.Concat(a, b))
		var extreme, total float64
		for s, ways := range sumsOfRanks(ranks, len(b)) {
			total += ways
			if math.Abs(float64(s)/2-float64(len(b)*(len(b)+1))/2-360) >= math.Abs(got.U-360) {
				extreme += ways
			}
		}
		if !near(got.P, extreme/total, 0.005) {
			t.Errorf("seed %d, rounded %v: p %v, counted %v", seed, round, got.P, extreme/total)
		}
	}
	same := make([]float64, 40)
	if got, err := MannWhitney(same, same); err != nil || got.P != 1 || got.Superiority != 0.5 {
		t.Errorf("80 equal values: %+v, %v", got, err)
	}
}

func TestHodgesLehmann(t *testing.T) {
	got, err := HodgesLehmann(early, atTerm, 0.95)
	if err != nil || !near(got.Estimate, 0.305, 1e-9) || !near(got.Low, -0.15, 1e-9) || !near(got.High, 0.76, 1e-9) || !near(got.Confidence, 0.96, 0.003) {
		t.Errorf("%+v, %v; expected 0.305, from -0.15 to 0.76 at 96 %%", got, err)
	}
	got, err = HodgesLehmann([]float64{1, 2, 3}, []float64{11, 12, 13}, 0.95)
	if err != nil || got.Estimate != 10 || !math.IsInf(got.Low, -1) || !math.IsInf(got.High, 1) || got.Confidence != 1 {
		t.Errorf("3 against 3: %+v, %v; expected 10 without bounds", got, err)
	}
	got, err = HodgesLehmann([]float64{1, 2, 3}, []float64{11, 12, 13}, 0.9)
	if err != nil || got.Low != 8 || got.High != 12 || !near(got.Confidence, 0.9, 1e-12) {
		t.Errorf("3 against 3 at 90 %%: %+v, %v; expected 8 to 12", got, err)
	}
}

// The interval holds the true shift as often as it says, of few samples and of many.
func TestHodgesLehmannHolds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, size := range [][2]int{{5, 7}, {10, 10}, {30, 28}} {
		const runs = 2000
		held, confidence := 0, 0.0
		for range runs {
			a, b := make([]float64, size[0]), make([]float64, size[1])
			for i := range a {
				a[i] = rng.ExpFloat64()
			}
			for i := range b {
				b[i] = rng.ExpFloat64() + 3
			}
			s, err := HodgesLehmann(a, b, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			if s.Low <= 3 && 3 <= s.High {
				held++
			}
			confidence = s.Confidence
		}
		if share := float64(held) / runs; !near(share, confidence, 0.025) || confidence < 0.95 || confidence > 0.98 {
			t.Errorf("seed %d: %v: held in %v of the runs, said %v", seed, size, share, confidence)
		}
	}
}

func TestMedianRatio(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	const runs = 400
	held := 0
	for range runs {
		a, b := make([]float64, 41), make([]float64, 31)
		for i := range a {
			a[i] = math.Exp(rng.NormFloat64() / 4)
		}
		for i := range b {
			b[i] = 2 * math.Exp(rng.NormFloat64()/4)
		}
		r, err := MedianRatio(a, b, 0.95, 400, rng.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		if want := Median(b) / Median(a); r.Estimate != want || r.Low > want || r.High < want {
			t.Fatalf("seed %d: %+v, expected an estimate of %v", seed, r, want)
		}
		if r.Low <= 2 && 2 <= r.High {
			held++
		}
	}
	if share := float64(held) / runs; share < 0.89 || share > 0.99 {
		t.Errorf("seed %d: held in %v of the runs, expected about 0.95", seed, share)
	}
	x, _ := MedianRatio(atTerm, early, 0.9, 1000, 7)
	y, _ := MedianRatio(atTerm, early, 0.9, 1000, 7)
	if x != y {
		t.Errorf("%+v and %+v of one seed", x, y)
	}
}

func TestSamplesThatAreNone(t *testing.T) {
	one, nan, inf := []float64{1}, []float64{math.NaN()}, []float64{1, math.Inf(1)}
	for name, c := range map[string]struct {
		want string
		err  func() error
	}{
		"empty": {"expected samples on both sides, got 0 and 1", func() error { _, err := MannWhitney(nil, one); return err }},
		"nan":   {"a[0]: expected a finite number, got NaN", func() error { _, err := MannWhitney(nan, one); return err }},
		"inf":   {"b[1]: expected a finite number, got +Inf", func() error { _, err := HodgesLehmann(one, inf, 0.9); return err }},
		"sure":  {"confidence: expected a number between 0 and 1, got 1", func() error { _, err := HodgesLehmann(one, one, 1); return err }},
		"zero":  {"expected positive numbers, got 0", func() error { _, err := MedianRatio([]float64{0}, one, 0.9, 100, 0); return err }},
		"few":   {"resamples: expected 100 or more, got 99", func() error { _, err := MedianRatio(one, one, 0.9, 99, 0); return err }},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", name, err, c.want)
		}
	}
}
