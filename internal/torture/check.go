package torture

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What is promised, with the limits that the project sets itself.
const (
	promptness = 200 * time.Millisecond // nobody waits longer than this beyond the timeout
	restoring  = 2 * time.Second        // after a fault the first success comes within this
)

// A History is what happened in one arena.
type History struct {
	Calls     map[string]*Call
	Incidents []*Incident // by their beginning
	Clients   []Process   // that made calls
	Leftovers []string    // what was there at the end and should not have been
	Failures  []string    // of processes: one that ended by itself, or did not end

	Prompt, Recovery time.Duration // limits in place of those that are promised, if not 0

	stalls map[string][]span // when a process did not get on, by its name
}

func (h *History) prompt() time.Duration { return cmp.Or(h.Prompt, promptness) }

func (h *History) recovery() time.Duration { return cmp.Or(h.Recovery, restoring) }

// A Process is the life of a process.
type Process struct {
	Name   string
	Begin  time.Time
	Killed time.Time // zero if it ended in peace
}

// An Incident is a fault that happened, and what it may do.
type Incident struct {
	Fault      string
	Begin, End time.Time // the fault itself

	NotSent  bool // calls may end as not sent
	NoResult bool // calls may have no result
	Forgets  bool // Redis forgets what it has
	Repeats  bool // Redis may give away a call that it has given away before

	Clients []string      // whose calls it may do it to; none is all
	Servers []string      // that it happened to; none is that it is not about servers
	Kills   bool          // they were killed: what they had taken is lost
	Stops   bool          // the clients were stopped: what comes meanwhile is there when they go on
	Waiting bool          // it may be done only to calls that no server has taken
	Outlast time.Duration // calls that wait so long, and end after it, are not hurt, if it is not 0
	Settle  time.Duration // what it did may show for so long after its end
	Grace   bool          // only for the recovery time after a first call was lost (see clocks)
}

// reaches is whether a call may be hurt by the incident.
func (i *Incident) reaches(c *Call) bool {
	outlasts := i.Outlast > 0 && c.Timeout >= i.Outlast && (len(c.Ends) == 0 || c.Ends[0].At.After(i.End))
	return (len(i.Clients) == 0 || slices.Contains(i.Clients, c.Client)) && !outlasts
}

// A Verdict is what was found.
type Verdict struct {
	Calls      int                        `json:"calls"`
	Runs       int                        `json:"executions"`
	Ended      map[string]int             `json:"ended"` // calls by how they ended; "died" with their client
	Faults     map[string]int             `json:"faults"`
	Recoveries map[string][]time.Duration `json:"recoveries_ns"` // of clients, by fault

	// Violations are promises that were broken, by promise, each with the call it was broken to.
	Violations map[string][]string `json:"violations"`

	Repeated int `json:"repeated"` // calls that ran again after a replica had taken over, as documented
	Excused  int `json:"excused"`  // calls and recoveries that were late because a process did not get on
}

// The promises.
const (
	promiseOnce      = "ends once"
	promiseKind      = "ends in the right kind"
	promiseNotTwice  = "runs at most once"
	promiseNotSent   = "not sent means not run"
	promiseNotLost   = "is not lost without a fault"
	promiseDelivered = "a result that is there arrives"
	promisePrompt    = "nobody waits longer than the timeout + 200 ms"
	promiseRecovery  = "works again within 2 s after a fault"
	promiseNothing   = "nothing is left over"
	promiseProcesses = "processes live until they are told to end"
)

// Promises are all of them, in the order of reports.
var Promises = []string{
	promiseOnce, promiseKind, promiseNotTwice, promiseNotSent, promiseNotLost, promiseDelivered, promisePrompt,
	promiseRecovery, promiseNothing, promiseProcesses,
}

// A checker looks at a history.
type checker struct {
	h *History
	Verdict
	byClient map[string][]*Call // by their beginning
	restored map[*Incident]map[string]time.Time
	first    map[*Incident]map[string]time.Time // when the first call was lost, of those with Grace
}

