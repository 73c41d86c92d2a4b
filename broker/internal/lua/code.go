package lua

import "math"

// What makes instructions.

// A constantIndex finds the constants of a function. As in Lua, 0 and -0 are one.
type constantIndex struct {
	numbers map[float64]int
	strings map[string]int
	others  map[Value]int
}

func (ps *parser) addConstant(v Value) int {
	p := ps.f.proto
	if len(p.constants) >= maxBx {
		panic(&syntaxError{"constant table overflow"})
	}
	p.constants = append(p.constants, v)
	return len(p.constants) - 1
}

func (ps *parser) stringConstant(s string) int {
	index := &ps.f.constants
	if i, ok := index.strings[s]; ok {
		return i
	}
	if index.strings == nil {
		index.strings = map[string]int{}
	}
	i := ps.addConstant(String(s))
	index.strings[s] = i
	return i
}

func (ps *parser) numberConstant(f float64) int {
	index := &ps.f.constants
	if i, ok := index.numbers[f]; ok {
		return i
	}
	if index.numbers == nil {
		index.numbers = map[float64]int{}
	}
	i := ps.addConstant(Number(f))
	index.numbers[f] = i
	return i
}

// otherConstant adds nil or a boolean.
func (ps *parser) otherConstant(v Value) int {
	index := &ps.f.constants
	if i, ok := index.others[v]; ok {
		return i
	}
	if index.others == nil {
		index.others = map[Value]int{}
	}
	i := ps.addConstant(v)
	index.others[v] = i
	return i
}

// Instructions.

func (ps *parser) emit(i instruction, line int) int {
	ps.patchJumpsHere()
	p := ps.f.proto
	p.code = append(p.code, i)
	p.lines = append(p.lines, int32(line))
	return len(p.code) - 1
}

func (ps *parser) codeABC(op opcode, a, b, c int) int {
	return ps.emit(makeABC(op, a, b, c), ps.lastLine)
}

func (ps *parser) codeABx(op opcode, a, bx int) int {
	return ps.emit(makeABx(op, a, bx), ps.lastLine)
}

func (ps *parser) codeAsBx(op opcode, a, sbx int) int { return ps.codeABx(op, a, sbx+maxSBx) }

// fixLine changes the line of the last instruction.
func (ps *parser) fixLine(line int) {
	lines := ps.f.proto.lines
	lines[len(lines)-1] = int32(line)
}

func (ps *parser) codeOf(e *expression) *instruction { return &ps.f.proto.code[e.info] }

func (ps *parser) codeReturn(first, n int) { ps.codeABC(opReturn, first, n+1, 0) }

// codeNil sets registers to nil. One instruction does for neighbours, if nothing jumps
// between them; and at the start of a function they are nil.
func (ps *parser) codeNil(from, n int) {
	f := ps.f
	if code := f.proto.code; len(code) > f.lastTarget {
		if len(code) == 0 {
			if from >= len(f.active) {
				return
			}
		} else if last := &code[len(code)-1]; last.op() == opLoadNil && last.a() <= from && from <= last.b()+1 {
			if to := from + n - 1; to > last.b() {
				last.setB(to)
			}
			return
		}
	}
	ps.codeABC(opLoadNil, from, from+n-1, 0)
}

func (ps *parser) codeSetList(base, items, n int) {
	batch := (items-1)/fieldsPerFlush + 1
	if n == multiple {
		n = 0
	}
	if batch <= maxC {
		ps.codeABC(opSetList, base, n, batch)
	} else {
		ps.codeABC(opSetList, base, n, 0)
		ps.emit(instruction(batch), ps.lastLine)
	}
	ps.f.freeReg = base + 1
}

// Registers.

// checkRegisters makes sure that n more registers can be used.
func (ps *parser) checkRegisters(n int) {
	size := ps.f.freeReg + n
	if size <= ps.f.proto.maxStack {
		return
	}
	if size >= maxRegisters {
		ps.failHere("function or expression too complex")
	}
	ps.f.proto.maxStack = size
}

func (ps *parser) reserve(n int) {
	ps.checkRegisters(n)
	ps.f.freeReg += n
}

func (ps *parser) freeRegister(reg int) {
	if reg < constantBit && reg >= len(ps.f.active) {
		ps.f.freeReg--
	}
}

func (ps *parser) freeExpression(e *expression) {
	if e.kind == expNonReloc {
		ps.freeRegister(e.info)
	}
}

// Values of expressions.

func (ps *parser) setResults(e *expression, n int) {
	switch e.kind {
	case expCall:
		ps.codeOf(e).setC(n + 1)
	case expVararg:
		i := ps.codeOf(e)
		i.setB(n + 1)
		i.setA(ps.f.freeReg)
		ps.reserve(1)
	}
}

