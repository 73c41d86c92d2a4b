package capacity

import (
	"fmt"
	"strings"

	"redrpc/bench"
	"redrpc/internal/figure"
)

// A Metric is the name of a figure of a bench.Result. Times are response times in
// microseconds, errors are the share of the intended calls that failed or were never sent,
// and throughput is in calls per second.
type Metric string

// The metrics.
const (
	P50        Metric = "p50"
	P90        Metric = "p90"
	P95        Metric = "p95"
	P99        Metric = "p99"
	P999       Metric = "p999"
	Mean       Metric = "mean"
	Max        Metric = "max"
	Errors     Metric = "errors"
	Throughput Metric = "throughput"
)

var metrics = []Metric{P50, P90, P95, P99, P999, Mean, Max, Errors, Throughput}

// permille is the quantile of a percentile, in thousandths, and 0 of another metric.
func (m Metric) permille() int64 {
	switch m {
	case P50:
		return 500
	case P90:
		return 900
	case P95:
		return 950
	case P99:
		return 990
	case P999:
		return 999
	}
	return 0
}

func (m Metric) isTime() bool { return m != Errors && m != Throughput }

// Of returns the figure, and false if it is not known: because the samples do not
// support it, or because it is a time and the calls piled up, so that it has none.
func (m Metric) Of(res *bench.Result) (float64, bool) {
	switch {
	case m == Errors:
		return failed(res)
	case m == Throughput:
		return res.Throughput, res.DurationS > 0
	case res.Verdict.State == bench.Diverging:
		return 0, false
	}
	l := res.Latency
	us := map[Metric]*float64{P50: l.P50, P90: l.P90, P95: l.P95, P99: l.P99, P999: l.P999, Mean: l.Mean, Max: l.Max}[m]
	if us == nil {
		return 0, false
	}
	return *us, true
}

// failed is the share of the calls that did not succeed.
func failed(res *bench.Result) (float64, bool) {
	all := res.Calls + res.Errors + res.Dropped
	if all == 0 {
		return 0, false
	}
	return float64(res.Errors+res.Dropped) / float64(all), true
}

// Unit is the metric's, as at the end of JSON names: "us", "share" or "per_s".
func (m Metric) Unit() string {
	switch m {
	case Errors:
		return "share"
	case Throughput:
		return "per_s"
	}
	return "us"
}

// format writes a value of the metric for people.
func (m Metric) format(v float64) string {
	switch m {
	case Errors:
		return figure.Percent(v)
	case Throughput:
		return figure.Rate(v) + "/s"
	}
	return figure.Microseconds(&v)
}

func parseMetric(s string) (Metric, error) {
	for _, m := range metrics {
		if s == string(m) || m == P999 && s == "p99.9" {
			return m, nil
		}
	}
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = string(m)
	}
	return "", fmt.Errorf("expected one of %s, got %q", strings.Join(names, ", "), s)
}
