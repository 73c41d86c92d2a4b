package bench

import (
	"fmt"
	"math"
	"time"

	"redrpc/bench/stats"
	"redrpc/internal/figure"
)

// Whether the backlog of an open loop grows without bound is asked every
// backlogEvery samples, about twice a second.
const backlogEvery = 25

// What has just ended has to have taken at least this share of the backlog divided by
// the rate. In a queue it takes all of it. Where a few calls are slow and the rest
// wait for nothing the backlog grows, too, until the first of the slow ones end, but that is
// no overload.
const backlogShare = 0.25

// And this has to be seen again and again for this share of the time in which it was
// seen first. What fills up grows until it is full, after a time T, but then it is
// seen to have stopped after 4/3 T at the latest, when the second half of what is looked
// at has grown by less than half of what the first has.
const backlogAgain = 0.4

// A window at whose end a share of its calls has not ended has a throughput that is that
// much less than the rate that was offered. Fewer than backlogCalls may be
// chance: of random arrivals and exponential service at 90 % of what can be done as many
// are in flight once in 40,000 times, at 95 % once in 170.
//
// They are an overload if response times rose all the while, as they do if
// that much more is offered than is done, and more than chance explains; or if most of them did
// not even end in the time to drain. Else they are slow and wait for nothing.
const (
	backlogTolerance = 0.02
	backlogCalls     = 100
	backlogErrors    = 4   // standard errors
	growthCalls      = 30  // fewer are not worth a word
	lagShare         = 0.5 // of response times
	windowShare      = 0.2 // of slow calls: whether they wait is not to be known, and the throughput not the rate
)

// diverging is what is known of the backlog.
type diverging struct {
	growth  stats.Growth
	since   time.Duration // when a growth was seen that is seen since then
	span    float64       // of the growth that was seen then, in s; 0 if none is seen
	asked   int           // levels
	stopped bool
	count   int64         // of calls that had ended, when last asked
	sum     time.Duration // of their response times
}

// diverges reports whether the backlog has been seen to grow without bound.
func (r *run) diverges() bool {
	d := &r.diverging
	if !r.cfg.open() || d.growth.Diverging || r.draining || len(r.levels) < d.asked+backlogEvery {
		return d.growth.Diverging
	}
	d.asked = len(r.levels)
	r.collect()
	var count int64
	var sum time.Duration
	for _, c := range []*counts{&r.total.window, &r.total.warmup} {
		count, sum = count+c.response.Count, sum+c.response.Sum
		for _, s := range c.failures {
			count, sum = count+s.Count, sum+s.Sum
		}
	}
	ended, took := count-d.count, sum-d.sum
	d.count, d.sum = count, sum

	// The start, when none can have ended, says nothing.
	from := 0
	for from < len(r.levels) && r.levels[from].Done == 0 {
		from++
	}
	series := r.levels[from:]
	growth, err := stats.Overloaded(series, stats.BacklogRule{})
	if err != nil || !growth.Diverging || ended == 0 {
		d.span = 0
		return false
	}
	first, last := series[0], series[len(series)-1]
	rate := float64(last.Intended-first.Intended) / (last.At - first.At).Seconds()
	wait := float64(last.Intended-last.Done) / rate
	if took.Seconds()/float64(ended) < backlogShare*wait {
		d.span = 0
		return false
	}
	if d.span == 0 {
		d.since, d.span = last.At, growth.SpanS
	}
	if (last.At - d.since).Seconds() < backlogAgain*d.span {
		return false
	}
	d.growth = growth
	return true
}

func (r *run) checkBacklog(res *Result) Check {
	g := r.diverging.growth
	if !g.Diverging {
		return r.checkBehind(res)
	}
	text := fmt.Sprintf("more calls were sent than are answered: for %.1f s those in flight grew by %s each second, %s of those sent",
		g.SpanS, figure.Rate(g.PerSecond), figure.Percent(g.Share))
	if r.diverging.stopped {
		text += ", so the run ended early"
	}
	return Check{"backlog", Failed, text + "; response times would grow for as long as one measures"}
}

