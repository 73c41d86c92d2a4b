package set

import (
	"encoding/binary"
	"slices"
)

// An intset has integers in ascending order, each in 2, 4 or 8 bytes: as many as the one needs
// or needed that is farthest from 0. The zero intset is empty.
type intset struct {
	width  int // bytes of an integer; 0 stands for 2
	packed []byte
	front  int // bytes before packed that were removed, and are not free yet
}

func (s *intset) bytes() int {
	return max(s.width, 2)
}

func (s *intset) length() int { return len(s.packed) / s.bytes() }

func (s *intset) at(i int) int64 { return unpackInt(s.packed, i, s.bytes()) }

func unpackInt(packed []byte, i, width int) int64 {
	switch packed = packed[i*width:]; width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(packed)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(packed)))
	}
	return int64(binary.LittleEndian.Uint64(packed))
}

func packInt(packed []byte, i, width int, n int64) {
	switch packed = packed[i*width:]; width {
	case 2:
		binary.LittleEndian.PutUint16(packed, uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(packed, uint32(n))
	default:
		binary.LittleEndian.PutUint64(packed, uint64(n))
	}
}

// widthOf is how many bytes an integer needs.
func widthOf(n int64) int {
	switch {
	case n == int64(int16(n)):
		return 2
	case n == int64(int32(n)):
		return 4
	}
	return 8
}

// find returns where an integer is, or belongs.
func (s *intset) find(n int64) (at int, found bool) {
	low, high := 0, s.length()
	for low < high {
		middle := int(uint(low+high) / 2)
		switch m := s.at(middle); {
		case m == n:
			return middle, true
		case m < n:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, false
}

// add adds an integer, and reports whether it is new.
func (s *intset) add(n int64) bool {
	at, found := s.find(n)
	if found {
		return false
	}
	length, old := s.length(), s.bytes()
	s.width = max(old, widthOf(n))
	size := (length + 1) * s.width
	switch {
	case s.width > old: // all move
		wide := make([]byte, size, size+size/8)
		for i := range length {
			to := i
			if i >= at {
				to++
			}
			packInt(wide, to, s.width, unpackInt(s.packed, i, old))
		}
		s.packed, s.front = wide, 0
	case size > cap(s.packed):
		s.packed, s.front = append(make([]byte, 0, size+size/8), s.packed...), 0
		fallthrough
	default:
		s.packed = s.packed[:size]
		copy(s.packed[(at+1)*s.width:], s.packed[at*s.width:])
	}
	packInt(s.packed, at, s.width, n)
	return true
}

// remove removes an integer, and reports whether it was there.
func (s *intset) remove(n int64) bool {
	at, found := s.find(n)
	if found {
		s.removeAt(at)
	}
	return found
}

// removeAt moves the fewer integers of those before and those behind.
func (s *intset) removeAt(at int) {
	w := s.bytes()
	if at >= s.length()/2 {
		s.packed = slices.Delete(s.packed, at*w, (at+1)*w)
		return
	}
	copy(s.packed[w:], s.packed[:at*w])
	s.packed = s.packed[w:]
	if s.front += w; s.front > len(s.packed) {
		s.packed, s.front = slices.Clone(s.packed), 0
	}
}
