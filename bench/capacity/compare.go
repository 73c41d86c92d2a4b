package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"

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

	// Matters is the least relative difference that is called better or worse, however
	// certain a smaller one is; of errors it is in shares of all calls. 0 is 0.01.
	Matters float64

	// Confidence is that of all verdicts together: that none of them is better or
	// worse by chance. 0 is 0.95.
	Confidence float64
}

func (o *CompareOptions) check() error {
	switch {
	case !(o.Matters >= 0 && o.Matters < 1):
		return wrong("CompareOptions.Matters", "a share below 1, or 0 for 0.01", o.Matters)
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
		o.Metrics = []Metric{Throughput, P50, P95, P99, Errors}
	}
	def(&o.Matters, 0.01)
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

// A Contrast is B against A in one metric.
type Contrast struct {
	Metric    Metric    `json:"metric"`
	Judgement Judgement `json:"judgement"`
	Text      string    `json:"text"` // a sentence

	A float64 `json:"a"` // median of the runs, in the metric's unit
	B float64 `json:"b"`

	// Effect is by how much B is greater, as a share of A (-0.1: 10 % less), and Low and High
	// are its interval, at the confidence of the whole comparison or more. Of errors it is the
	// difference of the shares, not relative.
	Effect float64 `json:"effect"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`

	// P is the probability of such a difference by chance, corrected for the number of
	// metrics, and Superiority that a run of B is greater than one of A.
	P           float64 `json:"p"`
	Superiority float64 `json:"superiority"`
}

// A Comparison is B against A.
type Comparison struct {
	A         string     `json:"a"`
	B         string     `json:"b"`
	RunsA     int        `json:"runs_a"`
	RunsB     int        `json:"runs_b"`
	Contrasts []Contrast `json:"contrasts"`
}

// Is tells if any metric was judged so.
func (c *Comparison) Is(j Judgement) bool {
	return slices.ContainsFunc(c.Contrasts, func(x Contrast) bool { return x.Judgement == j })
}

// Compare says in which metrics B is better or worse than A, from repeated runs of both that
// took turns, as Interleave makes them. One run is one observation: the calls
// of a run share too much to count each.
//
// A difference is one if the Mann-Whitney test of the runs is significant after
// Holm's correction for the number of metrics, and if the Hodges-Lehmann estimate of it is
// at least Matters. The estimate is of the ratio, by logarithms. With fewer runs than can
// ever be significant, 5 on each side for the default metrics, it refuses.
//
// It refuses sides that were not measured alike, with a *DifferentError, and runs that are
// not valid or were interrupted. Where calls piled up a run has no times, and they
// are Unknown.
func Compare(a, b Side, o CompareOptions) (*Comparison, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	for _, side := range []Side{a, b} {
		if err := side.check(); err != nil {
			return nil, err
		}
	}
	if err := alike(a, b, o.MayDiffer); err != nil {
		return nil, err
	}
	alpha := (1 - o.Confidence) / float64(len(o.Metrics))
	if have, need := min(len(a.Runs), len(b.Runs)), runsFor(alpha); leastP(len(a.Runs), len(b.Runs)) > alpha {
		return nil, wrong("the number of runs", fmt.Sprintf("%d on each side, to tell anything about %d metrics", need, len(o.Metrics)), have)
	}
	c := &Comparison{A: a.Name, B: b.Name, RunsA: len(a.Runs), RunsB: len(b.Runs)}
	for _, m := range o.Metrics {
		x, err := contrast(m, a.Runs, b.Runs, 1-alpha)
		if err != nil {
			return nil, err
		}
		c.Contrasts = append(c.Contrasts, x)
	}
	holm(c.Contrasts)
	for i := range c.Contrasts {
		c.Contrasts[i].judge(o)
	}
	return c, nil
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
			return wrong(fmt.Sprintf("run %d of %s", i+1, s.Name), "a valid run", fmt.Sprintf("an invalid one: %q", r.Verdict.Reasons))
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

// runsFor is how many runs on each side can have a P of alpha.
func runsFor(alpha float64) int {
	n := 1
	for leastP(n, n) > alpha {
		n++
	}
	return n
}

// contrast measures the difference. Its P is not yet corrected; it is NaN if the metric is
// not known.
func contrast(m Metric, a, b []*bench.Result, confidence float64) (Contrast, error) {
	x := Contrast{Metric: m, P: math.NaN()}
	as, aOK := values(m, a)
	bs, bOK := values(m, b)
	if !aOK || !bOK {
		x.Text = "not every run has it"
		return x, nil
	}
	test, err := stats.MannWhitney(as, bs)
	if err != nil {
		return x, fmt.Errorf("capacity: %s: %w", m, err)
	}
	x.A, x.B, x.P, x.Superiority = stats.Median(as), stats.Median(bs), test.P, test.Superiority
	relative := func(v float64) float64 { return v }
	if m != Errors {
		if slices.Min(as) <= 0 || slices.Min(bs) <= 0 {
			x.P, x.Text = math.NaN(), "a run has none"
			return x, nil
		}
		relative = math.Expm1
		for _, vs := range [][]float64{as, bs} {
			for i := range vs {
				vs[i] = math.Log(vs[i])
			}
		}
	}
	shift, err := stats.HodgesLehmann(as, bs, confidence)
	if err != nil {
		return x, fmt.Errorf("capacity: %s: %w", m, err)
	}
	x.Effect, x.Low, x.High = relative(shift.Estimate), relative(shift.Low), relative(shift.High)
	return x, nil
}

func values(m Metric, runs []*bench.Result) ([]float64, bool) {
	vs := make([]float64, len(runs))
	for i, r := range runs {
		v, ok := m.Of(r)
		if !ok {
			return nil, false
		}
		vs[i] = v
	}
	return vs, true
}

// holm makes each P the one that belongs to all of them together: Holm, A Simple
// Sequentially Rejective Multiple Test Procedure, 1979.
func holm(contrasts []Contrast) {
	var known []*Contrast
	for i := range contrasts {
		if !math.IsNaN(contrasts[i].P) {
			known = append(known, &contrasts[i])
		}
	}
	slices.SortFunc(known, func(a, b *Contrast) int { return cmp.Compare(a.P, b.P) })
	var greatest float64
	for i, x := range known {
		greatest = max(greatest, min(1, x.P*float64(len(known)-i)))
		x.P = greatest
	}
}

// judge decides.
func (x *Contrast) judge(o CompareOptions) {
	if math.IsNaN(x.P) {
		x.Judgement, x.P = Unknown, 1
		return
	}
	x.Judgement = NoDifference
	if x.P <= 1-o.Confidence && math.Abs(x.Effect) >= o.Matters {
		x.Judgement = Worse
		if (x.Effect > 0) == (x.Metric == Throughput) {
			x.Judgement = Better
		}
	}
	unit := " %"
	if x.Metric == Errors {
		unit = " percentage points"
	}
	x.Text = fmt.Sprintf("%s -> %s: %+.1f%s, %+.1f to %+.1f, p %.2g", x.Metric.format(x.A), x.Metric.format(x.B),
		100*x.Effect, unit, 100*x.Low, 100*x.High, x.P)
}
