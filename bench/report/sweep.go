package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/figure"
)

// A Sweep is a curve of throughput and latency over loads, and what was run to get it.
type Sweep struct {
	About
	*capacity.SweepResult
}

// WriteText writes it for people, as wide as that of a Report.
func (s Sweep) WriteText(w io.Writer) error { return s.page().writeText(w) }

// WriteJSON writes the objects "settings" and "environment", as of a Report, and "sweep".
func (s Sweep) WriteJSON(w io.Writer) error { return s.writeJSON(w, "sweep", s.SweepResult) }

// WriteHTML writes a page for a browser that works offline.
func (s Sweep) WriteHTML(w io.Writer) error { return s.page().write(w) }

func (s Sweep) page() *page {
	load, unit, of := "offered load", "calls/s", "offered load"
	if s.LoadUnit == capacity.LoadOfCallers {
		load, unit, of = "callers", "callers", "number of callers"
	}
	p := &page{
		Title:     "Throughput and latency by " + of,
		Subtitles: []string{fmt.Sprintf("%d loads, in random order", len(s.Points))},
		Verdict:   s.banner(),
		Footer:    footer,
		Tiles:     s.tiles(unit),
	}
	if s.LoadUnit == capacity.LoadOfCallers {
		p.Subtitles = append(p.Subtitles, sentence(closedLoopHides))
	}
	why := ""
	if s.Knee == nil && s.KneeReason != "" {
		why = "No knee: " + s.KneeReason + ". "
	}
	if s.USL == nil && s.USLReason != "" {
		why += "No fit of the Universal Scalability Law: " + s.USLReason + "."
	}
	p.Sections = []section{
		{Title: "Curves", Note: why, Charts: s.charts(load, unit)},
		{Title: "Trials", Tables: []table{s.table(load)}},
		s.About.section(),
	}
	return p
}

// banner says how many trials are not to be used, nil if all are.
func (s Sweep) banner() *banner {
	var invalid int
	var by others
	for _, p := range s.Points {
		if p.Verdict.State == bench.Invalid {
			invalid++
		}
		by.add(p.Machine, p.Verdict.Disturbance)
	}
	used := by.text("throughput may be higher, and latency lower, on an idle machine")
	b := &banner{Class: "warning", Title: "Shared machine", Text: "The trials are valid, but other processes used the machine."}
	switch {
	case s.StopReason != "":
		b.Class, b.Title, b.Text = "bad", "STOPPED EARLY", "Not all loads were measured: "+s.StopReason+"."
	case invalid > 0 && invalid == len(s.Points):
		b.Class, b.Title, b.Text = "bad", "INVALID", "No trial is valid."
	case invalid > 0:
		b.Title, b.Text = "Some invalid", fmt.Sprintf("%d of %d trials are not valid: the table says why.", invalid, len(s.Points))
	case used == "":
		return nil
	}
	if used != "" {
		b.Reasons = append(b.Reasons, used)
	}
	return b
}

func (s Sweep) tiles(unit string) []tile {
	var tiles []tile
	var best *capacity.SweepPoint
	for i, p := range s.Points {
		if p.Verdict.State != bench.Invalid && (best == nil || p.Throughput > best.Throughput) {
			best = &s.Points[i]
		}
	}
	if best != nil {
		tiles = append(tiles, tile{"Max throughput", figure.Rate(best.Throughput), "calls/s", "at " + loadText(best.Load, unit)})
	}
	if s.Knee != nil {
		tiles = append(tiles, tile{"Knee", figure.Rate(*s.Knee), unit, "from where " + metricName(s.KneeMetric) + " rises steeply"})
	}
	if u := s.USL; u != nil {
		tiles = append(tiles,
			tile{"Single caller", figure.Rate(u.Lambda), "calls/s", "λ of the scaling law"},
			tile{"Contention", figure.Percent(u.Sigma), "", "σ: share that is serial"},
			tile{"Coherence", fmt.Sprintf("%.2g", u.Kappa), "", "κ: cost of each pair"})
		if u.PeakN > 0 {
			tiles = append(tiles, tile{"Predicted peak", figure.Rate(u.PeakX), "calls/s", "at " + loadText(u.PeakN, unit)})
		}
		tiles = append(tiles, tile{"Fit (R²)", figure.Percent(u.R2), "", "of the variance is explained"})
	}
	return tiles
}

// loadText is a load with its unit.
func loadText(load float64, unit string) string {
	if load == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	return figure.Rate(load) + " " + unit
}

