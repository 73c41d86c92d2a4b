package lua

// execute runs the function of a script that was entered last, and those that it calls,
// until that many calls have returned, or the coroutine yields.
//
// While it runs, pc, registers and call are copies of what the call's info has. What may
// raise an error or call a function needs the info's pc, and may move the stack: such a
// case of the switch ends without continue, so that the copies are made again.
func (t *Thread) execute(calls int) {
enter:
	call := &t.calls[t.level]
	f := call.function
	p := f.proto
	code, k := p.code, p.constants
	base, pc := call.base, call.pc
	r := t.stack[base : base+p.maxStack]
	for {
		i := code[pc]
		pc++
		a := i.a()
		switch i.op() {
		case opMove:
			r[a] = r[i.b()]
			continue
		case opLoadK:
			r[a] = k[i.bx()]
			continue
		case opLoadBool:
			r[a] = Bool(i.b() != 0)
			if i.c() != 0 {
				pc++
			}
			continue
		case opLoadNil:
			clear(r[a : i.b()+1])
			continue
		case opGetUpval:
			r[a] = *f.upvalues[i.b()].v
			continue
		case opSetUpval:
			*f.upvalues[i.b()].v = r[a]
			continue
		case opGetGlobal:
			key := k[i.bx()]
			if v := f.env.findString(key); v != nil && !v.IsNil() {
				r[a] = *v
				continue
			}
			call.pc = pc
			v := t.index(f.env.Value(), key, noRegister)
			t.stack[base+a] = v
		case opSetGlobal:
			call.pc = pc
			t.setIndex(f.env.Value(), k[i.bx()], r[a], noRegister)
		case opGetTable:
			object := r[i.b()]
			var key Value
			if c := i.c(); c&constantBit != 0 {
				key = k[c&^constantBit]
			} else {
				key = r[c]
			}
			if object.is(TypeTable) {
				table := object.table()
				if v := table.find(key); v != nil && !v.IsNil() {
					r[a] = *v
					continue
				}
				if table.meta == nil {
					r[a] = Nil
					continue
				}
			}
			call.pc = pc
			v := t.index(object, key, i.b())
			t.stack[base+a] = v
		case opSetTable:
			var key, value Value
			if b := i.b(); b&constantBit != 0 {
				key = k[b&^constantBit]
			} else {
				key = r[b]
			}
			if c := i.c(); c&constantBit != 0 {
				value = k[c&^constantBit]
			} else {
				value = r[c]
			}
			call.pc = pc
			if object := r[a]; object.is(TypeTable) {
				if table := object.table(); table.meta == nil && !table.readOnly {
					*t.slot(table, key) = value
					continue
				}
			}
			t.setIndex(r[a], key, value, a)
		case opNewTable:
			r[a] = NewTable(fromFloatByte(i.b()), fromFloatByte(i.c())).Value()
			continue
		case opSelf:
			object := r[i.b()]
			var key Value
			if c := i.c(); c&constantBit != 0 {
				key = k[c&^constantBit]
			} else {
				key = r[c]
			}
			r[a+1] = object
			call.pc = pc
			v := t.index(object, key, i.b())
			t.stack[base+a] = v
		case opAdd, opSub, opMul, opDiv, opMod, opPow:
			b, c := i.b(), i.c()
			var left, right Value
			if b&constantBit != 0 {
				left = k[b&^constantBit]
			} else {
				left = r[b]
			}
			if c&constantBit != 0 {
				right = k[c&^constantBit]
			} else {
				right = r[c]
			}
			if left.isNumber() && right.isNumber() {
				x, y := left.float(), right.float()
				switch i.op() {
				case opAdd:
					x += y
				case opSub:
					x -= y
				case opMul:
					x *= y
				case opDiv:
					x /= y
				default:
					x = arith(i.op(), x, y)
				}
				r[a] = Number(x)
				continue
			}
			call.pc = pc
			v := t.arithmetic(i.op(), left, right, b, c)
			t.stack[base+a] = v
		case opUnm:
			b := i.b()
			if r[b].isNumber() {
				r[a] = Number(-r[b].float())
				continue
			}
			call.pc = pc
			v := t.arithmetic(opUnm, r[b], r[b], b, b)
			t.stack[base+a] = v
		case opNot:
			r[a] = Bool(!r[i.b()].Truth())
			continue
		case opLen:
			call.pc = pc
			v := t.length(r[i.b()], i.b())
			t.stack[base+a] = v
		case opConcat:
			b, c := i.b(), i.c()
			call.pc = pc
			t.concat(base+b, base+c)
			t.stack[base+a] = t.stack[base+b]
		case opJmp:
			d := i.sbx()
			pc += d
			if d < 0 {
				if t.state.countdown += d; t.state.countdown <= 0 {
					call.pc = pc + 1 // the position is that of the next instruction
					t.callHook()
				}
			}
			continue
		case opEq:
			var left, right Value
			if b := i.b(); b&constantBit != 0 {
				left = k[b&^constantBit]
			} else {
				left = r[b]
			}
			if c := i.c(); c&constantBit != 0 {
				right = k[c&^constantBit]
			} else {
				right = r[c]
			}
			if !left.is(TypeTable) {
				if equal(left, right) != (a != 0) {
					pc++
				}
				continue
			}
			call.pc = pc
			if t.equals(left, right) != (a != 0) {
				pc++
			}
		case opLt, opLe:
			var left, right Value
			if b := i.b(); b&constantBit != 0 {
				left = k[b&^constantBit]
			} else {
				left = r[b]
			}
			if c := i.c(); c&constantBit != 0 {
				right = k[c&^constantBit]
			} else {
				right = r[c]
			}
			if left.isNumber() && right.isNumber() {
				x, y := left.float(), right.float()
				if (x < y || i.op() == opLe && x == y) != (a != 0) {
					pc++
				}
				continue
			}
			call.pc = pc
			var is bool
			if i.op() == opLt {
				is = t.less(left, right)
			} else {
				is = t.lessOrEqual(left, right)
			}
			if is != (a != 0) {
				pc++
			}
		case opTest:
			if r[a].Truth() != (i.c() != 0) {
				pc++
			}
			continue
		case opTestSet:
			if v := r[i.b()]; v.Truth() == (i.c() != 0) {
				r[a] = v
			} else {
				pc++
			}
			continue
		case opCall:
			at := base + a
			if b := i.b(); b != 0 {
				t.top = at + b
			}
			call.pc = pc
			if t.state.countdown -= callCost; t.state.countdown <= 0 {
				t.callHook()
			}
			switch t.enter(at, i.c()-1) {
			case enteredScript:
				calls++
				goto enter
			case enteredYield:
				return
			}
			call = &t.calls[t.level]
			if i.c() != 0 {
				t.top = call.top
			}
		case opTailCall:
			at := base + a
			if b := i.b(); b != 0 {
				t.top = at + b
			}
			call.pc = pc
			if t.state.countdown -= callCost; t.state.countdown <= 0 {
				t.callHook()
			}
			switch t.enter(at, multiple) {
			case enteredScript:
				t.replaceCall()
				goto enter
			case enteredYield:
				return
			}
		case opReturn:
			if b := i.b(); b != 0 {
				t.top = base + a + b - 1
			}
			if len(t.open) > 0 {
				t.closeUpvalues(base)
			}
			call.pc = pc
			fixed := t.leave(base + a)
			if calls--; calls == 0 {
				return
			}
			if fixed {
				t.top = t.calls[t.level].top
			}
			goto enter
		case opForLoop:
			step := r[a+2].float()
			index, limit := r[a].float()+step, r[a+1].float()
			if step > 0 && index <= limit || step <= 0 && limit <= index {
				d := i.sbx()
				pc += d
				r[a] = Number(index)
				r[a+3] = Number(index)
				if t.state.countdown += d - 1; t.state.countdown <= 0 {
					call.pc = pc + 1
					t.callHook()
				}
			}
			continue
		case opForPrep:
			call.pc = pc
			t.prepareFor(r[a : a+3])
			r[a] = Number(r[a].float() - r[a+2].float())
			pc += i.sbx()
			continue
		case opTForLoop:
			call.pc = pc
			if r[a].is(TypeFunction) && r[a].function() == t.state.next && r[a+1].is(TypeTable) && t.depth < maxDepth-1 {
				if key, value, ok := r[a+1].table().Next(r[a+2]); ok {
					r[a+3] = key
					r[a+4] = value
					if c := i.c(); c > 2 {
						clear(r[a+5 : a+3+c])
					}
					if !key.IsNil() {
						r[a+2] = key
						pc += code[pc].sbx()
					}
					pc++
					if t.state.countdown -= callCost; t.state.countdown <= 0 {
						t.callHook()
					}
					continue
				}
			}
			at := base + a + 3
			copy(t.stack[at:], r[a:a+3])
			t.top = at + 3
			t.call(at, i.c())
			call = &t.calls[t.level]
			t.top = call.top
			if key := t.stack[at]; !key.IsNil() {
				t.stack[at-1] = key
				pc += code[pc].sbx()
			}
			pc++
		case opSetList:
			n, batch := i.b(), i.c()
			if n == 0 {
				n = t.top - (base + a) - 1
				t.top = call.top
			}
			if batch == 0 {
				batch = int(code[pc])
				pc++
			}
			setList(r[a].table(), t.stack[base+a+1:base+a+1+n], (batch-1)*fieldsPerFlush)
			continue
		case opClose:
			t.closeUpvalues(base + a)
			continue
		case opClosure:
			made := p.functions[i.bx()]
			closure := &Function{proto: made, env: f.env}
			if made.upvalues > 0 {
				closure.upvalues = make([]*upvalue, made.upvalues)
			}
			for n := range closure.upvalues {
				if u := code[pc]; u.op() == opGetUpval {
					closure.upvalues[n] = f.upvalues[u.b()]
				} else {
					closure.upvalues[n] = t.findUpvalue(base + u.b())
				}
				pc++
			}
			r[a] = closure.Value()
			continue
		case opVararg:
			wanted := i.b() - 1
			extra := base - call.at - p.parameters - 1
			if wanted == multiple {
				wanted = extra
				t.top = base + a
				t.needStack(wanted)
				t.top = base + a + wanted
			}
			to := t.stack[base+a : base+a+wanted]
			n := copy(to, t.stack[base-extra:base])
			clear(to[n:])
		}
		call = &t.calls[t.level]
		r = t.stack[base : base+p.maxStack]
	}
}

// callCost is how many instructions a call counts as, for the hook.
const callCost = 4

// replaceCall puts the call that was entered last in the place of the one before it.
func (t *Thread) replaceCall() {
	made, old := t.calls[t.level], &t.calls[t.level-1]
	if len(t.open) > 0 {
		t.closeUpvalues(old.base)
	}
	t.top = old.at + copy(t.stack[old.at:], t.stack[made.at:t.top])
	old.base = old.at + made.base - made.at
	old.top, old.function, old.pc = t.top, made.function, made.pc
	old.tailCalls++
	t.level--
}

// prepareFor makes numbers of the start, the limit and the step of a loop.
func (t *Thread) prepareFor(values []Value) {
	for i, what := range [...]string{"initial value", "limit", "step"} {
		f, ok := values[i].ToNumber()
		if !ok {
			t.runtimeError("'for' %s must be a number", what)
		}
		values[i] = Number(f)
	}
}

// setList stores the values of a constructor behind the first n.
func setList(table *Table, values []Value, n int) {
	if last := n + len(values); last > len(table.array) {
		table.resizeArray(last)
	}
	for i := len(values) - 1; i >= 0; i-- {
		*table.slotInt(n + i + 1) = values[i]
	}
}
