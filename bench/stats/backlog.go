package stats

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// A Load is how far a run had come at one time.
type Load struct {
	At       time.Duration // since any time, later than that of the one before
	Intended int64         // calls that should have been sent by now
	Done     int64         // calls that have ended by now, in whatever way
}

// backlog is how many calls are in flight or should be.
func (l Load) backlog() float64 { return float64(l.Intended - l.Done) }

// The backlog is looked at in steps. Growth is the mean of what the steps added to it, and is
// significant if it is so many standard errors above 0: with 15 degrees of freedom
// Student's t is above 5.5 by chance once in 30,000 times.
const (
	backlogSteps = 16
	backlogT     = 5.5
)

// BacklogRule says what is called an overload. The zero value is for calls that
// take less than a second.
type BacklogRule struct {
	// MinSpan is how long a backlog has to grow. It has to be longer than
	// whatever the system recovers from, such as a pause, and than a few times
	// what a call takes. 0 is 2 s.
	MinSpan time.Duration

	// MinGrowth is the growth, as a share of the rate of calls, that matters: at 0.02, with
	// 1,000 calls/s, the backlog grows by 20 a second. 0 is 0.02.
	MinGrowth float64
}

// Growth is what is known about the backlog of an open-loop run: the calls that should
// have been sent and have not ended.
type Growth struct {
	// Diverging tells that calls arrive faster than they are done: the backlog, and
	// so the response time, grows for as long as the run lasts.
	Diverging bool `json:"diverging"`

	// SpanS is the time at the end of the series that the figures are of, in seconds.
	// 0 means that the series is too short to say anything.
	SpanS float64 `json:"span_s"`

	// PerSecond is the growth of the backlog in calls per second, and Share is
	// that by the rate of calls.
	PerSecond float64 `json:"per_s"`
	Share     float64 `json:"share"`

	// T is how many standard errors the growth is above 0.
	T float64 `json:"t"`
}

// Overloaded tells if the backlog of an open-loop run grows without bound. It can be
// asked again and again while the run lasts, with all that is known so far; the start,
// when calls are sent and none can have ended yet, is best left out.
//
// It looks at the whole series and then at its last half, quarter and so on, down to
// MinSpan, in 16 steps each, so the series needs 17 entries in MinSpan. A backlog
// grows without bound if three things are true. The steps added to it more than
// chance would: t of their mean is above 5.5. A pause that takes less than half of
// the span does not pass that, since its steps differ from the others. It matters:
// the growth is at least MinGrowth. And it does not fade: the second half of the span
// grew at least half as much as the first, which a system that fills up does not.
//
// Against a server with exponential service times at 90 % of its capacity this calls fewer
// than one in 1,000 runs overloaded that is not; at 110 % it takes about 5,000 calls to
// see it, and at 200 % MinSpan.
func Overloaded(series []Load, rule BacklogRule) (Growth, error) {
	if rule.MinSpan == 0 {
		rule.MinSpan = 2 * time.Second
	}
	if rule.MinGrowth == 0 {
		rule.MinGrowth = 0.02
	}
	switch {
	case rule.MinSpan < 0:
		return Growth{}, fmt.Errorf("stats: BacklogRule.MinSpan: expected more than 0, or 0 for 2 s, got %v", rule.MinSpan)
	case !(rule.MinGrowth > 0):
		return Growth{}, fmt.Errorf("stats: BacklogRule.MinGrowth: expected more than 0, or 0 for 0.02, got %v", rule.MinGrowth)
	}
	for i, l := range series[min(1, len(series)):] {
		if before := series[i]; l.At <= before.At || l.Intended < before.Intended || l.Done < before.Done {
			return Growth{}, fmt.Errorf("stats: series[%d]: expected a later time and counts that are not less, got %+v after %+v", i+1, l, before)
		}
	}
	whole := growth(series, rule)
	for g := whole; g.SpanS > 0; g = growth(series, rule) {
		if g.Diverging {
			return g, nil
		}
		last := series[len(series)-1].At
		half := last - (last-series[0].At)/2
		series = series[sort.Search(len(series), func(i int) bool { return series[i].At >= half }):]
	}
	return whole, nil
}

// growth judges one span, the whole of the series.
func growth(series []Load, rule BacklogRule) Growth {
	if len(series) <= backlogSteps {
		return Growth{}
	}
	first, last := series[0], series[len(series)-1]
	span := last.At - first.At
	if span < rule.MinSpan {
		return Growth{}
	}
	var steps [backlogSteps]float64
	at := first
	for i := range steps {
		end := first.At + time.Duration(float64(span)*float64(i+1)/backlogSteps)
		next := series[min(len(series)-1, sort.Search(len(series), func(j int) bool { return series[j].At >= end }))]
		steps[i] = next.backlog() - at.backlog()
		at = next
	}
	g := Growth{SpanS: span.Seconds()}
	added := last.backlog() - first.backlog()
	g.PerSecond = added / g.SpanS
	if calls := last.Intended - first.Intended; calls > 0 {
		g.Share = added / float64(calls)
	}
	mean, squares := added/backlogSteps, 0.0
	for _, s := range steps {
		squares += (s - mean) * (s - mean)
	}
	// The quarter of a call is what counting whole calls adds, and keeps t finite.
	g.T = mean / math.Sqrt((squares/(backlogSteps-1)+0.25)/backlogSteps)
	var earlier float64
	for _, s := range steps[:backlogSteps/2] {
		earlier += s
	}
	g.Diverging = g.T > backlogT && g.Share >= rule.MinGrowth && added-earlier >= earlier/2
	return g
}