// checkBehind is about a window at whose end many calls had not ended, though that was
// not seen to be an overload while it was open: it grew for too short a time, or not
// all the time.
func (r *run) checkBehind(res *Result) Check {
	calls, share := r.behind(res)
	if calls < growthCalls || share < backlogTolerance {
		return Check{"backlog", OK, "the calls in flight did not grow without bound"}
	}
	text := fmt.Sprintf("when the window closed %s more calls were in flight or due than when it opened, %s of those intended",
		figure.Grouped(calls), figure.Percent(share))
	slope, errors := r.total.trend.slope()
	unfinished := res.ErrorsByKind[Unfinished]
	switch {
	case calls < backlogCalls:
	case r.lagged():
		return Check{"backlog", Warning, text + ": the generator was late"}
	case unfinished > calls/2:
		return Check{"backlog", Failed, text + fmt.Sprintf(", and %s had not ended %s later", figure.Grouped(unfinished), figure.Duration(r.cfg.Drain))}
	case slope/(1+slope) >= backlogTolerance && errors >= backlogErrors:
		return Check{"backlog", Failed, "more calls were sent than are answered: " + text +
			fmt.Sprintf("; response times grew by %s each second, and would for as long as one measures", figure.Duration(time.Duration(slope*float64(time.Second))))}
	}
	if calls >= backlogCalls && share >= windowShare {
		return Check{"window", Failed, text + ": the window is too short for calls that take so long; measure for longer, after a longer warm-up"}
	}
	return Check{"backlog", Warning, text + ": measure for longer to see whether they always grow"}
}

// behind is how many of the calls of the window ended after it, less those from before
// it that ended in it, and their share. Where the window ends with the last call it
// is what would have been seen when the last one was intended.
func (r *run) behind(res *Result) (calls int64, share float64) {
	if res.Intended == 0 {
		return 0, 0
	}
	if r.closes() == math.MaxInt64 {
		last, end := time.Duration(r.offeredUntil.Load()), r.total.lastEnd
		share = max(0, end-last).Seconds() / max(1, end-r.cfg.Warmup).Seconds()
		return int64(share * float64(res.Intended)), share
	}
	calls = max(0, res.Intended-r.total.ended)
	return calls, float64(calls) / float64(res.Intended)
}

// lagged reports whether calls spent more time waiting for the generator than for their
// answers.
func (r *run) lagged() bool {
	return r.total.window.lag.Sum.Seconds() > lagShare*r.total.trend.y
}

// checkLittle compares the calls in flight with what follows from their rate and time:
// they are counted in different ways.
func (r *run) checkLittle(res *Result) Check {
	var n, sum, squares float64
	for _, l := range r.levels {
		if l.At >= r.cfg.Warmup && l.At <= r.closes() {
			x := float64(l.Intended - l.Done)
			n, sum, squares = n+1, sum+x, squares+x*x
		}
	}
	if n < littleSamples || res.DurationS == 0 {
		return Check{"littles_law", Unknown, fmt.Sprintf("the calls in flight were counted %.0f times, which is too few", n)}
	}
	count, took := res.Samples.Response.Count, res.Samples.Response.Sum
	for _, s := range res.Samples.Errors {
		count, took = count+s.Count, took+s.Sum
	}
	if count == 0 {
		return Check{"littles_law", Unknown, "no call ended"}
	}
	var (
		mean     = sum / n
		spread   = math.Sqrt(max(0, squares/n-mean*mean) / n)
		response = took.Seconds() / float64(count)
	)
	slow, _ := upTo(res.Latency) // those that the ends cut may be the slow ones
	tolerance := littleTolerance + slow.Seconds()/res.DurationS
	if mean > 0 {
		tolerance += 4 * spread / mean
	}
	c := stats.LittlesLaw(mean, float64(count)/res.DurationS, response, tolerance)
	text := fmt.Sprintf("%s calls were in flight on the average, and rate times response time is %s", figure.Rate(c.InFlight), figure.Rate(c.Expected))
	if c.Holds {
		return Check{"littles_law", OK, text}
	}
	return Check{"littles_law", Warning, text + ": the load was not the same all the time, or calls were lost or mistimed"}
}
