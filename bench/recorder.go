package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A tally is what is counted of some calls. It is not safe for concurrent use.
type tally struct {
	calls      int64 // measured and answered with success
	errors     map[string]int64
	samples    map[string]string // an error's text for each kind
	latencies  *hdrhistogram.Histogram
	unrecorded int64 // of calls, those that the histogram refused
	min, max   time.Duration
	sum        time.Duration
	lastEnd    time.Duration // of the measured calls, since the run began
	completed  int64         // answered with success while the window was open, whenever sent

	warmupCalls, warmupErrors int64
}

func newTally() *tally {
	return &tally{
		errors:  make(map[string]int64),
		samples: make(map[string]string),
		// In nanoseconds, up to an hour, to three significant digits: 270 kB.
		latencies: hdrhistogram.New(1, time.Hour.Nanoseconds(), 3),
	}
}

// success counts a measured call that took d.
func (t *tally) success(d time.Duration) {
	if t.calls == 0 || d < t.min {
		t.min = d
	}
	t.max = max(t.max, d)
	t.sum += d
	t.calls++
	if t.latencies.RecordValue(d.Nanoseconds()) != nil {
		t.unrecorded++
	}
}

func (t *tally) failure(kind string, err error) {
	t.errors[kind]++
	if _, ok := t.samples[kind]; !ok {
		t.samples[kind] = err.Error()
	}
}

// add takes over what from counted.
func (t *tally) add(from *tally) {
	if from.calls > 0 && (t.calls == 0 || from.min < t.min) {
		t.min = from.min
	}
	t.max = max(t.max, from.max)
	t.sum += from.sum
	t.calls += from.calls
	t.unrecorded += from.unrecorded + t.latencies.Merge(from.latencies)
	t.lastEnd = max(t.lastEnd, from.lastEnd)
	t.completed += from.completed
	t.warmupCalls += from.warmupCalls
	t.warmupErrors += from.warmupErrors
	for kind, n := range from.errors {
		t.errors[kind] += n
		if _, ok := t.samples[kind]; !ok {
			t.samples[kind] = from.samples[kind]
		}
	}
}

// reset empties the tally and keeps its memory.
func (t *tally) reset() {
	t.latencies.Reset()
	clear(t.errors)
	clear(t.samples)
	*t = tally{errors: t.errors, samples: t.samples, latencies: t.latencies}
}

func (t *tally) failed() int64 {
	var n int64
	for _, k := range t.errors {
		n += k
	}
	return n
}

// A recorder takes the calls of one worker: the callers that share it. There are
// more workers than processors, so they seldom wait for each other, and few
// enough that 10,000 callers do not cost 10,000 histograms.
type recorder struct {
	sent atomic.Int64 // calls begun
	done atomic.Int64 // calls ended

	mu       sync.Mutex // guards what follows
	interval *tally     // since it was last taken
	window   window
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
	full := r.interval
	r.interval = empty
	return full
}

// A call as the recorder sees it; times are since the run began.
type call struct {
	measured   bool
	sent, done time.Duration
	kind       string // of err
	err        error
}

func (r *recorder) record(c call) {
	r.done.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.interval
	if c.err == nil && r.window.holds(c.done) {
		t.completed++
	}
	switch {
	case c.measured && c.err == nil:
		t.success(c.done - c.sent)
	case c.measured:
		t.failure(c.kind, c.err)
	case c.err == nil:
		t.warmupCalls++
	default:
		t.warmupErrors++
	}
	if c.measured {
		t.lastEnd = max(t.lastEnd, c.done)
	}
}
