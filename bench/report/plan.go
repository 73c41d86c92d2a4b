package report

import (
	"fmt"
	"io"

	"redrpc/bench/capacity"
	"redrpc/internal/figure"
)

// A Plan says how many workers a rate needs, by simulation, and of what it was reckoned.
type Plan struct {
	About
	*capacity.PlanResult
}

// WriteText writes it for people, as wide as that of a Report.
func (p Plan) WriteText(w io.Writer) error { return p.page().writeText(w) }

// WriteJSON writes the objects "settings" and "environment", as of a Report, and "plan".
func (p Plan) WriteJSON(w io.Writer) error { return p.writeJSON(w, "plan", p.PlanResult) }

// WriteHTML writes a page for a browser that works offline.
func (p Plan) WriteHTML(w io.Writer) error { return p.page().write(w) }

func (p Plan) page() *page {
	out := &page{
		Title:     fmt.Sprintf("Workers for %s calls/s with %s", figure.Rate(p.Rate), p.SLO),
		Subtitles: []string{"A prediction by simulation, not a measurement: check it by a run."},
		Footer:    footer,
		Tiles:     []tile{{"Workers", fmt.Sprint(p.Workers), "", p.SLO}, {"Offered load", figure.Rate(p.OfferedLoad), "erlangs", "workers busy on average: more are needed to keep up"}},
	}
	if p.Workers == 0 {
		out.Verdict = &banner{Class: "bad", Title: "NOT MET", Text: sentence(p.Reason)}
		out.Tiles[0].Value = "-"
	}
	if c := p.Check; c != nil {
		out.Answer = objectiveBanner(&c.Objective)
		out.Answer.Text = fmt.Sprintf("%s, measured for %s s with %s at %s calls/s: %s, p50 %s, p99 %s, %s errors.", c.Objective.SLO, figure.Rate(c.DurationS),
			loadText(float64(p.Workers), "workers"), figure.Rate(p.Rate), c.Verdict.State, figure.Microseconds(c.Latency.P50), figure.Microseconds(c.Latency.P99), figure.Grouped(c.Errors))
		out.Subtitles = []string{"A prediction by simulation, and a run that checked it."}
	}
	response := series{Name: "response p99", Kind: "line", Color: colorResponse, Dots: true}
	wait := series{Name: "wait p99", Kind: "line", Color: colorService, Dashed: true, Dots: true}
	t := table{Title: "By workers", Head: []string{"workers", "SLO", "busy", "p50", "p99", "p99.9", "wait p99"}}
	for _, x := range p.Predictions {
		row := plain(fmt.Sprint(x.Workers), "met", figure.Percent(x.Utilization), "-", "-", "-", "-")
		row[1].Class = "is-ok"
		if !x.Met {
			row[1] = cell{Text: "missed", Class: "is-failed"}
		}
		if l := x.Latency; l != nil {
			row[3].Text, row[4].Text, row[5].Text = figure.Microseconds(l.P50), figure.Microseconds(l.P99), figure.Microseconds(l.P999)
			response.X, response.Y = append(response.X, float64(x.Workers)), append(response.Y, known(l.P99))
		}
		if l := x.Wait; l != nil {
			row[6].Text = figure.Microseconds(l.P99)
			if l.P99 != nil && *l.P99 > 0 { // there is no 0 on a logarithmic axis
				wait.X, wait.Y = append(wait.X, float64(x.Workers)), append(wait.Y, *l.P99)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	curve := &chart{Title: "Response time over the workers", X: axis{Label: "workers", Scale: "linear", Format: "number"},
		Y: axis{Label: "latency", Scale: "log", Format: "us"}, Series: []series{response, wait}, Summary: "Predicted p99 over the number of workers."}
	assumptions := table{Text: true}
	for i, a := range p.Assumptions {
		assumptions.Rows = append(assumptions.Rows, plain(fmt.Sprint(i+1), a))
	}
	out.Sections = []section{
		{Title: "Prediction", Charts: []*chart{curve}, Tables: []table{t}},
		{Title: "Assumptions", Tables: []table{assumptions}},
		p.About.section(),
	}
	return out
}
