package capacity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

// SweepOptions says what loads to measure. Loads is needed.
type SweepOptions struct {
	// Loads are measured once each, in an order shuffled by Seed, so that what
	// changes over time does not look like an effect of the load. One that is there
	// twice is measured twice.
	Loads []float64
	Seed  uint64

	// Callers tells that the loads are numbers of callers of a closed loop, not
	// rates of an open one: then the Universal Scalability Law is fitted, too.
	Callers bool

	// Duration is the measured window of each trial. 0 is 5 s.
	Duration time.Duration

	// Knee is the metric whose knee is looked for. Empty is P99.
	Knee Metric

	// Retries is how often a trial that is not valid is repeated. Negative is never. 0 is 1.
	Retries int

	// Drain is called before each trial.
	Drain Drain

	// Progress, if not nil, is called after each trial.
	Progress func(SweepPoint)
}

func (o *SweepOptions) check() error {
	if len(o.Loads) == 0 {
		return wrong("SweepOptions.Loads", "one load or more", "none")
	}
	for _, l := range o.Loads {
		if !positive(l) {
			return wrong("SweepOptions.Loads", "loads above 0", l)
		}
		if o.Callers && l != math.Trunc(l) {
			return wrong("SweepOptions.Loads", "whole numbers of callers", l)
		}
	}
	if o.Duration < 0 {
		return wrong("SweepOptions.Duration", "more than 0, or 0 for 5 s", o.Duration)
	}
	def(&o.Duration, 5*time.Second)
	def(&o.Knee, P99)
	def(&o.Retries, 1)
	if m, err := parseMetric(string(o.Knee)); err != nil || !m.isTime() {
		return wrong("SweepOptions.Knee", "a time such as p99", o.Knee)
	}
	return nil
}

// A SweepPoint is the trial at one load.
type SweepPoint struct {
	Load       float64        `json:"load"`
	Order      int            `json:"order"` // in which it was measured, from 0
	Throughput float64        `json:"throughput_per_s"`
	Latency    bench.Latency  `json:"latency_us"`
	ErrorShare float64        `json:"error_share"`
	Verdict    bench.Verdict  `json:"verdict"`
	Machine    *bench.Machine `json:"machine,omitempty"` // as in the result
	Result     *bench.Result  `json:"-"`
}

// A LoadUnit is what the loads of a sweep are.
type LoadUnit string

// The units of loads: callers of a closed loop, or calls per second of an open one.
const (
	LoadOfCallers LoadUnit = "callers"
	LoadOfRates   LoadUnit = "calls_per_s"
)

// A SweepResult is what a sweep found.
type SweepResult struct {
	LoadUnit LoadUnit     `json:"load_unit"`
	Points   []SweepPoint `json:"points"` // by load

	// Knee is the load from which KneeMetric rises steeply. It is nil if there is
	// none, and KneeReason then says why.
	KneeMetric Metric   `json:"knee_metric"`
	Knee       *float64 `json:"knee"`
	KneeReason string   `json:"knee_reason"`

	// USL is the law fitted to the throughput of the valid points. It is nil if there
	// is none, and USLReason then says why.
	USL       *stats.USL `json:"usl"`
	USLReason string     `json:"usl_reason"`

	// StopReason says why the sweep ended before all loads were measured; it is empty if it
	// did not.
	StopReason string `json:"stop_reason"`
}

// Sweep measures the system at each load, and returns its curve of throughput and
// latency. Points that are not valid are in it, but neither the knee nor the law
// is reckoned from them; the knee is not from those whose calls piled up either.
//
// If ctx ends or a trial fails, the curve has the points so far. If no call of the first
// trial succeeds the error matches ErrNoSuccess.
func Sweep(ctx context.Context, trial Trial, o SweepOptions) (*SweepResult, error) {
	if trial == nil {
		return nil, wrong("trial", "a function", "nil")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &SweepResult{LoadUnit: LoadOfRates, KneeMetric: o.Knee}
	if o.Callers {
		c.LoadUnit = LoadOfCallers
	}
	err := c.measure(ctx, trial, o)
	switch {
	case ctx.Err() != nil:
		c.StopReason = "it was interrupted"
	case err != nil:
		c.StopReason = err.Error()
	}
	slices.SortStableFunc(c.Points, func(a, b SweepPoint) int { return cmp.Compare(a.Load, b.Load) })
	c.knee()
	c.fit()
	return c, err
}

func (c *SweepResult) measure(ctx context.Context, trial Trial, o SweepOptions) error {
	loads := slices.Clone(o.Loads)
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	rng.Shuffle(len(loads), func(i, j int) { loads[i], loads[j] = loads[j], loads[i] })
	var some anySuccess
	for i, load := range loads {
		for attempt := 0; ; attempt++ {
			if err := o.Drain.wait(ctx); err != nil {
				return err
			}
			res, err := trial(ctx, load, o.Duration)
			if err == nil && res == nil {
				err = errors.New("expected a result or an error, got neither")
			}
			if err != nil {
				return fmt.Errorf("capacity: trial at a load of %v: %w", load, err)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx) // it was cut short
			}
			if err := some.succeeds(res); err != nil {
				return fmt.Errorf("capacity: trial at a load of %v: %w", load, err)
			}
			if res.Verdict.State == bench.Invalid && attempt < o.Retries {
				continue
			}
			share, _ := failed(res)
			p := SweepPoint{Load: load, Order: i, Throughput: res.Throughput, Latency: res.Latency,
				ErrorShare: share, Verdict: res.Verdict, Machine: res.Machine, Result: res}
			c.Points = append(c.Points, p)
			if o.Progress != nil {
				o.Progress(p)
			}
			break
		}
	}
	return nil
}

// knee looks at the points that have a latency. One load's are put together as their
// median.
func (c *SweepResult) knee() {
	var x, y []float64
	var same []float64
	for _, p := range c.Points {
		v, ok := c.KneeMetric.Of(p.Result)
		if !ok || p.Verdict.State == bench.Invalid {
			continue
		}
		if len(x) == 0 || x[len(x)-1] != p.Load {
			x, y, same = append(x, p.Load), append(y, 0), nil
		}
		same = append(same, v)
		y[len(y)-1] = stats.Median(same)
	}
	if len(x) < 4 {
		c.KneeReason = fmt.Sprintf("it needs 4 loads with a %s, and there are %d", c.KneeMetric, len(x))
		return
	}
	i, ok, err := stats.Knee(x, y)
	switch {
	case err != nil:
		c.KneeReason = strings.TrimPrefix(err.Error(), "stats: ")
	case !ok:
		c.KneeReason = "the curve is about straight: the loads do not reach the knee"
	default:
		c.Knee = &x[i]
	}
}

// fit is of numbers of callers only: of rates the throughput is what was offered.
func (c *SweepResult) fit() {
	if c.LoadUnit != LoadOfCallers {
		c.USLReason = "the law is about numbers of callers, and the loads are rates"
		return
	}
	var points []stats.Point
	for _, p := range c.Points {
		if p.Verdict.State != bench.Invalid {
			points = append(points, stats.Point{N: p.Load, X: p.Throughput})
		}
	}
	different := map[float64]bool{}
	for _, p := range points {
		different[p.N] = true
	}
	if n := len(different); n < 4 {
		c.USLReason = fmt.Sprintf("it needs 4 different numbers of callers that are not invalid, and there are %d", n)
		return
	}
	u, err := stats.FitUSL(points)
	if err != nil {
		c.USLReason = strings.TrimPrefix(strings.TrimPrefix(err.Error(), "stats: "), "the law does not fit: ")
		return
	}
	c.USL = &u
}
