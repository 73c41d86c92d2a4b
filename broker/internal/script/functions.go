package script

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/lua"
	"redrpc/broker/internal/resp"
)

// A Library is code that was loaded, and the functions that it has registered.
type Library struct {
	Name      string
	Code      []byte
	Functions []*Function // in the order of their registration
}

// A Function is one that FCALL calls.
type Function struct {
	Script
	Description []byte // nil: none
	library     *Library
}

// Functions has the libraries of a server, which run in one Lua state. The globals of all
// their code are one table that has no fields of its own: while a library is loaded what it
// finds there are those of loading, and when its functions run those of running.
type Functions struct {
	machine
	libraries
	meta             *lua.Table      // of the globals
	loading, running lua.Value       // what the globals have then
	library          *Library        // that is being loaded
	registered       map[string]bool // names of its functions
}

// Libraries are some by their names, with their functions by theirs, in lower case.
type libraries struct {
	byName    map[string]*Library
	functions map[string]*Function
}

func noLibraries() libraries {
	return libraries{map[string]*Library{}, map[string]*Function{}}
}

// NewFunctions returns one without libraries. It has the host of a cache, and goes on with
// its random numbers.
func NewFunctions(c *Cache) *Functions {
	f := &Functions{machine: machine{host: c.host}, libraries: noLibraries()}
	f.open(c.state)
	return f
}

// open makes the state, and the globals for loading and running.
func (f *Functions) open(random *lua.State) {
	f.start(random)
	running := f.state.Globals()
	running.SetString("redis", f.newTable(slices.Concat(f.forCommands(), f.forLog(), f.forReplies())...).Value())
	f.protectGlobals()

	redis := f.newTable(append([]field{{"register_function", f.register}}, f.forLog()...)...)
	f.refuseUnknown(redis)
	loading := lua.NewTable(0, 1)
	loading.SetString("redis", redis.Value())
	f.refuseUnknown(loading)
	protect(loading)

	f.running, f.loading = running.Value(), loading.Value()
	f.meta = lua.NewTable(0, 1)
	f.offer(f.running)
	globals := lua.NewTable(0, 0)
	globals.SetMeta(f.meta)
	protect(globals)
	f.state.SetGlobals(globals)
}

// offer makes the fields of a table the globals.
func (f *Functions) offer(table lua.Value) { f.meta.SetString("__index", table) }

// Restart begins with a new state, and loads the libraries there: for when nobody knows what
// state the last one is in.
func (f *Functions) Restart() {
	last := f.Libraries()
	f.libraries = noLibraries()
	f.open(f.state)
	for _, l := range last {
		f.Load(l.Code, false) // which has succeeded before
	}
}

// Flush forgets all libraries.
func (f *Functions) Flush() { f.libraries = noLibraries() }

// Libraries returns all, by name.
func (l *libraries) Libraries() []*Library {
	return slices.SortedFunc(maps.Values(l.byName), func(x, y *Library) int { return strings.Compare(x.Name, y.Name) })
}

// Len is how many libraries and functions there are.
func (l *libraries) Len() (libraries, functions int) { return len(l.byName), len(l.functions) }

// Size is the bytes of their code, names and descriptions.
func (l *libraries) Size() int {
	size := 0
	for _, library := range l.byName {
		size += len(library.Name) + len(library.Code)
		for _, f := range library.Functions {
			size += len(f.Name) + len(f.Description)
		}
	}
	return size
}

// Find returns a function by its name, in any case, or nil.
func (l *libraries) Find(name []byte) *Function {
	if f := l.functions[string(name)]; f != nil {
		return f
	}
	return l.functions[lower(string(name))]
}

// lower is a name in lower case, as C knows it.
func lower(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return 'A' <= r && r <= 'Z' }) < 0 {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Delete forgets a library, and reports whether there was one of that name.
func (l *libraries) Delete(name []byte) bool {
	library := l.byName[string(name)]
	if library != nil {
		l.remove(library)
	}
	return library != nil
}

func (l *libraries) remove(library *Library) {
	delete(l.byName, library.Name)
	for _, f := range library.Functions {
		if name := lower(f.Name); l.functions[name] == f {
			delete(l.functions, name)
		}
	}
}

// add puts in a library. Of functions whose names differ in the case of letters only the
// first one can be called.
func (l *libraries) add(library *Library) {
	l.byName[library.Name] = library
	for _, f := range library.Functions {
		if name := lower(f.Name); l.functions[name] == nil {
			l.functions[name] = f
		}
	}
}

// collision is a function of a library whose name one of another library has, or nil. Those
// of the one that it replaces do not count.
func (l *libraries) collision(library *Library, isReplaced func(*Library) bool) *Function {
	for _, f := range library.Functions {
		if other := l.functions[lower(f.Name)]; other != nil && !isReplaced(other.library) {
			return f
		}
	}
	return nil
}

// Load loads a library, or replaces the one of its name. The error is the reply to who sent
// it; then nothing has changed.
func (f *Functions) Load(code []byte, replace bool) (*Library, *resp.Reply) {
	library, wrong := f.load(&f.libraries, code, replace)
	if wrong != "" {
		r := resp.Errorf("ERR %s", []byte(wrong))
		return nil, &r
	}
	return library, nil
}

// load adds a library to some.
func (f *Functions) load(to *libraries, code []byte, replace bool) (l *Library, wrong string) {
	name, begin, wrong := parseMetadata(code)
	if wrong != "" {
		return nil, wrong
	}
	old := to.byName[name]
	if old != nil && !replace {
		return nil, fmt.Sprintf("Library '%s' already exists", name)
	}
	library := &Library{Name: name, Code: code}
	if wrong := f.execute(library, string(code[begin:])); wrong != "" {
		return nil, wrong
	}
	if len(library.Functions) == 0 {
		return nil, "No functions registered"
	}
	if other := to.collision(library, func(l *Library) bool { return l == old }); other != nil {
		return nil, fmt.Sprintf("Function %s already exists", other.Name)
	}
	if old != nil {
		to.remove(old)
	}
	to.add(library)
	return library, ""
}
