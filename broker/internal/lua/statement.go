package lua

// Statements.

func (ps *parser) enterBlock(b *block, breakable bool) {
	*b = block{outer: ps.f.block, breaks: noJump, active: len(ps.f.active), breakable: breakable}
	ps.f.block = b
}

func (ps *parser) leaveBlock() {
	b := ps.f.block
	ps.f.block = b.outer
	ps.removeLocals(b.active)
	if b.hasUpval {
		ps.codeABC(opClose, b.active, 0, 0)
	}
	ps.f.freeReg = len(ps.f.active)
	ps.patchToHere(b.breaks)
}

func (ps *parser) blockFollows() bool {
	switch ps.current.token {
	case tokenElse, tokenElseif, tokenEnd, tokenUntil, tokenEOS:
		return true
	}
	return false
}

func (ps *parser) chunk() {
	ps.enterLevel()
	for last := false; !last && !ps.blockFollows(); {
		last = ps.statement()
		ps.accept(';')
		ps.f.freeReg = len(ps.f.active)
	}
	ps.leaveLevel()
}

func (ps *parser) block() {
	var b block
	ps.enterBlock(&b, false)
	ps.chunk()
	ps.leaveBlock()
}

// statement reads one, and reports whether it must be the last of its block.
func (ps *parser) statement() (last bool) {
	line := ps.line
	switch ps.current.token {
	case tokenIf:
		ps.ifStatement(line)
	case tokenWhile:
		ps.whileStatement(line)
	case tokenDo:
		ps.next()
		ps.block()
		ps.expectMatch(tokenEnd, tokenDo, line)
	case tokenFor:
		ps.forStatement(line)
	case tokenRepeat:
		ps.repeatStatement(line)
	case tokenFunction:
		ps.functionStatement(line)
	case tokenLocal:
		if ps.next(); ps.accept(tokenFunction) {
			ps.localFunction()
		} else {
			ps.localStatement()
		}
	case tokenReturn:
		ps.returnStatement()
		return true
	case tokenBreak:
		ps.next()
		ps.breakStatement()
		return true
	default:
		ps.expressionStatement()
	}
	return false
}

func (ps *parser) ifStatement(line int) {
	escapes := noJump
	toNext := ps.thenBlock()
	for ps.current.token == tokenElseif {
		ps.joinJumps(&escapes, ps.jump())
		ps.patchToHere(toNext)
		toNext = ps.thenBlock()
	}
	if ps.current.token == tokenElse {
		ps.joinJumps(&escapes, ps.jump())
		ps.patchToHere(toNext)
		ps.next()
		ps.block()
	} else {
		ps.joinJumps(&escapes, toNext)
	}
	ps.patchToHere(escapes)
	ps.expectMatch(tokenEnd, tokenIf, line)
}

// thenBlock reads a condition and its block. It returns the jumps that skip it.
func (ps *parser) thenBlock() int {
	ps.next()
	exit := ps.condition()
	ps.expect(tokenThen)
	ps.block()
	return exit
}

// condition reads one, and returns the jumps that are made if it is false.
func (ps *parser) condition() int {
	var e expression
	ps.expression(&e)
	if e.kind == expNil {
		e.kind = expFalse
	}
	ps.goIfTrue(&e)
	return e.ifFalse
}

func (ps *parser) whileStatement(line int) {
	ps.next()
	start := ps.label()
	exit := ps.condition()
	var b block
	ps.enterBlock(&b, true)
	ps.expect(tokenDo)
	ps.block()
	ps.patch(ps.jump(), start)
	ps.expectMatch(tokenEnd, tokenWhile, line)
	ps.leaveBlock()
	ps.patchToHere(exit)
}

