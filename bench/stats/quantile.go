package stats

import (
	"math"
	"sort"
)

// Ranks are two places, counted from 1, in a sorted sample: its Low-th smallest and
// its High-th smallest value are bounds of a quantile.
type Ranks struct {
	Low  int64 `json:"low"`
	High int64 `json:"high"`

	// Confidence is the probability that the quantile is within both bounds.
	Confidence float64 `json:"confidence"`
}

// QuantileRanks returns the order statistics between which the quantile q, 0 < q < 1,
// lies of what n independent samples were drawn from, whatever its distribution.
// Each bound holds with at least the given confidence, between 0.5 and 1, so both
// hold with at least 2*confidence-1: 0.95 makes an interval of 90 %, and 0.975 one
// of 95 %. It is the narrowest of which this is true.
//
// False means that n samples are too few: even their minimum or their maximum is not
// such a bound. That bound is 0, and Confidence is that of the other one. With 0.95
// there is an upper bound of q from bench.MinSamples(q) samples on.
//
// The number of samples below the quantile is binomial, and its tails are summed
// exactly, whatever n (David and Nagaraja, Order Statistics, 3rd edition, 7.1).
// For samples with ties, as of discrete distributions, the bounds are conservative.
func QuantileRanks(n int64, q, confidence float64) (Ranks, bool) {
	if n < 1 || !(q > 0 && q < 1) || !(confidence >= 0.5 && confidence < 1) {
		return Ranks{}, false
	}
	r := Ranks{Confidence: 1}
	if high, ok := upperRank(n, q, 1-confidence); ok {
		r.High = high
		r.Confidence -= upperTail(n, high, q)
	}
	if mirrored, ok := upperRank(n, 1-q, 1-confidence); ok {
		r.Low = n + 1 - mirrored
		r.Confidence -= upperTail(n, mirrored, 1-q)
	}
	if r.Low == 0 && r.High == 0 {
		return Ranks{}, false
	}
	return r, r.Low > 0 && r.High > 0
}

// upperRank returns the smallest rank whose value is below the quantile q with a
// probability of at most alpha.
func upperRank(n int64, q, alpha float64) (int64, bool) {
	if upperTail(n, n, q) > alpha {
		return 0, false
	}
	mean := float64(n) * q
	spread := 2 + 10*math.Sqrt(mean*(1-q))
	from := max(1, int64(mean-spread))
	to := min(n, int64(mean+spread))
	if upperTail(n, to, q) > alpha {
		to = n // for a confidence of very many nines
	}
	return from + int64(sort.Search(int(to-from), func(i int) bool {
		return upperTail(n, from+int64(i), q) <= alpha
	})), true
}

// upperTail is P(B >= k) of a binomial B: n trials that succeed with probability p.
func upperTail(n, k int64, p float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n:
		return 0
	case float64(k) <= float64(n)*p:
		return 1 - upperTail(n, n-k+1, 1-p)
	}
	// From k on each term is smaller than the one before.
	term := math.Exp(logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	sum := term
	for odds := p / (1 - p); k < n && term > sum*1e-17; k++ {
		term *= odds * float64(n-k) / float64(k+1)
		sum += term
	}
	return sum
}

// logChoose is the logarithm of n choose k.
func logChoose(n, k int64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
