package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"redrpc/bench"
)

// SearchOptions says what to search for. SLO is needed.
type SearchOptions struct {
	// SLO is what a rate has to meet.
	SLO SLO

	// Start is the first rate, in calls per second. 0 is 100, or as many as Duration
	// needs to support the SLO's percentiles.
	Start float64

	// MaxRate is the greatest rate to try. 0 is no limit.
	MaxRate float64

	// Precision is how near the two bounds have to come, as a share: 0.02 means that
	// the rate that missed is at most 2 % above the one that met. 0 is 0.02.
	Precision float64

	// Duration is the measured window of a trial, made longer for rates that are too low
	// for the SLO's percentiles. 0 is 3 s.
	Duration time.Duration

	// Confirm is that of the last trial, which is to confirm the answer. 0 is 15 s.
	Confirm time.Duration

	// Budget is how long the search takes at most, but for what a trial takes to
	// end when its context has. It is kept free for Confirm. 0 is 110 s.
	Budget time.Duration

	// MaxTrials is how many trials there are at most. 0 is 60.
	MaxTrials int

	// Retries is how often a trial is repeated that is no use: too short to tell, or
	// spoiled. After that its rate is out of reach. Negative is never. 0 is 1.
	Retries int

	// Drain is called before each trial.
	Drain Drain

	// Progress, if not nil, is called after each trial.
	Progress func(SearchTrial)
}

func (o *SearchOptions) check() error {
	if err := o.SLO.check("SearchOptions.SLO"); err != nil {
		return err
	}
	switch {
	case o.Start != 0 && !positive(o.Start):
		return wrong("SearchOptions.Start", "calls per second, or 0 for the default", o.Start)
	case o.MaxRate != 0 && !positive(o.MaxRate):
		return wrong("SearchOptions.MaxRate", "calls per second, or 0 for no limit", o.MaxRate)
	case !(o.Precision >= 0 && o.Precision < 1):
		return wrong("SearchOptions.Precision", "a share below 1, or 0 for 0.02", o.Precision)
	case o.Duration < 0:
		return wrong("SearchOptions.Duration", "more than 0, or 0 for 3 s", o.Duration)
	case o.Confirm < 0:
		return wrong("SearchOptions.Confirm", "more than 0, or 0 for 15 s", o.Confirm)
	case o.Budget < 0:
		return wrong("SearchOptions.Budget", "more than 0, or 0 for 110 s", o.Budget)
	case o.MaxTrials < 0:
		return wrong("SearchOptions.MaxTrials", "1 or more, or 0 for 60", o.MaxTrials)
	}
	def(&o.Precision, 0.02)
	def(&o.Duration, 3*time.Second)
	def(&o.Confirm, 15*time.Second)
	def(&o.Budget, 110*time.Second)
	def(&o.MaxTrials, 60)
	def(&o.Retries, 1)
	def(&o.Start, max(100, o.calls()/o.Duration.Seconds()))
	if o.MaxRate > 0 {
		o.Start = min(o.Start, o.MaxRate)
	}
	return nil
}

// calls is how many a trial has to make, with some to spare for random arrivals.
func (o *SearchOptions) calls() float64 {
	n := float64(o.SLO.Needs())
	return n + 4*math.Sqrt(n)
}

// length is the window that a rate needs.
func (o *SearchOptions) length(load float64, least time.Duration) time.Duration {
	return max(least, time.Duration(o.calls()/load*float64(time.Second)))
}

// def sets what is 0 to its default.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// An Outcome is how a trial ended.
type Outcome string

// The outcomes of a SearchTrial.
const (
	Met         Outcome = "met"
	Missed      Outcome = "missed"      // the SLO, or the calls piled up
	Invalid     Outcome = "invalid"     // the measurement was spoiled, and says nothing
	Undecided   Outcome = "undecided"   // too few calls for the SLO's percentiles
	Interrupted Outcome = "interrupted" // there was no time left
)

// A SearchTrial is one trial of a search.
type SearchTrial struct {
	Rate         float64      `json:"rate_per_s"`
	DurationS    float64      `json:"duration_s"`
	Confirmation bool         `json:"confirmation"` // it was the long one
	Outcome      Outcome      `json:"outcome"`
	Invalid      bool         `json:"invalid"` // it was not valid, though it may have Met
	Terms        []TermResult `json:"terms"`
	Reasons      []string     `json:"reasons"` // of what is not Met, and of Invalid

	// Disturbance says how others used the machine meanwhile, as the result's verdict does.
	Disturbance string         `json:"disturbance,omitempty"`
	Machine     *bench.Machine `json:"machine,omitempty"` // as in the result
	Result      *bench.Result  `json:"-"`
}

