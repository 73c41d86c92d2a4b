package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/figure"
)

var errPercentage = errors.New("expected a percentage above 0 and below 100, such as 2 or 0.5%")

// sweepFlags are the flags of redrpc bench sweep.
type sweepFlags struct {
	system   systemFlags
	pace     paceFlags
	out      reportFlags
	arrivals string
	rates    []float64
	callers  []float64
	knee     string
	o        capacity.SweepOptions
}

func newSweep(getenv func(string) string) *cobra.Command {
	f := &sweepFlags{arrivals: "poisson", knee: string(capacity.P99)}
	f.o.Duration = 3 * time.Second
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Measure throughput and latency at many loads",
		Long: `Measure throughput and latency at many loads: numbers of callers in a closed loop, to
which the Universal Scalability Law is fitted, or --rates of an open loop. The loads are
in random order, so that changes over time are not taken for an effect of the load. The
knee is the load from which the latency rises steeply.

The flags for what to call, and through which Redis, are those of redrpc bench.

` + exitCodesHelp,
		Example: `  redrpc bench sweep
  redrpc bench sweep --rates 500..8000/8 --report html=sweep.html
  redrpc bench sweep --concurrency 1,2,4,8,16,32,64 --func sleep --server-workers 16
  redrpc bench sweep --rates 100,200,400 --redis redis://127.0.0.1 --no-server --prefix redis_rpc --func work`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed
			if given("rates") && given("concurrency") {
				return usagef("--rates and --concurrency: expected only one of them")
			}
			for _, flag := range []string{"arrivals", "max-in-flight", "spin", "no-early-stop"} {
				if given(flag) && !given("rates") {
					return usagef("--%s: expected together with --rates, for it is about an open loop", flag)
				}
			}
			if err := f.system.check(); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.callers = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	flags.VarP(loads(&f.callers, true, 1_000_000), "concurrency", "c", "numbers of callers of a closed loop: a comma-separated list, or a geometric series such as 1..64/7")
	flags.VarP(loads(&f.rates, false, 1e9), "rates", "r", "rates of an open loop instead, in calls per second: a comma-separated list, or a geometric series such as 100..1600/5")
	flags.Var(oneOf(&f.arrivals, "constant", "poisson"), "arrivals", "with --rates: arrivals at a constant rate, or a Poisson process as of many independent users")
	metrics := []string{string(capacity.P50), string(capacity.P90), string(capacity.P95), string(capacity.P99), string(capacity.P999), string(capacity.Mean)}
	flags.Var(oneOf(&f.knee, metrics...), "knee", "latency metric of which to find the knee")
	flags.VarP(positive(&f.o.Duration), "duration", "d", "length of the measured window at each load")
	f.pace.register(cmd)
	f.system.register(cmd, getenv, trialTimeout)
	f.out.register(cmd, answerForms)
	return cmd
}

func (f *sweepFlags) run(ctx context.Context, stdout io.Writer, live *liveLine) error {
	if err := f.out.check(stdout); err != nil {
		return err
	}
	f.o.Loads, f.o.Callers = f.callers, f.rates == nil
	atATime, arrivals := 0, ""
	if f.rates != nil {
		f.o.Loads, arrivals, atATime = f.rates, f.arrivals, f.pace.maxInFlight
	}
	for _, n := range f.o.Loads {
		if f.o.Callers {
			atATime = max(atATime, int(n))
		}
	}
	return measure(ctx, &f.system, &f.pace, f.rates != nil, atATime, nil, live, func(m *measuring) error {
		f.o.Seed, f.o.Knee, f.o.Drain = f.pace.seed, capacity.Metric(f.knee), m.sys.drained
		done := 0
		f.o.Progress = func(p capacity.SweepPoint) {
			done++
			m.tell("%d of %d: %s: %s/s, p50 %s, p99 %s, %s", done, len(f.o.Loads), loadText(p.Load, f.o.Callers), figure.Rate(p.Throughput),
				figure.Microseconds(p.Latency.P50), figure.Microseconds(p.Latency.P99), p.Verdict.State)
		}
		result, err := capacity.Sweep(ctx, m.trial(arrivals), f.o)
		if result == nil || len(result.Points) == 0 {
			return err
		}
		if ctx.Err() != nil {
			err = nil // the report says it
		}
		var more report.Settings
		if arrivals != "" {
			more = append(more, report.Setting{Name: "arrivals", Value: arrivals})
		}
		ended := f.out.end(report.Sweep{About: m.about(more...), SweepResult: result}, stdout, live)
		return first(live, err, ended)
	})
}
