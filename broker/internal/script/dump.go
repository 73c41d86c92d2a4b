package script

import (
	"fmt"

	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// Dump returns all libraries in the form of FUNCTION DUMP: their code.
func (f *Functions) Dump() []byte {
	var out []byte
	for _, l := range f.Libraries() {
		out = rdb.AppendString(append(out, rdb.OpcodeFunction2), l.Code)
	}
	return rdb.Dump(out)
}

// A Policy says what becomes of the libraries that are there when others are restored.
type Policy int

// The policies.
const (
	Append  Policy = iota // they stay, and none may have the name of a restored one
	Replace               // those of the same names are replaced
	Flush                 // all are forgotten
)

// Restore loads what Dump has returned, of which no more than most bytes may be compressed
// ones. The error is the reply to who sent it; then nothing has changed.
func (f *Functions) Restore(payload []byte, policy Policy, most int) *resp.Reply {
	if wrong := f.restore(payload, policy, most); wrong != "" {
		r := resp.Errorf("ERR %s", []byte(wrong))
		return &r
	}
	return nil
}

func (f *Functions) restore(payload []byte, policy Policy, most int) (wrong string) {
	if _, valid := rdb.Undump(payload); !valid {
		return "DUMP payload version or checksum are wrong"
	}
	restored := noLibraries()
	for d := rdb.NewDecoder(payload, most); d.Len() > rdb.FooterLength; { // a string that is too long reads on there, as in Redis
		code, wrong := readCode(d)
		if wrong == "" {
			_, wrong = f.load(&restored, code, false)
		}
		if wrong != "" {
			return wrong
		}
	}
	if policy == Flush {
		f.libraries = restored
		return ""
	}
	return f.join(restored, policy == Replace)
}

// readCode reads the code of a library.
func readCode(d *rdb.Decoder) (code []byte, wrong string) {
	check := func(what string) {
		if d.Broken() && wrong == "" {
			wrong = "Failed loading " + what
		}
	}
	read := func(what string) string {
		s := d.String()
		check(what)
		return string(s)
	}
	switch d.Byte() {
	case rdb.OpcodeFunction2:
		code = []byte(read("library payload"))
	case rdb.OpcodeFunction:
		name := read("library name")
		engine := read("engine name")
		isDescribed := d.Uint() != 0
		check("library description indicator")
		if isDescribed {
			read("library description")
		}
		code = fmt.Appendf(nil, "#!%s name=%s\n%s", cString(engine), cString(name), cString(read("library blob")))
	default:
		wrong = "given type is not a function"
	}
	return code, wrong
}

// join adds libraries, all or none.
func (l *libraries) join(more libraries, replace bool) (wrong string) {
	added := more.Libraries()
	for _, library := range added {
		if l.byName[library.Name] != nil && !replace {
			return fmt.Sprintf("Library %s already exists", library.Name)
		}
	}
	isReplaced := func(old *Library) bool { return more.byName[old.Name] != nil }
	for _, library := range added {
		if other := l.collision(library, isReplaced); other != nil {
			return fmt.Sprintf("Function %s already exists", other.Name)
		}
	}
	for _, library := range added {
		if old := l.byName[library.Name]; old != nil {
			l.remove(old)
		}
	}
	for _, library := range added {
		l.add(library)
	}
	return ""
}
