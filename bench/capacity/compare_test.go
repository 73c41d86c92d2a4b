package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/bench"
)

// runs are n whose throughput and times are those of a by a factor, with noise of a share.
func runs(rng *rand.Rand, n int, factor, noise float64) []*bench.Result {
	var all []*bench.Result
	for range n {
		f := func(v float64) float64 { return v * math.Exp(noise*rng.NormFloat64()) }
		us := func(v float64) *float64 {
			v = f(v) * factor
			return &v
		}
		all = append(all, &bench.Result{
			Model: "constant", OpenLoop: true, MaxInFlight: 1000, Instances: 1, DurationS: 10,
			Warmup: bench.Warmup{DurationS: 1}, Calls: 10_000, Throughput: f(1000) / factor,
			Latency: bench.Latency{P50: us(1000), P95: us(3000), P99: us(8000)},
			Verdict: bench.Verdict{State: bench.Valid},
		})
	}
	return all
}

func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		name      string
		factor    float64
		noise     float64
		judgement Judgement // of throughput and times
	}{
		{"20 % slower", 1.2, 0.01, Worse},
		{"20 % faster", 0.8, 0.01, Better},
		{"the same", 1, 0.01, NoDifference},
		{"a little, but it does not matter", 1.005, 0.0001, NoDifference},
	} {
		a := Side{Name: "old", Settings: map[string]any{"payload_bytes": 100}, Runs: runs(rng, 6, 1, c.noise)}
		b := Side{Name: "new", Settings: map[string]any{"payload_bytes": 100}, Runs: runs(rng, 6, c.factor, c.noise)}
		got, err := Compare(a, b, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Metrics) != 5 || got.A != "old" || got.RunsB != 6 {
			t.Errorf("%s: %+v", c.name, got)
		}
		for _, x := range got.Metrics {
			want, effect := c.judgement, c.factor-1
			switch x.Metric {
			case Errors:
				want, effect = NoDifference, 0
			case Throughput:
				effect = 1/c.factor - 1
			}
			if x.Judgement != want || x.EffectLow == nil || x.EffectHigh == nil || math.Abs(*x.Effect-effect) > 5*c.noise || *x.EffectLow > *x.Effect || *x.EffectHigh < *x.Effect {
				t.Errorf("%s: %+v; expected %s by %v", c.name, x, want, effect)
			}
		}
		if got.Is(Worse) != (c.judgement == Worse) || got.Is(Better) != (c.judgement == Better) {
			t.Errorf("%s: is worse %v, better %v", c.name, got.Is(Worse), got.Is(Better))
		}
	}
}

