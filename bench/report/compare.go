package report

import (
	"fmt"
	"io"
	"math"

	"redrpc/bench"
	"redrpc/bench/capacity"
)

// A Comparison is what repeated runs of B are against those of A. The runs may be left
// out; with them their times are drawn.
type Comparison struct {
	About
	*capacity.Comparison
	A, B []*bench.Result
}

// WriteText writes it for people, in at most 100 columns.
func (c Comparison) WriteText(w io.Writer) error { return c.page().writeText(w) }

// WriteJSON writes the objects "run" and "environment", as of a Report, and "comparison".
func (c Comparison) WriteJSON(w io.Writer) error { return c.writeJSON(w, "comparison", c.Comparison) }

// WriteHTML writes a page for a browser that works offline.
func (c Comparison) WriteHTML(w io.Writer) error { return c.page().write(w) }

func (c Comparison) page() *page {
	p := &page{
		Title:     c.Comparison.B + " against " + c.Comparison.A,
		Subtitles: []string{fmt.Sprintf("%d and %d runs that took turns; the differences have intervals of 95 %%", c.RunsB, c.RunsA)},
		Verdict:   c.banner(),
		Footer:    footer,
	}
	for _, x := range c.Contrasts {
		if x.Judgement == capacity.Unknown {
			continue
		}
		p.Tiles = append(p.Tiles, tile{metricName(x.Metric), signed(x.Effect), "", string(x.Judgement)})
	}
	p.Sections = []section{
		{Title: "Differences", Tables: []table{c.table()}},
		{Title: "Runs", Charts: []*chart{c.percentiles(), c.turns()}},
		c.About.section(),
	}
	return p
}

func (c Comparison) banner() *banner {
	b := &banner{Class: "valid", Title: "No difference", Text: "None was shown that matters."}
	switch {
	case c.Is(capacity.Worse):
		b.Class, b.Title, b.Text = "bad", "WORSE", c.Comparison.B+" is worse than "+c.Comparison.A+"."
	case c.Is(capacity.Better):
		b.Title, b.Text = "Better", c.Comparison.B+" is better than "+c.Comparison.A+"."
	case c.Is(capacity.Unknown):
		b.Class, b.Title, b.Text = "warning", "Unknown", "Not every metric could be compared."
	}
	for _, x := range c.Contrasts {
		if x.Judgement != capacity.NoDifference {
			b.Reasons = append(b.Reasons, x.Text)
		}
	}
	return b
}

// signed is a share with its sign.
func signed(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return "-"
	}
	return fmt.Sprintf("%+.1f %%", 100*share)
}

func (c Comparison) table() table {
	t := table{Title: "By metric", Head: []string{"", c.Comparison.A, c.Comparison.B, "difference", "95 % interval", "p", "judgement"}}
	for _, x := range c.Contrasts {
		class := map[capacity.Judgement]string{capacity.Better: "is-ok", capacity.Worse: "is-failed", capacity.Unknown: "is-warning"}[x.Judgement]
		if x.Judgement == capacity.Unknown {
			t.Rows = append(t.Rows, append(plain(metricName(x.Metric), "-", "-", "-", "-", "-"), cell{Text: string(x.Judgement), Class: class}))
			continue
		}
		t.Rows = append(t.Rows, append(plain(metricName(x.Metric), metricText(x.Metric, x.A), metricText(x.Metric, x.B), signed(x.Effect),
			signed(x.Low)+" to "+signed(x.High), fmt.Sprintf("%.2g", x.P)), cell{Text: string(x.Judgement), Class: class}))
	}
	return t
}

// percentiles draws all calls of each side.
func (c Comparison) percentiles() *chart {
	p := newPercentileChart("Percentiles of all calls", "Of all runs of a side together. How sure the differences are is in the table: calls of one run are not independent.")
	for n, side := range [][]*bench.Result{c.A, c.B} {
		all := bench.NewSamples()
		for _, r := range side {
			if r.Samples.Response != nil {
				all.Add(r.Samples.Response)
			}
		}
		if all.Count > 0 {
			p.addPercentiles([]string{c.Comparison.A, c.Comparison.B}[n], []int{colorLag, colorResponse}[n], all, false)
		}
	}
	p.Summary = fmt.Sprintf("Percentile curves of %s and %s.", c.Comparison.A, c.Comparison.B)
	return p
}

// turns draws the p99 of each run.
func (c Comparison) turns() *chart {
	t := &chart{Title: "p99 of each run", X: axis{Label: "turn", Scale: "linear", Format: "number", Max: float64(max(len(c.A), len(c.B))) + 0.5},
		Y: axis{Label: "took at most", Scale: "log", Format: "us"}, Summary: "p99 of each run of both sides."}
	for n, side := range [][]*bench.Result{c.A, c.B} {
		s := series{Name: []string{c.Comparison.A, c.Comparison.B}[n], Kind: "points", Color: []int{colorLag, colorResponse}[n]}
		for i, r := range side {
			s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, known(r.Latency.P99))
		}
		t.Series = append(t.Series, s)
	}
	return t
}
