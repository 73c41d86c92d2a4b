package lua

// An expKind says where the value of an expression is.
type expKind uint8

const (
	expVoid expKind = iota // there is none
	expNil
	expTrue
	expFalse
	expConstant // info: the constant
	expNumber   // number
	expLocal    // info: the register
	expUpval    // info: the upvalue
	expGlobal   // info: the constant with its name
	expIndexed  // info: the table's register; aux: the key's, or a constant
	expJump     // info: a jump that is made if it is true
	expReloc    // info: the instruction that can put it into any register
	expNonReloc // info: the register
	expCall     // info: the instruction
	expVararg   // info: the instruction
)

const noJump = -1

// An expression is one whose value is not in a register yet. Jumps of "and" and "or" may
// lead past the code of its value, to where it is true or false.
type expression struct {
	kind      expKind
	info, aux int
	number    float64
	ifTrue    int // list of jumps that are made if it is true
	ifFalse   int
}

func newExpression(kind expKind, info int) expression {
	return expression{kind: kind, info: info, ifTrue: noJump, ifFalse: noJump}
}

func (e *expression) hasJumps() bool { return e.ifTrue != e.ifFalse }

func (e *expression) isMultiple() bool { return e.kind == expCall || e.kind == expVararg }

func (e *expression) isNumeral() bool {
	return e.kind == expNumber && e.ifTrue == noJump && e.ifFalse == noJump
}

// An operator of two operands binds with a priority to its left and to its right.
type operator struct {
	op          opcode
	negated     bool // of a comparison
	left, right int
}

const (
	opAnd opcode = 100 + iota // not operations, but jumps
	opOr
)

var operators = map[token]operator{
	'+': {opAdd, false, 6, 6}, '-': {opSub, false, 6, 6},
	'*': {opMul, false, 7, 7}, '/': {opDiv, false, 7, 7}, '%': {opMod, false, 7, 7},
	'^': {opPow, false, 10, 9}, tokenConcat: {opConcat, false, 5, 4},
	tokenNe: {opEq, true, 3, 3}, tokenEq: {opEq, false, 3, 3},
	'<': {opLt, false, 3, 3}, tokenLe: {opLe, false, 3, 3},
	'>': {opLt, true, 3, 3}, tokenGe: {opLe, true, 3, 3},
	tokenAnd: {opAnd, false, 2, 2}, tokenOr: {opOr, false, 1, 1},
}

const unaryPriority = 8

func (ps *parser) expression(e *expression) { ps.subexpression(e, 0) }

// subexpression reads operators that bind stronger than limit. It returns the one that
// does not, if there is one.
func (ps *parser) subexpression(e *expression, limit int) (next operator, ok bool) {
	ps.enterLevel()
	if unary, ok := unaryOperator(ps.current.token); ok {
		ps.next()
		ps.subexpression(e, unaryPriority)
		ps.prefix(unary, e)
	} else {
		ps.simple(e)
	}
	next, ok = operators[ps.current.token]
	for ok && next.left > limit {
		op := next
		ps.next()
		ps.infix(op, e)
		var right expression
		next, ok = ps.subexpression(&right, op.right)
		ps.postfix(op, e, &right)
	}
	ps.leaveLevel()
	return next, ok
}

func unaryOperator(t token) (op opcode, ok bool) {
	switch t {
	case tokenNot:
		return opNot, true
	case '-':
		return opUnm, true
	case '#':
		return opLen, true
	}
	return 0, false
}

func (ps *parser) simple(e *expression) {
	switch ps.current.token {
	case tokenNumber:
		*e = newExpression(expNumber, 0)
		e.number = ps.current.number
	case tokenString:
		ps.stringExpression(e, ps.current.text)
	case tokenNil:
		*e = newExpression(expNil, 0)
	case tokenTrue:
		*e = newExpression(expTrue, 0)
	case tokenFalse:
		*e = newExpression(expFalse, 0)
	case tokenDots:
		p := ps.f.proto
		if p.isVararg == 0 {
			ps.failHere("cannot use '...' outside a vararg function")
		}
		p.isVararg &^= varargNeedsArg
		*e = newExpression(expVararg, ps.codeABC(opVararg, 0, 1, 0))
	case '{':
		ps.constructor(e)
		return
	case tokenFunction:
		ps.next()
		ps.body(e, false, ps.line)
		return
	default:
		ps.primary(e)
		return
	}
	ps.next()
}

func (ps *parser) stringExpression(e *expression, s string) {
	*e = newExpression(expConstant, ps.stringConstant(s))
}

// primary reads a variable, or an expression in parentheses, and what follows it: fields
// and calls.
func (ps *parser) primary(e *expression) {
	switch line := ps.line; ps.current.token {
	case '(':
		ps.next()
		ps.expression(e)
		ps.expectMatch(')', '(', line)
		ps.discharge(e)
	case tokenName:
		ps.variable(e)
	default:
		ps.failHere("unexpected symbol")
	}
	for {
		switch ps.current.token {
		case '.':
			ps.field(e)
		case '[':
			var key expression
			ps.toAnyRegister(e)
			ps.bracketed(&key)
			ps.indexed(e, &key)
		case ':':
			var key expression
			ps.next()
			ps.stringExpression(&key, ps.takeName())
			ps.self(e, &key)
			ps.arguments(e)
		case '(', tokenString, '{':
			ps.toNextRegister(e)
			ps.arguments(e)
		default:
			return
		}
	}
}

func (ps *parser) field(e *expression) {
	var key expression
	ps.toAnyRegister(e)
	ps.next()
	ps.stringExpression(&key, ps.takeName())
	ps.indexed(e, &key)
}

