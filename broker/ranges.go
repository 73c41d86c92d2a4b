package broker

import (
	"math"
	"math/big"
	"strings"
)

// Commands for parts of strings, and for numbers with a fraction.

func getrange(c *call, args [][]byte) reply {
	start, stop, isInt := parseRange(args[2:])
	if !isInt {
		return notAnInteger
	}
	t, isText := c.lookup(args[1]).text()
	switch {
	case !isText:
		return wrongType
	case t == nil:
		return bulk(nil)
	}
	size := int64(len(t.bytes))
	if start < 0 && stop < 0 && start > stop {
		return bulk(nil)
	}
	if start < 0 {
		start = max(0, start+size)
	}
	if stop < 0 {
		stop = max(0, stop+size)
	}
	stop = min(stop, size-1)
	if start > stop {
		return bulk(nil)
	}
	return bulk(t.bytes[start : stop+1])
}

func setrange(c *call, args [][]byte) reply {
	offset, isInt := parseInt(args[2])
	switch {
	case !isInt:
		return notAnInteger
	case offset < 0:
		return failure("ERR offset is out of range")
	}
	value := args[3]
	e := c.find(args[1])
	t, isText := e.text()
	switch {
	case !isText:
		return wrongType
	case len(value) == 0 && t == nil:
		return zero
	case len(value) == 0:
		return count(len(t.bytes))
	case offset > int64(c.options.MaxBulk-len(value)):
		return tooLong
	case t == nil:
		t = &text{}
		c.add(c.db, args[1], t)
	}
	t.extend(int(offset) + len(value))
	copy(t.bytes[offset:], value)
	t.form = grown
	c.changed(args[1], stringEvent, "setrange")
	return count(len(t.bytes))
}

// longDouble is the number of bits in the fraction of C's long double on x86, in
// which Redis computes.
const longDouble = 64

// parseLongDouble reads a number as strtold does. It returns nil for what is not
// one, and reports whether it is infinite.
func parseLongDouble(b []byte) (f *big.Float, infinite bool) {
	approximate, isFloat := parseFloat(b)
	if !isFloat {
		return nil, false
	}
	s := string(b)
	if strings.ContainsAny(s, "xX") && !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	f, _, err := big.ParseFloat(s, 0, longDouble, big.ToNearestEven)
	if err != nil { // decimal numbers may begin with a 0, which base 0 takes for octal
		f, _, err = big.ParseFloat(s, 10, longDouble, big.ToNearestEven)
	}
	if err != nil || f.IsInf() {
		return new(big.Float), math.IsInf(approximate, 0)
	}
	return f, false
}

func incrbyfloat(c *call, args [][]byte) reply {
	e := c.find(args[1])
	t, isText := e.text()
	if !isText {
		return wrongType
	}
	notAFloat := failure("ERR value is not a valid float")
	sum, infinite := new(big.Float).SetPrec(longDouble), false
	if t != nil {
		if sum, infinite = parseLongDouble(t.bytes); sum == nil {
			return notAFloat
		}
	}
	by, byInfinite := parseLongDouble(args[2])
	if by == nil {
		return notAFloat
	}
	if infinite || byInfinite {
		return failure("ERR increment would produce NaN or Infinity")
	}
	sum.Add(sum, by)
	digits := sum.Text('f', 17)
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	if digits == "-0" {
		digits = "0"
	}
	e = c.assign(e, args[1], []byte(digits), true, "incrbyfloat")
	e.value.(*text).form = spelled
	return bulkString(digits)
}
