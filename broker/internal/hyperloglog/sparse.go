package hyperloglog

import (
	"fmt"
	"iter"
	"strings"
)

// A sparse sketch is a row of runs of equal registers, of one byte or two:
//
//	00xxxxxx            x+1 registers are 0
//	01xxxxxx xxxxxxxx   x+1 registers are 0
//	1vvvvvxx            x+1 registers are v+1
const (
	longZeros   = 1 << 6
	values      = 1 << 7
	zerosMost   = 1 << 6
	valuesMost  = 1 << 2
	sparseValue = 1 << 5 // the greatest that a run can have
)

// A run is so many equal registers.
type run struct {
	at, size int // bytes
	length   int
	value    byte
}

func (r run) isZeros() bool { return r.value == 0 }

// runAt reads the run at a place. As in Redis a byte that is missing at the end is 0.
func (s Sketch) runAt(at int) run {
	switch first := s[at]; {
	case first&values != 0:
		return run{at, 1, int(first&(valuesMost-1)) + 1, first>>2&(sparseValue-1) + 1}
	case first&longZeros != 0:
		length := int(first&(longZeros-1)) << 8
		if at+1 < len(s) {
			length |= int(s[at+1])
		}
		return run{at, 2, length + 1, 0}
	default:
		return run{at, 1, int(first) + 1, 0}
	}
}

// runs passes the runs of a sparse sketch, which may not be in order.
func (s Sketch) runs() iter.Seq[run] {
	return func(yield func(run) bool) {
		for at := headerSize; at < len(s); {
			r := s.runAt(at)
			if !yield(r) {
				return
			}
			at += r.size
		}
	}
}

// eachRun visits the runs of registers that are not 0. It reports false if they are not in
// order, for which it may have visited some.
func (s Sketch) eachRun(visit func(first, length int, value byte)) (valid bool) {
	covered := 0
	for r := range s.runs() {
		if covered+r.length > registers {
			return false
		}
		if !r.isZeros() {
			visit(covered, r.length, r.value)
		}
		covered += r.length
	}
	return covered == registers
}

// Dense returns a sketch as a dense one, which it may be. It reports false if the runs of a
// sparse one are not in order.
func (s Sketch) Dense() (d Sketch, valid bool) {
	if !s.IsSparse() {
		return s, true
	}
	d = make(Sketch, denseSize)
	copy(d, s[:headerSize])
	d[encodingAt] = dense
	valid = s.eachRun(func(first, length int, value byte) {
		for i := first; i < first+length; i++ {
			d.setRegister(i, value)
		}
	})
	return d, valid
}

// Runs describes the runs of a sparse sketch: z for zeros, Z for those of two bytes, and v for
// the value and number of others.
func (s Sketch) Runs() string {
	var text strings.Builder
	for r := range s.runs() {
		switch {
		case !r.isZeros():
			fmt.Fprintf(&text, "v:%d,%d ", r.value, r.length)
		case r.size == 2:
			fmt.Fprintf(&text, "Z:%d ", r.length)
		default:
			fmt.Fprintf(&text, "z:%d ", r.length)
		}
	}
	return strings.TrimSpace(text.String())
}

// appendRun appends a run that is not empty, of zeros or of up to four values.
func appendRun(b []byte, value byte, length int) []byte {
	if value == 0 {
		return appendZeros(b, length)
	}
	return append(b, values|(value-1)<<2|byte(length-1))
}

func appendZeros(b []byte, length int) []byte {
	if length--; length < zerosMost {
		return append(b, byte(length))
	}
	return append(b, longZeros|byte(length>>8), byte(length))
}

// raiseSparse is raise for a sparse sketch.
func (s Sketch) raiseSparse(index int, value byte, most int) (raised Sketch, changed, valid bool) {
	if value > sparseValue {
		return s.raiseDense(index, value)
	}
	at, first, before := headerSize, 0, headerSize
	for at < len(s) {
		var length int
		size := 1
		switch b := s[at]; { // as runAt, which is slower
		case b >= values:
			length = int(b&(valuesMost-1)) + 1
		case b < longZeros:
			length = int(b) + 1
		default:
			r := s.runAt(at)
			length, size = r.length, r.size
		}
		if index < first+length {
			break
		}
		before = at
		at += size
		first += length
	}
	if at >= len(s) {
		return s, false, false
	}
	r := s.runAt(at)
	if r.value >= value {
		return s, false, true
	}
	var buf [5]byte
	parts := buf[:0]
	if index > first {
		parts = appendRun(parts, r.value, index-first)
	}
	parts = appendRun(parts, value, 1)
	if last := first + r.length - 1; index < last {
		parts = appendRun(parts, r.value, last-index)
	}
	if more := len(parts) - r.size; more > 0 && len(s)+more > most {
		return s.raiseDense(index, value)
	}
	s = s.replace(r, parts).join(before)
	s.MarkStale()
	return s, true, true
}

// raiseDense is raise for a sparse sketch that is to become a dense one.
func (s Sketch) raiseDense(index int, value byte) (raised Sketch, changed, valid bool) {
	d, valid := s.Dense()
	if !valid {
		return s, false, false
	}
	return d.raise(index, value, 0)
}

// replace puts parts in the place of a run.
func (s Sketch) replace(r run, parts []byte) Sketch {
	length, end := len(s)+len(parts)-r.size, min(r.at+r.size, len(s))
	switch more := len(parts) - r.size; {
	case more > 0:
		s = append(s, parts[:more]...) // to make room
		copy(s[end+more:], s[end:])
	case more < 0:
		copy(s[end+more:], s[end:])
	}
	s = s[:length]
	copy(s[r.at:], parts)
	return s
}

// join makes one run of those with the same value, among the five from a place on.
func (s Sketch) join(at int) Sketch {
	for looked := 0; looked < 5 && at < len(s); looked++ {
		r := s.runAt(at)
		if !r.isZeros() && at+1 < len(s) && s[at+1]&values != 0 {
			next := s.runAt(at + 1)
			if both := r.length + next.length; next.value == r.value && both <= valuesMost {
				appendRun(s[:at+1], r.value, both)
				s = append(s[:at], s[at+1:]...)
				continue
			}
		}
		at += r.size
	}
	return s
}
