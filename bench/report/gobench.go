package report

import (
	"fmt"
	"io"
	"strings"

	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

// WriteGoBench writes the run in Go's benchmark format, which benchstat compares: one
// line whose ns/op is the mean response time, with the other figures that the samples
// support. Several runs are written one after another. name is what was called; with
// the load it becomes the name of the benchmark, so that only like is compared with
// like. It matches ErrNoFigures if no call succeeded, or the run judged itself invalid
// or diverging.
func (r Report) WriteGoBench(w io.Writer, name string) error {
	r = r.Redacted()
	switch {
	case r.alarm() != "":
		return fmt.Errorf("report: benchmark format: %w: the run is %s", ErrNoFigures, r.Verdict.State)
	case r.Calls == 0 || r.Latency.Mean == nil:
		return fmt.Errorf("report: benchmark format: %w: no call was answered with success", ErrNoFigures)
	}
	var b strings.Builder
	procs := ""
	if e := r.Environment; e != nil {
		for _, c := range [][2]string{{"goos", e.OS}, {"goarch", e.Arch}, {"cpu", e.CPU}} {
			if c[1] != "" {
				fmt.Fprintf(&b, "%s: %s\n", c[0], terminal.Quoted(c[1]))
			}
		}
		if e.GOMAXPROCS > 1 {
			procs = fmt.Sprintf("-%d", e.GOMAXPROCS)
		}
	}
	if o := r.Objective; o != nil {
		fmt.Fprintf(&b, "slo: %s %s\n", terminal.Quoted(o.SLO), o.Outcome)
	}
	load := fmt.Sprintf("callers=%d", r.Callers)
	if r.OpenLoop {
		load = "rate=" + strings.ReplaceAll(figure.Rate(r.OfferedRate), ",", "")
	}
	var values strings.Builder
	add := func(unit, better string, v float64) {
		fmt.Fprintf(&b, "Unit %s better=%s\n", unit, better)
		fmt.Fprintf(&values, " %s %s", number(v), unit)
	}
	for _, c := range r.columns() {
		prefix := ""
		if c.name != "response" {
			prefix = c.name + "-"
		}
		for _, f := range figures {
			if us := f.of(&c.of); us != nil && f.quantile > 0 {
				add(prefix+f.key+"-ns", "lower", *us*1000)
			}
		}
	}
	add("calls/s", "higher", r.Throughput)
	add("errors/call", "lower", float64(r.Errors)/float64(r.Calls+r.Errors))
	fmt.Fprintf(&b, "BenchmarkRedrpc/%s/%s%s %d %s ns/op%s\n", benchName(name), load, procs, r.Calls, number(*r.Latency.Mean*1000), values.String())
	_, err := io.WriteString(w, b.String())
	return err
}

// benchName is a part of a benchmark's name: no blanks, and no slash.
func benchName(name string) string {
	return strings.ReplaceAll(column(name), "/", "_")
}
