package capacity

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"redrpc/bench"
)

// An SLO is a service level objective: terms that all have to be met.
type SLO []Term

// A Term is a limit of one metric: at most, or, of the throughput, at least. The unit
// is the metric's.
type Term struct {
	Metric Metric  `json:"metric"`
	Limit  float64 `json:"limit"`
}

// MarshalJSON adds the unit.
func (t Term) MarshalJSON() ([]byte, error) {
	type term Term
	return json.Marshal(struct {
		term
		Unit string `json:"unit"`
	}{term(t), t.Metric.Unit()})
}

func (t Term) String() string { return string(t.Metric) + "=" + t.limit() }

// limit is exact, and can be parsed.
func (t Term) limit() string {
	switch t.Metric {
	case Errors:
		return strconv.FormatFloat(100*t.Limit, 'g', 12, 64) + "%"
	case Throughput:
		return strconv.FormatFloat(t.Limit, 'f', -1, 64) + "/s"
	}
	return time.Duration(math.Round(t.Limit * float64(time.Microsecond))).String()
}

func (s SLO) String() string {
	terms := make([]string, len(s))
	for i, t := range s {
		terms[i] = t.String()
	}
	return strings.Join(terms, ",")
}

// ParseSLO reads terms such as "p99=20ms,errors=0.1%". Their names are p50, p90, p95,
// p99, p999, mean and max, with a duration as of time.ParseDuration; errors, with a
// percentage; and throughput, with calls per second such as 1000/s. In place of = there
// may be < or <=, and > or >= before a throughput.
func ParseSLO(s string) (SLO, error) {
	var slo SLO
	for _, text := range strings.Split(s, ",") {
		i := strings.IndexAny(text, "=<>")
		if i < 0 {
			return nil, fmt.Errorf("capacity: SLO %q: expected terms such as p99=20ms,errors=0.1%%", s)
		}
		name, value := strings.TrimSpace(text[:i]), text[i+1:]
		if text[i] != '=' {
			value = strings.TrimPrefix(value, "=")
			if (text[i] == '>') != (name == string(Throughput)) {
				return nil, fmt.Errorf("capacity: SLO %q: expected > before a throughput and < before all others, or =", s)
			}
		}
		t, err := parseTerm(name, strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("capacity: SLO %q: %w", s, err)
		}
		for _, before := range slo {
			if before.Metric == t.Metric {
				return nil, fmt.Errorf("capacity: SLO %q: %s is there twice", s, t.Metric)
			}
		}
		slo = append(slo, t)
	}
	return slo, nil
}

func parseTerm(name, value string) (Term, error) {
	m, err := parseMetric(name)
	if err != nil {
		return Term{}, err
	}
	t := Term{Metric: m}
	switch m {
	case Errors:
		number, percent := strings.CutSuffix(value, "%")
		t.Limit, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
		t.Limit /= 100
		if err != nil || !(t.Limit >= 0 && t.Limit < 1) || !percent && t.Limit != 0 {
			return Term{}, fmt.Errorf("errors: expected a percentage such as 0.1%%, got %q", value)
		}
	case Throughput:
		t.Limit, err = strconv.ParseFloat(strings.TrimSuffix(value, "/s"), 64)
		if err != nil || !positive(t.Limit) {
			return Term{}, fmt.Errorf("throughput: expected calls per second such as 1000/s, got %q", value)
		}
	default:
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return Term{}, fmt.Errorf("%s: expected a duration such as 20ms, got %q", m, value)
		}
		t.Limit = float64(d) / float64(time.Microsecond)
	}
	return t, nil
}

// check is for SLOs that were not parsed.
func (s SLO) check(field string) error {
	if len(s) == 0 {
		return wrong(field, "one term or more", "none")
	}
	for _, t := range s {
		if _, err := parseMetric(string(t.Metric)); err != nil {
			return fmt.Errorf("capacity: %s: %w", field, err)
		}
		if !positive(t.Limit) && !(t.Metric == Errors && t.Limit == 0) {
			return wrong(field, "a limit above 0 for "+string(t.Metric), t.Limit)
		}
	}
	return nil
}

// Needs is how many calls it takes to tell whether the SLO is met.
func (s SLO) Needs() int64 {
	var n int64 = 1
	for _, t := range s {
		if p := t.Metric.permille(); p > 0 {
			n = max(n, bench.MinSamples(float64(p)/1000))
		}
	}
	return n
}

// A TermResult is what a result says about a term.
type TermResult struct {
	Term  Term     `json:"term"`
	Value *float64 `json:"value"` // in the metric's unit; nil if it has none
	Known bool     `json:"known"` // whether it could be told
	Met   bool     `json:"met"`
	Text  string   `json:"text"` // such as "p99 21.3ms, more than 20ms"
}

// Check says how a result meets each term.
//
// A percentile is here of all calls that were intended, those that failed or were never sent
// counting as endless: p99=20ms means that 99 of 100 users had their answer within
// 20 ms, so failing fast does not help. Mean and max are of the calls that succeeded.
func (s SLO) Check(res *bench.Result) []TermResult {
	findings := make([]TermResult, len(s))
	for i, t := range s {
		findings[i] = t.check(res)
	}
	return findings
}

func (t Term) check(res *bench.Result) TermResult {
	f := TermResult{Term: t}
	say := func(format string, args ...any) TermResult {
		f.Text = string(t.Metric) + " " + fmt.Sprintf(format, args...)
		return f
	}
	value, ok := t.Metric.Of(res)
	if t.Metric.isTime() && res.Verdict.State == bench.Diverging {
		f.Known = true
		return say("grows for as long as one measures")
	}
	if permille := t.Metric.permille(); permille > 0 {
		all := res.Calls + res.Errors + res.Dropped
		if need := bench.MinSamples(float64(permille) / 1000); all < need {
			return say("unknown: it needs %d calls, and there were %d", need, all)
		}
		rank := (all*permille + 999) / 1000
		if rank > res.Calls {
			f.Known = true
			return say("endless: %d of %d calls failed", res.Errors+res.Dropped, all)
		}
		if rank != (res.Calls*permille+999)/1000 || !ok {
			var d time.Duration
			if res.Samples.Response != nil {
				d, ok = res.Samples.Response.Rank(rank)
			}
			value = float64(d) / float64(time.Microsecond)
		}
	}
	if !ok {
		return say("unknown")
	}
	f.Value, f.Known = &value, true
	if t.Metric == Throughput {
		f.Met = value >= t.Limit
		return say("%s, %s %s", t.Metric.format(value), word(f.Met, "at least", "less than"), t.limit())
	}
	f.Met = value <= t.Limit
	return say("%s, %s %s", t.Metric.format(value), word(f.Met, "at most", "more than"), t.limit())
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
