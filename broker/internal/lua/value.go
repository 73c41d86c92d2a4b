package lua

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"unsafe"
)

// A Type is what a value is.
type Type uint8

// The types of values.
const (
	TypeNil Type = iota
	TypeBoolean
	TypeLightUserdata
	TypeNumber
	TypeString
	TypeTable
	TypeFunction
	TypeThread
)

// typeNames are the types' names as scripts see them.
var typeNames = [...]string{"nil", "boolean", "userdata", "number", "string", "table", "function", "thread"}

// String is the type's name as the function type returns it.
func (t Type) String() string { return typeNames[t] }

// A Value is any value of a script. The zero Value is nil.
//
// A number has numberMark as its pointer and its bits in n. Any other value has its type
// in the upper three bits of n: a string has its bytes, then 31 bits of length and, if it
// is short, 30 of hash; a boolean has falseMark or trueMark; an object has its address.
type Value struct {
	p unsafe.Pointer
	n uint64
}

// Marks of values that are no objects: only their addresses count.
var numberMark, falseMark, trueMark, lightMark, emptyMark byte

const (
	typeShift   = 61
	lengthShift = 30
	hashMask    = 1<<lengthShift - 1
	lengthMask  = 1<<31 - 1

	maxHashed = 64 // bytes of a string that has its hash with it
)

// MaxString is the most bytes that a string made by a script may have. Lua itself has no
// such bound, and would end with the machine's memory.
const MaxString = 512 << 20

// Nil is the value nil.
var Nil Value

// Bool makes a boolean.
func Bool(b bool) Value {
	if b {
		return Value{unsafe.Pointer(&trueMark), uint64(TypeBoolean)<<typeShift | 1}
	}
	return Value{unsafe.Pointer(&falseMark), uint64(TypeBoolean) << typeShift}
}

// Number makes a number.
func Number(f float64) Value {
	return Value{unsafe.Pointer(&numberMark), math.Float64bits(f)}
}

// Int makes a number of an integer.
func Int(n int) Value { return Number(float64(n)) }

// String makes a string of any bytes, at most 2 GB.
func String(s string) Value {
	n := uint64(TypeString)<<typeShift | uint64(len(s))<<lengthShift
	if len(s) <= maxHashed {
		n |= uint64(hashString(s) & hashMask)
	}
	if len(s) == 0 {
		return Value{unsafe.Pointer(&emptyMark), n}
	}
	return Value{unsafe.Pointer(unsafe.StringData(s)), n}
}

// bytesValue makes a string of bytes that nobody changes from now on.
func bytesValue(b []byte) Value { return String(unsafe.String(unsafe.SliceData(b), len(b))) }

// LightUserdata makes a pointer that means nothing to scripts, such as cjson.null.
func LightUserdata(n uint32) Value {
	return Value{unsafe.Pointer(&lightMark), uint64(TypeLightUserdata)<<typeShift | uint64(n)}
}

// Value makes a value of the table.
func (t *Table) Value() Value {
	return Value{unsafe.Pointer(t), uint64(TypeTable) << typeShift}
}

// Value makes a value of the function.
func (f *Function) Value() Value {
	return Value{unsafe.Pointer(f), uint64(TypeFunction) << typeShift}
}

// Value makes a value of the coroutine.
func (t *Thread) Value() Value {
	return Value{unsafe.Pointer(t), uint64(TypeThread) << typeShift}
}

// Type is what the value is.
func (v Value) Type() Type {
	switch {
	case v.p == nil:
		return TypeNil
	case v.isNumber():
		return TypeNumber
	}
	return Type(v.n >> typeShift)
}

// IsNil reports whether the value is nil.
func (v Value) IsNil() bool { return v.p == nil }

// Truth reports whether the value is neither nil nor false.
func (v Value) Truth() bool { return v.p != nil && v.p != unsafe.Pointer(&falseMark) }

func (v Value) isNumber() bool { return v.p == unsafe.Pointer(&numberMark) }

// is reports whether the value is of a type that is neither nil nor number.
func (v Value) is(t Type) bool { return v.n>>typeShift == uint64(t) && !v.isNumber() }

func (v Value) float() float64 { return math.Float64frombits(v.n) }

func (v Value) length() int { return int(v.n >> lengthShift & lengthMask) }

// hash is that of a string.
func (v Value) hash() uint32 {
	if v.length() <= maxHashed {
		return uint32(v.n & hashMask)
	}
	return hashString(v.str()) & hashMask
}

func (v Value) str() string { return unsafe.String((*byte)(v.p), v.length()) }

func (v Value) table() *Table { return (*Table)(v.p) }