func TestCompareText(t *testing.T) {
	a, b := Side{Name: "A"}, Side{Name: "B"}
	for i := range 6 {
		for side, f := range map[*Side]float64{&a: 1, &b: 1.1} {
			us := f * 1000 * (1 + float64(i)/1000)
			r := &bench.Result{Calls: 98, DurationS: 1, Throughput: 100, Latency: bench.Latency{P50: &us}}
			if f > 1 {
				r.Errors = 2 + int64(i)
			}
			side.Runs = append(side.Runs, r)
		}
	}
	got, err := Compare(a, b, CompareOptions{Metrics: []Metric{P50, Errors, Throughput, P99}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p50: 1.00ms -> 1.10ms: +10 % (95 % CI +9.56 to +10.4, p=0.0065)",
		"errors: 0 % -> 4.4 %: +4.39 percentage points (95 % CI +2 to +6.67, p=0.0065)",
		"throughput: 100/s -> 100/s: +0 % (95 % CI +0 to +0, p=1)",
		"p99: unknown: 12 of 12 runs do not have it, as they have too few calls",
	}
	for i, x := range got.Metrics {
		if x.Text != want[i] || x.Judgement != []Judgement{Worse, Worse, NoDifference, Unknown}[i] {
			t.Errorf("%s: %s, %q; expected %q", x.Metric, x.Judgement, x.Text, want[i])
		}
	}
}

// Times of a run in which calls piled up are worse than any that end.
func TestCompareWhatPilesUp(t *testing.T) {
	for _, c := range []struct {
		a, b      int // runs of 6 in which calls pile up
		judgement Judgement
		text      string
	}{
		{0, 6, Worse, "p99: 8.00ms -> calls pile up (p=0.0022)"},
		{6, 0, Better, "p99: calls pile up -> 8.00ms (p=0.0022)"},
		{0, 5, Worse, "p99: 8.00ms -> calls pile up (p=0.015)"},
		{0, 1, NoDifference, "p99: 8.00ms -> 8.00ms: +0 % (95 % CI +0 to more, p=1)"},
		{6, 6, Unknown, "p99: unknown: calls piled up in every run of both"},
	} {
		sides := [2]Side{{Name: "A"}, {Name: "B"}}
		for i, piled := range []int{c.a, c.b} {
			sides[i].Runs = runs(rand.New(rand.NewPCG(1, 1)), 6, 1, 0)
			for _, r := range sides[i].Runs[:piled] {
				r.Verdict.State, r.Latency = bench.Diverging, bench.Latency{}
			}
		}
		got, err := Compare(sides[0], sides[1], CompareOptions{Metrics: []Metric{P99}})
		if err != nil {
			t.Fatal(err)
		}
		if x := got.Metrics[0]; x.Judgement != c.judgement || x.Text != c.text {
			t.Errorf("%d and %d: %s, %q; expected %s, %q", c.a, c.b, x.Judgement, x.Text, c.judgement, c.text)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err) // an endless number
		}
	}
}

// 0.9 % of errors in all runs against none is worse, and 0.05 % is certain but does not matter.
func TestCompareErrors(t *testing.T) {
	for errors, want := range map[int64]string{
		90: "errors: 0 % -> 0.9 %: +0.9 percentage points (95 % CI +0.9 to +0.9, p=0.0022)",
		5:  "errors: 0 % -> 0.05 %: +0.05 percentage points (95 % CI +0.05 to +0.05, p=0.0022); the minimum effect is 0.1 percentage points",
	} {
		a, b := Side{Runs: runs(rand.New(rand.NewPCG(1, 1)), 6, 1, 0)}, Side{Runs: runs(rand.New(rand.NewPCG(1, 1)), 6, 1, 0)}
		for _, r := range b.Runs {
			r.Calls, r.Errors = 10_000-errors, errors
		}
		got, err := Compare(a, b, CompareOptions{Metrics: []Metric{Errors}})
		if err != nil || got.Metrics[0].Text != want || got.Is(Worse) != (errors == 90) {
			t.Errorf("got %q, %v; expected %q", got.Metrics[0].Text, err, want)
		}
	}
}

func TestTookTurns(t *testing.T) {
	for order, want := range map[string]bool{"ABBAABBA": true, "ABABAB": true, "BAABBA": true, "AAABBB": false, "BBBAAA": false, "ABABBBAA": false, "ABABAAA": true, "AB": true} {
		a, b := Side{Name: "A"}, Side{Name: "B"}
		for i, name := range order {
			r := &bench.Result{StartedAt: time.Unix(int64(i), 0)}
			if name == 'A' {
				a.Runs = append(a.Runs, r)
			} else {
				b.Runs = append(b.Runs, r)
			}
		}
		if got := Incomplete(a, b, "why"); got.Interleaved != want || len(got.Runs) != len(order) || got.Runs[1].Side != order[1:2] || got.StopReason != "why" {
			t.Errorf("%s: took turns %v, runs %+v", order, got.Interleaved, got.Runs)
		}
		a.Runs[0].StartedAt = time.Time{}
		if Incomplete(a, b, "").Interleaved {
			t.Errorf("%s without a time took turns", order)
		}
	}
}

