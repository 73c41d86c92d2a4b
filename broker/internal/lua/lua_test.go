package lua

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
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
	s.SetErrorHandler(redisErrorHandler)
	return s
}

// redisErrorHandler makes a table of an error, as that of Redis does.
func redisErrorHandler(t *Thread) int {
	v := t.Arg(1)
	source, line, ok := t.Position(1)
	if ok && source == "=[C]" {
		source, line, ok = t.Position(2)
	}
	table, isTable := v.AsTable()
	if !isTable {
		table = NewTable(0, 3)
		table.SetString("err", String("ERR "+v.Describe()))
	}
	if ok {
		table.SetString("source", String(source))
		table.SetString("line", Int(line))
	}
	return t.Return(table.Value())
}

// eval answers as EVAL does, as text.
func eval(s *State, script string) string {
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
	if e.Unhandled {
		return fmt.Sprintf("-ERR Error running script (call to f_%x): %s", sha1.Sum([]byte(script)), e.Error())
	}
	text := reply(e.Value)
	t, ok := e.Value.AsTable()
	if !ok {
		return "-" + e.Error()
	}
	source, _ := t.GetString("source").ToString()
	line, _ := t.GetString("line").ToString()
	if source == "" {
		return text
	}
	return fmt.Sprintf("%s script: %x, on %s:%s.", text, sha1.Sum([]byte(script)), source, line)
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
		if text, ok := v.table().GetString("err").ToString(); ok {
			return "-" + text
		}
		if text, ok := v.table().GetString("ok").ToString(); ok {
			return quote(text)
		}
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

// readSnippets reads scripts, of one line or more, each with a line that begins with = and
// has the answer. Lines between them that begin with # are comments.
func readSnippets(t testing.TB, name string) (all []snippet) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var script []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch answer, isAnswer := strings.CutPrefix(line, "="); {
		case isAnswer:
			all = append(all, snippet{strings.Join(script, "\n"), strings.TrimPrefix(answer, " ")})
			script = nil
		case len(script) == 0 && (line == "" || strings.HasPrefix(line, "#")):
		default:
			script = append(script, line)
		}
	}
	return all
}

// files are the snippets that this package can answer by itself.
func files(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("there are no snippets", err)
	}
	return names
}

// Scripts are answered as redis-server answers them.
func TestSnippets(t *testing.T) {
	for _, name := range files(t) {
		s := newProtected()
		for _, c := range readSnippets(t, name) {
			if got := eval(s, c.script); got != c.answer {
				t.Errorf("%s: %s\n got %s\nwant %s", name, c.script, got, c.answer)
			}
		}
	}
}
