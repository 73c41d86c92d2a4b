package capacity

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

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
