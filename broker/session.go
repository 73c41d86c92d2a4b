package broker

import (
	"errors"
	"log/slog"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/alarm"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// A session is one client's connection: what it has sent, what it is doing and
// what it has set. It does no input or output. All of it is guarded by the
// broker's lock.
type session struct {
	broker       *Broker
	transport    transport.Conn
	id           int64
	requests     resp.Reader
	out          resp.Output // replies not yet handed to the transport
	outPeak      int         // the most bytes that out had when it was handed over
	pendingWrite bool        // it is in broker.dirty, since out is not empty or it closed

	protocol      int // 2 or 3
	user          *acl.User
	authenticated bool
	name          string
	db            *keyspace.DB
	command       *command.Command // the last one, for CLIENT LIST
	created, used int64            // nanoseconds since 1970

	netem          *netem      // the slow network between it and the client; nil: there is none
	waits          bool        // no command of it runs: it is blocked, or held
	caller         *session    // not nil in scripting.client: whose script it runs commands for
	later          []byte      // what came in while its script was running
	waiter         *waiter     // not nil while it is blocked
	blockedArgs    []byte      // arguments of the command that it is, or was last, blocked in: see appendArguments
	postponed      *postponed  // not nil while it is held
	timeoutAlarm   alarm.Alarm // when it has waited long enough
	idleAlarm      alarm.Alarm // when it may have been idle for too long
	softLimitAlarm alarm.Alarm // when it has had too much unread for too long
	deferredKeys   []readyKey  // keys to serve it from, once more of its input has been read

	transaction   transaction
	multiOrWatch  *Record // in strict mode: the last MULTI or WATCH
	subscriptions subscriptions
	tracking      trackingState
	monitors      bool // MONITOR
	replyMode     replyMode
	noEvict       bool // CLIENT NO-EVICT, which asks for nothing that the broker would do

	sleeps       bool // its replies wait for the end of the stall
	disconnected bool // the client has closed the connection, and commands of it are still held
	closing      bool // no more commands; closed once what is queued has been sent
	overLimit    bool // it is closing since it does not read: at once
	closed       bool // closed and forgotten
}

// receive is called by a link with what the client has sent.
func (b *Broker) receive(s *session, p []byte) {
	b.enter()
	s.Input(p)
	b.runInterception(b.leaveTo(s))
}

// Input takes what the client has sent and runs the commands in it. What follows
// a command that blocks is kept.
func (s *session) Input(p []byte) {
	if s.closing || s.closed {
		return
	}
	if s.broker.postponers&busy != 0 && s.netem == nil && s.isInScript() {
		s.later = append(s.later, p...)
		s.checkQueryLimit(s.requests.Buffered() + len(s.later))
		return
	}
	if s.netem == nil {
		s.readInput(p)
		return
	}
	s.netem.up.send(p)
	s.checkQueryLimit(s.requests.Buffered())
	s.receiveNetem()
}

// readInput is input behind a slow network, if there is one.
func (s *session) readInput(p []byte) {
	s.broker.stats.reads++
	s.broker.stats.bytesIn += int64(len(p))
	s.used = s.broker.keys.Now
	s.retryDeferred()
	if len(s.later) > 0 {
		s.takeLater()
	}
	s.requests.Feed(p)
	s.processInput()
}

// processInput runs the commands that have come in, until there are no more, one
// blocks or is held, or the connection is to be closed.
func (s *session) processInput() {
	defer s.recoverPanic()
	for !s.waits && !s.closing && !s.closed {
		args, err := s.requests.Next(!s.needsAuth())
		if errors.Is(err, resp.ErrIncomplete) {
			break
		}
		if err != nil {
			s.broker.log(slog.LevelInfo, "protocol error from client", "client", s.String(), "error", err)
			r := resp.ErrorReply("ERR " + err.Error())
			s.reply(&r)
			s.finish()
			return
		}
		if len(args) > 0 {
			s.process(args)
			if len(s.broker.ready) > 0 {
				s.broker.serveReadyKeys()
			}
		}
	}
	s.requests.Keep()
	n := s.requests.Buffered()
	if n > 0 {
		s.broker.stats.input.note(s.broker.keys.Now, n)
	}
	s.checkQueryLimit(n)
}

// checkQueryLimit gives a client up that has sent more than it may of what cannot be run
// yet: so many bytes, what its transaction holds, and a command that is kept.
func (s *session) checkQueryLimit(waiting int) {
	n := waiting + s.transaction.bytes + s.postponedBytes()
	if s.netem != nil {
		n += s.netem.up.inFlight
	}
	if n <= s.broker.options.MaxQuery || s.closed {
		return
	}
	s.broker.log(slog.LevelWarn, "client closed: it sent more than Options.MaxQuery", "client", s.String(), "bytes", n)
	s.Abort()
}

// reply queues a reply for the client.
func (s *session) reply(r *resp.Reply) {
	if s.closing || s.closed {
		return
	}
	if r.IsError() {
		s.broker.countError(r.Text)
	}
	if s.replyMode != 0 && s.replyMode.suppresses(r) {
		return
	}
	depth := s.broker.options.MaxDepth
	if r.Kind == resp.KindSequence {
		depth++ // which is no list
	}
	mark := s.out.Len()
	if !s.out.Add(r, s.protocol, depth) {
		s.out.Truncate(mark)
		instead := s.broker.tooDeep()
		s.reply(&instead)
		return
	}
	s.markPendingWrite()
	if s.out.Len() > outputCheckSize {
		s.checkOutputLimit()
	}
}

// tooDeep is what comes in the place of a reply in which lists are nested too deep.
func (b *Broker) tooDeep() resp.Reply {
	return resp.Errorf("ERR the reply has lists nested more than %d deep, the limit of Options.MaxDepth", b.options.MaxDepth)
}

// replyAt queues a reply for the client at a place of its output, see call.place.
func (s *session) replyAt(place int, r *resp.Reply) {
	from := s.out.Len()
	s.reply(r)
	if place == 0 || place > from || from > s.out.Len() {
		return
	}
	s.out.Swap(place-1, from)
}

// markPendingWrite makes the broker look after the session when the lock is released.
func (s *session) markPendingWrite() {
	if !s.pendingWrite {
		s.pendingWrite = true
		s.broker.pendingWrites = append(s.broker.pendingWrites, s)
	}
}

// finish closes the connection after what is queued has been sent.
func (s *session) finish() {
	s.closing = true
	s.markPendingWrite()
}

// Abort closes the connection at once, without sending what is queued.
func (s *session) Abort() {
	s.out = resp.Output{}
	s.close()
	s.transport.Abort()
}

// close forgets the session. To close the connection, too, is for the caller,
// unless the client has done so.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	if s.waiter != nil {
		if s.broker.observed {
			s.logUnblocked(Dropped, "")
		}
		s.waiter.leave()
	}
	if s.postponed != nil {
		s.postponed.forget()
	}
	s.checkStrictAtEnd()
	s.stopNetem()
	s.unwatch()
	s.unregister()
}