// One report that is there twice is one run.
func TestCompareCountsARunOnce(t *testing.T) {
	a, b := Side{Name: "A"}, Side{Name: "B"}
	for i := range 5 {
		for _, s := range []*Side{&a, &b} {
			r := runs(rand.New(rand.NewPCG(1, 1)), 1, 1, 0)[0]
			r.StartedAt = time.Unix(int64(10*i+len(s.Name)), int64(len(a.Runs)))
			s.Runs = append(s.Runs, r)
		}
	}
	if _, err := Compare(a, b, CompareOptions{}); err != nil {
		t.Fatal(err)
	}
	copied := *a.Runs[0]
	for _, to := range []**bench.Result{&a.Runs[3], &b.Runs[3]} {
		was := *to
		*to = &copied
		if _, err := Compare(a, b, CompareOptions{}); err == nil || !strings.Contains(err.Error(), "are one run, which counts once") {
			t.Errorf("got %v", err)
		}
		*to = was
	}
}

// All verdicts together are wrong in no more than 5 % of the comparisons of equal sides.
func TestCompareOfEquals(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	const times = 1000
	wrong := 0
	for range times {
		c, err := Compare(Side{Runs: runs(rng, 6, 1, 0.1)}, Side{Runs: runs(rng, 6, 1, 0.1)}, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Is(Better) || c.Is(Worse) {
			wrong++
		}
	}
	if wrong > times*8/100 {
		t.Errorf("seed %d: %d of %d", seed, wrong, times)
	}
}

func TestHolm(t *testing.T) {
	xs := []MetricComparison{{PValue: 0.01}, {PValue: 0.04}, {PValue: math.NaN()}, {PValue: 0.03}, {PValue: 0.005}}
	holm(xs)
	for i, want := range []float64{0.03, 0.06, math.NaN(), 0.06, 0.02} {
		if math.Abs(xs[i].PValue-want) > 1e-12 || math.IsNaN(xs[i].PValue) != math.IsNaN(want) {
			t.Errorf("%d: %v, expected %v", i, xs[i].PValue, want)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	side := func(n int, change func(i int, s *Side, r *bench.Result)) Side {
		s := Side{Name: "B", Settings: map[string]any{"payload_bytes": 100, "wait": "auto"}, Runs: runs(rng, n, 1, 0.01)}
		if change != nil {
			for i, r := range s.Runs {
				change(i, &s, r)
			}
		}
		return s
	}
	for _, c := range []struct {
		name string
		b    Side
		o    CompareOptions
		want string // empty: not refused
	}{
		{"alike", side(5, nil), CompareOptions{}, ""},
		{"few runs", side(4, nil), CompareOptions{}, "the number of runs: expected 5 on each side, to tell anything about 5 metrics, got 4"},
		{"few runs of one metric", side(4, nil), CompareOptions{Metrics: []Metric{P99}}, ""},
		{"no runs", side(0, nil), CompareOptions{}, "the runs of B: expected one or more, got none"},
		{"a setting", side(5, func(_ int, s *Side, _ *bench.Result) { s.Settings["payload_bytes"] = 1000 }), CompareOptions{},
			"the sides differ in more than they may: payload_bytes is 100 and 1000"},
		{"a setting that may differ", side(5, func(_ int, s *Side, _ *bench.Result) { s.Settings["wait"] = "blpop" }), CompareOptions{MayDiffer: []string{"wait"}}, ""},
		{"two settings", side(5, func(_ int, s *Side, _ *bench.Result) { delete(s.Settings, "wait"); s.Settings["tls"] = true }), CompareOptions{},
			`tls is not set and true, wait is "auto" and not set`},
		{"the load", side(5, func(_ int, _ *Side, r *bench.Result) { r.MaxInFlight, r.Model = 10, "poisson" }), CompareOptions{},
			`load_model is "constant" and "poisson", max_in_flight is 1000 and 10`},
		{"one run of a side", side(5, func(i int, _ *Side, r *bench.Result) { r.Callers = i / 4 }), CompareOptions{},
			"run 5 of B: expected one like the first, got one whose callers is 1 and not 0"},
		{"invalid", side(5, func(i int, _ *Side, r *bench.Result) {
			r.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"lag"}}
		}), CompareOptions{}, "run 1 of B: the run is invalid: lag"},
		{"interrupted", side(5, func(i int, _ *Side, r *bench.Result) { r.Interrupted = i == 1 }), CompareOptions{}, "run 2 of B: expected a whole run"},
		{"no result", Side{Name: "B", Runs: make([]*bench.Result, 5)}, CompareOptions{}, "run 1 of B: expected a result, got nil"},
		{"no JSON", side(5, func(_ int, s *Side, _ *bench.Result) { s.Settings["f"] = func() {} }), CompareOptions{}, "settings of B: f: json: unsupported type"},
		{"confidence", side(5, nil), CompareOptions{Confidence: 1}, "CompareOptions.Confidence: expected"},
		{"matters", side(5, nil), CompareOptions{MinEffect: -1}, "CompareOptions.MinEffect: expected"},
		{"metric", side(5, nil), CompareOptions{Metrics: []Metric{"p42"}}, "CompareOptions.Metrics: expected one of"},
		{"metric twice", side(5, nil), CompareOptions{Metrics: []Metric{P50, P50}}, "CompareOptions.Metrics: expected each once, got p50"},
	} {
		_, err := Compare(side(5, nil), c.b, c.o)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, expected %q", c.name, err, c.want)
		}
		var different *DifferentError
		if is := strings.Contains(c.want, " and ") && !strings.Contains(c.want, "run 5"); errors.As(err, &different) != is {
			t.Errorf("%s: a *DifferentError: %v", c.name, !is)
		}
	}
}

