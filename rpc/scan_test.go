package rpc

import (
	"encoding/json"
	"strings"
	"testing"
)

// validJSON is json.Valid by scanValue.
func validJSON(b []byte) bool {
	end := scanValue(b, skipSpace(b, 0), 0)
	return end >= 0 && skipSpace(b, end) == len(b)
}

var scanned = []string{
	``, ` `, `{}`, `[]`, `null`, `true`, `false`, `nul`, `truee`, `1`, `-1`, `-`, `01`, `-0`, `0.5`, `.5`, `1.`, `1e5`, `1E-5`, `1e`, `1e+`, `--1`, `+1`,
	`""`, `"`, `"a`, `"\"`, `"\u12g4"`, `"\u12"`, `"\uABcd"`, `"\x"`, "\"\n\"", "\"\x7f\"", `{"a":1}`, `{"a":1,}`, `{"a" 1}`, `{"a":}`, `{a:1}`, `{,}`, `{"a":1 "b":2}`,
	`[1,2]`, `[1,]`, `[,1]`, `[1 2]`, ` [ { "a" : [ ] , "b" : null } ] `, `[}`, `{]`, `1 2`, `{} {}`, "\ufeff{}", "\"\xff\"",
	strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
}

func TestScanValue(t *testing.T) {
	for _, s := range scanned {
		if got, want := validJSON([]byte(s)), json.Valid([]byte(s)); got != want {
			t.Errorf("%.80q: got %v, want %v", s, got, want)
		}
	}
}

func FuzzScanValue(f *testing.F) {
	for _, s := range scanned {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := validJSON(b), json.Valid(b); got != want {
			t.Errorf("%q: got %v, want %v", b, got, want)
		}
	})
}
