package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"redrpc/bench"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

const footer = "Response time is measured from the intended send time of a call, as users see it, which avoids coordinated omission; service time from the actual one. " +
	"Percentiles are of successful calls, from one histogram of all of them, and are left out where there are too few samples. " +
	"The intervals beside them are 95 % confidence intervals. Written by redrpc."

// WriteHTML writes the report as one page for a browser, which needs no network: it
// asks for nothing, and its content security policy says so.
func (r Report) WriteHTML(w io.Writer) error {
	r = r.Redacted()
	p := &page{
		Title:     "Load test: " + r.load(),
		Subtitles: r.subtitles(),
		Answer:    objectiveBanner(r.Objective),
		Verdict:   r.banner(),
		Tiles:     r.tiles(),
		Footer:    footer,
		Sections: []section{
			r.latencySection(),
			r.timeSection(),
			r.labelSection(),
			r.phaseSection(),
			r.errorSection(),
			r.resourceSection(),
			r.checkSection(),
			r.runSection(),
		},
	}
	return p.write(w)
}

func (r Report) subtitles() []string {
	var parts []string
	if !r.StartedAt.IsZero() {
		parts = append(parts, r.StartedAt.UTC().Format("2 January 2006, 15:04:05 UTC"))
	}
	parts = append(parts, fmt.Sprintf("%s measured after %s of warm-up", span2(r.DurationS), span2(r.Warmup.DurationS)))
	if r.OpenLoop && r.MaxInFlight > 0 {
		parts = append(parts, fmt.Sprintf("at most %s in flight", figure.Grouped(int64(r.MaxInFlight))))
	}
	if !r.OpenLoop {
		parts = append(parts, figure.Grouped(int64(r.Callers))+" callers")
	}
	if r.Instances > 1 {
		parts = append(parts, fmt.Sprintf("%d generators", r.Instances))
	}
	parts = append(parts, r.cutShort()...)
	lines := []string{strings.Join(parts, " · ")}
	if !r.OpenLoop {
		lines = append(lines, sentence(closedLoopHides))
	}
	return lines
}

func span2(s float64) string { return figure.Rate(s) + " s" }

// banner is the verdict, nil if there is none.
func (r Report) banner() *banner {
	b := &banner{Reasons: slices.Clone(r.Verdict.Reasons)}
	warnings := 0
	for _, c := range r.Verdict.Checks {
		if c.Result == bench.Warning && r.Verdict.State == bench.Valid {
			warnings++
			b.Reasons = append(b.Reasons, c.Text)
		}
	}
	switch r.Verdict.State {
	case bench.Invalid:
		b.Class, b.Title, b.Text = "bad", "INVALID", "This measurement is not valid: do not use its figures."
	case bench.Diverging:
		b.Class, b.Title, b.Text = "bad", "DIVERGING", sentence(divergingHides)
	case bench.Valid:
		b.Class, b.Title, b.Text = "valid", "Valid", "All validity checks passed."
		switch {
		case r.Verdict.Disturbance != "":
			b.Class, b.Title, b.Text = "warning", "Valid, but other processes used the machine", "What is slow here may be fast on an idle one."
		case warnings == 1:
			b.Class, b.Title, b.Text = "warning", "Valid, with a warning", "Read the figures with care:"
		case warnings > 1:
			b.Class, b.Title, b.Text = "warning", "Valid, with warnings", "Read the figures with care:"
		}
	default:
		return nil
	}
	return b
}

func (r Report) tiles() []tile {
	more := ""
	switch {
	case r.OpenLoop:
		more = "of " + figure.Rate(r.OfferedRate) + " offered"
	case r.ThroughputMargin > 0:
		more = "± " + figure.Rate(r.ThroughputMargin)
	}
	tiles := []tile{{"Throughput", figure.Rate(r.Throughput), "calls/s", more}}
	for _, f := range figures {
		if f.key != "p50" && f.key != "p99" && f.key != "p999" && f.key != "max" {
			continue
		}
		value := r.known(f, &r.Latency)
		more := interval(f, value, &r.Latency)
		if value == nil {
			more = "too few calls"
			if r.Verdict.State == bench.Diverging {
				more = "diverging"
			}
		}
		tiles = append(tiles, figureTile("Response "+f.name, figure.Microseconds(value), more))
	}
	tiles = append(tiles, tile{"Errors", figure.Grouped(r.Errors), "", errorsMore(r)})
	if r.Dropped > 0 {
		tiles = append(tiles, tile{"Dropped", figure.Grouped(r.Dropped), "", "never sent" + share(r.Dropped, r.Intended)})
	}
	if len(r.Resources) > 0 {
		u := r.Resources[0]
		tiles = append(tiles, tile{"Busiest", strings.TrimSuffix(figure.Percent(u.Utilization), " %"), "%", u.Name})
	}
	return tiles
}

