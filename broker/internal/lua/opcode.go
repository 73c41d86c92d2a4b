package lua

// An instruction has an operation in its lower 6 bits, then A with 8 bits, C with 9 and B
// with 9. Bx has the bits of C and B; sBx is Bx with a sign.
//
// In the comments R is a register of the function, K a constant, and RK a register, or a
// constant from 256 on.
type instruction uint32

type opcode uint8

const (
	opMove      opcode = iota // R(A) = R(B)
	opLoadK                   // R(A) = K(Bx)
	opLoadBool                // R(A) = B; skip the next instruction if C
	opLoadNil                 // R(A) to R(B) = nil
	opGetUpval                // R(A) = upvalue B
	opGetGlobal               // R(A) = globals[K(Bx)]
	opGetTable                // R(A) = R(B)[RK(C)]
	opSetGlobal               // globals[K(Bx)] = R(A)
	opSetUpval                // upvalue B = R(A)
	opSetTable                // R(A)[RK(B)] = RK(C)
	opNewTable                // R(A) = {}, with sizes B and C
	opSelf                    // R(A+1) = R(B); R(A) = R(B)[RK(C)]
	opAdd                     // R(A) = RK(B) + RK(C), and so on
	opSub
	opMul
	opDiv
	opMod
	opPow
	opUnm      // R(A) = -R(B)
	opNot      // R(A) = not R(B)
	opLen      // R(A) = #R(B)
	opConcat   // R(A) = R(B) .. up to R(C)
	opJmp      // pc += sBx
	opEq       // skip the next instruction if (RK(B) == RK(C)) ~= A
	opLt       // as opEq
	opLe       // as opEq
	opTest     // skip the next instruction if R(A) is not C
	opTestSet  // R(A) = R(B) if that is C, else skip the next instruction
	opCall     // R(A), ... = R(A)(R(A+1), ...): B-1 arguments, C-1 results
	opTailCall // return R(A)(R(A+1), ...)
	opReturn   // return R(A), ...: B-1 of them
	opForLoop  // R(A) += R(A+2); if not over R(A+1), pc += sBx and R(A+3) = R(A)
	opForPrep  // R(A) -= R(A+2); pc += sBx
	opTForLoop // R(A+3), ... = R(A)(R(A+1), R(A+2)); if nil, skip the next instruction
	opSetList  // R(A)[(C-1)*50+i] = R(A+i), B of them
	opClose    // close upvalues from R(A) on
	opClosure  // R(A) = function Bx, whose upvalues follow as opMove and opGetUpval
	opVararg   // R(A), ... = B-1 variable arguments
)

const (
	maxA        = 1<<8 - 1
	maxC        = 1<<9 - 1
	maxBx       = 1<<18 - 1
	maxSBx      = maxBx >> 1
	constantBit = 1 << 8
	maxRK       = constantBit - 1 // the last constant that an RK can name
	noReg       = maxA

	fieldsPerFlush = 50 // values that one opSetList stores
)

func (i instruction) op() opcode { return opcode(i & 0x3f) }
func (i instruction) a() int     { return int(i >> 6 & 0xff) }
func (i instruction) b() int     { return int(i >> 23) }
func (i instruction) c() int     { return int(i >> 14 & 0x1ff) }
func (i instruction) bx() int    { return int(i >> 14) }
func (i instruction) sbx() int   { return int(i>>14) - maxSBx }

func makeABC(op opcode, a, b, c int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(b)<<23 | instruction(c)<<14
}

func makeABx(op opcode, a, bx int) instruction {
	return instruction(op) | instruction(a)<<6 | instruction(bx)<<14
}

func (i *instruction) setOp(op opcode) { *i = *i&^0x3f | instruction(op) }
func (i *instruction) setA(a int)      { *i = *i&^(0xff<<6) | instruction(a)<<6 }
func (i *instruction) setB(b int)      { *i = *i&^(0x1ff<<23) | instruction(b)<<23 }
func (i *instruction) setC(c int)      { *i = *i&^(0x1ff<<14) | instruction(c)<<14 }
func (i *instruction) setSBx(s int)    { *i = *i&0x3fff | instruction(s+maxSBx)<<14 }

// isTest reports whether the operation skips the next instruction, which is a jump.
func (op opcode) isTest() bool {
	return opEq <= op && op <= opTestSet || op == opTForLoop
}

// toFloatByte rounds a size up to eeeeexxx: xxx if eeeee is 0, else 1xxx * 2^(eeeee-1).
func toFloatByte(x int) int {
	e := 0
	for x >= 16 {
		x = (x + 1) >> 1
		e++
	}
	if x < 8 {
		return x
	}
	return (e+1)<<3 | (x - 8)
}

func fromFloatByte(x int) int {
	if e := x >> 3 & 31; e != 0 {
		return (x&7 + 8) << (e - 1)
	}
	return x
}
