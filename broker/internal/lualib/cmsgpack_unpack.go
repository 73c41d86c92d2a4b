package lualib

import (
	"math"

	"redrpc/broker/internal/lua"
)

// msgpackUnpack reads all values of a string.
func msgpackUnpack(t *lua.Thread) int { return unpackFrom(t, t.NArgs(), 0, 0) }

// msgpackUnpackOne reads one value from an offset on, which counts from 0. It returns where
// the next one is, or -1 at the end, and the value.
func msgpackUnpackOne(t *lua.Thread) int {
	offset := t.OptInteger(2, 0)
	return unpackFrom(t, 1, 1, offset)
}

// msgpackUnpackLimit is msgpackUnpackOne for up to so many values.
func msgpackUnpackLimit(t *lua.Thread) int {
	limit := t.CheckInteger(2)
	offset := t.OptInteger(3, 0)
	return unpackFrom(t, 1, limit, offset)
}

// unpackFrom reads up to limit values from an offset on. Without either it reads all, and
// returns no offset.
func unpackFrom(t *lua.Thread, slots int, limit, offset int64) int {
	data := t.CheckString(1)
	switch {
	case offset < 0 || limit < 0:
		t.Errorf("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), int32(len(data)))
	case offset > int64(len(data)):
		t.Errorf("Start offset %d greater than input length %d.", int32(offset), len(data))
	}
	all := limit == 0 && offset == 0
	if all {
		limit = math.MaxInt32
	}
	u := msgpackUnpacker{thread: t, data: data[offset:], slots: slots}
	var results []lua.Value
	if !all {
		results = append(results, lua.Nil) // for the offset
	}
	for ; limit > 0 && u.data != ""; limit-- {
		results = append(results, u.value())
		u.slots++
	}
	if !all {
		checkStack(t, u.slots, 1, "in function mp_unpack_full")
		results[0] = lua.Int(-1)
		if u.data != "" {
			results[0] = lua.Int(len(data) - len(u.data))
		}
	}
	return t.Return(results...)
}

// A msgpackUnpacker reads data, which is what is left of the input. Slots are the values on
// the stack of Redis's library.
type msgpackUnpacker struct {
	thread *lua.Thread
	data   string
	slots  int
}

// value reads a value.
func (u *msgpackUnpacker) value() lua.Value {
	u.need(1)
	checkStack(u.thread, u.slots, 1, "too many return values at once; use unpack_one or unpack_limit instead.")
	u.thread.Count(1)
	form := u.data[0]
	switch {
	case form < msgpackFixMap:
		u.take(1)
		return lua.Int(int(form))
	case form >= msgpackNegative:
		u.take(1)
		return lua.Int(int(int8(form)))
	case form < msgpackFixArray:
		u.take(1)
		return u.table(int(form&15), true)
	case form < msgpackFixRaw:
		u.take(1)
		return u.table(int(form&15), false)
	case form < msgpackNil:
		return u.string(1, int(form&31))
	}
	return u.sized(form)
}

// sized reads a value whose form is not one with a number in it.
func (u *msgpackUnpacker) sized(form byte) lua.Value {
	switch form {
	case msgpackNil:
		u.take(1)
		return lua.Nil
	case msgpackFalse, msgpackTrue:
		u.take(1)
		return lua.Bool(form == msgpackTrue)
	case msgpackFloat:
		return lua.Number(float64(math.Float32frombits(uint32(u.number(4)))))
	case msgpackDouble:
		return lua.Number(math.Float64frombits(u.number(8)))
	case msgpackUint8, msgpackUint16, msgpackUint32, msgpackUint64:
		return lua.Number(float64(int64(u.number(1 << (form - msgpackUint8)))))
	case msgpackInt8:
		return lua.Int(int(int8(u.number(1))))
	case msgpackInt16:
		return lua.Int(int(int16(u.number(2))))
	case msgpackInt32:
		return lua.Int(int(int32(u.number(4))))
	case msgpackInt64:
		return lua.Number(float64(int64(u.number(8))))
	case msgpackRaw8, msgpackRaw16, msgpackRaw32:
		return u.string(0, u.length(1<<(form-msgpackRaw8)))
	case msgpackArray16, msgpackArray32:
		return u.table(u.length(2<<(form-msgpackArray16)), false)
	case msgpackMap16, msgpackMap32:
		return u.table(u.length(2<<(form-msgpackMap16)), true)
	}
	u.thread.Errorf("Bad data format in input.")
	return lua.Nil
}

// need raises an error if n bytes are not there.
func (u *msgpackUnpacker) need(n int) {
	if n > len(u.data) {
		u.thread.Errorf("Missing bytes in input.")
	}
}

func (u *msgpackUnpacker) take(n int) string {
	u.need(n)
	taken := u.data[:n]
	u.data = u.data[n:]
	return taken
}

// number reads the number of so many bytes that follows a form.
func (u *msgpackUnpacker) number(size int) (n uint64) {
	for _, b := range []byte(u.take(1 + size)[1:]) {
		n = n<<8 | uint64(b)
	}
	return n
}

// length reads how many bytes or elements follow: more than any input has are so many.
func (u *msgpackUnpacker) length(size int) int { return int(min(u.number(size), math.MaxInt32)) }

// string reads a string behind so many bytes.
func (u *msgpackUnpacker) string(skip, length int) lua.Value {
	return newString(u.thread, u.take(skip + length)[skip:])
}

// table reads the pairs of a map, or the elements of an array.
func (u *msgpackUnpacker) table(n int, isMap bool) lua.Value {
	table := newTable(u.thread)
	u.slots += 2 // the table, and the key
	if isMap {
		u.pairs(table, n)
	} else {
		checkStack(u.thread, u.slots-1, 1, "in function mp_decode_to_lua_array")
		for i := 1; i <= n; i++ {
			u.thread.RawSet(table, lua.Int(i), u.value())
		}
	}
	u.slots -= 2
	return table.Value()
}

func (u *msgpackUnpacker) pairs(table *lua.Table, n int) {
	for range n {
		u.slots--
		key := u.value()
		u.slots++
		u.thread.RawSet(table, key, u.value())
	}
}
