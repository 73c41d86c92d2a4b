package script

import (
	"iter"
	"math"
	"strconv"
	"strings"

	"redrpc/broker/internal/lua"
	"redrpc/broker/internal/resp"
)

// Replies that have no type of their own in Lua are tables with one of these fields.
const (
	doubleField    = "double"
	mapField       = "map"
	setField       = "set"
	bigNumberField = "big_number"
	verbatimField  = "verbatim_string"
)

// fromReply is the value of a reply that is no error, in the version of the protocol that
// the script has chosen.
func (m *machine) fromReply(r *resp.Reply) lua.Value {
	plain := m.protocol == 2
	switch r.Kind {
	case resp.KindInteger:
		return lua.Number(float64(r.N))
	case resp.KindSimple:
		return single(okField, lua.String(r.Text))
	case resp.KindError:
		return newError("-" + r.Text).Value()
	case resp.KindBulk:
		return lua.String(string(r.Bytes))
	case resp.KindVerbatim:
		text := lua.String(string(r.Bytes))
		if plain {
			return text
		}
		verbatim := lua.NewTable(0, 0)
		verbatim.SetString("string", text)
		verbatim.SetString("format", lua.String("txt"))
		return single(verbatimField, verbatim.Value())
	case resp.KindDouble:
		if plain {
			return lua.String(string(r.Bytes))
		}
		return doubleOf(r.Bytes)
	case resp.KindBoolean:
		if plain {
			return lua.Number(float64(r.N))
		}
		return lua.Bool(r.N != 0)
	case resp.KindStrings, resp.KindArray, resp.KindPush:
	case resp.KindPairs, resp.KindScored:
		if !plain {
			return fromPairs(r)
		}
	case resp.KindKeyed:
		if plain {
			return m.fromKeyed(r)
		}
		return m.fromMap(r)
	case resp.KindMap:
		if !plain {
			return m.fromMap(r)
		}
	case resp.KindSet:
		if !plain {
			return m.fromSet(r)
		}
	default:
		if plain {
			return lua.Bool(false)
		}
		return lua.Nil
	}
	t, i := lua.NewTable(max(len(r.Items), int(r.N)), 0), 0
	for v := range m.elements(r) {
		i++
		t.SetInt(i, v)
	}
	return t.Value()
}

// elements are those of a list, whether it has them or passes them on.
func (m *machine) elements(r *resp.Reply) iter.Seq[lua.Value] {
	return func(yield func(lua.Value) bool) {
		for i := range r.Items {
			if !yield(m.fromReply(&r.Items[i])) {
				return
			}
		}
		switch {
		case r.Lazy != nil:
			for item := range r.Lazy {
				if !yield(m.fromReply(&item)) {
					return
				}
			}
		case r.Each != nil:
			for s := range r.Each {
				if !yield(lua.String(string(s))) {
					return
				}
			}
		}
	}
}

// fromPairs is a table of pairs, of two strings or a string and a double each.
func fromPairs(r *resp.Reply) lua.Value {
	t, n := lua.NewTable(int(r.N), 0), 0
	var pair *lua.Table
	for s := range r.Each {
		if pair == nil {
			pair = lua.NewTable(2, 0)
			pair.SetInt(1, lua.String(string(s)))
			continue
		}
		if r.Kind == resp.KindScored {
			pair.SetInt(2, doubleOf(s))
		} else {
			pair.SetInt(2, lua.String(string(s)))
		}
		n++
		t.SetInt(n, pair.Value())
		pair = nil
	}
	return t.Value()
}

// fromKeyed is a table of keys with their values, as pairs.
func (m *machine) fromKeyed(r *resp.Reply) lua.Value {
	t := lua.NewTable(len(r.Items)/2, 0)
	for i := 0; i < len(r.Items); i += 2 {
		pair := lua.NewTable(2, 0)
		pair.SetInt(1, m.fromReply(&r.Items[i]))
		pair.SetInt(2, m.fromReply(&r.Items[i+1]))
		t.SetInt(i/2+1, pair.Value())
	}
	return t.Value()
}

// doubleOf is the value of a double in version 3 of the protocol.
func doubleOf(text []byte) lua.Value {
	f, _ := strconv.ParseFloat(string(text), 64) // as it was written by the server
	return single(doubleField, lua.Number(f))
}

