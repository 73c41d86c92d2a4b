package stats

import "math"

// A LittleCheck compares the calls in flight that were counted with those that
// follow from the rate and the response time.
type LittleCheck struct {
	InFlight float64 `json:"in_flight"` // the mean that was counted
	Expected float64 `json:"expected"`  // rate times mean response time

	// Difference is InFlight-Expected by the greater of the two, 0 if both are 0.
	Difference float64 `json:"difference"`

	// Holds tells that the difference is within the tolerance.
	Holds bool `json:"holds"`
}

// LittlesLaw checks that the mean number in flight is the rate, in calls per second,
// times the mean response time, in seconds: Little, A Proof for the Queuing
// Formula L = lambda W, 1961. It holds whatever the arrivals and the service, if all
// three are of the same calls; where it does not, some were lost, counted twice or
// mistimed, or the run was not stationary. The tolerance is a share, as 0.05: a window
// of finite length cuts calls at both its ends, about as many as are in flight,
// so the law holds to no better than 1 / (length of the window / response time).
func LittlesLaw(inFlight, rate, response, tolerance float64) LittleCheck {
	c := LittleCheck{InFlight: inFlight, Expected: rate * response}
	if greater := max(c.InFlight, c.Expected); greater > 0 {
		c.Difference = (c.InFlight - c.Expected) / greater
	}
	c.Holds = math.Abs(c.Difference) <= tolerance
	return c
}
