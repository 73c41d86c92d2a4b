package resp

import (
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
