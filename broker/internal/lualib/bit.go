package lualib

import (
	"math"
	"math/bits"

	"redrpc/broker/internal/lua"
)

// bitFunctions are the library bit, on numbers of 32 bits.
var bitFunctions = lua.Library{
	{Name: "tobit", Function: unary(func(b uint32) uint32 { return b })},
	{Name: "bnot", Function: unary(func(b uint32) uint32 { return ^b })},
	{Name: "band", Function: fold(func(a, b uint32) uint32 { return a & b })},
	{Name: "bor", Function: fold(func(a, b uint32) uint32 { return a | b })},
	{Name: "bxor", Function: fold(func(a, b uint32) uint32 { return a ^ b })},
	{Name: "lshift", Function: shift(func(b uint32, n int) uint32 { return b << n })},
	{Name: "rshift", Function: shift(func(b uint32, n int) uint32 { return b >> n })},
	{Name: "arshift", Function: shift(func(b uint32, n int) uint32 { return uint32(int32(b) >> n) })},
	{Name: "rol", Function: shift(bits.RotateLeft32)},
	{Name: "ror", Function: shift(func(b uint32, n int) uint32 { return bits.RotateLeft32(b, -n) })},
	{Name: "bswap", Function: unary(bits.ReverseBytes32)},
	{Name: "tohex", Function: tohex},
}

func unary(f func(uint32) uint32) lua.GoFunction {
	return func(t *lua.Thread) int { return returnBits(t, f(checkBits(t, 1))) }
}

// fold joins all arguments.
func fold(f func(a, b uint32) uint32) lua.GoFunction {
	return func(t *lua.Thread) int {
		b := checkBits(t, 1)
		for i := t.NArgs(); i > 1; i-- {
			b = f(b, checkBits(t, i))
		}
		return returnBits(t, b)
	}
}

func shift(f func(b uint32, n int) uint32) lua.GoFunction {
	return func(t *lua.Thread) int {
		b := checkBits(t, 1)
		n := checkBits(t, 2) & 31
		return returnBits(t, f(b, int(n)))
	}
}

// tohex writes a number in up to eight hexadecimal digits: in upper case if their count is
// negative.
func tohex(t *lua.Thread) int {
	b := checkBits(t, 1)
	digits, count := "0123456789abcdef", int32(8)
	if t.NArgs() >= 2 {
		count = int32(checkBits(t, 2))
	}
	if count < 0 {
		digits, count = "0123456789ABCDEF", -max(count, -8)
	}
	count = min(count, 8)
	var text [8]byte
	for i := count - 1; i >= 0; i-- {
		text[i] = digits[b&15]
		b >>= 4
	}
	return t.Return(lua.String(string(text[:count])))
}

// checkBits is an argument that must be a number, modulo 2^32 and rounded to even.
func checkBits(t *lua.Thread, n int) uint32 {
	f, ok := t.Arg(n).ToNumber()
	if !ok {
		t.TypeError(n, "number")
	}
	const shifted = 1<<52 + 1<<51 // moves the bits to the end of the mantissa
	return uint32(math.Float64bits(f + shifted))
}

func returnBits(t *lua.Thread, b uint32) int { return t.Return(lua.Int(int(int32(b)))) }
