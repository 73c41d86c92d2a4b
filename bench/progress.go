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

	// Since the last Progress, those of the warm-up included: how many calls a
	// second were answered with success, and, in an open loop, how many were
	// intended.
	Rate, TargetRate float64

	InFlight int64 // calls that are due and have not ended
	Dropped  int64 // calls that were never sent

	// As in Result, so far.
	Calls   int64
	Errors  int64
	Latency Latency
}

// String is one line of printable text, mostly less than 80 columns wide.
func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.1fs  %s/s", p.Elapsed.Seconds(), figure.Rate(p.Rate))
	if p.TargetRate > 0 {
		fmt.Fprintf(&b, " (target %s/s)", figure.Rate(p.TargetRate))
	}
	fmt.Fprintf(&b, "  in flight %s", figure.Grouped(p.InFlight))
	if p.Dropped > 0 {
		fmt.Fprintf(&b, "  dropped %s", figure.Grouped(p.Dropped))
	}
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

// reported is where things stood at the last Progress.
type reported struct {
	at                 time.Duration
	answered, intended int64
}

// progress collects what there is since the last one.
func (r *run) progress() Progress {
	r.collect()
	t := r.total
	m := r.mark()
	now := reported{m.at, t.window.response.Count + t.warmup.response.Count, m.intended}
	p := Progress{
		Elapsed:   now.at,
		WarmingUp: now.at < r.cfg.Warmup,
		Draining:  r.draining,
		InFlight:  r.inFlight(),
		Dropped:   m.dropped,
		Calls:     t.window.response.Count,
		Errors:    t.window.failed(),
		Latency:   figures(&t.window.response),
	}
	if r.cfg.Duration > 0 {
		p.Left = max(0, r.windowEnd()-now.at)
	} else {
		p.CallsLeft = max(0, r.cfg.Calls-r.tickets.Load())
	}
	if passed := (now.at - r.reported.at).Seconds(); passed > 0 {
		p.Rate = float64(now.answered-r.reported.answered) / passed
		if r.cfg.open() {
			p.TargetRate = float64(now.intended-r.reported.intended) / passed
		}
	}
	r.reported = now
	return p
}
