package broker

import (
	"log/slog"
	"runtime"
	"time"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/script"
)

// Scripts run under the lock, like any command. One that runs for longer than
// busy-reply-threshold releases the lock at intervals: other clients are then answered BUSY,
// except for commands that may run during a script, such as SCRIPT KILL. Until the script
// ends no key expires and no blocked client is served.

// scripting is the engine's side of it.
type scripting struct {
	cache     *script.Cache     // of EVAL; nil before the first script
	functions *script.Functions // nil before the first library
	client    *session          // that runs the commands of scripts

	// running is the script that runs, or nil. As long as it does, its goroutine has the
	// lock, but for when it lets others in.
	running *scriptRun
}

// A scriptRun is one run of a script.
type scriptRun struct {
	session  *session // that called it
	script   *script.Script
	args     [][]byte // of its caller, and
	keys     [][]byte // those that are named as keys
	readOnly bool
	fullFrom bool // the data took more than they may when it began
	stopwatch
	wrote  bool
	slow   bool            // it lets others in
	leaves bool            // it is about to
	logged <-chan struct{} // closed when what was logged meanwhile has been written
	killed bool            // by SCRIPT KILL
	ended  chan struct{}
}

// scriptCache makes the cache of scripts when it is needed first.
func (b *Broker) scriptCache() *script.Cache {
	if b.scripting.cache == nil {
		b.scripting.cache = script.NewCache(scriptHost{b})
	}
	if b.scripting.client == nil {
		b.scripting.client = b.newInternalClient(b.keys.DBs[0])
	}
	return b.scripting.cache
}

// functions is the same for the libraries of functions.
func (b *Broker) functions() *script.Functions {
	if b.scripting.functions == nil {
		b.scripting.functions = script.NewFunctions(b.scriptCache())
	}
	return b.scripting.functions
}

// scriptUsage is how many scripts and functions there are, and the bytes of their texts.
type scriptUsage struct{ scripts, scriptBytes, libraries, functions, libraryBytes int }

func (s *scripting) usage() (u scriptUsage) {
	if s.cache != nil {
		u.scripts, u.scriptBytes = s.cache.Len(), s.cache.Size()
	}
	if s.functions != nil {
		u.libraries, u.functions = s.functions.Len()
		u.libraryBytes = s.functions.Size()
	}
	return u
}

// runScript runs a script for a client that has sent args, with the keys and arguments that
// stand behind their number.
func (b *Broker) runScript(s *session, what *script.Script, args [][]byte, keys int64, readOnly bool) resp.Reply {
	if err := b.refuseScript(what, readOnly); err != nil {
		return *err
	}
	run := &scriptRun{
		session: s, script: what, args: args, keys: args[3 : 3+keys], readOnly: readOnly || what.Flags&script.NoWrites != 0,
		fullFrom: b.options.MaxMemory > 0 && b.keys.IsFull(), stopwatch: b.newStopwatch(), ended: make(chan struct{}),
	}
	b.scripting.client.standFor(s)
	b.scripting.running = run
	outer, finished := b.running, false
	defer func() {
		b.running = outer
		b.endScript(run, finished)
	}()
	r := what.Run(run.keys, args[3+keys:])
	finished = true
	for _, text := range r.Errors {
		b.countError(text)
	}
	u := &b.usage[outer.command.Index]
	u.failed += int64(r.Counted) // as Redis counts them
	if len(r.Errors) > 0 && !r.Reply.IsError() {
		u.failed++
	}
	return r.Reply
}

// endScript is called when a script has ended, or has not finished because of a mistake of
// the broker: then nobody knows what state its Lua is in.
func (b *Broker) endScript(run *scriptRun, finished bool) {
	b.scripting.running = nil
	b.postponers &^= busy
	b.scripting.client.forgetCaller()
	close(run.ended)
	if s := run.session; run.slow {
		b.resumed = append(b.resumed, s) // for what it has sent meanwhile
		s.markPendingWrite()
		if !s.transaction.running { // in which time stands still
			b.setTime()
		}
	}
	switch {
	case finished:
	case run.script.IsFunction:
		b.scripting.functions.Restart()
	default:
		b.scripting.cache = nil
	}
}

// refuseScript returns the error reply to a script that its flags keep from running, or nil.
func (b *Broker) refuseScript(s *script.Script, readOnly bool) *resp.Reply {
	if s.Flags&script.Declared == 0 || s.Flags&script.NoWrites != 0 {
		return nil
	}
	switch {
	case readOnly:
		return &writesInReadOnly
	case b.lacksReplicas():
		return &tooFewReplicas
	case s.Flags&script.AllowOOM == 0 && b.options.MaxMemory > 0 && b.keys.IsFull():
		return &scriptOutOfMemory
	}
	return nil
}

