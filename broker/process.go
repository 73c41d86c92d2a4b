package broker

import (
	"log/slog"
	"slices"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A call is one run of a command, as the commands about the broker and its clients see it.
type call struct {
	keyspace.Call
	*Broker
	session *session
	command *command.Command
	slept   int64 // nanoseconds that it is to count for, besides what is measured
}

// begin makes the running call one of a client.
func (b *Broker) begin(s *session, cmd *command.Command) *call {
	c := &b.running
	c.DB, c.Command, c.Caller, c.Woken, c.Place, c.Script = s.db, cmd.FullName, s, false, 0, s.caller != nil
	c.session, c.command, c.slept = s, cmd, 0
	return c
}

// withBroker makes a handler of a function about the broker or its clients.
func withBroker(f func(*call, [][]byte) resp.Reply) keyspace.Handler {
	return func(c *keyspace.Call, args [][]byte) resp.Reply { return f(&c.Caller.(*session).broker.running, args) }
}

// OutputMark is where the client's output has come to.
func (s *session) OutputMark() int { return s.out.Len() + 1 }

// Give reports whether an argument of the running command has memory of its own, which is
// the handler's from then on.
func (s *session) Give(arg []byte) bool { return s.requests.Give(arg) }

// MayReadAnyKey reports whether the client may read all keys by the running command.
func (s *session) MayReadAnyKey(args [][]byte) bool {
	return s.user.ReadsAnyKey(s.broker.running.command, args)
}

// process checks a command and runs it, or queues it in a transaction, and
// queues the reply.
func (s *session) process(args [][]byte) {
	cmd := s.check(args)
	switch {
	case cmd == nil:
	case s.broker.postponers != 0:
		s.admit(cmd, args, ruleCursor{})
	default:
		s.queueOrCall(cmd, args)
	}
}

var queued = resp.Simple("QUEUED")

// check finds a command that may run. One that may not is answered, and there is none.
func (s *session) check(args [][]byte) *command.Command {
	cmd, err := s.broker.table.Lookup(args)
	s.command = cmd
	if cmd != nil {
		err = s.refuse(cmd, args, err)
	}
	if err == nil {
		return cmd
	}
	if cmd == nil && isHTTP(args) {
		s.refuseHTTP(args)
		return nil
	}
	s.rejectCommand(cmd, args, err)
	s.commandDone(cmd)
	return nil
}

// queueOrCall runs a command, or queues it in a transaction.
func (s *session) queueOrCall(cmd *command.Command, args [][]byte) {
	if s.transaction.open && cmd.Flags&command.Immediate == 0 {
		s.transaction.add(&s.requests, cmd, args)
		s.reply(&queued)
		if s.broker.observed {
			s.logNotRun(cmd, args, Queued, "")
		}
		s.checkQueryLimit(0)
	} else {
		s.call(cmd, args)
		if b := s.broker; b.tracking.active {
			b.tracking.afterCommand()
		}
	}
	s.commandDone(cmd)
}

// commandDone is called when a command has been answered, or waits for keys.
func (s *session) commandDone(cmd *command.Command) {
	if s.tracking.caching {
		s.endCaching(cmd)
	}
	if s.waiter == nil {
		s.replyMode.nextCommand()
	}
}

// rejectCommand answers a command that cannot be run. It spoils the transaction; EXEC ends
// it.
func (s *session) rejectCommand(cmd *command.Command, args [][]byte, err *resp.Reply) {
	s.broker.countRejected(cmd)
	if cmd != nil && cmd.FullName == "exec" {
		s.endTransaction()
		r := resp.ErrorReply("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(err.Text, "ERR "))
		err = &r
	}
	s.transaction.failed = s.transaction.open
	s.reply(err)
	if s.broker.observed {
		s.logNotRun(cmd, args, Refused, err.Text)
		if cmd != nil && cmd.FullName == "exec" {
			s.broker.show(s, cmd, args) // so that monitors see the end of the transaction
		}
	}
}

// call runs a command whose arguments are in order, and queues its reply.
func (s *session) call(cmd *command.Command, args [][]byte) {
	b := s.broker
	began := b.measuredUntil
	var r resp.Reply
	s.invoke(cmd, args, &r)
	if s.tracking.on {
		s.track(cmd, args)
	}
	if r.Kind == resp.KindWait {
		s.block(s.db, r.Wait.(*keyspace.Wait))
		s.blockedArgs = appendArguments(s.blockedArgs[:0], cmd, args)
	} else {
		s.replyAt(b.running.Place, &r)
	}
	s.account(cmd, args, began, &r)
	if b.observed {
		s.observe(cmd, args, &r)
	}
}

// invoke runs a command whose arguments are in order, and sets its reply. In a transaction nothing waits.
func (s *session) invoke(cmd *command.Command, args [][]byte, r *resp.Reply) {
	b := s.broker
	b.guard(b.begin(s, cmd), args, cmd.Run, r)
	if r.Kind == resp.KindWait && s.transaction.running {
		*r = r.Wait.(*keyspace.Wait).Refused
	}
}

// refuse returns the error reply to a command that the client cannot run now, or
// with these arguments; or nil.
func (s *session) refuse(cmd *command.Command, args [][]byte, err *resp.Reply) *resp.Reply {
	switch {
	case err != nil:
		return err
	case !cmd.Accepts(len(args)):
		r := cmd.WrongNumber()
		return &r
	case cmd.Flags&command.Protected != 0 && !s.mayUse(cmd):
		r := notEnabled(cmd)
		return &r
	case s.needsAuth() && cmd.Flags&command.NoAuth == 0:
		r := resp.ErrorReply("NOAUTH Authentication required.")
		return &r
	case s.transaction.open && cmd.Flags&command.NoMulti != 0:
		r := resp.ErrorReply("ERR Command not allowed inside a transaction")
		return &r
	case !s.user.Unlimited && !s.mayRun(cmd, args):
		return s.deny(cmd, args)
	case s.broker.options.MaxMemory > 0 && s.broker.pause.mode == notPaused && s.lacksMemory(cmd, args):
		return &outOfMemory
	case s.broker.lacksReplicas() && s.writes(cmd, args):
		return &tooFewReplicas
	case s.protocol == 2 && cmd.Flags&command.WhileSubscribed == 0 && s.subscriptions.any():
		r := resp.Errorf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.FullName)
		return &r
	case s.monitors && s.broker.flagsOf(cmd, args)&(command.ReadOnly|command.Write|command.MayReplicate) != 0:
		r := resp.ErrorReply("ERR Replica can't interact with the keyspace") // as Redis calls it
		return &r
	}
	return nil
}

// mayUse reports whether a protected command is allowed. MODULE never is.
func (s *session) mayUse(cmd *command.Command) bool {
	allowed := s.broker.options.DebugCommand
	return cmd.Name == "debug" && (allowed == "yes" || allowed == "local" && !s.transport.Remote())
}

// notEnabled is the answer to a protected command that is not allowed.
func notEnabled(cmd *command.Command) resp.Reply {
	name, _, _ := strings.Cut(cmd.FullName, "|")
	return resp.Errorf("ERR %s command not allowed. If the enable-%s-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.", strings.ToUpper(name), name)
}

var tooFewReplicas = resp.ErrorReply("NOREPLICAS Not enough good replicas to write.")

// lacksReplicas reports whether writing asks for replicas, which there are none of.
func (b *Broker) lacksReplicas() bool {
	return b.options.replicas.least > 0 && b.options.replicas.lag > 0
}

// writes reports whether a command does, or one that it is EXEC for.
func (s *session) writes(cmd *command.Command, args [][]byte) bool {
	return s.hasFlag(cmd, args, command.Write)
}

// hasFlag reports whether a command has a flag, or one that it is EXEC for.
func (s *session) hasFlag(cmd *command.Command, args [][]byte, flag command.Flag) bool {
	b := s.broker
	return b.flagsOf(cmd, args)&flag != 0 ||
		cmd.FullName == "exec" && slices.ContainsFunc(s.transaction.queue, func(q queuedCommand) bool { return b.flagsOf(q.command, q.args)&flag != 0 })
}

// outOfMemory is the answer to a command that could need more memory while the data
// take more than they may.
var outOfMemory = resp.ErrorReply("OOM command not allowed when used memory > 'maxmemory'.")

// lacksMemory evicts keys, if that is necessary, and reports whether a command has to be refused as
// it does not suffice. In a transaction every
// command is, as to queue it takes memory too; EXEC only if what was queued is
// refused alone.
func (s *session) lacksMemory(cmd *command.Command, args [][]byte) bool {
	b := s.broker
	if b.isBusy() || b.keys.Evict() {
		return false
	}
	if !s.transaction.open {
		return b.flagsOf(cmd, args)&command.DenyOOM != 0
	}
	switch cmd.FullName {
	case "exec":
		return s.hasFlag(cmd, args, command.DenyOOM)
	case "discard", "quit", "reset":
		return false
	}
	return true
}

// A web page can make a browser send requests over HTTP to any port of the machine it
// runs on, with commands in their text. As in Redis, the line that such a request has to
// begin with, or the header that it has to have, ends the connection before they are read.

// isHTTP reports whether what would be an unknown command is a line of HTTP.
func isHTTP(args [][]byte) bool {
	return resp.Is(args[0], "POST") || resp.Is(args[0], "HOST:")
}

// refuseHTTP ends the connection of a client that speaks HTTP.
func (s *session) refuseHTTP(args [][]byte) {
	b := s.broker
	b.log(slog.LevelWarn, "client closed: it sent a line of HTTP, perhaps for a web page that wants to send commands", "client", s.String())
	if b.observed {
		if l := s.logCommand(nil, Dropped, "", 0); l != nil {
			l.args = appendArguments(l.args, nil, args)
		}
	}
	s.Abort()
}
