// Package lua runs scripts in Lua 5.1, as redis-server 7.0 has it: the language, its base
// libraries, the texts of its errors, the order of a table's keys and its limits.
//
// A State is used by one goroutine at a time, and makes none.
package lua

import "fmt"

// A State is what scripts share: globals, the metatable of strings, random numbers.
type State struct {
	globals *Table
	strings *Table // the metatable of strings
	main    *Thread
	next    *Function // the function next, which loops know
	random  *random
	gc      collector

	memory      memory
	memoryLimit int // bytes

	handler   Value // of errors that end a Call
	hook      func() error
	hookEvery int // instructions
	countdown int // instructions until the hook is called
}

// New makes a state with the libraries that Redis leaves to scripts: of the base library
// what it allows, string, table, math and coroutine.
func New() *State {
	s := &State{globals: NewTable(0, 0), countdown: noHook, hookEvery: noHook, random: &random{randomStart}, memoryLimit: defaultMemoryLimit}
	s.main = s.newThread()
	s.openBase()
	s.openCoroutine()
	s.openTable()
	s.openString()
	s.openMath()
	return s
}

// Globals is the table of global variables.
func (s *State) Globals() *Table { return s.globals }

// SetGlobals gives scripts that are loaded from now on, here or by other scripts, another
// table of global variables.
func (s *State) SetGlobals(t *Table) { s.globals, s.main.env = t, t }

// NewFunction makes a function of one in Go.
func (s *State) NewFunction(f GoFunction) *Function {
	return &Function{native: f, env: s.globals}
}

// A Library is a table's functions by their names, in the order in which they are added. Nil
// is a key without a value.
type Library []struct {
	Name     string
	Function GoFunction
}

// NewLibrary makes a table of functions.
func (s *State) NewLibrary(l Library) *Table {
	t := NewTable(0, len(l))
	s.register(t, l)
	return t
}

func (s *State) register(t *Table, l Library) {
	for _, f := range l {
		v := Nil
		if f.Function != nil {
			v = s.NewFunction(f.Function).Value()
		}
		t.SetString(f.Name, v)
	}
}

// Load compiles a script. Its name is that of its lines in errors: @name, or =name, or the
// script itself. The error is what is wrong with the script, as Lua says it.
func (s *State) Load(source, name string) (*Function, error) {
	p, err := compile(source, name, 0)
	if err != nil {
		return nil, err
	}
	return s.newClosure(p), nil
}

func (s *State) newClosure(p *proto) *Function {
	return &Function{proto: p, env: s.globals}
}

// Call runs a function to its end. The results are valid until the next Call. The error is
// an *Error.
//
// A function in Go that a script has called does not use it, but Thread.Call.
func (s *State) Call(f *Function, args ...Value) (results []Value, err error) {
	return s.main.callFromGo(f, args)
}

// SetErrorHandler has a function called with what is raised and ends a Call, where it is
// raised: there Position(1) is that of the function that raised it. The Call's error is what
// it returns. Nil is none.
func (s *State) SetErrorHandler(f GoFunction) {
	s.handler = Nil
	if f != nil {
		s.handler = s.NewFunction(f).Value()
	}
}

const noHook = 1 << 30

// SetHook has a function called every so many instructions, also within long work of the
// libraries. If it returns an error the script ends with it, whatever it does to go on. A
// nil function is none.
func (s *State) SetHook(instructions int, hook func() error) {
	if hook == nil {
		instructions = noHook
	}
	s.hook, s.hookEvery, s.countdown = hook, instructions, instructions
}

// An Error is what a script ended with.
type Error struct {
	Value  Value  // what was raised: mostly a text, with the script's name and the line
	Source string // the name of the script that ended, with its @, or "=[C]"
	Line   int    // where it was, or -1
	Hook   error  // what the hook returned, if that was the reason

	// Unhandled says that Lua calls no error handler for it: stacks or memory are exhausted.
	Unhandled bool
}

// Error is the text that was raised.
func (e *Error) Error() string {
	if e.Hook != nil {
		return e.Hook.Error()
	}
	if s, ok := e.Value.ToString(); ok {
		return s
	}
	return fmt.Sprintf("(error object is a %s value)", e.Value.Type())
}

// Unwrap is what the hook returned.
func (e *Error) Unwrap() error { return e.Hook }

// StringMeta is the metatable of strings.
func (s *State) StringMeta() *Table { return s.strings }

// ShareRandom makes two states draw the numbers of math.random from one sequence.
func (s *State) ShareRandom(with *State) { s.random = with.random }
