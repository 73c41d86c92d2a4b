package broker

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// A client is held when a command of it may not run yet, although it awaits no key:
// the broker stalls, clients are paused, a fault delays the command, or a function is
// asked what to do with it. The command is kept, what the client sends behind it is not
// looked at, and when it is released it is checked as if it had come just then. Clients
// that are released together go on in the order in which they were held.

// A postponed keeps a command that may not run yet.
type postponed struct {
	session  *session
	why      postponeReason
	args     [][]byte // copied
	bytes    int      // in args
	cursor   ruleCursor
	number   int64       // of holds, counted since the broker was made
	alarm    alarm.Alarm // at the end of which it is released, if it is set
	released bool        // the session goes on when it comes to its turn in Broker.resumed
}

type postponeReason int

const (
	paused    postponeReason = iota // by CLIENT PAUSE
	stalled                         // by a stall of the broker
	delayed                         // by a fault
	undecided                       // until a function has decided
)

// postponements are all commands that are kept.
type postponements struct {
	all  map[*postponed]struct{}
	last int64 // number of the last one
}

// postponers say what may keep commands from running. While it is 0, that costs a command
// one look.
type postponers uint8

const (
	pausing  postponers = 1 << iota // clients are paused
	stalling                        // the broker stalls
	ruled                           // there are rules about commands
)

// A ruleCursor is how far a command has come among the rules.
type ruleCursor struct {
	rule   int64       // the last one that it has met
	action faultAction // what that one has still in store for it
}

// A faultAction is what a rule does to a command, in this order.
type faultAction struct {
	stall, delay time.Duration
	function     func(*Command) Verdict
	err          string
	answer       *resp.Reply
	drop         Drop
}

// admit lets a command through the gates and runs it, unless it is kept or its fate is
// another.
func (s *session) admit(cmd *command.Command, args [][]byte, j ruleCursor) {
	b := s.broker
	switch {
	case cmd.Flags&command.Unhindered != 0:
		s.queueOrCall(cmd, args)
		return
	case b.postponers&stalling != 0:
		s.postpone(stalled, args, j)
		return
	case b.postponers&pausing != 0 && !s.monitors && b.pause.postpones(s, cmd):
		s.postpone(paused, args, j)
		return
	}
	for {
		f := &j.action
		switch {
		case f.stall > 0:
			b.stallFor(f.stall)
			f.stall = 0
			s.postpone(stalled, args, j)
			return
		case f.delay > 0:
			until := b.keys.Now + int64(min(f.delay, time.Duration(math.MaxInt64-b.keys.Now)))
			f.delay = 0
			h := s.postpone(delayed, args, j)
			b.keys.Alarms.Set(&h.alarm, h, until)
			return
		case f.function != nil:
			ask := f.function
			f.function = nil
			s.intercept(ask, cmd, s.postpone(undecided, args, j))
			return
		case s.applyFault(cmd, args, f):
			s.commandDone(cmd)
			return
		case f.drop != 0:
			mark := len(s.out)
			if s.queueOrCall(cmd, args); s.waiter != nil {
				s.waiter.drop = f.drop
			} else if !s.closed {
				s.drop(mark, f.drop)
				s.broker.noteDropped()
			}
			return
		case !s.applyNextRule(cmd, args, &j):
			s.queueOrCall(cmd, args)
			return
		}
	}
}

// applyNextRule makes a command meet the next rule that fires. It reports false if there is
// none.
func (s *session) applyNextRule(cmd *command.Command, args [][]byte, j *ruleCursor) bool {
	for _, r := range s.broker.rules {
		if r.id > j.rule && r.isAbout(s, cmd, args) && r.fires() {
			*j = ruleCursor{r.id, r.action()}
			return true
		}
	}
	return false
}

// postpone keeps a command, whose arguments are copied.
func (s *session) postpone(why postponeReason, args [][]byte, j ruleCursor) *postponed {
	b := s.broker
	b.postponements.last++
	h := &postponed{session: s, why: why, cursor: j, number: b.postponements.last}
	h.args, h.bytes = copyArgs(args)
	b.postponements.all[h] = struct{}{}
	s.postponed, s.waits = h, true
	if why == paused {
		b.countBlocked(1)
	}
	return h
}

// Due releases what was to be kept for some time.
func (h *postponed) Due() { h.release() }

// release lets the client go on, when it comes to its turn.
func (h *postponed) release() {
	h.forget()
	h.released = true
	h.session.broker.resumed = append(h.session.broker.resumed, h.session)
}

// forget drops what is kept, unless it was released already.
func (h *postponed) forget() {
	b := h.session.broker
	if _, is := b.postponements.all[h]; !is {
		return
	}
	delete(b.postponements.all, h)
	b.keys.Alarms.Clear(&h.alarm)
	if h.why == paused {
		b.countBlocked(-1)
	}
}

// release lets all go on that wait for a reason, in the order in which they were
// held.
func (b *Broker) release(wanted func(*postponed) bool) {
	for _, h := range slices.SortedFunc(maps.Keys(b.postponements.all), func(x, y *postponed) int { return cmp.Compare(x.number, y.number) }) {
		if wanted(h) {
			h.release()
		}
	}
}

// resume goes on with a client that waited: first with the command that was kept,
// then with what it sent behind it.
func (s *session) resume() {
	defer s.recoverPanic()
	s.receiveNetem()
	if s.closing || s.closed {
		return
	}
	if h := s.postponed; h != nil {
		if !h.released {
			return // it is held again
		}
		s.postponed, s.waits = nil, false
		if h.why == paused && s.transport.peer() == gone {
			s.abort()
			return
		}
		if cmd := s.check(h.args); cmd != nil {
			s.admit(cmd, h.args, h.cursor)
		}
		s.broker.serveReadyKeys()
	}
	s.proceed()
	s.endIfGone()
}

// endIfGone closes the session of a client that has gone and has nothing more to do,
// or waits for what it would not receive.
func (s *session) endIfGone() {
	if s.gone && s.postponed == nil && !s.netem.sending() {
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
	if (s.postponed == nil || s.postponed.why == paused) && !s.netem.sending() {
		s.close()
		return
	}
	s.gone = true
	s.unregister()
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
