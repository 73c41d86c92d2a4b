package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// the first n times of a schedule
func first(m Model, seed uint64, n int) []time.Duration {
	var times []time.Duration
	for at := range m.Times(seed) {
		if times = append(times, at); len(times) == n {
			break
		}
	}
	return times
}

func TestProfiles(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		text  string
		calls map[time.Duration]float64
		when  map[float64]time.Duration
	}{
		{"constant:1000", map[time.Duration]float64{0: 0, ms: 1, s: 1000, 1000 * s: 1e6},
			map[float64]time.Duration{-1: 0, 0: 0, 1: ms, 0.5: ms / 2, 1e9: 1e6 * s}},
		{"constant:0.1", map[time.Duration]float64{s: 0.1, 100 * s: 10}, map[float64]time.Duration{1: 10 * s}},
		{"ramp:100..300/10s", map[time.Duration]float64{0: 0, 5 * s: 750, 10 * s: 2000, 20 * s: 5000},
			map[float64]time.Duration{0: 0, 750: 5 * s, 2000: 10 * s, 2300: 11 * s}},
		{"ramp:0..200/10s", map[time.Duration]float64{5 * s: 250}, map[float64]time.Duration{0: 0, 250: 5 * s, 10: s}},
		{"ramp:200..0/10s", map[time.Duration]float64{5 * s: 750, 10 * s: 1000, 20 * s: 1000}, map[float64]time.Duration{750: 5 * s, 1000: -1}},
		// A step of 100 calls/s for 1 s has exactly 100, the last one before its end.
		{"steps:100,0,200/1s", map[time.Duration]float64{s: 100, 3 * s / 2: 100, 2 * s: 100, 3 * s: 300, 4 * s: 500},
			map[float64]time.Duration{99: 990 * ms, 100: 2 * s, 101: 2*s + 5*ms, 300: 3 * s, 500: 4 * s}},
		{"steps:10,0/1s", map[time.Duration]float64{5 * s: 10}, map[float64]time.Duration{9: 900 * ms, 10: -1}},
		{"burst:10..110/1s/10s", map[time.Duration]float64{9 * s: 90, 10 * s: 200, 15 * s: 250, 20 * s: 400},
			map[float64]time.Duration{90: 9 * s, 145: 9*s + 500*ms, 200: 10 * s, 400: 20 * s, 4000: 200 * s}},
		{"burst:0..100/1s/10s", map[time.Duration]float64{9 * s: 0, 10 * s: 100, 19 * s: 100},
			map[float64]time.Duration{0: 9 * s, 50: 9*s + 500*ms, 100: 19 * s}},
		{"sine:100..300/10s", map[time.Duration]float64{5 * s: 1000, 10 * s: 2000, 15 * s: 3000, 5 * s / 2: 500 - 100*10/(2*math.Pi)},
			map[float64]time.Duration{0: 0, 1000: 5 * s, 2000: 10 * s, 500 - 100*10/(2*math.Pi): 5 * s / 2}},
	} {
		p, err := ParseProfile(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for at, want := range c.calls {
			if got := p.Calls(at); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s: %v calls until %v, expected %v", c.text, got, at, want)
			}
		}
		for n, want := range c.when {
			got, ok := p.When(n)
			if ok != (want >= 0) || ok && (got-want).Abs() > 2 {
				t.Errorf("%s: %v calls at %v, %v; expected %v", c.text, n, got, ok, want)
			}
		}
		if p.String() != c.text {
			t.Errorf("%s is written %s", c.text, p)
		}
	}
}

// When undoes Calls, never goes back, and the sum of the rate is Calls.
func TestProfilesAtRandom(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		a, b := 1+1000*rng.Float64(), 1+1000*rng.Float64()
		span := time.Millisecond + time.Duration(rng.Int64N(int64(10*time.Second)))
		for _, p := range []Profile{
			Constant(a), Ramp(a, b, span), Steps(span, a, b, a), Burst(a, b, span, span+time.Second), Sine(a, b, span), Sine(0, b, span),
		} {
			if err := p.check(); err != nil {
				t.Fatalf("seed %d: %v: %v", seed, p, err)
			}
			before := time.Duration(-1)
			for n := 0.; n < 20_000; n += 1 + 500*rng.Float64() {
				at, ok := p.When(n)
				if !ok || at < before {
					t.Fatalf("seed %d: %v: call %v is at %v, %v, after one at %v", seed, p, n, at, ok, before)
				}
				// A nanosecond at 1,000 calls/s is a millionth of a call.
				if got := p.Calls(at); math.Abs(got-n) > 1e-5 {
					t.Fatalf("seed %d: %v: %v calls at %v, expected %v", seed, p, got, at, n)
				}
				before = at
			}
		}
	}
}

