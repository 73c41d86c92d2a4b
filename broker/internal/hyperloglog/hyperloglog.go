// Package hyperloglog estimates how many different elements were added to a set that it does not
// keep. Its sketches are the bytes that Redis has in a string: a header, and 16,384 registers,
// all of them (dense) or as runs of equal ones (sparse).
package hyperloglog

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	indexBits    = 14 // of a hash, say which register an element belongs to
	registers    = 1 << indexBits
	rankBits     = 64 - indexBits // of a hash, say what the register has to be at least
	registerBits = 6
	registerMax  = 1<<registerBits - 1
	headerSize   = 16
	denseSize    = headerSize + registers*registerBits/8
)

// A header is a magic word, the encoding, three bytes that are not used, and the latest estimate
// in little endian, of which the highest bit says that it no longer holds.
const (
	magic      = "HYLL"
	encodingAt = 4
	cacheAt    = 8
	staleAt    = 15
	stale      = 1 << 7
)

const (
	dense  = 0
	sparse = 1
)

// A Sketch is the bytes of one. Methods but IsValid are for those that are valid.
type Sketch []byte

// New returns the sketch of an empty set.
func New() Sketch {
	s := make(Sketch, headerSize, headerSize+8)
	copy(s, magic)
	s[encodingAt] = sparse
	return appendZeros(s, registers)
}

// IsValid reports whether the header of a sketch is in order, and the length of a dense one. The
// runs of a sparse one may not be.
func (s Sketch) IsValid() bool {
	return len(s) >= headerSize && string(s[:len(magic)]) == magic && (s[encodingAt] == sparse || s[encodingAt] == dense && len(s) == denseSize)
}

// IsSparse reports whether a sketch has runs of registers.
func (s Sketch) IsSparse() bool { return s[encodingAt] == sparse }

// Add adds an element. A sparse sketch becomes a dense one if it would grow to more than most
// bytes, or if it cannot hold the register. The sketch that is returned takes the place of the
// old one, whose memory it may use. Changed says whether a register has changed, and valid is
// false if the runs of a sparse sketch are not in order.
func (s Sketch) Add(element []byte, most int) (added Sketch, changed, valid bool) {
	index, rank := locate(hash(element))
	return s.raise(index, rank, most)
}

// raise sets a register to a value that is greater than the one that it has.
func (s Sketch) raise(index int, value byte, most int) (raised Sketch, changed, valid bool) {
	if s.IsSparse() {
		return s.raiseSparse(index, value, most)
	}
	if changed = value > s.register(index); changed {
		s.setRegister(index, value)
		s.MarkStale()
	}
	return s, changed, true
}

// locate returns the register that an element with a hash belongs to, and the least value that
// the register is to have: the place of the lowest 1 in the rest of the hash.
func locate(hash uint64) (index int, rank byte) {
	rest := hash>>indexBits | 1<<rankBits
	return int(hash & (registers - 1)), byte(bits.TrailingZeros64(rest) + 1)
}

// hash is MurmurHash64A of a text, with Redis's seed.
func hash(p []byte) uint64 {
	const (
		seed  = 0xadc83b19
		m     = 0xc6a4a7935bd1e995
		shift = 47
	)
	h := seed ^ uint64(len(p))*m
	for ; len(p) >= 8; p = p[8:] {
		k := binary.LittleEndian.Uint64(p) * m
		k = (k ^ k>>shift) * m
		h = (h ^ k) * m
	}
	if len(p) > 0 {
		for i, b := range p {
			h ^= uint64(b) << (8 * i)
		}
		h *= m
	}
	h = (h ^ h>>shift) * m
	return h ^ h>>shift
}

// register returns a register of a dense sketch.
func (s Sketch) register(index int) byte {
	at, shift := headerSize+index*registerBits/8, index*registerBits%8
	word := uint(s[at])
	if at+1 < len(s) {
		word |= uint(s[at+1]) << 8
	}
	return byte(word>>shift) & registerMax
}

