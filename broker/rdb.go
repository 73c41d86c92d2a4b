package broker

import (
	"encoding/binary"
	"hash/crc64"

	"redrpc/broker/internal/resp"
)

// The form in which DUMP and RESTORE have values, which is that of Redis's RDB
// files: a byte for the type, the value, the version of the format, and a checksum.
// Strings are written as they are, as by a Redis with "rdbcompression no", and read
// compressed as well.

// rdbVersion is that of Redis 7.0, which reads older ones too.
const rdbVersion = 10

// Types of values, as far as they are strings and lists. What Redis 7.0 writes are
// rdbString and rdbListpacks.
const (
	rdbString    = 0
	rdbStrings   = 1  // a list as the number of its elements, and those
	rdbZiplist   = 10 // a list in one piece
	rdbZiplists  = 14 // a list as the number of its pieces, and those
	rdbListpacks = 18 // likewise, with the kind of each piece before it
)

// Kinds of pieces of rdbListpacks.
const (
	rdbPlain  = 1 // one large element
	rdbPacked = 2
)

// Marks of strings that are not written as they are, in place of their lengths.
const (
	rdbInt8 = iota
	rdbInt16
	rdbInt32
	rdbCompressed
)

// crcJones is the polynomial of Redis's checksum, with its bits reversed.
var crcJones = crc64.MakeTable(0x95AC9329AC4BC9B5)

// checksum computes Redis's CRC-64, which unlike Go's begins and ends with its bits
// as they are.
func checksum(p []byte) uint64 { return ^crc64.Update(^uint64(0), crcJones, p) }

// dumped returns a value in the form of DUMP.
func dumped(v value) []byte {
	var b []byte
	switch v := v.(type) {
	case *stringValue:
		b = appendText([]byte{rdbString}, v.bytes)
	case *list:
		b = appendPieces([]byte{rdbListpacks}, v)
	}
	b = binary.LittleEndian.AppendUint16(b, rdbVersion)
	return binary.LittleEndian.AppendUint64(b, checksum(b))
}

// undumped checks what came from DUMP, and returns it without the version and the
// checksum.
func undumped(p []byte) (body []byte, valid bool) {
	at := len(p) - 8
	if at < 2 || checksum(p[:at]) != binary.LittleEndian.Uint64(p[at:]) {
		return nil, false
	}
	return p[:at-2], binary.LittleEndian.Uint16(p[at-2:]) <= rdbVersion
}

func appendLength(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, 0x40|byte(n>>8), byte(n))
	case n <= 1<<32-1:
		return binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x81), uint64(n))
}

// appendText writes a string, an integer of up to 32 bits as one.
func appendText(b, s []byte) []byte {
	if n, isInt := resp.ParseInt(s); isInt {
		switch {
		case n == int64(int8(n)):
			return append(b, 0xC0+rdbInt8, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(b, 0xC0+rdbInt16), uint16(n))
		case n == int64(int32(n)):
			return binary.LittleEndian.AppendUint32(append(b, 0xC0+rdbInt32), uint32(n))
		}
	}
	return append(appendLength(b, len(s)), s...)
}

// largestPacked is the size from which on an element is a piece of its own.
const largestPacked = 1 << 30

// appendPieces writes a list as listpacks, each as large as one grows in Redis when
// elements are pushed behind it.
func appendPieces(b []byte, l *list) []byte {
	const tooLarge = 8 << 10
	var pieces []byte
	n := 0
	finish := func(kind byte, piece []byte) {
		pieces = append(appendLength(append(pieces, kind), len(piece)), piece...)
		n++
	}
	var pack listpack
	for _, p := range l.walk(left) {
		value := p.value()
		if pack.count > 0 && pack.size()+len(value)+8 > tooLarge {
			finish(rdbPacked, pack.bytes())
			pack = listpack{}
		}
		if len(value) >= largestPacked {
			finish(rdbPlain, value)
		} else {
			pack.add(value)
		}
	}
	if pack.count > 0 {
		finish(rdbPacked, pack.bytes())
	}
	return append(appendLength(b, n), pieces...)
}

// loaded reads a value. Most is how many bytes what is compressed may become. It
// returns nil for what is no string and no list, or not in order.
func loaded(body []byte, most int) value {
	d := &decoder{rest: body, room: most}
	l := &list{}
	switch d.byte() {
	case rdbString:
		s := d.text()
		if d.broken {
			return nil
		}
		return &stringValue{bytes: append([]byte(nil), s...)}
	case rdbStrings:
		for range d.plainLength() {
			d.pushTo(l, d.text())
		}
	case rdbZiplist:
		d.ziplist(l, d.text())
	case rdbZiplists:
		for range d.plainLength() {
			d.ziplist(l, d.text())
		}
	case rdbListpacks:
		for range d.plainLength() {
			switch d.plainLength() {
			case rdbPlain:
				d.pushTo(l, d.text())
			case rdbPacked:
				d.listpack(l, d.text())
			default:
				d.broken = true
			}
		}
	}
	if d.broken || l.length == 0 {
		return nil
	}
	return l
}

// A decoder reads the form of DUMP. Once something is not in order it is broken, and
// all that it reads is zero.
type decoder struct {
	rest   []byte
	broken bool
	room   int // how many bytes may still come from what is compressed
}

func (d *decoder) expect(inOrder bool) { d.broken = d.broken || !inOrder }

func (d *decoder) take(n uint64) []byte {
	if d.broken || n > uint64(len(d.rest)) {
		d.broken, d.rest = true, nil
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// little reads an unsigned integer of n bytes, the lowest first; big one with the
// highest first.
func (d *decoder) little(n uint64) (v uint64) {
	for i, b := range d.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (d *decoder) big(n uint64) (v uint64) {
	for _, b := range d.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

// signed reads an integer of n bytes, the lowest first.
func (d *decoder) signed(n uint64) int64 {
	shift := 64 - 8*n
	return int64(d.little(n)<<shift) >> shift
}

// length reads a length, or what stands in its place.
func (d *decoder) length() (n uint64, isMark bool) {
	first := d.byte()
	low := uint64(first & 0x3F)
	switch {
	case first < 0x40:
		return low, false
	case first < 0x80:
		return low<<8 | uint64(d.byte()), false
	case first == 0x80:
		return d.big(4), false
	case first == 0x81:
		return d.big(8), false
	}
	d.expect(first >= 0xC0)
	return low, true
}

// plainLength reads a number of what takes a byte or more each.
func (d *decoder) plainLength() uint64 {
	n, isMark := d.length()
	d.expect(!isMark && n <= uint64(len(d.rest)))
	if d.broken {
		return 0
	}
	return n
}

// text reads a string.
func (d *decoder) text() []byte {
	n, isMark := d.length()
	if !isMark {
		return d.take(n)
	}
	switch n {
	case rdbInt8, rdbInt16, rdbInt32:
		return digits(d.signed(1 << n))
	case rdbCompressed:
		packed := d.plainLength()
		size, _ := d.length()
		s, valid := lzf(d.take(packed), size, d.room)
		d.room -= len(s)
		d.expect(valid)
		return s
	}
	d.broken = true
	return nil
}

func (d *decoder) pushTo(l *list, value []byte) {
	if !d.broken {
		l.push(right, value)
	}
}
