// Package geohash has places on the earth as numbers whose order keeps near ones together, the
// distances between them, and which numbers an area covers. It computes as Redis does, to the
// last bit.
package geohash

import "math"

// A Point is a place, in degrees.
type Point struct{ Longitude, Latitude float64 }

// Where there can be points: a square in the Mercator projection, without the poles.
const (
	MaxLongitude = 180
	MaxLatitude  = 85.05112878
)

// IsValid reports whether a place is where points can be.
func (p Point) IsValid() bool {
	return math.Abs(p.Longitude) <= MaxLongitude && math.Abs(p.Latitude) <= MaxLatitude
}

// steps is how often the square is divided, in both directions, until there is a cell for each
// number: they have 52 bits, those of the longitude and of the latitude in turn.
const steps = 26

// Encode returns the number of the cell that a point is in.
func Encode(p Point) uint64 { return encode(p, MaxLatitude, steps).hash }

// Decode returns the point in the middle of a cell.
func Decode(hash uint64) Point {
	b := cell{hash, steps}.bounds()
	return Point{
		clamp((b.west+b.east)/2, MaxLongitude),
		clamp((b.south+b.north)/2, MaxLatitude),
	}
}

func clamp(x, most float64) float64 { return max(-most, min(most, x)) }

// Text returns the geohash that others know for a place: 11 letters, of which the last one is
// always 0, as there are no bits for it. Its latitudes go up to the poles.
func Text(p Point) string {
	const letters = "0123456789bcdefghjkmnpqrstuvwxyz"
	bits := encode(p, 90, steps).hash
	var text [11]byte
	for i := range text {
		text[i] = letters[bits>>47&31]
		bits <<= 5
	}
	text[10] = letters[0]
	return string(text[:])
}

// A cell is a part of the square, which was divided so often in both directions.
type cell struct {
	hash  uint64
	steps uint
}

// encode returns the cell that a point is in, where latitudes go up to the greatest one.
func encode(p Point, maxLatitude float64, steps uint) cell {
	scale := float64(uint64(1) << steps)
	row := (p.Latitude + maxLatitude) / (2 * maxLatitude) * scale
	column := (p.Longitude + MaxLongitude) / (2 * MaxLongitude) * scale
	return cell{interleave(uint32(int64(column)), uint32(int64(row))), steps}
}

// bounds are the degrees that a cell is between.
type bounds struct{ west, south, east, north float64 }

// bounds returns what a cell covers. The conversions keep the processor from rounding once
// instead of twice.
func (c cell) bounds() bounds {
	size := 1 / float64(uint64(1)<<c.steps)
	column, row := deinterleave(c.hash)
	degrees := func(n uint32, most float64) float64 { return float64(float64(n)*size*(2*most)) - most }
	return bounds{degrees(column, MaxLongitude), degrees(row, MaxLatitude), degrees(column+1, MaxLongitude), degrees(row+1, MaxLatitude)}
}

// move returns the cell that lies so many to the east and to the north, around the earth.
func (c cell) move(east, north int) cell {
	column, row := deinterleave(c.hash)
	mask := uint32(1)<<c.steps - 1
	if east != 0 {
		column = (column + uint32(east)) & mask
	}
	if north != 0 {
		row = (row + uint32(north)) & mask
	}
	return cell{interleave(column, row), c.steps}
}

// scores returns the least number of a point in a cell, and the least one behind them.
func (c cell) scores() (from, to float64) {
	shift := 2 * (steps - c.steps)
	return float64(c.hash << shift), float64((c.hash + 1) << shift)
}

// interleave puts the bits of two numbers in turn, the lowest that of the row.
func interleave(column, row uint32) uint64 { return spread(column)<<1 | spread(row) }

func deinterleave(hash uint64) (column, row uint32) { return gather(hash >> 1), gather(hash) }

// spread puts a 0 before each bit.
func spread(n uint32) uint64 {
	x := uint64(n)
	x = (x | x<<16) & 0x0000FFFF0000FFFF
	x = (x | x<<8) & 0x00FF00FF00FF00FF
	x = (x | x<<4) & 0x0F0F0F0F0F0F0F0F
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// gather takes every second bit.
func gather(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0F0F0F0F0F0F0F0F
	x = (x | x>>4) & 0x00FF00FF00FF00FF
	x = (x | x>>8) & 0x0000FFFF0000FFFF
	return uint32(x | x>>16)
}
