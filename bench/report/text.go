package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"redrpc/bench"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

const (
	closedLoopHides = "a closed loop sends nothing while the system stalls, so the waits of independent users are not in these figures (coordinated omission)"
	divergingHides  = "more is offered than is answered: times grow with the length of the run, so percentiles are meaningless and left out"
)

// WriteText writes the report for people, in printable text that is as wide as the terminal
// w, from 40 to 100 columns, or 100 columns wide if w is none; in less than 60 columns some
// figures are left out. The answer comes first, and again at the end, where a terminal shows
// it; the settings are before that.
func (r Report) WriteText(w io.Writer) error {
	l := newLines(w)
	r.Redacted().writeTo(l)
	_, err := io.WriteString(w, l.b.String())
	return err
}

func (r Report) writeTo(l *lines) {
	r.writeAlarm(l)
	if b := objectiveBanner(r.Objective); b != nil {
		l.banner(b)
	}
	r.writeAnswer(l)
	l.blank()
	r.writeCounts(l)
	l.blank()
	r.writeLatency(l)
	r.writeLabels(l)
	r.writePhases(l)
	r.writeDistribution(l)
	r.writeOverTime(l)
	r.writeLimits(l)
	r.writeSettings(l)
	l.blank()
	r.writeAnswer(l)
	if title := r.alarm(); title != "" {
		l.line(title, "see the top")
	}
	if o := r.Objective; o != nil {
		l.line(objectiveTitle(o.Outcome), "%s", terminal.Quoted(o.SLO))
	}
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
	what := "this measurement is not valid: do not use its figures"
	if r.Verdict.State == bench.Diverging {
		what = divergingHides
	}
	rule := strings.Repeat("▀", l.width) + "\n"
	l.b.WriteString(strings.Repeat("▄", l.width) + "\n")
	l.line(title, "%s", what)
	for _, reason := range r.Verdict.Reasons {
		l.line("", "- %s", terminal.Quoted(reason))
	}
	l.b.WriteString(rule)
	l.blank()
}

// writeAnswer writes what the run found, in a few lines.
func (r Report) writeAnswer(l *lines) {
	model := terminal.Quoted(r.load())
	switch {
	case !r.OpenLoop:
		model += fmt.Sprintf(", %s callers", figure.Grouped(int64(r.Callers)))
	case r.MaxInFlight > 0:
		model += fmt.Sprintf(", at most %s in flight", figure.Grouped(int64(r.MaxInFlight)))
	}
	l.line("load model", "%s", model)
	offered := ""
	if r.OpenLoop {
		offered = fmt.Sprintf(" (offered %s)", figure.Rate(r.OfferedRate))
	}
	l.line("throughput", "%s calls/s%s", figure.Rate(r.Throughput), offered)
	var times []string
	for _, f := range figures {
		if value := r.known(f, &r.Latency); value != nil && (f.quantile == 0.5 || f.quantile >= 0.99 || f.key == "max") {
			times = append(times, f.name+" "+figure.Microseconds(value))
		}
	}
	if times != nil {
		l.line("response time", "%s", strings.Join(times, ", "))
	}
	l.line("errors", "%s%s", figure.Grouped(r.Errors), share(r.Errors, r.Calls+r.Errors))
	if r.Dropped > 0 {
		l.line("dropped", "%s%s, never sent", figure.Grouped(r.Dropped), share(r.Dropped, r.Intended))
	}
	if r.Verdict.State != "" {
		l.line("verdict", "%s", r.verdict())
	}
}

// verdict is the state, and how many warnings there are with it.
func (r Report) verdict() string {
	state := strings.ToUpper(string(r.Verdict.State))
	if r.Verdict.Disturbance != "" {
		state += ", other processes used the machine"
	}
	warnings := 0
	for _, c := range r.Verdict.Checks {
		if c.Result == bench.Warning && r.Verdict.State == bench.Valid {
			warnings++
		}
	}
	switch warnings {
	case 0:
		return state
	case 1:
		return state + ", with a warning"
	}
	return fmt.Sprintf("%s, with %d warnings", state, warnings)
}

