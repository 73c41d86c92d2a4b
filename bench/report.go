package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
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
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		Run settings `json:"run"`
		*Result
	}{r.Settings, r.Result}); err != nil {
		return fmt.Errorf("bench: report as JSON: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

type settings []Setting

// MarshalJSON keeps the order.
func (s settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // its line ends are space to the encoder of the report
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, set := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(set.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(set.Value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", set.Name, err)
		}
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
	line("throughput", "%s calls/s%s", grouped(int64(r.Throughput+0.5)), r.basis())
	if r.ThroughputMargin*10 > r.Throughput && r.Calls > 0 {
		line("", "give or take %s: for a better figure measure for longer, calls take %s",
			grouped(int64(math.Ceil(r.ThroughputMargin))), formatFigure(r.Latency.Mean))
	}
	line("errors", "%s", grouped(r.Errors))
	for _, kind := range slices.Sorted(maps.Keys(r.ErrorsByKind)) {
		line("", "%s  %s, such as: %s", grouped(r.ErrorsByKind[kind]), printable(kind), printable(r.ErrorSamples[kind]))
	}
	b.WriteByte('\n')

	r.writeLatency(line)
	_, err := io.WriteString(w, b.String())
	return err
}

// basis says what throughput was reckoned from, if that is not the calls.
func (r Report) basis() string {
	if r.Completed == r.Calls {
		return ""
	}
	return fmt.Sprintf(", from the %s answered within the measured time", grouped(r.Completed))
}

func (r Report) writeLatency(line func(name, format string, args ...any)) {
	if r.Calls == 0 {
		why := "no call was answered with success"
		if r.Errors == 0 {
			why = "no call was sent in the measured time"
		}
		line("latency", "none: %s", why)
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
