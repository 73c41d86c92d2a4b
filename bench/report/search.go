package report

import (
	"fmt"
	"io"
	"time"

	"redrpc/bench/capacity"
	"redrpc/internal/figure"
)

// A Search is what a search for the greatest rate that meets an SLO found, and what was
// run to find it.
type Search struct {
	About
	*capacity.SearchResult
}

// WriteText writes it for people, as wide as that of a Report.
func (s Search) WriteText(w io.Writer) error { return s.page().writeText(w) }

// WriteJSON writes the objects "settings" and "environment", as of a Report, and "search".
func (s Search) WriteJSON(w io.Writer) error {
	found := *s.SearchResult
	if found.Best != nil {
		found.Best = Report{Result: found.Best}.Redacted().Result
	}
	return s.writeJSON(w, "search", found)
}

// WriteHTML writes a page for a browser that works offline.
func (s Search) WriteHTML(w io.Writer) error { return s.page().write(w) }

func (s Search) page() *page {
	p := &page{
		Title:     "Capacity: maximum rate that meets " + s.SLO,
		Subtitles: []string{fmt.Sprintf("%d trials", len(s.Trials))},
		Verdict:   s.banner(),
		Footer:    footer,
		Sections: []section{
			{Title: "Trials", Charts: []*chart{s.orderChart(), s.valueChart()}, Tables: []table{s.table()}},
		},
	}
	p.Tiles = []tile{{"Maximum rate", "-", "", "that meets " + s.SLO}}
	if s.HighestMet > 0 {
		p.Tiles[0].Value, p.Tiles[0].Unit = figure.Rate(s.HighestMet), "calls/s"
	}
	if s.LowestMissed > 0 {
		p.Tiles = append(p.Tiles, tile{"Lowest missed", figure.Rate(s.LowestMissed), "calls/s", "lowest rate that missed it"})
	}
	if s.Best != nil {
		best := Report{Result: s.Best}.Redacted()
		p.Tiles = append(p.Tiles, best.tiles()[1:]...)
		l := best.latencySection()
		l.Title = fmt.Sprintf("Latency at %s calls/s", figure.Rate(s.HighestMet))
		p.Sections = append(p.Sections, l, best.timeSection(), best.phaseSection(), best.resourceSection())
	}
	p.Sections = append(p.Sections, s.About.section())
	return p
}

func (s Search) banner() *banner {
	b := &banner{Class: "warning", Title: "Not confirmed"}
	switch s.Answer() {
	case capacity.NoAnswer:
		b.Class, b.Title, b.Text = "bad", "NO ANSWER", "What was measured does not tell at which rates "+s.SLO+" is met."
	case capacity.NotMet:
		b.Class, b.Title, b.Text = "bad", "NOT MET", "No rate that was tried meets "+s.SLO+"."
	case capacity.Confirmed:
		b.Class, b.Title, b.Text = "valid", "Confirmed", fmt.Sprintf("A long trial of its own meets %s at %s calls/s.", s.SLO, figure.Rate(s.HighestMet))
	default:
		b.Text = fmt.Sprintf("%s calls/s met %s in a short trial only.", figure.Rate(s.HighestMet), s.SLO)
	}
	if s.LimitingFactor != "" {
		b.Reasons = append(b.Reasons, "limiting factor: "+s.LimitingFactor)
	}
	if s.StopReason != "" {
		b.Reasons = append(b.Reasons, "the search stopped early: "+s.StopReason)
	}
	var by others
	for _, p := range s.Trials {
		by.add(p.Machine, p.Disturbance)
	}
	if text := by.text("the true maximum rate may be higher"); text != "" {
		b.Reasons = append(b.Reasons, text)
	}
	return b
}

// byOutcome shares points out among the series of their outcomes.
func (s Search) byOutcome(at func(int, capacity.SearchTrial) (x, y float64, ok bool)) []series {
	met := series{Name: "met", Kind: "points", Color: colorMore}
	missed := series{Name: "missed", Kind: "points", Color: colorErrors}
	other := series{Name: "invalid or undecided", Kind: "points", Color: colorLag, Hollow: true}
	for n, p := range s.Trials {
		to := &other
		switch p.Outcome {
		case capacity.Met:
			to = &met
		case capacity.Missed:
			to = &missed
		}
		if x, y, ok := at(n, p); ok {
			to.X, to.Y = append(to.X, x), append(to.Y, y)
		}
	}
	return []series{met, missed, other}
}

func (s Search) orderChart() *chart {
	if len(s.Trials) == 0 {
		return nil
	}
	c := &chart{Title: "Rates in the order in which they were tried", X: axis{Label: "trial", Scale: "linear", Format: "number", Max: float64(len(s.Trials)) + 0.5},
		Y: axis{Label: "calls per second", Scale: "linear", Format: "number"}, Summary: fmt.Sprintf("%d trials; %s calls/s met the objective.", len(s.Trials), figure.Rate(s.HighestMet))}
	c.Series = s.byOutcome(func(n int, p capacity.SearchTrial) (float64, float64, bool) { return float64(n + 1), p.Rate, true })
	if s.HighestMet > 0 {
		line := series{Name: "highest that met", Kind: "line", Color: colorMore, Dashed: true}
		for n := range s.Trials {
			line.X, line.Y = append(line.X, float64(n+1)), append(line.Y, s.HighestMet)
		}
		c.Series = append([]series{line}, c.Series...)
	}
	return c
}

// valueChart shows the first time of the SLO over the rate, with its limit.
func (s Search) valueChart() *chart {
	term := -1
	var of capacity.Term
	for _, p := range s.Trials {
		for i, f := range p.Terms {
			if term < 0 && f.Term.Metric != capacity.Errors && f.Term.Metric != capacity.Throughput {
				term, of = i, f.Term
			}
		}
	}
	if term < 0 {
		return nil
	}
	c := &chart{Title: metricName(of.Metric) + " over the rate", X: axis{Label: "calls/s", Scale: "linear", Format: "number"},
		Y: axis{Label: "latency", Scale: "log", Format: "us"}, Summary: fmt.Sprintf("%s over the rate; the limit is %s.", metricName(of.Metric), metricText(of.Metric, of.Limit))}
	c.Series = s.byOutcome(func(_ int, p capacity.SearchTrial) (float64, float64, bool) {
		if term >= len(p.Terms) || p.Terms[term].Value == nil {
			return 0, 0, false
		}
		return p.Rate, *p.Terms[term].Value, true
	})
	limit := series{Name: "limit", Kind: "line", Color: colorErrors, Dashed: true}
	var loads span
	for _, p := range s.Trials {
		loads.add(p.Rate)
	}
	limit.X, limit.Y = []float64{loads.low, loads.high}, gaps{of.Limit, of.Limit}
	c.Series = append([]series{limit}, c.Series...)
	return c
}

func (s Search) table() table {
	t := table{Title: "In order", Text: true, Head: []string{"trial", "outcome", "calls/s", "duration", "result"}}
	for n, p := range s.Trials {
		outcome := cell{Text: string(p.Outcome)}
		switch p.Outcome {
		case capacity.Met:
			outcome.Class = "is-ok"
		case capacity.Missed:
			outcome.Class = "is-failed"
		default:
			outcome.Class = "is-warning"
		}
		length := figure.Duration(time.Duration(p.DurationS * float64(time.Second)))
		if p.Confirmation {
			length += ", to confirm"
		}
		t.Rows = append(t.Rows, []cell{{Text: fmt.Sprint(n + 1)}, outcome, {Text: figure.Rate(p.Rate)}, {Text: length}, {Text: p.Why()}})
	}
	return t
}
