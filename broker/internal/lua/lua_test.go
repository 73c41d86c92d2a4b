package lua

import (
	"crypto/sha1"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// newProtected makes a state whose globals are as Redis protects them.
func newProtected() *State {
	s := New()
	meta := NewTable(0, 1)
	meta.SetString("__index", s.NewFunction(func(t *Thread) int {
		name, _ := t.Arg(2).ToString()
		t.Errorf("Script attempted to access nonexistent global variable '%s'", name)
		return 0
	}).Value())
	s.Globals().SetMeta(meta)
	s.Globals().SetString("KEYS", NewTable(0, 0).Value())
	s.Globals().SetString("ARGV", NewTable(0, 0).Value())
	s.Globals().SetReadOnly(true)
	for _, name := range []string{"string", "table", "math", "coroutine"} {
		library, _ := s.Globals().GetString(name).AsTable()
		library.SetReadOnly(true)
	}
	s.strings.SetReadOnly(true)
	return s
}

// eval answers as EVAL does, as text.
func eval(s *State, script string) string {
	s.SeedRandom(0)
	f, err := s.Load(script, "@user_script")
	if err != nil {
		return "-ERR Error compiling script (new function): " + err.Error()
	}
	results, err := s.Call(f)
	if err != nil {
		return evalError(err.(*Error), script)
	}
	if len(results) == 0 {
		return "nil"
	}
	return reply(results[0])
}

func evalError(e *Error, script string) string {
	suffix := fmt.Sprintf(" script: %x, on %s:%d.", sha1.Sum([]byte(script)), e.Source, e.Line)
	if e.Unhandled {
		return fmt.Sprintf("-ERR Error running script (call to f_%x): %s", sha1.Sum([]byte(script)), e.Error())
	}
	if t, ok := e.Value.AsTable(); ok {
		text, _ := t.GetString("err").ToString()
		return "-" + text + suffix
	}
	return "-ERR " + e.Value.Describe() + suffix
}

// reply writes a value as EVAL replies it.
func reply(v Value) string {
	switch v.Type() {
	case TypeBoolean:
		if v.Truth() {
			return ":1"
		}
	case TypeNumber:
		return ":" + strconv.FormatInt(toInteger(v.float()), 10)
	case TypeString:
		return quote(v.str())
	case TypeTable:
		var all []string
		for i := 1; !v.table().GetInt(i).IsNil(); i++ {
			all = append(all, reply(v.table().GetInt(i)))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return "nil"
}

// quote writes a string on one line. Quotes in it stay as they are.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c == '\\':
			b = append(b, `\\`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c < 0x20 || c >= 0x7f:
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// A snippet is a script and its answer.
type snippet struct{ script, answer string }

func readSnippets(t testing.TB, name string) (all []snippet) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch answer, isAnswer := strings.CutPrefix(line, "= "); {
		case isAnswer:
			all = append(all, snippet{script, answer})
		case strings.HasPrefix(line, "#"):
		default:
			script = line
		}
	}
	return all
}

func TestSnippets(t *testing.T) {
	s := newProtected()
	for _, c := range readSnippets(t, "testdata/snippets.txt") {
		if strings.Contains(c.script, "redis") || strings.Contains(c.script, "cjson") {
			continue
		}
		if got := eval(s, c.script); got != c.answer {
			t.Errorf("%s\n got %s\nwant %s", c.script, got, c.answer)
		}
	}
}
