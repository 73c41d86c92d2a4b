package terminal

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// dangerous is what no terminal is to get of others: each has power over it, or over who
// reads it.
var dangerous = []rune("\x00\a\b\r\x1b\x7f\u0085\u009b\u009d" + // control characters, C1 too
	"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" + // direction
	"\u00ad\u034f\u115f\u1160\u17b4\u180e\u200b\u200c\u200d\u2028\u2029\u2060\u2064\u3164\ufe0f\ufeff\uffa0\U000e0001\U000e0041\U000e0100") // invisible

func TestIsSafe(t *testing.T) {
	for _, r := range dangerous {
		if IsSafe(r) {
			t.Errorf("%U is said to be safe", r)
		}
	}
	for _, r := range " az~é漢字ـا😀→█\uFFFD\u0301" {
		if !IsSafe(r) {
			t.Errorf("%U is said not to be safe", r)
		}
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ in, text, line, quoted string }{
		{"", "", "", ""},
		{"é <&> 漢", "é <&> 漢", "é <&> 漢", "é <&> 漢"},
		{"a\n\tb\r\x1b[2J", "a\n\tb??[2J", "a??b??[2J", `"a\n\tb\r\x1b[2J"`},
		{"\u009b\u202e\x7f\u200b", "????", "????", `"\u009b\u202e\x7f\u200b"`},
		{"a\u3164", "a?", "a?", `"a\u3164"`},
		{"\xff\x9b", "\uFFFD\uFFFD", "\uFFFD\uFFFD", `"\xff\x9b"`},
	} {
		if got := Text(c.in); got != c.text {
			t.Errorf("Text(%q): got %q, expected %q", c.in, got, c.text)
		}
		var written strings.Builder
		if n, err := Writer(&written).Write([]byte(c.in)); n != len(c.in) || err != nil || written.String() != c.text {
			t.Errorf("Writer: of %q it wrote %q, %d, %v", c.in, written.String(), n, err)
		}
		if got := Line(c.in); got != c.line {
			t.Errorf("Line(%q): got %q, expected %q", c.in, got, c.line)
		}
		if got := Quoted(c.in); got != c.quoted {
			t.Errorf("Quoted(%q): got %s, expected %s", c.in, got, c.quoted)
		}
	}
}

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"é<&>"}`:           `{"a":"é<&>"}`,
		"\"\u009b2J\"":           `"\u009b2J"`,
		"\"\u202e \x7f\"":        `"\u202e \u007f"`,
		"\"\u200b\U000e0001\"":   `"\u200b\udb40\udc01"`,
		"\"a\u3000b\"":           "\"a\u3000b\"",
		"\"\xff\"":               "\"\uFFFD\"",
		"{\n  \"a\": \"\\n\"\n}": "{\n  \"a\": \"\\n\"\n}",
	} {
		got := JSON([]byte(text))
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%q: got %q, expected %q", text, got, want)
		}
	}
}

// Whatever comes in, what goes out is safe, says the same, and is itself if nothing was
// to be done.
func FuzzForms(f *testing.F) {
	f.Add("text")
	f.Add(string(dangerous))
	f.Add("\xff\x9b2J\xc2")
	f.Fuzz(func(t *testing.T, s string) {
		isUnsafeBlank := func(r rune) bool { return !IsSafe(r) && !unicode.Is(unicode.Zs, r) }
		if got := Line(s); strings.ContainsFunc(got, isUnsafe) || utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Errorf("Line(%q): got %q", s, got)
		}
		if got := Text(s); strings.ContainsFunc(strings.NewReplacer("\n", "", "\t", "").Replace(got), isUnsafe) ||
			strings.Count(got, "\n") != strings.Count(s, "\n") {
			t.Errorf("Text(%q): got %q", s, got)
		}
		if got := Quoted(s); strings.ContainsFunc(got, isUnsafe) || !utf8.ValidString(got) {
			t.Errorf("Quoted(%q): got %q", s, got)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var was, is string
		got := JSON(text)
		if strings.ContainsFunc(string(got), isUnsafeBlank) {
			t.Errorf("JSON of %q: got %q", s, got)
		}
		if err := json.Unmarshal(text, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &is); err != nil || is != was {
			t.Errorf("JSON of %q: got %q, which reads %q, %v", s, got, is, err)
		}
	})
}