func (ps *parser) setOneResult(e *expression) {
	switch e.kind {
	case expCall:
		e.kind, e.info = expNonReloc, ps.codeOf(e).a()
	case expVararg:
		ps.codeOf(e).setB(2)
		e.kind = expReloc
	}
}

// discharge makes a value of a variable or of a call.
func (ps *parser) discharge(e *expression) {
	switch e.kind {
	case expLocal:
		e.kind = expNonReloc
	case expUpval:
		e.info, e.kind = ps.codeABC(opGetUpval, 0, e.info, 0), expReloc
	case expGlobal:
		e.info, e.kind = ps.codeABx(opGetGlobal, 0, e.info), expReloc
	case expIndexed:
		ps.freeRegister(e.aux)
		ps.freeRegister(e.info)
		e.info, e.kind = ps.codeABC(opGetTable, 0, e.info, e.aux), expReloc
	case expVararg, expCall:
		ps.setOneResult(e)
	}
}

func (ps *parser) dischargeTo(e *expression, reg int) {
	ps.discharge(e)
	switch e.kind {
	case expNil:
		ps.codeNil(reg, 1)
	case expFalse:
		ps.codeABC(opLoadBool, reg, 0, 0)
	case expTrue:
		ps.codeABC(opLoadBool, reg, 1, 0)
	case expConstant:
		ps.codeABx(opLoadK, reg, e.info)
	case expNumber:
		ps.codeABx(opLoadK, reg, ps.numberConstant(e.number))
	case expReloc:
		ps.codeOf(e).setA(reg)
	case expNonReloc:
		if reg != e.info {
			ps.codeABC(opMove, reg, e.info, 0)
		}
	default:
		return // nothing, or a jump
	}
	e.info, e.kind = reg, expNonReloc
}

func (ps *parser) dischargeToAny(e *expression) {
	if e.kind != expNonReloc {
		ps.reserve(1)
		ps.dischargeTo(e, ps.f.freeReg-1)
	}
}

// toRegister puts the value into a register, with what its jumps bring.
func (ps *parser) toRegister(e *expression, reg int) {
	ps.dischargeTo(e, reg)
	if e.kind == expJump {
		ps.joinJumps(&e.ifTrue, e.info)
	}
	if e.hasJumps() {
		loadFalse, loadTrue := noJump, noJump
		if ps.needsValue(e.ifTrue) || ps.needsValue(e.ifFalse) {
			skip := noJump
			if e.kind != expJump {
				skip = ps.jump()
			}
			loadFalse = ps.codeLoadBool(reg, 0, 1)
			loadTrue = ps.codeLoadBool(reg, 1, 0)
			ps.patchToHere(skip)
		}
		final := ps.label()
		ps.patchList(e.ifFalse, final, reg, loadFalse)
		ps.patchList(e.ifTrue, final, reg, loadTrue)
	}
	*e = newExpression(expNonReloc, reg)
}

func (ps *parser) codeLoadBool(reg, value, skip int) int {
	ps.label()
	return ps.codeABC(opLoadBool, reg, value, skip)
}

func (ps *parser) toNextRegister(e *expression) {
	ps.discharge(e)
	ps.freeExpression(e)
	ps.reserve(1)
	ps.toRegister(e, ps.f.freeReg-1)
}

func (ps *parser) toAnyRegister(e *expression) int {
	ps.discharge(e)
	if e.kind == expNonReloc {
		if !e.hasJumps() {
			return e.info
		}
		if e.info >= len(ps.f.active) {
			ps.toRegister(e, e.info)
			return e.info
		}
	}
	ps.toNextRegister(e)
	return e.info
}

func (ps *parser) toValue(e *expression) {
	if e.hasJumps() {
		ps.toAnyRegister(e)
	} else {
		ps.discharge(e)
	}
}

// toRK makes a register of the value, or a constant if it is one that fits.
func (ps *parser) toRK(e *expression) int {
	ps.toValue(e)
	switch e.kind {
	case expNumber, expTrue, expFalse, expNil:
		if len(ps.f.proto.constants) <= maxRK {
			e.info, e.kind = ps.constantOf(e), expConstant
			return e.info | constantBit
		}
	case expConstant:
		if e.info <= maxRK {
			return e.info | constantBit
		}
	}
	return ps.toAnyRegister(e)
}

func (ps *parser) constantOf(e *expression) int {
	switch e.kind {
	case expNumber:
		return ps.numberConstant(e.number)
	case expNil:
		return ps.otherConstant(Nil)
	}
	return ps.otherConstant(Bool(e.kind == expTrue))
}

