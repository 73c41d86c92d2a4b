package capacity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"redrpc/bench"
	"redrpc/internal/figure"
)

// PlanOptions says what to plan for. Rate, SLO and Run are needed.
type PlanOptions struct {
	// Rate is the calls per second that the workers are to take.
	Rate float64

	// SLO is what they have to meet. Errors are not simulated, so a term about
	// them is met.
	SLO SLO

	// Run is how long a worker is busy with a call, and Overhead what else the call takes,
	// whatever the load: sending it, waking up the worker, bringing the result back.
	Run, Overhead Times

	// ConstantArrivals makes calls come in equal intervals. Else they come at random,
	// as a Poisson process, which is what many independent callers make.
	ConstantArrivals bool

	// MaxWorkers is the greatest number of workers to consider. 0 is 10,000.
	MaxWorkers int

	// Calls is how many are simulated for each number of workers, a tenth of them at
	// the start being left out. 0 is 1,000,000.
	Calls int

	// Seed makes a plan repeatable.
	Seed uint64
}

func (o *PlanOptions) check() error {
	if err := o.SLO.check("PlanOptions.SLO"); err != nil {
		return err
	}
	switch {
	case !positive(o.Rate):
		return wrong("PlanOptions.Rate", "calls per second", o.Rate)
	case o.Run.Mean() <= 0:
		return wrong("PlanOptions.Run", "times above 0", o.Run)
	case o.MaxWorkers < 0:
		return wrong("PlanOptions.MaxWorkers", "1 or more, or 0 for 10,000", o.MaxWorkers)
	case o.Calls < 0:
		return wrong("PlanOptions.Calls", "1 or more, or 0 for 1,000,000", o.Calls)
	}
	def(&o.MaxWorkers, 10_000)
	def(&o.Calls, 1_000_000)
	if need := 2 * int(o.SLO.Needs()); o.Calls < need {
		return wrong("PlanOptions.Calls", fmt.Sprintf("%d or more for %v", need, o.SLO), o.Calls)
	}
	return nil
}

// A Prediction is what a number of workers does with the load.
type Prediction struct {
	Workers     int          `json:"workers"`
	Utilization float64      `json:"utilization"` // share of their time that the workers are busy
	Met         bool         `json:"met"`
	Terms       []TermResult `json:"terms"`

	// The response time, and how long calls wait for a worker. They are nil if the
	// workers cannot keep up, or so barely that there is no telling, as Reason says.
	Latency *bench.Latency `json:"latency_us"`
	Wait    *bench.Latency `json:"wait_us"`
	Reason  string         `json:"reason"`
}

// A PlanResult is the answer of a plan.
type PlanResult struct {
	Rate float64 `json:"rate_per_s"`
	SLO  string  `json:"slo"`

	// Workers is the least number that meets the SLO. It is 0 if none does, and Reason then
	// says why.
	Workers int    `json:"workers"`
	Reason  string `json:"reason"`

	// OfferedLoad is how many workers the calls keep busy on average, in erlangs: Rate times the mean
	// of Run. It takes more than that to keep up at all.
	OfferedLoad float64 `json:"offered_load_erlangs"`

	// Predictions are of the numbers of workers that were tried, the least first.
	Predictions []Prediction `json:"predictions"`

	// Assumptions are what the answer rests on, in sentences.
	Assumptions []string `json:"assumptions"`

	// Check is what a run of so many workers at the rate has shown, nil if there was none.
	// Plan leaves it to its caller.
	Check *PlanCheck `json:"check"`
}

// A PlanCheck is a run that was to confirm a plan.
type PlanCheck struct {
	DurationS  float64       `json:"duration_s"`
	Throughput float64       `json:"throughput_per_s"`
	Latency    bench.Latency `json:"latency_us"`
	Errors     int64         `json:"errors"`
	Verdict    bench.Verdict `json:"verdict"`
	Objective  Objective     `json:"objective"`
}

// Checked is what a run says about an SLO that was planned for.
func Checked(slo SLO, res *bench.Result) *PlanCheck {
	return &PlanCheck{res.DurationS, res.Throughput, res.Latency, res.Errors, res.Verdict, slo.Judge(res)}
}

