package stats

import (
	"fmt"
	"math"
	"slices"
)

// exactUpTo is how many samples, of both sides together, a rank test counts
// exactly. The counts, at most 50 choose 25, are whole numbers of a float64.
const exactUpTo = 50

// A RankTest says whether two samples are likely to come from one distribution.
type RankTest struct {
	// U is the number of pairs in which b is greater than a; one of equals is half.
	U float64

	// Superiority is U by the number of pairs, the probability that one of b is
	// greater than one of a: 0.5 if neither side is, 1 if every b is above every a.
	Superiority float64

	// P is the probability that a difference as large in either direction arises
	// by chance.
	P float64

	// Exact tells that P was counted over all ways of dealing the values out, and
	// not taken from a normal distribution.
	Exact bool
}

// MannWhitney tests if values of b tend to be greater or smaller than those of a:
// Mann and Whitney, On a Test of Whether one of Two Random Variables is
// Stochastically Larger than the Other, 1947. Ties have their mean rank. P is the exact
// permutation probability, with ties too, up to 50 samples in all, and beyond
// from a normal distribution corrected for ties and continuity.
//
// It is our own since go-moremath doubles one tail where there are ties: P of [2] and
// [2 1 2 2] is 1.6 there.
func MannWhitney(a, b []float64) (RankTest, error) {
	if err := samples(a, b); err != nil {
		return RankTest{}, err
	}
	all, n := slices.Concat(a, b), len(a)+len(b)
	ranks, ties := doubledRanks(all)
	var sum int
	for _, r := range ranks[len(a):] {
		sum += r
	}
	pairs := float64(len(a)) * float64(len(b))
	u := float64(sum)/2 - float64(len(b))*float64(len(b)+1)/2
	t := RankTest{U: u, Superiority: u / pairs}
	expected := len(b) * (n + 1)
	off := abs(sum - expected) // in half ranks
	if n <= exactUpTo {
		t.Exact = true
		var extreme, total float64
		for s, ways := range sumsOfRanks(ranks, len(b)) {
			total += ways
			if abs(s-expected) >= off {
				extreme += ways
			}
		}
		t.P = extreme / total
		return t, nil
	}
	size := float64(n)
	variance := pairs / 12 * (size + 1 - ties/(size*(size-1)))
	if variance <= 0 {
		t.P = 1 // all values are equal
		return t, nil
	}
	t.P = min(1, 2*normalCDF(-max(0, float64(off)/2-0.5)/math.Sqrt(variance)))
	return t, nil
}

// A Shift is how much greater b is than a, in their unit.
type Shift struct {
	Estimate  float64
	Low, High float64 // infinite if the samples are too few for the confidence asked for

	// Confidence is that of the interval, at least the one asked for.
	Confidence float64
}

// HodgesLehmann estimates by how much b is shifted against a: the median of the
// differences of all pairs, b minus a, and the interval that belongs to the
// Mann-Whitney test (Hodges and Lehmann, Estimates of Location Based on Rank Tests,
// 1963; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.2 and 4.3).
// It assumes that both are of one shape; for times, which tend to differ by a factor,
// give their logarithms. It keeps a number for each pair.
func HodgesLehmann(a, b []float64, confidence float64) (Shift, error) {
	if err := samples(a, b); err != nil {
		return Shift{}, err
	}
	if !(confidence > 0 && confidence < 1) {
		return Shift{}, fmt.Errorf("stats: confidence: expected a number between 0 and 1, got %v", confidence)
	}
	diffs := make([]float64, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			diffs = append(diffs, y-x)
		}
	}
	slices.Sort(diffs)
	s := Shift{Estimate: medianOfSorted(diffs), Low: math.Inf(-1), High: math.Inf(1), Confidence: 1}
	if k, tail := shiftRank(len(a), len(b), (1-confidence)/2); k > 0 {
		s.Low, s.High, s.Confidence = diffs[k-1], diffs[len(diffs)-k], 1-2*tail
	}
	return s, nil
}

// shiftRank returns the greatest k with P(U < k) at most alpha, for samples of m and
// n without ties, and that probability. 0 means that there is none.
func shiftRank(m, n int, alpha float64) (int, float64) {
	pairs := m * n
	if m+n > exactUpTo {
		sd := math.Sqrt(float64(pairs) * float64(m+n+1) / 12)
		k := max(0, int(float64(pairs)/2+0.5+normalQuantile(alpha)*sd))
		return k, normalCDF((float64(k) - 0.5 - float64(pairs)/2) / sd)
	}
	ranks := make([]int, m+n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	ways := sumsOfRanks(ranks, n)
	var total float64
	for _, w := range ways {
		total += w
	}
	least := n * (n + 1) / 2 // the sum of ranks where U is 0
	// A confidence of 0.9 leaves 0.04999... on each side, and is meant to leave 1 of 20.
	k, below := 0, 0.0
	for ; k < pairs && (below+ways[least+k])/total <= alpha*(1+1e-9); k++ {
		below += ways[least+k]
	}
	return k, below / total
}

// sumsOfRanks counts, for each sum, the ways to choose m of the ranks that have it.
func sumsOfRanks(ranks []int, m int) []float64 {
	var top int
	for _, r := range ranks {
		top += r
	}
	ways := make([][]float64, m+1) // by how many were chosen, and their sum
	for i := range ways {
		ways[i] = make([]float64, top+1)
	}
	ways[0][0] = 1
	for _, r := range ranks {
		for i := m; i > 0; i-- {
			for s := r; s <= top; s++ {
				ways[i][s] += ways[i-1][s-r]
			}
		}
	}
	return ways[m]
}

// doubledRanks returns twice the rank of each value, which is whole if ties have their
// mean rank, and the sum of t^3-t over groups of t equal values.
func doubledRanks(xs []float64) ([]int, float64) {
	order := make([]int, len(xs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case xs[i] < xs[j]:
			return -1
		case xs[i] > xs[j]:
			return 1
		}
		return 0
	})
	ranks, ties := make([]int, len(xs)), 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && xs[order[j]] == xs[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = i + 1 + j
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

func samples(a, b []float64) error {
	if len(a) == 0 || len(b) == 0 {
		return fmt.Errorf("stats: expected samples on both sides, got %d and %d", len(a), len(b))
	}
	if err := known("a", a); err != nil {
		return err
	}
	return known("b", b)
}

func abs(n int) int { return max(n, -n) }
