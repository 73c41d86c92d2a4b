package lua

// arithmeticEvents are the metamethods of operations.
var arithmeticEvents = [...]event{
	0: eventAdd, opSub - opAdd: eventSub, opMul - opAdd: eventMul, opDiv - opAdd: eventDiv,
	opMod - opAdd: eventMod, opPow - opAdd: eventPow, opUnm - opAdd: eventUnm,
}

// arithmetic computes an operation of any values. The registers, or constants, are where
// these are, for errors.
func (t *Thread) arithmetic(op opcode, left, right Value, leftRK, rightRK int) Value {
	x, isLeft := left.ToNumber()
	y, isRight := right.ToNumber()
	if isLeft && isRight {
		return Number(arith(op, x, y))
	}
	if v, ok := t.binary(left, right, arithmeticEvents[op-opAdd]); ok {
		return v
	}
	if !isLeft {
		right, rightRK = left, leftRK
	}
	t.typeError(right, rightRK, "perform arithmetic on")
	return Nil
}

// binary calls the metamethod of the left or the right operand.
func (t *Thread) binary(left, right Value, e event) (result Value, ok bool) {
	f := t.metamethod(left, e)
	if f.IsNil() {
		f = t.metamethod(right, e)
	}
	if f.IsNil() {
		return Nil, false
	}
	return t.Call(f, left, right), true
}

func (t *Thread) length(v Value, register int) Value {
	switch v.Type() {
	case TypeTable:
		return Int(v.table().Len())
	case TypeString:
		return Int(v.length())
	}
	if n, ok := t.binary(v, Nil, eventLen); ok {
		return n
	}
	t.typeError(v, register, "get length of")
	return Nil
}

// equals is the operator ==.
func (t *Thread) equals(a, b Value) bool {
	if equal(a, b) {
		return true
	}
	if !a.is(TypeTable) || !b.is(TypeTable) {
		return false
	}
	f := a.table().meta.event(eventEq)
	if f.IsNil() {
		return false
	}
	if b.table().meta != a.table().meta && !equal(f, b.table().meta.event(eventEq)) {
		return false
	}
	return t.Call(f, a, b).Truth()
}

// less is the operator <.
func (t *Thread) less(a, b Value) bool {
	switch {
	case a.isNumber() && b.isNumber():
		return a.float() < b.float()
	case a.is(TypeString) && b.is(TypeString):
		return a.str() < b.str()
	case a.Type() == b.Type():
		if is, ok := t.order(a, b, eventLt); ok {
			return is
		}
	}
	t.orderError(a, b)
	return false
}

// lessOrEqual is the operator <=.
func (t *Thread) lessOrEqual(a, b Value) bool {
	switch {
	case a.isNumber() && b.isNumber():
		return a.float() <= b.float()
	case a.is(TypeString) && b.is(TypeString):
		return a.str() <= b.str()
	case a.Type() == b.Type():
		if is, ok := t.order(a, b, eventLe); ok {
			return is
		}
		if is, ok := t.order(b, a, eventLt); ok {
			return !is
		}
	}
	t.orderError(a, b)
	return false
}

// order calls a metamethod that both operands have.
func (t *Thread) order(a, b Value, e event) (is, ok bool) {
	f := t.metamethod(a, e)
	if f.IsNil() || !equal(f, t.metamethod(b, e)) {
		return false, false
	}
	return t.Call(f, a, b).Truth(), true
}

// orderError raises the error that values have no order. Lua compares only one letter of
// their types' names.
func (t *Thread) orderError(a, b Value) {
	x, y := a.Type().String(), b.Type().String()
	if x[2] == y[2] {
		t.runtimeError("attempt to compare two %s values", x)
	}
	t.runtimeError("attempt to compare %s with %s", x, y)
}

// concat joins the values from a place of the stack up to another, from the right to the
// left. The result is at first.
func (t *Thread) concat(first, last int) {
	for last > first {
		left, right := t.stack[last-1], t.stack[last]
		switch {
		case !left.is(TypeString) && !left.isNumber() || !right.is(TypeString) && !right.isNumber():
			v, ok := t.binary(left, right, eventConcat)
			if !ok {
				t.concatError(last)
			}
			last--
			t.stack[last] = v
		default:
			n := last
			for n > first && (t.stack[n-1].is(TypeString) || t.stack[n-1].isNumber()) {
				n--
			}
			t.stack[n] = t.join(t.stack[n : last+1])
			last = n
		}
	}
}

// join makes one string of strings and numbers.
func (t *Thread) join(values []Value) Value {
	var numbers [64]byte
	if len(values) == 2 {
		if values[1].is(TypeString) && values[1].length() == 0 {
			s, _ := values[0].ToString()
			return String(s)
		}
	}
	size := 0
	for _, v := range values {
		if v.is(TypeString) {
			size += v.length()
		} else {
			size += 8
		}
	}
	t.checkLength(size)
	t.Count(size >> countedBytes)
	buffer := make([]byte, 0, size)
	for _, v := range values {
		if v.is(TypeString) {
			buffer = append(buffer, v.str()...)
		} else {
			buffer = append(buffer, appendNumber(numbers[:0], v.float())...)
		}
	}
	return t.madeString(buffer)
}

// countedBytes is the power of two of bytes whose copying counts as an instruction.
const countedBytes = 6

func (t *Thread) concatError(last int) {
	register := last - t.current().base
	v := t.stack[last]
	if left := t.stack[last-1]; !left.is(TypeString) && !left.isNumber() {
		v, register = left, register-1
	}
	t.typeError(v, register, "concatenate")
}
