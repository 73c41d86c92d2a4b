package script

import (
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
func (e *Engine) fromReply(r *resp.Reply) lua.Value {
	plain := e.protocol == 2
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
		f, _ := strconv.ParseFloat(string(r.Bytes), 64)
		return single(doubleField, lua.Number(f))
	case resp.KindBoolean:
		if plain {
			return lua.Number(float64(r.N))
		}
		return lua.Bool(r.N != 0)
	case resp.KindStrings:
		t, i := lua.NewTable(int(r.N), 0), 0
		for s := range r.Each {
			i++
			t.SetInt(i, lua.String(string(s)))
		}
		return t.Value()
	case resp.KindMap:
		if !plain {
			return e.fromMap(r.Items)
		}
	case resp.KindSet:
		if !plain {
			return e.fromSet(r.Items)
		}
	case resp.KindArray, resp.KindPush:
	default:
		if plain {
			return lua.Bool(false)
		}
		return lua.Nil
	}
	t := lua.NewTable(len(r.Items), 0)
	for i := range r.Items {
		t.SetInt(i+1, e.fromReply(&r.Items[i]))
	}
	return t.Value()
}

func (e *Engine) fromMap(pairs []resp.Reply) lua.Value {
	t := lua.NewTable(0, 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if key := e.fromReply(&pairs[i]); !key.IsNil() {
			t.Set(key, e.fromReply(&pairs[i+1]))
		}
	}
	return single(mapField, t.Value())
}

func (e *Engine) fromSet(members []resp.Reply) lua.Value {
	t := lua.NewTable(0, 0)
	for i := range members {
		if key := e.fromReply(&members[i]); !key.IsNil() {
			t.Set(key, lua.Bool(true))
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

// deepest is how deep tables may be nested in what a script returns.
const deepest = 1000

// toReply is the reply that a script returns.
func (e *Engine) toReply(v lua.Value) resp.Reply { return e.reply(v, deepest) }

func (e *Engine) reply(v lua.Value, depth int) resp.Reply {
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
		case e.protocol == 3:
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
		return e.replyOfTable(t, depth-1)
	}
	return resp.Null
}

// replyOfTable is that of a table: what its one field says, or an array of what stands
// before the first nil.
func (e *Engine) replyOfTable(t *lua.Table, depth int) resp.Reply {
	if text, is := t.GetString(errField).AsString(); is {
		return errorReply(text, t.GetString(countedField).Truth())
	}
	if text, is := t.GetString(okField).AsString(); is {
		return resp.Simple(oneLine(text))
	}
	if f, is := t.GetString(doubleField).AsNumber(); is {
		return resp.Double(f)
	}
	if inner, is := t.GetString(mapField).AsTable(); is {
		return e.replyOfPairs(inner, depth, true)
	}
	if inner, is := t.GetString(setField).AsTable(); is {
		return e.replyOfPairs(inner, depth, false)
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
		items = append(items, e.reply(v, depth))
	}
}

// replyOfPairs is the map, or the set, of a table's keys.
func (e *Engine) replyOfPairs(t *lua.Table, depth int, isMap bool) resp.Reply {
	var items []resp.Reply
	key := lua.Nil
	for {
		next, value, more := t.Next(key)
		if !more || next.IsNil() {
			break
		}
		items = append(items, e.reply(next, depth))
		if isMap {
			items = append(items, e.reply(value, depth))
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
