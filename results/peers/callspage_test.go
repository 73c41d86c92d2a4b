package main

import (
	"strings"
	"testing"
)

// Every figure of the page comes from a case that is measured, and of ratios the round
// counts: here each is twice as fast as the one before.
func TestCallsPage(t *testing.T) {
	r := &callsResults{Plan: callsPlan{Rounds: 3}, Code: codeSize{Lines: 5000, Functions: 100, Files: 20}}
	for _, c := range callCases() {
		s := callSeries{callCase: c}
		for round := range r.Plan.Rounds {
			m := measured{PerSecond: 1000, P50: 60, P99: 90, OwnCPU: 4, BrokerCPU: 2, Conns: 2}
			if c.KillMS > 0 {
				m.Killed = &killed{Made: 100, Kills: 3, Lost: round}
			}
			if c.Client == oursClient {
				m.PerSecond *= 2
				m.P50 /= 2
			}
			m.PerSecond *= float64(int(1) << round)
			s.Runs = append(s.Runs, m)
		}
		r.Series = append(r.Series, s)
	}
	measured := map[string]string{}
	page := r.page()
	for _, target := range page.Targets {
		if strings.Contains(target.Measured, "NaN") || strings.Contains(target.Why, "NaN") {
			t.Errorf("%s: of no case that is measured: %s. %s", target.What, target.Measured, target.Why)
		}
		measured[target.What] = target.Measured
	}
	for what, want := range map[string]string{
		"calls/s, 1,000 callers: times NATS":                                                "2.00",
		"p50 of one caller, processors kept awake: times the original's algorithm":          "0.50",
		"processor time of a call, 1,000 callers, client, server and Redis, us":             "6.0",
		"connections of a client with new servers, the most at any number of callers":       "2",
		"results lost in all rounds while the client's connections are killed every 100 ms": "3",
	} {
		if measured[what] != want {
			t.Errorf("%s: expected %s, got %q", what, want, measured[what])
		}
	}
	var text strings.Builder
	if err := callsTemplate.Execute(&text, page); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"NaN", "%!"} {
		if strings.Contains(text.String(), wrong) {
			t.Errorf("%q in the page:\n%s", wrong, text.String())
		}
	}
}
