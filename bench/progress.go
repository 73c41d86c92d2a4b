package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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

// String is one line of printable text, mostly less than 100 columns wide.
func (p Progress) String() string { return p.Within(math.MaxInt) }

// Within is String in so many columns: what matters less is left out, but never how long the
// run has lasted and its rate.
func (p Progress) Within(columns int) string {
	type part struct {
		leftOut int // the parts with the least go first, those with 0 never
		text    string
	}
	var parts []part
	add := func(leftOut int, format string, args ...any) {
		parts = append(parts, part{leftOut, fmt.Sprintf(format, args...)})
	}
	add(0, "%5.1fs  %s/s", p.Elapsed.Seconds(), figure.Rate(p.Rate))
	if p.TargetRate > 0 {
		add(1, " (target %s/s)", figure.Rate(p.TargetRate))
	}
	add(2, "  in flight %s", figure.Grouped(p.InFlight))
	if p.Dropped > 0 {
		add(6, "  dropped %s", figure.Grouped(p.Dropped))
	}
	if !p.WarmingUp {
		add(3, "  p50 %s", figure.Microseconds(p.Latency.P50))
		add(5, "  p99 %s", figure.Microseconds(p.Latency.P99))
		add(7, "  errors %s", figure.Grouped(p.Errors))
	}
	switch {
	case p.WarmingUp:
		add(4, "  warming up")
	case p.Draining:
		add(4, "  waiting for the last calls")
	case p.CallsLeft > 0:
		add(4, "  %s calls left", figure.Grouped(p.CallsLeft))
	default:
		add(4, "  %.1fs left", p.Left.Seconds())
	}
	for {
		var b strings.Builder
		least := -1
		for i, part := range parts {
			b.WriteString(part.text)
			if part.leftOut > 0 && (least < 0 || part.leftOut < parts[least].leftOut) {
				least = i
			}
		}
		if utf8.RuneCountInString(b.String()) <= columns || least < 0 {
			return b.String()
		}
		parts = slices.Delete(parts, least, least+1)
	}
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
