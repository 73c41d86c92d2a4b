package report

import (
	"encoding/json"
	"html"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/stats"
)

// writer is what all that several runs found can do.
type writer interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
	WriteHTML(io.Writer) error
}

func aboutSample() About {
	r := sample()
	return About{append(r.Settings, Setting{"password", "hunter2"}), r.Environment}
}

// of is the latency of 2,000 calls about a mean.
func of(mean time.Duration, seed uint64) (*bench.Samples, bench.Latency) {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := bench.NewSamples()
	for range 2000 {
		s.Record(time.Duration((0.4 + 0.6*rng.ExpFloat64()) * float64(mean)))
	}
	return s, latencyOf(s)
}

func sweepSample(t testing.TB, callers bool) Sweep {
	t.Helper()
	curve := &capacity.SweepResult{LoadUnit: capacity.LoadOfRates, KneeMetric: capacity.P99}
	if callers {
		curve.LoadUnit = capacity.LoadOfCallers
	}
	var points []stats.Point
	for i, load := range []float64{1, 2, 4, 8, 16, 32, 64} {
		x := 900 * load / (1 + 0.04*(load-1) + 0.0005*load*(load-1)) * (1 + 0.01*float64(i%3-1))
		p := capacity.SweepPoint{Load: load, Order: 6 - i, Throughput: x, Verdict: bench.Verdict{State: bench.Valid}}
		if !callers {
			p.Load, p.Throughput = 1000*load, min(1000*load, 21_000)
		}
		_, p.Latency = of(time.Duration(load/x*float64(time.Second)), uint64(i))
		points = append(points, stats.Point{N: load, X: x})
		curve.Points = append(curve.Points, p)
	}
	last := &curve.Points[6]
	last.ErrorShare = 0.02
	if callers {
		u, err := stats.FitUSL(points)
		if err != nil {
			t.Fatal(err)
		}
		curve.USL = &u
	} else {
		last.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"the backlog grew"}}
		curve.USLReason = "the loads are rates, not callers"
	}
	knee := curve.Points[4].Load
	curve.Knee = &knee
	return Sweep{aboutSample(), curve}
}

func searchSample() Search {
	found := &capacity.SearchResult{SLO: "p99=20ms,errors=0.1%", HighestMet: 3000, LowestMissed: 3125, Confirmed: true, LimitingFactor: "p99 21.3ms, more than 20ms"}
	for i, load := range []float64{1000, 2000, 4000, 3000, 3500, 3250, 3125, 3000} {
		value := 2000 * 4000 / max(4100-load, 300)
		p := capacity.SearchTrial{Rate: load, DurationS: 5, Outcome: capacity.Met, Terms: []capacity.TermResult{
			{Term: capacity.Term{Metric: capacity.P99, Limit: 20_000}, Value: &value, Known: true, Met: true, Text: "p99 12ms, at most 20ms"},
			{Term: capacity.Term{Metric: capacity.Errors, Limit: 0.001}, Known: true, Met: true, Text: "errors 0 %, at most 0.1 %"}}}
		if load > 3000 {
			p.Outcome, p.Reasons = capacity.Missed, []string{"p99 21.3ms, more than 20ms"}
		}
		if i == 5 {
			p.Outcome, p.Reasons, p.Terms = capacity.Invalid, []string{"the generator was late"}, nil
		}
		if i == 7 {
			p.Confirmation, p.DurationS = true, 30
		}
		found.Trials = append(found.Trials, p)
	}
	found.Best = sample().Result
	return Search{aboutSample(), found}
}

