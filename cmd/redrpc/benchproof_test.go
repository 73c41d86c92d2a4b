package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
)

// inBubble assembles the system of the flags with the in-process broker, in fake time.
func inBubble(t *testing.T, do func(*testing.T, *measuring) error, words ...string) {
	synctest.Test(t, func(t *testing.T) {
		f := new(systemFlags)
		pace := new(paceFlags)
		cmd := &cobra.Command{}
		f.register(cmd, func(string) string { return "" }, trialTimeout)
		pace.register(cmd)
		if err := cmd.ParseFlags(words); err != nil {
			t.Fatal(err)
		}
		if err := f.check(); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		err := measure(t.Context(), f, pace, true, pace.maxInFlight, nil, &liveLine{w: &told}, func(m *measuring) error { return do(t, m) })
		if err != nil {
			t.Errorf("%v\n%s", err, told.String())
		}
	})
}

// reportInBubble writes the report of a closed loop in virtual time, so its times are those of
// the handlers on any machine.
func reportInBubble(t *testing.T, path string, calls int64, callers int, words ...string) {
	t.Helper()
	inBubble(t, func(t *testing.T, m *measuring) error {
		cfg := m.config(t.Context(), bench.ClosedLoop{}, "")
		cfg.Warmup, cfg.Calls, cfg.Callers = 0, calls, callers
		res, err := m.run(t.Context(), cfg)
		if err != nil {
			return err
		}
		about := m.about()
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		err = report.Report{Settings: about.Settings, Environment: about.Environment, Result: res}.WriteJSON(file)
		return errors.Join(err, file.Close())
	}, words...)
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }

// Through rpc and the broker, a search with constant arrivals finds that w workers take w/D
// calls per second, D being how long their handlers ran in the same run, within 5 %, and with
// the command's defaults in less than two minutes.
func TestSearchFindsWhatWorkersTake(t *testing.T) {
	const workers = 4
	inBubble(t, func(t *testing.T, m *measuring) error {
		slo, err := capacity.ParseSLO("p99=60ms,errors=0.1%")
		if err != nil {
			return err
		}
		began := time.Now()
		found, err := capacity.Search(t.Context(), m.trial("constant"), capacity.SearchOptions{SLO: slo, Drain: m.sys.drained})
		if err != nil {
			return err
		}
		if took := time.Since(began); found.Best == nil || !found.Confirmed || took > 2*time.Minute {
			t.Fatalf("after %v: %+v", took, found)
		}
		d := found.Best.Samples.Phases[phaseRun].Mean()
		if want := workers / d.Seconds(); !near(found.HighestMet, want, 0.05) {
			t.Errorf("%d workers with handlers of %v: found %v/s (%v missed), expected %v", workers, d, found.HighestMet, found.LowestMissed, want)
		}
		return nil
	}, "--func", "sleep", "--args", `{"seconds":0.02}`, "--server-workers", strconv.Itoa(workers))
}

// From what calls of one caller took, a plan predicts the p99 at a utilisation of up to 0.8
// within 20 %.
func TestPlanPredictsWhatIsMeasured(t *testing.T) {
	const workers, utilisation = 4, 0.8
	inBubble(t, func(t *testing.T, m *measuring) error {
		cfg := m.config(t.Context(), bench.ClosedLoop{}, "")
		cfg.Duration, cfg.Callers = 5*time.Second, 1
		idle, err := m.run(t.Context(), cfg)
		if err != nil {
			return err
		}
		plan := new(planFlags)
		if err := plan.learn(idle); err != nil {
			return err
		}
		rate := utilisation * workers / plan.o.Run.Mean().Seconds()
		plan.o.Rate, plan.o.Calls = rate, 50_000
		busy, err := m.trial("poisson")(t.Context(), rate, 40*time.Second)
		if err != nil || busy.Verdict.State != bench.Valid {
			t.Fatalf("%v, %+v", err, busy.Verdict)
		}
		// The least number of workers that is said to be enough for 1.2 times the p99
		// that was measured has to be no more than there were; what it predicts for them
		// has to be near.
		plan.o.SLO = capacity.SLO{{Metric: capacity.P99, Limit: 1.2 * *busy.Latency.P99}}
		needed, err := capacity.Plan(t.Context(), plan.o)
		if err != nil {
			return err
		}
		for _, p := range needed.Predictions {
			if p.Workers == workers {
				t.Logf("predicted a p99 of %.0f us, measured %.0f", *p.Latency.P99, *busy.Latency.P99)
				if !near(*p.Latency.P99, *busy.Latency.P99, 0.2) {
					t.Errorf("predicted a p99 of %.0f us, measured %.0f", *p.Latency.P99, *busy.Latency.P99)
				}
				return nil
			}
		}
		t.Errorf("%d workers are said to be enough", needed.Workers)
		return nil
	}, "--func", "sleep", "--args", `{"seconds":0.01}`, "--server-workers", strconv.Itoa(workers))
}