func (m *machine) fromMap(r *resp.Reply) lua.Value {
	t, key, isValue := lua.NewTable(0, 0), lua.Nil, false
	for v := range m.elements(r) {
		switch {
		case !isValue:
			key = v
		case !key.IsNil():
			t.Set(key, v)
		}
		isValue = !isValue
	}
	return single(mapField, t.Value())
}

func (m *machine) fromSet(r *resp.Reply) lua.Value {
	t := lua.NewTable(0, 0)
	for v := range m.elements(r) {
		if !v.IsNil() {
			t.Set(v, lua.Bool(true))
		}
	}
	return single(setField, t.Value())
}

// single is a table with one field.
func single(field string, v lua.Value) lua.Value {
	t := lua.NewTable(0, 1)
	t.SetString(field, v)
	return t.Value()
}

// Limits of what a script returns, as tables may contain themselves: how deep they may be
// nested, and how many values there may be.
const (
	deepest    = 1000
	mostValues = 1 << 22
)

var tooManyValues = resp.ErrorReply("ERR the script returns too many values")

// toReply is the reply that a script returns.
func (m *machine) toReply(v lua.Value) resp.Reply {
	m.values = 0
	if r := m.reply(v, deepest); m.values < mostValues {
		return r
	}
	return tooManyValues
}

func (m *machine) reply(v lua.Value, depth int) resp.Reply {
	if m.values++; m.values >= mostValues {
		return resp.Null
	}
	switch v.Type() {
	case lua.TypeString:
		s, _ := v.AsString()
		return resp.BulkString(s)
	case lua.TypeNumber:
		f, _ := v.AsNumber()
		return resp.Integer(truncate(f))
	case lua.TypeBoolean:
		b, _ := v.AsBool()
		switch {
		case m.protocol == 3:
			r := resp.Reply{Kind: resp.KindBoolean}
			if b {
				r.N = 1
			}
			return r
		case b:
			return resp.One
		}
		return resp.Null
	case lua.TypeTable:
		if depth == 0 {
			return resp.ErrorReply("ERR reached lua stack limit")
		}
		t, _ := v.AsTable()
		return m.replyOfTable(t, depth-1)
	}
	return resp.Null
}

// replyOfTable is that of a table: what its one field says, or an array of what stands
// before the first nil.
func (m *machine) replyOfTable(t *lua.Table, depth int) resp.Reply {
	if text, is := t.GetString(errField).AsString(); is {
		return m.errorReply(text, t.GetString(countedField).Truth())
	}
	if text, is := t.GetString(okField).AsString(); is {
		return resp.Simple(oneLine(text))
	}
	if f, is := t.GetString(doubleField).AsNumber(); is {
		return resp.Double(f)
	}
	if inner, is := t.GetString(mapField).AsTable(); is {
		return m.replyOfPairs(inner, depth, true)
	}
	if inner, is := t.GetString(setField).AsTable(); is {
		return m.replyOfPairs(inner, depth, false)
	}
	if text, is := t.GetString(bigNumberField).AsString(); is {
		return resp.BigNumber(oneLine(text))
	}
	if inner, is := t.GetString(verbatimField).AsTable(); is {
		format, isFormat := inner.GetString("format").AsString()
		text, isText := inner.GetString("string").AsString()
		if isFormat && isText {
			return resp.VerbatimOf(format, text)
		}
	}
	var items []resp.Reply
	for i := 1; ; i++ {
		v := t.GetInt(i)
		if v.IsNil() {
			return resp.Array(items...)
		}
		if items = append(items, m.reply(v, depth)); m.values >= mostValues {
			return resp.Null
		}
	}
}

// replyOfPairs is the map, or the set, of a table's keys.
func (m *machine) replyOfPairs(t *lua.Table, depth int, isMap bool) resp.Reply {
	var items []resp.Reply
	key := lua.Nil
	for {
		next, value, more := t.Next(key)
		if !more || next.IsNil() || m.values >= mostValues {
			break
		}
		items = append(items, m.reply(next, depth))
		if isMap {
			items = append(items, m.reply(value, depth))
		}
		key = next
	}
	if isMap {
		return resp.Map(items...)
	}
	return resp.Set(items...)
}

// oneLine puts spaces in place of line breaks.
func oneLine(s string) string { return lineBreaks.Replace(s) }

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// truncate is a number without its fraction, as C converts it: what does not fit is the
// lowest number.
func truncate(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}
