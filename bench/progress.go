package bench

import (
	"fmt"
	"strings"
	"time"

	"redrpc/internal/figure"
)

// Progress is how far a run has come.
type Progress struct {
	Elapsed   time.Duration // since the run began
	Left      time.Duration // until the measured window closes, 0 if Calls decides that
	CallsLeft int64         // to be sent, 0 if Duration decides

	WarmingUp bool // the measured window has not opened yet
	Draining  bool // it has closed: waiting for the calls in flight

	// Rate is how many calls a second were answered with success since the last
	// Progress, those of the warm-up included.
	Rate     float64
	InFlight int64

	// As in Result, so far.
	Calls   int64
	Errors  int64
	Latency Latency
}

// String is one line of printable text, mostly less than 80 columns wide.
func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.1fs  %s/s  in flight %s", p.Elapsed.Seconds(), figure.Grouped(int64(p.Rate+0.5)), figure.Grouped(p.InFlight))
	if p.WarmingUp {
		b.WriteString("  warming up")
		return b.String()
	}
	fmt.Fprintf(&b, "  p50 %s  p99 %s  errors %s", figure.Microseconds(p.Latency.P50), figure.Microseconds(p.Latency.P99), figure.Grouped(p.Errors))
	switch {
	case p.Draining:
		b.WriteString("  waiting for the last calls")
	case p.CallsLeft > 0:
		fmt.Fprintf(&b, "  %s calls left", figure.Grouped(p.CallsLeft))
	default:
		fmt.Fprintf(&b, "  %.1fs left", p.Left.Seconds())
	}
	return b.String()
}

// progress collects what there is since the last one.
func (r *run) progress() Progress {
	r.collect()
	now := r.elapsed()
	t := r.total
	p := Progress{
		Elapsed:   now,
		WarmingUp: now < r.cfg.Warmup,
		Draining:  r.draining,
		InFlight:  r.inFlight(),
		Calls:     t.calls,
		Errors:    t.failed(),
		Latency:   t.latency(),
	}
	if r.cfg.Duration > 0 {
		p.Left = max(0, r.windowEnd()-now)
	} else {
		p.CallsLeft = max(0, r.cfg.Calls-r.tickets.Load())
	}
	answered := t.calls + t.warmupCalls
	if passed := now - r.collected; passed > 0 {
		p.Rate = float64(answered-r.answered) / passed.Seconds()
	}
	r.collected, r.answered = now, answered
	return p
}

func (r *run) inFlight() int64 {
	var n int64
	for _, rec := range r.recorders { // done first: what ends meanwhile is still counted as sent
		n -= rec.done.Load()
		n += rec.sent.Load()
	}
	return n
}
