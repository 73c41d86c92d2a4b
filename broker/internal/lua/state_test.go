package lua

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t testing.TB, s *State, script string) *Function {
	t.Helper()
	f, err := s.Load(script, "@script")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A hook ends a script whatever it does.
func TestHookEndsScripts(t *testing.T) {
	for _, script := range []string{
		"while true do end",
		"repeat until false",
		"for i = 1, 1/0 do end",
		"for k in function() return 1 end do end",
		"local t = {1} while true do for k in pairs(t) do end end",
		"local function f() return f() end f()",
		"local function f() f() end while true do pcall(f) end",
		"while true do pcall(function() while true do end end) end",
		"while true do xpcall(function() while true do end end, function() while true do end end) end",
		"xpcall(error, function() while true do end end)",
		"local f f = function() coroutine.wrap(function() while true do end end)() end while true do pcall(f) end",
		"while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
		"local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) while true do end end return t.x",
		"table.sort({1, 2, 3}, function() while true do end end)",
		"load(function() while true do end end)",
		"load(function() return ' ' end)",
		"local s = ('a'):rep(60) while true do s:find(('a-'):rep(60) .. 'b') end",
		"(('a'):rep(40)):find(('a-'):rep(40) .. 'b')",
		"while true do (('x'):rep(1e6)):gsub('.', '%0') end",
		"while true do local s = ('x'):rep(1e7) end",
		"while true do local s = ('x'):rep(1e6):reverse() end",
		"local t = {} for i = 1, 1e5 do t[i] = i end while true do table.concat(t) table.sort(t) end",
		"while true do table.insert({}, -2^31, 1) end",
		"while true do unpack({}, 1, 7000) end",
		"while true do loadstring(('x = 1 '):rep(1000)) end",
	} {
		s := New()
		ended := errors.New("it took too long")
		calls := 0
		s.SetHook(10_000, func() error {
			if calls++; calls >= 20 {
				return ended
			}
			return nil
		})
		_, err := s.Call(load(t, s, script))
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ended) || e.Error() != ended.Error() {
			t.Errorf("%s: got %v, want %v", script, err, ended)
		}
		s.SetHook(0, nil)
		if results, err := s.Call(load(t, s, "return 1 + 1")); err != nil || results[0] != Int(2) {
			t.Errorf("after %s: got %v, %v", script, results, err)
		}
	}
}

// What takes too much memory is an error that a script can catch, and leaves the state in
// order.
func TestMemoryIsBounded(t *testing.T) {
	for _, script := range []string{
		"return pcall(string.rep, 'x', 2^30)",
		"return pcall(string.rep, ('x'):rep(1000), 2^20)",
		"return pcall(function() local s = 'x' while true do s = s .. s end end)",
		"return pcall(string.gsub, ('x'):rep(1e6), '.', ('y'):rep(1e3))",
		"return pcall(function() local s = ('x'):rep(1e5) local t = {} for i = 1, 1000 do t[i] = s end return table.concat(t) end)",
		"return pcall(function() local t = {} for i = 1, 200 do t[i] = ('x'):rep(3e5) end return string.format(('%s'):rep(200), unpack(t)) end)",
		"return pcall(function() local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end end)",
	} {
		s := New()
		s.SetMemoryLimit(20_000_000)
		results, err := s.Call(load(t, s, script))
		if err != nil || len(results) != 2 || results[0] != Bool(false) || results[1].Describe() != "not enough memory" {
			t.Errorf("%s: got %.100v, %v", script, results, err)
		}
	}
}