// unregister makes the broker forget a client that may still have commands to run.
func (s *session) unregister() {
	b := s.broker
	b.keys.Alarms.Clear(&s.idleAlarm)
	b.keys.Alarms.Clear(&s.softLimitAlarm)
	s.unsubscribeAll()
	s.stopMonitoring()
	b.tracking.forget(s)
	delete(b.sessions, s.id)
}

// flushOutput hands a session's output to its link. It reports whether the link has
// to be flushed.
func (s *session) flushOutput() (flush bool) {
	defer s.recoverPanic()
	s.pendingWrite = false
	if s.keepsOutput() {
		return false
	}
	if s.netem != nil {
		flush = s.flushNetem()
	} else if n := s.out.Len(); n > 0 {
		s.broker.stats.writes++
		s.broker.stats.bytesOut += int64(n)
		s.broker.stats.output.note(s.broker.keys.Now, n)
		s.outPeak = max(s.outPeak, n)
		flush = s.transport.Deliver(&s.out)
		s.checkOutputLimit()
	}
	if s.overLimit {
		s.Abort()
		return false
	}
	s.out.Shrink()
	if s.closing && !s.closed && !s.netem.downInFlight() {
		s.close()
		s.transport.Finish()
	}
	return flush
}

// keepsOutput reports whether the client is sent nothing for now: it sleeps, or its script is
// running.
func (s *session) keepsOutput() bool { return s.sleeps || s.isInScript() }

