package lua

// enter begins a call of the function at a place of the stack, with the arguments behind
// it. A function in Go runs to its end: then the results are where the function was. A
// function of a script is left to execute.
func (t *Thread) enter(at, results int) entered {
	f, ok := t.stack[at].AsFunction()
	if !ok {
		f = t.callable(at)
	}
	if f.proto == nil {
		return t.enterNative(f, at, results)
	}
	p := f.proto
	t.needStack(p.maxStack)
	base := at + 1
	if p.isVararg == 0 {
		if args := t.top - base; args > p.parameters {
			t.top = base + p.parameters
		}
	} else {
		base = t.moveVarargs(p, at)
	}
	top := base + p.maxStack
	clear(t.stack[t.top:top])
	c := t.pushCall()
	*c = callInfo{function: f, at: at, base: base, top: top, results: results}
	t.top = top
	return enteredScript
}

// What became of a call that was begun.
type entered uint8

const (
	enteredScript entered = iota // it is to be executed
	enteredNative                // it is done
	enteredYield                 // the coroutine has yielded
)

func (t *Thread) enterNative(f *Function, at, results int) entered {
	t.needStack(minStack)
	c := t.pushCall()
	*c = callInfo{function: f, at: at, base: at + 1, top: t.top + minStack, results: results}
	n := f.native(t)
	if n < 0 {
		return enteredYield
	}
	t.leave(t.top - n)
	return enteredNative
}

// callable puts the metamethod __call in front of what is called, and returns it.
func (t *Thread) callable(at int) *Function {
	f, ok := t.metamethod(t.stack[at], eventCall).AsFunction()
	if !ok {
		t.typeError(t.stack[at], at-t.current().base, "call")
	}
	t.needStack(1)
	copy(t.stack[at+1:t.top+1], t.stack[at:t.top])
	t.top++
	t.stack[at] = f.Value()
	return f
}

// pushCall makes room for the info of one more call.
func (t *Thread) pushCall() *callInfo {
	if t.level == len(t.calls)-1 {
		t.growCalls()
	}
	t.level++
	return &t.calls[t.level]
}

// growCalls doubles the room for calls. Beyond the limit there is some for error handlers.
func (t *Thread) growCalls() {
	if len(t.calls) > maxCalls {
		t.fail(errorInHandling)
	}
	t.setCalls(2 * len(t.calls))
	if len(t.calls) > maxCalls {
		t.runtimeError("stack overflow")
	}
}

func (t *Thread) setCalls(size int) {
	calls := make([]callInfo, size)
	copy(calls, t.calls)
	t.calls = calls
}

// moveVarargs moves the parameters of the function at a place of the stack above its
// variable arguments, and returns where they are then. Functions that may use the old
// table arg get it.
func (t *Thread) moveVarargs(p *proto, at int) (base int) {
	t.needStack(p.maxStack + p.parameters + 1)
	for t.top-at-1 < p.parameters {
		t.push(Nil)
	}
	args := t.stack[at+1 : t.top]
	base = t.top
	t.top += copy(t.stack[base:], args[:p.parameters])
	if p.isVararg&varargNeedsArg != 0 {
		extra := args[p.parameters:]
		table := NewTable(len(extra), 1)
		copy(table.array, extra)
		table.SetString("n", Int(len(extra)))
		t.push(table.Value())
	}
	clear(args[:p.parameters])
	return base
}

// leave ends a call whose results begin at first. It reports whether a fixed number of
// results was wanted.
func (t *Thread) leave(first int) (fixed bool) {
	c := t.current()
	t.level--
	to, wanted := c.at, c.results
	if wanted == multiple {
		t.top = to + copy(t.stack[to:], t.stack[first:t.top])
		return false
	}
	n := copy(t.stack[to:to+wanted], t.stack[first:t.top])
	clear(t.stack[to+n : to+wanted])
	t.top = to + wanted
	return true
}

// call calls the function at a place of the stack. Its results come to that place.
func (t *Thread) call(at, results int) {
	t.Count(callCost)
	t.depth++
	if t.depth >= maxDepth {
		if t.depth == maxDepth {
			t.runtimeError("C stack overflow")
		}
		if t.depth >= maxDepth+spareDepth {
			t.fail(errorInHandling)
		}
	}
	if t.enter(at, results) == enteredScript {
		t.execute(1)
	}
	t.depth--
}

