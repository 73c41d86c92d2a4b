package capacity

import "redrpc/bench"

// An Objective is what a run says about an SLO.
type Objective struct {
	SLO string `json:"slo"`

	// Outcome is Met, Missed, Undecided (too few calls) or Invalid: the run was, or it
	// missed the SLO while others used the machine.
	Outcome Outcome      `json:"outcome"`
	Reasons []string     `json:"reasons"` // of what is not Met
	Terms   []TermResult `json:"terms"`
}

// Judge says whether a run met all terms. Where calls pile up it has not, whatever the terms.
func (s SLO) Judge(res *bench.Result) Objective {
	o := Objective{SLO: s.String(), Outcome: Met, Reasons: []string{}, Terms: s.Check(res)}
	var unknown []string
	for _, f := range o.Terms {
		switch {
		case !f.Known:
			unknown = append(unknown, f.Text)
		case !f.Met:
			o.Outcome, o.Reasons = Missed, append(o.Reasons, f.Text)
		}
	}
	switch {
	case res.Verdict.State == bench.Invalid:
		o.Outcome, o.Reasons = Invalid, append([]string{"the measurement is invalid"}, res.Verdict.Reasons...)
	case res.Verdict.State == bench.Diverging:
		o.Outcome, o.Reasons = Missed, append([]string{"calls pile up"}, res.Verdict.Reasons...)
	case o.Outcome == Met && unknown != nil:
		o.Outcome, o.Reasons = Undecided, unknown
	}
	if why := excuse(o.Terms, res); o.Outcome == Missed && why != "" {
		o.Outcome, o.Reasons = Invalid, append([]string{why}, o.Reasons...)
	}
	return o
}

// excuse says why a run that missed says nothing, if so: others used the machine, so it may
// not be the system's fault. It is, if even the fastest call took too long, or if too many
// failed for other reasons than time.
func excuse(findings []TermResult, res *bench.Result) string {
	if res.Verdict.Disturbance == "" {
		return ""
	}
	refused := res.Errors
	if res.TimedOut != nil {
		refused -= res.TimedOut.Calls
	}
	for _, f := range findings {
		limit := f.Term.Limit
		if f.Term.Metric.isTime() && res.Latency.Min != nil && *res.Latency.Min > limit ||
			f.Term.Metric == Errors && float64(refused) > limit*float64(res.Calls+res.Errors+res.Dropped) {
			return ""
		}
	}
	return res.Verdict.Disturbance
}