// outputCheckSize is how many bytes of one batch are checked before the end of the
// batch.
const outputCheckSize = 64 << 10

// checkOutputLimit gives a client up that leaves more unread than it may. Nothing more
// is queued for it, and it is closed at the end of the batch.
func (s *session) checkOutputLimit() {
	limit := s.outputLimit()
	if limit.Hard <= 0 && limit.Soft <= 0 || s.closed || s.overLimit {
		return
	}
	n := s.unread()
	switch {
	case limit.Hard > 0 && n > limit.Hard:
		s.closeOverLimit(n)
	case limit.Soft <= 0 || n <= limit.Soft:
		s.broker.keys.Alarms.Clear(&s.softLimitAlarm)
	case !s.softLimitAlarm.IsSet():
		s.broker.keys.Alarms.Set(&s.softLimitAlarm, (*softLimit)(s), s.broker.keys.Now+int64(limit.SoftFor))
	}
}

// unread is the number of bytes that the client has not taken yet.
func (s *session) unread() int {
	n := s.out.Len() + s.transport.Backlog()
	if s.netem != nil {
		n += s.netem.down.inFlight
	}
	return n
}

func (s *session) closeOverLimit(unread int) {
	s.broker.log(slog.LevelWarn, "client closed: it does not read its replies",
		"client", s.String(), "bytes", unread, "limit", s.outputLimit())
	s.overLimit, s.closing = true, true
	s.out = resp.Output{}
	s.markPendingWrite()
}

func (s *session) outputLimit() *PendingLimit {
	switch {
	case s.needsAuth():
		return &unauthenticatedLimit
	case s.subscriptions.any():
		return &s.broker.options.PendingPubSub
	}
	return &s.broker.options.Pending
}

// unauthenticatedLimit holds for a client that has yet to give the password: for what it
// leaves unread nothing is to be kept but a buffer.
var unauthenticatedLimit = PendingLimit{Hard: 16 << 10}

// A softLimit is a session that had more unread than its soft limit some time ago.
type softLimit session

// Due gives the client up if it is still over its soft limit.
func (l *softLimit) Due() {
	s := (*session)(l)
	if n := s.unread(); n > s.outputLimit().Soft && s.outputLimit().Soft > 0 {
		s.closeOverLimit(n)
	}
}

// An idleTimeout is a session that may have been idle for too long.
type idleTimeout session

// setIdleAlarm makes the client be closed when it has been idle for too long.
func (s *session) setIdleAlarm() {
	b := s.broker
	if b.options.IdleTimeout == 0 {
		b.keys.Alarms.Clear(&s.idleAlarm)
		return
	}
	b.keys.Alarms.Set(&s.idleAlarm, (*idleTimeout)(s), s.used+int64(b.options.IdleTimeout))
}

// Due closes an idle client. One that waits for something is not idle, and one that
// was active meanwhile is looked at again later.
func (i *idleTimeout) Due() {
	s := (*session)(i)
	b := s.broker
	switch {
	case s.closing || s.closed:
	case s.waits || s.monitors || s.subscriptions.any():
		b.keys.Alarms.Set(&s.idleAlarm, i, b.keys.Now+int64(b.options.IdleTimeout))
	case s.used+int64(b.options.IdleTimeout) > b.keys.Now:
		s.setIdleAlarm()
	default:
		b.log(slog.LevelDebug, "client closed: it was idle", "client", s.String())
		s.Abort()
	}
}

// reset takes everything back that the client has set, as RESET does.
func (s *session) reset() {
	s.stopMonitoring()
	s.stopTracking()
	s.endTransaction()
	s.unsubscribeAll()
	s.replyMode &= skipping // which ends with this command
	s.rename("")
	s.protocol = 2
	s.db = s.broker.keys.DBs[0]
	s.setUser(s.broker.acl.defaultUser)
}

// blocked reports whether the client counts as blocked: it waits for a key, or is
// paused.
func (s *session) blocked() bool {
	return s.waiter != nil || s.postponed != nil && s.postponed.why == paused && !s.postponed.released
}