func errorsMore(r Report) string {
	if r.Errors == 0 {
		return "of " + figure.Count(r.Calls, "call")
	}
	return strings.Trim(share(r.Errors, r.Calls+r.Errors), " ()") + " of the calls"
}

func (r Report) latencySection() section {
	s := section{Title: "Latency", Charts: []*chart{r.percentileChart(), r.distributionChart()}}
	if r.Calls == 0 {
		return s
	}
	t := table{Head: []string{""}, Title: "Latency with 95 % confidence intervals"}
	t.Narrow = len(r.columns()) == 1
	for _, c := range r.columns() {
		t.Head = append(t.Head, c.name)
	}
	for _, f := range figures {
		row := plain(f.name)
		for _, c := range r.columns() {
			value := r.known(f, &c.of)
			row = append(row, cell{Text: figure.Microseconds(value), Small: interval(f, value, &c.of), Beside: true})
		}
		t.Rows = append(t.Rows, row)
	}
	if c := r.TimedOut; c != nil {
		t.Note = fmt.Sprintf("%s timed out, not in these times; the shortest wait was %s.",
			figure.Count(c.Calls, "call"), figure.Microseconds(&c.AtLeast))
	}
	if r.Unrecorded > 0 {
		t.Note += fmt.Sprintf(" %s took more than an hour: percentiles that depend on them are left out.", figure.Count(r.Unrecorded, "call"))
	}
	s.Tables = []table{t}
	return s
}

