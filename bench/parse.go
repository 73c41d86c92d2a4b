package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseModel reads a load model, rates being in calls per second:
//
//	closed                   each caller sends when its last call has ended
//	closed:10ms              and has thought for this time
//	constant:1000            a rate
//	ramp:100..2000/30s       from a rate to another within a time, then on
//	steps:100,200,400/10s    each rate for a time, the last one on
//	burst:100..2000/1s/10s   a rate, with another for 1 s at the end of each 10 s
//	sine:100..2000/1m        between two rates and back in each minute
//	poisson:1000             random arrivals at a constant rate
//	poisson:ramp:100..2000/30s   and so for each of the others
//
// All but closed are open loops.
func ParseModel(text string) (Model, error) {
	kind, values, _ := strings.Cut(text, ":")
	switch {
	case text == "closed":
		return ClosedLoop{}, nil
	case kind == "closed":
		d, err := time.ParseDuration(values)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("bench: load model %q: expected a think time such as closed:10ms", text)
		}
		return ClosedLoop{Think: d}, nil
	case kind != "poisson":
		p, err := ParseProfile(text)
		if err != nil {
			return nil, err
		}
		return OpenLoop{Profile: p, Arrivals: Even}, nil
	}
	if !strings.Contains(values, ":") {
		values = "constant:" + values
	}
	p, err := ParseProfile(values)
	if err != nil {
		return nil, err
	}
	return OpenLoop{Profile: p, Arrivals: Poisson}, nil
}

// forms are the profiles: how many rates and times each has.
var forms = []struct {
	kind    string
	rates   int // 0: any number
	spans   int
	example string
	make    func(rates []float64, spans []time.Duration) Profile
}{
	{"constant", 1, 0, "constant:1000", func(r []float64, _ []time.Duration) Profile { return Constant(r[0]) }},
	{"ramp", 2, 1, "ramp:100..2000/30s", func(r []float64, d []time.Duration) Profile { return Ramp(r[0], r[1], d[0]) }},
	{"steps", 0, 1, "steps:100,200,400/10s", func(r []float64, d []time.Duration) Profile { return Steps(d[0], r...) }},
	{"burst", 2, 2, "burst:100..2000/1s/10s", func(r []float64, d []time.Duration) Profile { return Burst(r[0], r[1], d[0], d[1]) }},
	{"sine", 2, 1, "sine:100..2000/1m", func(r []float64, d []time.Duration) Profile { return Sine(r[0], r[1], d[0]) }},
}

// ParseProfile reads a rate over time, as ParseModel describes it, without poisson.
func ParseProfile(text string) (Profile, error) {
	kind, values, _ := strings.Cut(text, ":")
	for _, f := range forms {
		if f.kind != kind {
			continue
		}
		wrong := func(format string, args ...any) (Profile, error) {
			return Profile{}, fmt.Errorf("bench: load model %q: %s, as in %s", text, fmt.Sprintf(format, args...), f.example)
		}
		parts := strings.Split(values, "/")
		separator := ".."
		if f.rates == 0 {
			separator = ","
		}
		var rates []float64
		for _, t := range strings.Split(parts[0], separator) {
			r, err := strconv.ParseFloat(t, 64)
			if err != nil || strings.HasPrefix(t, ".") || !(r >= 0 && r <= maxRate) { // 100...200 is no row to .2
				return wrong("expected a rate of 0 to %.0f calls per second, got %q", maxRate, t)
			}
			rates = append(rates, r)
		}
		if f.rates > 0 && len(rates) != f.rates {
			return wrong("rates: expected %d, got %d", f.rates, len(rates))
		}
		var spans []time.Duration
		for _, t := range parts[1:] {
			d, err := time.ParseDuration(t)
			if err != nil || d < time.Millisecond || d > maxSpan {
				return wrong("expected a duration of 1ms to %s, got %q", shortDuration(maxSpan), t)
			}
			spans = append(spans, d)
		}
		if len(spans) != f.spans {
			return wrong("durations, each behind a /: expected %d, got %d", f.spans, len(spans))
		}
		p := f.make(rates, spans)
		if err := p.check(); err != nil {
			return wrong("%v", err)
		}
		return p, nil
	}
	var known []string
	for _, f := range forms {
		known = append(known, f.kind)
	}
	return Profile{}, fmt.Errorf("bench: load model %q: expected one of closed, poisson, %s, as in %s",
		text, strings.Join(known, ", "), forms[0].example)
}
