package broker

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

var transactionCommands = []command.Command{
	{Name: "multi", Arity: 1, Flags: command.PerSession | command.Fast | command.AllowBusy | command.Immediate, Run: withBroker(multi), ACL: "transaction",
		Group: "transactions", Since: "1.2.0", Complexity: "O(1)", Summary: "Opens a transaction."},
	{Name: "exec", Arity: 1, Flags: command.PerSession | command.SkipSlowlog | command.Immediate, Run: withBroker(exec), ACL: "transaction",
		Group: "transactions", Since: "1.2.0", Complexity: "Depends on the commands in the transaction.", Summary: "Runs the commands of a transaction."},
	{Name: "discard", Arity: 1, Flags: command.PerSession | command.Fast | command.AllowBusy | command.Immediate, Run: withBroker(discard), ACL: "transaction",
		Group: "transactions", Since: "2.0.0", Complexity: "O(N) where N is the number of queued commands", Summary: "Discards the commands of a transaction."},
	{Name: "watch", Arity: -2, Flags: command.PerSession | command.Fast | command.AllowBusy | command.Immediate, Keys: command.KeysUpTo(-1, 1, "RO"), Run: withBroker(watchKeys), ACL: "transaction",
		Group: "transactions", Since: "2.2.0", Complexity: "O(1) for every key", Summary: "Makes the next transaction depend on keys staying unchanged."},
	{Name: "unwatch", Arity: 1, Flags: command.PerSession | command.Fast | command.AllowBusy, Run: withBroker(unwatch), ACL: "transaction",
		Group: "transactions", Since: "2.2.0", Complexity: "O(1)", Summary: "Forgets the watched keys."},
}

// A transaction is a client's state between MULTI and EXEC, and its watched keys.
type transaction struct {
	open           bool
	failed         bool // a command was rejected: EXEC will fail
	watchedChanged bool // a watched key was modified: EXEC will return null
	running        bool // EXEC is running, so no command may block
	queue          []queuedCommand
	bytes          int // of memory, estimated
	watched        []*watch
}

// Memory of a queued command and of each argument, besides the argument's bytes.
const (
	queuedBytes   = 64
	argumentBytes = 24
)

type queuedCommand struct {
	command *command.Command
	args    [][]byte
}

// A watch is a key that a client watches.
type watch struct {
	db  *keyspace.DB
	key string
}

// add queues a command, with a copy of its arguments, unless EXEC will not run it anyway.
func (t *transaction) add(r *resp.Reader, cmd *command.Command, args [][]byte) {
	if t.failed || t.watchedChanged {
		return
	}
	copied, size := r.CopyArgs(args)
	t.queue = append(t.queue, queuedCommand{cmd, copied})
	t.bytes += size + queuedBytes + argumentBytes*len(args)
}

func multi(c *call, _ [][]byte) resp.Reply {
	t := &c.session.transaction
	if t.open {
		return resp.ErrorReply("ERR MULTI calls can not be nested")
	}
	t.open = true
	return resp.OK
}

func exec(c *call, _ [][]byte) resp.Reply {
	s := c.session
	t := s.transaction
	if !t.open {
		return resp.ErrorReply("ERR EXEC without MULTI")
	}
	s.unwatch()
	s.transaction = transaction{running: true, queue: t.queue}
	defer func() { s.transaction = transaction{} }()
	switch {
	case t.failed:
		return resp.ErrorReply("EXECABORT Transaction discarded because of previous errors.")
	case t.watchedChanged:
		return resp.NullArray
	}
	s.runQueued(t.queue)
	return resp.Nothing
}

// runQueued runs the commands of a transaction. Each reply is encoded before the next
// command runs, as it may refer to stored data.
func (s *session) runQueued(queue []queuedCommand) {
	defer s.recoverPanic()
	opening := resp.Reply{Kind: resp.KindArrayHeader, N: int64(len(queue))}
	s.reply(&opening)
	denied := false
	for _, q := range queue {
		if denied = !s.mayRun(q.command, q.args); denied {
			r := s.denyQueued(q.command, q.args)
			s.reply(&r)
			continue
		}
		s.requests.Adopt(q.args)
		s.call(q.command, q.args)
	}
	if denied { // as in Redis EXEC counts as failed
		s.broker.usage[s.command.Index].failed++
	}
}

func discard(c *call, _ [][]byte) resp.Reply {
	if !c.session.transaction.open {
		return resp.ErrorReply("ERR DISCARD without MULTI")
	}
	c.session.endTransaction()
	return resp.OK
}

// endTransaction discards the transaction and unwatches all keys.
func (s *session) endTransaction() {
	s.unwatch()
	s.transaction = transaction{}
}

func watchKeys(c *call, args [][]byte) resp.Reply {
	s := c.session
	if s.transaction.open {
		return resp.ErrorReply("ERR WATCH inside MULTI is not allowed")
	}
	for _, key := range args[1:] {
		watchers := c.watched[c.DB.Index][string(key)]
		if watchers == nil {
			watchers = map[*session]*watch{}
			c.watched[c.DB.Index][string(key)] = watchers
			c.DB.Watched = true
		}
		if watchers[s] == nil {
			w := &watch{c.DB, string(key)}
			watchers[s] = w
			s.transaction.watched = append(s.transaction.watched, w)
		}
	}
	return resp.OK
}

func unwatch(c *call, _ [][]byte) resp.Reply {
	c.session.unwatch()
	c.session.transaction.watchedChanged = false
	return resp.OK
}

// unwatch unwatches all keys.
func (s *session) unwatch() {
	for _, w := range s.transaction.watched {
		watched := s.broker.watched[w.db.Index]
		delete(watched[w.key], s)
		if len(watched[w.key]) == 0 {
			delete(watched, w.key)
			w.db.Watched = len(watched) > 0 || s.broker.tracking.active
		}
	}
	s.transaction.watched = nil
}

// touchWatched makes the transactions of clients that watch a key fail.
func (b *Broker) touchWatched(d *keyspace.DB, key string) {
	for s := range b.watched[d.Index][key] {
		s.transaction.watchedChanged = true
	}
}
