package lua

// A Thread is a stack of calls: the main one of a State, or a coroutine. A GoFunction gets
// the thread that it runs on, with its arguments, which count from 1.
type Thread struct {
	state *State
	stack []Value
	top   int        // the first free place of the stack
	calls []callInfo // up to level
	level int        // of the function that runs
	open  []*upvalue // those on the stack, lowest first

	handler   Value // the error handler of xpcall
	depth     int   // calls of Go functions that are not done, also by metamethods
	baseDepth int   // depth where the coroutine was resumed: only there it can yield
	status    status
	env       *Table // the globals of functions that are loaded here
	id        identity
}

// A callInfo is a call of a function. Places on the stack are counted from its bottom.
type callInfo struct {
	function  *Function // nil at the bottom
	at        int       // where the function is; its results go there
	base      int       // of its first local variable
	top       int       // the end of its part of the stack
	pc        int       // the next instruction, when it is not running
	results   int       // how many are wanted, or multiple
	tailCalls int       // calls that this one has taken the place of
}

type status uint8

const (
	statusOK status = iota
	statusYield
	statusError
)

const (
	multiple   = -1 // results: as many as there are
	maxCStack  = 8000
	maxCalls   = 20000 // of scripts' functions
	maxDepth   = 200   // of calls by functions in Go
	spareDepth = 25    // for error handlers
	maxStack   = 1 << 24
	minStack   = 20 // places that a function in Go finds free
)

func (s *State) newThread() *Thread {
	t := &Thread{state: s, stack: make([]Value, 64), calls: make([]callInfo, 8), env: s.globals}
	t.top = 1
	t.calls[0] = callInfo{base: 1, top: 1 + minStack}
	return t
}

// State is the state of the thread.
func (t *Thread) State() *State { return t.state }

// current is the call that runs.
func (t *Thread) current() *callInfo { return &t.calls[t.level] }

// needStack makes room for n more values.
func (t *Thread) needStack(n int) {
	if need := t.top + n; need > len(t.stack) {
		t.growStack(need)
	}
}

func (t *Thread) growStack(need int) {
	if need > maxStack {
		t.fail(notEnoughMemory)
	}
	t.setStack(max(need, 2*len(t.stack)))
}

// setStack moves the stack to one of another size, and what points into it.
func (t *Thread) setStack(size int) {
	stack := make([]Value, size)
	copy(stack, t.stack)
	t.stack = stack
	for _, u := range t.open {
		u.v = &stack[u.index]
	}
}

// push puts a value on the stack.
func (t *Thread) push(v Value) {
	if t.top == len(t.stack) {
		t.growStack(t.top + 1)
	}
	t.stack[t.top] = v
	t.top++
}

// pop takes the value from the top of the stack.
func (t *Thread) pop() Value {
	t.top--
	return t.stack[t.top]
}

// Push adds a result. The function returns how many it has pushed.
func (t *Thread) Push(v Value) { t.push(v) }

// Return pushes results and returns their number.
func (t *Thread) Return(results ...Value) int {
	t.needStack(len(results))
	t.top += copy(t.stack[t.top:], results)
	return len(results)
}

// CheckStack makes sure that n more values have room, as many as Lua has for a function,
// or raises an error that names what takes it.
func (t *Thread) CheckStack(n int, what string) {
	if !t.hasRoom(n) {
		t.Errorf("stack overflow (%s)", what)
	}
}

func (t *Thread) hasRoom(n int) bool {
	if n > maxCStack || t.top-t.current().base+n > maxCStack {
		return false
	}
	t.needStack(n)
	if c := t.current(); c.top < t.top+n {
		c.top = t.top + n
	}
	return true
}

// NArgs is how many arguments there are. It is asked before anything is pushed.
func (t *Thread) NArgs() int { return t.top - t.current().base }

// Arg is an argument, or nil if there is none. It is asked before anything is pushed, or
// only for arguments that are known to be there.
func (t *Thread) Arg(n int) Value {
	if i := t.current().base + n - 1; i < t.top {
		return t.stack[i]
	}
	return Nil
}

