package broker

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// A command is postponed if it may not run yet: the broker stalls, clients are paused, a
// fault delays the command, or a function that intercepts it is running. The client's later
// commands wait. When the command is released it is checked as if it had just been
// received. Commands that are released together run in the order in which they were
// postponed.

// A postponed is a postponed command.
type postponed struct {
	session  *session
	why      postponeReason
	args     [][]byte // copied
	bytes    int      // in args
	cursor   ruleCursor
	number   int64       // of postponed commands, in order
	alarm    alarm.Alarm // when it is released, if set
	released bool        // its session is in Broker.resumed
}

type postponeReason int

const (
	paused       postponeReason = iota // CLIENT PAUSE
	stalled                            // the broker stalls
	delayed                            // a fault delays it
	intercepting                       // a function decides about it
)

// postponements are all postponed commands.
type postponements struct {
	all  map[*postponed]struct{}
	last int64 // number of the last one
}

// postponers are the reasons to postpone commands. While they are 0, the check is one
// comparison per command.
type postponers uint8

const (
	pausing  postponers = 1 << iota // clients are paused
	stalling                        // the broker stalls
	hasRules                        // there are rules about commands
	busy                            // a script lets others in
)

// A ruleCursor says which rules have been applied to a command.
type ruleCursor struct {
	rule   int64       // the last rule that fired
	action faultAction // the rest of its action
}

// A faultAction is what a rule does to a command, in this order.
type faultAction struct {
	stall, delay time.Duration
	function     func(*Command) Verdict
	err          string
	answer       *resp.Reply
	drop         Drop
}

// admit runs a command, unless a stall, a pause or a rule postpones, answers or drops it.
func (s *session) admit(cmd *command.Command, args [][]byte, j ruleCursor) {
	b := s.broker
	switch {
	case b.isBusy() && cmd.Flags&command.AllowBusy == 0:
		r := b.scripting.running.busyReply()
		s.rejectCommand(cmd, args, &r)
		s.commandDone(cmd)
		return
	case cmd.Flags&command.NeverPostponed != 0:
		s.queueOrCall(cmd, args)
		return
	case b.isBusy(): // what may run then is not held up: the end of the script may depend on it
	case b.postponers&stalling != 0:
		s.postpone(stalled, args, j)
		return
	case b.postponers&pausing != 0 && !s.monitors && b.pause.postpones(s, cmd, args):
		s.postpone(paused, args, j)
		return
	}
	for {
		f := &j.action
		if b.isBusy() {
			f.stall, f.delay, f.function = 0, 0, nil
		}
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
			s.intercept(ask, cmd, s.postpone(intercepting, args, j))
			return
		case s.applyFault(cmd, args, f):
			s.commandDone(cmd)
			return
		case f.drop != 0:
			mark := s.out.Len()
			if s.queueOrCall(cmd, args); s.waiter != nil {
				s.waiter.drop = f.drop
			} else if !s.closed {
				s.drop(mark, f.drop)
				s.broker.logDropped()
			}
			return
		case !s.applyNextRule(cmd, args, &j):
			s.queueOrCall(cmd, args)
			return
		}
	}
}

// applyNextRule moves the cursor to the next rule that fires. It reports false if there is
// none.
func (s *session) applyNextRule(cmd *command.Command, args [][]byte, j *ruleCursor) bool {
	for _, r := range s.broker.rules {
		if r.id > j.rule && r.matches(s, cmd, args) && r.fires() {
			*j = ruleCursor{r.id, r.action()}
			return true
		}
	}
	return false
}

// postpone postpones a command, with a copy of its arguments.
func (s *session) postpone(why postponeReason, args [][]byte, j ruleCursor) *postponed {
	b := s.broker
	b.postponements.last++
	h := &postponed{session: s, why: why, cursor: j, number: b.postponements.last}
	h.args, h.bytes = s.requests.CopyArgs(args)
	b.postponements.all[h] = struct{}{}
	s.postponed, s.waits = h, true
	if why == paused {
		b.countBlocked(1)
	}
	return h
}

// Due releases a command at the end of its delay.
func (h *postponed) Due() { h.release() }

// release schedules the command to run.
func (h *postponed) release() {
	h.forget()
	h.released = true
	h.session.broker.resumed = append(h.session.broker.resumed, h.session)
}

// forget removes a command that has not been released.
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

// release releases the wanted commands, in order.
func (b *Broker) release(wanted func(*postponed) bool) {
	for _, h := range slices.SortedFunc(maps.Keys(b.postponements.all), func(x, y *postponed) int { return cmp.Compare(x.number, y.number) }) {
		if wanted(h) {
			h.release()
		}
	}
}

// resume runs the command of a session that was postponed, and then its further input.
func (s *session) resume() {
	defer s.recoverPanic()
	s.takeLater()
	s.receiveNetem()
	if s.closing || s.closed {
		return
	}
	if h := s.postponed; h != nil {
		if !h.released {
			return // postponed again
		}
		s.postponed, s.waits = nil, false
		if h.why == paused && s.transport.Peer() == transport.Gone {
			s.Abort()
			return
		}
		if cmd := s.check(h.args); cmd != nil {
			s.requests.Adopt(h.args)
			s.admit(cmd, h.args, h.cursor)
		}
		s.broker.serveReadyKeys()
	}
	s.processInput()
	s.closeIfDisconnected()
}

// closeIfDisconnected closes the session of a disconnected client that has nothing left to
// run.
func (s *session) closeIfDisconnected() {
	if s.disconnected && s.postponed == nil && !s.netem.upInFlight() && !s.isInScript() {
		s.close()
	}
}

