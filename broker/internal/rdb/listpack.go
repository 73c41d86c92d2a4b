package rdb

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"redrpc/broker/internal/resp"
)

// Listpacks, in which Redis 7.0 holds the elements of lists and small hashes, ziplists, which
// it had before, and zipmaps, which it had for hashes at first. The first two have their size
// and the number of elements first; all end with a byte of ones.

// ListListpackEnd is that byte.
const ListpackEnd = 0xFF

// A Listpack is one being written. The zero Listpack is empty.
type Listpack struct {
	elements []byte
	count    int
}

const listpackHeader = 4 + 2

// Len is how many elements it has, and Size how many bytes.
func (p *Listpack) Len() int { return p.count }

func (p *Listpack) Size() int { return listpackHeader + len(p.elements) + 1 }

// Bytes returns the whole. A number of elements too large for its place is left
// open.
func (p *Listpack) Bytes() []byte {
	b := make([]byte, 0, p.Size())
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Size()))
	b = binary.LittleEndian.AppendUint16(b, uint16(min(p.count, 1<<16-1)))
	return append(append(b, p.elements...), ListpackEnd)
}

// Add appends an element.
func (p *Listpack) Add(value []byte) {
	p.elements = AppendElement(p.elements, value)
	p.count++
}

// AppendElement appends an element of a listpack: its head, its bytes unless it is an integer,
// and how much that was, to be read backwards.
func AppendElement(b, value []byte) []byte {
	if n, isInt := resp.ParseInt(value); isInt {
		return AppendInteger(b, n)
	}
	from := len(b)
	switch size := len(value); {
	case size < 1<<6:
		b = append(b, 0x80|byte(size))
	case size < 1<<12:
		b = append(b, 0xE0|byte(size>>8), byte(size))
	default:
		b = binary.LittleEndian.AppendUint32(append(b, 0xF0), uint32(size))
	}
	b = append(b, value...)
	return appendBackLength(b, uint64(len(b)-from))
}

// AppendInteger appends an element that is an integer.
func AppendInteger(b []byte, n int64) []byte {
	from := len(b)
	b = appendPackedInt(b, n)
	return appendBackLength(b, uint64(len(b)-from))
}

// An Element is one of a listpack.
type Element struct {
	Bytes []byte // nil: it is an integer
	Int   int64
	Size  int // of the whole, in bytes
}

// Text is the element as a string, for which an integer is written to buf.
func (e *Element) Text(buf []byte) []byte {
	if e.Bytes == nil {
		return strconv.AppendInt(buf[:0], e.Int, 10)
	}
	return e.Bytes
}

// ElementAt reads the element that p begins with, which AppendElement has written.
func ElementAt(p []byte) (e Element) {
	head, n := 1, 0
	switch first := p[0]; {
	case first < 0x80:
		return Element{Int: int64(first), Size: 2}
	case first < 0xC0:
		n = int(first & 0x3F)
	case first < 0xE0:
		return Element{Int: int64(uint64(first)<<59|uint64(p[1])<<51) >> 51, Size: 3}
	case first < 0xF0:
		head, n = 2, int(first&0x0F)<<8|int(p[1])
	case first == 0xF0:
		head, n = 5, int(binary.LittleEndian.Uint32(p[1:]))
	default:
		return integerAt(p)
	}
	e.Bytes = p[head : head+n : head+n]
	e.Size = head + n + backSize(head+n)
	return e
}

// ElementSize is the size of the element that p begins with.
func ElementSize(p []byte) int {
	switch first := p[0]; {
	case first < 0x80:
		return 2
	case first < 0xC0:
		n := 1 + int(first&0x3F)
		return n + backSize(n)
	}
	e := ElementAt(p)
	return e.Size
}

// integerAt reads an element that is an integer of 2, 3, 4 or 8 bytes.
func integerAt(p []byte) Element {
	size := int(p[0]-0xF1) + 2
	if size == 5 {
		size = 8
	}
	var n uint64
	for i, b := range p[1 : 1+size] {
		n |= uint64(b) << (8 * i)
	}
	shift := 64 - 8*size
	return Element{Int: int64(n<<shift) >> shift, Size: 1 + size + 1}
}

// BeforeEnd is the offset at which the last element of p begins.
func BeforeEnd(p []byte) int {
	size, at := 0, len(p)
	for shift := 0; ; shift += 7 {
		at--
		size |= int(p[at]&0x7F) << shift
		if p[at] < 0x80 {
			return at - size
		}
	}
}

func appendPackedInt(b []byte, n int64) []byte {
	switch {
	case 0 <= n && n < 1<<7:
		return append(b, byte(n))
	case -1<<12 <= n && n < 1<<12:
		return append(b, 0xC0|byte(n>>8)&0x1F, byte(n))
	}
	mark, size := byte(0xF4), 8
	switch {
	case n == int64(int16(n)):
		mark, size = 0xF1, 2
	case n == n<<40>>40:
		mark, size = 0xF2, 3
	case n == int64(int32(n)):
		mark, size = 0xF3, 4
	}
	b = append(b, mark)
	return binary.LittleEndian.AppendUint64(b, uint64(n))[:len(b)+size]
}

