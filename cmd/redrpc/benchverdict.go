package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

const exitCodesHelp = `Exit codes: 0 fine, 1 could not run or nothing succeeded, 2 wrong flag or argument,
3 the SLO was missed, or a comparison found something worse, 4 the measurement is
invalid, or calls piled up so that it has no percentiles (with --slo that is 3).`

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

// verdict is the error that a run ends the command with: nil if it is fine, and meets
// the objective if there is one. It tells the findings.
func verdict(res *bench.Result, objective capacity.SLO, told io.Writer) error {
	if err := failure(res); err != nil {
		return err
	}
	reasons := strings.Join(res.Verdict.Reasons, "; ")
	if res.Verdict.State == bench.Invalid {
		return codedf(exitInvalid, "the measurement is invalid: %s", reasons)
	}
	var missed, unknown []string
	for _, f := range objective.Check(res) {
		switch {
		case !f.Known:
			unknown = append(unknown, f.Text)
		case !f.Met:
			missed = append(missed, f.Text)
		}
		fmt.Fprintf(told, "SLO %s: %s\n", f.Term, f.Text)
	}
	switch {
	case res.Verdict.State == bench.Diverging && objective != nil:
		return codedf(exitMissed, "the SLO %s was missed: calls pile up: %s", objective, reasons)
	case res.Verdict.State == bench.Diverging:
		return codedf(exitInvalid, "calls pile up, so there are no percentiles: %s", reasons)
	case missed != nil:
		return codedf(exitMissed, "the SLO %s was missed: %s", objective, strings.Join(missed, "; "))
	case unknown != nil:
		return codedf(exitInvalid, "whether the SLO %s was met is not known: %s", objective, strings.Join(unknown, "; "))
	}
	return nil
}
