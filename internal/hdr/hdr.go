// Package hdr has the layout of HdrHistogram's buckets: as exact for large values as for
// small ones, at a fixed size. Who counts in the buckets, and how, is left to its users.
package hdr

import "math/bits"

// A Layout says how wide the buckets are: those of values below 1<<Layout are 1 wide, and
// those of each further power of 2 twice as wide as the ones before.
type Layout uint

// The layouts that HdrHistogram has for values of so many significant digits, from 1 on.
const (
	TwoDigits   Layout = 8  // less than 0.8 % off
	ThreeDigits Layout = 11 // less than 0.1 % off
)

// Half is how many buckets each power of 2 has, but for the first, which has twice as many.
func (l Layout) Half() int { return 1 << (l - 1) }

// Bucket is the bucket of a value of 0 or more.
func (l Layout) Bucket(v int64) int {
	power := bits.Len64(uint64(v)|(1<<l-1)) - int(l)
	return power<<(l-1) + int(v>>power)
}

// Greatest is the greatest value of a bucket.
func (l Layout) Greatest(bucket int) int64 {
	power := max(0, bucket>>(l-1)-1)
	return int64(bucket-power<<(l-1)+1)<<power - 1
}
