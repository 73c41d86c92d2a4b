package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

// A Side is one of two things to compare.
type Side struct {
	Name     string
	Settings map[string]any // how its runs were made, by name; values are compared as JSON
	Runs     []*bench.Result
}

// CompareOptions says how to compare. The zero value works.
type CompareOptions struct {
	// MayDiffer are the names of the settings in which the sides may differ: what the
	// comparison is about.
	MayDiffer []string

	// Metrics are what to compare. None is throughput, p50, p95, p99 and errors.
	Metrics []Metric

	// MinEffect is the least relative difference that is called better or worse, however
	// certain a smaller one is. 0 is 0.01.
	MinEffect float64

	// MinEffectErrors is that of errors, as a difference of shares of all calls. 0 is 0.001:
	// 0.1 percentage points.
	MinEffectErrors float64

	// Confidence is that of all verdicts together: that none of them is better or
	// worse by chance. 0 is 0.95.
	Confidence float64
}

var defaultMetrics = []Metric{Throughput, P50, P95, P99, Errors}

func (o *CompareOptions) check() error {
	switch {
	case !(o.MinEffect >= 0 && o.MinEffect < 1):
		return wrong("CompareOptions.MinEffect", "a share below 1, or 0 for 0.01", o.MinEffect)
	case !(o.MinEffectErrors >= 0 && o.MinEffectErrors < 1):
		return wrong("CompareOptions.MinEffectErrors", "a share below 1, or 0 for 0.001", o.MinEffectErrors)
	case !(o.Confidence >= 0 && o.Confidence < 1):
		return wrong("CompareOptions.Confidence", "a share below 1, or 0 for 0.95", o.Confidence)
	}
	for i, m := range o.Metrics {
		if _, err := parseMetric(string(m)); err != nil {
			return fmt.Errorf("capacity: CompareOptions.Metrics: %w", err)
		}
		if slices.Contains(o.Metrics[:i], m) {
			return wrong("CompareOptions.Metrics", "each once", m)
		}
	}
	if len(o.Metrics) == 0 {
		o.Metrics = defaultMetrics
	}
	def(&o.MinEffect, 0.01)
	def(&o.MinEffectErrors, 0.001)
	def(&o.Confidence, 0.95)
	return nil
}

// A Judgement is what B is, against A.
type Judgement string

// The judgements.
const (
	Better       Judgement = "better"
	Worse        Judgement = "worse"
	NoDifference Judgement = "no difference" // none that was shown and matters
	Unknown      Judgement = "unknown"
)

// A MetricComparison is B against A in one metric.
type MetricComparison struct {
	Metric    Metric    `json:"metric"`
	Unit      string    `json:"unit"` // of A and B, as that of a Term
	Judgement Judgement `json:"judgement"`
	Text      string    `json:"text"` // a sentence that names the metric

	// A and B are the medians of the runs, in the metric's unit. They are nil if there is
	// none, or if calls piled up in so many runs that the median is endless.
	A *float64 `json:"a"`
	B *float64 `json:"b"`

	// Effect is by how much B is greater, as a share of A (-0.1: 10 % less), and EffectLow
	// and EffectHigh are its interval, at the confidence of the whole comparison or more. Of errors it is the
	// difference of the shares, not relative. They are nil if not known, or endless.
	Effect     *float64 `json:"effect"`
	EffectLow  *float64 `json:"effect_low"`
	EffectHigh *float64 `json:"effect_high"`

	// P is the probability of such a difference by chance, corrected for the number of
	// metrics, and Superiority that a run of B is greater than one of A.
	PValue      float64 `json:"p_value"`
	Superiority float64 `json:"superiority"`

	shift float64 // Effect before it was made relative; its sign if that is endless
}

// A ComparedRun is what a comparison keeps of a run.
type ComparedRun struct {
	Side        string         `json:"side"` // "A" or "B"
	StartedAt   time.Time      `json:"started_at"`
	State       bench.State    `json:"state"`
	Disturbance string         `json:"disturbance,omitempty"` // how others used the machine, as the verdict says
	Throughput  float64        `json:"throughput_per_s"`
	ErrorShare  float64        `json:"error_share"`
	Latency     bench.Latency  `json:"latency_us"`
	Machine     *bench.Machine `json:"machine,omitempty"` // as in the result
	Response    *bench.Samples `json:"response"`
}

