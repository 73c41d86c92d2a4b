package bench

import (
	"math"
	"time"
)

// MinSamples returns how many samples it takes until their maximum is, with a
// confidence of 95 %, not below the quantile q of what they were drawn from,
// 0 < q < 1. All n are below it with probability q^n, hence ln(0.05)/ln(q): 299
// for 0.99, 2,995 for 0.999. With fewer there is no upper bound for the quantile
// among the samples.
func MinSamples(q float64) int64 {
	return int64(math.Ceil(math.Log(0.05) / math.Log(q)))
}

// figures reads a Latency off samples.
func figures(s *Samples) Latency {
	if s.Count == 0 {
		return Latency{}
	}
	return Latency{
		Min:  microseconds(s.Min),
		Mean: microseconds(s.Mean()),
		P50:  quantile(s, 500),
		P90:  quantile(s, 900),
		P95:  quantile(s, 950),
		P99:  quantile(s, 990),
		P999: quantile(s, 999),
		Max:  microseconds(s.Max),
	}
}

// quantile takes q in thousandths, so that the rank is exact.
func quantile(s *Samples, q int64) *float64 {
	if s.Count < MinSamples(float64(q)/1000) {
		return nil
	}
	d, ok := s.Rank((s.Count*q + 999) / 1000)
	if !ok {
		return nil
	}
	return microseconds(d)
}

func microseconds(d time.Duration) *float64 {
	us := float64(d) / float64(time.Microsecond)
	return &us
}
