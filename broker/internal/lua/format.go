package lua

import (
	"math"
	"strconv"
	"strings"
)

// A verb is one of string.format's: %-5.2f has the flag -, the width 5 and the precision 2.
type verb struct {
	minus, plus, space, sharp, zero bool

	width     int
	precision int // -1 if there is none
	letter    byte
}

func stringFormat(t *Thread) int {
	format := t.CheckString(1)
	args := t.NArgs()
	arg := 1
	var out []byte
	for i := 0; i < len(format); {
		c := format[i]
		i++
		if c != '%' {
			out = append(out, c)
			continue
		}
		if i < len(format) && format[i] == '%' {
			out = append(out, '%')
			i++
			continue
		}
		if arg++; arg > args {
			t.ArgError(arg, "no value")
		}
		v, width := t.scanVerb(format[i:])
		i += width
		out = t.appendVerb(out, v, arg)
		t.checkLength(len(out))
	}
	return t.Return(t.madeString(out))
}

// scanVerb reads a verb behind its %.
func (t *Thread) scanVerb(format string) (v verb, width int) {
	v.precision = -1
	at := func(i int) byte {
		if i < len(format) {
			return format[i]
		}
		return 0
	}
	i := 0
	for ; at(i) != 0 && strings.IndexByte("-+ #0", at(i)) >= 0; i++ {
		switch at(i) {
		case '-':
			v.minus = true
		case '+':
			v.plus = true
		case ' ':
			v.space = true
		case '#':
			v.sharp = true
		case '0':
			v.zero = true
		}
	}
	if i >= len("-+ #0")+1 {
		t.Errorf("invalid format (repeated flags)")
	}
	number := func() (n int) {
		for range 2 {
			if isDigit(at(i)) {
				n = n*10 + int(at(i)-'0')
				i++
			}
		}
		return n
	}
	v.width = number()
	if at(i) == '.' {
		i++
		v.precision = number()
	}
	if isDigit(at(i)) {
		t.Errorf("invalid format (width or precision too long)")
	}
	v.letter = at(i)
	return v, i + 1
}

// appendVerb writes an argument.
func (t *Thread) appendVerb(out []byte, v verb, arg int) []byte {
	switch v.letter {
	case 'c':
		c := byte(toInt32(t.CheckNumber(arg)))
		if c == 0 { // what follows it is lost, as in C
			return v.appendZeroByte(out)
		}
		return v.pad(out, "", string([]byte{c}), false)
	case 'd', 'i':
		return v.appendInteger(out, toInteger(t.CheckNumber(arg)))
	case 'o', 'u', 'x', 'X':
		return v.appendUnsigned(out, toUnsigned(t.CheckNumber(arg)))
	case 'e', 'E', 'f', 'g', 'G':
		return v.appendFloat(out, t.CheckNumber(arg))
	case 'q':
		return appendQuoted(out, t.CheckString(arg))
	case 's':
		s := t.CheckString(arg)
		if v.precision < 0 && len(s) >= 100 {
			t.Count(len(s) >> countedBytes)
			return append(out, s...)
		}
		s = cString(s)
		if v.precision >= 0 && v.precision < len(s) {
			s = s[:v.precision]
		}
		return v.pad(out, "", s, false)
	}
	if v.letter == 0 {
		t.Errorf("invalid option '%%' to 'format'")
	}
	t.Errorf("invalid option '%%%s' to 'format'", string([]byte{v.letter}))
	return nil
}

// appendZeroByte writes a zero byte, or rather the spaces before it.
func (v verb) appendZeroByte(out []byte) []byte {
	if v.minus {
		return out
	}
	return append(out, strings.Repeat(" ", max(v.width-1, 0))...)
}

// pad writes a text with spaces before or behind it, or with zeros behind its sign.
func (v verb) pad(out []byte, sign, text string, zeros bool) []byte {
	missing := max(v.width-len(sign)-len(text), 0)
	switch {
	case v.minus:
		out = append(append(out, sign...), text...)
		return append(out, strings.Repeat(" ", missing)...)
	case zeros:
		out = append(append(out, sign...), strings.Repeat("0", missing)...)
		return append(out, text...)
	}
	out = append(out, strings.Repeat(" ", missing)...)
	return append(append(out, sign...), text...)
}

func (v verb) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case v.plus:
		return "+"
	case v.space:
		return " "
	}
	return ""
}

// digits adds zeros up to the precision. The number 0 has no digits with the precision 0.
func (v verb) digits(text string) string {
	if v.precision == 0 && text == "0" {
		return ""
	}
	return strings.Repeat("0", max(v.precision-len(text), 0)) + text
}

func (v verb) appendInteger(out []byte, n int64) []byte {
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	text := v.digits(strconv.FormatUint(magnitude, 10))
	return v.pad(out, v.sign(n < 0), text, v.zero && v.precision < 0)
}

func (v verb) appendUnsigned(out []byte, n uint64) []byte {
	base, prefix := 10, ""
	switch v.letter {
	case 'o':
		base = 8
	case 'x', 'X':
		base = 16
		if v.sharp && n != 0 {
			prefix = "0" + string(v.letter)
		}
	}
	text := v.digits(strconv.FormatUint(n, base))
	if v.letter == 'o' && v.sharp && !strings.HasPrefix(text, "0") {
		text = "0" + text
	}
	if v.letter == 'X' {
		text = strings.ToUpper(text)
	}
	return v.pad(out, prefix, text, v.zero && v.precision < 0)
}

func (v verb) appendFloat(out []byte, f float64) []byte {
	sign := v.sign(math.Signbit(f))
	f = math.Abs(f)
	upper := isUpper(v.letter)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return v.pad(out, sign, string(appendSpecial(nil, f, upper)), false)
	}
	precision := v.precision
	if precision < 0 {
		precision = 6
	}
	var text []byte
	switch v.letter {
	case 'f':
		text = strconv.AppendFloat(nil, f, 'f', precision, 64)
	case 'e', 'E':
		text = strconv.AppendFloat(nil, f, v.letter, precision, 64)
	default:
		text = appendGeneral(nil, f, precision, v.sharp, upper)
	}
	if v.sharp {
		text = withPoint(text)
	}
	return v.pad(out, sign, string(text), v.zero)
}

// withPoint adds a decimal point to a number that has none.
func withPoint(text []byte) []byte {
	end := len(text)
	for i, c := range text {
		if c == '.' {
			return text
		}
		if c == 'e' || c == 'E' {
			end = i
			break
		}
	}
	return append(text[:end:end], append([]byte{'.'}, text[end:]...)...)
}

// toUnsigned converts as C does on a 64-bit machine.
func toUnsigned(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(toInteger(f-1<<63)) ^ 1<<63
	}
	return uint64(toInteger(f))
}

// appendQuoted writes a string so that Lua reads it back.
func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for _, c := range []byte(s) {
		switch c {
		case '"', '\\', '\n':
			out = append(out, '\\', c)
		case '\r':
			out = append(out, `\r`...)
		case 0:
			out = append(out, `\000`...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
