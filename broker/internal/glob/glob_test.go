package glob

import (
	"strings"
	"testing"
)

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
		if got, want := Match(pattern, s, false), matchPlainly(pattern, s); got != want {
			t.Errorf("match(%q, %q): got %v, want %v", pattern, s, got, want)
		}
	})
}

// The pattern that takes the plain way for ever.
func TestMatchTakesBoundedTime(t *testing.T) {
	if Match(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 10_000), false) {
		t.Error("it matched")
	}
}
