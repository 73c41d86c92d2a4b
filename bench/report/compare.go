package report

import (
	"fmt"
	"io"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/figure"
)

// A Comparison is what repeated runs of B are against those of A. Its settings are those
// that both share.
type Comparison struct {
	About
	*capacity.Comparison
}

// WriteText writes it for people, as wide as that of a Report.
func (c Comparison) WriteText(w io.Writer) error { return c.page().writeText(w) }

// WriteJSON writes the objects "settings" and "environment", as of a Report, and "comparison".
func (c Comparison) WriteJSON(w io.Writer) error { return c.writeJSON(w, "comparison", c.Comparison) }

// WriteHTML writes a page for a browser that works offline.
func (c Comparison) WriteHTML(w io.Writer) error { return c.page().write(w) }

func (c Comparison) page() *page {
	p := &page{
		Title:     c.Comparison.B + " against " + c.Comparison.A,
		Subtitles: []string{fmt.Sprintf("%d and %d runs; differences with 95 %% confidence intervals", c.RunsB, c.RunsA)},
		Answer:    c.banner(),
		Footer:    footer,
	}
	if c.Interleaved {
		p.Subtitles[0] = fmt.Sprintf("%d and %d interleaved runs; differences with 95 %% confidence intervals", c.RunsB, c.RunsA)
	}
	for _, x := range c.Metrics {
		if x.Judgement == capacity.Unknown {
			continue
		}
		effect := signed(x.Effect)
		if x.Effect == nil {
			effect = "calls pile up"
		}
		if x.Judgement == capacity.NoDifference {
			p.Tiles = append(p.Tiles, tile{metricName(x.Metric), "no difference", "", fmt.Sprintf("%s, p=%.2g", effect, x.PValue)})
			continue
		}
		p.Tiles = append(p.Tiles, tile{metricName(x.Metric), effect, "", string(x.Judgement)})
	}
	p.Sections = []section{
		{Title: "Differences", Note: c.least(), Tables: []table{c.table()}},
		{Title: "Runs", Charts: []*chart{c.percentiles(), c.turns()}, Tables: []table{c.runs()}},
	}
	if len(c.Metrics) == 0 {
		p.Sections = p.Sections[1:]
	}
	if len(c.Differences) > 0 {
		t := table{Title: "Settings that differ", Text: true, Head: []string{"", c.Comparison.A, c.Comparison.B}}
		for _, d := range c.Differences {
			t.Rows = append(t.Rows, plain(words(d.Name), orNothing(d.A), orNothing(d.B)))
		}
		p.Sections = append(p.Sections, section{Title: "What was compared", Tables: []table{t}})
	}
	p.Sections = append(p.Sections, c.About.section())
	return p
}

func orNothing(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}

// least says what it takes to be a difference.
func (c Comparison) least() string {
	if c.MinEffect == 0 {
		return ""
	}
	return fmt.Sprintf("Differences below %s are not relevant, nor are those of the error rate below %.3g percentage points.", figure.Percent(c.MinEffect), 100*c.MinEffectErrors)
}

func (c Comparison) banner() *banner {
	b := &banner{Class: "valid", Title: "No difference", Text: "No significant difference that is relevant was found."}
	switch {
	case c.StopReason != "":
		b.Class, b.Title, b.Text = "bad", "NO ANSWER", sentence(c.StopReason)
	case c.Is(capacity.Worse):
		b.Class, b.Title, b.Text = "bad", "WORSE", c.Comparison.B+" is worse than "+c.Comparison.A+"."
	case c.Is(capacity.Better):
		b.Title, b.Text = "Better", c.Comparison.B+" is better than "+c.Comparison.A+"."
	case c.Is(capacity.Unknown):
		b.Class, b.Title, b.Text = "warning", "Unknown", "Not every metric could be compared."
	}
	for _, x := range c.Metrics {
		if x.Judgement != capacity.NoDifference {
			b.Reasons = append(b.Reasons, x.Text)
		}
	}
	if !c.Interleaved {
		b.Reasons = append(b.Reasons, "the runs were not interleaved, so a change on the machine between them looks like a difference")
	}
	var by others
	for _, r := range c.Runs {
		by.add(r.Machine, r.Disturbance)
	}
	if text := by.text("both sides may be faster on an idle machine"); text != "" {
		b.Reasons = append(b.Reasons, text)
	}
	return b
}

