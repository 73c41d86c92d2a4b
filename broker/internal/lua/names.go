package lua

// Names of values for errors: what a register of a running function was loaded with, found
// by reading its code up to there.

// registerName is the name of what is in a register of a call, and its kind: local,
// upvalue, global, field or method. The kind is empty if there is none.
func (t *Thread) registerName(level, register int) (name, kind string) {
	c := &t.calls[level]
	if c.function == nil || c.function.proto == nil || register < 0 || register >= c.top-c.base {
		return "", ""
	}
	p := c.function.proto
	pc := c.pc - 1
	for {
		if name := p.localName(register, pc); name != "" {
			return name, "local"
		}
		switch i := p.lastChange(register, pc); i.op() {
		case opGetGlobal:
			return p.constants[i.bx()].str(), "global"
		case opGetTable:
			return p.constantName(i.c()), "field"
		case opGetUpval:
			return p.upvalueNames[i.b()], "upvalue"
		case opSelf:
			return p.constantName(i.c()), "method"
		case opMove:
			if i.b() < i.a() {
				register = i.b()
				continue
			}
		}
		return "", ""
	}
}

// calledAs is the name by which the function that runs was called.
func (t *Thread) calledAs() (name, kind string) {
	if t.level == 0 || t.current().tailCalls > 0 {
		return "", ""
	}
	c := &t.calls[t.level-1]
	if c.function == nil || c.function.proto == nil {
		return "", ""
	}
	switch i := c.function.proto.code[c.pc-1]; i.op() {
	case opCall, opTailCall, opTForLoop:
		return t.registerName(t.level-1, i.a())
	}
	return "", ""
}

// localName is the name of the local variable that is in a register at an instruction.
func (p *proto) localName(register, pc int) string {
	for _, l := range p.locals {
		if l.start > pc {
			break
		}
		if pc < l.end {
			if register == 0 {
				return l.name
			}
			register--
		}
	}
	return ""
}

func (p *proto) constantName(rk int) string {
	if rk&constantBit != 0 {
		if s, ok := p.constants[rk&^constantBit].AsString(); ok {
			return s
		}
	}
	return "?"
}

// lastChange is the last instruction before end that changed a register. Jumps forward are
// followed, so that of two branches the one is read that was not jumped over.
func (p *proto) lastChange(register, end int) instruction {
	last := len(p.code) - 1
	for pc := 0; pc < end; pc++ {
		i := p.code[pc]
		a := i.a()
		changed := i.op().setsA() && a == register
		switch i.op() {
		case opLoadNil:
			changed = a <= register && register <= i.b()
		case opSelf:
			changed = changed || register == a+1
		case opTForLoop:
			changed = register >= a+2
		case opCall, opTailCall:
			changed = register >= a
		}
		if changed {
			last = pc
		}
		switch i.op() {
		case opJmp, opForLoop, opForPrep:
			if target := pc + 1 + i.sbx(); pc < target && target <= end {
				pc = target - 1
			}
		case opSetList:
			if i.c() == 0 {
				pc++
			}
		case opClosure:
			pc += p.functions[i.bx()].upvalues
		}
	}
	return p.code[last]
}

// setsA reports whether the operation changes the register A.
func (op opcode) setsA() bool {
	switch op {
	case opSetGlobal, opSetUpval, opSetTable, opJmp, opEq, opLt, opLe, opReturn, opTForLoop, opSetList, opClose:
		return false
	}
	return true
}