// Check compares what was promised with what happened.
func (h *History) Check() Verdict {
	c := checker{h: h, Verdict: Verdict{
		Ended: map[string]int{}, Faults: map[string]int{}, Recoveries: map[string][]time.Duration{}, Violations: map[string][]string{},
	}, byClient: map[string][]*Call{}, restored: map[*Incident]map[string]time.Time{}, first: map[*Incident]map[string]time.Time{}}
	calls := slices.SortedFunc(maps.Values(h.Calls), func(a, b *Call) int { return a.Begin.Compare(b.Begin) })
	for _, call := range calls {
		slices.SortFunc(call.Runs, func(a, b Run) int { return a.Begin.Compare(b.Begin) })
		c.byClient[call.Client] = append(c.byClient[call.Client], call)
	}
	for _, i := range h.Incidents {
		c.Faults[i.Fault]++
		c.restore(i)
	}
	for _, call := range calls {
		c.check(call)
	}
	for _, text := range h.Leftovers {
		c.breaks(promiseNothing, "%s", text)
	}
	for _, text := range h.Failures {
		c.breaks(promiseProcesses, "%s", text)
	}
	return c.Verdict
}

func (c *checker) breaks(promise, format string, args ...any) {
	c.Violations[promise] = append(c.Violations[promise], fmt.Sprintf(format, args...))
}

// restore finds when each client had its first success after an incident.
func (c *checker) restore(i *Incident) {
	c.restored[i] = map[string]time.Time{}
	for _, p := range c.h.Clients {
		if !isOurs(p.Name) {
			continue // the Python client makes one call at a time
		}
		from := i.End
		if p.Begin.After(from) {
			from = p.Begin
		}
		at := c.firstSuccess(p.Name, from)
		if at.IsZero() { // then it is not known how long it would have taken, or it never came
			at = from.Add(c.h.recovery())
			if last := c.lastEnd(p.Name); last.After(at) {
				at = last
			}
		}
		c.restored[i][p.Name] = at
		if from.Sub(i.End) > c.h.recovery() || !p.Killed.IsZero() && p.Killed.Before(from.Add(c.h.recovery())) {
			continue // it was not there
		}
		if last := c.lastEnd(p.Name); !last.After(at) && last.Sub(from) <= c.h.recovery() && at.Sub(from) >= c.h.recovery() {
			continue // it was not there for long enough
		}
		took := at.Sub(from)
		if next := c.next(i); took > c.h.recovery() && next != nil && next.Begin.Sub(from) <= c.h.recovery() {
			continue
		}
		c.Recoveries[i.Fault] = append(c.Recoveries[i.Fault], took)
		switch over := took - c.h.recovery(); {
		case over <= 0:
		case over <= c.stalled(p.Name, span{from, at}):
			c.Excused++
		default:
			c.breaks(promiseRecovery, "%s: the first success came %v after %q at %s", p.Name, took.Round(time.Millisecond), i.Fault, clock(i.End))
		}
	}
}

// next is the incident after another.
func (c *checker) next(i *Incident) *Incident {
	for _, other := range c.h.Incidents {
		if other.Begin.After(i.End) {
			return other
		}
	}
	return nil
}

// firstSuccess is when the first call of a client ended with a result of those that it made
// from a time on.
func (c *checker) firstSuccess(client string, from time.Time) (first time.Time) {
	calls := c.byClient[client]
	at, _ := slices.BinarySearchFunc(calls, from, func(call *Call, t time.Time) int { return call.Begin.Compare(t) })
	for _, call := range calls[at:] {
		if !first.IsZero() && call.Begin.After(first) {
			break
		}
		if len(call.Ends) > 0 && call.Ends[0].Kind == endResult && (first.IsZero() || call.Ends[0].At.Before(first)) {
			first = call.Ends[0].At
		}
	}
	return first
}

func (c *checker) lastEnd(client string) (last time.Time) {
	for _, call := range c.byClient[client] {
		if n := len(call.Ends); n > 0 && call.Ends[n-1].At.After(last) {
			last = call.Ends[n-1].At
		}
	}
	return last
}

// stalled is the time in a span during which what a client's call goes through did not get
// on: the client, the proxies, and another process, the one that was held up most.
func (c *checker) stalled(client string, s span) time.Duration {
	var most time.Duration
	for process := range c.h.stalls {
		if process != client && process != arenaJournal {
			most = max(most, c.stalledIn(process, s))
		}
	}
	return c.stalledIn(client, s) + c.stalledIn(arenaJournal, s) + most
}

func (c *checker) stalledIn(process string, s span) (d time.Duration) {
	for _, stall := range c.h.stalls[process] {
		d += s.overlap(stall)
	}
	return d
}

