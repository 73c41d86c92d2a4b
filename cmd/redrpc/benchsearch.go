package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/figure"
)

// searchFlags are the flags of redrpc bench search.
type searchFlags struct {
	system   systemFlags
	pace     paceFlags
	out      reportFlags
	arrivals string
	slo      capacity.SLO
	o        capacity.SearchOptions
	percent  float64 // precision
}

func newSearch(getenv func(string) string) *cobra.Command {
	f := &searchFlags{arrivals: "poisson", percent: 5}
	f.o = capacity.SearchOptions{Duration: 3 * time.Second, Confirm: 10 * time.Second, Budget: 110 * time.Second}
	cmd := &cobra.Command{
		Use:   "search --slo TERMS",
		Short: "Find the maximum rate that meets an SLO",
		Long: `Find the maximum rate that meets a service level objective (SLO), such as a p99 of 20 ms
with at most 0.1 % of errors.

The first rate is --start, or a quarter of the throughput of a few callers in a closed
loop. The rate is doubled until the SLO is missed. Then the bounds are narrowed, and the
lower bound is confirmed by a longer run. The queue is drained between runs.
A percentile is of all intended calls: failed and dropped calls count as infinitely slow.
The result has both bounds and the limiting factor.

The flags for what to call, and through which Redis, are those of redrpc bench.

` + exitCodesHelp + `
Here 3 means that no rate met the SLO, and 4 that the result was not confirmed or that the
trials were inconclusive.`,
		Example: `  redrpc bench search --slo p99=20ms
  redrpc bench search --slo p99=20ms,errors=0.1% --redis redis://127.0.0.1 --server-workers 16 --func sleep
  redrpc bench search --slo p95=100ms --no-server --redis redis://127.0.0.1 --prefix redis_rpc --func add --args '{"a": 1, "b": 2}'
  redrpc bench search --slo p99=1ms --redis redis://127.0.0.1 --command 'GET k:__key__' --prepare 'SET k:__key__ __data__'
  redrpc bench search --slo p99=20ms --arrivals constant --report html=search.html`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.slo == nil {
				return usagef("--slo: expected what to meet, such as p99=20ms,errors=0.1%%")
			}
			if err := f.system.check(); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(slo(&f.slo), "slo", "what to meet: p50, p90, p95, p99, p999, mean or max with a time, errors with a percentage, throughput with calls/s")
	flags.Var(oneOf(&f.arrivals, "constant", "poisson"), "arrivals", "arrivals at a constant rate, or a Poisson process as of many independent users")
	flags.Var(rate(&f.o.Start), "start", "first rate (default a quarter of the throughput of 16 callers in a closed loop)")
	flags.Var(rate(&f.o.MaxRate), "max-rate", "maximum rate to try (default no limit)")
	flags.Var(percentage(&f.percent), "precision", "how close the two bounds must be, in percent")
	flags.VarP(positive(&f.o.Duration), "duration", "d", "length of the measured window of each trial")
	flags.Var(positive(&f.o.Confirm), "confirm", "length of the run that confirms the result")
	flags.Var(positive(&f.o.Budget), "budget", "maximum duration of the search")
	f.pace.register(cmd)
	f.system.register(cmd, getenv, trialTimeout)
	f.out.register(cmd, answerForms)
	return cmd
}

func (f *searchFlags) run(ctx context.Context, stdout io.Writer, live *liveLine) error {
	if err := f.out.check(stdout); err != nil {
		return err
	}
	return measure(ctx, &f.system, &f.pace, true, f.pace.maxInFlight, nil, live, func(m *measuring) error {
		f.o.SLO, f.o.Precision, f.o.Drain = f.slo, f.percent/100, m.sys.drained
		f.o.Progress = func(p capacity.SearchTrial) {
			m.tell("%s/s for %s: %s: %s", figure.Rate(p.Rate), figure.Duration(time.Duration(p.DurationS*float64(time.Second))), p.Outcome, p.Why())
		}
		if err := f.begin(ctx, m); err != nil {
			return err
		}
		result, err := capacity.Search(ctx, m.trial(f.arrivals), f.o)
		if result == nil || errors.Is(err, capacity.ErrNoSuccess) {
			return err
		}
		if ctx.Err() != nil {
			err = nil // the report says it
		}
		ended := f.out.end(report.Search{About: m.about(report.Setting{Name: "arrivals", Value: f.arrivals}), SearchResult: result}, stdout, live)
		return first(live, err, ended)
	})
}

// begin finds out whether calls are answered, and at which rate to begin, unless that is
// known: at a quarter of what a few callers reach who wait for their calls.
func (f *searchFlags) begin(ctx context.Context, m *measuring) error {
	cfg := m.config(ctx, bench.ClosedLoop{}, "calibrating:")
	cfg.Warmup, cfg.Duration, cfg.Callers = 0, time.Second, min(16, f.pace.maxInFlight)
	if f.o.Start > 0 {
		cfg.Duration, cfg.Calls = 0, int64(cfg.Callers)
	}
	res, err := m.run(ctx, cfg)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if err := failure(res); err != nil {
		return fmt.Errorf("%w: %s", err, sampleOf(res))
	}
	if f.o.Start > 0 {
		return nil
	}
	f.o.Start = res.Throughput / 4
	if f.o.MaxRate > 0 {
		f.o.Start = min(f.o.Start, f.o.MaxRate)
	}
	m.tell("calibration: %d closed-loop callers, %s/s", cfg.Callers, figure.Rate(res.Throughput))
	return nil
}

// percentage takes more than 0 and less than 100.
func percentage(to *float64) value[float64] {
	v := rate(to)
	parse := v.parse
	v.kind = "PERCENT"
	v.parse = func(s string) (float64, error) {
		p, err := parse(strings.TrimSuffix(s, "%"))
		if err != nil || p >= 100 {
			return 0, errPercentage
		}
		return p, nil
	}
	return v
}