// A SearchResult is what a search found.
type SearchResult struct {
	SLO string `json:"slo"`

	// HighestMet is the greatest rate that met the SLO, in the long trial if Confirmed, and 0 if
	// none did. LowestMissed is the lowest one above it that was seen to miss it, 0 if there is
	// none: a trial that says nothing is no bound. In JSON 0 is null.
	HighestMet   float64 `json:"highest_met_per_s"`
	LowestMissed float64 `json:"lowest_missed_per_s"`
	Confirmed    bool    `json:"confirmed"`

	// LimitingFactor says in words why it is not more than HighestMet: what missed the SLO, or
	// MaxRate. StopReason says why the search ended before it was done; it is empty if it was.
	LimitingFactor string `json:"limiting_factor"`
	StopReason     string `json:"stop_reason"`

	// Trials are in order, and Best is the result of that at HighestMet, nil if there is none.
	Trials []SearchTrial `json:"trials"`
	Best   *bench.Result `json:"best"`
}

// MarshalJSON writes bounds that there are not as null.
func (f SearchResult) MarshalJSON() ([]byte, error) {
	type found SearchResult
	bound := func(rate float64) *float64 {
		if rate == 0 {
			return nil
		}
		return &rate
	}
	return json.Marshal(struct {
		SLO    string   `json:"slo"`
		Met    *float64 `json:"highest_met_per_s"`
		Missed *float64 `json:"lowest_missed_per_s"`
		found
	}{f.SLO, bound(f.HighestMet), bound(f.LowestMissed), found(f)})
}

// An Answer is what a search knows in the end.
type Answer string

// The answers of a search.
const (
	Confirmed   Answer = "confirmed"   // HighestMet is the answer
	Unconfirmed Answer = "unconfirmed" // HighestMet did in a short trial only
	NotMet      Answer = "not met"     // the lowest rate that was tried missed the SLO
	NoAnswer    Answer = "no answer"   // what was measured does not tell
)

// Answer says what the search knows.
func (f *SearchResult) Answer() Answer {
	switch {
	case f.Confirmed:
		return Confirmed
	case f.HighestMet > 0:
		return Unconfirmed
	}
	var lowest *SearchTrial
	for i, p := range f.Trials {
		if lowest == nil || p.Rate <= lowest.Rate {
			lowest = &f.Trials[i] // the last trial of a rate counts
		}
	}
	if lowest != nil && lowest.Outcome == Missed {
		return NotMet
	}
	return NoAnswer
}

// Search looks for the greatest rate at which the system meets an SLO. From Start it
// doubles the rate until one misses (or halves it until one meets), then goes to the
// geometric middle of the two bounds until they are near, tries the upper one once more, and
// confirms the lower one by a long fresh trial; if that misses, the search goes on below it.
//
// A rate at which calls pile up has missed. A trial that is not valid, since the
// generator was late or left calls out, has met all the same if its figures do: what
// spoiled it can only have made them worse, as times are from when a call was intended.
// If it missed, and all that was wrong is that as many calls were in flight as may be, it
// has missed if so many at such a rate take longer than the SLO allows. Otherwise, and if it
// missed while others used the machine, it says nothing: it is repeated, later once more, and
// then its rate is out of reach, as LimitingFactor says: what the generator cannot do is no fault of the
// system. Only a valid trial confirms.
//
// A search that runs out of time or trials returns what it knows, without an error. If
// ctx ends or a trial fails, it does so with the error, and if no call of the first trial
// succeeds, with one that matches ErrNoSuccess.
func Search(ctx context.Context, trial Trial, o SearchOptions) (*SearchResult, error) {
	if trial == nil {
		return nil, wrong("trial", "a function", "nil")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, o.Budget)
	defer cancel()
	s := &search{
		SearchOptions: o,
		trial:         trial,
		deadline:      time.Now().Add(o.Budget),
		result:        &SearchResult{SLO: o.SLO.String()},
		high:          math.Inf(1),
		last:          map[float64]SearchTrial{},
		visits:        map[float64]int{},
		overhead:      time.Second,
	}
	err := s.run(within)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		s.result.StopReason = "it was interrupted"
	} else if within.Err() != nil {
		err = nil // the time is up
		s.result.StopReason = s.timeUp()
	} else if err != nil {
		s.result.StopReason = err.Error()
	}
	s.conclude()
	return s.result, err
}

// A search is one Search under way.
type search struct {
	SearchOptions
	trial    Trial
	deadline time.Time
	result   *SearchResult

	low, high  float64                 // bounds: the greatest rate that met, and the least above it that did not
	last       map[float64]SearchTrial // of each rate, the last one
	visits     map[float64]int         // of each rate, but for repeated trials
	overhead   time.Duration           // the most that a trial took beyond its window
	anySuccess                         // of all trials
}

