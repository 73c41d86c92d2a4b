package lua

// Jumps and conditions. Lists of jumps are linked through the jumps themselves, by their
// targets, until these are known.

func (ps *parser) jump() int {
	before := ps.f.jumpsHere
	ps.f.jumpsHere = noJump
	j := ps.codeAsBx(opJmp, 0, noJump)
	ps.joinJumps(&j, before)
	return j
}

func (ps *parser) conditionalJump(op opcode, a, b, c int) int {
	ps.codeABC(op, a, b, c)
	return ps.jump()
}

// label is the next instruction, which is jumped to.
func (ps *parser) label() int {
	ps.f.lastTarget = len(ps.f.proto.code)
	return ps.f.lastTarget
}

func (ps *parser) fixJump(pc, target int) {
	offset := target - (pc + 1)
	if offset > maxSBx || offset < -maxSBx {
		ps.failHere("control structure too long")
	}
	ps.f.proto.code[pc].setSBx(offset)
}

// nextJump is the jump that follows one in its list.
func (ps *parser) nextJump(pc int) int {
	offset := ps.f.proto.code[pc].sbx()
	if offset == noJump {
		return noJump
	}
	return pc + 1 + offset
}

func (ps *parser) joinJumps(list *int, more int) {
	switch {
	case more == noJump:
	case *list == noJump:
		*list = more
	default:
		last := *list
		for next := ps.nextJump(last); next != noJump; next = ps.nextJump(last) {
			last = next
		}
		ps.fixJump(last, more)
	}
}

// control is the instruction that decides whether a jump is made.
func (ps *parser) control(pc int) *instruction {
	code := ps.f.proto.code
	if pc >= 1 && code[pc-1].op().isTest() {
		return &code[pc-1]
	}
	return &code[pc]
}

// needsValue reports whether some jump of the list does not bring a value with it.
func (ps *parser) needsValue(list int) bool {
	for ; list != noJump; list = ps.nextJump(list) {
		if ps.control(list).op() != opTestSet {
			return true
		}
	}
	return false
}

// patchTest has a jump's test put its value into a register, or only test it if that is
// noReg. It reports whether the jump has such a test.
func (ps *parser) patchTest(pc, reg int) bool {
	i := ps.control(pc)
	if i.op() != opTestSet {
		return false
	}
	if reg != noReg && reg != i.b() {
		i.setA(reg)
	} else {
		*i = makeABC(opTest, i.b(), 0, i.c())
	}
	return true
}

func (ps *parser) removeValues(list int) {
	for ; list != noJump; list = ps.nextJump(list) {
		ps.patchTest(list, noReg)
	}
}

// patchList sends the jumps that bring a value to one place, and the others to another.
func (ps *parser) patchList(list, withValue, reg, others int) {
	for list != noJump {
		next := ps.nextJump(list)
		if ps.patchTest(list, reg) {
			ps.fixJump(list, withValue)
		} else {
			ps.fixJump(list, others)
		}
		list = next
	}
}

func (ps *parser) patchJumpsHere() {
	here := len(ps.f.proto.code)
	ps.patchList(ps.f.jumpsHere, here, noReg, here)
	ps.f.jumpsHere = noJump
}

func (ps *parser) patch(list, target int) {
	if target == len(ps.f.proto.code) {
		ps.patchToHere(list)
		return
	}
	ps.patchList(list, target, noReg, target)
}

func (ps *parser) patchToHere(list int) {
	ps.label()
	ps.joinJumps(&ps.f.jumpsHere, list)
}

// Conditions.

func (ps *parser) invertJump(e *expression) {
	i := ps.control(e.info)
	i.setA(1 - i.a())
}

func (ps *parser) jumpOn(e *expression, condition int) int {
	if e.kind == expReloc {
		if i := *ps.codeOf(e); i.op() == opNot {
			p := ps.f.proto
			p.code = p.code[:len(p.code)-1]
			p.lines = p.lines[:len(p.lines)-1]
			return ps.conditionalJump(opTest, i.b(), 0, 1-condition)
		}
	}
	ps.dischargeToAny(e)
	ps.freeExpression(e)
	return ps.conditionalJump(opTestSet, noReg, e.info, condition)
}

// goIfTrue goes on if the value is true, and jumps if it is false.
func (ps *parser) goIfTrue(e *expression) {
	ps.discharge(e)
	pc := noJump
	switch e.kind {
	case expConstant, expNumber, expTrue:
	case expJump:
		ps.invertJump(e)
		pc = e.info
	default:
		pc = ps.jumpOn(e, 0)
	}
	ps.joinJumps(&e.ifFalse, pc)
	ps.patchToHere(e.ifTrue)
	e.ifTrue = noJump
}

func (ps *parser) goIfFalse(e *expression) {
	ps.discharge(e)
	pc := noJump
	switch e.kind {
	case expNil, expFalse:
	case expJump:
		pc = e.info
	default:
		pc = ps.jumpOn(e, 1)
	}
	ps.joinJumps(&e.ifTrue, pc)
	ps.patchToHere(e.ifFalse)
	e.ifFalse = noJump
}

func (ps *parser) codeNot(e *expression) {
	ps.discharge(e)
	switch e.kind {
	case expNil, expFalse:
		e.kind = expTrue
	case expConstant, expNumber, expTrue:
		e.kind = expFalse
	case expJump:
		ps.invertJump(e)
	case expReloc, expNonReloc:
		ps.dischargeToAny(e)
		ps.freeExpression(e)
		e.info, e.kind = ps.codeABC(opNot, 0, e.info, 0), expReloc
	}
	e.ifTrue, e.ifFalse = e.ifFalse, e.ifTrue
	ps.removeValues(e.ifFalse)
	ps.removeValues(e.ifTrue)
}