func TestErrorSaysWhere(t *testing.T) {
	s := New()
	for _, c := range []struct {
		script, text, source string
		line                 int
		unhandled            bool
	}{
		{"\nerror('x')", "script:2: x", "@script", 2, false},
		{"\n\nlocal x = nil + 1", "script:3: attempt to perform arithmetic on a nil value", "@script", 3, false},
		{"loadstring('\\n\\nerror(\"x\", 0)', '=other')()", "x", "=other", 3, false},
		{"string.rep()", "script:1: bad argument #1 to 'rep' (string expected, got no value)", "@script", 1, false},
		{"error({})", "(error object is a table value)", "@script", 1, false},
		{"local f f = function() f() end xpcall(f, f) f()", "script:1: stack overflow", "@script", 1, false},
		{"string.rep('x', 2^30)", "not enough memory", "@script", 1, true},
	} {
		_, err := s.Call(load(t, s, c.script))
		var e *Error
		if !errors.As(err, &e) || e.Error() != c.text || e.Source != c.source || e.Line != c.line || e.Unhandled != c.unhandled {
			t.Errorf("%s: got %+v (%v)", c.script, e, err)
		}
	}
}

// A function in Go gets its arguments, calls functions, raises errors and returns results.
func TestGoFunctions(t *testing.T) {
	s := New()
	s.Globals().SetString("go", s.NewLibrary(Library{
		{"sum", func(t *Thread) int {
			sum := t.OptNumber(1, 0)
			for i := 2; i <= t.NArgs(); i++ {
				sum += t.CheckNumber(i)
			}
			return t.Return(Number(sum))
		}},
		{"twice", func(t *Thread) int {
			f := t.CheckFunction(1)
			return t.Return(t.Call(f.Value(), t.Call(f.Value(), t.Arg(2))))
		}},
		{"fail", func(t *Thread) int {
			t.Raise(t.Arg(1))
			return 0
		}},
		{"many", func(t *Thread) int {
			n := t.CheckInt(1)
			t.CheckStack(n, "too many")
			for i := range n {
				t.Push(Int(i))
			}
			return n
		}},
		{"set", func(t *Thread) int {
			t.SetIndex(t.Arg(1), t.Arg(2), t.Arg(3))
			return t.Return(t.Index(t.Arg(1), t.Arg(2)))
		}},
		{"null", func(t *Thread) int { return t.Return(LightUserdata(0)) }},
	}).Value())
	for _, c := range []struct{ script, want string }{
		{"return go.sum(1, '2', 3)", "6"},
		{"return go.sum()", "0"},
		{"return select(2, pcall(function() go.sum(1, {}) end))", "script:1: bad argument #2 to 'sum' (number expected, got table)"},
		{"return go.twice(function(x) return x * 2 end, 5)", "20"},
		{"return select(2, pcall(go.fail, 'text'))", "text"},
		{"return select('#', go.many(5000))", "5000"},
		{"return select(2, pcall(go.many, 9000))", "stack overflow (too many)"},
		{"return go.set({}, 'x', 5)", "5"},
		{"return go.set(setmetatable({}, {__newindex = function() end, __index = function() return 7 end}), 'x', 5)", "7"},
		{"return select(2, pcall(go.set, {}, nil, 5))", "table index is nil"},
		{"return type(go.null())", "userdata"},
		{"return tostring(go.null())", "userdata: (nil)"},
		{"return tostring(go.null() == go.null())", "true"},
		{"return ({[go.null()] = 5})[go.null()]", "5"},
		{"return select(2, pcall(function() return go.null().x end))", "script:1: attempt to index a userdata value"},
	} {
		results, err := s.Call(load(t, s, c.script))
		if err != nil || len(results) != 1 || results[0].Describe() != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.script, results, err, c.want)
		}
	}
}

func TestArgumentsOfACall(t *testing.T) {
	s := New()
	f := load(t, s, "local a, b = ... return b, a, select('#', ...)")
	results, err := s.Call(f, String("x"), Int(5))
	if err != nil || len(results) != 3 || results[0] != Int(5) || results[1].Describe() != "x" || results[2] != Int(2) {
		t.Errorf("got %v, %v", results, err)
	}
}

