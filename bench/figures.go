package bench

import (
	"math"
	"time"

	"redrpc/bench/stats"
)

// MinSamples returns how many samples it takes until their maximum is, with a
// confidence of 95 %, not below the quantile q of what they were drawn from,
// 0 < q < 1. All n are below it with probability q^n, hence ln(0.05)/ln(q): 299
// for 0.99, 2,995 for 0.999. With fewer there is no upper bound for the quantile
// among the samples.
func MinSamples(q float64) int64 {
	return int64(math.Ceil(math.Log(0.05) / math.Log(q)))
}

// figures reads a Latency off samples, without CI95.
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
	return atRank(s, (s.Count*q+999)/1000)
}

func atRank(s *Samples, rank int64) *float64 {
	d, ok := s.Rank(rank)
	if !ok {
		return nil
	}
	return microseconds(d)
}

// sureFigures is figures with CI95.
func sureFigures(s *Samples) Latency {
	l := figures(s)
	if s.Count == 0 {
		return l
	}
	l.CI95 = make(map[string][2]*float64)
	for name, q := range map[string]int64{"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999} {
		if quantile(s, q) != nil {
			l.CI95[name] = interval95(s, float64(q)/1000)
		}
	}
	return l
}

// interval95 has two ends that each hold with 97.5 %. Where there are too few samples
// for an upper one the lower one alone holds with 95 %.
func interval95(s *Samples, q float64) [2]*float64 {
	if r, ok := stats.QuantileRanks(s.Count, q, 0.975); ok {
		return [2]*float64{atRank(s, r.Low), atRank(s, r.High)}
	}
	if r, ok := stats.QuantileRanks(s.Count, q, 0.95); ok {
		return [2]*float64{atRank(s, r.Low), nil}
	}
	return [2]*float64{}
}

// without returns the figures that do not depend on how long an overload was
// measured: none but the least.
func (l Latency) withoutPercentiles() Latency {
	return Latency{Min: l.Min, Max: l.Max}
}

func microseconds(d time.Duration) *float64 {
	us := float64(d) / float64(time.Microsecond)
	return &us
}
