package bench

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"redrpc/bench/stats"
	"redrpc/internal/figure"
)

// What a run thinks of itself. A delay of the generator's is compared with the p99
// of the response time, or its maximum where there are too few calls for that. It
// is fine below a tenth of it, and below what a good generator needs; it spoils the
// measurement where it is half of it, and more than any generator should need.
const (
	fineShare    = 0.1
	spoiledShare = 0.5
	fineDelay    = 200 * time.Microsecond
	spoiledDelay = time.Millisecond

	// A processor that is busy for nine tenths of the time makes what waits for it
	// wait ten times as long as when it was idle (1/(1-busy), as of one server
	// with random arrivals).
	busyShare = 0.9

	// Strangers who use less than this share of the processors are no reason for what is
	// late, however busy the machine is.
	strangersShare = 0.1

	// What covers one hundredth of the time hits the p99.
	pauseShare = 0.01

	// A drift of the p50 or of the throughput by a tenth is larger than what
	// differs from run to run on most machines.
	driftTolerance = 0.1

	// Little's law may be off by a twentieth, and by what cuts at the ends of
	// the window and the sampling of the calls in flight explain.
	littleTolerance = 0.05
	littleSamples   = 30
)

// judge says whether the figures can be believed, and what gave first.
func (r *run) judge(res *Result) {
	v := &res.Verdict
	*v = Verdict{State: Valid, Reasons: []string{}, Checks: []Check{}}
	v.add(res.checkSamples())
	v.add(res.checkTimeouts())
	if res.OpenLoop {
		v.add(res.checkDropped())
		v.add(r.checkLag(res))
		v.add(r.checkBacklog(res))
	}
	v.add(r.checkProcessor(res))
	v.add(r.checkMachine(res))
	v.add(r.checkPauses(res))
	v.add(r.checkScheduler(res))
	v.add(r.checkStationary(res))
	v.add(r.checkLittle(res))
	res.Bottleneck = res.bottleneck()
	if v.State == Diverging {
		res.withholdPercentiles()
	}
}

// add takes a check in, and its consequence: the run is invalid, unless it was
// diverging, in which case it is no use to anybody already.
func (v *Verdict) add(c Check) {
	v.Checks = append(v.Checks, c)
	if c.Result != Failed {
		return
	}
	v.Reasons = append(v.Reasons, c.Text)
	switch {
	case c.Name == "backlog" || c.Name == "timeouts":
		v.State = Diverging
	case v.State == Valid:
		v.State = Invalid
	}
}

func (res *Result) withholdPercentiles() {
	for _, l := range []*Latency{&res.Latency, &res.Service} {
		*l = l.withoutPercentiles()
	}
	for i := range res.Phases {
		res.Phases[i].Latency = res.Phases[i].Latency.withoutPercentiles()
	}
	for i := range res.Labels {
		res.Labels[i].Latency = res.Labels[i].Latency.withoutPercentiles()
	}
	if res.TimedOut != nil {
		res.TimedOut.Latency = res.TimedOut.Latency.withoutPercentiles()
	}
}

// upTo is the p99 of a latency, or its maximum, and which of them.
func upTo(l Latency) (time.Duration, string) {
	us, name := l.P99, "p99"
	if us == nil {
		us, name = l.Max, "maximum"
	}
	if us == nil {
		return 0, ""
	}
	return time.Duration(*us * float64(time.Microsecond)), name
}

// delayed judges a delay of the generator's by the response time, and says how they
// compare.
func (res *Result) delayed(d time.Duration) (CheckResult, string) {
	response, name := upTo(res.Latency)
	if name == "" {
		return Unknown, "with no answered call to compare that with"
	}
	share := fmt.Sprintf("which is %s of the response time's %s, %s", figure.Percent(d.Seconds()/max(response, 1).Seconds()), name, figure.Duration(response))
	switch {
	case d <= max(fineDelay, time.Duration(fineShare*float64(response))):
		return OK, share
	case d <= max(spoiledDelay, time.Duration(spoiledShare*float64(response))):
		return Warning, share
	default:
		return Failed, share
	}
}

// mildly makes a failure a warning where it is not the generator's alone.
func (r *run) mildly(is CheckResult) CheckResult {
	if is == Failed && r.cfg.InProcess {
		return Warning
	}
	return is
}

func (res *Result) checkSamples() Check {
	if res.Calls+res.Errors+res.Dropped == 0 {
		return Check{"samples", Failed, "no call ended in the measured time"}
	}
	var missing []string
	for _, p := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}} {
		if n := MinSamples(p.q); res.Calls < n {
			missing = append(missing, fmt.Sprintf("%s needs %s", p.name, figure.Grouped(n)))
		}
	}
	if missing == nil {
		return Check{"samples", OK, figure.Grouped(res.Calls) + " calls support every percentile up to p99.9"}
	}
	return Check{"samples", Warning, fmt.Sprintf("too few calls (%s) for some percentiles: %s", figure.Grouped(res.Calls), strings.Join(missing, ", "))}
}

