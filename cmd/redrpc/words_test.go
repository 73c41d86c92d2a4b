package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t\n ", nil},
		{"tr a-z  A-Z ", []string{"tr", "a-z", "A-Z"}},
		{`a'b c'd`, []string{"ab cd"}},
		{`'' ""`, []string{"", ""}},
		{`'a"b\' "c'd"`, []string{`a"b\`, "c'd"}},
		{`"a\"b\\c\$d\e"`, []string{`a"b\c$d\e`}},
		{`a\ b \'c \\ \d`, []string{"a b", "'c", `\`, "d"}},
		{`sh -c "echo $X; echo *" ~`, []string{"sh", "-c", "echo $X; echo *", "~"}},
	} {
		if got, err := splitWords(c.text); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, expected %q", c.text, got, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"a 'b", "began with '"}, {`a "b\"`, `began with "`}, {`a \`, `after the \`},
	} {
		if got, err := splitWords(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, %v, expected an error with %q", c.text, got, err, c.want)
		}
	}
}
