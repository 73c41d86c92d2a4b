package command

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SET k:__key__ __data__", "SET|k:7|data"},
		{`set "a \x41\n" 'it\'s'`, "set|a A\n|it's"},
		{`GET ""`, "GET|"},
		{"MSET a__key__b x __key__ __data____data__", "MSET|a7b|x|7|datadata"},
		{"GET __", "GET|__"},
		{"GET a__b", "GET|a__b"},
		{"GET __a b__", "GET|__a|b__"},
		{"GET ____key__", "GET|____key__"},
	} {
		parsed, err := parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := strings.Join(parsed.with(7, "data"), "|"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", "got an empty one"},
		{"  ", "got an empty one"},
		{`GET "k`, "every quote to be closed"},
		{`GET 'k'x`, "every quote to be closed"},
		{"GET __kye__", "the unknown placeholder __kye__"},
		{"GET a__KEY__", "the unknown placeholder __KEY__"},
		{"__key__ x", "the name of a command first"},
		{"GET __key__:__key__", "__key__ once in an argument"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestParsePatternAndSize(t *testing.T) {
	for _, text := range []string{"sequential", "uniform", "zipf", "zipf:1", "zipf:1.5"} {
		if p, err := ParsePattern(text); err != nil || p.String() != text {
			t.Errorf("%s: got %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "random", "zipf:", "zipf:0", "zipf:11", "zipf:x", "zipf:NaN", "uniform:1"} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("%q: got %v", text, p)
		}
	}
	for _, text := range []string{"0", "32", "10..1000", "0..1"} {
		if s, err := ParseSize(text); err != nil || s.String() != text {
			t.Errorf("%s: got %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "-1", "x", "10..", "..5", "20..10", "1000000000"} {
		if s, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %v", text, s)
		}
	}
}