// A Comparison is B against A.
type Comparison struct {
	A       string             `json:"a"`
	B       string             `json:"b"`
	RunsA   int                `json:"runs_a"`
	RunsB   int                `json:"runs_b"`
	Metrics []MetricComparison `json:"metrics"`

	// MinEffect and MinEffectErrors are the options'.
	MinEffect       float64 `json:"min_effect"`
	MinEffectErrors float64 `json:"min_effect_errors"`

	// Interleaved tells that the runs of both sides took turns. If not, what changed on the machine
	// meanwhile looks like a difference.
	Interleaved bool `json:"interleaved"`

	// Differences are the settings that the sides do not share, as was allowed.
	Differences []Difference `json:"differences"`

	// StopReason says why there is no answer; it is empty if there is one.
	StopReason string `json:"stop_reason"`

	Runs []ComparedRun `json:"runs"` // in the order in which they were made
}

// Is tells if any metric was judged so.
func (c *Comparison) Is(j Judgement) bool {
	return slices.ContainsFunc(c.Metrics, func(x MetricComparison) bool { return x.Judgement == j })
}

// Compare says in which metrics B is better or worse than A, from repeated runs of both that
// took turns, as Interleave makes them. One run is one observation: the calls
// of a run share too much to count each.
//
// A difference is one if the Mann-Whitney test of the runs is significant after
// Holm's correction for the number of metrics, and if the Hodges-Lehmann estimate of it is
// at least MinEffect. The estimate is of the ratio, by logarithms. With fewer runs than can
// ever be significant, as RunsNeeded says, it refuses.
//
// Times of a run in which calls piled up are endless, which is worse than any that ends.
//
// It refuses sides that were not measured alike, with a *DifferentError, runs that are
// not valid or were interrupted, and a run that is there twice.
func Compare(a, b Side, o CompareOptions) (*Comparison, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	for _, side := range []Side{a, b} {
		if err := side.check(); err != nil {
			return nil, err
		}
	}
	if err := once(a, b); err != nil {
		return nil, err
	}
	differ, err := alike(a, b, o.MayDiffer)
	if err != nil {
		return nil, err
	}
	alpha := (1 - o.Confidence) / float64(len(o.Metrics))
	if have, need := min(len(a.Runs), len(b.Runs)), runsFor(alpha); leastP(len(a.Runs), len(b.Runs)) > alpha {
		return nil, wrong("the number of runs", fmt.Sprintf("%d on each side, to tell anything about %d metrics", need, len(o.Metrics)), have)
	}
	c := compared(a, b)
	c.MinEffect, c.MinEffectErrors, c.Differences = o.MinEffect, o.MinEffectErrors, differ
	for _, m := range o.Metrics {
		x, err := compareMetric(m, a.Runs, b.Runs, 1-alpha)
		if err != nil {
			return nil, err
		}
		c.Metrics = append(c.Metrics, x)
	}
	holm(c.Metrics)
	for i := range c.Metrics {
		c.Metrics[i].judge(o)
	}
	return c, nil
}

// Incomplete is the comparison of runs of which there are too few, since they were
// stopped for a reason. It judges nothing, and keeps what was measured.
func Incomplete(a, b Side, why string) *Comparison {
	c := compared(a, b)
	c.StopReason = why
	return c
}

func compared(a, b Side) *Comparison {
	c := &Comparison{A: a.Name, B: b.Name, RunsA: len(a.Runs), RunsB: len(b.Runs), Metrics: []MetricComparison{}, Differences: []Difference{}, Runs: []ComparedRun{}}
	for name, side := range map[string]Side{"A": a, "B": b} {
		for _, r := range side.Runs {
			share, _ := failed(r)
			c.Runs = append(c.Runs, ComparedRun{name, r.StartedAt, r.Verdict.State, r.Verdict.Disturbance, r.Throughput, share, r.Latency, r.Machine, r.Samples.Response})
		}
	}
	slices.SortStableFunc(c.Runs, func(a, b ComparedRun) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Side, b.Side))
	})
	c.Interleaved = interleaved(c.Runs)
	return c
}