func (s Sweep) charts(load, unit string) []*chart {
	var marks []mark
	if s.Knee != nil {
		marks = []mark{{*s.Knee, "knee"}}
	}
	x := axis{Label: unit, Scale: "linear", Format: "number"}
	valid := series{Name: "answered", Kind: "points", Color: colorResponse}
	other := series{Name: "not valid", Kind: "points", Color: colorErrors, Hollow: true}
	offered := series{Name: "offered", Kind: "line", Color: colorLag, Dashed: true}
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range s.Points {
		to := &valid
		if p.Verdict.State == bench.Invalid || p.Verdict.State == bench.Diverging {
			to = &other
		}
		to.X, to.Y = append(to.X, p.Load), append(to.Y, p.Throughput)
		offered.X, offered.Y = append(offered.X, p.Load), append(offered.Y, p.Load)
		low, high = min(low, p.Load), max(high, p.Load)
	}
	throughput := &chart{Title: "Throughput", X: x, Y: axis{Label: "calls per second", Scale: "linear", Format: "number"}, Marks: marks,
		Series: []series{valid, other}, Summary: fmt.Sprintf("Throughput over the %s, %d trials.", load, len(s.Points))}
	if u := s.USL; u != nil {
		law := series{Name: "scaling law", Kind: "line", Color: colorMore}
		for i := range 101 {
			n := low + (high-low)*float64(i)/100
			law.X, law.Y = append(law.X, n), append(law.Y, u.At(n))
		}
		throughput.Series = append([]series{law}, throughput.Series...)
		throughput.Note = "The line is Gunther's Universal Scalability Law, fitted to the valid trials."
	}
	if s.LoadUnit != capacity.LoadOfCallers {
		throughput.Series = append([]series{offered}, throughput.Series...)
	}
	latency := &chart{Title: "Response time", Note: "Bands are 95 % confidence intervals. Diverging trials have no percentiles.",
		X: x, Y: axis{Label: "latency", Scale: "log", Format: "us"}, Marks: marks, Summary: "Response time over the " + load + "."}
	against := &chart{Title: "Response time against throughput", X: axis{Label: "calls/s answered", Scale: "linear", Format: "number"},
		Y: axis{Label: "latency", Scale: "log", Format: "us"}, Summary: "Response time against throughput."}
	for _, of := range []struct {
		f     figureOf
		color int
	}{{figures[2], colorResponse}, {figures[5], colorMore + 2}} {
		line := series{Name: of.f.name, Kind: "line", Color: of.color, Dots: true}
		band := series{Name: of.f.name + ", 95 %", Of: of.f.name, Kind: "band", Color: of.color}
		over := line
		for _, p := range s.Points {
			v := known(Report{Result: &bench.Result{Verdict: p.Verdict}}.known(of.f, &p.Latency))
			line.X, line.Y = append(line.X, p.Load), append(line.Y, v)
			over.X, over.Y = append(over.X, p.Throughput), append(over.Y, v)
			ends := p.Latency.CI95[of.f.key]
			band.X, band.Low, band.Y = append(band.X, p.Load), append(band.Low, known(ends[0])), append(band.Y, known(ends[1]))
		}
		latency.Series = append(latency.Series, band, line)
		against.Series = append(against.Series, over)
	}
	return []*chart{throughput, latency, against, s.errorChart(x, load)}
}

func (s Sweep) errorChart(x axis, load string) *chart {
	line := series{Name: "errors", Kind: "line", Color: colorErrors, Dots: true}
	some := false
	for _, p := range s.Points {
		some = some || p.ErrorShare > 0
		line.X, line.Y = append(line.X, p.Load), append(line.Y, 100*p.ErrorShare)
	}
	if !some {
		return nil
	}
	return &chart{Title: "Errors", X: x, Y: axis{Label: "error rate", Scale: "linear", Format: "percent"}, Series: []series{line},
		Summary: "Share of the calls that failed over the " + load + "."}
}

func (s Sweep) table(load string) table {
	t := table{Title: "By load", Head: []string{load, "calls/s", "p50", "p90", "p99", "p99.9", "errors", "verdict"}}
	for _, p := range s.Points {
		row := plain(figure.Rate(p.Load), figure.Rate(p.Throughput))
		for _, i := range []int{2, 3, 5, 6} {
			row = append(row, cell{Text: figure.Microseconds(Report{Result: &bench.Result{Verdict: p.Verdict}}.known(figures[i], &p.Latency))})
		}
		row = append(row, cell{Text: figure.Percent(p.ErrorShare)}, stateCell(p.Verdict))
		t.Rows = append(t.Rows, row)
	}
	return t
}

func stateCell(v bench.Verdict) cell {
	class := map[bench.State]string{bench.Valid: "is-ok", bench.Invalid: "is-failed", bench.Diverging: "is-failed"}[v.State]
	text := string(v.State)
	if v.Disturbance != "" {
		text += ", other processes used the machine"
	}
	if v.State == bench.Invalid {
		text = strings.Join(append([]string{text}, v.Reasons...), ": ")
	}
	return cell{Text: text, Class: class}
}