// run returns when there is nothing left to try, and an error if it could not go on.
func (s *search) run(ctx context.Context) error {
	for {
		load, confirms := s.next()
		if load == 0 {
			return nil
		}
		p, err := s.try(ctx, load, confirms)
		switch {
		case err != nil:
			return err
		case p.Outcome == Interrupted:
			s.result.StopReason = s.timeUp()
			return nil
		}
		s.last[load] = p
		s.visits[load]++
		s.bound()
		if confirms && p.Outcome == Met {
			if s.result.Confirmed = !p.Invalid; p.Invalid {
				s.result.StopReason = "the confirming trial met the SLO, but is invalid: " + p.Reasons[0]
			}
			return nil
		}
	}
}

// bound finds the bounds among what was tried.
func (s *search) bound() {
	s.low, s.high = 0, math.Inf(1)
	for load, p := range s.last {
		if p.Outcome == Met {
			s.low = max(s.low, load)
		}
	}
	for load, p := range s.last {
		if p.Outcome != Met && load > s.low {
			s.high = min(s.high, load)
		}
	}
}

// next says what to try, and 0 if that is all. Confirming comes when the bounds are
// near, and before the time is too short for it.
func (s *search) next() (load float64, confirms bool) {
	near := s.low > 0 && (s.high/s.low <= 1+s.Precision || s.MaxRate > 0 && s.low >= s.MaxRate)
	switch {
	case len(s.last) == 0:
		load = s.Start
	case s.low == 0:
		load = s.high / 2
	case s.again(near):
		load = s.high
	case near:
		return s.confirming()
	case math.IsInf(s.high, 1):
		load = 2 * s.low
		if s.MaxRate > 0 {
			load = min(load, s.MaxRate)
		}
	default:
		load = math.Sqrt(s.low * s.high)
	}
	need := s.cost(s.length(load, s.Duration))
	if s.low > 0 {
		need += s.cost(s.length(s.low, s.Confirm))
	}
	if len(s.result.Trials)+1 >= s.MaxTrials && s.low > 0 || time.Until(s.deadline) < need {
		if s.low > 0 {
			return s.confirming()
		}
		s.result.StopReason = s.timeUp()
		return 0, false
	}
	if len(s.result.Trials) >= s.MaxTrials {
		s.result.StopReason = fmt.Sprintf("the search ended after %d trials", s.MaxTrials)
		return 0, false
	}
	return load, false
}

// again tells if the upper bound is to be tried a second time, as one bad moment of the machine
// is enough to miss: when the bounds are near, unless calls piled up, which takes more than
// a moment. What could not be measured before any rate met is tried again at once, since
// then it was not the rate which made trials fail.
func (s *search) again(near bool) bool {
	p, ok := s.last[s.high]
	if !ok || s.visits[s.high] > 1 || p.Outcome == Missed && p.Result.Verdict.State == bench.Diverging {
		return false
	}
	for _, before := range s.result.Trials {
		switch {
		case before.Outcome == Met:
			return near
		case before.Rate == s.high:
			return near || p.Outcome != Missed
		}
	}
	return near
}

// confirming is next, once only the confirmation is left.
func (s *search) confirming() (float64, bool) {
	switch {
	case len(s.result.Trials) >= s.MaxTrials:
		s.result.StopReason = fmt.Sprintf("the search ended after %d trials", s.MaxTrials)
		return 0, false
	case time.Until(s.deadline) < s.cost(s.length(s.low, s.Confirm)):
		s.result.StopReason = s.timeUp()
		return 0, false
	}
	return s.low, true
}

func (s *search) cost(length time.Duration) time.Duration { return length + s.overhead }

func (s *search) timeUp() string {
	return fmt.Sprintf("the time budget of %v was used up", s.Budget)
}

// try measures a load, again if the measurement is no use.
func (s *search) try(ctx context.Context, load float64, confirms bool) (SearchTrial, error) {
	least := s.Duration
	if confirms {
		least = s.Confirm
	}
	length := s.length(load, least)
	p := SearchTrial{Rate: load, Confirmation: confirms}
	for attempt := 0; ; attempt++ {
		if err := s.Drain.wait(ctx); err != nil {
			return p, err
		}
		began := time.Now()
		p.DurationS = length.Seconds()
		res, err := s.trial(ctx, load, length)
		if err == nil && res == nil {
			err = errors.New("expected a result or an error, got neither")
		}
		if err != nil {
			return p, fmt.Errorf("capacity: trial at %s: %w", Throughput.format(load), err)
		}
		if err := s.succeeds(res); err != nil {
			return p, fmt.Errorf("capacity: trial at %s: %w", Throughput.format(load), err)
		}
		s.overhead = max(s.overhead, time.Since(began)-length)
		p.judge(s.SLO, res)
		s.result.Trials = append(s.result.Trials, p)
		if s.Progress != nil {
			s.Progress(p)
		}
		again := p.Outcome == Invalid || p.Outcome == Undecided || confirms && p.Invalid && p.Outcome == Met
		if !again || attempt >= s.Retries || len(s.result.Trials) >= s.MaxTrials {
			return p, nil
		}
		if p.Outcome == Undecided {
			length *= 2
		}
		if time.Until(s.deadline) < s.cost(length) {
			return s.result.Trials[len(s.result.Trials)-1], nil
		}
	}
}