// backLimits are the lengths from which on 2, 3, 4 and 5 bytes are used. All but the
// first are one less than need be.
var backLimits = [...]uint64{1 << 7, 1<<14 - 1, 1<<21 - 1, 1<<28 - 1}

// backSize is how many bytes a length takes that is read from its last byte on.
func backSize(n int) int {
	size := 1
	for size <= len(backLimits) && uint64(n) >= backLimits[size-1] {
		size++
	}
	return size
}

// appendBackLength writes a length that is read from its last byte on: seven bits in
// each, and in all but the first a mark that there are more before it.
func appendBackLength(b []byte, n uint64) []byte {
	more := backSize(int(n)) - 1
	b = append(b, byte(n>>(7*more)))
	for ; more > 0; more-- {
		b = append(b, 0x80|byte(n>>(7*(more-1))))
	}
	return b
}

// Listpack passes the elements of a listpack to add, for which they are valid only
// meanwhile.
func (d *Decoder) Listpack(p []byte, add func([]byte)) {
	in := &Decoder{rest: p, broken: d.broken}
	in.expect(in.little(4) == uint64(len(p)))
	count := in.little(2)
	d.addAll(add, in, count, func() (value []byte, more bool) {
		from := len(in.rest)
		if value, more = in.listpackElement(); more {
			var back [5]byte
			b := appendBackLength(back[:0], uint64(from-len(in.rest)))
			in.expect(bytes.Equal(in.take(uint64(len(b))), b))
		}
		return value, more
	})
}

func (d *Decoder) listpackElement() (value []byte, more bool) {
	first := d.Byte()
	switch {
	case first < 0x80:
		return digits(int64(first)), true
	case first < 0xC0:
		return d.take(uint64(first & 0x3F)), true
	case first < 0xE0:
		n := int64(first&0x1F)<<8 | int64(d.Byte())
		return digits(n << 51 >> 51), true
	case first < 0xF0:
		return d.take(uint64(first&0x0F)<<8 | uint64(d.Byte())), true
	case first == 0xF0:
		return d.take(d.little(4)), true
	case first <= 0xF3:
		return digits(d.signed(uint64(first-0xF1) + 2)), true
	case first == 0xF4:
		return digits(d.signed(8)), true
	}
	d.expect(first == ListpackEnd)
	return nil, false
}

// Ziplist does so with those of a ziplist.
func (d *Decoder) Ziplist(p []byte, add func([]byte)) {
	in := &Decoder{rest: p, broken: d.broken}
	in.expect(in.little(4) == uint64(len(p)))
	in.take(4) // where the last element begins
	count := in.little(2)
	before := 0 // size of the element before
	d.addAll(add, in, count, func() (value []byte, more bool) {
		from := len(in.rest)
		size := uint64(in.Byte())
		switch size {
		case ListpackEnd:
			return nil, false
		case ListpackEnd - 1:
			size = in.little(4)
		}
		in.expect(size == uint64(before))
		value = in.ziplistElement()
		before = from - len(in.rest)
		return value, true
	})
}

func (d *Decoder) ziplistElement() []byte {
	first := d.Byte()
	switch {
	case first < 0x40:
		return d.take(uint64(first))
	case first < 0x80:
		return d.take(uint64(first&0x3F)<<8 | uint64(d.Byte()))
	case first < 0xC0:
		return d.take(d.big(4))
	case first == 0xC0:
		return digits(d.signed(2))
	case first == 0xD0:
		return digits(d.signed(4))
	case first == 0xE0:
		return digits(d.signed(8))
	case first == 0xF0:
		return digits(d.signed(3))
	case first == 0xFE:
		return digits(d.signed(1))
	}
	d.expect(0xF1 <= first && first <= 0xFD)
	return digits(int64(first&0x0F) - 1)
}

// Zipmap passes the fields and values of a zipmap to add, which are valid only meanwhile. It
// begins with the number of fields, unless that is too large for a byte; behind a value may be
// bytes that are free.
func (d *Decoder) Zipmap(p []byte, add func(field, value []byte)) {
	const large = 254
	in := &Decoder{rest: p, broken: d.broken}
	length := func() (n uint64, more bool) {
		switch n = uint64(in.Byte()); n {
		case ListpackEnd:
			return 0, false
		case large:
			n = in.little(4)
		}
		return n, !in.broken
	}
	count, n := in.Byte(), 0
	for {
		size, more := length()
		if !more {
			break
		}
		field := in.take(size)
		size, more = length()
		in.expect(more)
		free := in.Byte()
		value := in.take(size)
		in.take(uint64(free))
		if in.broken {
			break
		}
		add(field, value)
		n++
	}
	in.expect(len(in.rest) == 0 && (int(count) == n || count >= large))
	d.broken = d.broken || in.broken
}

func digits(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// addAll passes on the elements that next returns. In is what they are read
// from, and count how many there should be; if it is as large as it can be, any.
func (d *Decoder) addAll(add func([]byte), in *Decoder, count uint64, next func() (value []byte, more bool)) {
	added := uint64(0)
	for {
		value, more := next()
		if !more || in.broken {
			break
		}
		add(value)
		added++
	}
	in.expect(len(in.rest) == 0 && (count == added || count == 1<<16-1))
	d.broken = d.broken || in.broken
}
