package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/figure"
	"redrpc/internal/terminal"
)

// About is what several runs were made of, and where.
type About struct {
	Settings    Settings
	Environment *Environment // nil if it is not known
}

func (a About) redacted() About {
	r := Report{Settings: a.Settings, Environment: a.Environment}.Redacted()
	return About{r.Settings, r.Environment}
}

// section is the last of a page.
func (a About) section() section {
	r := a.redacted()
	return Report{Settings: r.Settings, Environment: r.Environment, Result: &bench.Result{}}.runSection()
}

// writeJSON writes what several runs found as the value of its name.
func (a About) writeJSON(w io.Writer, name string, found any) error {
	a = a.redacted()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(Settings{{"schema", bench.Schema}, {"settings", a.Settings}, {"environment", a.Environment}, {name, found}}); err != nil {
		return fmt.Errorf("report: %s as JSON: %w", name, err)
	}
	_, err := w.Write(terminal.JSON(b.Bytes()))
	return err
}

// metricText writes a value of a metric with its unit.
func metricText(m capacity.Metric, v float64) string {
	switch m {
	case capacity.Errors:
		return figure.Percent(v)
	case capacity.Throughput:
		return figure.Rate(v) + " calls/s"
	}
	return figure.Microseconds(&v)
}

// metricName is a metric's name as people write it.
func metricName(m capacity.Metric) string {
	if m == capacity.P999 {
		return "p99.9"
	}
	return string(m)
}
