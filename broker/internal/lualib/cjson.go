package lualib

import (
	"fmt"
	"math"
	"strings"

	"redrpc/broker/internal/lua"
)

// A jsonLibrary is one library cjson with its settings. Scripts can make more.
type jsonLibrary struct {
	sparseConvert int // whether sparse arrays become objects, or are an error
	sparseRatio   int // an array is sparse if it has less than one element in so many places
	sparseSafe    int // arrays of so many places are never sparse
	encodeDepth   int // of nested tables, at most
	decodeDepth   int
	precision     int // digits of numbers
	encodeInvalid int // whether NaN and infinities are written, or jsonNull
	decodeInvalid int // whether numbers are read that JSON does not have
	keepBuffer    int // without effect

	buffer []byte // what the last text was written to
}

// Values of settings that are switches.
const (
	jsonOff = iota
	jsonOn
	jsonNull
)

var jsonSwitch = []string{"off", "on", "null"}

// openJSON makes a library cjson, which makes JSON of values and reads it.
func openJSON(s *lua.State) *lua.Table {
	l := &jsonLibrary{
		sparseRatio:   2,
		sparseSafe:    10,
		encodeDepth:   1000,
		decodeDepth:   1000,
		precision:     14,
		decodeInvalid: jsonOn,
		keepBuffer:    jsonOn,
	}
	table := lua.NewTable(0, 0)
	addFunctions(s, table, lua.Library{
		{Name: "encode", Function: l.encode},
		{Name: "decode", Function: l.decode},
		{Name: "encode_sparse_array", Function: l.setSparse},
		{Name: "encode_max_depth", Function: numberSetting(&l.encodeDepth, math.MaxInt32)},
		{Name: "decode_max_depth", Function: numberSetting(&l.decodeDepth, math.MaxInt32)},
		{Name: "encode_number_precision", Function: numberSetting(&l.precision, 14)},
		{Name: "encode_keep_buffer", Function: switchSetting(&l.keepBuffer, jsonOn)},
		{Name: "encode_invalid_numbers", Function: switchSetting(&l.encodeInvalid, jsonNull)},
		{Name: "decode_invalid_numbers", Function: switchSetting(&l.decodeInvalid, jsonOn)},
		{Name: "new", Function: func(t *lua.Thread) int { return t.Return(openJSON(t.State()).Value()) }},
	})
	table.SetString("null", lua.LightUserdata(0))
	table.SetString("_NAME", lua.String("cjson"))
	table.SetString("_VERSION", lua.String("2.1.0"))
	return table
}

func (l *jsonLibrary) setSparse(t *lua.Thread) int {
	checkSettings(t, 3)
	return t.Return(
		setSwitch(t, 1, &l.sparseConvert, jsonOn),
		setNumber(t, 2, &l.sparseRatio, 0, math.MaxInt32),
		setNumber(t, 3, &l.sparseSafe, 0, math.MaxInt32))
}

// numberSetting makes the function that sets and returns a number from 1 on.
func numberSetting(setting *int, highest int) lua.GoFunction {
	return func(t *lua.Thread) int {
		checkSettings(t, 1)
		return t.Return(setNumber(t, 1, setting, 1, highest))
	}
}

// switchSetting makes the function that sets and returns a switch.
func switchSetting(setting *int, last int) lua.GoFunction {
	return func(t *lua.Thread) int {
		checkSettings(t, 1)
		return t.Return(setSwitch(t, 1, setting, last))
	}
}

func checkSettings(t *lua.Thread, n int) {
	if t.NArgs() > n {
		t.ArgError(n+1, "found too many arguments")
	}
}

// setNumber sets what an argument says, if it is there. Whatever argument it is, errors
// say that it is the first.
func setNumber(t *lua.Thread, n int, setting *int, lowest, highest int) lua.Value {
	if !t.Arg(n).IsNil() {
		value := t.CheckInt(n)
		if value < lowest || value > highest {
			t.ArgError(1, fmt.Sprintf("expected integer between %d and %d", lowest, highest))
		}
		*setting = value
	}
	return lua.Int(*setting)
}

// setSwitch sets what an argument says, if it is there.
func setSwitch(t *lua.Thread, n int, setting *int, last int) lua.Value {
	if arg := t.Arg(n); !arg.IsNil() {
		if on, ok := arg.AsBool(); !ok {
			*setting = checkSwitch(t, n, last)
		} else if on {
			*setting = jsonOn
		} else {
			*setting = jsonOff
		}
	}
	if *setting <= jsonOn {
		return lua.Bool(*setting == jsonOn)
	}
	return lua.String(jsonSwitch[*setting])
}

func checkSwitch(t *lua.Thread, n, last int) int {
	name, _, _ := strings.Cut(t.CheckString(n), "\x00")
	for i, s := range jsonSwitch[:last+1] {
		if name == s {
			return i
		}
	}
	t.ArgError(n, "invalid option '"+name+"'")
	return 0
}