var (
	writesInReadOnly  = resp.ErrorReply("ERR Can not execute a script with write flag using *_ro command.")
	scriptOutOfMemory = resp.ErrorReply("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")
)

// flagsOf are the flags of a command. Those of one that runs a script depend on what that
// declares.
func (b *Broker) flagsOf(cmd *command.Command, args [][]byte) command.Flag {
	f := cmd.Flags
	if f&command.RunsScript == 0 {
		return f
	}
	declared := script.Flags(0)
	switch cmd.Name {
	case "fcall", "fcall_ro":
		if f := b.functions().Find(args[1]); f != nil {
			declared = f.Flags
		}
	case "evalsha", "evalsha_ro":
		if s := b.scriptCache().Find(args[1]); s != nil {
			declared = s.Flags
		}
	default:
		declared, _, _ = script.ParseFlags(args[1])
	}
	if declared&script.Declared == 0 {
		return f
	}
	f &^= command.MayReplicate
	if declared&script.NoWrites == 0 {
		f |= command.Write
		if declared&script.AllowOOM == 0 {
			f |= command.DenyOOM
		}
	}
	return f
}

// standFor makes a session run commands in the place of another one.
func (s *session) standFor(caller *session) {
	s.caller = caller
	s.id, s.name, s.transport, s.user, s.db = caller.id, caller.name, caller.transport, caller.user, caller.db
}

// forgetCaller undoes it, so that a closed session is not kept in memory.
func (s *session) forgetCaller() { s.caller, s.transport, s.user = nil, nil, nil }

// origin is the client for which a session runs commands: itself, unless they are those of
// a script.
func (s *session) origin() *session {
	if s.caller != nil {
		return s.caller
	}
	return s
}

// scriptHost implements script.Host.
type scriptHost struct{ *Broker }

// Call runs a command of the script that is running.
func (h scriptHost) Call(args [][]byte) *resp.Reply {
	b := h.Broker
	s := b.scripting.client
	cmd, err := s.refuseInScript(args)
	if err != nil {
		b.countRejected(cmd)
		b.countError(err.Text)
		if b.observed {
			s.logNotRun(cmd, args, Refused, err.Text)
		}
		return err
	}
	if cmd.Flags&command.Write != 0 {
		b.scripting.running.wrote = true
	}
	b.startLap() // what the script has done since the last command is no part of this one
	outer, began := b.running, b.measuredUntil
	r := new(resp.Reply)
	s.invoke(cmd, args, r)
	if s.caller.tracking.on {
		s.caller.track(cmd, args)
	}
	s.account(cmd, args, began, r)
	if r.IsError() {
		b.countError(r.Text)
	}
	b.running = outer
	if b.observed {
		s.observe(cmd, args, r)
	}
	return r
}

var (
	unknownInScript   = resp.ErrorReply("ERR Unknown Redis command called from script")
	wrongNumberScript = resp.ErrorReply("ERR Wrong number of args calling Redis command from script")
	notInScript       = resp.ErrorReply("ERR This Redis command is not allowed from script")
	writeInReadOnly   = resp.ErrorReply("ERR Write commands are not allowed from read-only scripts.")

	scriptDenied = map[acl.Denial]*resp.Reply{
		acl.CommandDenied: {Kind: resp.KindError, Text: "ERR The user executing the script can't run this command or subcommand"},
		acl.KeyDenied:     {Kind: resp.KindError, Text: "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"},
		acl.ChannelDenied: {Kind: resp.KindError, Text: "ERR The user executing the script can't publish to the channel mentioned in the command"},
	}
)

// refuseInScript finds a command, and returns the error reply to one that a script may not
// run.
func (s *session) refuseInScript(args [][]byte) (*command.Command, *resp.Reply) {
	b := s.broker
	run := b.scripting.running
	cmd, err := b.table.Lookup(args)
	switch {
	case err != nil:
		return nil, &unknownInScript
	case !cmd.Accepts(len(args)):
		return cmd, &wrongNumberScript
	case cmd.Flags&(command.NoScript|command.Personal) != 0:
		return cmd, &notInScript
	}
	if what, at := s.user.Denies(cmd, args); what != acl.NothingDenied {
		s.addACLLog(what, denialObject(what, cmd, args, at), s.user.Name)
		return cmd, scriptDenied[what]
	}
	switch {
	case run.readOnly && cmd.Flags&(command.Write|command.MayReplicate) != 0:
		return cmd, &writeInReadOnly
	case cmd.Flags&command.Write != 0 && b.lacksReplicas():
		return cmd, &tooFewReplicas
	case cmd.Flags&command.DenyOOM != 0 && run.fullFrom && !run.wrote && run.script.Flags&script.AllowOOM == 0:
		return cmd, &outOfMemory
	}
	return cmd, nil
}

