package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// A call as the recorder sees it; times are since the run began.
type call struct {
	measured             bool
	intended, sent, done time.Duration
	phases               []time.Duration
	label                int
	kind                 string // of err
	err                  error
}

// counts are what is known of some calls. They are not safe for concurrent use.
type counts struct {
	response Samples // of calls answered with success
	service  Samples // in an open loop; else the same
	lag      Samples // in an open loop, of all
	phases   []Samples
	labels   []Samples           // response, of calls answered with success
	failures map[string]*Samples // response time, by kind
	texts    map[string]string   // an error's text for each kind
}

func (n *counts) record(c *call, open bool) {
	response := c.done - c.intended
	if open {
		n.lag.Record(c.sent - c.intended)
	}
	if c.err != nil {
		n.failure(c.kind, c.err).Record(response)
		return
	}
	n.response.Record(response)
	if open {
		n.service.Record(c.done - c.sent)
	}
	if len(n.labels) > 0 {
		n.labels[c.label].Record(response)
	}
	for i, d := range c.phases {
		if d >= 0 {
			n.phases[i].Record(d)
		}
	}
}

// failure returns the samples of a kind.
func (n *counts) failure(kind string, err error) *Samples {
	s := n.failures[kind]
	if s == nil {
		if n.failures == nil {
			n.failures, n.texts = make(map[string]*Samples), make(map[string]string)
		}
		s = new(Samples)
		n.failures[kind] = s
	}
	if s.Count == 0 {
		n.texts[kind] = err.Error()
	}
	return s
}

// add takes over what from counted.
func (n *counts) add(from *counts) {
	n.response.Add(&from.response)
	n.service.Add(&from.service)
	n.lag.Add(&from.lag)
	for i := range from.phases {
		n.phases[i].Add(&from.phases[i])
	}
	for i := range from.labels {
		n.labels[i].Add(&from.labels[i])
	}
	for kind, s := range from.failures {
		if s.Count > 0 {
			if n.failures == nil {
				n.failures, n.texts = make(map[string]*Samples), make(map[string]string)
			}
			if n.failures[kind] == nil {
				n.failures[kind] = new(Samples)
			}
			if n.failures[kind].Count == 0 {
				n.texts[kind] = from.texts[kind]
			}
			n.failures[kind].Add(s)
		}
	}
}

// reset empties the counts and keeps their memory.
func (n *counts) reset() {
	n.response.Reset()
	n.service.Reset()
	n.lag.Reset()
	for i := range n.phases {
		n.phases[i].Reset()
	}
	for i := range n.labels {
		n.labels[i].Reset()
	}
	for _, s := range n.failures {
		s.Reset()
	}
}

func (n *counts) failed() int64 {
	var all int64
	for _, s := range n.failures {
		all += s.Count
	}
	return all
}

// A tally is what is counted of some calls by the time at which they were intended.
type tally struct {
	window, warmup counts
	lastEnd        time.Duration // of the measured calls, since the run began
	completed      int64         // answered with success while the window was open, whenever sent
	ended          int64         // that, and those that failed meanwhile
	trend          trend         // of the measured calls of an open loop
}

func newTally(cfg *Config) *tally {
	empty := func() counts {
		return counts{phases: make([]Samples, len(cfg.Phases)), labels: make([]Samples, len(cfg.Labels))}
	}
	return &tally{window: empty(), warmup: empty()}
}

// add takes over what from counted.
func (t *tally) add(from *tally) {
	t.window.add(&from.window)
	t.warmup.add(&from.warmup)
	t.lastEnd = max(t.lastEnd, from.lastEnd)
	t.completed += from.completed
	t.ended += from.ended
	t.trend.add(&from.trend)
}

// reset empties the tally and keeps its memory.
func (t *tally) reset() {
	t.window.reset()
	t.warmup.reset()
	t.lastEnd, t.completed, t.ended, t.trend = 0, 0, 0, trend{}
}

// A recorder takes the calls of one worker: the callers that share it. There are
// more workers than processors, so they seldom wait for each other, and few
// enough that 10,000 callers do not cost 10,000 histograms.
type recorder struct {
	open bool         // the loop
	sent atomic.Int64 // calls begun
	done atomic.Int64 // calls ended

	mu     sync.Mutex // guards what follows
	recent *tally     // since it was last taken
	window window
}

// A window is the measured part of a run, as times since the run began.
type window struct{ opens, closes time.Duration }

// holds reports whether a call that ended at t ended while the window was open.
// One that ended when it opened has gone on before.
func (w window) holds(t time.Duration) bool { return t > w.opens && t <= w.closes }

// swap takes what was recorded since the last time and leaves an empty tally in
// its place. Callers wait for no more than that.
func (r *recorder) swap(empty *tally) *tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := r.recent
	r.recent = empty
	return full
}

func (r *recorder) record(c *call) {
	r.done.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.recent
	if r.window.holds(c.done) {
		t.ended++
		if c.err == nil {
			t.completed++
		}
	}
	if !c.measured {
		t.warmup.record(c, r.open)
		return
	}
	t.window.record(c, r.open)
	t.lastEnd = max(t.lastEnd, c.done)
	if r.open && c.kind != Unfinished { // else how long it would have taken is not known
		t.trend.record(c.intended-r.window.opens, c.done-c.intended)
	}
}
