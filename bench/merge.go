package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"redrpc/internal/figure"
)

// Merge makes one result of those of all instances that shared a load. Calls are added up,
// and so are their samples, so each figure is what one generator would have
// reported that had made all calls; nothing is averaged. Intervals are laid over each
// other by the time of day, so the instances' clocks have to agree.
//
// The window lasts from the first one's opening to the last one's end. What each
// instance has seen for itself, though it is the same thing (Resources, Counters and gauges),
// is the greatest of what they saw, but for the processor of each generator. The verdict
// is the worst of theirs.
//
// Results of different configurations are refused, and so is a set in which an
// instance is missing or there twice, or whose windows were not open together for 95 % of the
// time. The results are not changed.
func Merge(results ...*Result) (*Result, error) {
	if len(results) == 0 {
		return nil, errors.New("bench: merge: expected results, got none")
	}
	parts := slices.Clone(results)
	slices.SortStableFunc(parts, func(a, b *Result) int { return cmp.Compare(a.Instance, b.Instance) })
	for i, p := range parts {
		if err := parts[0].sameConfig(p); err != nil {
			return nil, fmt.Errorf("bench: merge: expected results of one configuration: instances %d and %d: %w", parts[0].Instance, p.Instance, err)
		}
		switch {
		case len(parts) > 1 && p.Instances == 1:
			return nil, errors.New("bench: merge: expected instances that share one load, as 0/2 and 1/2, got a whole run")
		case i > 0 && p.Instance == parts[i-1].Instance:
			return nil, fmt.Errorf("bench: merge: expected each instance once, got %d twice", p.Instance)
		case p.Instance > i:
			return nil, fmt.Errorf("bench: merge: expected all %d instances, got none of number %d", p.Instances, i)
		}
	}
	if n := parts[0].Instances; n != len(parts) {
		return nil, fmt.Errorf("bench: merge: expected all %d instances, got %d", n, len(parts))
	}
	if err := together(parts); err != nil {
		return nil, err
	}
	return merge(parts), nil
}

// apart is by how much of the whole the windows of instances may not be open together.
const apart = 0.05

// together refuses results whose windows were not open at the same time: their rates
// do not add up to one that there was. Those that stopped early have none anyway.
func together(parts []*Result) error {
	var opens, closes []time.Time
	for _, p := range parts {
		opened := p.StartedAt.Add(inDuration(p.Warmup.DurationS))
		opens = append(opens, opened)
		if !p.StoppedEarly {
			closes = append(closes, opened.Add(inDuration(p.DurationS)))
		}
	}
	if len(closes) == 0 {
		return nil
	}
	first, last := slices.MinFunc(opens, time.Time.Compare), slices.MaxFunc(opens, time.Time.Compare)
	common := slices.MinFunc(closes, time.Time.Compare).Sub(last)
	if whole := slices.MaxFunc(closes, time.Time.Compare).Sub(first); common.Seconds() < (1-apart)*whole.Seconds() {
		return fmt.Errorf("bench: merge: expected instances that ran at the same time: of the %s from when the first window opened to when the last one closed all were open for %s",
			figure.Duration(whole), figure.Duration(max(0, common)))
	}
	return nil
}

func inDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// sameConfig says how the configuration of another result differs.
func (res *Result) sameConfig(other *Result) error {
	differ := func(name string, a, b any) error {
		return fmt.Errorf("%s is %v and %v", name, a, b)
	}
	phases := func(r *Result) (names []string) {
		for _, p := range r.Phases {
			names = append(names, p.Name)
		}
		return names
	}
	labels := func(r *Result) (names []string) {
		for _, l := range r.Labels {
			names = append(names, l.Name)
		}
		return names
	}
	whole := !res.Interrupted && !other.Interrupted && !res.StoppedEarly && !other.StoppedEarly
	switch {
	case res.Schema != other.Schema:
		return differ("schema", res.Schema, other.Schema)
	case res.Model != other.Model:
		return differ("model", res.Model, other.Model)
	case res.OpenLoop != other.OpenLoop:
		return differ("open_loop", res.OpenLoop, other.OpenLoop)
	case res.Seed != other.Seed:
		return differ("seed", res.Seed, other.Seed)
	case res.Callers != other.Callers:
		return differ("callers", res.Callers, other.Callers)
	case res.MaxInFlight != other.MaxInFlight:
		return differ("max_in_flight", res.MaxInFlight, other.MaxInFlight)
	case res.Instances != other.Instances:
		return differ("instances", res.Instances, other.Instances)
	case res.IntervalS != other.IntervalS || !(res.IntervalS > 0):
		return differ("interval_s", res.IntervalS, other.IntervalS)
	case whole && res.Warmup.DurationS != other.Warmup.DurationS:
		return differ("warmup.duration_s", res.Warmup.DurationS, other.Warmup.DurationS)
	case !slices.Equal(phases(res), phases(other)):
		return differ("phases", phases(res), phases(other))
	case !slices.Equal(labels(res), labels(other)):
		return differ("labels", labels(res), labels(other))
	}
	return nil
}

