package lua

import (
	"math"
	"strconv"
	"strings"
)

// formatNumber writes a number as "%.14g" does.
func formatNumber(f float64) string {
	var buffer [32]byte
	return string(appendNumber(buffer[:0], f))
}

func appendNumber(b []byte, f float64) []byte {
	if -1e14 < f && f < 1e14 {
		if n := int64(f); float64(n) == f && (n != 0 || !math.Signbit(f)) {
			return strconv.AppendInt(b, n, 10)
		}
	}
	return appendGeneral(b, f, 14, false, false)
}

// appendGeneral writes f as %g does with this precision. Alternative keeps the zeros at
// the end, as the flag # does.
func appendGeneral(b []byte, f float64, precision int, alternative, upper bool) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return appendSpecial(b, f, upper)
	case precision == 0:
		precision = 1
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'e', precision-1, 64)
	e := len(b) - 1
	for b[e] != 'e' {
		e--
	}
	exponent, _ := strconv.Atoi(string(b[e+1:]))
	if exponent < -4 || exponent >= precision {
		tail := string(b[e:])
		b = b[:e]
		if !alternative {
			b = trimZeros(b, start)
		}
		b = append(b, tail...)
	} else {
		b = strconv.AppendFloat(b[:start], f, 'f', precision-1-exponent, 64)
		if !alternative {
			b = trimZeros(b, start)
		}
	}
	if upper {
		for i := start; i < len(b); i++ {
			if b[i] == 'e' {
				b[i] = 'E'
			}
		}
	}
	return b
}

// trimZeros drops the zeros after the decimal point of b[start:], and the point if nothing
// is left behind it.
func trimZeros(b []byte, start int) []byte {
	point := start
	for point < len(b) && b[point] != '.' {
		point++
	}
	if point == len(b) {
		return b
	}
	end := len(b)
	for b[end-1] == '0' {
		end--
	}
	if end-1 == point {
		end = point
	}
	return b[:end]
}

// appendSpecial writes an infinity or a NaN as C does.
func appendSpecial(b []byte, f float64, upper bool) []byte {
	text := "inf"
	if math.IsNaN(f) {
		text = "nan"
	}
	if upper {
		text = strings.ToUpper(text)
	}
	if math.Signbit(f) {
		b = append(b, '-')
	}
	return append(b, text...)
}

// parseNumber reads a number as the whole of s, with white space around it. As in C, the
// text ends at a zero byte.
func parseNumber(s string) (f float64, ok bool) {
	if end := strings.IndexByte(s, 0); end >= 0 {
		s = s[:end]
	}
	f, length := scanFloat(s)
	if length == 0 {
		return 0, false
	}
	for _, c := range []byte(s[length:]) {
		if !isSpace(c) {
			return 0, false
		}
	}
	return f, true
}

// scanFloat reads a number as strtod does: how many bytes it has with the white space
// before it, or 0 if there is none.
func scanFloat(s string) (f float64, length int) {
	start := 0
	for start < len(s) && isSpace(s[start]) {
		start++
	}
	i, negative := start, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	f, width := scanUnsigned(s[i:])
	if width == 0 {
		return 0, 0
	}
	if negative {
		f = -f
	}
	return f, i + width
}

func scanUnsigned(s string) (f float64, width int) {
	switch {
	case hasPrefixFold(s, "infinity"):
		return math.Inf(1), len("infinity")
	case hasPrefixFold(s, "inf"):
		return math.Inf(1), len("inf")
	case hasPrefixFold(s, "nan"):
		return math.Float64frombits(0x7ff8000000000000), len("nan") + scanTag(s[len("nan"):])
	case hasPrefixFold(s, "0x"):
		if width, exponent := scanDigits(s[2:], isHexDigit, 'p'); width > 0 {
			text := s[:2+width]
			if !exponent {
				text += "p0"
			}
			f, _ = strconv.ParseFloat(text, 64)
			return f, 2 + width
		}
		return 0, 1
	}
	width, _ = scanDigits(s, isDigit, 'e')
	if width == 0 {
		return 0, 0
	}
	f, _ = strconv.ParseFloat(s[:width], 64)
	return f, width
}

// scanTag measures the (text) that may follow nan.
func scanTag(s string) int {
	if s == "" || s[0] != '(' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == ')':
			return i + 1
		case !isAlphanumeric(s[i]) && s[i] != '_':
			return 0
		}
	}
	return 0
}

// scanDigits measures digits with a point and an exponent, which is given by a letter in
// lower case.
func scanDigits(s string, digit func(byte) bool, letter byte) (width int, exponent bool) {
	i, digits := 0, 0
	for ; i < len(s) && digit(s[i]); i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && digit(s[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(s) && s[i]|0x20 == letter {
		j := i + 1
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			for j < len(s) && isDigit(s[j]) {
				j++
			}
			return j, true
		}
	}
	return i, false
}

func hasPrefixFold(s, lower string) bool {
	return len(s) >= len(lower) && strings.EqualFold(s[:len(lower)], lower)
}

// toInteger converts as C does on a 64-bit machine: what does not fit becomes the lowest
// number.
func toInteger(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

// toInt32 converts as C does: what does not fit becomes the lowest number.
func toInt32(f float64) int32 {
	if f > math.MinInt32-1 && f < math.MaxInt32+1 {
		return int32(f)
	}
	return math.MinInt32
}

// Bytes as the C locale has them.

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func isAlpha(c byte) bool { return isLower(c | 0x20) }

func isAlphanumeric(c byte) bool { return isAlpha(c) || isDigit(c) }

func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isControl(c byte) bool { return c < 0x20 || c == 0x7f }

func isPunctuation(c byte) bool { return 0x20 < c && c < 0x7f && !isAlphanumeric(c) }