// Why says why it ended so: what the SLO's terms say if it met them, else the reasons.
func (p *SearchTrial) Why() string {
	if p.Outcome != Met && len(p.Reasons) > 0 {
		return strings.Join(p.Reasons, "; ")
	}
	var terms []string
	for _, t := range p.Terms {
		terms = append(terms, t.Text)
	}
	why := strings.Join(terms, "; ")
	if len(p.Reasons) > 0 {
		why += ", although " + strings.Join(p.Reasons, "; ")
	}
	return why
}

// judge fills in what a result says.
func (p *SearchTrial) judge(slo SLO, res *bench.Result) {
	p.Result, p.Terms, p.Reasons = res, slo.Check(res), nil
	p.Invalid, p.Disturbance, p.Machine = res.Verdict.State == bench.Invalid, res.Verdict.Disturbance, res.Machine
	defer func() {
		if why := excuse(p.Terms, res); p.Outcome == Missed && why != "" {
			p.Outcome, p.Reasons = Invalid, append([]string{why}, p.Reasons...)
		}
	}()
	switch {
	case res.Verdict.State == bench.Diverging:
		p.Outcome, p.Reasons = Missed, append([]string{"more calls came than were answered"}, res.Verdict.Reasons...)
		return
	case res.Interrupted:
		p.Outcome, p.Reasons = Interrupted, []string{"the trial was interrupted"}
		return
	}
	p.Outcome = Met
	for _, f := range p.Terms {
		switch {
		case f.Known && !f.Met:
			p.Outcome = Missed
			p.Reasons = append(p.Reasons, f.Text)
		case !f.Known && p.Outcome == Met:
			p.Outcome = Undecided
		}
	}
	for _, f := range p.Terms {
		if p.Outcome == Undecided && !f.Known {
			p.Reasons = append(p.Reasons, f.Text)
		}
	}
	if !p.Invalid {
		return
	}
	failed := failedChecks(res.Verdict)
	missed := p.Outcome == Missed && within(failed, overload) && slo.exceededBy(float64(res.MaxInFlight)/p.Rate)
	if !missed && !(p.Outcome == Met && within(failed, worsening)) {
		p.Outcome = Invalid
	}
	p.Reasons = res.Verdict.Reasons
	if len(p.Reasons) == 0 {
		p.Reasons = []string{"the measurement was not valid"}
	}
}

// The names of checks of bench.Run whose failure makes figures worse than they would have
// been, never better: calls that were sent late, handled late or never sent. And of those
// that fail because of the system: as many calls were in flight as may be.
var (
	worsening = []string{"lag", "dropped", "cpu", "gc", "scheduler"}
	overload  = []string{"dropped"}
)

func failedChecks(v bench.Verdict) []string {
	var names []string
	for _, c := range v.Checks {
		if c.Result == bench.Failed {
			names = append(names, c.Name)
		}
	}
	return names
}

// within tells if there are names, and all of them are among those.
func within(names, those []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(those, n) })
}

// exceededBy tells if calls that take so many seconds are more than a term allows. By
// Little's law calls take n/rate on average if n of them are in flight.
func (s SLO) exceededBy(seconds float64) bool {
	return slices.ContainsFunc(s, func(t Term) bool { return t.Metric.isTime() && seconds*1e6 > t.Limit })
}

// conclude reads the answer off the bounds.
func (s *search) conclude() {
	f := s.result
	f.HighestMet = s.low
	for load, p := range s.last {
		if p.Outcome == Missed && load > s.low && (f.LowestMissed == 0 || load < f.LowestMissed) {
			f.LowestMissed = load
		}
	}
	for _, p := range f.Trials {
		if p.Outcome == Met && p.Rate == f.HighestMet {
			f.Best = p.Result // the last one is the longest
		}
	}
	switch {
	case !math.IsInf(s.high, 1):
		p := s.last[s.high]
		f.LimitingFactor = Throughput.format(s.high) + word(p.Outcome == Missed, ": ", ": could not be measured: ") + p.Reasons[0]
	case s.MaxRate > 0 && f.HighestMet >= s.MaxRate:
		f.LimitingFactor = fmt.Sprintf("%s was the maximum rate to try", Throughput.format(s.MaxRate))
	}
}
