// Package lualib has the libraries that Redis adds to Lua for its scripts: cjson, cmsgpack,
// struct and bit, as redis-server 7.0 has them, with the texts of their errors.
//
// Work that may take long counts as instructions, so that the state's hook is called, and
// what the libraries make counts as memory, which has a bound.
package lualib

import "redrpc/broker/internal/lua"

// Open sets the globals cjson, struct, cmsgpack and bit of a state.
func Open(s *lua.State) {
	globals := s.Globals()
	globals.SetString("cjson", openJSON(s).Value())
	globals.SetString("struct", s.NewLibrary(structFunctions).Value())
	globals.SetString("cmsgpack", openMsgpack(s).Value())
	globals.SetString("bit", s.NewLibrary(bitFunctions).Value())
}

// maxSlots is how many values a function may have on Lua's stack. Where that bounds what a
// library does, as with nested tables, it counts the values that Redis's has there.
const maxSlots = 8000

// addFunctions adds functions to a table, which grows with them as Redis's does: that
// decides on the order of its keys.
func addFunctions(s *lua.State, table *lua.Table, functions lua.Library) {
	for _, f := range functions {
		table.SetString(f.Name, s.NewFunction(f.Function).Value())
	}
}

// checkStack raises an error if n values more have no room on the stack.
func checkStack(t *lua.Thread, slots, n int, what string) {
	if slots+n > maxSlots {
		t.Errorf("stack overflow (%s)", what)
	}
}

// tableBytes is about what an empty table takes.
const tableBytes = 96

// newTable makes a table to read into. Scripts can have many made by a short call.
func newTable(t *lua.Thread) *lua.Table {
	t.Allocate(tableBytes)
	return lua.NewTable(0, 0)
}

// newString makes a string that is a part of another, or of its own.
func newString(t *lua.Thread, s string) lua.Value {
	countBytes(t, len(s))
	t.Allocate(len(s))
	return lua.String(s)
}

// countBytes counts the work of reading or writing so many bytes.
func countBytes(t *lua.Thread, bytes int) { t.Count(1 + bytes/32) }

// toUnsigned converts as C does on a 64-bit machine: negative numbers as two's complement,
// what is too large becomes zero.
func toUnsigned(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(lua.ToInteger(f-1<<63)) ^ 1<<63
	}
	return uint64(lua.ToInteger(f))
}