func TestParseModel(t *testing.T) {
	for text, want := range map[string]string{
		"closed":                     "closed loop",
		"closed:10ms":                "closed loop, think time 10ms",
		"constant:1e3":               "constant:1000",
		"poisson:0.5":                "poisson:0.5",
		"poisson:constant:7":         "poisson:7",
		"poisson:ramp:1..2/60s":      "poisson:ramp:1..2/1m",
		"steps:1/2h":                 "steps:1/2h",
		"poisson:steps:1,2/1h30m":    "poisson:steps:1,2/1h30m",
		"burst:1..2/1s/1m1s":         "burst:1..2/1s/1m1s",
		"sine:5..1000000000/100h10s": "sine:5..1000000000/100h0m10s",
	} {
		m, err := ParseModel(text)
		if err != nil || m.String() != want {
			t.Errorf("%s is %v, %v; expected %s", text, m, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                            "expected one of closed, poisson, constant, ramp, steps, burst, sine",
		"1000":                        "expected one of closed",
		"closed:":                     "expected a think time such as closed:10ms",
		"closed:-1s":                  "expected a think time",
		"constant":                    `expected a rate of 0 to 1000000000 calls per second, got ""`,
		"constant:0":                  "expected a rate of more than 0 at some time, as in constant:1000",
		"constant:NaN":                `got "NaN"`,
		"constant:Inf":                `got "Inf"`,
		"constant:1,2":                `got "1,2"`,
		"constant:1..2":               "rates: expected 1, got 2",
		"constant:1/1s":               "durations, each behind a /: expected 0, got 1",
		"poisson:":                    `got ""`,
		"poisson:poisson:1":           "expected one of",
		"ramp:1..2":                   "durations, each behind a /: expected 1, got 0, as in ramp:100..2000/30s",
		"ramp:100...200/1s":           `expected a rate of 0 to 1000000000 calls per second, got ".200"`,
		"ramp:1..2/30":                `expected a duration of 1ms to 2400h, got "30"`,
		"ramp:1..2/1us":               `got "1us"`,
		"ramp:-1..2/1s":               `got "-1"`,
		"steps:/1s":                   `got ""`,
		"steps:0,0/1s":                "expected a rate of more than 0 at some time",
		"burst:1..2/2s/1s":            "expected bursts that are shorter than their period, got 2s in 1s",
		"sine:0..0/1s":                "expected a rate of more than 0",
		"replay:file":                 "expected one of",
		"ramp:1..2/1s/" + "1s":        "durations, each behind a /: expected 1, got 2",
		"ramp:1..2000000000/1s":       `got "2000000000"`,
		"poisson:steps:1,x/1s":        `load model "steps:1,x/1s": expected a rate of 0 to 1000000000 calls per second, got "x"`,
		"burst:1..2/1s/" + "9999999h": `got "9999999h"`,
	} {
		if m, err := ParseModel(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v; expected %q", text, m, err, want)
		}
	}
}

func FuzzParseModel(f *testing.F) {
	for _, text := range []string{"closed:10ms", "poisson:1e3", "ramp:0..0.001/1ms", "steps:0,1,2/1h", "burst:1..2/1s/10s", "sine:0..1/1m"} {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		m, err := ParseModel(text)
		if err != nil {
			return
		}
		open, ok := m.(OpenLoop)
		if !ok {
			return
		}
		again, err := ParseModel(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q is written %q, which is %v, %v", text, m, again, err)
		}
		times := first(m, seed, 1000)
		if !slices.IsSorted(times) || len(times) > 0 && times[0] < 0 {
			t.Fatalf("%s: %v", m, times)
		}
		if !slices.Equal(times, first(again, seed, 1000)) {
			t.Fatalf("%s: other times the second time", m)
		}
		for _, at := range times {
			if n := open.Profile.Calls(at); math.IsNaN(n) || n < 0 {
				t.Fatalf("%s: %v calls at %v", m, n, at)
			}
		}
	})
}

// Gaps of a Poisson process at a constant rate are exponential, and numbers in
// equal times have their mean for a variance.
func TestPoissonArrivals(t *testing.T) {
	const n = 200_000
	times := first(OpenLoop{Profile: Constant(1000), Arrivals: Poisson}, 7, n)
	gaps := make([]float64, n)
	before := time.Duration(0)
	for i, at := range times {
		gaps[i], before = (at-before).Seconds()*1000, at
	}
	slices.Sort(gaps)
	worst := 0. // Kolmogorov and Smirnov's: above 1.95/sqrt(n) once in 1,000 times
	for i, g := range gaps {
		worst = max(worst, math.Abs(float64(i)/n-(1-math.Exp(-g))))
	}
	if worst > 1.95/math.Sqrt(n) {
		t.Errorf("gaps differ from the exponential distribution by %v, expected at most %v", worst, 1.95/math.Sqrt(n))
	}

	// A swinging rate: its mean in each second, and that variance.
	swing := OpenLoop{Profile: Sine(100, 1900, 10*time.Second), Arrivals: Poisson}
	seconds := make([]float64, 200)
	for _, at := range first(swing, 3, n) {
		if i := int(at / time.Second); i < len(seconds) {
			seconds[i]++
		}
	}
	chi := 0.
	for i, got := range seconds {
		want := swing.Profile.Calls(time.Duration(i+1)*time.Second) - swing.Profile.Calls(time.Duration(i)*time.Second)
		chi += (got - want) * (got - want) / want
	}
	if chi < 140 || chi > 271 { // of 200 degrees of freedom, each side once in 1,000 times and less
		t.Errorf("chi squared of the numbers in each second is %v, expected about 200", chi)
	}
	if slices.Equal(first(swing, 1, 10), first(swing, 2, 10)) {
		t.Error("two seeds give the same times")
	}
}
