package lua

func (s *State) openCoroutine() {
	s.globals.SetString("coroutine", s.NewLibrary(Library{
		{"create", coCreate},
		{"resume", coResume},
		{"running", coRunning},
		{"status", coStatus},
		{"wrap", coWrap},
		{"yield", coYield},
	}).Value())
}

// newCoroutine makes one that will run the first argument.
func (t *Thread) newCoroutine() *Thread {
	f, ok := t.Arg(1).AsFunction()
	if !ok || f.proto == nil {
		t.ArgError(1, "Lua function expected")
	}
	co := t.state.newThread()
	co.env = t.env
	co.push(f.Value())
	return co
}

func coCreate(t *Thread) int { return t.Return(t.newCoroutine().Value()) }

func coWrap(t *Thread) int {
	co := t.newCoroutine()
	return t.Return(t.state.NewFunction(func(t *Thread) int {
		n, err := t.resumeOther(co, t.NArgs())
		if err == nil {
			return n
		}
		v := err.value
		if s, ok := v.ToString(); ok {
			v = String(t.Where(1) + s)
		}
		t.Raise(v)
		return 0
	}).Value())
}

// checkCoroutine is an argument that must be a coroutine.
func (t *Thread) checkCoroutine(n int) *Thread {
	co, ok := t.Arg(n).AsThread()
	if !ok {
		t.ArgError(n, "coroutine expected")
	}
	return co
}

func coResume(t *Thread) int {
	co := t.checkCoroutine(1)
	args := t.NArgs() - 1
	n, err := t.resumeOther(co, args)
	if err != nil {
		return t.Return(Bool(false), err.value)
	}
	return t.withTrue(t.top - n)
}

// resumeOther moves the last arguments to a coroutine and runs it. Its results are on the
// own stack then.
func (t *Thread) resumeOther(co *Thread, args int) (results int, err *thrown) {
	state := t.stateOf(co)
	if !co.hasRoom(args) {
		t.Errorf("too many arguments to resume")
	}
	if state != "suspended" {
		return 0, &thrown{value: String("cannot resume " + state + " coroutine")}
	}
	t.moveTo(co, args)
	co.depth = t.depth
	if err := co.resume(args); err != nil {
		t.stopIfEnded(err)
		return 0, err
	}
	n := co.NArgs()
	if !t.hasRoom(n + 1) {
		t.Errorf("too many results to resume")
	}
	co.moveTo(t, n)
	return n, nil
}

// moveTo moves the last values to the stack of another thread.
func (t *Thread) moveTo(to *Thread, n int) {
	to.needStack(n)
	t.top -= n
	to.top += copy(to.stack[to.top:], t.stack[t.top:t.top+n])
}

// stateOf is the state of a coroutine, as the one that runs sees it.
func (t *Thread) stateOf(co *Thread) string {
	switch {
	case t == co:
		return "running"
	case co.status == statusYield:
		return "suspended"
	case co.status == statusError:
		return "dead"
	case co.level > 0:
		return "normal" // it has resumed another
	case co.NArgs() == 0:
		return "dead"
	}
	return "suspended"
}

func coStatus(t *Thread) int { return t.Return(String(t.stateOf(t.checkCoroutine(1)))) }

func coRunning(t *Thread) int {
	if t == t.state.main {
		return t.Return(Nil)
	}
	return t.Return(t.Value())
}

func coYield(t *Thread) int { return t.yield(t.NArgs()) }
