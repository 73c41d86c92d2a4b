package lualib

import (
	"math"
	"slices"
	"strings"

	"redrpc/broker/internal/lua"
)

// structFunctions are the library struct, which makes binary strings of values and reads
// them.
var structFunctions = lua.Library{
	{Name: "pack", Function: structPack},
	{Name: "unpack", Function: structUnpack},
	{Name: "size", Function: structSize},
}

const (
	maxIntegerSize   = 32 // bytes
	defaultAlignment = 8  // bytes, after !
)

// A layout walks over a format such as ">i4s": options, each with its size in bytes.
type layout struct {
	thread    *lua.Thread
	format    string // what is left of it
	bigEndian bool
	alignment int // bytes, at most
}

func newLayout(t *lua.Thread) *layout {
	format, _, _ := strings.Cut(t.CheckString(1), "\x00")
	return &layout{thread: t, format: format, alignment: 1}
}

// next is the next option and its size: 0 of options without one. It ends with option 0.
func (l *layout) next() (option byte, size int) {
	if l.format == "" {
		return 0, 0
	}
	l.thread.Count(1)
	option, l.format = l.format[0], l.format[1:]
	switch option {
	case 'b', 'B', 'x':
		return option, 1
	case 'h', 'H':
		return option, 2
	case 'l', 'L', 'T', 'd':
		return option, 8
	case 'f':
		return option, 4
	case 'c':
		return option, l.number(1)
	case 'i', 'I':
		if size = l.number(4); size > maxIntegerSize {
			l.thread.Errorf("integral size %d is larger than limit of %d", size, maxIntegerSize)
		}
		return option, size
	}
	return option, 0
}

// number is the number at this place of the format.
func (l *layout) number(missing int) int {
	if l.format == "" || !isDigit(l.format[0]) {
		return missing
	}
	var n int64
	for l.format != "" && isDigit(l.format[0]) {
		if n = n*10 + int64(l.format[0]-'0'); n > math.MaxInt32 {
			l.thread.Errorf("integral size overflow")
		}
		l.format = l.format[1:]
	}
	return int(n)
}

// padding is how many bytes align an option at a position.
func (l *layout) padding(position uint64, option byte, size int) int {
	if size == 0 || option == 'c' {
		return 0
	}
	size = min(size, l.alignment)
	return (size - int(position)&(size-1)) & (size - 1)
}

// control obeys an option that is no value.
func (l *layout) control(option byte) {
	switch option {
	case ' ':
	case '>':
		l.bigEndian = true
	case '<':
		l.bigEndian = false
	case '!':
		n := l.number(defaultAlignment)
		if n <= 0 || n&(n-1) != 0 {
			l.thread.Errorf("alignment %d is not a power of 2", n)
		}
		l.alignment = n
	default:
		l.thread.ArgError(1, "invalid format option '"+string([]byte{option})+"'")
	}
}

// A structPacker appends arguments to out as the layout says.
type structPacker struct {
	*layout
	out []byte
	arg int // the next one
}

func structPack(t *lua.Thread) int {
	p := structPacker{layout: newLayout(t), arg: 2}
	t.Push(lua.Nil) // what errors find as the first argument that is missing
	for option, size := p.next(); option != 0; option, size = p.next() {
		padding := p.padding(uint64(len(p.out)), option, size)
		t.CheckLength(len(p.out) + padding + maxIntegerSize)
		p.out = append(p.out, make([]byte, padding)...)
		p.option(option, size)
	}
	return t.Return(t.NewString(p.out))
}

func (p *structPacker) option(option byte, size int) {
	switch option {
	case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
		p.integer(toUnsigned(p.checkNumber()), size)
	case 'f':
		p.integer(uint64(math.Float32bits(float32(p.checkNumber()))), size)
	case 'd':
		p.integer(math.Float64bits(p.checkNumber()), size)
	case 'x':
		p.out = append(p.out, 0)
	case 'c':
		p.string(size)
	case 's':
		p.string(0)
		p.out = append(p.out, 0)
	default:
		p.control(option)
	}
}

func (p *structPacker) checkNumber() float64 {
	f := p.thread.CheckNumber(p.arg)
	p.arg++
	return f
}

// integer writes the lower bytes of a number. Beyond the eighth they are zero.
func (p *structPacker) integer(n uint64, size int) {
	start := len(p.out)
	for range size {
		p.out = append(p.out, byte(n))
		n >>= 8
	}
	if p.bigEndian {
		slices.Reverse(p.out[start:])
	}
}

