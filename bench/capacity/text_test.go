package capacity

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

// Each answer is written for people, whatever it lacks, and as JSON.
func TestWriteText(t *testing.T) {
	knee := 16.0
	us := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		name   string
		answer interface{ WriteText(io.Writer) error }
		want   string
	}{
		{"nothing found", &Found{SLO: "p99=1ms", Missed: 25, Limit: "25/s: p99 2.00ms, more than 1ms", Stopped: "the search ended after 1 trials",
			Probes: []Probe{{Load: 25, Length: 15960 * ms, Outcome: Missed, Reasons: []string{"p99 2.00ms, more than 1ms", "sent\x1b[2J\tlate"}}}}, `
objective      p99=1ms
answer         no rate that was tried met it
too much       25/s: p99 2.00ms, more than 1ms
stopped        the search ended after 1 trials

trials         rate  window  outcome  why
               25/s  16s     missed   p99 2.00ms, more than 1ms; sent�[2J�late
`},
		{"not confirmed", &Found{SLO: "p99=1ms", Met: 300, Limit: "300/s was the most to try"}, `
objective      p99=1ms
answer         300/s, not confirmed by a long trial
limit          300/s was the most to try

trials         rate  window  outcome  why
`},
		{"callers", &Curve{Callers: true, KneeOf: P99, Knee: &knee, Points: []SweepPoint{
			{Load: 8, Throughput: 5000, Latency: bench.Latency{P50: us(900), P99: us(1600)}, Verdict: bench.Verdict{State: bench.Valid}},
			{Load: 16, Throughput: 6000.4, ErrorShare: 0.01, Verdict: bench.Verdict{State: bench.Invalid}}},
			USL: &stats.USL{Lambda: 1000, Sigma: 0.05, Kappa: 0.0005, R2: 0.99, Residuals: []float64{3, -20}, PeakN: 43.6, PeakX: 10_500}}, `
curve          callers  throughput  p50    p99     errors
               8        5,000/s     900µs  1.60ms  0 %
               16       6,000/s     -      -       1 %     knee, INVALID

knee           the p99 rises steeply from 16 callers on
scalability    X(N) = 1,000 N / (1 + 0.05 (N-1) + 0.0005 N (N-1)) calls/s of N callers
               contention 5 %, coherence 0.05 %, R2 0.9900, largest residual 20/s
               most: 10,500/s at 44 callers
`},
		{"no curve", &Curve{Callers: true, KneeOf: P99, KneeWhy: "too few", USLWhy: "too few, too"}, `
curve          callers  throughput  p50  p99  errors

knee           none: too few
scalability    no law: too few, too
`},
		{"no plan", &Needed{Rate: 1000, SLO: "p99=1ms", Why: "10 workers do not", Assumptions: []string{"none"},
			Predictions: []Prediction{{Workers: 10, Utilisation: 1, Why: "the workers cannot keep up: they are busy all the time"}}}, `
objective      p99=1ms at 1,000/s
answer         none: 10 workers do not

prediction     workers  busy   wait p99  p50  p99  outcome
               10       100 %  -         -    -    missed: the workers cannot keep up: they are busy all the time

assumptions    none
`},
		{"a comparison", &Comparison{A: "old", B: "new", RunsA: 5, RunsB: 6, Contrasts: []Contrast{{Metric: P99, Judgement: Unknown, Text: "not every run has it"}}}, `
comparison     new (6 runs) against old (5 runs)

metrics             judgement  difference
               p99  unknown    not every run has it
`},
	} {
		var b strings.Builder
		if err := c.answer.WriteText(&b); err != nil || "\n"+b.String() != c.want {
			t.Errorf("%s: %v, got\n%s\nexpected%s", c.name, err, b.String(), c.want)
		}
		if text, err := json.Marshal(c.answer); err != nil || !strings.HasPrefix(string(text), "{") {
			t.Errorf("%s as JSON: %s, %v", c.name, text, err)
		}
		if err := c.answer.WriteText(full{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v, expected that of the writer", c.name, err)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// What really comes out is JSON, too: no infinite number, no NaN.
func TestAnswersAsJSON(t *testing.T) {
	sys := &system{workers: 4, run: Constant(10 * ms)}
	found, err := Search(t.Context(), sys.trial, SearchOptions{SLO: slo(t, "p99=30ms"), Budget: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	curve, err := Sweep(t.Context(), closed(stats.USL{Lambda: 1000}), SweepOptions{Loads: []float64{1, 2, 4, 8}, Callers: true})
	if err != nil {
		t.Fatal(err)
	}
	needed, err := Plan(t.Context(), PlanOptions{Rate: 390, SLO: slo(t, "p99=30ms"), Run: Constant(10 * ms)})
	if err != nil {
		t.Fatal(err)
	}
	a, b := Side{Name: "a"}, Side{Name: "b"}
	for range 5 {
		a.Runs = append(a.Runs, result(1, 5, 6, 7, 8, 9))
		b.Runs = append(b.Runs, &bench.Result{})
	}
	compared, err := Compare(a, b, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []any{found, curve, needed, compared} {
		if text, err := json.Marshal(answer); err != nil {
			t.Errorf("%T: %v", answer, err)
		} else if !json.Valid(text) || strings.Contains(string(text), "Result") {
			t.Errorf("%T: %s", answer, text)
		}
	}
}
