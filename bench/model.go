package bench

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"
)

// A Model is a load model: it says when calls are sent. It is pure, so it is
// tested without running anything.
type Model interface {
	// Times returns when the calls of an open loop are intended, as times since
	// the run began, in order and without waiting for anything. One seed gives
	// the same times always. It returns nil for a closed loop.
	Times(seed uint64) iter.Seq[time.Duration]

	// String is the model's name in reports.
	String() string
}

// ClosedLoop is the model of callers that each wait for their call to end, think,
// and only then send the next one.
//
// A closed loop slows down with what it measures: while the system stalls nothing
// is sent, so the latencies say little about users who arrive regardless.
type ClosedLoop struct {
	Think time.Duration // between the end of a call and the next one
}

// Times returns nil: when calls are sent depends on when others end.
func (m ClosedLoop) Times(uint64) iter.Seq[time.Duration] { return nil }

func (m ClosedLoop) String() string {
	if m.Think == 0 {
		return "closed loop"
	}
	return "closed loop, think time " + m.Think.String()
}

func (m ClosedLoop) check() error {
	if m.Think < 0 {
		return fmt.Errorf("expected a think time of 0 or more, got %v", m.Think)
	}
	return nil
}

// Arrivals is how the calls of an open loop are spread at a given rate.
type Arrivals string

const (
	// Even makes the n-th call at the time when the profile has reached n calls.
	// The zero value means it, too.
	Even Arrivals = "even"

	// Poisson makes calls independent of each other, as those of many users who
	// do not know of each other are: the profile says how many there are on the
	// average. At a constant rate the gaps are exponential.
	Poisson Arrivals = "poisson"
)

// OpenLoop is the model of users who arrive regardless of how calls fare: each call
// is sent at its time, and one that cannot be keeps the time at which it was
// intended.
type OpenLoop struct {
	Profile  Profile
	Arrivals Arrivals
}

// Times are Profile.When(0), When(1), ..., or for Poisson arrivals When of the sums
// of exponential variates with mean 1: that is a Poisson process whose rate is the
// profile's (Çinlar, Introduction to Stochastic Processes, 4.7).
func (m OpenLoop) Times(seed uint64) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		rng := rand.New(rand.NewPCG(seed, 0x62656e6368)) // the stream is ours alone
		n := 0.
		for first := true; ; first = false {
			switch {
			case m.Arrivals == Poisson:
				n += rng.ExpFloat64()
			case !first:
				n++
			}
			at, ok := m.Profile.When(n)
			if !ok || !yield(at) {
				return
			}
		}
	}
}

// String is the text that ParseModel reads.
func (m OpenLoop) String() string {
	switch {
	case m.Arrivals != Poisson:
		return m.Profile.String()
	case m.Profile.kind == "constant":
		return "poisson:" + m.Profile.values()
	default:
		return "poisson:" + m.Profile.String()
	}
}

func (m OpenLoop) check() error {
	switch m.Arrivals {
	case "", Even, Poisson:
	default:
		return fmt.Errorf("expected arrivals that are %q or %q, got %q", Even, Poisson, m.Arrivals)
	}
	return m.Profile.check()
}

// after is the model that begins at a time, with its first rate before it.
func (m OpenLoop) after(d time.Duration) OpenLoop {
	if m.Profile.kind != "constant" {
		m.Profile = m.Profile.after(d)
	}
	return m
}

// before is how many calls of the schedule come before t, given that of this number and
// time: of random arrivals about as many, as they are not drawn for it.
func (m OpenLoop) before(t time.Duration, number int64, at time.Duration) int64 {
	if t <= at {
		return number
	}
	const most = 1 << 62
	if m.Arrivals == Poisson {
		return number + 1 + int64(min(math.Round(m.Profile.Calls(t)-m.Profile.Calls(at)), most))
	}
	n := max(number+1, int64(min(math.Ceil(m.Profile.Calls(t)), most)))
	comes := func(n int64) bool { // before t
		d, ok := m.Profile.When(float64(n))
		return ok && d < t
	}
	// What is reckoned may be off by a rounding.
	if comes(n) {
		return n + 1
	}
	if n > number+1 && !comes(n-1) {
		return n - 1
	}
	return n
}

// checkModel asks a model of this package what is wrong with it.
func checkModel(m Model) error {
	if c, ok := m.(interface{ check() error }); ok {
		return c.check()
	}
	return nil
}
