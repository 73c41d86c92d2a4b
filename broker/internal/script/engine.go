// Package script runs the scripts of EVAL as redis-server 7.0 does: the table redis, what
// becomes of values on their way, flags in the first line, the texts of errors. It knows no
// clients: commands are run by a Host.
package script

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

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

	// Interrupt is called every HookInterval instructions. An error ends the script.
	Interrupt() error
}

// HookInterval is how many instructions of a script run, about, between calls of
// Host.Interrupt.
const HookInterval = 20_000

// An Engine has the scripts of a server, and the one Lua state in which they run.
type Engine struct {
	host     Host
	state    *lua.State
	scripts  map[string]*Script // by Hash
	protocol int                // that the running script wants replies in
	result   Result             // that is being made, and
	values   int                // how many it has
	args     [][]byte           // of redis.call, and
	buf      []byte             // their bytes
}

// A Script is one that is compiled.
type Script struct {
	Hash     string // SHA-1 of its text, in hexadecimal
	Flags    Flags
	function *lua.Function
}

// New returns an engine without scripts.
func New(h Host) *Engine {
	e := &Engine{host: h}
	e.Flush()
	return e
}

// Flush forgets all scripts.
func (e *Engine) Flush() {
	e.scripts = map[string]*Script{}
	last := e.state
	if e.state = lua.New(); last != nil {
		e.state.ContinueRandom(last)
	}
	lualib.Open(e.state)
	e.openRedis()
	e.protectGlobals()
	e.state.SetErrorHandler(handleError)
	e.state.SetHook(HookInterval, e.host.Interrupt)
}

// Len is how many scripts there are.
func (e *Engine) Len() int { return len(e.scripts) }

// Hash is the name of a script.
func Hash(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// Find returns the script of a hash, in upper or lower case, or nil.
func (e *Engine) Find(hash []byte) *Script {
	if s := e.scripts[string(hash)]; s != nil {
		return s
	}
	return e.scripts[strings.ToLower(string(hash))]
}

// name is that of scripts in messages.
const name = "@user_script"

// Load compiles a script, unless it is there already. The error is the reply to who sent it.
func (e *Engine) Load(body []byte) (*Script, *resp.Reply) {
	hash := Hash(body)
	if s := e.scripts[hash]; s != nil {
		return s, nil
	}
	flags, begin, wrong := ParseFlags(body)
	if wrong != "" {
		r := resp.Errorf("ERR %s", wrong)
		return nil, &r
	}
	f, err := e.state.Load(string(body[begin:]), name)
	if err != nil {
		r := resp.Errorf("ERR Error compiling script (new function): %s", err)
		return nil, &r
	}
	s := &Script{Hash: hash, Flags: flags, function: f}
	e.scripts[hash] = s
	return s, nil
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

// Run runs a script to its end.
func (e *Engine) Run(s *Script, keys, args [][]byte) Result {
	e.result = Result{}
	e.result.Reply = e.run(s, keys, args)
	if last := len(e.result.Errors) - 1; last >= 0 && e.result.Reply.IsError() {
		e.result.Errors = e.result.Errors[:last] // it is the reply itself
	}
	r := e.result
	e.result = Result{} // which may be large
	return r
}

func (e *Engine) run(s *Script, keys, args [][]byte) resp.Reply {
	e.setProtocol(2)
	globals := e.state.Globals()
	globals.SetString("KEYS", stringsOf(keys).Value())
	globals.SetString("ARGV", stringsOf(args).Value())
	results, err := e.state.Call(s.function)
	if err != nil {
		return e.failed(s, err)
	}
	if len(results) == 0 {
		return resp.Null
	}
	return e.toReply(results[0])
}

func stringsOf(args [][]byte) *lua.Table {
	t := lua.NewTable(len(args), 0)
	for i, arg := range args {
		t.SetInt(i+1, lua.String(string(arg)))
	}
	return t
}

func (e *Engine) setProtocol(version int) {
	e.protocol = version
	e.host.SetProtocol(version)
}

// failed is the reply to a script that an error has ended: what handleError has made of it.
func (e *Engine) failed(s *Script, err error) resp.Reply {
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
		return e.errorReply(fmt.Sprintf("ERR Error running script %s, %.100s", s.Hash, failure.Error()), false)
	}
	if source != "" && line != 0 {
		text = fmt.Sprintf("%s script: %s, on %s:%d.", text, s.Hash, source, line)
	}
	return e.errorReply(text, counted)
}

// errorReply is an error with a text, which ends at its first zero byte.
func (e *Engine) errorReply(text string, counted bool) resp.Reply {
	r := resp.ErrorReply(strings.TrimRight(resp.CString([]byte(text), len(text)), "\r\n"))
	if counted {
		r.N = 1
		e.result.Counted++
	} else {
		e.result.Errors = append(e.result.Errors, r.Text)
	}
	return r
}

// protectGlobals makes all tables that scripts can reach from the globals read-only, and
// what does not exist an error.
func (e *Engine) protectGlobals() {
	globals := e.state.Globals()
	meta := lua.NewTable(0, 1)
	meta.SetString("__index", e.state.NewFunction(noGlobal).Value())
	globals.SetMeta(meta)
	protect(globals)
	if strings := e.state.StringMeta(); strings != nil {
		protect(strings)
	}
}

func noGlobal(t *lua.Thread) int {
	name, isText := t.Arg(2).ToString()
	if !isText {
		t.Errorf("Second argument to luaProtectedTableError must be a string or number")
	}
	name = resp.CString([]byte(name), len(name))
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
