package zset

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// packed is a small sorted set in one piece of memory: members in order, each behind its score
// and its length. It is looked through from the front, as Redis does with a listpack.
//
// A score that is an integer is a varint with a zero in its lowest bit. Any other is a byte of
// 1 with the number of 8 bytes behind it. Like a listpack it has no negative zero.
type packed struct {
	b []byte
	n int // members
}

// A spot is where a member stands in a packed, from one offset to another.
type spot struct {
	from, to int
	rank     int
	score    float64
	member   []byte
}

// mostPacked is the greatest integer for which there is a varint.
const mostPacked = 1 << 53

const floatMark = 1

// at reads the member at an offset.
func (p *packed) at(from, rank int) spot {
	s := spot{from: from, rank: rank}
	mark, size := binary.Uvarint(p.b[from:])
	at := from + size
	if mark == floatMark {
		s.score = math.Float64frombits(binary.LittleEndian.Uint64(p.b[at:]))
		at += 8
	} else {
		n := mark >> 1
		s.score = float64(int64(n>>1) ^ -int64(n&1))
	}
	length, size := binary.Uvarint(p.b[at:])
	at += size
	s.to = at + int(length)
	s.member = p.b[at:s.to:s.to]
	return s
}

// all passes the members in order.
func (p *packed) all() iter.Seq[spot] {
	return func(yield func(spot) bool) {
		s := spot{rank: -1}
		for s.to < len(p.b) {
			if s = p.at(s.to, s.rank+1); !yield(s) {
				return
			}
		}
	}
}

// find returns where a member stands.
func (p *packed) find(member []byte) (s spot, found bool) {
	for s := range p.all() {
		if bytes.Equal(s.member, member) {
			return s, true
		}
	}
	return spot{}, false
}

// countBefore returns how many members come before a place in the order, and the offset of
// that place.
func (p *packed) countBefore(is func(score float64, member []byte) bool) (n, at int) {
	for s := range p.all() {
		if !is(s.score, s.member) {
			return s.rank, s.from
		}
	}
	return p.n, len(p.b)
}

// add adds a member that is not there.
func (p *packed) add(member []byte, score float64) {
	_, at := p.countBefore(func(s float64, m []byte) bool { return compare(s, m, score, member) < 0 })
	var head [1 + 8 + binary.MaxVarintLen64]byte
	h := head[:0]
	if n := int64(score); float64(n) == score && -mostPacked < n && n < mostPacked {
		h = binary.AppendUvarint(h, uint64(n<<1^n>>63)<<1)
	} else {
		h = binary.LittleEndian.AppendUint64(append(h, floatMark), math.Float64bits(score))
	}
	h = binary.AppendUvarint(h, uint64(len(member)))
	size := len(h) + len(member)
	p.b = slices.Grow(p.b, size)[:len(p.b)+size]
	copy(p.b[at+size:], p.b[at:])
	copy(p.b[at:], h)
	copy(p.b[at+len(h):], member)
	p.n++
}

// remove removes n members of which the first stands at an offset.
func (p *packed) remove(from, n int) {
	to := from
	for range n {
		to = p.at(to, 0).to
	}
	p.b = slices.Delete(p.b, from, to)
	p.n -= n
}

// walk passes n members, forward or backward, but for the first ones, of which skip says how
// many. There must be as many.
func (p *packed) walk(skip, n int, reverse bool, yield func(spot) bool) {
	first := skip
	if reverse {
		first = p.n - skip - n
	}
	var behind []spot
	for s := range p.all() {
		if s.rank >= first+n {
			break
		}
		switch {
		case s.rank < first:
		case reverse:
			behind = append(behind, s)
		case !yield(s):
			return
		}
	}
	for _, s := range slices.Backward(behind) {
		if !yield(s) {
			return
		}
	}
}
