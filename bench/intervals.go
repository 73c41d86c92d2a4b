package bench

import (
	"maps"
	"time"
)

// marks are where the counters stood when an interval began.
type marks struct {
	at                      time.Duration
	intended, sent, dropped int64
}

func (r *run) mark() marks {
	intended, _ := r.underWay()
	m := marks{at: r.elapsed(), sent: r.sent(), dropped: r.dropped.Load()}
	m.intended = intended + m.dropped
	return m
}

// endInterval ends an interval. What comes after the last whole one, if it is less
// than a hundredth of one, belongs to that.
func (r *run) endInterval() {
	began, ended := r.marks, r.mark()
	r.collect()
	r.marks = ended
	i := r.interval(began, ended)
	if n := len(r.intervals); n > 0 && ended.at-began.at < r.cfg.Interval/100 && r.intervals[n-1].WarmingUp == i.WarmingUp {
		last := &r.intervals[n-1]
		last.add(&i)
		last.EndS, last.InFlight, last.Gauges = i.EndS, i.InFlight, i.Gauges
		return
	}
	r.intervals = append(r.intervals, i)
	if len(r.intervals) >= 2*mostIntervals {
		r.widen()
	}
}

// interval is what was collected from began to ended. It spoils what is recent of the
// period that the interval belongs to.
func (r *run) interval(began, ended marks) Interval {
	i := Interval{
		StartS:    began.at.Seconds(),
		EndS:      ended.at.Seconds(),
		WarmingUp: began.at < r.cfg.Warmup,
		Draining:  r.draining && began.at >= min(r.closed.at, r.closes()),
		Intended:  ended.intended - began.intended,
		Sent:      ended.sent - began.sent,
		Dropped:   ended.dropped - began.dropped,
		InFlight:  r.inFlight(),
		Errors:    make(map[string]int64),
		Gauges:    make(map[string]float64),
	}
	for _, g := range r.cfg.Gauges {
		i.Gauges[g.Name] = g.Read()
	}
	of := &r.recent.window
	if warmup := &r.recent.warmup; i.WarmingUp {
		of = warmup
	} else {
		i.LateWarmupCalls = warmup.response.Count
		warmup.reset()
	}
	defer of.reset()
	for kind, s := range of.failures {
		if s.Count > 0 {
			i.Errors[kind] = s.Count
		}
	}
	i.ResponseSamples = of.response.compact()
	i.ServiceSamples = i.ResponseSamples
	if r.cfg.open() {
		i.ServiceSamples = of.service.compact()
	}
	i.Calls = i.ResponseSamples.Count
	i.Latency, i.Service = figures(&of.response), figures(&of.service)
	if !r.cfg.open() {
		i.Service = i.Latency
	}
	return i
}

// A run of any length has at most mostIntervals of them, so that its report stays small:
// if its length is known they are as long as that takes.
const mostIntervals = 600

// intervalOf is the least of some handy lengths that divides a run of this length into
// mostIntervals at most.
func intervalOf(length time.Duration) time.Duration {
	const s = time.Second
	for _, d := range []time.Duration{s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute} {
		if length <= mostIntervals*d {
			return d
		}
	}
	return time.Hour
}

// widen makes intervals twice as long from now on, and each two that there are one, for
// runs that turn out to be long.
func (r *run) widen() {
	r.cfg.Interval *= 2
	r.ticker.Reset(r.cfg.Interval)
	var wide []Interval
	for n, i := range r.intervals {
		last := len(wide) - 1
		if last >= 0 && n%2 == 1 && wide[last].WarmingUp == i.WarmingUp && wide[last].Draining == i.Draining {
			wide[last].add(&i)
			wide[last].EndS, wide[last].InFlight, wide[last].Gauges = i.EndS, i.InFlight, i.Gauges
			continue
		}
		wide = append(wide, i)
	}
	r.intervals = wide
}

// add adds what was counted in from, and leaves alone what is of one moment.
func (i *Interval) add(from *Interval) {
	i.Intended += from.Intended
	i.Sent += from.Sent
	i.Dropped += from.Dropped
	i.LateWarmupCalls += from.LateWarmupCalls
	i.Errors = maps.Clone(i.Errors)
	for kind, n := range from.Errors {
		i.Errors[kind] += n
	}
	if from.Calls == 0 {
		return
	}
	response := sum(i.ResponseSamples, from.ResponseSamples)
	if i.ServiceSamples == i.ResponseSamples { // as in a closed loop
		i.ServiceSamples = response
	} else {
		i.ServiceSamples = sum(i.ServiceSamples, from.ServiceSamples)
	}
	i.ResponseSamples = response
	i.Calls = i.ResponseSamples.Count
	i.Latency, i.Service = figures(i.ResponseSamples), figures(i.ServiceSamples)
}

// sum is of samples that stay as they are.
func sum(parts ...*Samples) *Samples {
	var all Samples
	for _, p := range parts {
		all.Add(p)
	}
	return all.compact()
}
