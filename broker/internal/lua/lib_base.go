package lua

import (
	"math"
	"strings"
)

// openBase adds the functions of the base library that Redis leaves to scripts. They are
// added in the order that Lua has, which the order of pairs(_G) depends on, as it does on
// those that Redis refuses: their keys are there, without values.
func (s *State) openBase() {
	s.globals.SetString("_G", s.globals.Value())
	s.register(s.globals, Library{
		{"assert", baseAssert},
		{"collectgarbage", baseCollectGarbage},
		{"dofile", nil},
		{"error", baseError},
		{"gcinfo", baseGCInfo},
		{"getfenv", nil},
		{"getmetatable", baseGetMetatable},
		{"loadfile", nil},
		{"load", baseLoad},
		{"loadstring", baseLoadString},
		{"next", baseNext},
		{"pcall", basePcall},
		{"print", nil},
		{"rawequal", baseRawEqual},
		{"rawget", baseRawGet},
		{"rawset", baseRawSet},
		{"select", baseSelect},
		{"setfenv", nil},
		{"setmetatable", baseSetMetatable},
		{"tonumber", baseToNumber},
		{"tostring", baseToString},
		{"type", baseType},
		{"unpack", baseUnpack},
		{"xpcall", baseXpcall},
	})
	s.globals.SetString("_VERSION", String("Lua 5.1"))
	next := s.NewFunction(baseNext)
	s.next = next
	step := s.NewFunction(ipairsStep).Value()
	s.globals.SetString("ipairs", s.NewFunction(func(t *Thread) int {
		table := t.CheckTable(1)
		return t.Return(step, table.Value(), Int(0))
	}).Value())
	s.globals.SetString("pairs", s.NewFunction(func(t *Thread) int {
		table := t.CheckTable(1)
		return t.Return(next.Value(), table.Value(), Nil)
	}).Value())
	s.register(s.globals, Library{{"newproxy", nil}})
}

func baseAssert(t *Thread) int {
	if !t.CheckAny(1).Truth() {
		message, _, _ := strings.Cut(t.OptString(2, "assertion failed!"), "\x00")
		t.Errorf("%s", message)
	}
	return t.NArgs()
}

// A collector has what collectgarbage can set. It changes nothing: Go frees the memory.
type collector struct {
	pause, stepMultiplier int // in percent, or 0 for Lua's 200
	steps                 int // of the cycle that runs
}

// stepsPerCycle is about how many steps Lua's collector needs for what Redis has in use.
const stepsPerCycle = 50

// exchange sets a value and returns the old one.
func exchange(value *int, to int) int {
	old := *value
	if old == 0 {
		old = 200
	}
	*value = to
	return old
}

// memoryInUse is what collectgarbage says to be in use, in KB: about what a script finds
// in Redis. What is really in use is known to Go only.
const memoryInUse = 46

func baseCollectGarbage(t *Thread) int {
	gc := &t.State().gc
	option := t.OptString(1, "collect")
	argument := t.OptInt(2, 0)
	switch option {
	case "stop", "restart", "collect":
		return t.Return(Int(0))
	case "count":
		return t.Return(Number(memoryInUse))
	case "step":
		gc.steps = (gc.steps + 1) % stepsPerCycle
		return t.Return(Bool(gc.steps == 0))
	case "setpause":
		return t.Return(Int(exchange(&gc.pause, argument)))
	case "setstepmul":
		return t.Return(Int(exchange(&gc.stepMultiplier, argument)))
	}
	t.ArgError(1, "invalid option '"+option+"'")
	return 0
}

func baseGCInfo(t *Thread) int { return t.Return(Number(memoryInUse)) }

func baseError(t *Thread) int {
	level := t.OptInt(2, 1)
	message := t.Arg(1)
	if s, ok := message.ToString(); ok && level > 0 {
		message = String(t.Where(level) + s)
	}
	t.Raise(message)
	return 0
}