// setRegister sets a register of a dense sketch.
func (s Sketch) setRegister(index int, value byte) {
	at, shift := headerSize+index*registerBits/8, index*registerBits%8
	mask, word := uint(registerMax)<<shift, uint(value)<<shift
	s[at] = s[at]&^byte(mask) | byte(word)
	if mask > math.MaxUint8 {
		s[at+1] = s[at+1]&^byte(mask>>8) | byte(word>>8)
	}
}

// Cached returns the latest estimate, if it still holds.
func (s Sketch) Cached() (n uint64, holds bool) {
	return binary.LittleEndian.Uint64(s[cacheAt:]), s[staleAt]&stale == 0
}

// Cache notes an estimate.
func (s Sketch) Cache(n uint64) { binary.LittleEndian.PutUint64(s[cacheAt:], n) }

// MarkStale says that the estimate no longer holds.
func (s Sketch) MarkStale() { s[staleAt] |= stale }

// Count estimates how many different elements were added. It reports false if the runs of a
// sparse sketch are not in order.
func (s Sketch) Count() (n uint64, valid bool) {
	var h histogram
	if !s.IsSparse() {
		h.addDense(s[headerSize:])
		return h.estimate(), true
	}
	covered := 0
	for r := range s.runs() {
		covered += r.length
		h[r.value] += r.length
	}
	return h.estimate(), covered == registers
}

// addDense counts 16,384 registers of six bits each.
func (h *histogram) addDense(p []byte) {
	for ; len(p) > 0; p = p[3:] {
		word := uint(p[0]) | uint(p[1])<<8 | uint(p[2])<<16
		h[word&registerMax]++
		h[word>>6&registerMax]++
		h[word>>12&registerMax]++
		h[word>>18]++
	}
}

// Registers are those of several sketches: of each the greatest.
type Registers [registers]byte

// Merge adds the registers of a sketch. It reports false if the runs of a sparse one are not in
// order.
func (r *Registers) Merge(s Sketch) (valid bool) {
	if !s.IsSparse() {
		p := s[headerSize:]
		for i := 0; i < registers; i += 4 {
			word := uint(p[0]) | uint(p[1])<<8 | uint(p[2])<<16
			r[i] = max(r[i], byte(word&registerMax))
			r[i+1] = max(r[i+1], byte(word>>6&registerMax))
			r[i+2] = max(r[i+2], byte(word>>12&registerMax))
			r[i+3] = max(r[i+3], byte(word>>18))
			p = p[3:]
		}
		return true
	}
	return s.eachRun(func(first, length int, value byte) {
		for i := first; i < first+length; i++ {
			r[i] = max(r[i], value)
		}
	})
}

// Count estimates how many different elements were added to any of the sketches.
func (r *Registers) Count() uint64 {
	var h histogram
	for _, value := range r {
		h[value]++
	}
	return h.estimate()
}

// WriteTo raises the registers of a sketch, as Sketch.Add does.
func (r *Registers) WriteTo(s Sketch, most int) Sketch {
	for i, value := range r {
		if value > 0 {
			s, _, _ = s.raise(i, value, most)
		}
	}
	s.MarkStale()
	return s
}

// All passes the values of the registers of a dense sketch.
func (s Sketch) All(yield func(byte) bool) {
	for i := range registers {
		if !yield(s.register(i)) {
			return
		}
	}
}

// A histogram counts registers by their value.
type histogram [registerMax + 1]int

// estimate is the cardinality that the registers make most likely. See Otmar Ertl, "New
// cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.
func (h *histogram) estimate() uint64 {
	const (
		m     = float64(registers)
		alpha = 0.721347520444481703680 // 1 / (2 ln 2)
	)
	z := m * tau((m-float64(h[rankBits+1]))/m)
	for value := rankBits; value >= 1; value-- {
		z = (z + float64(h[value])) * 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	n := math.Round(alpha * m * m / z)
	if n >= math.MaxInt64 { // no register is less than the greatest value
		return 1 << 63
	}
	return uint64(n)
}

// sigma corrects for registers that are 0, and tau for those that have the greatest value. The
// conversions keep the processor from rounding once instead of twice.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}
