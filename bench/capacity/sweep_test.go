package capacity

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

func TestSweepOfCallers(t *testing.T) {
	law := stats.USL{Lambda: 1000, Sigma: 0.05, Kappa: 0.0005}
	loads := []float64{64, 1, 2, 4, 8, 16, 32}
	curve, err := Sweep(t.Context(), closed(law), SweepOptions{Loads: loads, Callers: true, Seed: 7})
	if err != nil || curve.USL == nil || curve.USLReason != "" {
		t.Fatalf("%+v, %v", curve, err)
	}
	if u := curve.USL; !near(u.Lambda, 1000, 1e-4) || !near(u.Sigma, 0.05, 1e-3) || !near(u.Kappa, 0.0005, 1e-3) || !near(u.PeakN, math.Sqrt(0.95/0.0005), 1e-3) {
		t.Errorf("%+v", u)
	}
	var order []int
	for i, p := range curve.Points {
		if want := slices.Sorted(slices.Values(loads))[i]; p.Load != want || p.Throughput != law.At(want) {
			t.Errorf("point %d: %+v, expected a load of %v", i, p, want)
		}
		order = append(order, p.Order)
	}
	if slices.IsSorted(order) || !slices.Equal(slices.Sorted(slices.Values(order)), []int{0, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("measured in the order %v, expected it shuffled", order)
	}
	if !slices.Equal(loads, []float64{64, 1, 2, 4, 8, 16, 32}) {
		t.Errorf("the loads that were given are now %v", loads)
	}
	again, err := Sweep(t.Context(), closed(law), SweepOptions{Loads: loads, Callers: true, Seed: 7})
	for i := range again.Points {
		if err != nil || again.Points[i].Order != order[i] {
			t.Errorf("with the same seed %+v, %v", again.Points[i], err)
		}
	}
}

// The knee is where calls begin to wait; beyond the capacity they pile up.
func TestSweepOfRates(t *testing.T) {
	sys := &system{workers: 8, run: Exponential(10 * ms), random: true}
	drains := 0
	curve, err := Sweep(t.Context(), sys.trial, SweepOptions{
		Loads: []float64{100, 200, 300, 400, 500, 600, 700, 760, 900, 1000}, Duration: 20 * time.Second,
		Drain: func(context.Context) error { drains++; return nil },
	})
	if err != nil || curve.Knee == nil || *curve.Knee < 400 || *curve.Knee > 700 || curve.USL != nil || curve.USLReason == "" {
		t.Errorf("%+v, %v", curve, err)
	}
	if drains != 10 || sys.trials != 10 {
		t.Errorf("%d trials with %d drains", sys.trials, drains)
	}
	for _, p := range curve.Points {
		if want := p.Load > 800; want != (p.Verdict.State == bench.Diverging) || p.Load < 800 && !near(p.Throughput, p.Load, 0.1) {
			t.Errorf("%+v", p)
		}
	}
	flat, err := Sweep(t.Context(), (&system{workers: 8, run: Constant(10 * ms)}).trial, SweepOptions{Loads: []float64{100, 200, 300, 400}})
	if err != nil || flat.Knee != nil || !strings.Contains(flat.KneeReason, "straight") {
		t.Errorf("%+v, %v", flat, err)
	}
	few, err := Sweep(t.Context(), sys.trial, SweepOptions{Loads: []float64{100, 200, 300, 900}})
	if err != nil || few.Knee != nil || few.KneeReason != "it needs 4 loads with a p99, and there are 3" {
		t.Errorf("%+v, %v", few, err)
	}
}

// A trial that is not valid is repeated, and if it stays so, kept but not used.
func TestSweepOfInvalidTrials(t *testing.T) {
	law := stats.USL{Lambda: 1000, Sigma: 0.05, Kappa: 0.0005}
	var asked []float64
	trial := func(ctx context.Context, load float64, d time.Duration) (*bench.Result, error) {
		asked = append(asked, load)
		res, err := closed(law)(ctx, load, d)
		if load == 8 || load == 4 && slices.Index(asked, 4) == len(asked)-1 {
			res.Verdict.State, res.Throughput = bench.Invalid, 1
		}
		return res, err
	}
	curve, err := Sweep(t.Context(), trial, SweepOptions{Loads: []float64{1, 2, 4, 8, 16, 32}, Callers: true})
	if err != nil || len(asked) != 8 || len(curve.Points) != 6 || curve.Points[3].Verdict.State != bench.Invalid || !near(curve.USL.Sigma, 0.05, 1e-3) {
		t.Errorf("asked %v: %+v, %v", asked, curve, err)
	}
}

func TestSweepFails(t *testing.T) {
	broken := errors.New("connection refused")
	sys := &system{workers: 8, run: Constant(ms)}
	trial := func(ctx context.Context, load float64, d time.Duration) (*bench.Result, error) {
		if sys.trials == 2 {
			return nil, broken
		}
		return sys.trial(ctx, load, d)
	}
	curve, err := Sweep(t.Context(), trial, SweepOptions{Loads: []float64{1, 2, 3, 4}})
	if !errors.Is(err, broken) || len(curve.Points) != 2 {
		t.Errorf("%+v, %v", curve, err)
	}
	for want, o := range map[string]SweepOptions{
		"SweepOptions.Loads: expected one load or more":            {},
		"SweepOptions.Loads: expected loads above 0, got -1":       {Loads: []float64{1, -1}},
		"SweepOptions.Loads: expected whole numbers of callers":    {Loads: []float64{1.5}, Callers: true},
		"SweepOptions.Duration: expected more than 0":              {Loads: []float64{1}, Duration: -1},
		"SweepOptions.Knee: expected a time such as p99":           {Loads: []float64{1}, Knee: Throughput},
		"SweepOptions.Knee: expected a time such as p99, got p12!": {Loads: []float64{1}, Knee: "p12!"},
	} {
		if _, err := Sweep(t.Context(), sys.trial, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}
