package broker

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// A client is held when a command of it may not run yet, although it awaits no key:
// the broker stalls, clients are paused, a fault delays the command, or a function is
// asked what to do with it. The command is kept, what the client sends behind it is not
// looked at, and when it is released it is checked as if it had come just then. Clients
// that are released together go on in the order in which they were held.

// A hold keeps a command that may not run yet.
type hold struct {
	session  *session
	why      holdReason
	args     [][]byte // copied
	bytes    int      // in args
	journey  journey
	number   int64 // of holds, counted since the broker was made
	alarm    alarm // at the end of which it is released, if it is set
	released bool  // the session goes on when it comes to its turn in Broker.resumed
}

type holdReason int

const (
	paused    holdReason = iota // by CLIENT PAUSE
	stalled                     // by a stall of the broker
	delayed                     // by a fault
	undecided                   // until a function has decided
)

// holds are all commands that are kept.
type holds struct {
	all  map[*hold]struct{}
	last int64 // number of the last one
}

// gates say what may keep commands from running. While it is 0, that costs a command
// one look.
type gates uint8

const (
	pausing  gates = 1 << iota // clients are paused
	stalling                   // the broker stalls
	ruled                      // there are rules about commands
)

// A journey is how far a command has come among the rules.
type journey struct {
	rule int64 // the last one that it has met
	fate fate  // what that one has still in store for it
}

// A fate is what a rule does to a command, in this order.
type fate struct {
	stall, delay time.Duration
	function     func(*Command) Verdict
	err          string
	answer       *reply
	drop         Drop
}

// pass lets a command through the gates and runs it, unless it is kept or its fate is
// another.
func (s *session) pass(cmd *command, args [][]byte, j journey) {
	b := s.broker
	switch {
	case cmd.flags&unhindered != 0:
		s.carryOut(cmd, args)
		return
	case b.gates&stalling != 0:
		s.hold(stalled, args, j)
		return
	case b.gates&pausing != 0 && !s.monitors && b.pause.postpones(s, cmd):
		s.hold(paused, args, j)
		return
	}
	for {
		f := &j.fate
		switch {
		case f.stall > 0:
			b.stallFor(f.stall)
			f.stall = 0
			s.hold(stalled, args, j)
			return
		case f.delay > 0:
			until := b.now + int64(min(f.delay, time.Duration(math.MaxInt64-b.now)))
			f.delay = 0
			h := s.hold(delayed, args, j)
			b.alarms.set(&h.alarm, h, until)
			return
		case f.function != nil:
			ask := f.function
			f.function = nil
			s.ask(ask, cmd, s.hold(undecided, args, j))
			return
		case s.meet(cmd, args, f):
			s.over(cmd)
			return
		case f.drop != 0:
			mark := len(s.out)
			if s.carryOut(cmd, args); s.waiter != nil {
				s.waiter.drop = f.drop
			} else if !s.closed {
				s.drop(mark, f.drop)
				s.broker.noteDropped()
			}
			return
		case !s.meetNext(cmd, args, &j):
			s.carryOut(cmd, args)
			return
		}
	}
}

// meetNext makes a command meet the next rule that fires. It reports false if there is
// none.
func (s *session) meetNext(cmd *command, args [][]byte, j *journey) bool {
	for _, r := range s.broker.rules {
		if r.id > j.rule && r.isAbout(s, cmd, args) && r.fires() {
			*j = journey{r.id, r.fate()}
			return true
		}
	}
	return false
}

// hold keeps a command, whose arguments are copied.
func (s *session) hold(why holdReason, args [][]byte, j journey) *hold {
	b := s.broker
	b.holds.last++
	h := &hold{session: s, why: why, journey: j, number: b.holds.last}
	h.args, h.bytes = copyArgs(args)
	b.holds.all[h] = struct{}{}
	s.held, s.waits = h, true
	if why == paused {
		b.countBlocked(1)
	}
	return h
}

// due releases what was to be kept for some time.
func (h *hold) due(*Broker) { h.release() }

// release lets the client go on, when it comes to its turn.
func (h *hold) release() {
	h.forget()
	h.released = true
	h.session.broker.resumed = append(h.session.broker.resumed, h.session)
}

// forget drops what is kept, unless it was released already.
func (h *hold) forget() {
	b := h.session.broker
	if _, is := b.holds.all[h]; !is {
		return
	}
	delete(b.holds.all, h)
	b.alarms.clear(&h.alarm)
	if h.why == paused {
		b.countBlocked(-1)
	}
}

// release lets all go on that wait for a reason, in the order in which they were
// held.
func (b *Broker) release(wanted func(*hold) bool) {
	for _, h := range slices.SortedFunc(maps.Keys(b.holds.all), func(x, y *hold) int { return cmp.Compare(x.number, y.number) }) {
		if wanted(h) {
			h.release()
		}
	}
}

// resume goes on with a client that waited: first with the command that was kept,
// then with what it sent behind it.
func (s *session) resume() {
	defer s.contain()
	s.receiveLine()
	if s.closing || s.closed {
		return
	}
	if h := s.held; h != nil {
		if !h.released {
			return // it is held again
		}
		s.held, s.waits = nil, false
		if h.why == paused && s.link.peer() == gone {
			s.abort()
			return
		}
		if cmd := s.check(h.args); cmd != nil {
			s.pass(cmd, h.args, h.journey)
		}
		s.broker.serveReady()
	}
	s.proceed()
	s.endIfGone()
}

// endIfGone closes the session of a client that has gone and has nothing more to do,
// or waits for what it would not receive.
func (s *session) endIfGone() {
	if s.gone && s.held == nil && !s.line.sending() {
		s.close()
	}
}

// hangUp ends the session of a client that has gone. What it sent before, and what
// only the broker itself has kept from running, is done nevertheless, as it would be
// by a Redis that is slow; what CLIENT PAUSE has postponed is not.
func (s *session) hangUp() {
	if s.closed || s.gone {
		return
	}
	if (s.held == nil || s.held.why == paused) && !s.line.sending() {
		s.close()
		return
	}
	s.gone = true
	s.withdraw()
}

// copyArgs returns a copy of a command's arguments, and how many bytes they have.
func copyArgs(args [][]byte) (copied [][]byte, size int) {
	for _, arg := range args {
		size += len(arg)
	}
	copied = make([][]byte, len(args))
	bytes := make([]byte, 0, size)
	for i, arg := range args {
		from := len(bytes)
		bytes = append(bytes, arg...)
		copied[i] = bytes[from:len(bytes):len(bytes)]
	}
	return copied, size
}