// addStall adds a stall of a process. One that overlaps the last ones is part of the same stall: a
// process may be stopped while it writes its journal.
func (h *History) addStall(process string, s span) {
	if h.stalls == nil {
		h.stalls = map[string][]span{}
	}
	all := h.stalls[process]
	for n := len(all); n > 0 && s.overlap(all[n-1]) > 0; n-- {
		s = s.union(all[n-1])
		all = all[:n-1]
	}
	h.stalls[process] = append(all, s)
}

// check looks at one call.
func (c *checker) check(call *Call) {
	if call.Begin.IsZero() {
		c.breaksTo(call, promiseNotTwice, "nobody made it")
		return
	}
	c.Calls++
	c.Runs += len(call.Runs)
	if len(call.Runs) > 1 {
		if c.mayRepeat(call) {
			c.Repeated++
		} else {
			c.breaksTo(call, promiseNotTwice, "")
		}
	}
	if len(call.Ends) != 1 {
		if len(call.Ends) == 0 && c.died(call.Client) {
			c.Ended["died"]++
		} else {
			c.breaksTo(call, promiseOnce, "")
		}
		return
	}
	end := call.Ends[0]
	kind, _, _ := strings.Cut(end.Kind, ":")
	c.Ended[kind]++
	c.prompt(call, end)
	switch {
	case (kind == endNotSent || kind == endWithdrawn) && len(call.Runs) > 0:
		c.breaksTo(call, promiseNotSent, "")
	case !inKind(call, end.Kind):
		c.breaksTo(call, promiseKind, "")
	case len(call.Runs) == 0 && (end.Kind == endResult || kind == endRemote):
		c.breaksTo(call, promiseKind, "it did not run")
	case end.Kind == endDelivered && len(call.Runs) == 0 && !c.explained(call, span{call.Begin, end.At.Add(c.h.recovery())}, endNoResult):
		c.breaksTo(call, promiseNotLost, "it did not run")
	case end.Kind == endNotSent && call.Want == wantRefusal:
	case end.Kind != endNotSent && end.Kind != endNoResult:
	case !c.explained(call, span{call.Begin, end.At}, end.Kind):
		// Perhaps the machine was overloaded: processes did not get on for a good part of its time.
		if c.stalled(call.Client, span{call.Begin, end.At}) > call.Timeout/4 {
			c.Excused++
		} else {
			c.breaksTo(call, promiseNotLost, "")
		}
	case end.Kind == endNoResult && c.deliverable(call):
		c.breaksTo(call, promiseDelivered, "")
	}
}

// breaksTo is breaks to a call.
func (c *checker) breaksTo(call *Call, promise, why string) {
	text := c.describe(call)
	if why != "" {
		text += ": " + why
	}
	c.breaks(promise, "%s", text)
}

// inKind is whether a call may end so, apart from what faults do to it.
func inKind(call *Call, kind string) bool {
	switch kind {
	case endNotSent, endNoResult:
		return true
	case endCancelled, endWithdrawn:
		return call.Want == wantCancel
	}
	byOld := len(call.Runs) > 0 && !isOurs(call.Runs[0].Server) // who gives failures no type
	switch call.Want {
	case wantResult, wantCancel:
		return kind == endResult
	case wantOldFailure: // of the Python port, which knows no types
		return kind == endRemote
	case wantFailure:
		return byOld && kind == endRemote+":" || kind == endRemote+":"+failureType
	case wantPanic:
		return byOld && kind == endRemote+":" || kind == endRemote+":panic"
	case wantTooLong:
		return kind == endRemote+":too_large"
	case wantDelivery:
		return kind == endDelivered
	}
	return false
}

// isOurs is whether a process speaks the protocol with its additions.
func isOurs(process string) bool {
	return strings.HasPrefix(process, roleServer) || strings.HasPrefix(process, roleClient)
}

func (c *checker) died(client string) bool {
	return slices.ContainsFunc(c.h.Clients, func(p Process) bool { return p.Name == client && !p.Killed.IsZero() })
}

// prompt checks that a call did not take too long.
func (c *checker) prompt(call *Call, end End) {
	took := end.At.Sub(call.Begin)
	switch over := took - call.Timeout - c.h.prompt(); {
	case over <= 0:
	case c.stalledIn(call.Client, span{call.Begin, end.At}) > min(over, took/5): // the machine is overloaded
		c.Excused++
	default:
		c.breaksTo(call, promisePrompt, "")
	}
}

// until is when an incident may hurt a client's calls no more.
func (c *checker) until(i *Incident, client string) time.Time {
	until := i.End
	if at := c.restored[i][client]; at.After(until) {
		until = at
	}
	return until.Add(i.Settle)
}

