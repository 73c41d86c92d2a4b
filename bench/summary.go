package bench

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// result sums up when all calls have ended.
func (r *run) result(interrupted bool) *Result {
	t, end := r.total, r.closes()
	w := &t.window
	completed, cut := t.completed, float64(r.cfg.Callers)
	if r.cfg.Calls > 0 && !interrupted {
		end, completed, cut = t.lastEnd, w.response.Count, 0
	}
	res := &Result{
		Schema:       Schema,
		StartedAt:    r.began.Round(0),
		Model:        r.cfg.Model.String(),
		OpenLoop:     r.cfg.open(),
		Callers:      r.cfg.Callers,
		MaxInFlight:  r.cfg.MaxInFlight,
		Seed:         r.cfg.Seed,
		Instance:     r.cfg.Instance,
		Instances:    r.cfg.Instances,
		Dropped:      r.missedMeasured.Load(),
		ErrorSamples: make(map[string]string),
		Completed:    completed,
		DurationS:    max(0, end-r.cfg.Warmup).Seconds(),
		Warmup: Warmup{
			DurationS: max(0, min(end, r.cfg.Warmup)).Seconds(),
			Calls:     t.warmup.response.Count,
			Errors:    t.warmup.failed(),
		},
		Interrupted: interrupted,

		StoppedEarly: r.diverging.stopped,

		Resources: r.usage(),
		Counters:  grown(r.opened.counters, r.closed.counters),
		IntervalS: r.cfg.Interval.Seconds(),
		Intervals: r.intervals,
		Samples: ResultSamples{
			Response: &w.response,
			Service:  &w.response,
			Lag:      &w.lag,
			Phases:   make(map[string]*Samples),
			Errors:   make(map[string]*Samples),
		},
	}
	if res.OpenLoop {
		res.Samples.Service = &w.service
	}
	for i, name := range r.cfg.Phases {
		res.Samples.Phases[name] = &w.phases[i]
	}
	for i, name := range r.cfg.Labels {
		if res.Samples.Labels == nil {
			res.Samples.Labels = make(map[string]*Samples)
		}
		res.Samples.Labels[name] = &w.labels[i]
	}
	for kind, s := range w.failures {
		if s.Count > 0 {
			res.Samples.Errors[kind], res.ErrorSamples[kind] = s, w.texts[kind]
		}
	}
	res.read(r.cfg.Phases, r.cfg.Labels, append([]string{Unfinished}, r.cfg.TimeoutKinds...))
	if res.DurationS > 0 {
		res.Throughput = float64(res.Completed) / res.DurationS
		res.ThroughputMargin = cut / res.DurationS
	}
	if offered := r.offered(); res.OpenLoop && offered > 0 {
		res.OfferedRate = float64(res.Intended) / offered.Seconds()
	}
	r.judge(res)
	return res
}

// offered is for how long the calls of the window were intended.
func (r *run) offered() time.Duration {
	until := r.closes()
	if r.cfg.Calls > 0 {
		until = min(until, time.Duration(r.offeredUntil.Load()))
	}
	return until - r.cfg.Warmup
}

// read reads off the samples all that they say.
func (res *Result) read(phases, labels, timeouts []string) {
	s := res.Samples
	res.Calls, res.Errors, res.ErrorsByKind = s.Response.Count, 0, make(map[string]int64)
	for kind, e := range s.Errors {
		res.Errors += e.Count
		res.ErrorsByKind[kind] = e.Count
	}
	res.Intended = res.Calls + res.Errors + res.Dropped
	res.Latency, res.Service, res.Lag = sureFigures(s.Response), sureFigures(s.Service), sureFigures(s.Lag)
	res.Unrecorded = s.Response.Unrecorded
	res.Phases = []Phase{}
	for _, name := range phases {
		p := s.Phases[name]
		res.Phases = append(res.Phases, Phase{Name: name, Calls: p.Count, Latency: sureFigures(p)})
	}
	res.Labels = nil
	for _, name := range labels {
		l := s.Labels[name]
		res.Labels = append(res.Labels, Label{Name: name, Calls: l.Count, Latency: sureFigures(l)})
	}
	res.TimedOut = nil
	given, kinds := new(Samples), []string{}
	for _, kind := range sortedKeys(s.Errors) {
		if slices.Contains(timeouts, kind) {
			kinds = append(kinds, kind)
			given.Add(s.Errors[kind])
		}
	}
	if given.Count > 0 {
		c := &TimedOut{Kinds: kinds, Calls: given.Count, AtLeast: *microseconds(given.Min)}
		given.Add(s.Response)
		c.Latency = sureFigures(given)
		res.TimedOut = c
	}
}

// generator is the name of the resource that is this process.
const generator = "generator CPU"

// usage is how busy the resources were in the window, the busiest first.
func (r *run) usage() []Usage {
	usage := []Usage{}
	passed := (r.closed.at - r.opened.at).Seconds()
	if !r.opened.read || !r.closed.read || passed <= 0 {
		return usage
	}
	add := func(name string, capacity float64, used time.Duration) {
		usage = append(usage, Usage{Name: name, Capacity: capacity, Utilization: max(0, used.Seconds()/passed/capacity)})
	}
	for i, res := range r.cfg.Resources {
		add(res.Name, res.Capacity, r.closed.used[i]-r.opened.used[i])
	}
	if n := r.closed.processors; n > 0 {
		add(generator, float64(n), r.closed.processor-r.opened.processor)
	}
	slices.SortStableFunc(usage, func(a, b Usage) int { return cmp.Compare(b.Utilization, a.Utilization) })
	return usage
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