func comparisonSample() Comparison {
	num := func(v float64) *float64 { return &v }
	c := &capacity.Comparison{A: "main", B: "faster codec", RunsA: 5, RunsB: 5, MinEffect: 0.01, MinEffectErrors: 0.001, Interleaved: true, Metrics: []capacity.MetricComparison{
		{Metric: capacity.P99, Judgement: capacity.Worse, Text: "p99: 11.8ms -> 13.2ms", A: num(11_800), B: num(13_200), Effect: num(0.12), EffectLow: num(0.08), EffectHigh: num(0.16), PValue: 0.008, Superiority: 1},
		{Metric: capacity.Throughput, Judgement: capacity.NoDifference, Text: "throughput: the same", A: num(5000), B: num(5010), Effect: num(0.002), EffectLow: num(-0.01), EffectHigh: num(0.012), PValue: 0.8},
		{Metric: capacity.P50, Judgement: capacity.Better, Text: "p50: 5 % less", A: num(3000), B: num(2850), Effect: num(-0.05), EffectLow: num(-0.07), EffectHigh: num(-0.03), PValue: 0.02},
		{Metric: capacity.P95, Judgement: capacity.Worse, Text: "p95: 9.00ms -> calls pile up", A: num(9000), PValue: 0.008},
		{Metric: capacity.P999, Judgement: capacity.Unknown, Text: "p999: unknown: 3 of 10 runs do not have it, as they have too few calls"},
	}, Differences: []capacity.Difference{{Name: "server_workers", A: "4", B: "16"}}}
	for i := range uint64(10) {
		r := capacity.ComparedRun{Side: []string{"A", "B"}[i%2], State: bench.Valid, Throughput: 5000 + float64(i)}
		r.Response, r.Latency = of(time.Duration(3000+300*(i%2))*time.Microsecond, i)
		c.Runs = append(c.Runs, r)
	}
	return Comparison{aboutSample(), c}
}

func planSample() Plan {
	n := &capacity.PlanResult{Rate: 800, SLO: "p99=20ms", Workers: 6, OfferedLoad: 4.0, Assumptions: []string{
		"Calls arrive as by Poisson's process.", "The time that a call runs does not grow with the load, " + strings.Repeat("as it does elsewhere ", 8)}}
	for w := 4; w <= 8; w++ {
		p := capacity.Prediction{Workers: w, Utilization: 4.0 / float64(w), Met: w >= 6}
		if w == 4 {
			p.Reason = "the workers cannot keep up"
		} else {
			_, l := of(time.Duration(30/(w-4))*time.Millisecond, uint64(w))
			_, wait := of(time.Duration(20/(w-4))*time.Millisecond, uint64(w))
			p.Latency, p.Wait = &l, &wait
		}
		n.Predictions = append(n.Predictions, p)
	}
	return Plan{aboutSample(), n}
}

func TestTextOfSeveralRuns(t *testing.T) {
	for name, w := range map[string]writer{"sweep": sweepSample(t, true), "rates": sweepSample(t, false), "search": searchSample(),
		"comparison": comparisonSample(), "plan": planSample()} {
		t.Run(name, func(t *testing.T) {
			got := written(t, w.WriteText)
			for n, line := range strings.Split(got, "\n") {
				if c := utf8.RuneCountInString(line); c > fullWidth {
					t.Errorf("line %d has %d columns: %s", n+1, c, line)
				}
			}
			golden(t, name+".txt", got)
			for form, write := range map[string]func(io.Writer) error{"text": w.WriteText, "JSON": w.WriteJSON, "HTML": w.WriteHTML} {
				if text := written(t, write); strings.Contains(text, "hunter2") {
					t.Errorf("a password is in the %s", form)
				}
			}
		})
	}
}