func (ps *parser) bracketed(key *expression) {
	ps.next()
	ps.expression(key)
	ps.toValue(key)
	ps.expect(']')
}

// expressions reads a list of them, all but the last one into registers, and returns their
// number.
func (ps *parser) expressions(e *expression) int {
	n := 1
	for ps.expression(e); ps.accept(','); n++ {
		ps.toNextRegister(e)
		ps.expression(e)
	}
	return n
}

func (ps *parser) arguments(f *expression) {
	var args expression
	line := ps.line
	switch ps.current.token {
	case '(':
		if line != ps.lastLine {
			ps.failHere("ambiguous syntax (function call x new statement)")
		}
		if ps.next(); ps.current.token == ')' {
			args = newExpression(expVoid, 0)
		} else {
			ps.expressions(&args)
			ps.setResults(&args, multiple)
		}
		ps.expectMatch(')', '(', line)
	case '{':
		ps.constructor(&args)
	case tokenString:
		ps.stringExpression(&args, ps.current.text)
		ps.next()
	default:
		ps.failHere("function arguments expected")
	}
	base, n := f.info, multiple
	if !args.isMultiple() {
		if args.kind != expVoid {
			ps.toNextRegister(&args)
		}
		n = ps.f.freeReg - (base + 1)
	}
	*f = newExpression(expCall, ps.codeABC(opCall, base, n+1, 2))
	ps.fixLine(line)
	ps.f.freeReg = base + 1
}

// body reads a function from its parameters on.
func (ps *parser) body(e *expression, method bool, line int) {
	ps.openFunction(line)
	ps.expect('(')
	if method {
		ps.declare("self", 0)
		ps.activate(1)
	}
	ps.parameters()
	ps.expect(')')
	ps.chunk()
	ps.f.proto.lastLine = ps.line
	ps.expectMatch(tokenEnd, tokenFunction, line)
	f := ps.f
	ps.closeFunction()
	ps.closure(f, e)
}

func (ps *parser) parameters() {
	p, n := ps.f.proto, 0
	for more := ps.current.token != ')'; more; {
		switch ps.current.token {
		case tokenName:
			ps.declare(ps.takeName(), n)
			n++
		case tokenDots:
			ps.next()
			ps.declare("arg", n)
			n++
			p.isVararg = varargHasArg | varargIsVararg | varargNeedsArg
		default:
			ps.failHere("<name> or '...' expected")
		}
		more = p.isVararg == 0 && ps.accept(',')
	}
	ps.activate(n)
	p.parameters = len(ps.f.active) - int(p.isVararg&varargHasArg)
	ps.reserve(len(ps.f.active))
}

// closure makes code for a function that was read.
func (ps *parser) closure(f *function, e *expression) {
	p := ps.f.proto
	if len(p.functions) >= maxBx {
		panic(&syntaxError{"constant table overflow"})
	}
	p.functions = append(p.functions, f.proto)
	*e = newExpression(expReloc, ps.codeABx(opClosure, 0, len(p.functions)-1))
	for _, u := range f.upvalues {
		if u.kind == expLocal {
			ps.codeABC(opMove, 0, u.info, 0)
		} else {
			ps.codeABC(opGetUpval, 0, u.info, 0)
		}
	}
}

// A constructor is a table whose fields are being read.
type constructor struct {
	item    expression // of the array, not stored yet
	table   *expression
	fields  int
	items   int
	pending int // items that wait to be stored
}

func (ps *parser) constructor(e *expression) {
	line := ps.line
	pc := ps.codeABC(opNewTable, 0, 0, 0)
	c := constructor{table: e, item: newExpression(expVoid, 0)}
	*e = newExpression(expReloc, pc)
	ps.toNextRegister(e)
	ps.expect('{')
	for ps.current.token != '}' {
		ps.closeItem(&c)
		switch {
		case ps.current.token == '[' || ps.current.token == tokenName && ps.peek() == '=':
			ps.recordField(&c)
		default:
			ps.expression(&c.item)
			c.items++
			c.pending++
		}
		if !ps.accept(',') && !ps.accept(';') {
			break
		}
	}
	ps.expectMatch('}', '{', line)
	ps.lastItem(&c)
	code := ps.f.proto.code
	code[pc].setB(toFloatByte(c.items))
	code[pc].setC(toFloatByte(c.fields))
}

func (ps *parser) recordField(c *constructor) {
	free := ps.f.freeReg
	var key, value expression
	if ps.current.token == tokenName {
		ps.stringExpression(&key, ps.takeName())
	} else {
		ps.bracketed(&key)
	}
	c.fields++
	ps.expect('=')
	k := ps.toRK(&key)
	ps.expression(&value)
	ps.codeABC(opSetTable, c.table.info, k, ps.toRK(&value))
	ps.f.freeReg = free
}

func (ps *parser) closeItem(c *constructor) {
	if c.item.kind == expVoid {
		return
	}
	ps.toNextRegister(&c.item)
	c.item.kind = expVoid
	if c.pending == fieldsPerFlush {
		ps.codeSetList(c.table.info, c.items, c.pending)
		c.pending = 0
	}
}

func (ps *parser) lastItem(c *constructor) {
	switch {
	case c.pending == 0:
	case c.item.isMultiple():
		ps.setResults(&c.item, multiple)
		ps.codeSetList(c.table.info, c.items, multiple)
		c.items--
	default:
		if c.item.kind != expVoid {
			ps.toNextRegister(&c.item)
		}
		ps.codeSetList(c.table.info, c.items, c.pending)
	}
}
