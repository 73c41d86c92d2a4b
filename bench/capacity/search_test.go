package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/bench"
)

const ms = time.Millisecond

func slo(t testing.TB, text string) SLO {
	t.Helper()
	s, err := ParseSLO(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// w workers of D each take w/D calls a second, from whatever side the search comes.
func TestSearchFindsTheCapacity(t *testing.T) {
	for _, c := range []struct {
		workers int
		run     time.Duration
		start   float64
	}{
		{4, 10 * ms, 0},
		{1, 100 * ms, 0}, // 10 a second: it has to go down
		{16, ms, 0},
		{16, ms, 1e6},
		{3, 7 * ms, 400},
	} {
		sys := &system{workers: c.workers, run: Constant(c.run), overhead: Constant(ms)}
		limit := SLO{{P99, float64((c.run + 20*ms).Microseconds())}}
		found, err := Search(t.Context(), sys.trial, SearchOptions{SLO: limit, Start: c.start, Budget: time.Hour})
		want := float64(c.workers) / c.run.Seconds()
		if err != nil || !near(found.HighestMet, want, 0.05) || !found.Confirmed || found.StopReason != "" || found.Best == nil {
			t.Errorf("%+v: %+v, %v; expected %v", c, found, err, want)
			continue
		}
		if found.LowestMissed <= found.HighestMet || found.LowestMissed > found.HighestMet*1.021 {
			t.Errorf("%+v: met %v and missed %v, expected them within 2 %%", c, found.HighestMet, found.LowestMissed)
		}
		last := found.Trials[len(found.Trials)-1]
		if !last.Confirmation || last.Outcome != Met || last.Rate != found.HighestMet || last.DurationS < 15 || last.Result != found.Best {
			t.Errorf("%+v: the last trial was %+v", c, last)
		}
		if !strings.Contains(found.LimitingFactor, "more calls came than were answered") && !strings.Contains(found.LimitingFactor, "p99") {
			t.Errorf("%+v: limit %q", c, found.LimitingFactor)
		}
	}
}

// With random arrivals the objective is missed below the capacity: for M/M/1 the p99 is
// ln(100)/(mu-lambda).
func TestSearchMeetsTheObjective(t *testing.T) {
	sys := &system{workers: 1, run: Exponential(ms), random: true, seed: 1}
	found, err := Search(t.Context(), sys.trial, SearchOptions{SLO: slo(t, "p99=20ms"), Duration: 300 * time.Second, Confirm: 300 * time.Second, Budget: time.Hour})
	if want := 1000 - 4.605/0.020; err != nil || !near(found.HighestMet, want, 0.05) || !found.Confirmed {
		t.Errorf("%+v, %v; expected about %v", found, err, want)
	}
}

// In fake time: with the defaults it takes less than two minutes, and says so if that
// is not enough.
func TestSearchKeepsItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{workers: 80, run: Constant(10 * ms), sleeps: true}
		began := time.Now()
		found, err := Search(t.Context(), sys.trial, SearchOptions{SLO: slo(t, "p99=30ms")})
		if took := time.Since(began); err != nil || !found.Confirmed || !near(found.HighestMet, 8000, 0.05) || took > 2*time.Minute {
			t.Errorf("after %v: met %v, confirmed %v, %v", took, found.HighestMet, found.Confirmed, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		sys := &system{workers: 80, run: Constant(10 * ms), sleeps: true}
		began := time.Now()
		found, err := Search(t.Context(), sys.trial, SearchOptions{SLO: slo(t, "p99=30ms"), Budget: 50 * time.Second, Drain: func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		}})
		// There is time for the bounds to be 4,525 and 9,050, and for confirming.
		if took := time.Since(began); err != nil || !found.Confirmed || found.HighestMet > 8000 || found.HighestMet < 4000 || took > 50*time.Second {
			t.Errorf("after %v: %+v, %v", took, found, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hangs := func(ctx context.Context, _ float64, _ time.Duration) (*bench.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		found, err := Search(t.Context(), hangs, SearchOptions{SLO: slo(t, "p99=30ms"), Budget: time.Minute})
		if took := time.Since(began); err != nil || found.HighestMet != 0 || found.StopReason != "the time budget of 1m0s was used up" || took != time.Minute {
			t.Errorf("after %v: %+v, %v", took, found, err)
		}
	})
}

// scripted answers each load by a function, and has what it was asked.
type scripted struct {
	answer func(n int, load float64, length time.Duration) *bench.Result
	loads  []float64
}

func (s *scripted) trial(_ context.Context, load float64, length time.Duration) (*bench.Result, error) {
	s.loads = append(s.loads, load)
	return s.answer(len(s.loads), load, length), nil
}

func good() *bench.Result { return result(0, repeat(1000, 1)...) }
func bad() *bench.Result  { return result(0, repeat(1000, 99)...) }
func invalid() *bench.Result {
	r := good()
	r.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"sent too late"}}
	return r
}

// A trial says why it ended as it did: that it met the SLO, too.
func TestWhyOfATrial(t *testing.T) {
	terms := []TermResult{{Text: "p99 5ms"}, {Text: "errors 0 %"}}
	for want, trial := range map[string]SearchTrial{
		"p99 5ms; errors 0 %": {Outcome: Met, Terms: terms},
		"p99 5ms; errors 0 %, although the generator was late; x": {Outcome: Met, Invalid: true, Terms: terms, Reasons: []string{"the generator was late", "x"}},
		"x; y": {Outcome: Invalid, Terms: terms, Reasons: []string{"x", "y"}},
	} {
		if got := trial.Why(); got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}

// late is one that met the objective although the generator was late.
func late() *bench.Result {
	r := invalid()
	r.Verdict.Checks = []bench.Check{{Name: "stationary", Result: bench.Warning}, {Name: "lag", Result: bench.Failed}, {Name: "dropped", Result: bench.OK}}
	return r
}

func upTo(limit float64) func(int, float64, time.Duration) *bench.Result {
	return func(_ int, load float64, _ time.Duration) *bench.Result {
		if load <= limit {
			return good()
		}
		return bad()
	}
}

func TestSearchOrder(t *testing.T) {
	for _, c := range []struct {
		name      string
		answer    func(n int, load float64, length time.Duration) *bench.Result
		o         SearchOptions
		loads     []float64
		met       float64
		missed    float64
		confirmed bool
		limit     string
		stopped   string
	}{
		{"doubles and bisects", upTo(450), SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 800, 565.685, 565.685, 400}, 400, 565.685, true, "566/s: p99 99.0ms, more than 20ms", ""},
		{"halves", upTo(30), SearchOptions{Precision: 0.5},
			[]float64{100, 50, 25, 35.355, 35.355, 25}, 25, 35.355, true, "35.4/s: p99 99.0ms, more than 20ms", ""},
		{"never misses", upTo(1e9), SearchOptions{MaxRate: 300},
			[]float64{100, 200, 300, 300}, 300, 0, true, "300/s was the maximum rate to try", ""},
		{"starts above the most", upTo(1e9), SearchOptions{Start: 1e6, MaxRate: 300},
			[]float64{300, 300}, 300, 0, true, "300/s was the maximum rate to try", ""},
		{"never meets", upTo(0), SearchOptions{MaxTrials: 3},
			[]float64{100, 50, 25}, 0, 25, false, "25/s: p99 99.0ms, more than 20ms", "the search ended after 3 trials"},
		{"few trials", upTo(1e9), SearchOptions{MaxTrials: 3},
			[]float64{100, 200, 200}, 200, 0, true, "", ""},
		{"confirming fails", func(n int, load float64, length time.Duration) *bench.Result {
			if length > 10*time.Second && load > 300 {
				return bad()
			}
			return upTo(500)(n, load, length)
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 800, 565.685, 565.685, 400, 282.843, 282.843}, 282.843, 400, true, "400/s: p99 99.0ms", ""},
		{"one was spoiled", func(n int, load float64, length time.Duration) *bench.Result {
			if n == 2 {
				return invalid()
			}
			return upTo(250)(n, load, length)
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 200, 400, 282.843, 282.843, 200}, 200, 282.843, true, "283/s: p99", ""},
		{"the generator is too slow", func(n int, load float64, length time.Duration) *bench.Result {
			if load > 250 {
				return invalid()
			}
			return good()
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 400, 282.843, 282.843, 282.843, 282.843, 200}, 200, 0, true, "283/s: could not be measured: sent too late", ""},
		{"the generator is late", func(n int, load float64, length time.Duration) *bench.Result {
			switch {
			case load > 350:
				r := late()
				r.Latency, r.Samples = bad().Latency, bad().Samples
				return r
			case n > 1 && length < 10*time.Second:
				return late()
			}
			return good()
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 400, 282.843, 400, 400, 282.843}, 282.843, 0, true, "400/s: could not be measured: sent too late", ""},
		{"as many in flight as may be", func(n int, load float64, length time.Duration) *bench.Result {
			if load <= 250 {
				return good()
			}
			r := invalid()
			r.Dropped, r.MaxInFlight = 500, 10_000
			r.Verdict.Checks = []bench.Check{{Name: "lag", Result: bench.OK}, {Name: "dropped", Result: bench.Failed}}
			r.Verdict.Reasons = []string{"500 calls were dropped"}
			return r
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 282.843, 282.843, 200}, 200, 282.843, true, "283/s: 500 calls were dropped", ""},
		{"the long trial is late", func(n int, load float64, length time.Duration) *bench.Result {
			if length > 10*time.Second {
				return late()
			}
			return good()
		}, SearchOptions{MaxRate: 200},
			[]float64{100, 200, 200, 200}, 200, 0, false, "200/s was the maximum rate to try", "the confirming trial met the SLO, but is invalid: sent too late"},
		{"another reason beside", func(n int, load float64, length time.Duration) *bench.Result {
			if load < 150 {
				return good()
			}
			r := late()
			r.Verdict.Checks = append(r.Verdict.Checks, bench.Check{Name: "littles_law", Result: bench.Failed})
			return r
		}, SearchOptions{Precision: 0.9, Retries: -1},
			[]float64{100, 200, 141.421, 200, 141.421}, 141.421, 0, true, "200/s: could not be measured: sent too late", ""},
		{"all was spoiled for a while", func(n int, load float64, length time.Duration) *bench.Result {
			if n <= 4 {
				return invalid()
			}
			return upTo(250)(n, load, length)
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 100, 50, 50, 25, 50, 100, 200, 400, 282.843, 282.843, 200}, 200, 282.843, true, "283/s: p99", ""},
		{"spoiled in passing", func(n int, load float64, length time.Duration) *bench.Result {
			if n == 3 {
				return invalid()
			}
			return upTo(450)(n, load, length)
		}, SearchOptions{Precision: 0.5, Retries: -1},
			[]float64{100, 200, 400, 282.843, 400, 800, 565.685, 565.685, 400}, 400, 565.685, true, "566/s: p99", ""},
		{"missed in a bad moment", func(n int, load float64, length time.Duration) *bench.Result {
			if n == 3 {
				return bad()
			}
			return upTo(450)(n, load, length)
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 282.843, 400, 800, 565.685, 565.685, 400}, 400, 565.685, true, "566/s: p99", ""},
		{"calls pile up", func(n int, load float64, length time.Duration) *bench.Result {
			if load > 250 {
				r := bad()
				r.Verdict.State = bench.Diverging
				return r
			}
			return good()
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 282.843, 200}, 200, 282.843, true, "283/s: more calls came than were answered", ""},
		{"without retries", func(n int, load float64, length time.Duration) *bench.Result {
			if load > 250 {
				return invalid()
			}
			return good()
		}, SearchOptions{Precision: 0.9, Retries: -1},
			[]float64{100, 200, 400, 282.843, 282.843, 200}, 200, 0, true, "could not be measured", ""},
		{"nothing could be measured", func(int, float64, time.Duration) *bench.Result { return invalid() }, SearchOptions{MaxTrials: 4},
			[]float64{100, 100, 50, 50}, 0, 0, false, "50/s: could not be measured: sent too late", "the search ended after 4 trials"},
		{"few may be in flight", func(int, float64, time.Duration) *bench.Result {
			r := invalid()
			r.Dropped, r.MaxInFlight = 500, 1
			r.Verdict.Checks = []bench.Check{{Name: "dropped", Result: bench.Failed}}
			return r
		}, SearchOptions{MaxTrials: 2}, []float64{100, 100}, 0, 0, false, "100/s: could not be measured: sent too late", "the search ended after 2 trials"},
		{"others use the machine", func(n int, load float64, length time.Duration) *bench.Result {
			r := upTo(250)(n, load, length)
			if n < 4 {
				least := 1.
				r.Verdict.Disturbance, r.Latency.Min = "other processes used both processors", &least
			}
			if n == 3 {
				r.Verdict.State = bench.Diverging
			}
			return r
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 400, 400, 282.843, 282.843, 200}, 200, 282.843, true, "283/s: p99", ""},
		{"too few calls", func(n int, load float64, length time.Duration) *bench.Result {
			if load == 200 && length < 5*time.Second {
				return result(0, repeat(10, 1)...)
			}
			return upTo(250)(n, load, length)
		}, SearchOptions{Precision: 0.5},
			[]float64{100, 200, 200, 400, 282.843, 282.843, 200}, 200, 282.843, true, "283/s: p99", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{answer: c.answer}
			c.o.SLO = slo(t, "p99=20ms")
			def(&c.o.Start, 100)
			c.o.Budget = time.Hour
			var seen []SearchTrial
			c.o.Progress = func(p SearchTrial) { seen = append(seen, p) }
			found, err := Search(t.Context(), s.trial, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprintf("%.3f", s.loads) != fmt.Sprintf("%.3f", c.loads) {
				t.Errorf("tried %.3f, expected %.3f", s.loads, c.loads)
			}
			if !near(found.HighestMet, c.met, 1e-3) || !near(found.LowestMissed, c.missed, 1e-3) || found.Confirmed != c.confirmed {
				t.Errorf("met %v, missed %v, confirmed %v; expected %v, %v, %v", found.HighestMet, found.LowestMissed, found.Confirmed, c.met, c.missed, c.confirmed)
			}
			if !strings.Contains(found.LimitingFactor, c.limit) || found.LimitingFactor == "" != (c.limit == "") || found.StopReason != c.stopped {
				t.Errorf("limit %q, stopped %q; expected %q, %q", found.LimitingFactor, found.StopReason, c.limit, c.stopped)
			}
			if len(found.Trials) != len(s.loads) || len(seen) != len(s.loads) || (found.Best != nil) != (c.met > 0) {
				t.Errorf("%d probes, %d told, best %v; expected %d", len(found.Trials), len(seen), found.Best, len(s.loads))
			}
		})
	}
}

func TestSearchFails(t *testing.T) {
	broken := errors.New("connection refused")
	sys := &system{workers: 4, run: Constant(10 * ms)}
	n := 0
	found, err := Search(t.Context(), func(ctx context.Context, load float64, d time.Duration) (*bench.Result, error) {
		if n++; n == 3 {
			return nil, broken
		}
		return sys.trial(ctx, load, d)
	}, SearchOptions{SLO: slo(t, "p99=30ms")})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "trial at") || found.HighestMet == 0 || len(found.Trials) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	found, err = Search(ctx, func(ctx context.Context, load float64, d time.Duration) (*bench.Result, error) {
		cancel()
		return &bench.Result{Interrupted: true}, nil
	}, SearchOptions{SLO: slo(t, "p99=30ms")})
	if !errors.Is(err, context.Canceled) || len(found.Trials) != 1 || found.Trials[0].Outcome != Interrupted {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err = Search(t.Context(), sys.trial, SearchOptions{SLO: slo(t, "p99=30ms"), Drain: func(context.Context) error { return broken }}); !errors.Is(err, broken) {
		t.Errorf("%v, expected that of draining", err)
	}
	if _, err = Search(t.Context(), func(context.Context, float64, time.Duration) (*bench.Result, error) { return nil, nil }, SearchOptions{SLO: slo(t, "p99=30ms")}); err == nil {
		t.Error("a trial without a result is no error")
	}
}

func TestSearchOptions(t *testing.T) {
	ok := slo(t, "p99=20ms")
	for want, o := range map[string]SearchOptions{
		"SearchOptions.SLO: expected one term or more":                {},
		"SearchOptions.SLO: expected one of":                          {SLO: SLO{{"p42", 1}}},
		"SearchOptions.SLO: expected a limit above 0 for p99, got -1": {SLO: SLO{{P99, -1}}},
		"SearchOptions.Start: expected calls per second":              {SLO: ok, Start: -1},
		"SearchOptions.MaxRate: expected":                             {SLO: ok, MaxRate: -1},
		"SearchOptions.Precision: expected":                           {SLO: ok, Precision: 1},
		"SearchOptions.Duration: expected":                            {SLO: ok, Duration: -1},
		"SearchOptions.Confirm: expected":                             {SLO: ok, Confirm: -1},
		"SearchOptions.Budget: expected":                              {SLO: ok, Budget: -1},
		"SearchOptions.MaxTrials: expected":                           {SLO: ok, MaxTrials: -1},
	} {
		if _, err := Search(t.Context(), (&system{}).trial, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	if _, err := Search(t.Context(), nil, SearchOptions{SLO: ok}); err == nil || !strings.Contains(err.Error(), "trial: expected a function") {
		t.Errorf("got %v", err)
	}
}

func TestAnswer(t *testing.T) {
	for want, f := range map[Answer]SearchResult{
		Confirmed:   {HighestMet: 10, Confirmed: true},
		Unconfirmed: {HighestMet: 10},
		NotMet:      {LowestMissed: 10, Trials: []SearchTrial{{Rate: 20, Outcome: Invalid}, {Rate: 10, Outcome: Invalid}, {Rate: 10, Outcome: Missed}}},
		NoAnswer:    {LowestMissed: 20, Trials: []SearchTrial{{Rate: 20, Outcome: Missed}, {Rate: 10, Outcome: Missed}, {Rate: 10, Outcome: Invalid}}},
	} {
		if got := f.Answer(); got != want {
			t.Errorf("%+v: got %s, expected %s", f, got, want)
		}
	}
	if got := (&SearchResult{}).Answer(); got != NoAnswer {
		t.Errorf("without trials: got %s", got)
	}
	text, err := json.Marshal(SearchResult{SLO: "p99=1ms", HighestMet: 10, StopReason: "so"})
	if want := `{"slo":"p99=1ms","highest_met_per_s":10,"lowest_missed_per_s":null,"confirmed":false,"limiting_factor":"","stop_reason":"so","trials":null,"best":null}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; expected %s", text, err, want)
	}
}

// Without a call that succeeds there is nothing to look for, unless some have before.
func TestNoSuccess(t *testing.T) {
	fails := &bench.Result{Errors: 9, ErrorsByKind: map[string]int64{"timeout": 9}, ErrorSamples: map[string]string{"timeout": "none came"}, Verdict: bench.Verdict{State: bench.Diverging}}
	s := &scripted{answer: func(n int, _ float64, _ time.Duration) *bench.Result { return fails }}
	found, err := Search(t.Context(), s.trial, SearchOptions{SLO: slo(t, "p99=20ms"), Start: 100})
	if want := "capacity: trial at 100/s: no call succeeded: 9 timeout, such as: none came"; !errors.Is(err, ErrNoSuccess) || err.Error() != want || len(s.loads) != 1 || found.Answer() != NoAnswer {
		t.Errorf("%d trials, %v; expected %s", len(s.loads), err, want)
	}
	s = &scripted{answer: s.answer}
	if curve, err := Sweep(t.Context(), s.trial, SweepOptions{Loads: []float64{1, 2, 3}}); !errors.Is(err, ErrNoSuccess) || len(s.loads) != 1 || len(curve.Points) != 0 {
		t.Errorf("sweep: %d trials, %v", len(s.loads), err)
	}
	s = &scripted{answer: func(n int, load float64, length time.Duration) *bench.Result {
		if n == 2 {
			return fails
		}
		return upTo(150)(n, load, length)
	}}
	if found, err := Search(t.Context(), s.trial, SearchOptions{SLO: slo(t, "p99=20ms"), Start: 100, Precision: 0.5}); err != nil || !found.Confirmed {
		t.Errorf("%+v, %v", found, err)
	}
}
