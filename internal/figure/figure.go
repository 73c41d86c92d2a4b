// Package figure writes numbers as people read them.
package figure

import (
	"math"
	"strconv"
	"time"
)

// Duration writes d to three digits in the unit that suits it: 812ns, 25.3µs,
// 4.07ms, 1.20s, 182s.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-max(d, -math.MaxInt64)) // the least one has no opposite
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < 999500*time.Nanosecond:
		return digits(float64(d)/float64(time.Microsecond)) + "µs"
	case d < 999500*time.Microsecond:
		return digits(float64(d)/float64(time.Millisecond)) + "ms"
	default:
		return digits(d.Seconds()) + "s"
	}
}

// Microseconds writes a duration in microseconds, and one that is not known as "-".
func Microseconds(us *float64) string {
	if us == nil {
		return "-"
	}
	return Duration(time.Duration(*us * float64(time.Microsecond)))
}

func digits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}

// Seconds writes s to the millisecond, without a unit.
func Seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// Percent writes a share, 1 being all, to three digits at most: 0.04 %, 12.5 %, 100 %.
func Percent(share float64) string {
	p := 100 * share
	switch {
	case p > 99.95 && p < 100:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	case p != 0 && p < 0.995:
		return plain(p, 2) + " %"
	case p >= 999.5 && p < 1e15:
		return Grouped(int64(p+0.5)) + " %"
	case p == float64(int64(p)), p >= 99.95:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
}

// plain writes v to so many digits, without an exponent.
func plain(v float64, digits int) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return "-" // no number has such a text
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// Grouped writes n with a comma between thousands.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count writes n and what is counted, given as it is for one: "1 call", "2,000 calls".
func Count(n int64, of string) string {
	if n != 1 {
		of += "s"
	}
	return Grouped(n) + " " + of
}

// Rate writes a number a second: whole and grouped from 100 on, below to three digits.
func Rate(perSecond float64) string {
	if perSecond > -99.95 && perSecond < 99.95 && perSecond != float64(int64(perSecond)) {
		return plain(perSecond, 3)
	}
	return Grouped(int64(perSecond + 0.5))
}