// signed is a share with its sign.
func signed(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%+.3g %%", 100**share)
}

func (c Comparison) table() table {
	t := table{Title: "By metric", Head: []string{"", c.Comparison.A, c.Comparison.B, "difference", "95 % CI", "p", "judgement"}}
	for _, x := range c.Metrics {
		class := map[capacity.Judgement]string{capacity.Better: "is-ok", capacity.Worse: "is-failed", capacity.Unknown: "is-warning"}[x.Judgement]
		if x.Judgement == capacity.Unknown {
			t.Rows = append(t.Rows, append(plain(metricName(x.Metric), "-", "-", "-", "-", "-"), cell{Text: string(x.Judgement), Class: class}))
			continue
		}
		between := ""
		if x.Effect != nil {
			between = signed(x.EffectLow) + " to " + signed(x.EffectHigh)
		}
		t.Rows = append(t.Rows, append(plain(metricName(x.Metric), medianText(x.Metric, x.A), medianText(x.Metric, x.B), signed(x.Effect),
			between, fmt.Sprintf("%.2g", x.PValue)), cell{Text: string(x.Judgement), Class: class}))
	}
	return t
}

func medianText(m capacity.Metric, v *float64) string {
	if v == nil {
		return "calls pile up"
	}
	return metricText(m, *v)
}

// runs is a row for each run, in the order in which they were made.
func (c Comparison) runs() table {
	t := table{Title: "In order", Head: []string{"run", "side", "calls/s", "p50", "p99", "errors", "verdict"}}
	for n, r := range c.Runs {
		verdict := bench.Verdict{State: r.State}
		of := Report{Result: &bench.Result{Verdict: verdict}}
		t.Rows = append(t.Rows, append(plain(fmt.Sprint(n+1), r.Side, figure.Rate(r.Throughput), figure.Microseconds(of.known(figures[2], &r.Latency)),
			figure.Microseconds(of.known(figures[5], &r.Latency)), figure.Percent(r.ErrorShare)), stateCell(verdict)))
	}
	return t
}

// sides calls see for each side with its number, name and runs.
func (c Comparison) sides(see func(n int, name string, runs []capacity.ComparedRun)) {
	for n, name := range []string{c.Comparison.A, c.Comparison.B} {
		var runs []capacity.ComparedRun
		for _, r := range c.Runs {
			if r.Side == []string{"A", "B"}[n] {
				runs = append(runs, r)
			}
		}
		see(n, name, runs)
	}
}

// percentiles draws all calls of each side.
func (c Comparison) percentiles() *chart {
	p := newPercentileChart("Percentiles of all calls", "Of all runs of a side together. How sure the differences are is in the table: calls of one run are not independent.")
	c.sides(func(n int, name string, runs []capacity.ComparedRun) {
		all := bench.NewSamples()
		for _, r := range runs {
			if r.Response != nil {
				all.Add(r.Response)
			}
		}
		if all.Count > 0 {
			p.addPercentiles(name, []int{colorLag, colorResponse}[n], all, false)
		}
	})
	p.Summary = fmt.Sprintf("Percentile curves of %s and %s.", c.Comparison.A, c.Comparison.B)
	return p
}

// turns draws the p99 of each run.
func (c Comparison) turns() *chart {
	t := &chart{Title: "p99 of each run", X: axis{Label: "run of a side", Scale: "linear", Format: "number", Max: float64(max(c.RunsA, c.RunsB)) + 0.5},
		Y: axis{Label: "latency", Scale: "log", Format: "us"}, Summary: "p99 of each run of both sides."}
	c.sides(func(n int, name string, runs []capacity.ComparedRun) {
		s := series{Name: name, Kind: "points", Color: []int{colorLag, colorResponse}[n]}
		for i, r := range runs {
			s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, known(r.Latency.P99))
		}
		t.Series = append(t.Series, s)
	})
	return t
}
