package keyspace

import (
	"iter"
)

// A Draw is what HRANDFIELD, SRANDMEMBER and ZRANDMEMBER draw from a value.
type Draw[T any] struct {
	Size   int // how many elements there are, at least one
	All    iter.Seq[T]
	Random func() func() T     // its function draws one, each as likely as the others every time
	Sample func(n int) (s []T) // draws n different ones, fewer than there are
}

// MayDraw reports whether a reply with n elements, if n is negative, may be made: of size elements
// that have so many bytes together. It is to have no more bytes than a string, about; Redis would
// make it as long as there is memory.
func (c *Call) MayDraw(n int64, size, bytes int) bool {
	const frames = 64 // in the protocol, with a score
	return -n <= int64(c.MaxBulk/(bytes/size+frames))
}

// Elements draws up to n different elements, or if n is negative as many of which some may be
// the same.
func (d Draw[T]) Elements(n int64) (count int, drawn iter.Seq[T]) {
	if n < 0 {
		count = int(-n)
		return count, func(yield func(T) bool) {
			random := d.Random()
			for i := 0; i < count && yield(random()); i++ {
			}
		}
	}
	if n >= int64(d.Size) {
		return d.Size, d.All
	}
	return int(n), func(yield func(T) bool) {
		for _, e := range d.Sample(int(n)) {
			if !yield(e) {
				return
			}
		}
	}
}
