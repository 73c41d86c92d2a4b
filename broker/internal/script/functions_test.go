package script

import (
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

func newFunctions(h *testHost) *Functions { return NewFunctions(NewCache(h)) }

// load loads a library, and returns its name or the error.
func load(f *Functions, code string) string {
	l, err := f.Load([]byte(code), true)
	if err != nil {
		return text(*err, 3)
	}
	return l.Name
}

// call calls a function that is there.
func call(t testing.TB, f *Functions, name string, args ...string) string {
	t.Helper()
	function := f.Find([]byte(name))
	if function == nil {
		t.Fatalf("there is no function %s", name)
	}
	var given [][]byte
	for _, arg := range args {
		given = append(given, []byte(arg))
	}
	return text(function.Run(nil, given).Reply, 3)
}

// names are those of all libraries, with their functions.
func names(f *Functions) string {
	var all []string
	for _, l := range f.Libraries() {
		name := l.Name
		for _, function := range l.Functions {
			name += " " + function.Name
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// library is the code of one with functions that return the library's name.
func library(name string, functions ...string) string {
	code := "#!lua name=" + name + "\n"
	for _, f := range functions {
		code += "redis.register_function('" + f + "', function() return '" + name + "' end)\n"
	}
	return code
}

// A library that is not loaded changes nothing, and leaves nothing behind.
func TestLibraryThatFails(t *testing.T) {
	f := newFunctions(&testHost{})
	load(f, library("a", "f", "g"))
	load(f, library("b", "h"))
	for code, want := range map[string]string{
		library("a", "f", "H"):      "-ERR Function H already exists",
		library("a"):                "-ERR No functions registered",
		library("a", "f") + "x = 1": "-ERR Error registering functions: ERR user_function:3: Attempt to modify a readonly table",
		library("a", "f") + "local function r() r() end r()": "",
		library("a", "f") + "x y":                            "-ERR Error compiling function: user_function:3: '=' expected near 'y'",
		library("a", "f") + "redis.call('get')":              "-ERR Error registering functions: ERR user_function:3: Script attempted to access nonexistent global variable 'call'",
		library("a", "f") + "local s = ('x'):rep(1e9)":       "-ERR Error registering functions: ERR not enough memory",
	} {
		if got := load(f, code); want != "" && got != want || got == "a" {
			t.Errorf("%q: got %s, want %s", code, got, want)
		}
		if got := names(f); got != "a f g, b h" {
			t.Fatalf("after %q the libraries are %s", code, got)
		}
		if got := call(t, f, "G") + call(t, f, "h"); got != "$1 a$1 b" {
			t.Errorf("after %q the functions return %s", code, got)
		}
	}
	load(f, "#!lua name=c\nlocal r = redis redis.register_function('late', function() r.register_function('x', function() end) end)")
	if got, want := call(t, f, "late"), "-ERR redis.register_function can only be called on FUNCTION LOAD command script: late, on @user_function:2."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What a running function finds as globals is there again when a library has been loaded, or
// not.
func TestGlobalsOfFunctions(t *testing.T) {
	f := newFunctions(&testHost{reply: resp.OK})
	load(f, "#!lua name=a\nlocal type = redis.log redis.register_function('f', function() return {type(redis.call), redis.call('x').ok, type(redis.register_function), tostring(_G.redis == redis)} end)")
	const want = "*4 $8 function $2 OK $3 nil $4 true"
	for _, code := range []string{library("b", "g"), library("b"), library("b", "g") + "x = 1", "#!lua name=b\nx y"} {
		load(f, code)
		load(f, "#!lua name=a\nredis.register_function('f', function() return {type(redis.call), redis.call('x').ok, type(redis.register_function), tostring(_G.redis == redis)} end)")
		if got := call(t, f, "f"); got != want {
			t.Errorf("after %q: got %s, want %s", code, got, want)
		}
	}
}

// The code of a library has half a second.
func TestLoadTimeout(t *testing.T) {
	h := &testHost{step: 200 * time.Millisecond}
	f := newFunctions(h)
	for code, want := range map[string]string{
		library("a", "f") + "while true do end":                                       "-ERR Error registering functions: ERR FUNCTION LOAD timeout",
		library("a", "f") + "for i = 1, 20000 do end":                                 "a",
		library("a", "f") + "local s = ('a'):rep(1000) s:find(('a-'):rep(30) .. 'b')": "-ERR Error registering functions: ERR FUNCTION LOAD timeout",
	} {
		if got := load(f, code); got != want {
			t.Errorf("%q: got %s, want %s", code, got, want)
		}
	}
	h.step = 0
	load(f, "#!lua name=b\nredis.register_function('loop', function() while true do end end)")
	h.ends = errLoadTimeout // asked of the host now
	if got := call(t, f, "loop"); !strings.HasPrefix(got, "-ERR FUNCTION LOAD timeout script: loop") {
		t.Errorf("got %s", got)
	}
}

// A mistake of ours, in Go, does not cost the libraries that are there.
func TestRestart(t *testing.T) {
	h := &testHost{}
	f := newFunctions(h)
	load(f, library("a", "f"))
	load(f, library("b", "g"))
	h.panics = true
	func() {
		defer func() { h.panics = recover() == nil }()
		load(f, library("c", "h"))
	}()
	if got := names(f) + " " + call(t, f, "f") + call(t, f, "g"); got != "a f, b g $1 a$1 b" {
		t.Errorf("got %s", got)
	}
}

// Functions and scripts of EVAL draw numbers from one sequence.
func TestRandomIsShared(t *testing.T) {
	c := NewCache(&testHost{})
	f := NewFunctions(c)
	load(f, "#!lua name=a\nredis.register_function('f', function() return math.random(1000) end)")
	got := []string{text(run(t, c, "return math.random(1000)").Reply, 2), call(t, f, "f")}
	c.Flush()
	f.Restart()
	got = append(got, text(run(t, c, "return math.random(1000)").Reply, 2), call(t, f, "f"))
	want := NewCache(&testHost{})
	for i := range got {
		if w := text(run(t, want, "return math.random(1000)").Reply, 2); got[i] != w {
			t.Errorf("number %d is %s, want %s", i+1, got[i], w)
		}
	}
}

// Names in any case find a function. Of those that differ in nothing else the first counts,
// and no trace is left of the others.
func TestNamesOfFunctions(t *testing.T) {
	f := newFunctions(&testHost{})
	load(f, "#!lua name=a\nredis.register_function('Add_1', function() return 1 end) redis.register_function('ADD_1', function() return 2 end)")
	for _, name := range []string{"add_1", "ADD_1", "Add_1"} {
		if got := call(t, f, name); got != ":1" {
			t.Errorf("%s returns %s", name, got)
		}
	}
	for _, name := range []string{"", "add", "add_1\x00", "\u212aadd", "a"} {
		if f.Find([]byte(name)) != nil {
			t.Errorf("%q is found", name)
		}
	}
	if !f.Delete([]byte("a")) || f.Delete([]byte("a")) || f.Find([]byte("add_1")) != nil || f.Size() != 0 {
		t.Error("the library is still there, or was not")
	}
	if libraries, functions := f.Len(); libraries+functions != 0 {
		t.Errorf("%d libraries, %d functions", libraries, functions)
	}
}

// Restoring is all or nothing, by the policy.
func TestRestore(t *testing.T) {
	dump := func(codes ...string) []byte {
		f := newFunctions(&testHost{})
		for _, code := range codes {
			load(f, code)
		}
		return f.Dump()
	}
	for _, c := range []struct {
		payload []byte
		policy  Policy
		wrong   string
		want    string
	}{
		{dump(library("c", "h")), Append, "", "a f, b g, c h"},
		{dump(library("c", "h"), library("b", "x")), Append, "-ERR Library b already exists", "a f, b g"},
		{dump(library("c", "h"), library("d", "F")), Append, "-ERR Function F already exists", "a f, b g"},
		{dump(library("b", "x"), library("c", "g")), Replace, "", "a f, b x, c g"},
		{dump(library("b", "f"), library("c", "g")), Replace, "-ERR Function f already exists", "a f, b g"},
		{dump(library("b", "f"), library("a", "g")), Replace, "", "a g, b f"},
		{dump(library("b", "x")), Flush, "", "b x"},
		{dump(), Flush, "", ""},
		{dump(), Replace, "", "a f, b g"},
		{rdb.Dump(append([]byte{rdb.OpcodeFunction2}, "\x03x y"...)), Flush, "-ERR Missing library metadata", "a f, b g"},
		{dump()[1:], Flush, "-ERR DUMP payload version or checksum are wrong", "a f, b g"},
	} {
		f := newFunctions(&testHost{})
		load(f, library("a", "f"))
		load(f, library("b", "g"))
		got := ""
		if err := f.Restore(c.payload, c.policy, 1<<20); err != nil {
			got = text(*err, 3)
		}
		if got != c.wrong || names(f) != c.want {
			t.Errorf("%q, policy %d: got %q, and libraries %s; want %q, %s", c.payload, c.policy, got, names(f), c.wrong, c.want)
		}
	}
}

// Whatever is restored fails, or is what is dumped afterwards.
func FuzzRestore(f *testing.F) {
	for _, body := range []string{
		"\xf5\x40\x42" + library("a", "f"), "\xf5\x05#!lua", "\xf6\x01a\x03lua\x00\x05x = 1", "\xf5\xc3\x04\x03\x02abc", "\xf5\x81", "\x00",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h := &testHost{step: 100 * time.Millisecond}
		first := newFunctions(h)
		if first.Restore(rdb.Dump(body), Append, 1<<20) != nil {
			return
		}
		again := newFunctions(h)
		if err := again.Restore(first.Dump(), Append, 1<<20); err != nil {
			t.Fatalf("what was dumped is refused: %s", text(*err, 3))
		}
		if names(first) != names(again) || string(first.Dump()) != string(again.Dump()) {
			t.Errorf("%s became %s", names(first), names(again))
		}
	})
}