func merge(parts []*Result) *Result {
	first := parts[0]
	res := &Result{
		Schema:       first.Schema,
		StartedAt:    slices.MinFunc(parts, func(a, b *Result) int { return a.StartedAt.Compare(b.StartedAt) }).StartedAt,
		Model:        first.Model,
		OpenLoop:     first.OpenLoop,
		Seed:         first.Seed,
		Instances:    first.Instances,
		ErrorSamples: make(map[string]string),
		Counters:     make(map[string]float64),
		IntervalS:    first.IntervalS,
		Samples:      ResultSamples{Phases: make(map[string]*Samples), Labels: make(map[string]*Samples), Errors: make(map[string]*Samples)},
	}
	var phases, labels, timeouts []string
	for _, p := range first.Phases {
		phases = append(phases, p.Name)
	}
	for _, l := range first.Labels {
		labels = append(labels, l.Name)
	}
	opens, closes := math.Inf(1), 0.
	for _, p := range parts {
		res.Callers += p.Callers
		res.MaxInFlight += p.MaxInFlight
		res.OfferedRate += p.OfferedRate
		res.Dropped += p.Dropped
		res.Completed += p.Completed
		res.Warmup.Calls += p.Warmup.Calls
		res.Warmup.Errors += p.Warmup.Errors
		res.Warmup.DurationS = max(res.Warmup.DurationS, p.Warmup.DurationS)
		res.Interrupted = res.Interrupted || p.Interrupted
		res.StoppedEarly = res.StoppedEarly || p.StoppedEarly
		opened := p.StartedAt.Sub(res.StartedAt).Seconds() + p.Warmup.DurationS
		opens, closes = min(opens, opened), max(closes, opened+p.DurationS)
		for kind, text := range p.ErrorSamples {
			res.ErrorSamples[kind] = cmp.Or(res.ErrorSamples[kind], text)
		}
		if p.TimedOut != nil {
			timeouts = append(timeouts, p.TimedOut.Kinds...)
		}
		for name, v := range p.Counters {
			if old, ok := res.Counters[name]; !ok || v > old {
				res.Counters[name] = v
			}
		}
		res.Samples.add(&p.Samples)
	}
	if !first.OpenLoop {
		res.Samples.Service = res.Samples.Response
	}
	for _, name := range phases { // of which there may be no samples
		if res.Samples.Phases[name] == nil {
			res.Samples.Phases[name] = new(Samples)
		}
	}
	for _, name := range labels {
		if res.Samples.Labels[name] == nil {
			res.Samples.Labels[name] = new(Samples)
		}
	}
	res.read(phases, labels, timeouts)
	if res.DurationS = closes - opens; len(parts) == 1 {
		res.DurationS = first.DurationS // without rounding
	}
	if res.DurationS > 0 {
		res.Throughput = float64(res.Completed) / res.DurationS
		if first.ThroughputMargin > 0 {
			res.ThroughputMargin = float64(res.Callers) / res.DurationS
		}
	}
	res.Resources = mergeUsage(parts)
	res.Intervals = mergeIntervals(parts, res.StartedAt)
	res.mergeVerdicts(parts)
	return res
}

// add adds up samples, and leaves from as it is.
func (s *ResultSamples) add(from *ResultSamples) {
	total := func(to **Samples, from *Samples) {
		if *to == nil {
			*to = new(Samples)
		}
		if from != nil {
			(*to).Add(from)
		}
	}
	total(&s.Response, from.Response)
	total(&s.Service, from.Service)
	total(&s.Lag, from.Lag)
	each := func(to, from map[string]*Samples) {
		for name, more := range from {
			all := to[name]
			total(&all, more)
			to[name] = all
		}
	}
	each(s.Phases, from.Phases)
	each(s.Labels, from.Labels)
	each(s.Errors, from.Errors)
}

