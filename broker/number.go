package broker

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseInt reads a decimal integer as strictly as Redis does: no plus sign, no
// leading zero, no space, and nothing out of the range of an int64.
func parseInt(b []byte) (int64, bool) {
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

// parseFloat reads a decimal or hexadecimal floating-point number as C's strtold
// does, infinities included. Spaces and what is not a number are refused. What is
// too large is an infinity.
func parseFloat(b []byte) (float64, bool) {
	s := string(b)
	if s == "" || len(s) >= maxFloat || strings.ContainsRune(s, '_') {
		return 0, false
	}
	if strings.ContainsAny(s, "xX") && !strings.ContainsAny(s, "pP") {
		s += "p0" // strtold lets the exponent of a hexadecimal number be absent
	}
	f, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(f) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return f, true
}

// parseCursor reads a cursor as C's strtoul does: signs and leading zeros are fine,
// and nothing is 0.
func parseCursor(b []byte) (uint64, bool) {
	s := cString(b, len(b))
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

// atoi reads the number that a text begins with, as C's atoi does; 0 if there is
// none.
func atoi(b []byte) int {
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	end := 0
	for end < len(b) && ('0' <= b[end] && b[end] <= '9' || end == 0 && (b[0] == '-' || b[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(string(b[:end]), 10, 64) // the nearest int64, or 0
	return int(int32(n))
}

// lower writes the ASCII lower case of name into buf and returns that part of
// buf, or nil if name does not fit.
func lower(buf, name []byte) []byte {
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

// is reports whether an argument is the given word, which is in upper case.
func is(arg []byte, word string) bool {
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
