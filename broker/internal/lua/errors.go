package lua

import (
	"fmt"
	"strings"
)

// thrown is the panic that ends calls up to the next pcall. It never leaves the package.
type thrown struct {
	value     Value
	source    string // of the function of a script that was running
	line      int
	unhandled bool
	hook      error // of the state's hook: no pcall stops it
}

const (
	notEnoughMemory = "not enough memory"
	errorInHandling = "error in error handling"
	noRegister      = -1

	maxSourceInError  = 60
	maxSourceInSyntax = 80
)

// throw ends the calls up to the next pcall. Error handlers are not called.
func (t *Thread) throw(e *thrown) {
	e.source, e.line = t.errorPosition()
	panic(e)
}

// fail ends the script's calls because there is no stack or memory left.
func (t *Thread) fail(message string) {
	t.throw(&thrown{value: String(message), unhandled: true})
}

// errorPosition is where Redis says that an error was: in the function that runs, or in
// its caller if that is one in Go.
func (t *Thread) errorPosition() (source string, line int) {
	source, line, ok := t.Position(0)
	if ok && source == sourceNative {
		if s, l, ok := t.Position(1); ok {
			return s, l
		}
	}
	return source, line
}

// Raise ends the calls up to the next pcall with an error, which is any value.
func (t *Thread) Raise(v Value) { t.throw(&thrown{value: t.handled(v)}) }

// handled is what the error handler, if there is one, makes of an error.
func (t *Thread) handled(v Value) Value {
	if t.handler.IsNil() {
		return v
	}
	if !t.handler.is(TypeFunction) {
		t.fail(errorInHandling)
	}
	at := t.top
	t.push(t.handler)
	t.push(v)
	t.call(at, 1)
	return t.pop()
}

// runtimeError raises an error, with the position if a script's function is running.
func (t *Thread) runtimeError(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if c := t.current(); c.function != nil && c.function.proto != nil {
		p := c.function.proto
		message = fmt.Sprintf("%s:%d: %s", shortSource(p.source), p.lineOf(c.pc-1), message)
	}
	t.Raise(String(message))
}

// Errorf raises an error of a function in Go, with the position of its caller.
func (t *Thread) Errorf(format string, args ...any) {
	t.Raise(String(t.Where(1) + fmt.Sprintf(format, args...)))
}

// ArgError raises the error that an argument is wrong.
func (t *Thread) ArgError(n int, message string) {
	name, kind := t.calledAs()
	if kind == "method" {
		if n--; n == 0 {
			t.Errorf("calling '%s' on bad self (%s)", name, message)
		}
	}
	if name == "" {
		name = "?"
	}
	t.Errorf("bad argument #%d to '%s' (%s)", n, name, message)
}

// TypeError raises the error that an argument is of another type than is expected.
func (t *Thread) TypeError(n int, expected string) {
	got := "no value"
	if t.hasArg(n) {
		got = t.Arg(n).Type().String()
	}
	t.ArgError(n, fmt.Sprintf("%s expected, got %s", expected, got))
}

// typeError raises the error that a value cannot be used so. Its name is found if it is in
// a register.
func (t *Thread) typeError(v Value, register int, operation string) {
	if name, kind := t.registerName(t.level, register); kind != "" {
		t.runtimeError("attempt to %s %s '%s' (a %s value)", operation, kind, name, v.Type())
	}
	t.runtimeError("attempt to %s a %s value", operation, v.Type())
}

const sourceNative = "=[C]"

// Position is the script and the line that a call is at: of the function that runs at
// level 0, of its caller at level 1. A function in Go has the script "=[C]" and no line,
// which is -1.
func (t *Thread) Position(level int) (source string, line int, ok bool) {
	i, tail, ok := t.callAt(level)
	switch {
	case !ok:
		return "", -1, false
	case tail:
		return "=(tail call)", -1, true
	}
	c := &t.calls[i]
	if c.function == nil || c.function.proto == nil {
		return sourceNative, -1, true
	}
	return c.function.proto.source, c.function.proto.lineOf(c.pc - 1), true
}

// Where is the position of a call in front of an error's text, such as "user_script:1: ",
// or nothing if it has no line.
func (t *Thread) Where(level int) string {
	if source, line, ok := t.Position(level); ok && line > 0 {
		return fmt.Sprintf("%s:%d: ", shortSource(source), line)
	}
	return ""
}

// callAt finds the call of a level. Tail is true if that call is gone, since another has
// taken its place.
func (t *Thread) callAt(level int) (i int, tail, ok bool) {
	i = t.level
	for ; level > 0 && i > 0; i-- {
		level--
		level -= t.calls[i].tailCalls
	}
	switch {
	case level == 0 && i > 0:
		return i, false, true
	case level < 0:
		return 0, true, true
	}
	return 0, false, false
}

// shortSource is the name of a script in errors: without its @ or =, or the first line of
// the script itself.
func shortSource(source string) string { return shortSourceIn(source, maxSourceInError) }

// shortSourceIn is shortSource with less than size bytes.
func shortSourceIn(source string, size int) string {
	source, _, _ = strings.Cut(source, "\x00")
	if source == "" {
		return `[string ""]`
	}
	switch source[0] {
	case '=':
		return source[1:min(len(source), size)]
	case '@':
		source = source[1:]
		if room := size - len(" '...' ") - 1; len(source) > room {
			source = "..." + source[len(source)-room:]
		}
		return source
	}
	length := strings.IndexAny(source, "\n\r")
	if length < 0 {
		length = len(source)
	}
	room := size - len(` [string "..."] `) - 1
	if length = min(length, room); length < len(source) {
		return `[string "` + source[:length] + `..."]`
	}
	return `[string "` + source + `"]`
}