// store assigns a value to a variable.
func (ps *parser) store(v, e *expression) {
	switch v.kind {
	case expLocal:
		ps.freeExpression(e)
		ps.toRegister(e, v.info)
		return
	case expUpval:
		ps.codeABC(opSetUpval, ps.toAnyRegister(e), v.info, 0)
	case expGlobal:
		ps.codeABx(opSetGlobal, ps.toAnyRegister(e), v.info)
	case expIndexed:
		ps.codeABC(opSetTable, v.info, v.aux, ps.toRK(e))
	}
	ps.freeExpression(e)
}

// self makes a method and its object of an object and a key.
func (ps *parser) self(e, key *expression) {
	ps.toAnyRegister(e)
	ps.freeExpression(e)
	f := ps.f.freeReg
	ps.reserve(2)
	ps.codeABC(opSelf, f, e.info, ps.toRK(key))
	ps.freeExpression(key)
	e.info, e.kind = f, expNonReloc
}

func (ps *parser) indexed(table, key *expression) {
	table.aux = ps.toRK(key)
	table.kind = expIndexed
}

// Operators.

func (ps *parser) prefix(op opcode, e *expression) {
	zero := newExpression(expNumber, 0)
	switch op {
	case opNot:
		ps.codeNot(e)
		return
	case opUnm:
		if !e.isNumeral() {
			ps.toAnyRegister(e)
		}
	case opLen:
		ps.toAnyRegister(e)
	}
	ps.arithmetic(op, e, &zero)
}

// infix prepares the left operand, before the right one is read.
func (ps *parser) infix(o operator, e *expression) {
	switch o.op {
	case opAnd:
		ps.goIfTrue(e)
	case opOr:
		ps.goIfFalse(e)
	case opConcat:
		ps.toNextRegister(e)
	case opEq, opLt, opLe:
		ps.toRK(e)
	default:
		if !e.isNumeral() {
			ps.toRK(e)
		}
	}
}

func (ps *parser) postfix(o operator, left, right *expression) {
	switch o.op {
	case opAnd:
		ps.discharge(right)
		ps.joinJumps(&right.ifFalse, left.ifFalse)
		*left = *right
	case opOr:
		ps.discharge(right)
		ps.joinJumps(&right.ifTrue, left.ifTrue)
		*left = *right
	case opConcat:
		ps.concat(left, right)
	case opEq, opLt, opLe:
		ps.compare(o, left, right)
	default:
		ps.arithmetic(o.op, left, right)
	}
}

// concat makes one instruction of a row of concatenations.
func (ps *parser) concat(left, right *expression) {
	ps.toValue(right)
	if right.kind == expReloc && ps.codeOf(right).op() == opConcat {
		ps.freeExpression(left)
		ps.codeOf(right).setB(left.info)
		left.kind, left.info = expReloc, right.info
		return
	}
	ps.toNextRegister(right)
	ps.arithmetic(opConcat, left, right)
}

func (ps *parser) compare(o operator, left, right *expression) {
	a := ps.toRK(left)
	b := ps.toRK(right)
	ps.freeExpression(right)
	ps.freeExpression(left)
	condition := 1
	if o.negated {
		if o.op == opEq {
			condition = 0
		} else {
			a, b = b, a
		}
	}
	left.info, left.kind = ps.conditionalJump(o.op, condition, a, b), expJump
}

func (ps *parser) arithmetic(op opcode, left, right *expression) {
	if fold(op, left, right) {
		return
	}
	b := 0
	if op != opUnm && op != opLen {
		b = ps.toRK(right)
	}
	a := ps.toRK(left)
	if a > b {
		ps.freeExpression(left)
		ps.freeExpression(right)
	} else {
		ps.freeExpression(right)
		ps.freeExpression(left)
	}
	left.info, left.kind = ps.codeABC(op, 0, a, b), expReloc
}

// fold computes what has only numbers as operands.
func fold(op opcode, left, right *expression) bool {
	if op == opLen || op == opConcat || !left.isNumeral() || !right.isNumeral() {
		return false
	}
	if (op == opDiv || op == opMod) && right.number == 0 {
		return false
	}
	r := arith(op, left.number, right.number)
	if math.IsNaN(r) {
		return false
	}
	left.number = r
	return true
}

// arith computes an operation of two numbers.
func arith(op opcode, a, b float64) float64 {
	switch op {
	case opAdd:
		return a + b
	case opSub:
		return a - b
	case opMul:
		return a * b
	case opDiv:
		return a / b
	case opMod:
		return a - float64(math.Floor(a/b)*b)
	case opPow:
		return power(a, b)
	}
	return -a
}