// writeSettings writes what was run, and where.
func (r Report) writeSettings(l *lines) {
	if r.Instances <= 1 && len(r.Settings) == 0 && r.Environment == nil {
		return
	}
	l.blank()
	if r.Instances > 1 {
		l.line("generators", "%s", figure.Grouped(int64(r.Instances)))
	}
	column := indent
	for _, s := range r.Settings {
		name, _ := s.words()
		if n := utf8.RuneCountInString(terminal.Quoted(name)) + 1; n <= l.width/3 {
			column = max(column, n)
		}
	}
	for _, s := range r.Settings {
		name, text := s.words()
		l.pair(column, terminal.Quoted(name), terminal.Quoted(text))
	}
	if e := r.Environment; e != nil {
		l.pair(column, "environment", terminal.Quoted(e.summary()))
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
	l.line("warm-up", "%s s, %s and %s left out",
		figure.Seconds(r.Warmup.DurationS), figure.Count(r.Warmup.Calls, "call"), figure.Count(r.Warmup.Errors, "error"))
	l.line("measured", "%s", strings.Join(append([]string{figure.Seconds(r.DurationS) + " s"}, r.cutShort()...), ", "))
	if r.OpenLoop {
		l.line("intended", "%s", figure.Count(r.Intended, "call"))
	}
	l.line("calls", "%s%s", figure.Grouped(r.Calls), r.basis())
	if r.ThroughputMargin*10 > r.Throughput && r.Calls > 0 {
		l.line("", "throughput ± %s calls/s: for a better figure measure for longer, calls take %s",
			figure.Rate(r.ThroughputMargin), figure.Microseconds(r.Latency.Mean))
	}
	for i, kind := range slices.Sorted(maps.Keys(r.ErrorsByKind)) {
		name := ""
		if i == 0 {
			name = "errors by kind"
		}
		text := fmt.Sprintf("%s  %s", figure.Grouped(r.ErrorsByKind[kind]), terminal.Quoted(kind))
		if sample := r.ErrorSamples[kind]; sample != "" {
			text += ", such as: " + short(terminal.Quoted(sample), 300)
		}
		l.line(name, "%s", text)
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
	return fmt.Sprintf(" (throughput is of the %s answered within the measured time)", figure.Grouped(r.Completed))
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
		if l.narrow() {
			l.line(name, "%s  %s, of %s", figure.Percent(u.Utilization), terminal.Quoted(u.Name), figure.Rate(u.Capacity))
			continue
		}
		columns := min(20, l.width-indent-35)
		l.row(name, "%8s  %-*s  %s", figure.Percent(u.Utilization), columns, bar(u.Utilization, columns),
			short(fmt.Sprintf("%s, of %s", terminal.Quoted(u.Name), figure.Rate(u.Capacity)), l.width-indent-columns-12))
	}
	if r.Bottleneck != "" {
		l.line("bottleneck", "%s", terminal.Quoted(r.Bottleneck))
	}
	if r.Verdict.State == "" {
		return
	}
	l.blank()
	l.line("checks", "%s", r.verdict())
	for _, reason := range r.Verdict.Reasons {
		l.line("", "- %s", terminal.Quoted(reason))
	}
	var fine []string
	for _, c := range r.Verdict.Checks {
		switch c.Result {
		case bench.OK:
			fine = append(fine, terminal.Quoted(checkName(c)))
		case bench.Warning, bench.Unknown:
			l.line("", "%s: %s: %s", terminal.Quoted(string(c.Result)), terminal.Quoted(checkName(c)), terminal.Quoted(c.Text))
		}
	}
	if len(fine) > 0 {
		l.line("", "ok: %s", strings.Join(fine, ", "))
	}
}

// checkName is the name of a check for people.
func checkName(c bench.Check) string {
	switch c.Name {
	case "littles_law":
		return "Little's law"
	case "cpu", "gc":
		return strings.ToUpper(c.Name)
	}
	return words(c.Name)
}

// words makes a JSON name one to read.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
