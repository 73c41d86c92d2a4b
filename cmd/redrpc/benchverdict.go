package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/bench/report"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

const exitCodesHelp = `Exit codes: 0 success, 1 could not run or nothing succeeded, 2 wrong flag or argument,
3 the SLO was missed, or a comparison found something worse, 4 the measurement is invalid
or inconclusive, or calls piled up (with --slo that is 3).`

// A coded error is one with an exit code of its own.
type coded struct {
	code int
	error
}

func codedf(code int, format string, args ...any) error {
	return coded{code, fmt.Errorf(format, args...)}
}

// slo takes a service level objective.
func slo(to *capacity.SLO) value[capacity.SLO] {
	return value[capacity.SLO]{to, "TERMS", capacity.ParseSLO}
}

// failure says why a run gave no latencies, if it did not.
func failure(res *bench.Result) error {
	window := time.Duration(res.DurationS * float64(time.Second)).Round(time.Millisecond)
	switch {
	case res.Calls > 0:
		return nil
	case res.Errors > 0:
		return errors.New("no call was answered with success")
	case res.Interrupted:
		return errors.New("nothing was measured: interrupted before a call was sent in the measured window")
	case res.OpenLoop:
		return fmt.Errorf("no call was sent in the measured window of %v: lengthen --duration or raise the rate", window)
	}
	return fmt.Errorf("no call was sent in the measured window of %v: calls take longer than it; lengthen --duration (or shorten --warmup)", window)
}

// sampleOf is an error of a run, the most frequent one.
func sampleOf(res *bench.Result) string {
	most := ""
	for kind, n := range res.ErrorsByKind {
		if most == "" || n > res.ErrorsByKind[most] {
			most = kind
		}
	}
	return joinedText(", such as: ", fmt.Sprintf("%s of %s ended with %s", figure.Grouped(res.ErrorsByKind[most]), figure.Grouped(res.Calls+res.Errors), most), res.ErrorSamples[most])
}

// ended is the error that a report ends the command with: nil if what it says is fine.
// It is the same for the command that measured and for one that reads the report.
func ended(doc report.Document, told io.Writer) error {
	switch d := doc.(type) {
	case report.Report:
		return runEnded(d.Result, d.Objective, told)
	case report.Sweep:
		return sweepEnded(d.SweepResult)
	case report.Search:
		return searchEnded(d.SearchResult)
	case report.Plan:
		return planEnded(d.PlanResult, told)
	case report.Comparison:
		return comparisonEnded(d.Comparison)
	}
	panic(fmt.Sprintf("redrpc: a report of a new kind, %T", doc)) // a mistake in this program
}

func runEnded(res *bench.Result, objective *capacity.Objective, told io.Writer) error {
	if err := failure(res); err != nil {
		return err
	}
	reasons := strings.Join(res.Verdict.Reasons, "; ")
	switch {
	case res.Verdict.State == bench.Invalid:
		return codedf(exitInvalid, "the measurement is invalid: %s", reasons)
	case objective != nil:
		return objectiveEnded(objective, told)
	case res.Verdict.State == bench.Diverging:
		return codedf(exitInvalid, "calls pile up, so there are no percentiles: %s", reasons)
	}
	return nil
}

// objectiveEnded tells the findings, too.
func objectiveEnded(o *capacity.Objective, told io.Writer) error {
	for _, f := range o.Terms {
		fmt.Fprintf(told, "SLO %s: %s\n", f.Term, terminal.Text(f.Text))
	}
	switch reasons := strings.Join(o.Reasons, "; "); o.Outcome {
	case capacity.Met:
		return nil
	case capacity.Missed:
		return codedf(exitMissed, "the SLO %s was missed: %s", o.SLO, reasons)
	default:
		return codedf(exitInvalid, "whether the SLO %s was met is not known: %s", o.SLO, reasons)
	}
}

func sweepEnded(c *capacity.SweepResult) error {
	valid := slices.ContainsFunc(c.Points, func(p capacity.SweepPoint) bool { return p.Verdict.State != bench.Invalid })
	switch {
	case c.StopReason != "":
		return codedf(exitInvalid, "the sweep stopped after %d loads: %s", len(c.Points), c.StopReason)
	case !valid:
		return codedf(exitInvalid, "the measurement is invalid at every load")
	}
	return nil
}

func searchEnded(f *capacity.SearchResult) error {
	why := joinedText("; ", f.LimitingFactor, f.StopReason)
	switch f.Answer() {
	case capacity.Confirmed:
		return nil
	case capacity.Unconfirmed:
		return codedf(exitInvalid, "%s/s met the SLO %s, but was not confirmed: %s", figure.Rate(f.HighestMet), f.SLO, f.StopReason)
	case capacity.NotMet:
		return codedf(exitMissed, "no rate met the SLO %s: %s", f.SLO, why)
	default:
		return codedf(exitInvalid, "no answer, at which rates the SLO %s is met is not known: %s", f.SLO, why)
	}
}

func planEnded(n *capacity.PlanResult, told io.Writer) error {
	switch {
	case n.Workers == 0:
		return codedf(exitMissed, "%s/s with %s: %s", figure.Rate(n.Rate), n.SLO, n.Reason)
	case n.Check != nil:
		return objectiveEnded(&n.Check.Objective, told)
	}
	return nil
}

func comparisonEnded(c *capacity.Comparison) error {
	var worse []string
	for _, x := range c.Metrics {
		if x.Judgement == capacity.Worse {
			worse = append(worse, x.Text)
		}
	}
	switch {
	case c.StopReason != "":
		return codedf(exitInvalid, "no answer: %s", c.StopReason)
	case worse != nil:
		return codedf(exitMissed, "%s is worse than %s: %s", c.B, c.A, strings.Join(worse, "; "))
	}
	return nil
}

// joinedText joins the texts that are not empty.
func joinedText(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), separator)
}
