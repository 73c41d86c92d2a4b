package resp

import (
	"math"
	"strconv"
	"testing"
)

func TestParseInt(t *testing.T) {
	for _, s := range []string{"0", "1", "-1", "9223372036854775807", "-9223372036854775808"} {
		want, err := strconv.ParseInt(s, 10, 64)
		if got, ok := ParseInt([]byte(s)); !ok || err != nil || got != want {
			t.Errorf("%s: got %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "x", "9223372036854775808",
		"-9223372036854775809", "18446744073709551617", "99999999999999999999", "100000000000000000000"} {
		if got, ok := ParseInt([]byte(s)); ok {
			t.Errorf("%q: got %d, expected a refusal", s, got)
		}
	}
}

func TestParseFloat(t *testing.T) {
	for s, want := range map[string]float64{"0": 0, "1.5": 1.5, "+1": 1, ".5": .5, "1e3": 1000, "0x10": 16, "0X1P1": 2, "01": 1, "-0": 0, "0e-999": 0, "0x0p9": 0} {
		if got, ok := ParseFloat([]byte(s)); !ok || got != want {
			t.Errorf("%s: got %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", " 1", "1 ", "nan", "x", "1_0", "0x_1", "1e", "1e400", "1e-400", "0x1p-2000"} {
		if got, ok := ParseFloat([]byte(s)); ok {
			t.Errorf("%q: got %v, expected a refusal", s, got)
		}
	}
}

func TestStrtod(t *testing.T) {
	for s, want := range map[string]float64{"": 0, "\x00x": 0, "1.5": 1.5, " \t\n1": 1, "2\x00x": 2, "1e400": math.Inf(1), "-1e400": math.Inf(-1), "1e-400": 0, "0x10": 16, "-inf": math.Inf(-1), "Infinity": math.Inf(1), "5e-324": 5e-324} {
		if got, ok := Strtod([]byte(s)); !ok || got != want {
			t.Errorf("%q: got %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{" ", "1 ", "nan", "x", "1_0", "0x", "1e", "(1", "1 2"} {
		if got, ok := Strtod([]byte(s)); ok {
			t.Errorf("%q: got %v, expected a refusal", s, got)
		}
	}
}

// Floating-point numbers are written as C's %.17g writes them.
func TestAppendFloat(t *testing.T) {
	for want, f := range map[string]float64{"0": 0, "-0": math.Copysign(0, -1), "1": 1, "-1000000": -1e6, "0.5": 0.5, "0.10000000000000001": 0.1, "3.1000000000000001": 3.1, "999999999999999": 999999999999999,
		"1000000000000000": 1e15, "10000000000000000": 1e16, "1e+17": 1e17, "1.2345678901234568e+17": 123456789012345678, "1.0000000000000001e-05": 1e-5, "0.0001": 1e-4, "4.9406564584124654e-324": 5e-324,
		"inf": math.Inf(1), "-inf": math.Inf(-1), "nan": math.NaN(), "-9.2233720368547758e+18": math.MinInt64, "1.7976931348623157e+308": math.MaxFloat64} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
