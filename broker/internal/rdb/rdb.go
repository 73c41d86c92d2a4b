// Package rdb reads and writes the form in which DUMP and RESTORE have values.
package rdb

import (
	"encoding/binary"
	"hash/crc64"
	"math"

	"redrpc/broker/internal/resp"
)

// The form in which DUMP and RESTORE have values, which is that of Redis's RDB
// files: a byte for the type, the value, the version of the format, and a checksum.
// Strings are written as they are, as by a Redis with "rdbcompression no", and read
// compressed as well.

// formatVersion is that of Redis 7.0, which reads older ones too.
const formatVersion = 10

// Types of values, with Redis's names. Those marked with * are what Redis 7.0 writes; it
// reads the others, too.
const (
	TypeString         = 0  // *
	TypeList           = 1  // the number of elements, and those
	TypeSet            = 2  // * the number of members, and those
	TypeZSet           = 3  // the number of members, and each with its score as text
	TypeHash           = 4  // * the number of fields, and each with its value
	TypeZSet2          = 5  // * the number of members, and each with its score in 8 bytes
	TypeHashZipmap     = 9  // in one piece, as up to Redis 2.4
	TypeListZiplist    = 10 // in one piece
	TypeSetIntset      = 11 // * integers in one piece
	TypeZSetZiplist    = 12 // members and scores in one piece
	TypeHashZiplist    = 13 // fields and values in one piece
	TypeListQuicklist  = 14 // the number of pieces, and those
	TypeStream         = 15 // as TypeStream2, without what a stream counts
	TypeHashListpack   = 16 // * fields and values in one piece
	TypeZSetListpack   = 17 // * members and scores in one piece
	TypeListQuicklist2 = 18 // * the number of pieces, and those, with the kind of each before it
	TypeStream2        = 19 // * pieces with their IDs, what the stream counts, and its groups
)

// Opcodes of functions, which stand in the place of a type.
const (
	OpcodeFunction2 = 245 // * the code of a library
	OpcodeFunction  = 246 // its name, its engine, whether there is a description, that, the code: of 7.0's release candidates
)

// Marks of strings that are not written as they are, in place of their lengths.
const (
	int8Mark = iota
	int16Mark
	int32Mark
	compressedMark
)

// crcJones is the polynomial of Redis's checksum, with its bits reversed.
var crcJones = crc64.MakeTable(0x95AC9329AC4BC9B5)

// Checksum computes Redis's CRC-64, which unlike Go's begins and ends with its bits
// as they are.
func Checksum(p []byte) uint64 { return ^crc64.Update(^uint64(0), crcJones, p) }

// FooterLength is how many bytes the version and the checksum take.
const FooterLength = 2 + 8

// Dump makes a value of DUMP, of a type and what stands behind it.
func Dump(value []byte) []byte {
	value = binary.LittleEndian.AppendUint16(value, formatVersion)
	return binary.LittleEndian.AppendUint64(value, Checksum(value))
}

// Undump checks what came from DUMP, and returns it without the version and the
// checksum.
func Undump(p []byte) (body []byte, valid bool) {
	at := len(p) - 8
	if len(p) < FooterLength || Checksum(p[:at]) != binary.LittleEndian.Uint64(p[at:]) {
		return nil, false
	}
	return p[:len(p)-FooterLength], binary.LittleEndian.Uint16(p[at-2:]) <= formatVersion
}

// AppendLength writes a length, or a number of elements.
func AppendLength(b []byte, n int) []byte { return AppendUint(b, uint64(n)) }

// AppendUint writes an integer in the form of a length.
func AppendUint(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x81), n)
}

// AppendString writes a string, an integer of up to 32 bits as one.
func AppendString(b, s []byte) []byte {
	if n, isInt := resp.ParseInt(s); isInt {
		switch {
		case n == int64(int8(n)):
			return append(b, 0xC0+int8Mark, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(b, 0xC0+int16Mark), uint16(n))
		case n == int64(int32(n)):
			return binary.LittleEndian.AppendUint32(append(b, 0xC0+int32Mark), uint32(n))
		}
	}
	return append(AppendLength(b, len(s)), s...)
}