func (h scriptHost) MayRun(args [][]byte) (may, known bool) {
	cmd, err := h.table.Lookup(args)
	if err != nil {
		return false, false
	}
	return h.scripting.client.mayRun(cmd, args), true
}

func (h scriptHost) SetProtocol(version int) { h.scripting.client.protocol = version }

// scriptLevels are those of redis.log.
var scriptLevels = [...]slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn}

func (h scriptHost) Log(level int, message string) { h.log(scriptLevels[level], message) }

// A scriptEnd is why a script is ended from outside, in Redis's words.
type scriptEnd string

func (e scriptEnd) Error() string { return string(e) }

const (
	errKilled       scriptEnd = "Script killed by user with SCRIPT KILL..."
	errBrokerClosed scriptEnd = "the broker is closed"
)

// instructionTime is how long an instruction of a script counts where no time passes while
// it runs: in a testing/synctest bubble.
const instructionTime = 10 * time.Nanosecond

// A stopwatch says how long a script runs.
type stopwatch struct {
	broker *Broker
	began  int64 // by clock.elapsed
	checks int64 // how often it was interrupted
}

func (b *Broker) newStopwatch() stopwatch { return stopwatch{broker: b, began: b.clock.elapsed()} }

func (w *stopwatch) elapsed() time.Duration {
	if w.broker.clock.inBubble {
		return time.Duration(w.checks) * script.HookInterval * instructionTime
	}
	return time.Duration(w.broker.clock.elapsed() - w.began)
}

func (h scriptHost) Stopwatch() func() time.Duration {
	w := h.newStopwatch()
	return func() time.Duration {
		w.checks++
		return w.elapsed()
	}
}

// Interrupt lets others in if the script takes long, and ends it if one of them wants that.
func (h scriptHost) Interrupt() error {
	b, run := h.Broker, h.scripting.running
	if b.closed { // before the script began, as another one of a transaction
		return errBrokerClosed
	}
	run.checks++
	if !run.slow {
		took := run.elapsed()
		if after := b.options.busyAfter; after == 0 || took/time.Millisecond < time.Duration(after) {
			return nil
		}
		run.slow = true
		b.postponers |= busy
		b.log(slog.LevelWarn, "slow script: other clients are answered BUSY until it ends; "+run.killedBy()+" ends it", "after", took, "script", run.script.Name, "client", run.session.String())
		if b.polling { // other sockets are not to wait for it
			b.poller.Yield()
		}
	}
	b.letOthersIn()
	switch {
	case b.closed:
		return errBrokerClosed
	case run.killed:
		return errKilled
	}
	return nil
}

// letOthersIn releases the lock for a moment while a script runs.
func (b *Broker) letOthersIn() {
	outer, now, second := b.running, b.keys.Now, b.keys.Second
	if len(b.netems) > 0 {
		b.setTime()
		b.fireNetems()
	}
	run := b.scripting.running
	run.leaves = true
	b.leave()
	runtime.Gosched()
	b.mu.Lock()
	run.leaves = false
	b.running, b.keys.Now, b.keys.Second = outer, now, second
}

// logApart writes what was logged in a goroutine of its own, in order: the logger's handler
// may call what waits for the end of the script, such as Snapshot. If the broker is closed
// they wait for that end, which is near.
func (b *Broker) logApart(run *scriptRun, logs []logRecord) {
	if !b.goroutines.enter("logger") {
		b.logs = logs
		return
	}
	before, done := run.logged, make(chan struct{})
	run.logged = done
	go func() {
		defer b.goroutines.leave("logger")
		defer close(done)
		if before != nil {
			<-before
		}
		b.writeLogs(logs)
	}()
}

// isBusy reports, to those who have been let in, that a script runs.
func (b *Broker) isBusy() bool { return b.scripting.running != nil }

// killedBy is the command that ends the script.
func (r *scriptRun) killedBy() string {
	if r.script.IsFunction {
		return "FUNCTION KILL"
	}
	return "SCRIPT KILL"
}

// busyReply is the answer to what may not run while the script does.
func (r *scriptRun) busyReply() resp.Reply {
	return resp.ErrorReply("BUSY Redis is busy running a script. You can only call " + r.killedBy() + " or SHUTDOWN NOSAVE.")
}

// enterIdle is enter for what must not happen in the middle of a script.
func (b *Broker) enterIdle() {
	for b.enter(); b.isBusy(); b.enter() {
		ended := b.scripting.running.ended
		b.leave()
		<-ended
	}
}

// isInScript reports whether a script of the client is running, which others may find when
// they are let in.
func (s *session) isInScript() bool {
	run := s.broker.scripting.running
	return run != nil && run.session == s
}

// takeLater takes over what came in while a script of the client was running.
func (s *session) takeLater() {
	if len(s.later) > 0 {
		s.requests.Feed(s.later)
		s.later = nil
	}
}

var _ keyspace.Caller = (*session)(nil)
