package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Profile is a rate of calls over time. It is made of pieces, each a rate that
// goes from one value to another, and begins anew after the last one or stays at
// its last rate. Make one with Constant, Ramp, Steps, Burst, Sine or
// ParseProfile; what is wrong with it Run and ParseProfile say.
type Profile struct {
	kind     string
	rates    []float64 // as it was made, in calls per second
	spans    []time.Duration
	pieces   []piece
	repeats  bool
	whole    float64 // calls of all pieces
	duration float64 // of all pieces, in seconds
	lead     piece   // comes before all of them, once
}

// Constant is a rate that stays the same.
func Constant(rate float64) Profile {
	return newProfile("constant", []float64{rate}, nil, false, piece{1, rate, rate, false})
}

// Ramp is a rate that goes evenly from one value to another over a time, and stays
// there.
func Ramp(from, to float64, over time.Duration) Profile {
	return newProfile("ramp", []float64{from, to}, []time.Duration{over}, false,
		piece{over.Seconds(), from, to, false})
}

// Steps is a rate that has each of the values for a time. The last one stays.
func Steps(each time.Duration, rates ...float64) Profile {
	var pieces []piece
	for _, r := range rates {
		pieces = append(pieces, piece{each.Seconds(), r, r, false})
	}
	return newProfile("steps", rates, []time.Duration{each}, false, pieces...)
}

// Burst is a base rate, and the peak rate for a time at the end of every period.
func Burst(base, peak float64, lasts, every time.Duration) Profile {
	return newProfile("burst", []float64{base, peak}, []time.Duration{lasts, every}, true,
		piece{(every - lasts).Seconds(), base, base, false}, piece{lasts.Seconds(), peak, peak, false})
}

// Sine is a rate that swings between two values, from the low one to the high one
// and back in every period.
func Sine(low, high float64, period time.Duration) Profile {
	half := period.Seconds() / 2
	return newProfile("sine", []float64{low, high}, []time.Duration{period}, true,
		piece{half, low, high, true}, piece{half, high, low, true})
}

func newProfile(kind string, rates []float64, spans []time.Duration, repeats bool, pieces ...piece) Profile {
	p := Profile{kind: kind, rates: rates, spans: spans, repeats: repeats, pieces: pieces}
	for _, c := range pieces {
		p.whole += c.calls(c.lasts)
		p.duration += c.lasts
	}
	return p
}

const (
	maxRate = 1e9                  // calls per second: one each nanosecond
	maxSpan = 100 * 24 * time.Hour // of a piece or period
)

func (p Profile) check() error {
	if p.kind == "" {
		return fmt.Errorf("expected a profile such as bench.Constant(1000), got none")
	}
	if len(p.rates) == 0 {
		return fmt.Errorf("%s: expected at least one rate", p.kind)
	}
	for _, r := range p.rates {
		if !(r >= 0 && r <= maxRate) {
			return fmt.Errorf("%s: expected rates of 0 to %.0f calls per second, got %v", p.kind, maxRate, r)
		}
	}
	for _, d := range p.spans {
		if d < time.Millisecond || d > maxSpan {
			return fmt.Errorf("%s: expected times of 1ms to %v, got %v", p.kind, maxSpan, d)
		}
	}
	if p.kind == "burst" && p.spans[0] >= p.spans[1] {
		return fmt.Errorf("burst: expected bursts that are shorter than their period, got %v in %v", p.spans[0], p.spans[1])
	}
	if p.whole <= 0 {
		return fmt.Errorf("%s: expected a rate of more than 0 at some time", p.kind)
	}
	return nil
}

// after is the profile with its first rate for a time before it.
func (p Profile) after(d time.Duration) Profile {
	p.lead = piece{lasts: d.Seconds(), from: p.rates[0], to: p.rates[0]}
	return p
}

// Calls returns how many calls there are until t, on the average: the integral of
// the rate.
func (p Profile) Calls(t time.Duration) float64 {
	s, n := max(0, t.Seconds()), 0.
	if s < p.lead.lasts {
		return p.lead.calls(s)
	}
	if p.lead.lasts > 0 {
		s, n = s-p.lead.lasts, p.lead.calls(p.lead.lasts)
	}
	return n + p.calls(s)
}

