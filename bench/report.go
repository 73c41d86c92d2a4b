package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Report is a Result and what was run to get it.
type Report struct {
	Settings []Setting // in the order in which they are printed
	*Result
}

// A Setting is one fact of what was run, such as {"payload_bytes", 100}. Name is
// its JSON name; the text report prints it with spaces. A json.RawMessage is
// printed as it is.
type Setting struct {
	Name  string
	Value any
}

func (s Setting) text() string {
	if raw, ok := s.Value.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(s.Value)
}

// WriteJSON writes the report as one JSON object: the settings as the object
// "run", then the fields of Result.
func (r Report) WriteJSON(w io.Writer) error {
	out, err := json.MarshalIndent(struct {
		Run settings `json:"run"`
		*Result
	}{r.Settings, r.Result}, "", "  ")
	if err != nil {
		return fmt.Errorf("bench: report as JSON: %w", err)
	}
	_, err = w.Write(append(out, '\n'))
	return err
}

type settings []Setting

// MarshalJSON keeps the order.
func (s settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, set := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(set.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(set.Value)
		if err != nil {
			return nil, fmt.Errorf("setting %s: %w", set.Name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// WriteText writes the report for people, in lines of printable text.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", name, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	line("load model", "%s, %s callers", r.Model, grouped(int64(r.Callers)))
	for _, s := range r.Settings {
		line(strings.ReplaceAll(s.Name, "_", " "), "%s", printable(s.text()))
	}
	b.WriteByte('\n')

	line("warm-up", "%s s, %s calls and %s errors left out",
		seconds(r.Warmup.DurationS), grouped(r.Warmup.Calls), grouped(r.Warmup.Errors))
	interrupted := ""
	if r.Interrupted {
		interrupted = ", interrupted"
	}
	line("measured", "%s s%s", seconds(r.DurationS), interrupted)
	line("calls", "%s", grouped(r.Calls))
	line("throughput", "%s calls/s", grouped(int64(r.Throughput+0.5)))
	line("errors", "%s", grouped(r.Errors))
	for _, kind := range slices.Sorted(maps.Keys(r.ErrorsByKind)) {
		line("", "%s  %s, such as: %s", grouped(r.ErrorsByKind[kind]), printable(kind), printable(r.ErrorSamples[kind]))
	}
	b.WriteByte('\n')

	r.writeLatency(line)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) writeLatency(line func(name, format string, args ...any)) {
	if r.Calls == 0 {
		line("latency", "none: no call was answered with success")
		return
	}
	l := r.Latency
	columns := []struct {
		name string
		us   *float64
	}{
		{"min", l.Min}, {"mean", l.Mean}, {"p50", l.P50}, {"p90", l.P90}, {"p95", l.P95},
		{"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max},
	}
	var names, values strings.Builder
	missing := false
	for _, c := range columns {
		missing = missing || c.us == nil
		fmt.Fprintf(&names, "%-8s", c.name)
		fmt.Fprintf(&values, "%-8s", formatFigure(c.us))
	}
	line("latency", "%s", names.String())
	line("", "%s", values.String())
	if missing {
		line("", "-: too few calls (p50 needs %d, p90 %d, p95 %d, p99 %d, p99.9 %s)", MinSamples(0.5),
			MinSamples(0.9), MinSamples(0.95), MinSamples(0.99), grouped(MinSamples(0.999)))
	}
	if r.Unrecorded > 0 {
		line("", "%s calls took more than an hour: percentiles that they decide are left out", grouped(r.Unrecorded))
	}
}
