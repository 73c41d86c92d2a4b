package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/figure"
)

// planFlags are the flags of redrpc bench plan.
type planFlags struct {
	system   systemFlags
	pace     paceFlags
	out      reportFlags
	from     string
	arrivals string
	callers  int
	duration time.Duration
	check    time.Duration
	slo      capacity.SLO
	o        capacity.PlanOptions
	given    func(flag string) bool
}

func newPlan(getenv func(string) string) *cobra.Command {
	f := &planFlags{arrivals: "poisson", callers: 1, duration: 5 * time.Second}
	cmd := &cobra.Command{
		Use:   "plan --rate N --slo TERMS",
		Short: "Find the number of workers that a rate needs",
		Long: `Find the minimum number of workers with which a rate meets a service level objective
(SLO). It simulates calls that wait in one queue for the next free worker.

The run time of handlers and the overhead of a call are measured first, with one caller,
or taken --from a JSON report of redrpc bench. That report must have the phases of its
calls and as many calls as the SLO needs, and its calls must not have waited for each
other. The result lists its assumptions. The main one: handlers do not take longer when
more of them run, as they do where they share processors. --check measures the result: it
starts that number of workers and sends the rate.

The flags for what to call, and through which Redis, are those of redrpc bench.

` + exitCodesHelp + `
Here 3 means that no number of workers meets the SLO, or that the check missed it.`,
		Example: `  redrpc bench plan --rate 500 --slo p99=50ms --func sleep
  redrpc bench plan --rate 2000 --slo p99=50ms --from run.json
  redrpc bench plan --rate 500 --slo p99=50ms --func sleep --check 10s --report html=plan.html`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.given = flags.Changed
	flags.VarP(rate(&f.o.Rate), "rate", "r", "target rate, calls per second")
	flags.Var(slo(&f.slo), "slo", "what to meet, such as p99=50ms")
	flags.Var(oneOf(&f.arrivals, "constant", "poisson"), "arrivals", "arrivals at a constant rate, or a Poisson process as of many independent users")
	flags.Var(name(&f.from, "REPORT"), "from", "take the times from this JSON report instead of measuring them")
	flags.VarP(count(&f.callers, 1, 1000), "concurrency", "c", "callers of the measurement, few enough that calls do not wait for each other")
	flags.VarP(positive(&f.duration), "duration", "d", "length of the measurement; unless given, longer if the SLO needs more calls")
	flags.Var(positive(&f.check), "check", "then measure the rate with that number of workers, for this time (default not)")
	flags.Var(count(&f.o.MaxWorkers, 1, 100_000), "max-workers", "maximum number of workers to consider (default 10000)")
	flags.Var(count(&f.o.Calls, 1000, 1_000_000_000), "simulate", "calls to simulate for each number of workers (default 1000000)")
	f.pace.register(cmd)
	f.system.register(cmd, getenv, 5*time.Second)
	f.out.register(cmd, answerForms)
	for _, flag := range append([]string{"command", "phases"}, commandOnly...) {
		if err := flags.MarkHidden(flag); err != nil { // complete refuses it
			panic(err) // no such flag: a mistake in this program
		}
	}
	return cmd
}

// complete is about what the flags' own parsers cannot know.
func (f *planFlags) complete() error {
	switch {
	case !f.given("rate"):
		return usagef("--rate: expected the target rate, calls per second")
	case f.slo == nil:
		return usagef("--slo: expected what to meet, such as p99=50ms")
	case f.system.commands.given():
		return usagef("--command: expected without, for a plan is about the workers that run functions")
	case f.given("check") && f.system.noServer:
		return usagef("--check: expected without --no-server, for it starts workers")
	}
	if f.given("from") {
		for _, flag := range []string{"concurrency", "duration"} {
			if f.given(flag) {
				return usagef("--%s: expected without --from, for it is about a measurement", flag)
			}
		}
	}
	if f.system.phases = "on"; f.given("phases") {
		return usagef("--phases: expected without, for a plan needs them")
	}
	f.o.SLO, f.o.ConstantArrivals, f.o.Seed = f.slo, f.arrivals == "constant", f.pace.seed
	return f.system.check()
}

func (f *planFlags) run(ctx context.Context, stdin io.Reader, stdout io.Writer, live *liveLine) error {
	if err := f.out.check(stdout); err != nil {
		return err
	}
	var about report.About
	if f.from != "" {
		rep, err := readReportFile(f.from, stdin)
		if err != nil {
			return err
		}
		about = report.About{Settings: append(rep.Settings, report.Setting{Name: "from", Value: f.from}), Environment: rep.Environment}
		if err := f.learn(rep.Result); err != nil {
			return fmt.Errorf("%s: %w", f.from, err)
		}
	} else {
		err := measure(ctx, &f.system, &f.pace, false, f.callers, nil, live, func(m *measuring) error {
			cfg := m.config(ctx, bench.ClosedLoop{}, "measuring:")
			cfg.Duration, cfg.Callers = f.duration, f.callers
			res, err := m.run(ctx, cfg)
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if more := f.lengthFor(res); more > 0 {
				cfg.Duration = more
				if res, err = m.run(ctx, cfg); errors.Join(err, ctx.Err()) != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			about = m.about()
			if err := runEnded(res, nil, live); err != nil {
				return err
			}
			return f.learn(res)
		})
		if err != nil {
			return err
		}
	}
	plan, err := capacity.Plan(ctx, f.o)
	if err != nil {
		return err
	}
	about.Settings = append(about.Settings, report.Setting{Name: "arrivals", Value: f.arrivals})
	var failed error
	if plan.Workers > 0 && f.check > 0 {
		failed = f.measureAnswer(ctx, plan, live)
	}
	return first(live, failed, f.out.end(report.Plan{About: about, PlanResult: plan}, stdout, live))
}

// lengthFor is how long to measure again, as there were too few calls for the SLO. It is 0 if
// there were enough, or if --duration says how long.
func (f *planFlags) lengthFor(res *bench.Result) time.Duration {
	need := f.slo.Needs()
	if f.given("duration") || res.Calls == 0 || res.Calls >= need {
		return 0
	}
	return time.Duration(1.2 * float64(need) / float64(res.Calls) * float64(f.duration))
}

// learn takes the times from the phases of a run. It has to be one whose calls did not wait
// for each other, as a plan reckons such waits itself, and of as many calls as the SLO needs.
func (f *planFlags) learn(res *bench.Result) error {
	queue, run, wake := res.Samples.Phases[phaseQueue], res.Samples.Phases[phaseRun], res.Samples.Phases[phaseWake]
	if queue == nil || run == nil || wake == nil || run.Count == 0 {
		return errors.New("expected a run with the phases queue, run and wake of its calls, which servers of redrpc tell; there are none")
	}
	if res.Verdict.State == bench.Invalid || res.Verdict.State == bench.Diverging {
		return codedf(exitInvalid, "expected a valid run, got one that is %s: %s", res.Verdict.State, strings.Join(res.Verdict.Reasons, "; "))
	}
	if need := f.slo.Needs(); run.Count < need {
		return codedf(exitInvalid, "expected %s calls or more for %s, got %s: measure for longer", figure.Grouped(need), f.slo, figure.Grouped(run.Count))
	}
	if why := waited(res, queue, run, wake); why != "" {
		return codedf(exitInvalid, "expected a run whose calls do not wait for each other, as of few callers with --concurrency: %s", why)
	}
	var err error
	if f.o.Run, err = capacity.FromSamples(run); err != nil {
		return err
	}
	f.o.Overhead, err = capacity.Measured(sums(queue, wake, f.pace.seed))
	return err
}

// waited says how calls waited for each other, if they did: for workers, or on their way,
// for much longer than the fastest and for a good part of the time that they ran.
func waited(res *bench.Result, queue, run, wake *bench.Samples) string {
	for _, u := range res.Resources {
		if u.Name == workersName && u.Utilization >= 0.5 {
			return fmt.Sprintf("the server's workers were %s busy", figure.Percent(u.Utilization))
		}
	}
	median := func(s *bench.Samples) time.Duration {
		d, _ := s.Rank((s.Count + 1) / 2)
		return d
	}
	overhead, least := median(queue)+median(wake), queue.Min+wake.Min
	if overhead > 5*least+time.Millisecond && overhead > median(run)/4 {
		return fmt.Sprintf("half of them took more than %s besides the %s that they ran, the fastest %s", figure.Duration(overhead), figure.Duration(median(run)), figure.Duration(least))
	}
	return ""
}

// sums are draws of the sum of two independent times.
func sums(a, b *bench.Samples, seed uint64) []time.Duration {
	const n = 1000
	// Samples from a report stay compressed; those of opened are not, so a rank is found at once.
	opened := func(s *bench.Samples) *bench.Samples {
		o := new(bench.Samples)
		o.Add(s)
		return o
	}
	a, b = opened(a), opened(b)
	rank := func(s *bench.Samples, i int) time.Duration {
		d, _ := s.Rank(1 + (s.Count-1)*int64(i)/(n-1))
		return d
	}
	other := rand.New(rand.NewPCG(seed, 0)).Perm(n)
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = rank(a, i) + rank(b, other[i])
	}
	return all
}

// measureAnswer sends the rate to so many workers as the plan says, and adds what was
// measured to it.
func (f *planFlags) measureAnswer(ctx context.Context, plan *capacity.PlanResult, live *liveLine) error {
	with := f.system
	with.workers = plan.Workers
	return measure(ctx, &with, &f.pace, true, f.pace.maxInFlight, nil, live, func(m *measuring) error {
		cfg := m.config(ctx, atRate(f.o.Rate, f.arrivals), fmt.Sprintf("checking %d workers:", plan.Workers))
		cfg.Duration = f.check
		res, err := m.run(ctx, cfg)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		plan.Check = capacity.Checked(f.slo, res)
		return nil
	})
}