// during are the incidents that may hurt a call in a span.
func (c *checker) during(call *Call, s span) (all []*Incident) {
	for _, i := range c.h.Incidents {
		if i.reaches(call) && !i.Begin.After(s.end) && c.until(i, call.Client).After(s.begin) {
			all = append(all, i)
		}
	}
	return all
}

// explained is whether an incident explains that a call ended without a result.
func (c *checker) explained(call *Call, s span, kind string) bool {
	for _, i := range c.during(call, s) {
		if kind == endNotSent && !i.NotSent || kind == endNoResult && !i.NoResult {
			continue
		}
		if !i.Grace {
			return true
		}
		if c.first[i] == nil {
			c.first[i] = map[string]time.Time{}
		}
		if c.first[i][call.Client].IsZero() {
			c.first[i][call.Client] = s.end
		}
		if !call.Begin.After(c.first[i][call.Client].Add(c.h.recovery())) {
			return true
		}
	}
	return false
}

// deliverable is whether a call has a result that its client had time to get: it ran to its end,
// neither its server nor Redis lost it, and nothing happened to either for so long as it may take
// to work again. Who sends and does not wait has no result. In the protocol without additions, which
// also our clients speak with other servers, a connection that is lost may have had a result on it:
// a client that is only stopped has to lose none.
func (c *checker) deliverable(call *Call) bool {
	if !isOurs(call.Client) || len(call.Runs) != 1 || call.Runs[0].End.IsZero() || call.Want == wantTooLong || call.Want == wantDelivery {
		return false
	}
	run, deadline := call.Runs[0], call.Begin.Add(call.Timeout)
	quiet := run.End // since when nothing has happened
	enough := func(s span) bool {
		d := s.end.Sub(s.begin)
		for _, process := range []string{call.Client, run.Server, arenaJournal} {
			d -= c.stalledIn(process, s)
		}
		return d > c.h.recovery()
	}
	for _, i := range c.during(call, span{call.Begin, deadline}) {
		if len(i.Servers) > 0 && !slices.Contains(i.Servers, run.Server) || i.Waiting || !i.NotSent && !i.NoResult {
			continue
		}
		if !isOurs(run.Server) && !i.Stops {
			return false
		}
		until := c.until(i, call.Client)
		if i.Forgets || i.Repeats || i.Grace || i.Kills && until.After(run.Begin) {
			return false
		}
		if enough(span{quiet, i.Begin}) {
			return true
		}
		if until.After(quiet) {
			quiet = until
		}
	}
	return enough(span{quiet, deadline})
}

// mayRepeat is whether a call ran again because a replica, which did not know that it
// had been given away, took the place of its master in between.
func (c *checker) mayRepeat(call *Call) bool {
	first, last := call.Runs[0].Begin, call.Runs[len(call.Runs)-1].Begin
	return slices.ContainsFunc(c.h.Incidents, func(i *Incident) bool {
		return i.Repeats && !i.Begin.After(last) && !c.until(i, call.Client).Before(first)
	})
}

// describe is a call in a report.
func (c *checker) describe(call *Call) string {
	var b strings.Builder
	fmt.Fprintf(&b, "call %s (%s, timeout %v, made at %s", call.ID, call.Want, call.Timeout, clock(call.Begin))
	for _, e := range call.Ends {
		fmt.Fprintf(&b, ", ended after %v: %s", e.At.Sub(call.Begin).Round(time.Millisecond), e.Kind)
		if e.Text != "" {
			fmt.Fprintf(&b, " %q", e.Text)
		}
	}
	for _, r := range call.Runs {
		fmt.Fprintf(&b, ", ran on %s after %v", r.Server, r.Begin.Sub(call.Begin).Round(time.Millisecond))
		if r.End.IsZero() {
			b.WriteString(", not to its end")
		} else {
			fmt.Fprintf(&b, " for %v", r.End.Sub(r.Begin).Round(time.Millisecond))
		}
	}
	b.WriteString(")")
	if !call.Begin.IsZero() {
		for _, i := range c.h.Incidents {
			if !i.Begin.After(call.Begin.Add(call.Timeout)) && i.End.Add(c.h.recovery()).After(call.Begin) {
				fmt.Fprintf(&b, " [%s from %v to %v]", i.Fault, i.Begin.Sub(call.Begin).Round(time.Millisecond), i.End.Sub(call.Begin).Round(time.Millisecond))
			}
		}
	}
	return b.String()
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