// calls is Calls without the lead.
func (p Profile) calls(s float64) float64 {
	n := 0.
	if p.repeats {
		periods := math.Floor(s / p.duration)
		s, n = s-periods*p.duration, periods*p.whole
	}
	for _, c := range p.pieces {
		if s < c.lasts {
			return n + c.calls(s)
		}
		n += c.calls(c.lasts)
		s -= c.lasts
	}
	if p.repeats {
		return n
	}
	return n + s*p.last()
}

// When is the inverse of Calls: the time until which there are n calls, and the
// last such time if the rate is 0 meanwhile. It is false if there are never more
// than n calls.
func (p Profile) When(n float64) (time.Duration, bool) {
	n = max(n, 0)
	if p.lead.lasts > 0 {
		all := p.lead.calls(p.lead.lasts)
		if n < all {
			return since(p.lead.when(n))
		}
		s, ok := p.when(n - all)
		if !ok {
			return 0, false
		}
		return since(p.lead.lasts + s)
	}
	s, ok := p.when(n)
	if !ok {
		return 0, false
	}
	return since(s)
}

// when is When without the lead, in seconds.
func (p Profile) when(n float64) (float64, bool) {
	s, periods := 0., 0.
	if p.repeats {
		periods = math.Floor(n / p.whole)
		n -= periods * p.whole
		s = periods * p.duration
	}
	for _, c := range p.pieces {
		if all := c.calls(c.lasts); n >= all {
			n -= all
			s += c.lasts
			continue
		}
		return s + c.when(n), true
	}
	switch {
	case p.repeats: // rounding
		return s, true
	case p.last() == 0:
		return 0, false
	default:
		return s + n/p.last(), true
	}
}

func (p Profile) last() float64 {
	if len(p.pieces) == 0 {
		return 0
	}
	return p.pieces[len(p.pieces)-1].to
}

// ends is when the last call comes at the latest, and 0 if they come for ever.
func (p Profile) ends() time.Duration {
	if p.repeats || p.last() > 0 {
		return 0
	}
	d, _ := since(p.lead.lasts + p.duration)
	return d
}

// since is false for a time that no run gets to.
func since(seconds float64) (time.Duration, bool) {
	if ns := math.Round(seconds * 1e9); ns < math.MaxInt64 {
		return time.Duration(ns), true
	}
	return 0, false
}

// String is the text that ParseProfile reads.
func (p Profile) String() string { return p.kind + ":" + p.values() }

func (p Profile) values() string {
	var b strings.Builder
	separator := ".."
	if p.kind == "steps" {
		separator = ","
	}
	for i, r := range p.rates {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(strconv.FormatFloat(r, 'f', -1, 64))
	}
	for _, d := range p.spans {
		b.WriteString("/" + shortDuration(d))
	}
	return b.String()
}

// shortDuration writes 1m and not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A piece of a profile: a rate that goes from one value to another, in a straight
// line or in half a wave. Times are in seconds since it began.
type piece struct {
	lasts    float64
	from, to float64
	wave     bool
}

// calls is the integral of the rate until t.
func (c piece) calls(t float64) float64 {
	if c.wave {
		w := math.Pi / c.lasts
		return c.from*t + (c.to-c.from)/2*(t-math.Sin(w*t)/w)
	}
	return c.from*t + (c.to-c.from)/(2*c.lasts)*t*t
}

func (c piece) rate(t float64) float64 {
	if c.wave {
		return c.from + (c.to-c.from)/2*(1-math.Cos(math.Pi/c.lasts*t))
	}
	return c.from + (c.to-c.from)*t/c.lasts
}

// when is the inverse of calls, for n that the piece reaches.
func (c piece) when(n float64) float64 {
	if n == 0 {
		return 0
	}
	if !c.wave {
		// The root of the quadratic equation that loses no digits.
		a := (c.to - c.from) / c.lasts
		return min(c.lasts, 2*n/(c.from+math.Sqrt(max(0, c.from*c.from+2*a*n))))
	}
	// Newton's steps, halving where they lead out of what is known.
	low, high := 0., c.lasts
	t := c.lasts / 2
	for range 100 {
		off := c.calls(t) - n
		if off > 0 {
			high = t
		} else {
			low = t
		}
		next := t - off/c.rate(t)
		if !(next > low && next < high) {
			next = low + (high-low)/2
		}
		if math.Abs(next-t) < 1e-10 {
			return next
		}
		t = next
	}
	return t
}
