package lua

import (
	"errors"
	"fmt"
)

// Bounds of a function in a script.
const (
	maxLocals    = 200
	maxUpvalues  = 60
	maxRegisters = 250
)

// A parser reads a script, and makes code as it goes: there is no syntax tree.
type parser struct {
	lexer
	f *function // that is being read
}

// A function is one whose code is being made.
type function struct {
	proto      *proto
	outer      *function
	block      *block
	lastTarget int // the last instruction that is jumped to
	jumpsHere  int // list of jumps to the next instruction
	freeReg    int
	active     []int // local variables in scope, as indexes of proto.locals
	upvalues   []upvalueInfo
	constants  constantIndex
}

type upvalueInfo struct {
	kind expKind // expLocal or expUpval of the outer function
	info int
}

// A block is a scope.
type block struct {
	outer     *block
	breaks    int // list of jumps out of the loop
	active    int // local variables outside of it
	hasUpval  bool
	breakable bool // it is a loop
}

// compile makes code of a script. Depth is that of the calls that led here.
func compile(source, name string, depth int) (p *proto, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*syntaxError)
			if !ok {
				panic(r)
			}
			p, err = nil, errors.New(e.text)
		}
	}()
	ps := &parser{lexer: lexer{source: source, name: name, line: 1, lastLine: 1, depth: depth}}
	ps.openFunction(0)
	ps.f.proto.isVararg = varargIsVararg
	ps.next()
	ps.chunk()
	ps.check(tokenEOS)
	p = ps.f.proto
	ps.closeFunction()
	return p, nil
}

func (ps *parser) openFunction(line int) {
	ps.f = &function{
		proto:      &proto{source: ps.name, maxStack: 2, line: line},
		outer:      ps.f,
		lastTarget: -1,
		jumpsHere:  noJump,
	}
}

func (ps *parser) closeFunction() {
	ps.removeLocals(0)
	ps.codeReturn(0, 0)
	ps.f.proto.upvalues = len(ps.f.upvalues)
	ps.f = ps.f.outer
}

// enterLevel counts rules of the grammar within each other.
func (ps *parser) enterLevel() {
	if ps.depth++; ps.depth > maxDepth {
		ps.fail("chunk has too many syntax levels", 0)
	}
}

func (ps *parser) leaveLevel() { ps.depth-- }

func (ps *parser) checkLimit(n, limit int, what string) {
	if n <= limit {
		return
	}
	if ps.f.proto.line == 0 {
		ps.fail(fmt.Sprintf("main function has more than %d %s", limit, what), 0)
	}
	ps.fail(fmt.Sprintf("function at line %d has more than %d %s", ps.f.proto.line, limit, what), 0)
}

func (ps *parser) failExpected(t token) { ps.failHere("'" + t.String() + "' expected") }

// accept takes the current token if it is t.
func (ps *parser) accept(t token) bool {
	if ps.current.token != t {
		return false
	}
	ps.next()
	return true
}

func (ps *parser) check(t token) {
	if ps.current.token != t {
		ps.failExpected(t)
	}
}

func (ps *parser) expect(t token) {
	ps.check(t)
	ps.next()
}

// expectMatch takes what closes a token of an earlier line.
func (ps *parser) expectMatch(what, who token, line int) {
	if ps.accept(what) {
		return
	}
	if line == ps.line {
		ps.failExpected(what)
	}
	ps.failHere(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", what, who, line))
}

func (ps *parser) takeName() string {
	ps.check(tokenName)
	name := ps.current.text
	ps.next()
	return name
}

// Local variables and upvalues.

const maxLocalInfos = 1<<15 - 1

// declare adds the local variable that will be the nth to come into scope.
func (ps *parser) declare(name string, n int) {
	f := ps.f
	ps.checkLimit(len(f.active)+n+1, maxLocals, "local variables")
	if len(f.proto.locals) >= maxLocalInfos {
		panic(&syntaxError{"too many local variables"})
	}
	f.proto.locals = append(f.proto.locals, localInfo{name: name})
}

// activate brings the last n declared variables into scope.
func (ps *parser) activate(n int) {
	f := ps.f
	first := len(f.proto.locals) - n
	for i := first; i < len(f.proto.locals); i++ {
		f.proto.locals[i].start = len(f.proto.code)
		f.active = append(f.active, i)
	}
}

// removeLocals ends the scope of all variables but the first n.
func (ps *parser) removeLocals(n int) {
	f := ps.f
	for len(f.active) > n {
		last := len(f.active) - 1
		f.proto.locals[f.active[last]].end = len(f.proto.code)
		f.active = f.active[:last]
	}
}

func (f *function) findLocal(name string) int {
	for i := len(f.active) - 1; i >= 0; i-- {
		if f.proto.locals[f.active[i]].name == name {
			return i
		}
	}
	return -1
}

// upvalueFor is the index of an upvalue, which is a variable or an upvalue of the outer
// function.
func (ps *parser) upvalueFor(f *function, name string, e *expression) int {
	for i, u := range f.upvalues {
		if u.kind == e.kind && u.info == e.info {
			return i
		}
	}
	current := ps.f
	ps.f = f
	ps.checkLimit(len(f.upvalues)+1, maxUpvalues, "upvalues")
	ps.f = current
	f.upvalues = append(f.upvalues, upvalueInfo{e.kind, e.info})
	f.proto.upvalueNames = append(f.proto.upvalueNames, name)
	return len(f.upvalues) - 1
}

// resolve finds the variable of a name. Own says that f is the function that uses it.
func (ps *parser) resolve(f *function, name string, e *expression, own bool) expKind {
	if f == nil {
		*e = newExpression(expGlobal, noReg)
		return expGlobal
	}
	if i := f.findLocal(name); i >= 0 {
		*e = newExpression(expLocal, i)
		if !own {
			f.markUpvalue(i)
		}
		return expLocal
	}
	if ps.resolve(f.outer, name, e, false) == expGlobal {
		return expGlobal
	}
	e.info, e.kind = ps.upvalueFor(f, name, e), expUpval
	return expUpval
}

// markUpvalue says that the block of a local variable has to close it.
func (f *function) markUpvalue(local int) {
	b := f.block
	for b != nil && b.active > local {
		b = b.outer
	}
	if b != nil {
		b.hasUpval = true
	}
}

func (ps *parser) variable(e *expression) {
	name := ps.takeName()
	if ps.resolve(ps.f, name, e, true) == expGlobal {
		e.info = ps.stringConstant(name)
	}
}
