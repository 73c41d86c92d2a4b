package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"redrpc/bench"
	"redrpc/internal/figure"
)

// Times is the distribution of how long something takes. The zero value takes no time.
type Times struct {
	mean time.Duration
	name string
	draw func(*rand.Rand) float64 // in seconds; nil is 0
}

// Mean is the mean of the distribution.
func (t Times) Mean() time.Duration { return t.mean }

func (t Times) String() string {
	if t.draw == nil {
		return "none"
	}
	return t.name
}

func (t Times) next(rng *rand.Rand) float64 {
	if t.draw == nil {
		return 0
	}
	return t.draw(rng)
}

// Constant is always d.
func Constant(d time.Duration) Times {
	return Times{d, fmt.Sprintf("constant, %v", d), func(*rand.Rand) float64 { return d.Seconds() }}
}

// Exponential is an exponential distribution.
func Exponential(mean time.Duration) Times {
	return Times{mean, fmt.Sprintf("exponential, mean %v", mean),
		func(rng *rand.Rand) float64 { return rng.ExpFloat64() * mean.Seconds() }}
}

// Measured is the distribution of times that were measured one by one.
func Measured(times []time.Duration) (Times, error) {
	if len(times) == 0 {
		return Times{}, wrong("times", "one or more", "none")
	}
	if least := slices.Min(times); least < 0 {
		return Times{}, wrong("times", "0 or more", least)
	}
	all := slices.Clone(times)
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	mean := sum / time.Duration(len(all))
	return Times{mean, measured(int64(len(all)), mean), func(rng *rand.Rand) float64 {
		return all[rng.IntN(len(all))].Seconds()
	}}, nil
}

// FromSamples is the distribution of samples, such as a run's phases, as exact as their
// histogram. It keeps no hold of them.
func FromSamples(s *bench.Samples) (Times, error) {
	switch {
	case s == nil || s.Count == 0:
		return Times{}, wrong("samples", "one or more", "none")
	case s.Unrecorded > 0:
		return Times{}, wrong("samples", "none of more than an hour", s.Unrecorded)
	}
	var values []float64
	var upTo []int64 // how many are at most the value
	var total int64
	for _, bar := range s.Histogram().Distribution() {
		if bar.Count > 0 {
			total += bar.Count
			middle := time.Duration(bar.From + (bar.To-bar.From)/2)
			values = append(values, min(max(middle, s.Min), s.Max).Seconds())
			upTo = append(upTo, total)
		}
	}
	return Times{s.Mean(), measured(s.Count, s.Mean()), func(rng *rand.Rand) float64 {
		n := rng.Int64N(total)
		return values[sort.Search(len(upTo), func(i int) bool { return upTo[i] > n })]
	}}, nil
}

func measured(n int64, mean time.Duration) string {
	return fmt.Sprintf("measured: %s samples, mean %s", figure.Grouped(n), figure.Duration(mean))
}
