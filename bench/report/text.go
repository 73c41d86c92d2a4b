package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"redrpc/bench"
	"redrpc/internal/figure"
)

const (
	closedLoopHides = "a closed loop sends nothing while it waits, so what users who arrive regardless would wait for is not in these figures"
	divergingHides  = "more was offered than is answered: times grow for as long as one measures, so percentiles say nothing and are left out"
)

// WriteText writes the report for people, in printable text of at most 100 columns.
// What the run says of itself comes first, and again at the end if it is bad news.
func (r Report) WriteText(w io.Writer) error {
	r = r.Redacted()
	l := &lines{}
	r.writeAlarm(l)
	if b := objectiveBanner(r.Objective); b != nil {
		l.banner(b)
	}
	r.writeRun(l)
	l.blank()
	r.writeCounts(l)
	l.blank()
	r.writeLatency(l)
	r.writeLabels(l)
	r.writePhases(l)
	r.writeDistribution(l)
	r.writeOverTime(l)
	r.writeLimits(l)
	if title := r.alarm(); title != "" {
		l.blank()
		l.line(title, "see the top")
	}
	if o := r.Objective; o != nil {
		l.blank()
		l.line(objectiveTitle(o.Outcome), "%s", printable(o.SLO))
	}
	_, err := io.WriteString(w, l.b.String())
	return err
}

// alarm is the headline of a run whose figures are not to be used, or empty.
func (r Report) alarm() string {
	switch r.Verdict.State {
	case bench.Invalid:
		return "INVALID"
	case bench.Diverging:
		return "DIVERGING"
	}
	return ""
}

func (r Report) writeAlarm(l *lines) {
	title := r.alarm()
	if title == "" {
		return
	}
	what := "the generator spoiled this measurement: do not use its figures"
	if r.Verdict.State == bench.Diverging {
		what = divergingHides
	}
	rule := strings.Repeat("▀", width) + "\n"
	l.b.WriteString(strings.Repeat("▄", width) + "\n")
	l.line(title, "%s", what)
	for _, reason := range r.Verdict.Reasons {
		l.line("", "- %s", printable(reason))
	}
	l.b.WriteString(rule)
	l.blank()
}

// writeRun writes what was run, and where.
func (r Report) writeRun(l *lines) {
	model := printable(r.load())
	if r.OpenLoop {
		if r.MaxInFlight > 0 {
			model += fmt.Sprintf(", at most %s in flight", figure.Grouped(int64(r.MaxInFlight)))
		}
		l.line("load model", "%s", model)
	} else {
		l.line("load model", "%s, %s callers", model, figure.Grouped(int64(r.Callers)))
		l.line("", "(%s)", closedLoopHides)
	}
	if r.Instances > 1 {
		l.line("generators", "%s", figure.Grouped(int64(r.Instances)))
	}
	for _, s := range r.Settings {
		l.line(printable(strings.ReplaceAll(s.Name, "_", " ")), "%s", printable(s.text()))
	}
	if e := r.Environment; e != nil {
		l.line("environment", "%s", printable(e.summary()))
	}
}

// load is the load model; one that is an open loop does not say so itself.
func (r Report) load() string {
	if r.OpenLoop {
		return "open loop, " + r.Model
	}
	return r.Model
}

// writeCounts writes how many calls there were, and how they ended.
func (r Report) writeCounts(l *lines) {
	l.line("warm-up", "%s s, %s calls and %s errors left out",
		figure.Seconds(r.Warmup.DurationS), figure.Grouped(r.Warmup.Calls), figure.Grouped(r.Warmup.Errors))
	l.line("measured", "%s", strings.Join(append([]string{figure.Seconds(r.DurationS) + " s"}, r.cutShort()...), ", "))
	if r.OpenLoop {
		l.line("offered", "%s calls/s, %s calls", figure.Rate(r.OfferedRate), figure.Grouped(r.Intended))
	}
	l.line("calls", "%s", figure.Grouped(r.Calls))
	l.line("throughput", "%s calls/s%s", figure.Rate(r.Throughput), r.basis())
	if r.ThroughputMargin*10 > r.Throughput && r.Calls > 0 {
		l.line("", "± %s: for a better figure measure for longer, calls take %s",
			figure.Rate(r.ThroughputMargin), figure.Microseconds(r.Latency.Mean))
	}
	l.line("errors", "%s%s", figure.Grouped(r.Errors), share(r.Errors, r.Calls+r.Errors))
	for _, kind := range slices.Sorted(maps.Keys(r.ErrorsByKind)) {
		text := fmt.Sprintf("%s  %s", figure.Grouped(r.ErrorsByKind[kind]), printable(kind))
		if sample := r.ErrorSamples[kind]; sample != "" {
			text += ", such as: " + short(printable(sample), 300)
		}
		l.line("", "%s", text)
	}
	if r.Missed > 0 {
		l.line("missed", "%s%s were never sent", figure.Grouped(r.Missed), share(r.Missed, r.Intended))
	}
}

// cutShort says why the run was shorter than it was meant to be, if it was.
func (r Report) cutShort() []string {
	var why []string
	if r.Interrupted {
		why = append(why, "interrupted")
	}
	if r.StoppedEarly {
		why = append(why, "stopped early, as it was diverging")
	}
	return why
}

func share(part, all int64) string {
	if part <= 0 || all <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%s)", figure.Percent(float64(part)/float64(all)))
}

// basis says what throughput was reckoned from, if that is not the calls.
func (r Report) basis() string {
	if r.Completed == r.Calls {
		return ""
	}
	return fmt.Sprintf(", from the %s answered within the measured time", figure.Grouped(r.Completed))
}

// writeLimits writes what was busy, and what the run found when it looked at itself.
func (r Report) writeLimits(l *lines) {
	if len(r.Resources) > 0 {
		l.blank()
	}
	for i, u := range r.Resources {
		name := ""
		if i == 0 {
			name = "busy"
		}
		l.row(name, "%8s  %-20s  %s", figure.Percent(u.Busy), bar(u.Busy, 20),
			short(fmt.Sprintf("%s, of %s", printable(u.Name), figure.Rate(u.Capacity)), 48))
	}
	if r.Bottleneck != "" {
		l.line("bottleneck", "%s", printable(r.Bottleneck))
	}
	if r.Verdict.State == "" {
		return
	}
	l.blank()
	state := strings.ToUpper(string(r.Verdict.State))
	if r.Verdict.Disturbed != "" {
		state += ", but others used the machine"
	}
	l.line("verdict", "%s", state)
	for _, reason := range r.Verdict.Reasons {
		l.line("", "- %s", printable(reason))
	}
	var fine []string
	for _, c := range r.Verdict.Checks {
		switch c.Is {
		case bench.OK:
			fine = append(fine, printable(words(c.Name)))
		case bench.Warning, bench.Unknown:
			l.line("", "%s: %s: %s", printable(string(c.Is)), printable(words(c.Name)), printable(c.Text))
		}
	}
	if len(fine) > 0 {
		l.line("", "fine: %s", strings.Join(fine, ", "))
	}
}

// words makes a JSON name one to read.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