func (ps *parser) repeatStatement(line int) {
	start := ps.label()
	var loop, scope block
	ps.enterBlock(&loop, true)
	ps.enterBlock(&scope, false)
	ps.next()
	ps.chunk()
	ps.expectMatch(tokenUntil, tokenRepeat, line)
	exit := ps.condition()
	if !scope.hasUpval {
		ps.leaveBlock()
		ps.patch(exit, start)
	} else { // upvalues are closed on both ways
		ps.breakStatement()
		ps.patchToHere(exit)
		ps.leaveBlock()
		ps.patch(ps.jump(), start)
	}
	ps.leaveBlock()
}

func (ps *parser) breakStatement() {
	b, hasUpval := ps.f.block, false
	for b != nil && !b.breakable {
		hasUpval = hasUpval || b.hasUpval
		b = b.outer
	}
	if b == nil {
		ps.failHere("no loop to break")
	}
	if hasUpval {
		ps.codeABC(opClose, b.active, 0, 0)
	}
	ps.joinJumps(&b.breaks, ps.jump())
}

func (ps *parser) forStatement(line int) {
	var b block
	ps.enterBlock(&b, true)
	ps.next()
	name := ps.takeName()
	switch ps.current.token {
	case '=':
		ps.numericFor(name, line)
	case ',', tokenIn:
		ps.genericFor(name)
	default:
		ps.failHere("'=' or 'in' expected")
	}
	ps.expectMatch(tokenEnd, tokenFor, line)
	ps.leaveBlock()
}

func (ps *parser) numericFor(name string, line int) {
	base := ps.f.freeReg
	for i, n := range []string{"(for index)", "(for limit)", "(for step)", name} {
		ps.declare(n, i)
	}
	ps.expect('=')
	ps.expressionToRegister()
	ps.expect(',')
	ps.expressionToRegister()
	if ps.accept(',') {
		ps.expressionToRegister()
	} else {
		ps.codeABx(opLoadK, ps.f.freeReg, ps.numberConstant(1))
		ps.reserve(1)
	}
	ps.forBody(base, line, 1, true)
}

func (ps *parser) expressionToRegister() {
	var e expression
	ps.expression(&e)
	ps.toNextRegister(&e)
}

func (ps *parser) genericFor(name string) {
	base := ps.f.freeReg
	variables := 0
	for _, n := range []string{"(for generator)", "(for state)", "(for control)", name} {
		ps.declare(n, variables)
		variables++
	}
	for ps.accept(',') {
		ps.declare(ps.takeName(), variables)
		variables++
	}
	ps.expect(tokenIn)
	line := ps.line
	var e expression
	ps.adjustAssign(3, ps.expressions(&e), &e)
	ps.checkRegisters(3)
	ps.forBody(base, line, variables-3, false)
}

func (ps *parser) forBody(base, line, variables int, numeric bool) {
	// The variables of the loop itself are declared before those of its body.
	ps.activateFirst(3, variables)
	ps.expect(tokenDo)
	var prepare int
	if numeric {
		prepare = ps.codeAsBx(opForPrep, base, noJump)
	} else {
		prepare = ps.jump()
	}
	var b block
	ps.enterBlock(&b, false)
	ps.activate(variables)
	ps.reserve(variables)
	ps.block()
	ps.leaveBlock()
	ps.patchToHere(prepare)
	var back int
	if numeric {
		back = ps.codeAsBx(opForLoop, base, noJump)
	} else {
		back = ps.codeABC(opTForLoop, base, 0, variables)
	}
	ps.fixLine(line)
	if !numeric {
		back = ps.jump()
	}
	ps.patch(back, prepare+1)
}

// activateFirst brings n declared variables into scope, but not the last ones yet.
func (ps *parser) activateFirst(n, last int) {
	f := ps.f
	first := len(f.proto.locals) - last - n
	for i := first; i < first+n; i++ {
		f.proto.locals[i].start = len(f.proto.code)
		f.active = append(f.active, i)
	}
}

func (ps *parser) functionStatement(line int) {
	ps.next()
	var v, body expression
	ps.variable(&v)
	method := false
	for ps.current.token == '.' {
		ps.field(&v)
	}
	if ps.current.token == ':' {
		method = true
		ps.field(&v)
	}
	ps.body(&body, method, line)
	ps.store(&v, &body)
	ps.fixLine(line)
}

