package broker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// A Delay says how long a command waits: Fixed, Uniform, Normal, Exponential or a
// DelayFunc. What it draws is less than nothing counts as nothing.
type Delay interface {
	// Draw returns the next delay. The numbers come from the seed of the rule.
	Draw(*rand.Rand) time.Duration
}

// Fixed is always the same delay.
type Fixed time.Duration

// Uniform is a delay from Min to Max, all equally likely.
type Uniform struct{ Min, Max time.Duration }

// Normal is a delay that is normally distributed.
type Normal struct{ Mean, Deviation time.Duration }

// Exponential is an exponentially distributed delay: often short, sometimes several
// times the mean.
type Exponential struct{ Mean time.Duration }

// A DelayFunc is a function that draws a delay. It is called under the broker's lock:
// it must not call the broker, nor wait.
type DelayFunc func(*rand.Rand) time.Duration

func (d Fixed) Draw(*rand.Rand) time.Duration { return time.Duration(d) }

func (d Uniform) Draw(r *rand.Rand) time.Duration {
	return d.Min + time.Duration(r.Float64()*float64(d.Max-d.Min))
}

func (d Normal) Draw(r *rand.Rand) time.Duration {
	return toDuration(float64(d.Mean) + r.NormFloat64()*float64(d.Deviation))
}

func (d Exponential) Draw(r *rand.Rand) time.Duration {
	return toDuration(r.ExpFloat64() * float64(d.Mean))
}

func (d DelayFunc) Draw(r *rand.Rand) time.Duration { return d(r) }

// The texts are those of ParseFault.

func (d Fixed) String() string       { return time.Duration(d).String() }
func (d Uniform) String() string     { return fmt.Sprintf("uniform(%v,%v)", d.Min, d.Max) }
func (d Normal) String() string      { return fmt.Sprintf("normal(%v,%v)", d.Mean, d.Deviation) }
func (d Exponential) String() string { return fmt.Sprintf("exponential(%v)", d.Mean) }
func (d DelayFunc) String() string   { return "function" }

// check returns what was expected, or "".

func (d Fixed) check() string {
	if d <= 0 {
		return "a time longer than 0"
	}
	return ""
}

func (d Uniform) check() string {
	if d.Min < 0 || d.Max < d.Min || d.Max == 0 {
		return "a least time of 0 or more, and a longest that is not shorter"
	}
	return ""
}

func (d Normal) check() string {
	if d.Mean < 0 || d.Deviation < 0 || d.Mean+d.Deviation == 0 {
		return "a mean and a deviation of 0 or more"
	}
	return ""
}

func (d Exponential) check() string {
	if d.Mean <= 0 {
		return "a mean longer than 0"
	}
	return ""
}

func (d DelayFunc) check() string {
	if d == nil {
		return "a function"
	}
	return ""
}

// toDuration turns nanoseconds into a time of 292 years at most.
func toDuration(ns float64) time.Duration {
	return time.Duration(max(0, min(ns, math.MaxInt64/2)))
}
