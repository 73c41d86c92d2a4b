package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"redrpc/bench"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

// A figureOf is one figure of a Latency. Its key is its JSON name.
type figureOf struct {
	name, key string
	quantile  float64 // 0 if it is none
	of        func(*bench.Latency) *float64
}

var figures = []figureOf{
	{"min", "min", 0, func(l *bench.Latency) *float64 { return l.Min }},
	{"mean", "mean", 0, func(l *bench.Latency) *float64 { return l.Mean }},
	{"p50", "p50", 0.5, func(l *bench.Latency) *float64 { return l.P50 }},
	{"p90", "p90", 0.9, func(l *bench.Latency) *float64 { return l.P90 }},
	{"p95", "p95", 0.95, func(l *bench.Latency) *float64 { return l.P95 }},
	{"p99", "p99", 0.99, func(l *bench.Latency) *float64 { return l.P99 }},
	{"p99.9", "p999", 0.999, func(l *bench.Latency) *float64 { return l.P999 }},
	{"max", "max", 0, func(l *bench.Latency) *float64 { return l.Max }},
}

// A timeOf is one of the three times of a call.
type timeOf struct {
	name string
	of   bench.Latency
}

// columns are the times that differ: a closed loop has one.
func (r Report) columns() []timeOf {
	if !r.OpenLoop {
		return []timeOf{{"response", r.Latency}}
	}
	return []timeOf{{"response", r.Latency}, {"service", r.Service}, {"lag", r.Lag}}
}

// known is the figure if it says something of this run. Those of a diverging run
// depend on how long it was, but for the least and the greatest.
func (r Report) known(f figureOf, l *bench.Latency) *float64 {
	if r.Verdict.State == bench.Diverging && f.key != "min" && f.key != "max" {
		return nil
	}
	return f.of(l)
}

func (r Report) writeLatency(l *lines) {
	if r.Calls == 0 {
		why := "no call was answered with success"
		if r.Errors == 0 {
			why = "no call was sent in the measured time"
		}
		l.line("latency", "none: %s", why)
		return
	}
	columns := r.columns()
	// Where not all intervals have room, only the first time has them, or none.
	cell := func(i int, text, interval string) string {
		if i > 0 && indent+28*len(columns) > l.width || len(columns) > 1 && l.narrow() {
			return fmt.Sprintf("%-9s", text)
		}
		return fmt.Sprintf("%-9s%-19s", text, interval)
	}
	var head strings.Builder
	for i, c := range columns {
		head.WriteString(cell(i, c.name, "95 % CI"))
	}
	l.row("latency", "%s", head.String())
	missing := false
	for _, f := range figures {
		var row strings.Builder
		for i, c := range columns {
			value := r.known(f, &c.of)
			missing = missing || value == nil
			row.WriteString(cell(i, figure.Microseconds(value), interval(f, value, &c.of)))
		}
		l.row("  "+f.name, "%s", row.String())
	}
	switch {
	case r.Verdict.State == bench.Diverging:
		l.line("", "-: %s", divergingHides)
	case missing:
		l.line("", "-: too few calls (p50 needs %d, p90 %d, p95 %d, p99 %d, p99.9 %s)", bench.MinSamples(0.5),
			bench.MinSamples(0.9), bench.MinSamples(0.95), bench.MinSamples(0.99), figure.Grouped(bench.MinSamples(0.999)))
	}
	if r.OpenLoop {
		l.line("", "(response: from the intended send time, as users see it; service: from the actual one; lag: between)")
	} else {
		l.line("", "%s", closedLoopHides)
	}
	if c := r.TimedOut; c != nil {
		l.line("timed out", "%s, not in these times; the shortest wait was %s", figure.Count(c.Calls, "call"), figure.Microseconds(&c.AtLeast))
	}
	if r.Unrecorded > 0 {
		l.line("", "%s took more than an hour: percentiles that depend on them are left out", figure.Count(r.Unrecorded, "call"))
	}
}

// interval is the one that holds a percentile with 95 % confidence.
func interval(f figureOf, value *float64, l *bench.Latency) string {
	ends, ok := l.CI95[f.key]
	switch {
	case value == nil, !ok, ends[0] == nil:
		return ""
	case ends[1] == nil:
		return figure.Microseconds(ends[0]) + " or more"
	}
	return figure.Microseconds(ends[0]) + " to " + figure.Microseconds(ends[1])
}

// briefWidth is from how many columns on briefFigures have room.
const briefWidth = 80

// of labels and phases these are shown.
var briefFigures = []figureOf{figures[1], figures[2], figures[3], figures[5], figures[7]}

// brief are those that have room.
func (l *lines) brief() []figureOf {
	if l.width < briefWidth {
		return []figureOf{figures[1], figures[5], figures[7]}
	}
	return briefFigures
}

// briefRow is a row of what text says of each of them.
func (l *lines) briefRow(text func(figureOf) string) string {
	var row strings.Builder
	for _, f := range l.brief() {
		fmt.Fprintf(&row, "%-9s", text(f))
	}
	return row.String()
}