// tryCall calls the function at a place of the stack. An error leaves the stack as it was
// below that place. Handler, if not nil, is called with an error where it happens.
func (t *Thread) tryCall(at, results int, handler Value) (err *thrown) {
	level, depth, oldHandler := t.level, t.depth, t.handler
	defer func() {
		t.handler = oldHandler
		if r := recover(); r != nil {
			if err, _ = r.(*thrown); err == nil {
				panic(r)
			}
			t.unwind(level, at)
			t.depth = depth
		}
	}()
	t.handler = handler
	t.call(at, results)
	return nil
}

// unwind ends all calls above a level, and the stack at top.
func (t *Thread) unwind(level, top int) {
	t.closeUpvalues(top)
	t.level, t.top = level, top
	if len(t.calls) > maxCalls && level+2 < maxCalls {
		t.setCalls(maxCalls)
	}
}

// callFromGo is State.Call.
func (t *Thread) callFromGo(f *Function, args []Value) ([]Value, error) {
	at := t.top
	t.push(f.Value())
	t.needStack(len(args))
	t.top += copy(t.stack[t.top:], args)
	t.state.countdown = t.state.hookEvery
	t.state.memory = memory{checkAt: t.state.memoryLimit / checksPerLimit}
	err := t.tryCall(at, multiple, t.state.handler)
	if err != nil {
		clear(t.stack[at:])
		t.top = at
		return nil, &Error{Value: err.value, Source: err.source, Line: err.line, Unhandled: err.unhandled, Hook: err.hook}
	}
	results := t.stack[at:t.top:t.top]
	t.forget()
	t.top = at
	return results, nil
}

// forget drops values above the top of the stack, which keep others from being freed, and
// the stack itself if it has become large.
func (t *Thread) forget() {
	if len(t.stack) > 1<<12 && t.top < 1<<10 {
		t.setStack(1 << 10)
	}
	clear(t.stack[t.top:])
}

// resume runs a coroutine with the arguments on its stack until it yields or ends. What it
// returns is on its stack then.
func (t *Thread) resume(args int) (err *thrown) {
	switch {
	case t.status != statusYield && (t.status != statusOK || t.level != 0):
		return t.refuse("cannot resume non-suspended coroutine")
	case t.depth >= maxDepth:
		return t.refuse("C stack overflow")
	}
	t.depth++
	t.baseDepth = t.depth
	t.handler = Nil
	defer func() {
		if r := recover(); r != nil {
			if err, _ = r.(*thrown); err == nil {
				panic(r)
			}
			t.status = statusError
			t.depth = t.baseDepth
		}
		t.depth--
	}()
	t.goOn(t.top - args)
	return nil
}

func (t *Thread) refuse(message string) *thrown {
	t.top = t.current().base
	return &thrown{value: String(message)}
}

// goOn begins a coroutine, or lets its yield return.
func (t *Thread) goOn(first int) {
	if t.status == statusOK {
		if t.enter(first-1, multiple) != enteredScript {
			return
		}
	} else {
		t.status = statusOK
		if t.leave(first) {
			t.top = t.current().top
		}
	}
	t.execute(t.level)
}

// yield ends a resume of the coroutine with results, which are on top of the stack.
func (t *Thread) yield(results int) int {
	if t.depth > t.baseDepth {
		t.runtimeError("attempt to yield across metamethod/C-call boundary")
	}
	t.current().base = t.top - results
	t.status = statusYield
	return -1
}

// findUpvalue is the open upvalue of a place of the stack.
func (t *Thread) findUpvalue(index int) *upvalue {
	i := len(t.open)
	for i > 0 && t.open[i-1].index >= index {
		if i--; t.open[i].index == index {
			return t.open[i]
		}
	}
	u := &upvalue{v: &t.stack[index], index: index}
	t.open = append(t.open, nil)
	copy(t.open[i+1:], t.open[i:])
	t.open[i] = u
	return u
}

// closeUpvalues gives upvalues at and above a place of the stack values of their own.
func (t *Thread) closeUpvalues(from int) {
	for n := len(t.open); n > 0 && t.open[n-1].index >= from; n-- {
		u := t.open[n-1]
		u.closed = *u.v
		u.v = &u.closed
		t.open[n-1] = nil
		t.open = t.open[:n-1]
	}
}