func TestInterleave(t *testing.T) {
	var order []string
	run := func(name string) func(context.Context) (*bench.Result, error) {
		return func(context.Context) (*bench.Result, error) {
			order = append(order, name)
			return &bench.Result{Model: name}, nil
		}
	}
	drains := 0
	as, bs, err := Interleave(t.Context(), 20, 1, func(context.Context) error { drains++; return nil }, run("a"), run("b"))
	if err != nil || len(as) != 20 || len(bs) != 20 || drains != 40 || as[7].Model != "a" || bs[7].Model != "b" {
		t.Errorf("%d and %d runs, %d drains, %v", len(as), len(bs), drains, err)
	}
	first := map[string]int{}
	for pair := range slices.Chunk(order, 2) {
		if pair[0] == pair[1] {
			t.Errorf("order %v", order)
		}
		first[pair[0]]++
	}
	if first["a"] < 4 || first["b"] < 4 {
		t.Errorf("first of a pair: %v", first)
	}
	broken := errors.New("refused")
	n := 0
	as, bs, err = Interleave(t.Context(), 5, 1, nil, run("a"), func(context.Context) (*bench.Result, error) {
		if n++; n == 2 {
			return nil, broken
		}
		return &bench.Result{}, nil
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "run 2 of B") || len(bs) != 1 || len(as) < 1 || len(as) > 2 {
		t.Errorf("%d and %d runs, %v", len(as), len(bs), err)
	}
	n = 0
	bad := func(times int) func(context.Context) (*bench.Result, error) {
		n := 0
		return func(context.Context) (*bench.Result, error) {
			if n++; n <= times {
				return &bench.Result{Verdict: bench.Verdict{State: bench.Invalid, Reasons: []string{"late"}}}, nil
			}
			return &bench.Result{}, nil
		}
	}
	if as, bs, err = Interleave(t.Context(), 3, 1, nil, bad(1), bad(1)); err != nil || len(as) != 3 || len(bs) != 3 {
		t.Errorf("one invalid run: %d and %d runs, %v", len(as), len(bs), err)
	}
	if _, _, err = Interleave(t.Context(), 3, 1, nil, bad(0), bad(2)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "run 1 of B: the run is invalid, twice: late") {
		t.Errorf("invalid twice: %v", err)
	}
	fails := func(context.Context) (*bench.Result, error) { return &bench.Result{Errors: 5}, nil }
	if _, _, err = Interleave(t.Context(), 3, 1, nil, fails, fails); !errors.Is(err, ErrNoSuccess) {
		t.Errorf("without success: %v", err)
	}
	if _, _, err := Interleave(t.Context(), 0, 1, nil, run("a"), run("b")); err == nil {
		t.Error("no pairs is no error")
	}
}
