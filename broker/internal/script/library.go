package script

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"redrpc/broker/internal/lua"
	"redrpc/broker/internal/resp"
)

const invalidName = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"

// parseMetadata reads the first line of a library, such as "#!lua name=lib", and says where
// the code behind it begins.
func parseMetadata(code []byte) (name string, begin int, wrong string) {
	if !bytes.HasPrefix(code, []byte("#!")) {
		return "", 0, "Missing library metadata"
	}
	begin = bytes.IndexAny(code, "\n\x00")
	if begin < 0 || code[begin] == 0 {
		return "", 0, "Invalid library metadata"
	}
	words, valid := resp.SplitLine(code[:begin])
	if !valid || len(words) == 0 {
		return "", 0, "Invalid library metadata"
	}
	isNamed := false
	for _, word := range words[1:] {
		value, isName := cutPrefixFold(word, "NAME=")
		switch {
		case !isName:
			return "", 0, fmt.Sprintf("Invalid metadata value given: %s", word)
		case isNamed:
			return "", 0, "Invalid metadata value, name argument was given multiple times"
		}
		name, isNamed = string(value), true
	}
	switch engine := words[0][min(len("#!"), len(words[0])):]; {
	case !isNamed:
		return "", 0, "Library name was not given"
	case !isName(name):
		return "", 0, invalidName
	case !resp.Is(engine, "LUA"):
		return "", 0, fmt.Sprintf("Engine '%s' not found", engine)
	}
	return name, begin, ""
}

// cutPrefixFold cuts a prefix that is in upper case, whatever case the text has.
func cutPrefixFold(text []byte, prefix string) (rest []byte, found bool) {
	if len(text) < len(prefix) || !resp.Is(text[:len(prefix)], prefix) {
		return nil, false
	}
	return text[len(prefix):], true
}

// isName reports whether a library or a function may be called so.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || '9' < c) && (c < 'A' || 'Z' < c) && (c < 'a' || 'z' < c) && c != '_' {
			return false
		}
	}
	return s != ""
}

// loadLimit is how long the code of a library may run.
const loadLimit = 500 * time.Millisecond

var errLoadTimeout = errors.New("FUNCTION LOAD timeout")

// execute runs the code of a library, which registers its functions. A mistake of ours leaves
// a state behind that nobody knows.
func (f *Functions) execute(l *Library, code string) (wrong string) {
	f.offer(f.loading)
	defer f.offer(f.running)
	function, err := f.state.Load(code, "@user_function")
	if err != nil {
		return fmt.Sprintf("Error compiling function: %s", err)
	}
	f.library, f.registered = l, map[string]bool{}
	f.state.SetErrorHandler(nil)
	elapsed := f.host.Stopwatch()
	f.state.SetHook(HookInterval, func() error {
		if elapsed() > loadLimit {
			return errLoadTimeout
		}
		return nil
	})
	finished := false
	defer func() {
		f.library, f.registered = nil, nil
		f.state.SetErrorHandler(handleError)
		f.state.SetHook(HookInterval, f.host.Interrupt)
		if !finished {
			f.Restart()
		}
	}()
	_, err = f.state.Call(function)
	if finished = true; err == nil {
		return ""
	}
	text := "ERR " + err.Error()
	if raised, is := err.(*lua.Error).Value.AsTable(); is {
		text, _ = raised.GetString(errField).ToString()
	}
	return fmt.Sprintf("Error registering functions: %s", text)
}

// register is redis.register_function.
func (f *Functions) register(t *lua.Thread) int {
	if f.library == nil {
		return fail(t, "redis.register_function can only be called on FUNCTION LOAD command")
	}
	made := &Function{Script: Script{IsFunction: true, Flags: Declared, machine: &f.machine}, library: f.library}
	wrong := ""
	switch t.NArgs() {
	case 1:
		wrong = made.readFields(t.Arg(1))
	case 2:
		wrong = made.readArguments(t.Arg(1), t.Arg(2))
	default:
		wrong = "wrong number of arguments to redis.register_function"
	}
	switch {
	case wrong != "":
		return fail(t, wrong)
	case !isName(made.Name):
		return fail(t, invalidName)
	case f.registered[made.Name]:
		return fail(t, "Function already exists in the library")
	}
	f.registered[made.Name] = true
	f.library.Functions = append(f.library.Functions, made)
	return 0
}

// readArguments takes a function's name and the function.
func (f *Function) readArguments(name, function lua.Value) (wrong string) {
	var is bool
	if f.Name, is = name.ToString(); !is {
		return "first argument to redis.register_function must be a string"
	}
	if f.function, is = function.AsFunction(); !is {
		return "second argument to redis.register_function must be a function"
	}
	return ""
}

// readFields takes all of a function as the fields of a table.
func (f *Function) readFields(v lua.Value) (wrong string) {
	fields, is := v.AsTable()
	if !is {
		return "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments)."
	}
	isNamed := false
	key := lua.Nil
	for {
		next, value, _ := fields.Next(key)
		if next.IsNil() {
			break
		}
		key = next
		name, is := key.ToString()
		if !is {
			return "named argument key given to redis.register_function is not a string"
		}
		switch lower(cString(name)) {
		case "function_name":
			if f.Name, isNamed = value.ToString(); !isNamed {
				return "function_name argument given to redis.register_function must be a string"
			}
		case "description":
			text, is := value.ToString()
			if !is {
				return "description argument given to redis.register_function must be a string"
			}
			f.Description = append([]byte{}, text...)
		case "callback":
			if f.function, is = value.AsFunction(); !is {
				return "callback argument given to redis.register_function must be a function"
			}
		case "flags":
			flags, is := value.AsTable()
			if !is {
				return "flags argument to redis.register_function must be a table representing function flags"
			}
			if f.Flags, is = readFlags(flags); !is {
				return "unknown flag given"
			}
		default:
			return "unknown argument given to redis.register_function"
		}
	}
	switch {
	case !isNamed:
		return "redis.register_function must get a function name argument"
	case f.function == nil:
		return "redis.register_function must get a callback argument"
	}
	return ""
}

// readFlags takes the flags that a list names. It reports false if there is none of a name.
func readFlags(list *lua.Table) (f Flags, known bool) {
	f = Declared
	for i := 1; ; i++ {
		v := list.GetInt(i)
		if v.IsNil() {
			return f, true
		}
		name, _ := v.ToString()
		flag := flagNamed(lower(cString(name)))
		if flag == 0 {
			return 0, false
		}
		f |= flag
	}
}
