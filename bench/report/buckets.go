package report

import (
	"math"
	"sort"
	"time"

	"redrpc/bench"
)

// A bucket is how many samples took From or more and less than To.
type bucket struct {
	From, To time.Duration
	Count    int64
}

// buckets shares samples out among at most limit ranges, whose ends edgesOf says. What the histogram holds is known to three digits, so a sample can
// be counted beside the end of its range by that much. Samples beyond the histogram
// are in none.
func buckets(s *bench.Samples, limit int, edgesOf func(low, high float64, limit int) []float64) []bucket {
	if s == nil || s.Count-s.Unrecorded <= 0 {
		return nil
	}
	bars := s.Histogram().Distribution()
	var low, high int64 = math.MaxInt64, 0
	for _, b := range bars {
		if b.Count > 0 {
			low, high = min(low, b.From), max(high, b.To)
		}
	}
	low, high = max(low, int64(max(s.Min, 0))), min(high, int64(s.Max)) // the histogram is coarser
	edges := edgesOf(float64(max(low, 1)), float64(max(high, 1)), limit)
	out := make([]bucket, len(edges)-1)
	for i := range out {
		out[i].From, out[i].To = time.Duration(edges[i]), time.Duration(edges[i+1])
	}
	for _, b := range bars {
		if b.Count > 0 {
			middle := float64(b.From) + float64(b.To-b.From)/2
			i := sort.Search(len(out), func(i int) bool { return float64(out[i].To) > middle })
			out[min(i, len(out)-1)].Count += b.Count
		}
	}
	return out
}

// evenEdges are those of ranges that are equally long on a logarithmic scale, so that
// bars can be compared; or on a linear one if all samples lie close together.
func evenEdges(low, high float64, limit int) []float64 {
	if high/low < 2 {
		return linearEdges(low, high, limit)
	}
	edges := []float64{math.Floor(low)}
	for i := 1; i <= limit; i++ {
		if e := math.Ceil(low * math.Pow((high+1)/low, float64(i)/float64(limit))); e > edges[len(edges)-1] {
			edges = append(edges, e)
		}
	}
	return edges
}

// steps are round numbers from 1 on to 10, the finest first.
var steps = [][]float64{
	{1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3.2, 3.6, 4, 4.5, 5, 5.6, 6.3, 7, 8, 9},
	{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8},
	{1, 1.5, 2, 3, 5, 7},
	{1, 2, 5},
	{1, 3},
	{1},
}

// roundEdges returns round numbers from low or less to more than high, at most limit+1
// of them and at least 2: as many to a decade, so that a tail far away has its place,
// or equally far apart if all samples lie close together.
func roundEdges(low, high float64, limit int) []float64 {
	if high/low < 2 {
		return linearEdges(low, high, limit)
	}
	for _, s := range steps {
		if edges := decadeEdges(low, high, s, limit); edges != nil {
			return edges
		}
	}
	return []float64{low, math.Nextafter(high, math.Inf(1)) + 1}
}

func decadeEdges(low, high float64, steps []float64, limit int) []float64 {
	var edges []float64
	for decade := math.Pow(10, math.Floor(math.Log10(low))); ; decade *= 10 {
		for _, step := range steps {
			e := math.Round(decade * step)
			switch {
			case e <= low && len(edges) > 0:
				edges[0] = e
			case len(edges) == 0 || e > edges[len(edges)-1]:
				edges = append(edges, e)
			}
			if len(edges) > limit+1 {
				return nil
			}
			if e > high && len(edges) > 1 {
				return edges
			}
		}
	}
}

// linearEdges are multiples of 1, 2 or 5 times a power of ten.
func linearEdges(low, high float64, limit int) []float64 {
	for step := math.Pow(10, math.Floor(math.Log10(max((high-low)/float64(limit), 1)))); ; step *= 10 {
		for _, s := range []float64{step, 2 * step, 5 * step} {
			first := math.Floor(low / s)
			if n := math.Floor(high/s) - first + 1; n <= float64(limit) {
				edges := make([]float64, int(n)+1)
				for i := range edges {
					edges[i] = (first + float64(i)) * s
				}
				return edges
			}
		}
	}
}