// interleaved tells if no side was ever ahead by more than a run, beyond those that it has
// more.
func interleaved(runs []ComparedRun) bool {
	ahead, most, least := 0, 0, 0
	for _, r := range runs {
		if r.StartedAt.IsZero() {
			return false // not known
		}
		if ahead++; r.Side == "B" {
			ahead -= 2
		}
		most, least = max(most, ahead), min(least, ahead)
	}
	return most <= max(1, ahead) && least >= min(-1, ahead)
}

// once refuses a run that is there twice, as it is but one observation.
func once(a, b Side) error {
	seen := map[string]string{}
	for _, side := range []Side{a, b} {
		for i, r := range side.Runs {
			if r.StartedAt.IsZero() {
				continue
			}
			key, is := fmt.Sprint(r.StartedAt.UnixNano(), r.Instance, r.Intended, r.Throughput), fmt.Sprintf("run %d of %s", i+1, side.Name)
			if before, ok := seen[key]; ok {
				return fmt.Errorf("capacity: %s and %s are one run, which counts once: expected a report of each run", before, is)
			}
			seen[key] = is
		}
	}
	return nil
}

func (s Side) check() error {
	if len(s.Runs) == 0 {
		return wrong("the runs of "+s.Name, "one or more", "none")
	}
	for i, r := range s.Runs {
		switch {
		case r == nil:
			return wrong(fmt.Sprintf("run %d of %s", i+1, s.Name), "a result", "nil")
		case r.Interrupted:
			return wrong(fmt.Sprintf("run %d of %s", i+1, s.Name), "a whole run", "one that was interrupted")
		case r.Verdict.State == bench.Invalid:
			return fmt.Errorf("capacity: run %d of %s: %w: %s", i+1, s.Name, ErrInvalid, strings.Join(r.Verdict.Reasons, "; "))
		}
	}
	return nil
}

// leastP is the P of the Mann-Whitney test if one side is all above the other.
func leastP(m, n int) float64 {
	a, _ := math.Lgamma(float64(m + n + 1))
	b, _ := math.Lgamma(float64(m + 1))
	c, _ := math.Lgamma(float64(n + 1))
	return 2 / math.Exp(a-b-c)
}

// RunsNeeded is how many runs of each side it takes to tell anything about so many metrics
// with the default confidence.
func RunsNeeded(metrics int) int {
	if metrics == 0 {
		metrics = len(defaultMetrics)
	}
	return runsFor(0.05 / float64(metrics))
}

// runsFor is how many runs on each side can have a P of alpha.
func runsFor(alpha float64) int {
	n := 1
	for leastP(n, n) > alpha {
		n++
	}
	return n
}

// compareMetric measures the difference. Its P is not yet corrected; it is NaN if the metric is
// not known.
func compareMetric(m Metric, a, b []*bench.Result, confidence float64) (MetricComparison, error) {
	x := MetricComparison{Metric: m, Unit: m.Unit(), PValue: math.NaN()}
	say := func(format string, args ...any) (MetricComparison, error) {
		x.Text = string(m) + ": unknown: " + fmt.Sprintf(format, args...)
		return x, nil
	}
	as, bs := values(m, a), values(m, b)
	all := slices.Concat(as, bs)
	unknown, endless, none := 0, 0, 0
	for _, v := range all {
		switch {
		case math.IsNaN(v):
			unknown++
		case math.IsInf(v, 1):
			endless++
		case v <= 0 && m != Errors:
			none++
		}
	}
	switch {
	case unknown > 0:
		return say("%d of %d runs do not have it, as they have too few calls", unknown, len(all))
	case endless == len(all):
		return say("calls piled up in every run of both")
	case none > 0:
		return say("it is 0 in %d of %d runs", none, len(all))
	}
	x.A, x.B = finite(stats.Median(as)), finite(stats.Median(bs))
	relative := func(v float64) float64 { return v }
	if m != Errors {
		relative = math.Expm1
		for _, vs := range [][]float64{as, bs} {
			for i := range vs {
				// What is endless is more than all else, and its differences from that far
				// more than those of the others.
				vs[i] = min(math.Log(vs[i]), endlessLog)
			}
		}
	}
	test, err := stats.MannWhitney(as, bs)
	if err != nil {
		return x, fmt.Errorf("capacity: %s: %w", m, err)
	}
	x.PValue, x.Superiority = test.P, test.Superiority
	shift, err := stats.HodgesLehmann(as, bs, confidence)
	if err != nil {
		return x, fmt.Errorf("capacity: %s: %w", m, err)
	}
	x.shift = shift.Estimate
	for to, v := range map[**float64]float64{&x.Effect: shift.Estimate, &x.EffectLow: shift.Low, &x.EffectHigh: shift.High} {
		if math.Abs(v) < endlessLog/2 {
			*to = finite(relative(v))
		}
	}
	return x, nil
}

