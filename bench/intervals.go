package bench

import (
	"maps"
	"time"
)

// marks are where the counters stood when an interval began.
type marks struct {
	at                     time.Duration
	intended, sent, missed int64
}

func (r *run) mark() marks {
	intended, _ := r.underWay()
	m := marks{at: r.elapsed(), sent: r.sent(), missed: r.missed.Load()}
	m.intended = intended + m.missed
	return m
}

// endInterval ends an interval. What comes after the last whole one, if it is less
// than a hundredth of one, belongs to that.
func (r *run) endInterval() {
	began, ended := r.marks, r.mark()
	r.collect()
	r.marks = ended
	i := r.interval(began, ended)
	r.recent.reset()
	if n := len(r.intervals); n > 0 && ended.at-began.at < r.cfg.Interval/100 {
		last := &r.intervals[n-1]
		last.add(&i)
		last.EndS, last.InFlight, last.Gauges = i.EndS, i.InFlight, i.Gauges
		return
	}
	r.intervals = append(r.intervals, i)
}

// interval is what was collected from began to ended. It spoils what is recent.
func (r *run) interval(began, ended marks) Interval {
	i := Interval{
		StartS:    began.at.Seconds(),
		EndS:      ended.at.Seconds(),
		WarmingUp: began.at < r.cfg.Warmup,
		Draining:  r.draining && began.at >= min(r.closed.at, r.closes()),
		Intended:  ended.intended - began.intended,
		Sent:      ended.sent - began.sent,
		Missed:    ended.missed - began.missed,
		InFlight:  r.inFlight(),
		Errors:    make(map[string]int64),
		Gauges:    make(map[string]float64),
	}
	for _, g := range r.cfg.Gauges {
		i.Gauges[g.Name] = g.Read()
	}
	window, warmup := &r.recent.window, &r.recent.warmup
	for _, c := range []*counts{window, warmup} {
		for kind, s := range c.failures {
			if s.Count > 0 {
				i.Errors[kind] += s.Count
			}
		}
	}
	response, service := &window.response, &window.service
	if warmup.response.Count > 0 {
		response.Add(&warmup.response)
		service.Add(&warmup.service)
	}
	i.Response = response.compact()
	i.ServiceSamples = i.Response
	if r.cfg.open() {
		i.ServiceSamples = service.compact()
	}
	i.Calls = i.Response.Count
	i.Latency, i.Service = figures(response), figures(service)
	if !r.cfg.open() {
		i.Service = i.Latency
	}
	return i
}

// add adds what was counted in from, and leaves alone what is of one moment.
func (i *Interval) add(from *Interval) {
	i.Intended += from.Intended
	i.Sent += from.Sent
	i.Missed += from.Missed
	i.Errors = maps.Clone(i.Errors)
	for kind, n := range from.Errors {
		i.Errors[kind] += n
	}
	if from.Calls == 0 {
		return
	}
	response := sum(i.Response, from.Response)
	if i.ServiceSamples == i.Response { // as in a closed loop
		i.ServiceSamples = response
	} else {
		i.ServiceSamples = sum(i.ServiceSamples, from.ServiceSamples)
	}
	i.Response = response
	i.Calls = i.Response.Count
	i.Latency, i.Service = figures(i.Response), figures(i.ServiceSamples)
}

// sum is of samples that stay as they are.
func sum(parts ...*Samples) *Samples {
	var all Samples
	for _, p := range parts {
		all.Add(p)
	}
	return all.compact()
}