func baseGetMetatable(t *Thread) int {
	v := t.CheckAny(1)
	meta := t.metatable(v)
	if meta == nil {
		return t.Return(Nil)
	}
	if field := meta.GetString("__metatable"); !field.IsNil() {
		return t.Return(field)
	}
	return t.Return(meta.Value())
}

func ipairsStep(t *Thread) int {
	i := t.CheckInt(2) + 1
	v := t.CheckTable(1).GetInt(i)
	if v.IsNil() {
		return 0
	}
	return t.Return(Int(i), v)
}

// loaded returns a compiled script, or nil and what is wrong with it.
func (t *Thread) loaded(source, name string) int {
	name, _, _ = strings.Cut(name, "\x00")
	p, err := compile(source, name, t.depth)
	if err != nil {
		return t.Return(Nil, String(err.Error()))
	}
	t.Count(len(source) >> countedBytes)
	f := &Function{proto: p, env: t.env}
	return t.Return(f.Value())
}

func baseLoadString(t *Thread) int {
	source := t.CheckString(1)
	return t.loaded(source, t.OptString(2, source))
}

func baseLoad(t *Thread) int {
	name := t.OptString(2, "=(load)")
	reader := t.CheckFunction(1)
	t.setArgs(3)
	var source strings.Builder
	for {
		piece, err := t.readPiece(reader)
		if err != nil {
			return t.Return(Nil, err.value)
		}
		if piece == "" {
			return t.loaded(source.String(), name)
		}
		if source.Len()+len(piece) > MaxString {
			t.fail(notEnoughMemory)
		}
		source.WriteString(piece)
	}
}

// readPiece calls the function that gives load the script in pieces. The last one is
// empty.
func (t *Thread) readPiece(reader *Function) (piece string, err *thrown) {
	at := t.top
	t.push(reader.Value())
	if err := t.tryCall(at, 1, t.handler); err != nil {
		t.stopIfEnded(err)
		return "", err
	}
	v := t.pop()
	if v.IsNil() {
		return "", nil
	}
	piece, ok := v.ToString()
	if !ok {
		return "", &thrown{value: t.handled(String(t.Where(1) + "reader function must return a string"))}
	}
	return piece, nil
}

func baseNext(t *Thread) int {
	table := t.CheckTable(1)
	key, value, ok := table.Next(t.Arg(2))
	switch {
	case !ok:
		t.runtimeError("invalid key to 'next'")
	case key.IsNil():
		return t.Return(Nil)
	}
	return t.Return(key, value)
}

// stopIfEnded raises an error again that no script may stop.
func (t *Thread) stopIfEnded(err *thrown) {
	if err.hook != nil {
		panic(err)
	}
}

// basePcall is pcall as Redis has it: of an error that is a table with a text in the field
// err, the text is returned.
func basePcall(t *Thread) int {
	if t.NArgs() == 0 {
		return t.Return(Bool(false), String("attempt to call a boolean value"))
	}
	at := t.current().base
	err := t.tryCall(at, multiple, Nil)
	if err == nil {
		return t.withTrue(at)
	}
	t.stopIfEnded(err)
	v := err.value
	if v.is(TypeTable) {
		if text := t.Index(v, String("err")); text.is(TypeString) || text.isNumber() {
			v = text
		}
	}
	return t.Return(Bool(false), v)
}

// withTrue returns true and the values above a place of the stack.
func (t *Thread) withTrue(at int) int {
	t.needStack(1)
	n := t.top - at
	copy(t.stack[at+1:], t.stack[at:t.top])
	t.stack[at] = Bool(true)
	t.top++
	return n + 1
}

func baseXpcall(t *Thread) int {
	handler := t.Arg(2)
	if !t.hasArg(2) {
		t.ArgError(2, "value expected")
	}
	t.setArgs(1)
	if handler.IsNil() {
		handler = Bool(false) // one that cannot be called
	}
	at := t.current().base
	if err := t.tryCall(at, multiple, handler); err != nil {
		t.stopIfEnded(err)
		return t.Return(Bool(false), err.value)
	}
	return t.withTrue(at)
}