func (r Report) labelSection() section {
	s := section{Title: "Labels"}
	if r.Calls == 0 || len(r.Labels) == 0 {
		return section{}
	}
	t := table{Title: "Response time by label", Head: []string{"", "calls", "of all calls", "mean", "p50", "p90", "p99", "max"}}
	for _, l := range r.Labels {
		row := []cell{{Text: l.Name, Key: true}, {Text: figure.Grouped(l.Calls)}, {Text: figure.Percent(float64(l.Calls) / float64(r.Calls))}}
		for _, f := range briefFigures {
			row = append(row, cell{Text: figure.Microseconds(r.known(f, &l.Latency))})
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = []table{t}
	return s
}

func (r Report) phaseSection() section {
	s := section{Title: "Where the time goes"}
	if r.Calls == 0 || len(r.Phases) == 0 {
		return s
	}
	total := 0.0
	for _, p := range r.Phases {
		if mean := r.known(figures[1], &p.Latency); mean != nil {
			total += max(0, *mean)
		}
	}
	t := table{Title: "Phases of the service time", Head: []string{"", "share of the mean", "", "mean", "p50", "p90", "p99", "max"}}
	from := 0.0
	for n, p := range r.Phases {
		color := []int{colorMore, colorService, colorResponse, colorMore + 1, colorMore + 2, colorLag}[n%6]
		name := cell{Text: p.Name, Key: true, Color: color}
		share, text := cell{}, ""
		if mean := r.known(figures[1], &p.Latency); mean != nil && total > 0 {
			width := 100 * max(0, *mean) / total
			t.Stack = append(t.Stack, part{p.Name, color, from, width})
			from += width
			text = figure.Percent(width / 100)
			share = cell{Bar: true, Width: width, Color: color, Class: "share", Text: text}
		}
		row := []cell{name, share, {Text: text}}
		for _, i := range []int{1, 2, 3, 5, 7} {
			row = append(row, cell{Text: figure.Microseconds(r.known(figures[i], &p.Latency))})
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = []table{t}
	return s
}

func (r Report) errorSection() section {
	s := section{Title: "Errors", Note: "Their times are in no figure of latency."}
	if r.Errors == 0 {
		return s
	}
	t := table{Title: "Errors by kind", Head: []string{"kind", "share of the errors", "calls", "of all calls", "p50"}}
	for _, kind := range slices.Sorted(maps.Keys(r.ErrorsByKind)) {
		n := r.ErrorsByKind[kind]
		p50 := ""
		if took := r.Samples.Errors[kind]; took != nil && took.Count >= bench.MinSamples(0.5) {
			if d, ok := took.Rank((took.Count + 1) / 2); ok {
				p50 = figure.Duration(d)
			}
		}
		width := 100 * float64(n) / float64(r.Errors)
		t.Rows = append(t.Rows, []cell{{Text: kind, Message: short(terminal.Quoted(r.ErrorSamples[kind]), 300)},
			{Bar: true, Width: min(100, max(0, width)), Color: colorErrors, Class: "share", Text: figure.Percent(width / 100)},
			{Text: figure.Grouped(n)}, {Text: figure.Percent(float64(n) / float64(max(1, r.Calls+r.Errors)))}, {Text: p50}})
	}
	s.Tables = []table{t}
	return s
}

func (r Report) resourceSection() section {
	s := section{Title: "Bottleneck", Note: "None of the monitored resources."}
	if r.Bottleneck != "" {
		s.Note = sentence(r.Bottleneck)
	}
	if len(r.Resources) > 0 {
		t := table{Title: "Busy in the measured window", Head: []string{"", "", "busy", "of"}}
		for _, u := range r.Resources {
			t.Rows = append(t.Rows, []cell{{Text: u.Name},
				{Bar: true, Width: min(100, max(0, 100*u.Utilization)), Class: "share", Text: figure.Percent(u.Utilization)},
				{Text: figure.Percent(u.Utilization)}, {Text: figure.Rate(u.Capacity)}})
		}
		s.Tables = append(s.Tables, t)
	}
	if len(r.Counters) > 0 {
		t := table{Title: "Counters in the measured window", Head: []string{"", "total", "per second", "per call"}}
		for _, name := range slices.Sorted(maps.Keys(r.Counters)) {
			v := r.Counters[name]
			if v == 0 {
				continue
			}
			row := plain(name, figure.Rate(v), "", "")
			if r.DurationS > 0 {
				row[2].Text = figure.Rate(v / r.DurationS)
			}
			if r.Completed > 0 {
				row[3].Text = fmt.Sprintf("%.3g", v/float64(r.Completed))
			}
			t.Rows = append(t.Rows, row)
		}
		if t.Rows != nil {
			s.Tables = append(s.Tables, t)
		}
	}
	return s
}

// sentence begins with a capital and ends with a stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

func (r Report) checkSection() section {
	s := section{Title: "Validity checks"}
	if len(r.Verdict.Checks) == 0 {
		return s
	}
	t := table{Title: "Checks", Text: true}
	for _, c := range r.Verdict.Checks {
		t.Rows = append(t.Rows, []cell{{Text: checkName(c)}, {Text: string(c.Result), Class: "is-" + string(c.Result)}, {Text: c.Text}})
	}
	s.Tables = []table{t}
	return s
}

func (r Report) runSection() section {
	s := section{Title: "Settings and environment"}
	t := table{Title: "Run", Text: true}
	add := func(name, text string) {
		if text != "" {
			t.Rows = append(t.Rows, []cell{{Text: words(name)}, {Text: short(terminal.Quoted(text), 2000)}})
		}
	}
	for _, set := range r.Settings {
		add(set.words())
	}
	if r.Seed != 0 {
		add("seed", fmt.Sprint(r.Seed))
	}
	if len(t.Rows) > 0 {
		s.Tables = append(s.Tables, t)
	}
	e := r.Environment
	if e == nil {
		return s
	}
	t = table{Title: "Environment", Text: true}
	revision := e.Revision
	if e.Modified {
		revision += " with changes that were not committed"
	}
	add("redrpc", e.Redrpc)
	add("revision", revision)
	add("go", e.Go)
	add("system", strings.TrimSpace(fmt.Sprintf("%s/%s %s", e.OS, e.Arch, e.Kernel)))
	add("processor", e.CPU)
	add("cores", fmt.Sprintf("%d, GOMAXPROCS %d", e.Cores, e.GOMAXPROCS))
	if e.MemoryBytes > 0 {
		add("memory", fmt.Sprintf("%.1f GiB", float64(e.MemoryBytes)/(1<<30)))
	}
	if len(e.Command) > 0 {
		t.Rows = append(t.Rows, []cell{{Text: "command"}, {Text: short(terminal.Quoted(shellWords(e.Command)), 2000), Code: true}})
	}
	for _, set := range e.More {
		add(set.words())
	}
	s.Tables = append(s.Tables, t)
	return s
}
