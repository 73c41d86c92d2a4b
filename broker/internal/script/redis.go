package script

import (
	"slices"
	"strings"

	"redrpc/broker/internal/lua"
	"redrpc/broker/internal/resp"
)

// Version is that of Redis, which scripts can ask for.
const (
	version       = "7.0.15"
	versionNumber = 7<<16 | 0<<8 | 15
)

// Bits of redis.set_repl, which have no effect.
const (
	replNone    = 0
	replAOF     = 1
	replReplica = 2
	replAll     = replAOF | replReplica
)

// openRedis sets the global redis.
func (e *Engine) openRedis() {
	t := lua.NewTable(0, 0)
	for _, f := range []struct {
		name  string
		value any
	}{ // in Redis's order, which decides on that of pairs
		{"call", e.call},
		{"pcall", e.pcall},
		{"log", e.log},
		{"LOG_DEBUG", 0},
		{"LOG_VERBOSE", 1},
		{"LOG_NOTICE", 2},
		{"LOG_WARNING", 3},
		{"REDIS_VERSION_NUM", versionNumber},
		{"REDIS_VERSION", version},
		{"setresp", e.setResp},
		{"sha1hex", sha1hex},
		{"error_reply", errorReplyOf},
		{"status_reply", statusReplyOf},
		{"set_repl", setRepl},
		{"REPL_NONE", replNone},
		{"REPL_AOF", replAOF},
		{"REPL_SLAVE", replReplica},
		{"REPL_REPLICA", replReplica},
		{"REPL_ALL", replAll},
		{"acl_check_cmd", e.aclCheckCommand},
		{"breakpoint", func(t *lua.Thread) int { return t.Return(lua.Bool(false)) }},
		{"debug", func(*lua.Thread) int { return 0 }},
		{"replicate_commands", func(t *lua.Thread) int { return t.Return(lua.Bool(true)) }},
	} {
		switch v := f.value.(type) {
		case int:
			t.SetString(f.name, lua.Int(v))
		case string:
			t.SetString(f.name, lua.String(v))
		case func(*lua.Thread) int:
			t.SetString(f.name, e.state.NewFunction(v).Value())
		}
	}
	e.state.Globals().SetString("redis", t.Value())
	e.state.Globals().SetString("__redis__err__handler", e.state.NewFunction(handleError).Value())
}

// handleError is the error handler that Redis gives to scripts, which may use it for xpcall:
// it makes a table of an error, with the place where it was.
func handleError(t *lua.Thread) int {
	v := t.Arg(1)
	failure, isTable := v.AsTable()
	if !isTable {
		failure = lua.NewTable(0, 0)
		failure.SetString(errField, lua.String("ERR "+v.Describe()))
	}
	source, line, known := t.Position(1)
	if known && line < 0 {
		source, line, known = t.Position(2)
	}
	if known {
		failure.SetString(sourceField, lua.String(source))
		failure.SetString(lineField, lua.Int(line))
	}
	return t.Return(failure.Value())
}

// Errors are tables with a text, and whether the statistics have them already.
const (
	errField     = "err"
	sourceField  = "source"
	lineField    = "line"
	countedField = "ignore_error_stats_update"
	okField      = "ok"
)

// newError is an error of a text. Behind a - its first word is its code, if there are more;
// others get the code ERR.
func newError(text string) *lua.Table {
	text = strings.Trim(text, "\r\n")
	coded, isCoded := strings.CutPrefix(text, "-")
	if !isCoded || !strings.Contains(coded, " ") {
		coded = "ERR " + coded
	}
	t := lua.NewTable(0, 0)
	t.SetString(errField, lua.String(resp.CString([]byte(coded), len(coded))))
	return t
}

// fail raises an error.
func fail(t *lua.Thread, text string) int {
	t.Raise(newError(text).Value())
	return 0
}

func (e *Engine) call(t *lua.Thread) int {
	v, isError := e.runCommand(t)
	if isError {
		t.Raise(v)
	}
	return t.Return(v)
}

func (e *Engine) pcall(t *lua.Thread) int {
	v, _ := e.runCommand(t)
	return t.Return(v)
}

const (
	noArguments    = "Please specify at least one argument for this redis lib call"
	badArguments   = "Lua redis lib command arguments must be strings or integers"
	unknownCommand = "Invalid command passed to redis.acl_check_cmd()"
)