// Calls from Go and between functions of scripts allocate nothing.
func TestCallsDoNotAllocate(t *testing.T) {
	s := New()
	f := load(t, s, "local function f(a, b) return a + b end\nlocal x = 0 for i = 1, 100 do x = f(x, i) x = math.floor(x) end return x")
	got := testing.AllocsPerRun(100, func() {
		if _, err := s.Call(f); err != nil {
			t.Fatal(err)
		}
	})
	if got > 1 { // the closure
		t.Errorf("a call allocates %v times", got)
	}
}

// Values that a call leaves are freed after it.
func TestStackIsCleared(t *testing.T) {
	s := New()
	if _, err := s.Call(load(t, s, "local function f(n) local s = {} if n > 0 then return 1 + f(n - 1) end return 0 end return f(10000)")); err != nil {
		t.Fatal(err)
	}
	if len(s.main.stack) > 1<<12 {
		t.Errorf("the stack keeps %d values", len(s.main.stack))
	}
	for i, v := range s.main.stack[s.main.top+1:] { // the first is the result
		if !v.IsNil() {
			t.Fatalf("place %d of the stack keeps a %s", i, v.Type())
		}
	}
}

func TestValues(t *testing.T) {
	table, f := NewTable(0, 0), New().NewFunction(nil)
	for _, c := range []struct {
		v    Value
		kind Type
		text string
	}{
		{Nil, TypeNil, "nil"},
		{Bool(true), TypeBoolean, "true"},
		{Bool(false), TypeBoolean, "false"},
		{Number(1.5), TypeNumber, "1.5"},
		{Number(-0x1.8p300), TypeNumber, "-3.0555539645017e+90"},
		{String(""), TypeString, ""},
		{String("x\x00y"), TypeString, "x\x00y"},
		{String(strings.Repeat("x", 1000)), TypeString, strings.Repeat("x", 1000)},
		{LightUserdata(16), TypeLightUserdata, "userdata: 0x10"},
		{table.Value(), TypeTable, "table: "},
		{f.Value(), TypeFunction, "function: "},
	} {
		if c.v.Type() != c.kind || !strings.HasPrefix(c.v.Describe(), c.text) {
			t.Errorf("got %s %s, want %s %s", c.v.Type(), c.v.Describe(), c.kind, c.text)
		}
		_, isBool := c.v.AsBool()
		_, isNumber := c.v.AsNumber()
		_, isString := c.v.AsString()
		_, isTable := c.v.AsTable()
		_, isFunction := c.v.AsFunction()
		_, isThread := c.v.AsThread()
		if isBool != (c.kind == TypeBoolean) || isNumber != (c.kind == TypeNumber) || isString != (c.kind == TypeString) ||
			isTable != (c.kind == TypeTable) || isFunction != (c.kind == TypeFunction) || isThread {
			t.Errorf("a %s is taken for another type", c.kind)
		}
	}
	// The bits of numbers look like those of any type.
	for bits := range uint64(8) {
		v := Value{Number(0).p, bits << typeShift}
		if v.Type() != TypeNumber || v.is(TypeTable) || v.is(TypeString) {
			t.Errorf("the number %x is not one", v.n)
		}
	}
}

func TestTableOfGo(t *testing.T) {
	table := NewTable(4, 0)
	for i := 1; i <= 100; i++ {
		table.SetInt(i, Int(i*i))
		table.Set(String("k"+Int(i).Describe()), Bool(true))
	}
	table.SetString("last", Nil)
	n := 0
	for key, value, ok := table.Next(Nil); !key.IsNil(); key, value, ok = table.Next(key) {
		if !ok {
			t.Fatal("a key is lost")
		}
		if got := table.Get(key); got != value {
			t.Errorf("%s: got %s, want %s", key.Describe(), got.Describe(), value.Describe())
		}
		n++
	}
	if n != 200 || table.Len() != 100 {
		t.Errorf("got %d pairs and the border %d", n, table.Len())
	}
	if _, _, ok := table.Next(String("missing")); ok {
		t.Error("a key that is not there has a next one")
	}
}
