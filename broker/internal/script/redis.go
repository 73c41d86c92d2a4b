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

// A field is one of the table redis: a number, a string or a function.
type field struct {
	name  string
	value any
}

// The fields, in Redis's order, which decides on that of pairs.

func (m *machine) forCommands() []field { return []field{{"call", m.call}, {"pcall", m.pcall}} }

func (m *machine) forLog() []field {
	return []field{
		{"log", m.log},
		{"LOG_DEBUG", 0},
		{"LOG_VERBOSE", 1},
		{"LOG_NOTICE", 2},
		{"LOG_WARNING", 3},
		{"REDIS_VERSION_NUM", versionNumber},
		{"REDIS_VERSION", version},
	}
}

func (m *machine) forReplies() []field {
	return []field{
		{"setresp", m.setResp},
		{"sha1hex", sha1hex},
		{"error_reply", errorReplyOf},
		{"status_reply", statusReplyOf},
		{"set_repl", setRepl},
		{"REPL_NONE", replNone},
		{"REPL_AOF", replAOF},
		{"REPL_SLAVE", replReplica},
		{"REPL_REPLICA", replReplica},
		{"REPL_ALL", replAll},
		{"acl_check_cmd", m.aclCheckCommand},
	}
}

// forEval are fields that functions do not have.
func forEval() []field {
	return []field{
		{"breakpoint", func(t *lua.Thread) int { return t.Return(lua.Bool(false)) }},
		{"debug", func(*lua.Thread) int { return 0 }},
		{"replicate_commands", func(t *lua.Thread) int { return t.Return(lua.Bool(true)) }},
	}
}

// newTable makes a table redis.
func (m *machine) newTable(fields ...field) *lua.Table {
	t := lua.NewTable(0, 0)
	for _, f := range fields {
		switch v := f.value.(type) {
		case int:
			t.SetString(f.name, lua.Int(v))
		case string:
			t.SetString(f.name, lua.String(v))
		case func(*lua.Thread) int:
			t.SetString(f.name, m.state.NewFunction(v).Value())
		}
	}
	return t
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
	t.SetString(errField, lua.String(cString(coded)))
	return t
}

// fail raises an error.
func fail(t *lua.Thread, text string) int {
	t.Raise(newError(text).Value())
	return 0
}

func (m *machine) call(t *lua.Thread) int {
	v, isError := m.runCommand(t)
	if isError {
		t.Raise(v)
	}
	return t.Return(v)
}

func (m *machine) pcall(t *lua.Thread) int {
	v, _ := m.runCommand(t)
	return t.Return(v)
}

const (
	noArguments    = "Please specify at least one argument for this redis lib call"
	badArguments   = "Lua redis lib command arguments must be strings or integers"
	unknownCommand = "Invalid command passed to redis.acl_check_cmd()"
)

// runCommand runs the command of redis.call. A reply that is an error becomes one.
func (m *machine) runCommand(t *lua.Thread) (v lua.Value, isError bool) {
	args, wrong := m.arguments(t)
	if wrong != "" {
		return newError(wrong).Value(), true
	}
	r := m.host.Call(args)
	if r.Kind == resp.KindError {
		failure := newError("-" + r.Text)
		failure.SetString(countedField, lua.Bool(true))
		return failure.Value(), true
	}
	return m.fromReply(r), false
}

// arguments reads those of a command, which are valid until it is called again.
func (m *machine) arguments(t *lua.Thread) (args [][]byte, wrong string) {
	n := t.NArgs()
	if n == 0 {
		return nil, noArguments
	}
	m.args, m.buf = slices.Grow(m.args[:0], n), m.buf[:0]
	for i := 1; i <= n; i++ {
		from, arg := len(m.buf), t.Arg(i)
		if f, isNumber := arg.AsNumber(); isNumber {
			m.buf = resp.AppendFloat(m.buf, f)
		} else if s, isString := arg.AsString(); isString {
			m.buf = append(m.buf, s...)
		} else {
			return nil, badArguments
		}
		m.args = append(m.args, m.buf[from:len(m.buf):len(m.buf)]) // where the bytes were before they moved is right, too
	}
	args = m.args
	if cap(m.buf) > keptBytes {
		m.buf = nil
	}
	if cap(m.args) > keptArguments {
		m.args = nil
	}
	return args, ""
}

// How much memory for arguments is used again.
const (
	keptBytes     = 64 << 10
	keptArguments = 1024
)

func (m *machine) log(t *lua.Thread) int {
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
	m.host.Log(int(level), message.String())
	return 0
}

func (m *machine) setResp(t *lua.Thread) int {
	if t.NArgs() != 1 {
		return fail(t, "redis.setresp() requires one argument.")
	}
	version, _ := t.Arg(1).ToNumber()
	if int(version) != 2 && int(version) != 3 {
		return fail(t, "RESP version must be 2 or 3.")
	}
	m.setProtocol(int(version))
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

func (m *machine) aclCheckCommand(t *lua.Thread) int {
	args, wrong := m.arguments(t)
	if wrong != "" {
		return fail(t, wrong)
	}
	may, known := m.host.MayRun(args)
	if !known {
		return fail(t, unknownCommand)
	}
	return t.Return(lua.Bool(may))
}
