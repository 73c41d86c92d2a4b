package bench

import "fmt"

// judge says whether the figures can be believed.
func (res *Result) judge() {
	v := &res.Verdict
	v.State, v.Reasons, v.Checks = Valid, []string{}, []Check{}
	if res.OpenLoop {
		v.add(res.checkMissed())
	}
}

// add takes a check in, and its consequence.
func (v *Verdict) add(c Check) {
	v.Checks = append(v.Checks, c)
	if c.Is == Failed {
		v.State = Invalid
		v.Reasons = append(v.Reasons, c.Text)
	}
}

func (res *Result) checkMissed() Check {
	if res.Missed == 0 {
		return Check{"missed", OK, "every call was sent"}
	}
	return Check{"missed", Failed, fmt.Sprintf("%d of %d calls were never sent, as %d were in flight or the run ended first",
		res.Missed, res.Intended, res.MaxInFlight)}
}
