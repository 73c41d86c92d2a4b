package capacity

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"redrpc/bench"
	"redrpc/internal/figure"
)

// A page is text for people: a name on the left of each line, and tables.
type page struct{ b strings.Builder }

func (p *page) line(name, format string, args ...any) {
	fmt.Fprintf(&p.b, "%-14s %s\n", name, strings.TrimRight(printable(fmt.Sprintf(format, args...)), " "))
}

// printable leaves out what could move a terminal's cursor: reasons may quote what came
// over a network.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (p *page) blank() { p.b.WriteByte('\n') }

// table writes rows in columns, the first row being their names.
func (p *page) table(name string, rows [][]string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, printable(cell))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes all
	for line := range strings.Lines(b.String()) {
		p.line(name, "%s", strings.TrimRight(line, "\n"))
		name = ""
	}
}

func (p *page) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

// WriteText writes the answer and every trial, for people.
func (f *Found) WriteText(w io.Writer) error {
	var p page
	p.line("objective", "%s", f.SLO)
	switch {
	case f.Confirmed:
		p.line("answer", "%s, confirmed by a trial of %v", Throughput.format(f.Met), round(f.Probes[len(f.Probes)-1].Length))
	case f.Met > 0:
		p.line("answer", "%s, not confirmed by a long trial", Throughput.format(f.Met))
	default:
		p.line("answer", "no rate that was tried met it")
	}
	if f.Missed > 0 {
		p.line("too much", "%s", f.Limit)
	} else if f.Limit != "" {
		p.line("limit", "%s", f.Limit)
	}
	if f.Stopped != "" {
		p.line("stopped", "%s", f.Stopped)
	}
	p.blank()
	rows := [][]string{{"rate", "window", "outcome", "why"}}
	for _, probe := range f.Probes {
		why := probe.Reasons
		for _, finding := range probe.Findings {
			if probe.Outcome == Met {
				why = append(why, finding.Text)
			}
		}
		rows = append(rows, []string{Throughput.format(probe.Load), round(probe.Length).String(), string(probe.Outcome), strings.Join(why, "; ")})
	}
	p.table("trials", rows)
	return p.writeTo(w)
}

// WriteText writes the points, the knee and the law, for people.
func (c *Curve) WriteText(w io.Writer) error {
	var p page
	load := "rate"
	if c.Callers {
		load = "callers"
	}
	rows := [][]string{{load, "throughput", "p50", "p99", "errors", ""}}
	for _, point := range c.Points {
		var notes []string
		if c.Knee != nil && *c.Knee == point.Load {
			notes = append(notes, "knee")
		}
		if s := point.Verdict.State; s != bench.Valid {
			notes = append(notes, strings.ToUpper(string(s)))
		}
		rows = append(rows, []string{figure.Rate(point.Load), Throughput.format(point.Throughput),
			figure.Microseconds(point.Latency.P50), figure.Microseconds(point.Latency.P99),
			figure.Percent(point.ErrorShare), strings.Join(notes, ", ")})
	}
	p.table("curve", rows)
	p.blank()
	if c.Knee != nil {
		p.line("knee", "the %s rises steeply from %s %s on", c.KneeOf, figure.Rate(*c.Knee), word(c.Callers, "callers", "calls/s"))
	} else {
		p.line("knee", "none: %s", c.KneeWhy)
	}
	if !c.Callers {
		return p.writeTo(w)
	}
	if c.USL == nil {
		p.line("scalability", "no law: %s", c.USLWhy)
		return p.writeTo(w)
	}
	u := c.USL
	p.line("scalability", "X(N) = %s N / (1 + %.3g (N-1) + %.3g N (N-1)) calls/s of N callers", figure.Rate(u.Lambda), u.Sigma, u.Kappa)
	p.line("", "contention %s, coherence %s, R2 %.4f, largest residual %s",
		figure.Percent(u.Sigma), figure.Percent(u.Kappa), u.R2, Throughput.format(largest(u.Residuals)))
	switch {
	case u.PeakN > 0:
		p.line("", "most: %s at %s callers", Throughput.format(u.PeakX), figure.Rate(math.Round(u.PeakN)))
	case u.PeakX > 0:
		p.line("", "it approaches %s", Throughput.format(u.PeakX))
	}
	return p.writeTo(w)
}

func largest(xs []float64) float64 {
	var most float64
	for _, x := range xs {
		most = max(most, math.Abs(x))
	}
	return most
}

// WriteText writes the answer, what each number of workers does, and the assumptions,
// for people.
func (n *Needed) WriteText(w io.Writer) error {
	var p page
	p.line("objective", "%s at %s", n.SLO, Throughput.format(n.Rate))
	if n.Workers > 0 {
		p.line("answer", "%s workers, of which %.1f are busy on average", figure.Grouped(int64(n.Workers)), n.Busy)
	} else {
		p.line("answer", "none: %s", n.Why)
	}
	p.blank()
	if len(n.Predictions) > 0 {
		rows := [][]string{{"workers", "busy", "wait p99", "p50", "p99", "outcome"}}
		for _, k := range n.Predictions {
			row := []string{figure.Grouped(int64(k.Workers)), figure.Percent(k.Utilisation)}
			if k.Latency == nil {
				rows = append(rows, append(row, "-", "-", "-", "missed: "+k.Why))
				continue
			}
			var why []string
			for _, f := range k.Findings {
				if f.Met == k.Met {
					why = append(why, f.Text)
				}
			}
			rows = append(rows, append(row, figure.Microseconds(k.Wait.P99), figure.Microseconds(k.Latency.P50),
				figure.Microseconds(k.Latency.P99), word(k.Met, "met: ", "missed: ")+strings.Join(why, "; ")))
		}
		p.table("prediction", rows)
		p.blank()
	}
	name := "assumptions"
	for _, a := range n.Assumptions {
		p.line(name, "%s", a)
		name = ""
	}
	return p.writeTo(w)
}

// WriteText writes a line for each metric, for people.
func (c *Comparison) WriteText(w io.Writer) error {
	var p page
	p.line("comparison", "%s (%d runs) against %s (%d runs)", c.B, c.RunsB, c.A, c.RunsA)
	p.blank()
	rows := [][]string{{"", "judgement", "difference"}}
	for _, x := range c.Contrasts {
		rows = append(rows, []string{string(x.Metric), string(x.Judgement), x.Text})
	}
	p.table("metrics", rows)
	return p.writeTo(w)
}

// round is for times to read.
func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