// string writes so many bytes of a string, or all for 0.
func (p *structPacker) string(size int) {
	s := p.thread.CheckString(p.arg)
	p.arg++
	if size == 0 {
		size = len(s)
	}
	if len(s) < size {
		p.thread.ArgError(p.arg, "string too short") // of the next argument, in Redis, too
	}
	p.thread.CheckLength(len(p.out) + size + 1)
	countBytes(p.thread, size)
	p.out = append(p.out, s[:size]...)
}

// A structUnpacker reads values of data as the layout says.
type structUnpacker struct {
	*layout
	data     string
	position uint64 // from 0 on: scripts may say one far beyond the data
	results  []lua.Value
}

func structUnpack(t *lua.Thread) int {
	u := structUnpacker{layout: newLayout(t), data: t.CheckString(2), position: uint64(t.OptInteger(3, 1))}
	if u.position == 0 {
		t.ArgError(3, "offset must be 1 or greater")
	}
	u.position--
	for option, size := u.next(); option != 0; option, size = u.next() {
		u.position += uint64(u.padding(u.position, option, size))
		bytes := u.peek(uint64(size))
		t.CheckStack(len(u.results)+2, "too many results")
		u.option(option, bytes)
	}
	return t.Return(append(u.results, lua.Number(float64(int64(u.position+1))))...)
}

// peek is the next part of the data, which must have it.
func (u *structUnpacker) peek(size uint64) string {
	length := uint64(len(u.data))
	if size > length || u.position > length-size {
		u.thread.ArgError(2, "data string too short")
	}
	return u.data[u.position : u.position+size]
}

func (u *structUnpacker) option(option byte, bytes string) {
	switch option {
	case 'b', 'h', 'l', 'i':
		u.add(lua.Number(float64(u.signed(bytes))))
	case 'B', 'H', 'L', 'T', 'I':
		u.add(lua.Number(float64(u.unsigned(bytes))))
	case 'f':
		u.add(lua.Number(float64(math.Float32frombits(uint32(u.unsigned(bytes))))))
	case 'd':
		u.add(lua.Number(math.Float64frombits(u.unsigned(bytes))))
	case 'x':
	case 'c':
		if bytes == "" {
			bytes = u.peek(u.takeSize())
		}
		u.add(newString(u.thread, bytes))
	case 's':
		var found bool
		if bytes, _, found = strings.Cut(u.data[u.position:], "\x00"); !found {
			u.thread.Errorf("unfinished string in data")
		}
		u.add(newString(u.thread, bytes))
		u.position++
	default:
		u.control(option)
	}
	u.position += uint64(len(bytes))
}

func (u *structUnpacker) add(v lua.Value) { u.results = append(u.results, v) }

// takeSize takes the last result away, which is the size of a string.
func (u *structUnpacker) takeSize() uint64 {
	var size lua.Value
	if last := len(u.results) - 1; last >= 0 {
		size, u.results = u.results[last], u.results[:last]
	}
	f, ok := size.ToNumber()
	if !ok {
		u.thread.Errorf("format 'c0' needs a previous size")
	}
	return toUnsigned(f)
}

// unsigned reads a number: of the last eight bytes, if there are more.
func (l *layout) unsigned(bytes string) (n uint64) {
	for i := range len(bytes) {
		if l.bigEndian {
			n = n<<8 | uint64(bytes[i])
		} else {
			n = n<<8 | uint64(bytes[len(bytes)-1-i])
		}
	}
	return n
}

// signed reads a number in two's complement. Where the sign is follows from the size
// modulo 8, as it does in Redis.
func (l *layout) signed(bytes string) int64 {
	n := l.unsigned(bytes)
	mask := ^uint64(0) << ((len(bytes)*8 - 1) & 63)
	if n&mask != 0 {
		n |= mask
	}
	return int64(n)
}

func structSize(t *lua.Thread) int {
	l := newLayout(t)
	var position uint64
	for option, size := l.next(); option != 0; option, size = l.next() {
		position += uint64(l.padding(position, option, size))
		switch {
		case option == 's':
			t.ArgError(1, "option 's' has no fixed size")
		case option == 'c' && size == 0:
			t.ArgError(1, "option 'c0' has no fixed size")
		case !isDigit(option) && !isLetter(option):
			l.control(option)
		}
		position += uint64(size)
	}
	return t.Return(lua.Number(float64(int64(position))))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