// runCommand runs the command of redis.call. A reply that is an error becomes one.
func (e *Engine) runCommand(t *lua.Thread) (v lua.Value, isError bool) {
	args, wrong := e.arguments(t)
	if wrong != "" {
		return newError(wrong).Value(), true
	}
	r := e.host.Call(args)
	if r.Kind == resp.KindError {
		failure := newError("-" + r.Text)
		failure.SetString(countedField, lua.Bool(true))
		return failure.Value(), true
	}
	return e.fromReply(r), false
}

// arguments reads those of a command, which are valid until it is called again.
func (e *Engine) arguments(t *lua.Thread) (args [][]byte, wrong string) {
	n := t.NArgs()
	if n == 0 {
		return nil, noArguments
	}
	e.args, e.buf = slices.Grow(e.args[:0], n), e.buf[:0]
	for i := 1; i <= n; i++ {
		from, arg := len(e.buf), t.Arg(i)
		if f, isNumber := arg.AsNumber(); isNumber {
			e.buf = resp.AppendFloat(e.buf, f)
		} else if s, isString := arg.AsString(); isString {
			e.buf = append(e.buf, s...)
		} else {
			return nil, badArguments
		}
		e.args = append(e.args, e.buf[from:len(e.buf):len(e.buf)]) // where the bytes were before they moved is right, too
	}
	args = e.args
	if cap(e.buf) > keptBytes {
		e.buf = nil
	}
	if cap(e.args) > keptArguments {
		e.args = nil
	}
	return args, ""
}

// How much memory for arguments is used again.
const (
	keptBytes     = 64 << 10
	keptArguments = 1024
)

func (e *Engine) log(t *lua.Thread) int {
	n := t.NArgs()
	if n < 2 {
		return fail(t, "redis.log() requires two arguments or more.")
	}
	level, isNumber := t.Arg(1).ToNumber()
	switch {
	case !isNumber:
		return fail(t, "First argument must be a number (log level).")
	case level < 0 || level >= 4:
		return fail(t, "Invalid debug level.")
	}
	var message strings.Builder
	for i := 2; i <= n; i++ {
		if s, isText := t.Arg(i).ToString(); isText {
			if i > 2 {
				message.WriteByte(' ')
			}
			message.WriteString(s)
		}
	}
	e.host.Log(int(level), message.String())
	return 0
}

func (e *Engine) setResp(t *lua.Thread) int {
	if t.NArgs() != 1 {
		return fail(t, "redis.setresp() requires one argument.")
	}
	version, _ := t.Arg(1).ToNumber()
	if int(version) != 2 && int(version) != 3 {
		return fail(t, "RESP version must be 2 or 3.")
	}
	e.setProtocol(int(version))
	return 0
}

func sha1hex(t *lua.Thread) int {
	if t.NArgs() != 1 {
		return fail(t, "wrong number of arguments")
	}
	s, _ := t.Arg(1).ToString()
	return t.Return(lua.String(Hash([]byte(s))))
}

const oneString = "wrong number or type of arguments"

func errorReplyOf(t *lua.Thread) int {
	s, isString := t.Arg(1).AsString()
	if t.NArgs() != 1 || !isString {
		return t.Return(newError(oneString).Value())
	}
	if !strings.HasPrefix(s, "-") {
		s = "-" + s
	}
	return t.Return(newError(s).Value())
}

func statusReplyOf(t *lua.Thread) int {
	s := t.Arg(1)
	if _, isString := s.AsString(); t.NArgs() != 1 || !isString {
		return t.Return(newError(oneString).Value())
	}
	status := lua.NewTable(0, 0)
	status.SetString(okField, s)
	return t.Return(status.Value())
}

// setRepl has no effect, as there are no replicas.
func setRepl(t *lua.Thread) int {
	if t.NArgs() != 1 {
		return fail(t, "redis.set_repl() requires two arguments.")
	}
	if f, _ := t.Arg(1).ToNumber(); int(f)&^replAll != 0 {
		return fail(t, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	return 0
}

func (e *Engine) aclCheckCommand(t *lua.Thread) int {
	args, wrong := e.arguments(t)
	if wrong != "" {
		return fail(t, wrong)
	}
	may, known := e.host.MayRun(args)
	if !known {
		return fail(t, unknownCommand)
	}
	return t.Return(lua.Bool(may))
}
