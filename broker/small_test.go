package broker

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// matchPlainly is the definition of a glob, without care for time.
func matchPlainly(pattern, s string) bool {
	if s == "" {
		return pattern == ""
	}
	return plainly(pattern, s)
}

func plainly(pattern, s string) bool {
	if pattern == "" || s == "" {
		return strings.Trim(pattern, "*") == "" && s == ""
	}
	if pattern[0] == '*' {
		return plainly(pattern[1:], s) || plainly(pattern, s[1:])
	}
	width, ok := matchOne(pattern, s[0], false)
	return ok && plainly(pattern[width:], s[1:])
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"*", "a*b", "h[a-c]?", "[^x]*", `\*a`, "**a", "[", "[]", "a[b", `\`} {
		f.Add(pattern, "aab")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			return // the plain way takes exponential time
		}
		if got, want := match(pattern, s, false), matchPlainly(pattern, s); got != want {
			t.Errorf("match(%q, %q): got %v, want %v", pattern, s, got, want)
		}
	})
}

// The pattern that takes the plain way for ever.
func TestMatchTakesBoundedTime(t *testing.T) {
	if match(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 10_000), false) {
		t.Error("it matched")
	}
}

// Alarms come out in order, whatever was set, moved and cleared before; those for the
// same time in the order in which they were set.
func TestAlarms(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var h Queue
	h.sets = math.MaxUint32 - 2000 // it overflows meanwhile
	all := make([]Alarm, 500)
	for range 5000 {
		a := &all[random.IntN(len(all))]
		if random.IntN(3) == 0 {
			h.Clear(a)
		} else {
			h.Set(a, nil, random.Int64N(1000))
		}
	}
	var want, got []*Alarm
	for i := range all {
		if all[i].place != 0 {
			want = append(want, &all[i])
		}
	}
	slices.SortFunc(want, func(a, b *Alarm) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(int32(a.number), int32(b.number)))
	})
	for a := h.First(); a != nil; a = h.First() {
		got = append(got, a)
		h.Clear(a)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
