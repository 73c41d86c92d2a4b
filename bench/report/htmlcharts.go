package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
	"redrpc/internal/figure"
)

func toUS(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// An order is samples in order of time, to look ranks up.
type order struct {
	s    *bench.Samples
	upTo []int64 // rank of the last sample of each bar
	at   []time.Duration
}

func orderOf(s *bench.Samples) *order {
	o := &order{s: s}
	total := int64(0)
	for _, b := range s.Histogram().Distribution() {
		if b.Count > 0 {
			total += b.Count
			o.upTo = append(o.upTo, total)
			o.at = append(o.at, min(max(time.Duration(b.To), s.Min), s.Max))
		}
	}
	return o
}

// rank returns the sample of this rank in microseconds, NaN if it is not known.
func (o *order) rank(rank int64) float64 {
	switch {
	case rank < 1 || rank > o.s.Count:
		return math.NaN()
	case rank == o.s.Count:
		return toUS(o.s.Max)
	}
	i := sort.Search(len(o.upTo), func(i int) bool { return o.upTo[i] >= rank })
	if i == len(o.at) {
		return math.NaN()
	}
	return toUS(o.at[i])
}

// percentileChart shows every percentile of a run.
func (r Report) percentileChart() *chart {
	if r.Verdict.State == bench.Diverging || r.Calls == 0 {
		return nil
	}
	c := newPercentileChart("Percentiles", "How long the fastest part of the calls took, up to the slowest one. The band holds the true percentile with 95 % confidence.")
	c.Summary = "Percentile curve. Response time: " + r.inWords(&r.Latency) + "."
	if s := r.Samples.Response; s != nil && s.Count > 0 {
		c.addPercentiles("response time", colorResponse, s, true)
	}
	if s := r.Samples.Service; r.OpenLoop && s != nil && s.Count > 0 {
		c.addPercentiles("service time", colorService, s, false)
		c.Series[len(c.Series)-1].Dashed = true
	}
	return c
}

// newPercentileChart has more and more room towards 100 %.
func newPercentileChart(title, note string) *chart {
	return &chart{Title: title, Note: note,
		X: axis{Label: "percentile", Scale: "nines", Format: "nines"},
		Y: axis{Label: "latency", Scale: "log", Format: "us"},
	}
}

// addPercentiles draws a line of every percentile, and if sure is set a band that holds
// the true ones.
func (c *chart) addPercentiles(name string, color int, s *bench.Samples, sure bool) {
	o, n := orderOf(s), float64(s.Count)
	line := series{Name: name, Kind: "line", Color: color}
	band := series{Name: name + ", 95 %", Of: name, Kind: "band", Color: color}
	for x := 0.0; x <= math.Log10(n); x += max(0.02, math.Log10(n)/250) {
		q := 1 - math.Pow(10, -x)
		line.X, line.Y = append(line.X, x), append(line.Y, o.rank(max(1, int64(math.Ceil(q*n-1e-9)))))
		if !sure {
			continue
		}
		low, high := math.NaN(), math.NaN()
		if q > 0 {
			if ranks, ok := stats.QuantileRanks(s.Count, q, 0.975); ok {
				low, high = o.rank(ranks.Low), o.rank(ranks.High)
			}
		}
		band.X, band.Y, band.Low = append(band.X, x), append(band.Y, high), append(band.Low, low)
	}
	// The greatest is drawn where half a call would be left.
	line.X, line.Y = append(line.X, math.Log10(2*n)), append(line.Y, o.rank(s.Count))
	if sure {
		c.Series = append(c.Series, band)
	}
	c.Series = append(c.Series, line)
}

// inWords are the figures of a Latency in a sentence.
func (r Report) inWords(l *bench.Latency) string {
	text := ""
	for _, f := range figures {
		if v := r.known(f, l); v != nil {
			if text != "" {
				text += ", "
			}
			text += f.name + " " + figure.Microseconds(v)
		}
	}
	return text
}

// distributionChart shows how many calls took how long.
func (r Report) distributionChart() *chart {
	all := buckets(r.Samples.Response, 50, evenEdges)
	if r.Verdict.State == bench.Diverging || len(all) < 2 {
		return nil
	}
	c := &chart{
		Title:   "Distribution of the response time",
		Note:    "How many calls took how long.",
		Summary: "Histogram of the response time. " + r.inWords(&r.Latency) + ".",
		X:       axis{Label: "response time", Scale: "linear", Format: "us", Min: toUS(all[0].From), Max: toUS(all[len(all)-1].To)},
		Y:       axis{Label: "calls", Scale: "linear", Format: "number"},
	}
	if all[0].From > 0 && float64(all[len(all)-1].To) > 4*float64(all[0].From) {
		c.X.Scale = "log"
	}
	bars := series{Name: "calls", Kind: "bars", Color: colorResponse}
	for _, b := range all {
		bars.X, bars.To, bars.Y = append(bars.X, toUS(b.From)), append(bars.To, toUS(b.To)), append(bars.Y, float64(b.Count))
	}
	c.Series = []series{bars}
	for _, f := range figures {
		if v := f.of(&r.Latency); v != nil && (f.key == "p50" || f.key == "p99") {
			c.Marks = append(c.Marks, mark{*v, f.name})
		}
	}
	return c
}

// timeSection shows how the run went.
func (r Report) timeSection() section {
	s := section{Title: "Over time"}
	in := thinned(r.Intervals, 400)
	if len(in) < 2 {
		return s
	}
	line := func(name string, color int, of func(bench.Interval) float64) series {
		l := series{Name: name, Kind: "line", Color: color}
		for _, i := range in {
			l.X, l.Y = append(l.X, (i.StartS+i.EndS)/2), append(l.Y, of(i))
		}
		return l
	}
	var shades []shade
	for _, i := range in {
		label := map[string]string{"warmup": "warm-up", "drain": "last calls"}[period(i)]
		if label == "" || i.EndS <= i.StartS {
			continue
		}
		if n := len(shades); n > 0 && shades[n-1].Label == label {
			shades[n-1].To = i.EndS
		} else {
			shades = append(shades, shade{i.StartS, i.EndS, label})
		}
	}
	add := func(title, note string, y axis, all ...series) *chart {
		c := &chart{Title: title, Note: note, X: axis{Label: "since the run began", Scale: "linear", Format: "s"}, Y: y,
			Series: all, Shades: shades, Group: "time"}
		c.X.Min, c.X.Max = in[0].StartS, in[len(in)-1].EndS
		c.Summary = title + " over time: " + overTime(c)
		s.Charts = append(s.Charts, c)
		return c
	}
	rate := []series{line("answered", colorResponse, func(i bench.Interval) float64 {
		if i.Draining { // nothing is sent, and it is short
			return math.NaN()
		}
		return i.Rate()
	})}
	if r.OpenLoop {
		offered := line("offered", colorLag, func(i bench.Interval) float64 {
			if i.Draining {
				return math.NaN()
			}
			return float64(i.Intended) / max(i.EndS-i.StartS, 1e-9)
		})
		offered.Dashed = true
		rate = append(rate, offered)
	}
	add("Throughput", "", axis{Label: "calls per second", Scale: "linear", Format: "number"}, rate...)

	// The last calls are those that took longest: only their greatest says something.
	sending := func(v *float64, i bench.Interval) float64 {
		if i.Draining {
			return math.NaN()
		}
		return known(v)
	}
	p50 := line("response p50", colorResponse, func(i bench.Interval) float64 { return sending(i.Latency.P50, i) })
	p99 := line("response p99", colorMore+2, func(i bench.Interval) float64 { return sending(i.Latency.P99, i) })
	greatest := line("response max", colorLag, func(i bench.Interval) float64 { return known(i.Latency.Max) })
	latencies := []series{p50, p99, greatest}
	if r.OpenLoop {
		service := line("service p99", colorService, func(i bench.Interval) float64 { return sending(i.Service.P99, i) })
		service.Dashed = true
		latencies = append(latencies, service)
	}
	add("Latency", "Of the calls that ended in each interval.", axis{Label: "latency", Scale: "log", Format: "us"}, latencies...)

	r.gaugeCharts(in, line, add)
	kinds := map[string]bool{}
	for _, i := range in {
		for kind := range i.Errors {
			kinds[kind] = true
		}
	}
	var failed []series
	for n, kind := range slices.Sorted(maps.Keys(kinds)) {
		color := []int{colorErrors, colorService, colorMore + 1, colorMore + 2, colorLag, colorMore}[n%6]
		failed = append(failed, line(kind, color, func(i bench.Interval) float64 { return float64(i.Errors[kind]) }))
	}
	if r.Dropped > 0 {
		failed = append(failed, line("dropped", colorLag, func(i bench.Interval) float64 { return float64(i.Dropped) }))
	}
	if len(failed) > 0 {
		add("Errors", "", axis{Label: "calls in each interval", Scale: "linear", Format: "number"}, failed...)
	}
	return s
}

// gaugeCharts draws the calls in flight with the gauges of the same order, and each
// other gauge by itself.
func (r Report) gaugeCharts(in []bench.Interval, line func(string, int, func(bench.Interval) float64) series, add func(string, string, axis, ...series) *chart) {
	count := axis{Label: "at the end of each interval", Scale: "linear", Format: "number"}
	flight := line("in flight", colorResponse, func(i bench.Interval) float64 { return float64(i.InFlight) })
	together, names := []series{flight}, map[string]bool{}
	for _, i := range in {
		for name := range i.Gauges {
			names[name] = true
		}
	}
	var apart []series
	for n, name := range slices.Sorted(maps.Keys(names)) {
		g := line(name, colorMore+n%3, func(i bench.Interval) float64 {
			if v, ok := i.Gauges[name]; ok {
				return v
			}
			return math.NaN()
		})
		if top, most := greatestOf(g.Y), greatestOf(flight.Y); len(together) < 4 && top <= 30*most && most <= 30*max(top, 1) {
			together = append(together, g)
		} else {
			apart = append(apart, g)
		}
	}
	add("Calls in flight", "", count, together...)
	for _, g := range apart {
		add(g.Name, "", count, g)
	}
}

func greatestOf(values gaps) float64 {
	var s span
	for _, v := range values {
		s.add(v)
	}
	return s.high
}

// overTime says what each line does.
func overTime(c *chart) string {
	text := ""
	for _, l := range c.Series {
		var s span
		for _, v := range l.Y {
			s.add(v)
		}
		if !s.some {
			continue
		}
		write := figure.Rate
		if c.Y.Format == "us" {
			write = func(v float64) string { return figure.Microseconds(&v) }
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%s from %s to %s", l.Name, write(s.low), write(s.high))
	}
	return text + "."
}

// thinned are n intervals at most, neighbours of one period put together where there
// are more: their counts added, their figures read off all their samples, and of
// gauges the greatest.
func thinned(all []bench.Interval, n int) []bench.Interval {
	every := (len(all) + n - 1) / n
	if every < 2 {
		return all
	}
	var out []bench.Interval
	for begin := 0; begin < len(all); {
		end := begin + 1
		for end < len(all) && end-begin < every && period(all[end]) == period(all[begin]) {
			end++
		}
		out = append(out, together(all[begin:end]))
		begin = end
	}
	return out
}

func together(parts []bench.Interval) bench.Interval {
	sum := parts[0]
	sum.EndS = parts[len(parts)-1].EndS
	sum.Errors, sum.Gauges = maps.Clone(sum.Errors), maps.Clone(sum.Gauges)
	response, service := bench.NewSamples(), bench.NewSamples()
	for n, p := range parts {
		if p.ResponseSamples != nil {
			response.Add(p.ResponseSamples)
		}
		if p.ServiceSamples != nil {
			service.Add(p.ServiceSamples)
		}
		if n == 0 {
			continue
		}
		sum.Intended, sum.Sent, sum.Calls, sum.Dropped = sum.Intended+p.Intended, sum.Sent+p.Sent, sum.Calls+p.Calls, sum.Dropped+p.Dropped
		sum.InFlight = max(sum.InFlight, p.InFlight)
		for kind, c := range p.Errors {
			if sum.Errors == nil {
				sum.Errors = map[string]int64{}
			}
			sum.Errors[kind] += c
		}
		for name, v := range p.Gauges {
			if sum.Gauges == nil {
				sum.Gauges = map[string]float64{}
			}
			if before, ok := sum.Gauges[name]; !ok || v > before {
				sum.Gauges[name] = v
			}
		}
	}
	sum.ResponseSamples, sum.ServiceSamples = response, service
	sum.Latency, sum.Service = drawn(response), drawn(service)
	return sum
}

// drawn are the figures of which charts are drawn.
func drawn(s *bench.Samples) bench.Latency {
	var l bench.Latency
	if s.Count == 0 {
		return l
	}
	o := orderOf(s)
	figure := func(q float64) *float64 {
		v := o.rank(int64(math.Ceil(q*float64(s.Count) - 1e-9)))
		if s.Count < bench.MinSamples(q) || math.IsNaN(v) {
			return nil
		}
		return &v
	}
	greatest := toUS(s.Max)
	l.P50, l.P99, l.Max = figure(0.5), figure(0.99), &greatest
	return l
}
