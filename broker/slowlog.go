package broker

import (
	"math"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// SLOWLOG: the last commands that took long.

var slowlogCommands = []command.Command{
	{Name: "slowlog", Arity: -2, Group: "server", Since: "2.2.12", Complexity: "Depends on the sub-command.", Summary: "Commands about the log of slow commands.", Subs: []*command.Command{
		{Name: "get", Arity: -2, Flags: command.Admin | command.Always, Run: withBroker(slowlogGet), Tips: "request_policy:all_nodes nondeterministic_output", Since: "2.2.12", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns the latest slow commands."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "6.2.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "len", Arity: 2, Flags: command.Admin | command.Always, Run: withBroker(slowlogLen), Tips: "request_policy:all_nodes response_policy:agg_sum nondeterministic_output", Since: "2.2.12", Complexity: "O(1)", Summary: "Returns the number of entries."},
		{Name: "reset", Arity: 2, Flags: command.Admin | command.Always, Run: withBroker(slowlogReset), Tips: "request_policy:all_nodes response_policy:all_succeeded", Since: "2.2.12", Complexity: "O(N) where N is the number of entries", Summary: "Forgets all entries."},
	}},
}

type slowlog struct {
	ring[slowEntry]
	next int64 // number of the next entry
}

// A slowEntry is one command.
type slowEntry struct {
	number        int64
	at, took      int64  // nanoseconds, since 1970 and by the machine's clock
	args          []byte // see appendArguments; its memory is used again
	address, name string // of the client
}

// addSlow makes an entry for a command if it took long enough, with the arguments to
// be set, or returns nil.
func (s *session) addSlow(cmd *command.Command, took int64) *slowEntry {
	b := s.broker
	from := b.options.diagnostics.slowFrom
	if from < 0 || took/int64(time.Microsecond) < int64(from) || cmd.Flags&command.SkipSlowlog != 0 || b.slowlog.most == 0 {
		return nil
	}
	e := b.slowlog.put()
	*e = slowEntry{number: b.slowlog.next, at: b.keys.Now, took: took, args: e.args[:0], name: s.name}
	switch {
	case s.caller != nil: // as Redis has it for scripts
		e.address, e.name = "?:0", ""
	case s.id != 0: // else it is Do
		e.address, _ = s.transport.Addresses()
	}
	b.slowlog.next++
	return e
}

func slowlogGet(c *call, args [][]byte) resp.Reply {
	n := int64(10)
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3:
		var isInt bool
		if n, isInt = resp.ParseInt(args[2]); !isInt || n < -1 {
			return resp.ErrorReply("ERR count should be greater than or equal to -1")
		}
	}
	log := &c.slowlog
	if n == -1 || n > int64(len(log.items)) {
		n = int64(len(log.items))
	}
	entries := make([]resp.Reply, n)
	for i := range entries {
		e := log.at(len(log.items) - 1 - i)
		entries[i] = resp.Array(
			resp.Integer(e.number), resp.Integer(e.at/int64(time.Second)), resp.Integer(e.took/int64(time.Microsecond)),
			resp.BulkStrings(keptArgumentsOf(e.args)), resp.BulkString(e.address), resp.BulkString(e.name),
		)
	}
	return resp.Array(entries...)
}

func slowlogLen(c *call, _ [][]byte) resp.Reply { return resp.Int(len(c.slowlog.items)) }

func slowlogReset(c *call, _ [][]byte) resp.Reply {
	c.slowlog.clear()
	return resp.OK
}

// applyDiagnostics brings into force what CONFIG SET said about commands.
func (b *Broker) applyDiagnostics() {
	o := &b.options.diagnostics
	b.slowlog.resize(o.slowLength)
	b.slowThreshold = math.MaxInt64
	if o.slowFrom >= 0 {
		b.slowThreshold = saturate(o.slowFrom, time.Microsecond)
	}
	if o.spikeFrom > 0 {
		b.slowThreshold = min(b.slowThreshold, saturate(o.spikeFrom, time.Millisecond))
	}
}

// saturate is a number of units of time in nanoseconds, or as many as there can be.
func saturate(n int, unit time.Duration) int64 {
	if int64(n) > math.MaxInt64/int64(unit) {
		return math.MaxInt64
	}
	return int64(n) * int64(unit)
}
