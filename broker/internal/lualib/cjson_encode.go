package lualib

import (
	"fmt"
	"math"

	"redrpc/broker/internal/lua"
)

const maxKeptBuffer = 64 << 10 // bytes

// encode makes JSON of its argument.
func (l *jsonLibrary) encode(t *lua.Thread) int {
	if t.NArgs() != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	e := jsonEncoder{jsonLibrary: l, thread: t, out: l.buffer[:0]}
	e.value(t.Arg(1), 0, 1)
	if cap(e.out) <= maxKeptBuffer {
		l.buffer = e.out
	}
	return t.Return(newString(t, string(e.out)))
}

// A jsonEncoder appends JSON to out. The slots of a value are the values on the stack of
// Redis's library, with this one.
type jsonEncoder struct {
	*jsonLibrary
	thread *lua.Thread
	out    []byte
}

func (e *jsonEncoder) value(v lua.Value, depth, slots int) {
	e.thread.Count(1)
	switch v.Type() {
	case lua.TypeString:
		s, _ := v.AsString()
		e.string(s)
	case lua.TypeNumber:
		f, _ := v.AsNumber()
		e.number(f)
	case lua.TypeTable:
		table, _ := v.AsTable()
		e.table(table, depth+1, slots)
	case lua.TypeBoolean:
		if v.Truth() {
			e.append("true")
		} else {
			e.append("false")
		}
	case lua.TypeNil, lua.TypeLightUserdata:
		e.append("null")
	default:
		e.refuse(v.Type(), "type not supported")
	}
}

func (e *jsonEncoder) append(s string) {
	e.thread.CheckLength(len(e.out) + len(s))
	e.out = append(e.out, s...)
}

func (e *jsonEncoder) refuse(what lua.Type, reason string) {
	e.thread.Errorf("Cannot serialise %s: %s", what, reason)
}

func (e *jsonEncoder) table(table *lua.Table, depth, slots int) {
	if depth > e.encodeDepth || slots+3 > maxSlots {
		e.thread.Errorf("Cannot serialise, excessive nesting (%d)", depth)
	}
	if n := e.arrayLength(table); n > 0 {
		e.array(table, n, depth, slots)
	} else {
		e.object(table, depth, slots)
	}
}

// arrayLength is how long a table is as an array, or zero or less if it is none.
func (e *jsonEncoder) arrayLength(table *lua.Table) int {
	var length, items int32
	for key, _, _ := table.Next(lua.Nil); !key.IsNil(); key, _, _ = table.Next(key) {
		e.thread.Count(1)
		f, ok := key.AsNumber()
		if !ok || f < 1 || f != math.Floor(f) {
			return 0
		}
		if f > float64(length) {
			length = toInt32(f)
		}
		items++
	}
	// All of them have 32 bits, and the product may overflow.
	ratio, safe := int32(e.sparseRatio), int32(e.sparseSafe)
	if ratio > 0 && length > items*ratio && length > safe {
		if e.sparseConvert == jsonOff {
			e.refuse(lua.TypeTable, "excessively sparse array")
		}
		return 0
	}
	return int(length)
}

// toInt32 converts as C does: what does not fit becomes the lowest number.
func toInt32(f float64) int32 {
	if f > math.MinInt32-1 && f < math.MaxInt32+1 {
		return int32(f)
	}
	return math.MinInt32
}

func (e *jsonEncoder) array(table *lua.Table, n, depth, slots int) {
	e.append("[")
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.append(",")
		}
		e.value(table.GetInt(i), depth, slots+1)
	}
	e.append("]")
}

func (e *jsonEncoder) object(table *lua.Table, depth, slots int) {
	e.append("{")
	separator := ""
	for key, value, _ := table.Next(lua.Nil); !key.IsNil(); key, value, _ = table.Next(key) {
		e.append(separator)
		separator = ","
		e.key(key)
		e.value(value, depth, slots+2)
	}
	e.append("}")
}

func (e *jsonEncoder) key(key lua.Value) {
	if s, ok := key.AsString(); ok {
		e.string(s)
		e.append(":")
	} else if f, ok := key.AsNumber(); ok {
		e.append(`"`)
		e.number(f)
		e.append(`":`)
	} else {
		e.refuse(key.Type(), "table key must be a number or string")
	}
}

func (e *jsonEncoder) number(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		switch {
		case e.encodeInvalid == jsonOff:
			e.refuse(lua.TypeNumber, "must not be NaN or Inf")
		case e.encodeInvalid == jsonNull:
			e.append("null")
			return
		case math.IsNaN(f):
			e.append("nan")
			return
		}
	}
	e.thread.CheckLength(len(e.out) + 32)
	e.out = lua.AppendNumber(e.out, f, e.precision)
}

func (e *jsonEncoder) string(s string) {
	countBytes(e.thread, len(s))
	e.append(`"`)
	start := 0
	for i := range len(s) {
		if escape := jsonEscapes[s[i]]; escape != "" {
			e.append(s[start:i])
			e.append(escape)
			start = i + 1
		}
	}
	e.append(s[start:])
	e.append(`"`)
}

// jsonEscapes are the bytes that strings have in another form.
var jsonEscapes = makeJSONEscapes()

func makeJSONEscapes() (escapes [256]string) {
	for c := range 0x20 {
		escapes[c] = fmt.Sprintf(`\u%04x`, c)
	}
	escapes[0x7f] = `\u007f`
	for c, letter := range jsonLetters {
		escapes[c] = `\` + string(letter)
	}
	return escapes
}

// jsonLetters are the bytes that have a letter of their own behind a backslash.
var jsonLetters = map[byte]byte{
	'"': '"', '\\': '\\', '/': '/', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r',
}
