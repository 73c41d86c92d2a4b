package broker

import (
	"cmp"
	"maps"
	"slices"
)

// A client is held when a command of it may not run yet, although it awaits no key:
// the broker stalls, or clients are paused. The command is kept, what
// the client sends behind it is not looked at, and when it is released it is looked
// at as if it had come just then. Clients that are released together go on in the
// order in which they were held.

// A hold keeps a command that may not run yet.
type hold struct {
	session  *session
	why      holdReason
	args     [][]byte // copied
	bytes    int      // in args
	number   int64    // of holds, counted since the broker was made
	alarm    alarm    // at the end of which it is released, if it is set
	released bool     // the session goes on when it comes to its turn in Broker.resumed
}

type holdReason int

const (
	paused  holdReason = iota // by CLIENT PAUSE
	stalled                   // by a stall of the broker
)

// holds are all commands that are kept.
type holds struct {
	all  map[*hold]struct{}
	last int64 // number of the last one
}

// A gate lets commands pass or not. While all are open, a command costs one look at
// broker.gates.
type gates uint8

const (
	pausing  gates = 1 << iota // clients are paused
	stalling                   // the broker stalls
)

// admit reports whether a command may go on. Otherwise it is kept.
func (s *session) admit(cmd *command, args [][]byte) bool {
	b := s.broker
	switch {
	case cmd.flags&unhindered != 0:
	case b.gates&stalling != 0:
		s.hold(stalled, args)
		return false
	case b.gates&pausing != 0 && !s.monitors && b.pause.postpones(s, cmd):
		s.hold(paused, args)
		return false
	}
	return true
}

// hold keeps a command, whose arguments are copied.
func (s *session) hold(why holdReason, args [][]byte) *hold {
	b := s.broker
	b.holds.last++
	h := &hold{session: s, why: why, number: b.holds.last}
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
		s.execute(h.args)
		s.broker.serveReady()
	}
	s.proceed()
	if s.gone && s.held == nil { // it has nothing more to do, or waits for what it would not receive
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
	if s.held == nil || s.held.why == paused {
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
