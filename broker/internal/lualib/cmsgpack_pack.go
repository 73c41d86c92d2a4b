package lualib

import (
	"encoding/binary"
	"math"

	"redrpc/broker/internal/lua"
)

const (
	maxMsgpackLevel  = 16 // of nested tables: what is deeper becomes nil
	maxMsgpackNumber = 9  // bytes
)

// msgpackPack writes all its arguments, one behind the other.
func msgpackPack(t *lua.Thread) int {
	args := t.NArgs()
	switch {
	case args == 0:
		t.ArgError(0, "MessagePack pack needs input.")
	case 2*args > maxSlots:
		t.ArgError(0, "Too many arguments for MessagePack pack.")
	}
	p := msgpackPacker{thread: t}
	for i := 1; i <= args; i++ {
		p.value(t.Arg(i), 0, args+i)
	}
	return t.Return(t.NewString(p.out))
}

// A msgpackPacker appends MessagePack to out. Slots are the values on the stack of Redis's
// library, with the one that is packed.
type msgpackPacker struct {
	thread *lua.Thread
	out    []byte
}

func (p *msgpackPacker) value(v lua.Value, level, slots int) {
	p.thread.Count(1)
	p.thread.CheckLength(len(p.out) + maxMsgpackNumber)
	switch v.Type() {
	case lua.TypeString:
		s, _ := v.AsString()
		p.string(s)
	case lua.TypeBoolean:
		if v.Truth() {
			p.out = append(p.out, msgpackTrue)
		} else {
			p.out = append(p.out, msgpackFalse)
		}
	case lua.TypeNumber:
		f, _ := v.AsNumber()
		p.number(f)
	case lua.TypeTable:
		if level == maxMsgpackLevel {
			p.out = append(p.out, msgpackNil)
			return
		}
		table, _ := v.AsTable()
		p.table(table, level, slots)
	default:
		p.out = append(p.out, msgpackNil)
	}
}

func (p *msgpackPacker) string(s string) {
	p.thread.CheckLength(len(p.out) + len(s))
	countBytes(p.thread, len(s))
	switch n := len(s); {
	case n < 32:
		p.out = append(p.out, msgpackFixRaw|byte(n))
	case n <= math.MaxUint8:
		p.out = append(p.out, msgpackRaw8, byte(n))
	case n <= math.MaxUint16:
		p.number16(msgpackRaw16, uint16(n))
	default:
		p.number32(msgpackRaw32, uint32(n))
	}
	p.out = append(p.out, s...)
}

// number writes an integer if the number is one, else the shorter of float and double that
// keeps its value.
func (p *msgpackPacker) number(f float64) {
	switch n := lua.ToInteger(f); {
	case float64(n) == f:
		p.integer(n)
	case float64(float32(f)) == f:
		p.number32(msgpackFloat, math.Float32bits(float32(f)))
	default:
		p.number64(msgpackDouble, math.Float64bits(f))
	}
}

func (p *msgpackPacker) integer(n int64) {
	switch {
	case -32 <= n && n <= math.MaxInt8:
		p.out = append(p.out, byte(n))
	case 0 <= n && n <= math.MaxUint8:
		p.out = append(p.out, msgpackUint8, byte(n))
	case 0 <= n && n <= math.MaxUint16:
		p.number16(msgpackUint16, uint16(n))
	case 0 <= n && n <= math.MaxUint32:
		p.number32(msgpackUint32, uint32(n))
	case 0 <= n:
		p.number64(msgpackUint64, uint64(n))
	case n >= math.MinInt8:
		p.out = append(p.out, msgpackInt8, byte(n))
	case n >= math.MinInt16:
		p.number16(msgpackInt16, uint16(n))
	case n >= math.MinInt32:
		p.number32(msgpackInt32, uint32(n))
	default:
		p.number64(msgpackInt64, uint64(n))
	}
}

// table writes an array if the keys are the numbers from 1 on without a gap, else a map.
func (p *msgpackPacker) table(table *lua.Table, level, slots int) {
	checkStack(p.thread, slots, 2, "in function table_is_an_array")
	pairs, array := measureMsgpack(p.thread, table)
	if array {
		p.header(pairs, msgpackFixArray, msgpackArray16, msgpackArray32)
		checkStack(p.thread, slots, 1, "in function mp_encode_lua_table_as_array")
		for i := 1; i <= pairs; i++ {
			p.value(table.GetInt(i), level+1, slots+1)
		}
		return
	}
	checkStack(p.thread, slots, 3, "in function mp_encode_lua_table_as_map")
	p.header(pairs, msgpackFixMap, msgpackMap16, msgpackMap32)
	for key, value, _ := table.Next(lua.Nil); !key.IsNil(); key, value, _ = table.Next(key) {
		p.value(key, level+1, slots+3)
		p.value(value, level+1, slots+2)
	}
}

// measureMsgpack counts the pairs of a table, and says whether it is an array.
func measureMsgpack(t *lua.Thread, table *lua.Table) (pairs int, array bool) {
	highest, integers := 0.0, true
	for key, _, _ := table.Next(lua.Nil); !key.IsNil(); key, _, _ = table.Next(key) {
		t.Count(1)
		pairs++
		f, ok := key.AsNumber()
		if !ok || f <= 0 || f > math.MaxInt32 || f != math.Trunc(f) {
			integers = false
			continue
		}
		highest = max(highest, f)
	}
	return pairs, integers && highest == float64(pairs)
}

// header writes the size of an array or a map.
func (p *msgpackPacker) header(n int, fix, form16, form32 byte) {
	switch {
	case n <= 15:
		p.out = append(p.out, fix|byte(n))
	case n <= math.MaxUint16:
		p.number16(form16, uint16(n))
	default:
		p.number32(form32, uint32(n))
	}
}

func (p *msgpackPacker) number16(form byte, n uint16) {
	p.out = binary.BigEndian.AppendUint16(append(p.out, form), n)
}

func (p *msgpackPacker) number32(form byte, n uint32) {
	p.out = binary.BigEndian.AppendUint32(append(p.out, form), n)
}

func (p *msgpackPacker) number64(form byte, n uint64) {
	p.out = binary.BigEndian.AppendUint64(append(p.out, form), n)
}