// endlessLog is the logarithm of what is endless: more than that of any float64.
const endlessLog = 1e6

// finite is v, or nil if it is endless.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// values are those of the runs: endless for times where calls piled up, and NaN if not
// known.
func values(m Metric, runs []*bench.Result) []float64 {
	vs := make([]float64, len(runs))
	for i, r := range runs {
		v, ok := m.Of(r)
		switch {
		case ok:
			vs[i] = v
		case m.isTime() && r.Verdict.State == bench.Diverging:
			vs[i] = math.Inf(1)
		default:
			vs[i] = math.NaN()
		}
	}
	return vs
}

// holm makes each P the one that belongs to all of them together: Holm, A Simple
// Sequentially Rejective Multiple Test Procedure, 1979.
func holm(contrasts []MetricComparison) {
	var known []*MetricComparison
	for i := range contrasts {
		if !math.IsNaN(contrasts[i].PValue) {
			known = append(known, &contrasts[i])
		}
	}
	slices.SortFunc(known, func(a, b *MetricComparison) int { return cmp.Compare(a.PValue, b.PValue) })
	var greatest float64
	for i, x := range known {
		greatest = max(greatest, min(1, x.PValue*float64(len(known)-i)))
		x.PValue = greatest
	}
}

// judge decides.
func (x *MetricComparison) judge(o CompareOptions) {
	if math.IsNaN(x.PValue) {
		x.Judgement, x.PValue = Unknown, 1
		return
	}
	least, unit := o.MinEffect, " %"
	if x.Metric == Errors {
		least, unit = o.MinEffectErrors, " percentage points"
	}
	x.Judgement = NoDifference
	sure, matters := x.PValue <= 1-o.Confidence, x.Effect == nil || math.Abs(*x.Effect) >= least
	if sure && matters {
		x.Judgement = Worse
		if (x.shift > 0) == (x.Metric == Throughput) {
			x.Judgement = Better
		}
	}
	x.Text = fmt.Sprintf("%s: %s -> %s", x.Metric, x.Metric.orEndless(x.A), x.Metric.orEndless(x.B))
	if x.Effect != nil {
		x.Text += fmt.Sprintf(": %+.3g%s (%.3g %% CI %s to %s, p=%.2g)", 100**x.Effect, unit, 100*o.Confidence, signedOr(x.EffectLow, "less"), signedOr(x.EffectHigh, "more"), x.PValue)
	} else {
		x.Text += fmt.Sprintf(" (p=%.2g)", x.PValue)
	}
	if sure && !matters {
		x.Text += fmt.Sprintf("; the minimum effect is %.3g%s", 100*least, unit)
	}
}

func signedOr(share *float64, endless string) string {
	if share == nil {
		return endless
	}
	return fmt.Sprintf("%+.3g", 100**share)
}

// orEndless is format for a median, nil being one of runs in which calls piled up.
func (m Metric) orEndless(v *float64) string {
	if v == nil {
		return "calls pile up"
	}
	return m.format(*v)
}
