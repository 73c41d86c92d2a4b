package report

import (
	"strings"

	"redrpc/bench/capacity"
	"redrpc/internal/terminal"
)

// objectiveTitle is the headline of an outcome.
func objectiveTitle(o capacity.Outcome) string {
	switch o {
	case capacity.Met:
		return "SLO met"
	case capacity.Missed:
		return "SLO MISSED"
	}
	return "SLO NOT JUDGED"
}

// objectiveBanner says whether an SLO was met, and why not.
func objectiveBanner(o *capacity.Objective) *banner {
	if o == nil {
		return nil
	}
	b := &banner{Class: "valid", Title: objectiveTitle(o.Outcome), Text: o.SLO}
	if o.Outcome != capacity.Met {
		b.Class = "bad"
		b.Reasons = append(b.Reasons, o.Reasons...)
	}
	for _, f := range o.Terms {
		if o.Outcome == capacity.Met || f.Met {
			b.Reasons = append(b.Reasons, f.Text)
		}
	}
	return b
}

// objectiveLine is the same in a line, and empty without an SLO.
func (r Report) objectiveLine() string {
	if r.Objective == nil {
		return ""
	}
	b := objectiveBanner(r.Objective)
	return b.Title + ": " + terminal.Quoted(b.Text) + ": " + terminal.Quoted(strings.Join(b.Reasons, "; "))
}