// HangUp ends the session of a client that has gone. What it sent before, and what
// only the broker itself has kept from running, is done nevertheless, as it would be
// by a Redis that is slow; what CLIENT PAUSE has postponed is not.
func (s *session) HangUp() {
	if s.closed || s.disconnected {
		return
	}
	if (s.postponed == nil || s.postponed.why == paused) && !s.netem.upInFlight() && !s.isInScript() {
		s.close()
		return
	}
	s.disconnected = true
	s.unregister()
}

// CLIENT PAUSE postpones all commands, or those that write. Blocked clients time out
// meanwhile. Keys expire, but this is signalled at the end.

// A pause is that of CLIENT PAUSE.
type pause struct {
	broker *Broker
	mode   pauseMode
	alarm  alarm.Alarm // its end

	// expired are the keys that have expired since.
	expired []readyKey
}

type pauseMode int

const (
	notPaused pauseMode = iota
	writesPaused
	allPaused
)

// expiredIn is how many keys of a database have expired in the pause: Redis counts them until it
// ends.
func (p *pause) expiredIn(d *keyspace.DB) (n int) {
	for _, k := range p.expired {
		if k.db == d && d.Get(k.key) == nil {
			n++
		}
	}
	return n
}

// postpones reports whether the pause postpones a command.
func (p *pause) postpones(s *session, cmd *command.Command, args [][]byte) bool {
	return p.mode == allPaused || s.hasFlag(cmd, args, command.Write|command.MayReplicate)
}

// pauseClients starts a pause. One in force is neither shortened nor weakened.
func (b *Broker) pauseClients(mode pauseMode, until int64) {
	if b.pause.mode == notPaused && until <= b.keys.Now {
		return
	}
	b.postponers |= pausing
	b.pause.mode = max(b.pause.mode, mode)
	if !b.pause.alarm.IsSet() || until > b.pause.alarm.At {
		b.keys.Alarms.Set(&b.pause.alarm, &b.pause, until)
	}
}

// Due ends the pause.
func (p *pause) Due() { p.broker.unpauseClients() }

func (b *Broker) unpauseClients() {
	b.postponers &^= pausing
	b.keys.Alarms.Clear(&b.pause.alarm)
	expired := b.pause.expired
	b.pause = pause{broker: b}
	for _, k := range expired {
		b.tellExpired(k.db, k.key)
	}
	b.release(func(h *postponed) bool { return h.why == paused })
}

func clientPause(c *call, args [][]byte) resp.Reply {
	mode := allPaused
	switch {
	case len(args) > 4:
		return tooManyArguments(args)
	case len(args) == 3 || resp.Is(args[3], "ALL"):
	case resp.Is(args[3], "WRITE"):
		mode = writesPaused
	default:
		return resp.ErrorReply("ERR CLIENT PAUSE mode must be WRITE or ALL")
	}
	ms, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.ErrorReply("ERR timeout is not an integer or out of range")
	case ms < 0:
		return resp.ErrorReply("ERR timeout is negative")
	case ms > math.MaxInt64-c.Milliseconds():
		ms = 0 // in Redis the sum overflows, and the end is in the past
	}
	until := int64(math.MaxInt64)
	if ms < (until-c.keys.Now)/int64(time.Millisecond) {
		until = c.keys.Now + ms*int64(time.Millisecond)
	}
	c.pauseClients(mode, until)
	return resp.OK
}

func clientUnpause(c *call, _ [][]byte) resp.Reply {
	c.unpauseClients()
	return resp.OK
}

// A stall stops the broker: no command runs, no key expires and no client times out, as if
// its process were stopped. At the end, by the broker's clock, the timers that are due run
// in order, and then the commands received meanwhile.
type stall struct {
	until    int64      // 0: there is none
	sleepers []*session // that called DEBUG SLEEP: their replies are sent at the end
}

// Stall stops the broker for a time by its clock, as DEBUG SLEEP does: no command runs, no
// key expires and no blocked client times out. Then the timers that are due run in order,
// and the commands received meanwhile in the order of their arrival, also those of clients
// that have disconnected since. Methods of the broker work during a stall. A longer stall in
// force is not shortened; d <= 0 does nothing. See also [Broker.Resume].
func (b *Broker) Stall(d time.Duration) {
	b.enterIdle()
	b.stallFor(d)
	b.leave()
}

// Resume ends a stall.
func (b *Broker) Resume() {
	b.enterIdle()
	if b.stall.until != 0 {
		b.fireAlarms(b.keys.Now)
		b.endStall()
	}
	b.leave()
}

func (b *Broker) stallFor(d time.Duration) {
	if d <= 0 {
		return
	}
	b.postponers |= stalling
	until := int64(math.MaxInt64)
	if int64(d) < until-b.keys.Now {
		until = b.keys.Now + int64(d)
	}
	b.stall.until = max(b.stall.until, until)
}

func (b *Broker) endStall() {
	b.postponers &^= stalling
	for _, s := range b.stall.sleepers {
		s.sleeps = false
		s.markPendingWrite()
	}
	b.stall = stall{}
	b.release(func(h *postponed) bool { return h.why == stalled })
}

// sleep stalls the broker and sends the client's replies at the end, this command's
// included.
func (c *call) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	c.slept += int64(d)
	c.stallFor(d)
	if s := c.session; !s.sleeps {
		s.sleeps = true
		c.stall.sleepers = append(c.stall.sleepers, s)
	}
}