// A Decoder reads the form of DUMP. Once something is not in order it is broken, and
// all that it reads is zero.
type Decoder struct {
	rest   []byte
	broken bool
	room   int // how many bytes may still come from what is compressed
}

// NewDecoder returns one for what Undump has returned. Most is how many bytes what is
// compressed may become.
func NewDecoder(body []byte, most int) *Decoder { return &Decoder{rest: body, room: most} }

// Fail says that what was read is not in order.
func (d *Decoder) Fail() { d.broken = true }

// Broken reports whether something was not in order.
func (d *Decoder) Broken() bool { return d.broken }

// Len is how many bytes are left.
func (d *Decoder) Len() int { return len(d.rest) }

func (d *Decoder) expect(inOrder bool) { d.broken = d.broken || !inOrder }

func (d *Decoder) take(n uint64) []byte {
	if d.broken || n > uint64(len(d.rest)) {
		d.broken, d.rest = true, nil
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// little reads an unsigned integer of n bytes, the lowest first; big one with the
// highest first.
func (d *Decoder) little(n uint64) (v uint64) {
	for i, b := range d.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (d *Decoder) big(n uint64) (v uint64) {
	for _, b := range d.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

// signed reads an integer of n bytes, the lowest first.
func (d *Decoder) signed(n uint64) int64 {
	shift := 64 - 8*n
	return int64(d.little(n)<<shift) >> shift
}

// lengthOrMark reads a length, or what stands in its place.
func (d *Decoder) lengthOrMark() (n uint64, isMark bool) {
	first := d.Byte()
	low := uint64(first & 0x3F)
	switch {
	case first < 0x40:
		return low, false
	case first < 0x80:
		return low<<8 | uint64(d.Byte()), false
	case first == 0x80:
		return d.big(4), false
	case first == 0x81:
		return d.big(8), false
	}
	d.expect(first >= 0xC0)
	return low, true
}

// Length reads a number of what takes a byte or more each.
func (d *Decoder) Length() uint64 {
	n, isMark := d.lengthOrMark()
	d.expect(!isMark && n <= uint64(len(d.rest)))
	if d.broken {
		return 0
	}
	return n
}

// Uint reads an integer in the form of a length.
func (d *Decoder) Uint() uint64 {
	n, isMark := d.lengthOrMark()
	d.expect(!isMark)
	if d.broken {
		return 0
	}
	return n
}

// Raw reads n bytes as they are, which are valid as long as what is decoded.
func (d *Decoder) Raw(n int) []byte { return d.take(uint64(n)) }

// Int64 reads an integer of 8 bytes, the lowest first.
func (d *Decoder) Int64() int64 { return d.signed(8) }

// String reads a string, which is valid as long as what is decoded.
func (d *Decoder) String() []byte {
	n, isMark := d.lengthOrMark()
	if !isMark {
		return d.take(n)
	}
	switch n {
	case int8Mark, int16Mark, int32Mark:
		return digits(d.signed(1 << n))
	case compressedMark:
		packed := d.Length()
		size, _ := d.lengthOrMark()
		s, valid := lzf(d.take(packed), size, d.room)
		d.room -= len(s)
		d.expect(valid)
		return s
	}
	d.broken = true
	return nil
}

// Double reads a floating-point number of 8 bytes.
func (d *Decoder) Double() float64 { return math.Float64frombits(d.little(8)) }

// Marks of floating-point numbers that are not written as text, in place of its length.
const (
	nanMark = 253 + iota
	infMark
	minusInfMark
)

// TextDouble reads a floating-point number that is written as text.
func (d *Decoder) TextDouble() float64 {
	switch n := d.Byte(); n {
	case nanMark:
		return math.NaN()
	case infMark:
		return math.Inf(1)
	case minusInfMark:
		return math.Inf(-1)
	default:
		f, isFloat := resp.ParseFloat(d.take(uint64(n)))
		d.expect(isFloat)
		return f
	}
}