// Plan says how many workers a rate needs to meet an SLO, by simulation of calls that wait
// in one line for the next free worker (G/G/k, first in, first out). The error is about the
// options, or ctx's.
//
// It agrees with Erlang's formulas where there are some (M/M/k and M/D/1). It is only as good
// as its assumptions, which it states: foremost that Run does not grow with the load, as it does
// where workers share processors. Check the answer by a measured run.
func Plan(ctx context.Context, o PlanOptions) (*PlanResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &PlanResult{Rate: o.Rate, SLO: o.SLO.String(), OfferedLoad: o.Rate * o.Run.Mean().Seconds(), Assumptions: o.assumptions()}
	if endless := o.predict(ctx, 0); ctx.Err() == nil && !endless.Met {
		for _, f := range endless.Terms {
			if !f.Met {
				n.Reason = fmt.Sprintf("no number of workers does: when no call waits, %s", f.Text)
			}
		}
		return n, nil
	}
	tried := map[int]Prediction{}
	met := func(workers int) bool {
		if _, ok := tried[workers]; !ok {
			tried[workers] = o.predict(ctx, workers)
		}
		return tried[workers].Met
	}
	// With more workers each of the same calls waits no longer, so what meets the SLO
	// does with more, too.
	low, high := int(n.OfferedLoad), 0 // low cannot keep up; high is not known
	for step := 1; high != low+1 && low < o.MaxWorkers; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		next := min(low+step, o.MaxWorkers)
		if high > 0 {
			next = (low + high) / 2
		}
		if met(next) {
			high = next
		} else {
			low = next
		}
		step *= 2
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if n.Workers = high; high > 0 {
		met(high + 1) // what one more would do
	} else {
		n.Reason = fmt.Sprintf("%d workers do not", o.MaxWorkers)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, p := range tried {
		n.Predictions = append(n.Predictions, p)
	}
	slices.SortFunc(n.Predictions, func(a, b Prediction) int { return cmp.Compare(a.Workers, b.Workers) })
	return n, nil
}

// predict simulates a number of workers, 0 being as many as there are calls. If ctx ends
// first the prediction is incomplete, and the caller must discard it.
func (o *PlanOptions) predict(ctx context.Context, workers int) Prediction {
	p := Prediction{Workers: workers}
	if workers > 0 {
		p.Utilization = o.Rate * o.Run.Mean().Seconds() / float64(workers)
	}
	if p.Utilization >= 1 {
		p.Reason = "the workers cannot keep up: they are busy all the time"
		return p
	}
	// A line remembers how it was for about this many calls: the relaxation time of
	// M/M/1 (Cohen, The Single Server Queue, 1982), or what is in the workers. The simulation
	// has to be many times as long.
	root := math.Sqrt(p.Utilization)
	memory := max(p.Utilization/((1-root)*(1-root)), o.Rate*o.Run.Mean().Seconds())
	if workers > 0 && 100*memory > float64(o.Calls) {
		p.Reason = fmt.Sprintf("the workers barely keep up: %.1f %% of their time is too much to be simulated by so few calls", 100*p.Utilization)
		return p
	}
	response, waits := bench.NewSamples(), bench.NewSamples()
	q := queue{o.Rate, o.ConstantArrivals, o.Run, o.Overhead}
	for i, v := range q.visits(workers, o.Calls, o.Seed) {
		if i%10_000 == 0 && ctx.Err() != nil {
			break
		}
		if i >= o.Calls/10 {
			response.Record(inDuration(v.response))
			waits.Record(inDuration(v.wait))
		}
	}
	p.Latency, p.Wait = latencies(response), latencies(waits)
	p.Terms = o.SLO.Check(&bench.Result{
		Calls:      response.Count,
		DurationS:  float64(response.Count) / o.Rate,
		Throughput: o.Rate,
		Latency:    *p.Latency,
		Samples:    bench.ResultSamples{Response: response},
		Verdict:    bench.Verdict{State: bench.Valid},
	})
	p.Met = !slices.ContainsFunc(p.Terms, func(f TermResult) bool { return !f.Met })
	return p
}

func (o *PlanOptions) assumptions() []string {
	arrivals := "as a Poisson process"
	if o.ConstantArrivals {
		arrivals = "at a constant rate"
	}
	return []string{
		fmt.Sprintf("calls arrive %s, %s on average", arrivals, Throughput.format(o.Rate)),
		"they wait in one queue, first in, first out, for the next free worker",
		fmt.Sprintf("a worker runs one call at a time, for its run time (%v)", o.Run),
		fmt.Sprintf("a call takes an overhead on top of that (%v), whatever the load", o.Overhead),
		"run times do not depend on the load or on each other: workers do not share what they need",
		"no call fails or times out",
		fmt.Sprintf("%s calls were simulated for each number of workers, with the seed %d", figure.Grouped(int64(o.Calls)), o.Seed),
	}
}

func inDuration(s float64) time.Duration {
	return time.Duration(math.Round(min(s, 1e6) * float64(time.Second)))
}

// latencies are the figures of samples.
func latencies(s *bench.Samples) *bench.Latency {
	figure := func(d time.Duration) *float64 {
		us := float64(d) / float64(time.Microsecond)
		return &us
	}
	at := func(m Metric) *float64 {
		permille := m.permille()
		if s.Count < bench.MinSamples(float64(permille)/1000) {
			return nil
		}
		d, ok := s.Rank((s.Count*permille + 999) / 1000)
		if !ok {
			return nil
		}
		return figure(d)
	}
	if s.Count == 0 {
		return &bench.Latency{}
	}
	return &bench.Latency{Min: figure(s.Min), Mean: figure(s.Mean()), Max: figure(s.Max),
		P50: at(P50), P90: at(P90), P95: at(P95), P99: at(P99), P999: at(P999)}
}
