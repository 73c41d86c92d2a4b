package broker

import (
	"iter"
	"math/bits"
)

// A histogram counts times in nanoseconds, in buckets that are no wider than 1/128
// of what is in them: those of an HDR histogram with two significant digits, as
// Redis has. A row of buckets takes no memory before something falls into it.
type histogram struct {
	rows [histogramRows]*[histogramRow]int64
}

const (
	histogramRow  = 128                // buckets in a row; all are equally wide, but for the first two rows twice as wide as in the row before
	histogramRows = 64 - 8 + 2         // enough for every int64
	histogramSub  = 2*histogramRow - 1 // the largest time that has a bucket of its own
)

// add counts a time. Like Redis it takes one that is not measurable for 1 ns.
func (h *histogram) add(t int64) {
	row, at := bucketOf(max(1, t))
	if h.rows[row] == nil {
		h.rows[row] = new([histogramRow]int64)
	}
	h.rows[row][at]++
}

func bucketOf(t int64) (row, at int) {
	shift := bits.Len64(uint64(t|histogramSub)) - 8
	i := shift*histogramRow + int(t>>shift)
	return i / histogramRow, i % histogramRow
}

// upTo is the largest time that falls into a bucket.
func upTo(row, at int) int64 {
	if row == 0 {
		return int64(at)
	}
	shift := row - 1
	return int64(at+histogramRow+1)<<shift - 1
}

// percentile is the time that p percent of the times are not above, as exactly as
// its bucket says.
func (h *histogram) percentile(p float64) int64 {
	rank := max(1, int64(min(p, 100)/100*float64(h.total())+0.5))
	for row, buckets := range h.rows {
		if buckets == nil {
			continue
		}
		for at, n := range buckets {
			if rank -= n; rank <= 0 {
				return upTo(row, at)
			}
		}
	}
	return 0
}

// powers goes through powers of two and tells how many times are not above each, as
// exactly as its bucket says, in microseconds. A power is left out if it has no more
// than the one before.
func (h *histogram) powers() iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		told, total := int64(0), h.total()
		for power := int64(1024); told < total; power *= 2 {
			row, at := bucketOf(power)
			if n := h.count(row, at); n > told {
				told = n
				if !yield(upTo(row, at)/1000, n) {
					return
				}
			}
		}
	}
}

// total is how many times were counted.
func (h *histogram) total() int64 { return h.count(histogramRows-1, histogramRow-1) }

// count is how many times are in a bucket, or below it.
func (h *histogram) count(row, at int) int64 {
	sum := int64(0)
	for i, buckets := range h.rows[:row+1] {
		if buckets == nil {
			continue
		}
		end := histogramRow
		if i == row {
			end = at + 1
		}
		for _, n := range buckets[:end] {
			sum += n
		}
	}
	return sum
}
