package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
)

// compareFlags are the flags of redrpc bench compare.
type compareFlags struct {
	out             reportFlags
	a, b            []string // words of flags
	runs            int
	seed            uint64
	metrics         []capacity.Metric
	minEffect       float64 // that matter
	minEffectErrors float64 // percentage points of errors that matter
	mayDiffer       []string
	getenv          func(string) string
}

func newCompare(getenv func(string) string) *cobra.Command {
	f := &compareFlags{runs: 6, seed: 1, minEffect: 1, minEffectErrors: 0.1, getenv: getenv}
	cmd := &cobra.Command{
		Use:   "compare A B | compare --a FLAGS --b FLAGS [-- FLAGS]",
		Short: "Compare two versions statistically",
		Long: `Compare B with A by repeated runs of both, and say of each metric whether B is better,
worse, or not shown to differ. One run is one observation; the metrics that are compared
by default need at least 5 runs of each side.

A and B are JSON reports of redrpc bench: files and patterns by commas, or a directory.
Or they are flags of redrpc bench: then runs of both are interleaved, so that changes on
the machine affect both; flags after -- are for both.

Reports with different settings are refused, except for settings named by --may-differ. The
judgements on all metrics together have a confidence of 95 %.

` + exitCodesHelp,
		Example: `  redrpc bench compare before/ after/
  redrpc bench compare 'before-*.json' 'after-*.json' --may-differ server_workers
  redrpc bench compare --a '--server-workers 16' --b '--server-workers 64' -- --rate 500 --func sleep -d 3s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args, newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(flagWords(&f.a), "a", "flags of redrpc bench for side A, as one argument")
	flags.Var(flagWords(&f.b), "b", "flags of redrpc bench for side B, as one argument")
	flags.Var(count(&f.runs, 1, 1000), "runs", "runs of each side")
	flags.Var(seed(&f.seed), "seed", "random seed of the order of the runs")
	flags.Var(metricList(&f.metrics), "metrics", "what to compare: p50, p90, p95, p99, p999, mean, max, errors, throughput (default throughput,p50,p95,p99,errors)")
	flags.Var(percentage(&f.minEffect), "min-effect", "smallest relevant difference, in percent")
	flags.Var(percentage(&f.minEffectErrors), "min-effect-errors", "smallest relevant difference of the error rate, in percentage points")
	flags.Var(nameList(&f.mayDiffer), "may-differ", "settings, by their names in the reports, in which the sides may differ")
	f.out.register(cmd, answerForms)
	return cmd
}

// flagWords takes words as a shell does.
func flagWords(to *[]string) value[[]string] {
	return value[[]string]{to, "FLAGS", splitWords}
}

func metricList(to *[]capacity.Metric) value[[]capacity.Metric] {
	all := []capacity.Metric{capacity.P50, capacity.P90, capacity.P95, capacity.P99, capacity.P999, capacity.Mean, capacity.Max, capacity.Errors, capacity.Throughput}
	return value[[]capacity.Metric]{to, "LIST", func(s string) ([]capacity.Metric, error) {
		var list []capacity.Metric
		for name := range strings.SplitSeq(s, ",") {
			m := capacity.Metric(name)
			if !slices.Contains(all, m) || slices.Contains(list, m) {
				return nil, fmt.Errorf("expected some of %s by commas, each once", joined(all))
			}
			list = append(list, m)
		}
		return list, nil
	}}
}

func joined[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

func nameList(to *[]string) value[[]string] {
	return value[[]string]{to, "NAMES", func(s string) ([]string, error) {
		if s == "" {
			return nil, errors.New("expected names by commas")
		}
		return strings.Split(s, ","), nil
	}}
}

// incidental are settings that say nothing of how a run was made.
var incidental = []string{"prefix", "connections", "note", "redrpc", "slo", "process"}

// A side is the runs of A or B, and their settings.
type side struct {
	capacity.Side
	about report.About
}

// set takes over how a run was made. All runs of a side have to be made alike.
func (s *side) set(about report.About) error {
	settings := make(map[string]any)
	for _, x := range about.Settings {
		if !slices.Contains(incidental, x.Name) {
			settings[x.Name] = setting(about.Settings, x.Name)
		}
	}
	if e := about.Environment; e != nil { // figures of different machines say nothing of the sides
		settings["cpu"], settings["cores"], settings["system"] = e.CPU, e.Cores, strings.TrimSpace(e.OS+"/"+e.Arch+" "+e.Kernel)
		settings["processors"] = e.GOMAXPROCS
	}
	if s.Settings == nil {
		s.Settings, s.about = settings, about
	}
	for name := range settings {
		if settings[name] != s.Settings[name] {
			return fmt.Errorf("the runs of %s were not made alike: %s is %v and %v", s.Name, name, s.Settings[name], settings[name])
		}
	}
	return nil
}

func (f *compareFlags) run(cmd *cobra.Command, args []string, live *liveLine) error {
	given := cmd.Flags().Changed
	here := given("a") || given("b")
	switch dash := cmd.ArgsLenAtDash(); {
	case here && (!given("a") || !given("b")):
		return usagef("--a and --b: expected both, or two sets of reports instead")
	case here && dash != 0 && len(args) > 0:
		return usagef("--a and --b: expected no reports beside them, and flags for both behind --; got %s", shown(args[0]))
	case !here && (len(args) != 2 || dash >= 0):
		return usagef("%s: expected two sets of reports, A and B, or --a and --b; got %d", nameOf(cmd), len(args))
	case !here && given("runs"):
		return usagef("--runs: expected together with --a and --b")
	}
	if err := f.out.check(cmd.OutOrStdout()); err != nil {
		return err
	}
	if need := capacity.RunsNeeded(len(f.metrics)); here && f.runs < need {
		return usagef("--runs: expected %d or more, to tell anything about these metrics; got %d", need, f.runs)
	}
	var a, b *side
	var err error
	may := slices.Clone(f.mayDiffer)
	if here {
		a, b, err = f.measure(cmd.Context(), args, live)
		if a != nil && err != nil && len(a.Runs)+len(b.Runs) > 0 {
			return f.stopped(cmd, a, b, err, live)
		}
		if err == nil { // what differs was asked for
			may = []string{"load_model", "callers", "max_in_flight", "warmup_s"}
			for _, s := range []*side{a, b} {
				for name := range s.Settings {
					may = append(may, name)
				}
			}
		}
	} else {
		a, b, err = readSides(args[0], args[1], cmd.InOrStdin())
	}
	if err != nil {
		return invalidCoded(err)
	}
	c, err := capacity.Compare(a.Side, b.Side, capacity.CompareOptions{MayDiffer: may, Metrics: f.metrics, MinEffect: f.minEffect / 100, MinEffectErrors: f.minEffectErrors / 100})
	if different, ok := errors.AsType[*capacity.DifferentError](err); ok {
		var names []string
		for _, d := range different.Differences {
			names = append(names, d.Name)
		}
		return fmt.Errorf("%w; if that is what you compare, say --may-differ %s", err, strings.Join(names, ","))
	}
	if err != nil {
		return invalidCoded(err)
	}
	return f.out.end(report.Comparison{About: a.shared(c.Differences), Comparison: c}, cmd.OutOrStdout(), live)
}

// stopped reports the runs that there are of a comparison that an error has ended.
func (f *compareFlags) stopped(cmd *cobra.Command, a, b *side, err error, live *liveLine) error {
	why := strings.TrimPrefix(err.Error(), "capacity: ")
	if cmd.Context().Err() != nil {
		why = "it was interrupted"
	}
	c := capacity.Incomplete(a.Side, b.Side, why)
	ended := f.out.end(report.Comparison{About: a.shared(nil), Comparison: c}, cmd.OutOrStdout(), live)
	if errors.Is(err, capacity.ErrInvalid) || cmd.Context().Err() != nil {
		return ended
	}
	return err
}

// invalidCoded gives an error about an invalid run its exit code.
func invalidCoded(err error) error {
	if errors.Is(err, capacity.ErrInvalid) {
		return coded{exitInvalid, err}
	}
	return err
}

// shared is what both sides were made of, but for what differs, and how they were compared.
func (s *side) shared(but []capacity.Difference) report.About {
	about := report.About{}
	for _, x := range s.about.Settings {
		if !slices.ContainsFunc(but, func(d capacity.Difference) bool { return d.Name == x.Name }) {
			about.Settings = append(about.Settings, x)
		}
	}
	if s.about.Environment != nil {
		e := *s.about.Environment
		e.Command = report.RedactArgs(os.Args)
		about.Environment = &e
	}
	return about
}

func readSides(a, b string, stdin io.Reader) (*side, *side, error) {
	var sides []*side
	for _, text := range []string{a, b} {
		paths, err := reportPaths(text)
		if err != nil {
			return nil, nil, err
		}
		reports, err := readReportFiles(paths, stdin)
		if err != nil {
			return nil, nil, err
		}
		s := &side{Side: capacity.Side{Name: text}}
		for _, r := range reports {
			if err := s.set(report.About{Settings: r.Settings, Environment: r.Environment}); err != nil {
				return nil, nil, err
			}
			s.Runs = append(s.Runs, r.Result)
		}
		sides = append(sides, s)
	}
	return sides[0], sides[1], nil
}

// measure makes runs of both sides, each of a system of its own.
func (f *compareFlags) measure(ctx context.Context, both []string, live *liveLine) (a, b *side, err error) {
	sides := []*side{{Side: capacity.Side{Name: "A"}}, {Side: capacity.Side{Name: "B"}}}
	var runs []func(context.Context) (*bench.Result, error)
	done := 0
	for i, own := range [][]string{f.a, f.b} {
		s := sides[i]
		if len(own) > 0 {
			s.Name += " (" + strings.Join(report.RedactArgs(own), " ") + ")"
		}
		of, err := f.parse(append(slices.Clone(both), own...))
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--%s: %w", strings.ToLower(s.Name[:1]), err)}
		}
		runs = append(runs, func(ctx context.Context) (res *bench.Result, err error) {
			done++
			note := fmt.Sprintf("run %d of %d, %s:", done, 2*f.runs, s.Name[:1])
			err = measure(ctx, &of.system, &of.load.pace, of.load.isOpen(), of.load.atATime(), of.load.replay, live, func(m *measuring) error {
				if res, err = m.run(ctx, of.config(ctx, m, note)); err != nil {
					return err
				}
				return s.set(m.about())
			})
			return res, err
		})
	}
	sides[0].Runs, sides[1].Runs, err = capacity.Interleave(ctx, f.runs, f.seed, nil, runs[0], runs[1])
	return sides[0], sides[1], err
}

// parse reads flags of redrpc bench.
func (f *compareFlags) parse(words []string) (*benchFlags, error) {
	of := new(benchFlags)
	cmd := &cobra.Command{Use: "bench"}
	cmd.Flags().SortFlags = false
	cmd.SetFlagErrorFunc(flagError)
	of.load.register(cmd)
	of.load.duration = 3 * time.Second
	of.system.register(cmd, f.getenv, 5*time.Second)
	if err := cmd.ParseFlags(words); err != nil {
		return nil, flagError(cmd, err)
	}
	if rest := cmd.Flags().Args(); len(rest) > 0 {
		return nil, usagef("expected flags of redrpc bench, got %s", shown(rest[0]))
	}
	for _, flag := range []string{"start-at", "instance"} {
		if of.load.given(flag) {
			return nil, usagef("--%s: expected without, as runs are interleaved here", flag)
		}
	}
	return of, of.check()
}