// writeLabels shows the response times of each sort of calls.
func (r Report) writeLabels(l *lines) {
	if len(r.Labels) == 0 || r.Calls == 0 {
		return
	}
	l.blank()
	name := func(f figureOf) string { return f.name }
	last := "  calls"
	if l.narrow() {
		last = "" // they are below
	}
	l.row("by label", "%s%s", l.briefRow(name), last)
	for i, of := range r.Labels {
		row := l.briefRow(func(f figureOf) string { return figure.Microseconds(r.known(f, &of.Latency)) })
		calls := figure.Grouped(of.Calls)
		if l.narrow() {
			calls = figure.Count(of.Calls, "call")
		}
		if l.width >= briefWidth {
			calls += share(of.Calls, r.Calls)
		}
		if l.narrow() {
			l.row(fmt.Sprintf("  %d", i+1), "%s", row)
			l.line("", "%s", calls)
		} else {
			l.row(fmt.Sprintf("  %d", i+1), "%s  %s", row, calls)
		}
		l.line("", "%s", short(terminal.Quoted(of.Name), 80))
	}
}

// writePhases shows which part of the service time is whose.
func (r Report) writePhases(l *lines) {
	if len(r.Phases) == 0 || r.Calls == 0 {
		return
	}
	l.blank()
	name := func(f figureOf) string { return f.name }
	last := "  share of mean"
	if l.narrow() {
		last = ""
	}
	l.row("phases", "%s%s", l.briefRow(name), last)
	total := 0.0
	for _, p := range r.Phases {
		if p.Latency.Mean != nil {
			total += *p.Latency.Mean
		}
	}
	for _, p := range r.Phases {
		row := l.briefRow(func(f figureOf) string { return figure.Microseconds(r.known(f, &p.Latency)) })
		if mean := r.known(figures[1], &p.Latency); mean != nil && total > 0 && !l.narrow() {
			columns := min(20, l.width-indent-9*len(l.brief())-9)
			row += fmt.Sprintf("  %-*s %s", columns, bar(*mean/total, columns), figure.Percent(*mean/total))
		}
		l.row("  "+terminal.Quoted(p.Name), "%s", row)
	}
}

// writeDistribution draws how many calls took how long.
func (r Report) writeDistribution(l *lines) {
	all := buckets(r.Samples.Response, 15, roundEdges)
	if r.Verdict.State == bench.Diverging || len(all) < 2 {
		return
	}
	var most, count int64
	for _, b := range all {
		most = max(most, b.Count)
		count += b.Count
	}
	l.blank()
	if l.narrow() {
		l.b.WriteString("distribution\n")
		for _, b := range all {
			fmt.Fprintf(&l.b, "%8s to %-8s%9s%10s\n", figure.Duration(b.From), figure.Duration(b.To), figure.Grouped(b.Count), percentOf(b.Count, count))
		}
		return
	}
	l.row("distribution", "%-19s %9s%9s", "response time", "calls", "share")
	for _, b := range all {
		l.row("", "%8s to %-8s%9s%10s  %s", figure.Duration(b.From), figure.Duration(b.To), figure.Grouped(b.Count),
			percentOf(b.Count, count), bar(float64(b.Count)/float64(most), min(40, l.width-indent-41)))
	}
}

// percentOf is empty for none.
func percentOf(part, all int64) string {
	if part == 0 {
		return ""
	}
	return figure.Percent(float64(part) / float64(all))
}

// writeOverTime draws how the measured window went.
func (r Report) writeOverTime(l *lines) {
	var in []bench.Interval
	gauges := map[string]bool{}
	for _, i := range r.Intervals {
		if !i.WarmingUp && !i.Draining && i.EndS > i.StartS {
			in = append(in, i)
			for name := range i.Gauges {
				gauges[name] = true
			}
		}
	}
	if len(in) < 5 {
		return
	}
	l.blank()
	row := func(name string, text func(float64) string, of func(bench.Interval) float64) {
		values := make([]float64, len(in))
		for n, i := range in {
			values[n] = of(i)
		}
		columns := min(50, l.width-indent-24)
		if l.narrow() {
			columns = len(values)
		}
		values = squeezed(values, columns)
		var s span
		for _, v := range values {
			s.add(v)
		}
		switch {
		case !s.some:
		case l.narrow():
			l.line(name, "%s to %s", text(s.low), text(s.high))
		default:
			l.row(name, "%-*s  %s to %s", columns, sparkline(values), text(s.low), text(s.high))
		}
	}
	row("calls/s", figure.Rate, func(i bench.Interval) float64 { return i.Rate() })
	us := func(v float64) string { return figure.Microseconds(&v) }
	row("p50", us, func(i bench.Interval) float64 { return known(i.Latency.P50) })
	row("p99", us, func(i bench.Interval) float64 { return known(i.Latency.P99) })
	row("in flight", figure.Rate, func(i bench.Interval) float64 { return float64(i.InFlight) })
	for _, name := range slices.Sorted(maps.Keys(gauges)) {
		row(terminal.Quoted(name), figure.Rate, func(i bench.Interval) float64 { return i.Gauges[name] })
	}
}

// squeezed are n values at most, each the greatest of those in its place that are known.
func squeezed(values []float64, n int) []float64 {
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		var s span
		for _, v := range values[i*len(values)/n : (i+1)*len(values)/n] {
			s.add(v)
		}
		if out[i] = s.high; !s.some {
			out[i] = math.NaN()
		}
	}
	return out
}