func (ps *parser) localFunction() {
	ps.declare(ps.takeName(), 0)
	v := newExpression(expLocal, ps.f.freeReg)
	ps.reserve(1)
	ps.activate(1)
	var body expression
	ps.body(&body, false, ps.line)
	ps.store(&v, &body)
	f := ps.f
	f.proto.locals[f.active[len(f.active)-1]].start = len(f.proto.code)
}

func (ps *parser) localStatement() {
	variables := 0
	for {
		ps.declare(ps.takeName(), variables)
		variables++
		if !ps.accept(',') {
			break
		}
	}
	var e expression
	values := 0
	if ps.accept('=') {
		values = ps.expressions(&e)
	} else {
		e = newExpression(expVoid, 0)
	}
	ps.adjustAssign(variables, values, &e)
	ps.activate(variables)
}

func (ps *parser) returnStatement() {
	ps.next()
	if ps.blockFollows() || ps.current.token == ';' {
		ps.codeReturn(0, 0)
		return
	}
	var e expression
	n := ps.expressions(&e)
	switch first := len(ps.f.active); {
	case e.isMultiple():
		ps.setResults(&e, multiple)
		if e.kind == expCall && n == 1 {
			ps.codeOf(&e).setOp(opTailCall)
		}
		ps.codeReturn(first, multiple)
	case n == 1:
		ps.codeReturn(ps.toAnyRegister(&e), 1)
	default:
		ps.toNextRegister(&e)
		ps.codeReturn(first, n)
	}
}

func (ps *parser) expressionStatement() {
	var target assignee
	ps.primary(&target.expression)
	if target.kind == expCall {
		ps.codeOf(&target.expression).setC(1)
		return
	}
	ps.assignment(&target, 1)
}

// An assignee is what is on the left of an assignment.
type assignee struct {
	expression
	previous *assignee
}

func (ps *parser) assignment(target *assignee, n int) {
	if target.kind < expLocal || target.kind > expIndexed {
		ps.failHere("syntax error")
	}
	var e expression
	if ps.accept(',') {
		next := assignee{previous: target}
		ps.primary(&next.expression)
		if next.kind == expLocal {
			ps.checkConflict(target, &next.expression)
		}
		ps.checkLimit(n, maxDepth-ps.depth, "variables in assignment")
		ps.assignment(&next, n+1)
	} else {
		ps.expect('=')
		values := ps.expressions(&e)
		if values == n {
			ps.setOneResult(&e)
			ps.store(&target.expression, &e)
			return
		}
		ps.adjustAssign(n, values, &e)
		if values > n {
			ps.f.freeReg -= values - n
		}
	}
	e = newExpression(expNonReloc, ps.f.freeReg-1)
	ps.store(&target.expression, &e)
}

// checkConflict copies a local variable that is assigned to, if it is used to index in the
// same assignment.
func (ps *parser) checkConflict(target *assignee, local *expression) {
	extra, conflict := ps.f.freeReg, false
	for ; target != nil; target = target.previous {
		if target.kind != expIndexed {
			continue
		}
		if target.info == local.info {
			conflict, target.info = true, extra
		}
		if target.aux == local.info {
			conflict, target.aux = true, extra
		}
	}
	if conflict {
		ps.codeABC(opMove, extra, local.info, 0)
		ps.reserve(1)
	}
}

// adjustAssign makes as many values as there are variables.
func (ps *parser) adjustAssign(variables, values int, e *expression) {
	extra := variables - values
	if e.isMultiple() {
		extra = max(extra+1, 0)
		ps.setResults(e, extra)
		if extra > 1 {
			ps.reserve(extra - 1)
		}
		return
	}
	if e.kind != expVoid {
		ps.toNextRegister(e)
	}
	if extra > 0 {
		reg := ps.f.freeReg
		ps.reserve(extra)
		ps.codeNil(reg, extra)
	}
}