func TestJSONOfSeveralRuns(t *testing.T) {
	var got struct {
		Schema      int
		Settings    map[string]any
		Environment *Environment
		Sweep       capacity.SweepResult
	}
	want := sweepSample(t, true)
	if err := json.Unmarshal([]byte(written(t, want.WriteJSON)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != bench.Schema || got.Settings["transport"] != "memory" || got.Environment.CPU == "" || len(got.Sweep.Points) != 7 || got.Sweep.USL.Sigma != want.USL.Sigma {
		t.Errorf("got %+v", got)
	}
}

// Nothing panics on what has nothing in it.
func TestSeveralRunsOfNothing(t *testing.T) {
	for _, w := range []writer{Sweep{SweepResult: &capacity.SweepResult{}}, Search{SearchResult: &capacity.SearchResult{}}, Comparison{Comparison: &capacity.Comparison{}}, Plan{PlanResult: &capacity.PlanResult{}}} {
		written(t, w.WriteText)
		written(t, w.WriteJSON)
		written(t, w.WriteHTML)
	}
}

// A search that was interrupted, or could measure nothing, does not say that the SLO was
// missed.
func TestSearchWithoutAnAnswer(t *testing.T) {
	for outcome, title := range map[capacity.Outcome]string{capacity.Interrupted: "NO ANSWER", capacity.Invalid: "NO ANSWER", capacity.Missed: "NOT MET"} {
		var b strings.Builder
		s := Search{SearchResult: &capacity.SearchResult{SLO: "p99=20ms", Trials: []capacity.SearchTrial{{Rate: 100, Outcome: outcome}}}}
		if err := s.WriteText(&b); err != nil || !strings.Contains(b.String(), title) {
			t.Errorf("%v: %v, got\n%s\nexpected %q", outcome, err, b.String(), title)
		}
	}
}

// What others used of the machine is in a search's, a sweep's and a comparison's report, in every
// form, also if no trial is disturbed by it.
func TestOthersUsedTheMachine(t *testing.T) {
	used := func(cores float64) *bench.Machine {
		return &bench.Machine{Cores: 2, BusyCores: cores + 0.5, OtherCores: &cores}
	}
	search, sweep, comparison := searchSample(), sweepSample(t, true), comparisonSample()
	for i := range search.Trials {
		search.Trials[i].Machine = used(0.1 * float64(i+1)) // 0.45 on average
	}
	for i := range sweep.Points {
		sweep.Points[i].Machine = used(0.1 * float64(i+1)) // 0.40 on average
	}
	for i := range comparison.Runs {
		comparison.Runs[i].Machine = used(0.3)
	}
	for want, w := range map[string]Document{
		"other processes used 0.45 of the machine's 2 processors on average, at most 0.80: the true maximum rate may be higher":                             search,
		"other processes used 0.40 of the machine's 2 processors on average, at most 0.70: throughput may be higher, and latency lower, on an idle machine": sweep,
		"other processes used 0.30 of the machine's 2 processors on average, at most 0.30: both sides may be faster on an idle machine":                     comparison,
	} {
		for form, write := range map[string]func(io.Writer) error{"text": w.WriteText, "html": w.WriteHTML} {
			if text := strings.Join(strings.Fields(html.UnescapeString(written(t, write))), " "); !strings.Contains(text, want) {
				t.Errorf("%T as %s: expected %q in %.700s", w, form, want, text)
			}
		}
		if text := written(t, w.WriteJSON); !strings.Contains(text, `"other_cores": 0.3`) {
			t.Errorf("%T: not in JSON", w)
		}
	}
	for name, c := range map[string]struct {
		add  func(*others)
		want string
	}{
		"nothing known":             {func(o *others) { o.add(nil, "") }, ""},
		"little":                    {func(o *others) { o.add(used(0.09), "") }, ""},
		"servers may be among them": {func(o *others) { o.add(&bench.Machine{Cores: 2, BusyCores: 2}, "") }, ""},
		"one disturbed": {func(o *others) { o.add(used(0.01), ""); o.add(used(1.5), "others used 1.5") },
			"other processes used 0.76 of the machine's 2 processors on average, at most 1.50 (in 1 of 2 runs so much that calls may have been late): so"},
		"as of schema 1": {func(o *others) { o.add(nil, "others used the machine"); o.add(nil, "") },
			"other processes used the machine (in 1 of 2 runs so much that calls may have been late): so"},
	} {
		var o others
		c.add(&o)
		if got := o.text("so"); got != c.want {
			t.Errorf("%s: got %q, expected %q", name, got, c.want)
		}
	}
}
