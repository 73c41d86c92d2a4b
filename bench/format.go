package bench

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// formatLatency writes d to three digits in the unit that suits it: 812ns,
// 25.3µs, 4.07ms, 1.20s, 182s.
func formatLatency(d time.Duration) string {
	switch {
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

// formatFigure writes a figure in microseconds, and one that is not known as "-".
func formatFigure(us *float64) string {
	if us == nil {
		return "-"
	}
	return formatLatency(time.Duration(*us * float64(time.Microsecond)))
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

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// grouped writes n with a comma between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// printable is s with what could move a terminal's cursor escaped.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
