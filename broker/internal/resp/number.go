package resp

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// ParseInt reads a decimal integer as strictly as Redis does: no plus sign, no
// leading zero, no space, and nothing out of the range of an int64.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits, negative := b, b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var n uint64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		if n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	if negative {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	if n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), true
}

// maxFloat is the length from which on Redis takes nothing for a number.
const maxFloat = 5 << 10

// ParseFloat reads a decimal or hexadecimal floating-point number, infinities
// included. What is no number is refused, and what is too large or too small for a
// float64.
func ParseFloat(b []byte) (float64, bool) {
	s, valid := floatDigits(b)
	if !valid {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && (f != 0 || isZero(s))
}

// Strtod reads a floating-point number as C's strtod does, up to the first zero byte: space
// before it is skipped, and nothing is 0. What is too large is infinite, and what is too small
// is 0.
func Strtod(b []byte) (f float64, valid bool) {
	s := CString(b, len(b))
	if s == "" {
		return 0, true
	}
	s, valid = floatDigits([]byte(strings.TrimLeft(s, " \t\n\v\f\r")))
	if !valid {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, (err == nil || errors.Is(err, strconv.ErrRange)) && !math.IsNaN(f)
}

// AppendFloat writes a floating-point number with 17 digits, as C's %.17g does, so that it
// reads as the same number.
func AppendFloat(b []byte, f float64) []byte {
	const exact = 1e15
	switch n := int64(f); {
	case float64(n) == f && -exact < f && f < exact && (n != 0 || !math.Signbit(f)):
		return strconv.AppendInt(b, n, 10)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	case math.IsNaN(f) && math.Signbit(f):
		return append(b, "-nan"...)
	case math.IsNaN(f):
		return append(b, "nan"...)
	}
	return strconv.AppendFloat(b, f, 'g', 17, 64)
}

// floatDigits returns a floating-point number in the way in which Go writes it: in C
// the exponent of a hexadecimal one may be absent. It refuses what only Go takes for
// one.
func floatDigits(b []byte) (digits string, valid bool) {
	s := string(b)
	if s == "" || len(s) >= maxFloat || strings.ContainsRune(s, '_') {
		return "", false
	}
	if strings.ContainsAny(s, "xX") && !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	return s, true
}

// isZero reports whether a number that reads as 0 is written as such, not only too
// small.
func isZero(s string) bool {
	s = strings.TrimLeft(strings.ToLower(s), "+-")
	if hex, isHex := strings.CutPrefix(s, "0x"); isHex {
		digits, _, _ := strings.Cut(hex, "p")
		return strings.Trim(digits, "0.") == ""
	}
	digits, _, _ := strings.Cut(s, "e")
	return strings.Trim(digits, "0.") == ""
}

// longDoubleBits is the number of bits in the fraction of C's long double on x86, in
// which Redis computes. The exponents of its numbers, whose fraction is less than 1,
// are between the other two.
const (
	longDoubleBits     = 64
	longDoubleLeast    = -16445
	longDoubleGreatest = 16384
)

// ParseLongDouble is like ParseFloat for a long double. It returns nil for what is
// not one, and a sign for an infinity.
func ParseLongDouble(b []byte) (f *big.Float, infinity int) {
	s, valid := floatDigits(b)
	if !valid {
		return nil, 0
	}
	switch near, err := strconv.ParseFloat(s, 64); {
	case math.IsNaN(near), err != nil && !errors.Is(err, strconv.ErrRange):
		return nil, 0
	case err == nil && math.IsInf(near, 1):
		return new(big.Float), 1
	case err == nil && math.IsInf(near, -1):
		return new(big.Float), -1
	}
	f, _, err := big.ParseFloat(s, 0, longDoubleBits, big.ToNearestEven)
	if err != nil { // decimal numbers may begin with a 0, which base 0 takes for octal
		f, _, err = big.ParseFloat(s, 10, longDoubleBits, big.ToNearestEven)
	}
	if err != nil || f.IsInf() || f.Sign() == 0 && !isZero(s) || f.Sign() != 0 && !isLongDouble(f) {
		return nil, 0
	}
	return f, 0
}

// SumLongDoubles adds two long doubles, and writes the sum as Redis does. It reports false
// for one that is too large.
func SumLongDoubles(x, y *big.Float) (digits string, fits bool) {
	sum := new(big.Float).SetPrec(longDoubleBits).Add(x, y)
	if sum.MantExp(nil) > longDoubleGreatest {
		return "", false
	}
	digits = sum.Text('f', 17)
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	if digits == "-0" {
		digits = "0"
	}
	return digits, true
}

// isLongDouble reports whether a number other than 0 is neither too large nor too
// small.
func isLongDouble(f *big.Float) bool {
	exponent := f.MantExp(nil)
	return longDoubleLeast <= exponent && exponent <= longDoubleGreatest
}

// ParseCursor reads a cursor as C's strtoul does: signs and leading zeros are fine,
// and nothing is 0.
func ParseCursor(b []byte) (uint64, bool) {
	s := CString(b, len(b))
	if s == "" {
		return 0, true
	}
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// Atoi reads the number that a text begins with, as C's atoi does; 0 if there is
// none.
func Atoi(b []byte) int {
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	end := 0
	for end < len(b) && ('0' <= b[end] && b[end] <= '9' || end == 0 && (b[0] == '-' || b[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(string(b[:end]), 10, 64) // the nearest int64, or 0
	return int(int32(n))
}

// Lower writes the ASCII lower case of name into buf and returns that part of
// buf, or nil if name does not fit.
func Lower(buf, name []byte) []byte {
	if len(name) > len(buf) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)]
}

// Is reports whether an argument is the given word, which is in upper case.
func Is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// ParseRange reads two indexes.
func ParseRange(args [][]byte) (start, stop int64, ok bool) {
	start, ok1 := ParseInt(args[0])
	stop, ok2 := ParseInt(args[1])
	return start, stop, ok1 && ok2
}

// ParseInt32 reads an integer of 32 bits.
func ParseInt32(arg []byte) (int32, *Reply) {
	n, isInt := ParseInt(arg)
	switch {
	case !isInt:
		return 0, &NotAnInteger
	case n != int64(int32(n)):
		return 0, &NotAnInt32
	}
	return int32(n), nil
}

// ParseCount reads a number of elements, of which a negative one has its opposite.
func ParseCount(arg []byte) (int64, *Reply) {
	n, isInt := ParseInt(arg)
	switch {
	case !isInt:
		return 0, &NotAnInteger
	case n == math.MinInt64:
		return 0, &NotACount
	}
	return n, nil
}