func baseRawEqual(t *Thread) int {
	a := t.CheckAny(1)
	b := t.CheckAny(2)
	return t.Return(Bool(equal(a, b)))
}

func baseRawGet(t *Thread) int {
	table := t.CheckTable(1)
	return t.Return(table.Get(t.CheckAny(2)))
}

func baseRawSet(t *Thread) int {
	table := t.CheckTable(1)
	key := t.CheckAny(2)
	t.RawSet(table, key, t.CheckAny(3))
	return t.Return(table.Value())
}

func baseSelect(t *Thread) int {
	n := t.NArgs()
	if s, ok := t.Arg(1).AsString(); ok && strings.HasPrefix(s, "#") {
		return t.Return(Int(n - 1))
	}
	i := t.CheckInt(1)
	if i < 0 {
		i += n
	} else if i > n {
		i = n
	}
	if i < 1 {
		t.ArgError(1, "index out of range")
	}
	return n - i
}

func baseSetMetatable(t *Thread) int {
	meta := t.Arg(2)
	table := t.CheckTable(1)
	if !t.hasArg(2) || !meta.IsNil() && !meta.is(TypeTable) {
		t.ArgError(2, "nil or table expected")
	}
	if table.meta != nil && !table.meta.GetString("__metatable").IsNil() {
		t.Errorf("cannot change a protected metatable")
	}
	t.checkWritable(table)
	table.meta, _ = meta.AsTable()
	return t.Return(table.Value())
}

func baseToNumber(t *Thread) int {
	base := t.OptInt(2, 10)
	if base == 10 {
		if f, ok := t.CheckAny(1).ToNumber(); ok {
			return t.Return(Number(f))
		}
		return t.Return(Nil)
	}
	s := t.CheckString(1)
	if base < 2 || base > 36 {
		t.ArgError(2, "base out of range")
	}
	if f, ok := parseUnsigned(s, base); ok {
		return t.Return(Number(f))
	}
	return t.Return(Nil)
}

// parseUnsigned reads an integer in a base as strtoul does: a minus wraps it around, and
// what is too large becomes the largest.
func parseUnsigned(s string, base int) (f float64, ok bool) {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.TrimFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && hasPrefixFold(s, "0x") {
		s = s[2:]
	}
	n, overflow := uint64(0), false
	for i := range len(s) {
		d := digitValue(s[i])
		if d >= base {
			return 0, false
		}
		if n > (math.MaxUint64-uint64(d))/uint64(base) {
			overflow = true
		}
		n = n*uint64(base) + uint64(d)
	}
	switch {
	case s == "":
		return 0, false
	case overflow:
		n = math.MaxUint64
	case negative:
		n = -n
	}
	return float64(n), true
}

// digitValue is that of a digit or a letter, or a value that no base has.
func digitValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case isAlpha(c):
		return int(c|0x20-'a') + 10
	}
	return math.MaxInt32
}

func baseToString(t *Thread) int { return t.Return(t.ToText(t.CheckAny(1))) }

func baseType(t *Thread) int { return t.Return(String(t.CheckAny(1).Type().String())) }

func baseUnpack(t *Thread) int {
	table := t.CheckTable(1)
	first := t.OptInt(2, 1)
	var last int
	if t.Arg(3).IsNil() {
		last = table.Len()
	} else {
		last = t.CheckInt(3)
	}
	if first > last {
		return 0
	}
	n := int(int32(last - first + 1))
	if n <= 0 || !t.hasRoom(n) {
		t.Errorf("too many results to unpack")
	}
	t.Count(n)
	for i := range n {
		t.push(table.GetInt(first + i))
	}
	return n
}
