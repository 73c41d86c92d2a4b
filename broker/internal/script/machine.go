// Package script runs scripts as redis-server 7.0 does: those of EVAL, and functions of
// libraries. It has the table redis, what becomes of values on their way, flags, the texts of
// errors. It knows no clients: commands are run by a Host.
package script

import (
	"fmt"
	"strings"
	"time"

	"redrpc/broker/internal/lua"
	"redrpc/broker/internal/lualib"
	"redrpc/broker/internal/resp"
)

// A Host does for scripts what is outside of them.
type Host interface {
	// Call runs a command. The reply, which is an error where it does not run, is used
	// before the next one.
	Call(args [][]byte) *resp.Reply

	// MayRun reports whether the user has permission for a command, and whether there is
	// such a command.
	MayRun(args [][]byte) (may, known bool)

	// SetProtocol says which version of the protocol the script wants replies in.
	SetProtocol(version int)

	// Log writes to the server's log. Level is 0 (debug) to 3 (warning).
	Log(level int, message string)

	// Interrupt is called every HookInterval instructions of a Script. An error ends it.
	Interrupt() error

	// Stopwatch returns a function that is called every HookInterval instructions while a
	// library is loaded, and says for how long that has been.
	Stopwatch() func() time.Duration
}

// HookInterval is how many instructions of a script run, about, between calls of
// Host.Interrupt.
const HookInterval = 20_000

// A machine is a Lua state that runs scripts, of EVAL or functions.
type machine struct {
	host     Host
	state    *lua.State
	protocol int      // that the running script wants replies in
	result   Result   // that is being made, and
	values   int      // how many it has
	args     [][]byte // of redis.call, and
	buf      []byte   // their bytes
}

// start gives the machine a new state with the libraries of Lua. Its random numbers go on
// from those of another one, which may be nil. As in Redis there is a global debug until all
// are protected, which decides on the order of pairs.
func (m *machine) start(from *lua.State) {
	if m.state = lua.New(); from != nil {
		m.state.ShareRandom(from)
	}
	m.state.Globals().SetString("debug", lua.Bool(true))
	lualib.Open(m.state)
	m.state.SetErrorHandler(handleError)
	m.state.SetHook(HookInterval, m.host.Interrupt)
}

// A Script is what can be run: a script of EVAL, or a function.
type Script struct {
	Name       string // of EVAL the SHA-1 of its text, in hexadecimal
	IsFunction bool
	Flags      Flags
	machine    *machine
	function   *lua.Function
}

// A Result is what a script has returned.
type Result struct {
	Reply resp.Reply

	// Counted is how many errors in the reply were counted before, when a command of the
	// script failed: such an error has N other than 0. Errors are the others that stand in
	// lists.
	Counted int
	Errors  []string
}

// Run runs the script to its end.
func (s *Script) Run(keys, args [][]byte) Result {
	m := s.machine
	m.result = Result{}
	m.result.Reply = m.run(s, stringsOf(keys), stringsOf(args))
	if last := len(m.result.Errors) - 1; last >= 0 && m.result.Reply.IsError() {
		m.result.Errors = m.result.Errors[:last] // it is the reply itself
	}
	r := m.result
	m.result = Result{} // which may be large
	return r
}

// run runs a script. A function gets its keys and arguments as such, a script of EVAL as
// globals.
func (m *machine) run(s *Script, keys, args lua.Value) resp.Reply {
	m.setProtocol(2)
	given := [2]lua.Value{keys, args}
	arguments := given[:]
	if !s.IsFunction {
		globals := m.state.Globals()
		globals.SetString("KEYS", keys)
		globals.SetString("ARGV", args)
		arguments = nil
	}
	results, err := m.state.Call(s.function, arguments...)
	if err != nil {
		return m.failed(s, err)
	}
	if len(results) == 0 {
		return resp.Null
	}
	return m.toReply(results[0])
}

func stringsOf(args [][]byte) lua.Value {
	t := lua.NewTable(len(args), 0)
	for i, arg := range args {
		t.SetInt(i+1, lua.String(string(arg)))
	}
	return t.Value()
}

func (m *machine) setProtocol(version int) {
	m.protocol = version
	m.host.SetProtocol(version)
}

// failed is the reply to a script that an error has ended: what handleError has made of it.
func (m *machine) failed(s *Script, err error) resp.Reply {
	failure, isLua := err.(*lua.Error)
	if !isLua {
		return resp.Errorf("ERR %s", err)
	}
	text, source, line, counted := "ERR "+failure.Error(), failure.Source, failure.Line, false
	if t, isTable := failure.Value.AsTable(); isTable && failure.Hook == nil {
		var has bool
		if text, has = t.GetString(errField).ToString(); !has {
			text = "ERR the script failed with a table that has no field 'err'"
		}
		source, _ = t.GetString(sourceField).ToString()
		f, _ := t.GetString(lineField).ToNumber()
		line = int(f)
		counted = t.GetString(countedField).Truth()
	} else if failure.Unhandled {
		return m.errorReply(fmt.Sprintf("ERR Error running script %s, %.100s", s.Name, failure.Error()), false)
	}
	if source != "" && line != 0 {
		text = fmt.Sprintf("%s script: %s, on %s:%d.", text, s.Name, source, line)
	}
	return m.errorReply(text, counted)
}

// errorReply is an error with a text, which ends at its first zero byte.
func (m *machine) errorReply(text string, counted bool) resp.Reply {
	r := resp.ErrorReply(strings.TrimRight(cString(text), "\r\n"))
	if counted {
		r.N = 1
		m.result.Counted++
	} else {
		m.result.Errors = append(m.result.Errors, r.Text)
	}
	return r
}

// cString is a text up to its first zero byte.
func cString(s string) string { return resp.CString([]byte(s), len(s)) }

// protectGlobals makes all tables that scripts can reach from the globals read-only, and
// what does not exist an error.
func (m *machine) protectGlobals() {
	globals := m.state.Globals()
	globals.SetString("debug", lua.Nil)
	m.refuseUnknown(globals)
	protect(globals)
	if strings := m.state.StringMeta(); strings != nil {
		protect(strings)
	}
}

// refuseUnknown makes a field that a table does not have an error.
func (m *machine) refuseUnknown(t *lua.Table) {
	meta := lua.NewTable(0, 1)
	meta.SetString("__index", m.state.NewFunction(noGlobal).Value())
	t.SetMeta(meta)
}

func noGlobal(t *lua.Thread) int {
	name, isText := t.Arg(2).ToString()
	if !isText {
		t.Errorf("Second argument to luaProtectedTableError must be a string or number")
	}
	name = cString(name)
	t.Errorf("Script attempted to access nonexistent global variable '%s'", name)
	return 0
}

// protect makes a table read-only, with all that it holds.
func protect(t *lua.Table) {
	if t.ReadOnly() {
		return
	}
	t.SetReadOnly(true)
	if meta := t.Meta(); meta != nil {
		protect(meta)
	}
	key := lua.Nil
	for {
		next, value, more := t.Next(key)
		if !more || next.IsNil() {
			return
		}
		if inner, isTable := value.AsTable(); isTable {
			protect(inner)
		}
		key = next
	}
}