// hasArg reports whether there is such an argument, if only nil.
func (t *Thread) hasArg(n int) bool { return n <= t.NArgs() }

// setArgs drops arguments, or adds nil, until there are n.
func (t *Thread) setArgs(n int) {
	for t.NArgs() < n {
		t.push(Nil)
	}
	t.top = t.current().base + n
}

// CheckAny is an argument that must be there.
func (t *Thread) CheckAny(n int) Value {
	if !t.hasArg(n) {
		t.ArgError(n, "value expected")
	}
	return t.Arg(n)
}

// CheckTable is an argument that must be a table.
func (t *Thread) CheckTable(n int) *Table {
	if v, ok := t.Arg(n).AsTable(); ok {
		return v
	}
	t.TypeError(n, "table")
	return nil
}

// CheckFunction is an argument that must be a function.
func (t *Thread) CheckFunction(n int) *Function {
	if f, ok := t.Arg(n).AsFunction(); ok {
		return f
	}
	t.TypeError(n, "function")
	return nil
}

// CheckNumber is an argument that must be a number, or a string that reads as one.
func (t *Thread) CheckNumber(n int) float64 {
	f, ok := t.Arg(n).ToNumber()
	if !ok {
		t.TypeError(n, "number")
	}
	return f
}

// CheckInteger is an argument that must be a number, without its fraction. What does not
// fit into 64 bits is the lowest number.
func (t *Thread) CheckInteger(n int) int64 { return toInteger(t.CheckNumber(n)) }

// CheckInt is CheckInteger with its lower 32 bits only, as C's int has them.
func (t *Thread) CheckInt(n int) int { return int(int32(t.CheckInteger(n))) }

// CheckString is an argument that must be a string or a number.
func (t *Thread) CheckString(n int) string {
	s, ok := t.Arg(n).ToString()
	if !ok {
		t.TypeError(n, "string")
	}
	return s
}

// OptNumber is CheckNumber of an argument that may be missing or nil.
func (t *Thread) OptNumber(n int, missing float64) float64 {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckNumber(n)
}

// OptInteger is CheckInteger of an argument that may be missing or nil.
func (t *Thread) OptInteger(n int, missing int64) int64 {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckInteger(n)
}

// OptInt is CheckInt of an argument that may be missing or nil.
func (t *Thread) OptInt(n, missing int) int {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckInt(n)
}

// OptString is CheckString of an argument that may be missing or nil.
func (t *Thread) OptString(n int, missing string) string {
	if t.Arg(n).IsNil() {
		return missing
	}
	return t.CheckString(n)
}

// Index is object[key], with metamethods.
func (t *Thread) Index(object, key Value) Value { return t.index(object, key, noRegister) }

// SetIndex is object[key] = value, with metamethods.
func (t *Thread) SetIndex(object, key, value Value) { t.setIndex(object, key, value, noRegister) }

// RawSet is rawset(table, key, value): without metamethods, but with the errors.
func (t *Thread) RawSet(table *Table, key, value Value) {
	t.checkWritable(table)
	*t.slot(table, key) = value
}

// Call calls a function, or what has __call, and returns its first result.
func (t *Thread) Call(f Value, args ...Value) Value {
	at := t.top
	t.push(f)
	t.needStack(len(args))
	t.top += copy(t.stack[t.top:], args)
	t.call(at, 1)
	return t.pop()
}

// Count adds instructions to those that the hook counts, for work that may take long.
func (t *Thread) Count(instructions int) {
	if t.state.countdown -= instructions; t.state.countdown <= 0 {
		t.callHook()
	}
}

// callHook calls the state's hook, and ends the script if it says so.
func (t *Thread) callHook() {
	s := t.state
	s.countdown = s.hookEvery
	if s.hook == nil {
		return
	}
	if err := s.hook(); err != nil {
		s.countdown = 0 // should anything go on, it ends soon
		t.throw(&thrown{value: String(err.Error()), hook: err})
	}
}
