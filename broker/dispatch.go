package broker

import (
	"strings"

	"redrpc/broker/internal/resp"
)

// A call is one run of a command: what its handler may look at and change, under
// the broker's lock.
type call struct {
	*Broker
	session *session
	db      *database
	command *command
	woken   bool  // the client was blocked, and a key has been made
	slept   int64 // nanoseconds that it is to count for, besides what is measured
	place   int   // of the answer in the client's output, from 1 on; 0: at its end
}

// answerFirst puts the answer before what the client itself is told from here on,
// about keys that it has asked to hear of, instead of after it: Redis does the one or
// the other, command by command.
func (c *call) answerFirst() { c.place = len(c.session.out) + 1 }

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
func (s *session) check(args [][]byte) *command {
	cmd, err := s.broker.table.lookup(args)
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
	s.fail(cmd, args, err)
	s.commandDone(cmd)
	return nil
}

// queueOrCall runs a command, or queues it in a transaction.
func (s *session) queueOrCall(cmd *command, args [][]byte) {
	if s.transaction.open && cmd.flags&immediate == 0 {
		s.transaction.add(cmd, args)
		s.reply(&queued)
		if s.broker.observed {
			s.noteUnrun(cmd, args, Queued, "")
		}
		s.checkQuery(0)
	} else {
		s.call(cmd, args)
		if b := s.broker; b.tracking.active {
			b.tracking.afterCommand()
		}
	}
	s.commandDone(cmd)
}

// commandDone is called when a command has been answered, or waits for keys.
func (s *session) commandDone(cmd *command) {
	if s.tracking.caching {
		s.endCaching(cmd)
	}
	if s.waiter == nil {
		s.replyMode.nextCommand()
	}
}

// fail answers a command that cannot be run. It spoils the transaction; EXEC ends
// it.
func (s *session) fail(cmd *command, args [][]byte, err *resp.Reply) {
	s.broker.reject(cmd)
	if cmd != nil && cmd.fullName == "exec" {
		s.endTransaction()
		r := resp.ErrorReply("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(err.Text, "ERR "))
		err = &r
	}
	s.transaction.failed = s.transaction.open
	s.reply(err)
	if s.broker.observed {
		s.noteUnrun(cmd, args, Refused, err.Text)
		if cmd != nil && cmd.fullName == "exec" {
			s.broker.show(s, cmd, args) // so that monitors see the end of the transaction
		}
	}
}

// call runs a command whose arguments are in order, and queues its reply.
func (s *session) call(cmd *command, args [][]byte) {
	b := s.broker
	began := b.lap
	r := s.invoke(cmd, args)
	if s.tracking.on {
		s.track(cmd, args)
	}
	if r.Kind == resp.KindWait {
		s.block(s.db, r.Wait.(*wait))
		s.kept = appendArguments(s.kept[:0], cmd, args)
	} else {
		s.replyAt(b.running.place, &r)
	}
	s.account(cmd, args, began, &r)
	if b.observed {
		s.observe(cmd, args, &r)
	}
}

// invoke runs a command whose arguments are in order. In a transaction nothing waits.
func (s *session) invoke(cmd *command, args [][]byte) resp.Reply {
	b := s.broker
	c := &b.running
	*c = call{Broker: b, session: s, db: s.db, command: cmd}
	r := b.guard(c, args, cmd.run)
	if r.Kind == resp.KindWait && s.transaction.running {
		return r.Wait.(*wait).refused
	}
	return r
}

// wrongNumber is the answer to a number of arguments that the command's arity
// does not rule out.
func (c *call) wrongNumber() resp.Reply { return c.command.wrongNumber() }

func (c *command) wrongNumber() resp.Reply {
	return resp.Errorf("ERR wrong number of arguments for '%s' command", c.fullName)
}

// refuse returns the error reply to a command that the client cannot run now, or
// with these arguments; or nil.
func (s *session) refuse(cmd *command, args [][]byte, err *resp.Reply) *resp.Reply {
	switch {
	case err != nil:
		return err
	case !cmd.accepts(len(args)):
		r := cmd.wrongNumber()
		return &r
	case s.needsAuth() && cmd.flags&noAuth == 0:
		r := resp.ErrorReply("NOAUTH Authentication required.")
		return &r
	case s.transaction.open && cmd.flags&noMulti != 0:
		r := resp.ErrorReply("ERR Command not allowed inside a transaction")
		return &r
	case !s.user.unlimited && !s.mayRun(cmd, args):
		return s.deny(cmd, args)
	case s.broker.options.MaxMemory > 0 && s.broker.pause.mode == notPaused && s.lacksMemory(cmd):
		return &outOfMemory
	case s.protocol == 2 && cmd.flags&whileSubscribed == 0 && s.subscriptions.any():
		r := resp.Errorf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.fullName)
		return &r
	case s.monitors && cmd.flags&(readOnly|write|mayReplicate) != 0:
		r := resp.ErrorReply("ERR Replica can't interact with the keyspace") // as Redis calls it
		return &r
	}
	return nil
}

func unknownCommand(args [][]byte) resp.Reply {
	var given strings.Builder
	for _, arg := range args[1:] {
		if given.Len() >= 128 {
			break
		}
		given.WriteString("'" + resp.CString(arg, 128-given.Len()) + "' ")
	}
	return resp.Errorf("ERR unknown command '%s', with args beginning with: %s", resp.CString(args[0], 128), given.String())
}
