package figure

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0ns",
		812:                        "812ns",
		25_340:                     "25.3µs",
		999_499:                    "999µs",
		999_500:                    "1.00ms",
		4_071_000:                  "4.07ms",
		9_996_000:                  "10.0ms",
		999_600 * time.Microsecond: "1.00s",
		182 * time.Second:          "182s",
		-2 * time.Millisecond:      "-2.00ms",
		math.MinInt64:              "-9223372037s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns is %q, expected %q", d, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d is %q, expected %q", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0 calls", 1: "1 call", 2: "2 calls", 10_001: "10,001 calls"} {
		if got := Count(n, "call"); got != want {
			t.Errorf("%d is %q, expected %q", n, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.00005231: "0.0000523", 0.25: "0.25", 12.345: "12.3", 50: "50", 100.4: "100", 98765.5: "98,766"} {
		if got := Rate(v); got != want {
			t.Errorf("%v is %q, expected %q", v, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{
		0: "0 %", 2.5e-9: "0.00000025 %", 0.00043: "0.043 %", 0.125: "12.5 %", 0.5: "50 %", 0.33333: "33.3 %", 0.99994: "99.99 %", 1: "100 %", 2.5: "250 %", 35147.8: "3,514,780 %",
	} {
		if got := Percent(share); got != want {
			t.Errorf("%v is %q, expected %q", share, got, want)
		}
	}
}