// mergeUsage keeps each generator apart, and the greatest of what they all saw.
func mergeUsage(parts []*Result) []Usage {
	all := []Usage{}
	for _, p := range parts {
		for _, u := range p.Resources {
			if u.Name == generator {
				u.Name = fmt.Sprintf("%s, instance %d", u.Name, p.Instance)
			}
			i := slices.IndexFunc(all, func(have Usage) bool { return have.Name == u.Name })
			switch {
			case i < 0:
				all = append(all, u)
			case u.Utilization > all[i].Utilization:
				all[i] = u
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Usage) int { return cmp.Compare(b.Utilization, a.Utilization) })
	return all
}

// mergeIntervals lays the intervals of one length over each other. Those that began
// within half of it of each other are one.
func mergeIntervals(parts []*Result, started time.Time) []Interval {
	at := make(map[int]*Interval)
	for _, p := range parts {
		offset := p.StartedAt.Sub(started).Seconds()
		taken := -1 // a last interval is short, and may be near to the one before
		for _, i := range p.Intervals {
			i.StartS += offset
			i.EndS += offset
			n := max(taken+1, int(math.Round(i.StartS/p.IntervalS)))
			taken = n
			have := at[n]
			if have == nil {
				at[n] = &i
				continue
			}
			have.add(&i)
			have.StartS, have.EndS = min(have.StartS, i.StartS), max(have.EndS, i.EndS)
			have.WarmingUp = have.WarmingUp || i.WarmingUp
			have.Draining = have.Draining && i.Draining
			have.InFlight += i.InFlight
			gauges := make(map[string]float64)
			for _, of := range []map[string]float64{have.Gauges, i.Gauges} {
				for name, v := range of {
					if old, ok := gauges[name]; !ok || v > old {
						gauges[name] = v
					}
				}
			}
			have.Gauges = gauges
		}
	}
	merged := []Interval{}
	for _, n := range sortedKeys(at) {
		merged = append(merged, *at[n])
	}
	return merged
}

// mergeVerdicts takes the worst verdict, and of each check the worst outcome. Whether there were
// enough calls is judged by those of all.
func (res *Result) mergeVerdicts(parts []*Result) {
	v := &res.Verdict
	*v = Verdict{State: Valid, Reasons: []string{}, Checks: []Check{}}
	v.add(res.checkSamples())
	states := []State{Valid, Invalid, Diverging}
	outcomes := []CheckResult{OK, Unknown, Warning, Failed}
	var gave []string
	for _, p := range parts {
		prefix := fmt.Sprintf("instance %d: ", p.Instance)
		state, reasons := p.Verdict.State, p.Verdict.Reasons
		if p.Calls+p.Errors == 0 { // its share of a low rate may be none, and the whole has enough
			none := p.checkSamples().Text
			reasons = slices.DeleteFunc(slices.Clone(reasons), func(reason string) bool { return reason == none })
			if len(reasons) == 0 {
				state = Valid
			}
		}
		if slices.Index(states, state) > slices.Index(states, v.State) {
			v.State = state
		}
		for _, reason := range reasons {
			v.Reasons = append(v.Reasons, prefix+reason)
		}
		if p.Verdict.Disturbance != "" && v.Disturbance == "" {
			v.Disturbance = prefix + p.Verdict.Disturbance
		}
		if p.Bottleneck != "" && !slices.Contains(gave, p.Bottleneck) {
			gave = append(gave, p.Bottleneck)
		}
		for _, c := range p.Verdict.Checks {
			if c.Name == v.Checks[0].Name {
				continue
			}
			c.Text = prefix + c.Text
			i := slices.IndexFunc(v.Checks, func(have Check) bool { return have.Name == c.Name })
			switch {
			case i < 0:
				v.Checks = append(v.Checks, c)
			case slices.Index(outcomes, c.Result) > slices.Index(outcomes, v.Checks[i].Result):
				v.Checks[i] = c
			}
		}
	}
	res.Bottleneck = strings.Join(gave, "; ")
	if v.State == Diverging {
		res.withholdPercentiles()
	}
}