// checkTimeouts is about calls whose ends were not seen. Where calls time out no
// backlog grows without bound: an overload shows in those that do instead. A
// share of windowShare is too much of any number of calls, since what the others took
// then says little of what users wait.
func (res *Result) checkTimeouts() Check {
	if res.TimedOut == nil {
		return Check{"timeouts", OK, "no call timed out"}
	}
	n, least := res.TimedOut.Calls, time.Duration(res.TimedOut.AtLeast*float64(time.Microsecond))
	share := float64(n) / float64(res.Calls+res.Errors)
	text := fmt.Sprintf("%s, %s of those sent, timed out after %s or more", figure.Count(n, "call"), figure.Percent(share), figure.Duration(least))
	if share >= windowShare {
		return Check{"timeouts", Failed, "more calls were sent than are answered: " + text + "; what the others took says little of what users wait"}
	}
	return Check{"timeouts", Warning, text + ": percentiles are of the others"}
}

func (res *Result) checkDropped() Check {
	if res.Dropped == 0 {
		return Check{"dropped", OK, "every call was sent"}
	}
	return Check{"dropped", Failed, fmt.Sprintf("%s of %s calls were dropped, as the limit of %s in flight was reached or the run ended first",
		figure.Grouped(res.Dropped), figure.Grouped(res.Intended), figure.Grouped(int64(res.MaxInFlight)))}
}

func (r *run) checkLag(res *Result) Check {
	lag, name := upTo(res.Lag)
	if name == "" {
		return Check{"lag", Unknown, "no call was sent"}
	}
	is, share := res.delayed(lag)
	text := fmt.Sprintf("calls were sent up to %s after they were intended (%s), %s", figure.Duration(lag), name, share)
	if calls, share := r.behind(res); calls >= backlogCalls && share >= backlogTolerance && r.lagged() {
		is = Failed // calls piled up, and before they were sent
		text += fmt.Sprintf("; when the window closed it was %s behind", figure.Count(calls, "call"))
	}
	if is == Failed {
		text = "the generator was late: " + text
	}
	return Check{"lag", is, text}
}

func (r *run) checkProcessor(res *Result) Check {
	for _, u := range res.Resources {
		if u.Name == generator {
			is := OK
			if u.Utilization >= busyShare {
				is = r.mildly(Failed)
			}
			return Check{"cpu", is, fmt.Sprintf("the process of the generator used %.2f of %.0f processors", u.Utilization*u.Capacity, u.Capacity)}
		}
	}
	return Check{"cpu", Unknown, "what the process of the generator used is not known"}
}

// checkMachine looks for what else the machine was busy with. It is never more than a
// warning, as figures that are good are good all the same. Those that are bad say little
// if strangers used the machine, so the verdict has that apart.
func (r *run) checkMachine(res *Result) Check {
	window := (r.closed.at - r.opened.at).Seconds()
	if r.opened.machine == 0 || r.closed.machine == 0 || window <= 0 {
		return Check{"machine", Unknown, "what other processes used is not known"}
	}
	cores := func(from, to time.Duration) float64 { return (to - from).Seconds() / window }
	m := &Machine{
		Cores:      float64(runtime.NumCPU()),
		BusyCores:  cores(r.opened.machine, r.closed.machine),
		StealCores: cores(r.opened.stolen, r.closed.stolen),
	}
	res.Machine = m
	others := max(0, m.BusyCores-cores(r.opened.own, r.closed.own))
	text := fmt.Sprintf("other processes used %.2f of the machine's %.0f processors", others, m.Cores)
	if m.StealCores >= 0.01 {
		text += fmt.Sprintf(", %.2f of it steal time", m.StealCores)
	}
	if r.cfg.InProcess || r.cfg.ServersKnown {
		strangers := others
		for i, res := range r.cfg.Resources {
			if res.Processor {
				strangers -= cores(r.opened.used[i], r.closed.used[i])
			}
		}
		strangers = max(0, strangers)
		m.OtherCores = &strangers
	}
	if m.BusyCores < busyShare*m.Cores {
		return Check{"machine", OK, text}
	}
	text += fmt.Sprintf(", which were %s busy in total: calls may be late due to CPU starvation", figure.Percent(min(1, m.BusyCores/m.Cores)))
	if m.OtherCores != nil && *m.OtherCores >= strangersShare*m.Cores {
		res.Verdict.Disturbance = text
	}
	return Check{"machine", Warning, text}
}