func (v Value) function() *Function { return (*Function)(v.p) }

// AsBool is the value of a boolean.
func (v Value) AsBool() (b, ok bool) { return v.p == unsafe.Pointer(&trueMark), v.is(TypeBoolean) }

// AsNumber is the value of a number. Strings are none: see ToNumber.
func (v Value) AsNumber() (f float64, ok bool) {
	if !v.isNumber() {
		return 0, false
	}
	return v.float(), true
}

// AsString is the value of a string. Numbers are none: see ToString.
func (v Value) AsString() (s string, ok bool) {
	if !v.is(TypeString) {
		return "", false
	}
	return v.str(), true
}

// AsTable is the value of a table.
func (v Value) AsTable() (t *Table, ok bool) {
	if !v.is(TypeTable) {
		return nil, false
	}
	return v.table(), true
}

// AsFunction is the value of a function.
func (v Value) AsFunction() (f *Function, ok bool) {
	if !v.is(TypeFunction) {
		return nil, false
	}
	return v.function(), true
}

// AsThread is the value of a coroutine.
func (v Value) AsThread() (t *Thread, ok bool) {
	if !v.is(TypeThread) {
		return nil, false
	}
	return (*Thread)(v.p), true
}

// ToNumber is the number that Lua takes the value for: a number, or a string that reads
// as one.
func (v Value) ToNumber() (f float64, ok bool) {
	if v.isNumber() {
		return v.float(), true
	}
	if v.is(TypeString) {
		return parseNumber(v.str())
	}
	return 0, false
}

// ToString is the string that Lua takes the value for: a string, or a number as "%.14g"
// writes it.
func (v Value) ToString() (s string, ok bool) {
	if v.is(TypeString) {
		return v.str(), true
	}
	if v.isNumber() {
		return formatNumber(v.float()), true
	}
	return "", false
}

// Describe is what tostring makes of a value that has no __tostring.
func (v Value) Describe() string {
	switch v.Type() {
	case TypeNil:
		return "nil"
	case TypeBoolean:
		return strconv.FormatBool(v.p == unsafe.Pointer(&trueMark))
	case TypeNumber, TypeString:
		s, _ := v.ToString()
		return s
	case TypeLightUserdata:
		return "userdata: " + v.address()
	}
	return v.Type().String() + ": " + v.address()
}

// address is the value's address as %p writes it. Objects are numbered, so that what a
// script prints does not depend on where Go has put them.
func (v Value) address() string {
	id := uint64(v.identity())
	switch {
	case v.Type() == TypeLightUserdata && id == 0:
		return "(nil)"
	case v.Type() == TypeLightUserdata:
		return fmt.Sprintf("%#x", id)
	}
	return fmt.Sprintf("%#x", 0x7f0000000000+id<<5)
}

// identity is a number that no other object of the value's type has.
func (v Value) identity() uint32 {
	switch v.Type() {
	case TypeTable:
		return v.table().id.get()
	case TypeFunction:
		return v.function().id.get()
	case TypeThread:
		return (*Thread)(v.p).id.get()
	}
	return uint32(v.n)
}

// An identity numbers an object when its number is first asked for.
type identity uint32

var lastIdentity atomic.Uint32

func (id *identity) get() uint32 {
	if *id == 0 {
		*id = identity(lastIdentity.Add(1))
	}
	return uint32(*id)
}

// equal reports whether two values are the same, without metamethods.
func equal(a, b Value) bool {
	switch {
	case a.isNumber():
		return b.isNumber() && a.float() == b.float()
	case a.p == b.p && a.n == b.n:
		return true
	}
	return a.n == b.n && a.is(TypeString) && b.is(TypeString) && a.str() == b.str()
}

// hashString is the hash that decides where a string stands in a table. Redis's Lua reads
// all of a string for it, others only some bytes of a long one.
func hashString(s string) uint32 {
	h := uint32(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		h ^= h<<5 + h>>2 + uint32(s[i])
	}
	return h
}

// A Function is a function: a script's, with its upvalues, or one in Go.
type Function struct {
	proto    *proto // nil of a function in Go
	native   GoFunction
	upvalues []*upvalue
	env      *Table // where its globals are
	id       identity
}

// A GoFunction is a function in Go that scripts call. Its arguments are those of the
// thread (Arg, CheckString and so on); it returns by Return, or pushes its results and
// returns their number.
type GoFunction func(t *Thread) int

// An upvalue is a variable of an outer function: on the stack while that runs, else in the
// upvalue itself.
type upvalue struct {
	v      *Value
	closed Value
	index  int // on the stack, while it is open
}