func (r *run) checkPauses(res *Result) Check {
	window := r.closed.at - r.opened.at
	if r.closed.pauses == nil || r.opened.pauses == nil || window <= 0 {
		return Check{"gc", Unknown, "the pauses of the garbage collector are not known"}
	}
	d := between(r.opened.pauses, r.closed.pauses)
	if d.count == 0 {
		return Check{"gc", OK, "the garbage collector did not pause the generator"}
	}
	share := d.sum.Seconds() / window.Seconds()
	is, of := res.delayed(d.max)
	switch {
	case share < pauseShare:
		is = OK
	case is != OK:
		is = r.mildly(is)
	}
	return Check{"gc", is, fmt.Sprintf("the garbage collector paused the generator for up to %s, %s, and for %s of the time",
		figure.Duration(d.max), of, figure.Percent(share))}
}

func (r *run) checkScheduler(res *Result) Check {
	if r.closed.schedule == nil || r.opened.schedule == nil {
		return Check{"scheduler", Unknown, "how long goroutines waited for a processor is not known"}
	}
	d := between(r.opened.schedule, r.closed.schedule)
	is, of := res.delayed(d.p99)
	return Check{"scheduler", r.mildly(is), fmt.Sprintf("goroutines of the generator's process waited up to %s (p99) for a processor, %s",
		figure.Duration(d.p99), of)}
}

// checkStationary looks for a drift in the whole intervals of the window.
func (r *run) checkStationary(res *Result) Check {
	unknown := func(why string) Check { return Check{"stationary", Unknown, why} }
	if m, ok := r.cfg.Model.(OpenLoop); res.OpenLoop && !(ok && m.Profile.kind == "constant") {
		return unknown("the load changes over time, so what is measured does, too")
	}
	var p50, rate []float64
	end := r.closes().Seconds()
	for _, i := range res.Intervals {
		if i.WarmingUp || i.Draining || i.EndS > end+res.IntervalS/100 {
			continue
		}
		rate = append(rate, i.Rate())
		if i.Latency.P50 != nil {
			p50 = append(p50, *i.Latency.P50)
		}
	}
	text := "the response time and the rate of calls did not drift"
	for _, s := range []struct {
		name string
		xs   []float64
		show func(float64) string
	}{
		{"p50 of the response time", p50, func(us float64) string { return figure.Microseconds(&us) }},
		{"rate of calls", rate, func(r float64) string { return figure.Rate(r) + "/s" }},
	} {
		d, err := stats.Drifting(s.xs, r.cfg.Interval, driftTolerance)
		switch {
		case err != nil:
			return unknown(err.Error())
		case d.Verdict == stats.TooShort:
			return unknown(fmt.Sprintf("%d whole intervals with enough calls are too few to say whether the run was stationary", len(s.xs)))
		case d.Verdict != stats.Stationary:
			return Check{"stationary", Warning, fmt.Sprintf("the %s was %s: %s in the first half, %s in the second",
				s.name, d.Verdict, s.show(d.First), s.show(d.Second))}
		}
	}
	return Check{"stationary", OK, text}
}

// bottleneck names what gave first, as far as that can be seen.
func (res *Result) bottleneck() string {
	var grew []string
	if res.Verdict.State == Diverging {
		grew = res.grownGauges()
	}
	var busy string
	if len(res.Resources) > 0 && res.Resources[0].Utilization >= busyShare {
		busy = fmt.Sprintf("%s, busy for %s of the time", res.Resources[0].Name, figure.Percent(res.Resources[0].Utilization))
	}
	switch {
	case busy != "" && grew != nil:
		return busy + "; " + strings.Join(grew, ", ")
	case busy != "":
		return busy
	case grew != nil:
		return strings.Join(grew, ", ")
	case res.Verdict.State == Diverging:
		return "none of what was watched: calls waited elsewhere"
	default:
		return ""
	}
}

// grownGauges are those that were more than twice as high in the end of the window
// as at its beginning.
func (res *Result) grownGauges() []string {
	var first, last *Interval
	for i := range res.Intervals {
		switch at := &res.Intervals[i]; {
		case at.WarmingUp || at.Draining && first != nil:
		case first == nil:
			first = at
		default:
			last = at
		}
	}
	if last == nil {
		return nil
	}
	var grew []string
	for _, name := range sortedKeys(last.Gauges) {
		if from, to := first.Gauges[name], last.Gauges[name]; to > 2*max(from, 1) {
			grew = append(grew, fmt.Sprintf("%s grew from %.0f to %.0f", name, from, to))
		}
	}
	return grew
}
