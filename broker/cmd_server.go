package broker

import (
	"log/slog"
	"strconv"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands about the server.

var serverCommands = []command.Command{
	{Name: "dbsize", Arity: 1, Flags: command.ReadOnly | command.Fast, Run: withBroker(dbsize), ACL: "keyspace", Tips: "request_policy:all_shards response_policy:agg_sum",
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of keys in the database."},
	{Name: "flushdb", Arity: -1, Flags: command.Write, Run: withBroker(flushdb), ACL: "keyspace dangerous", Tips: "request_policy:all_shards response_policy:all_succeeded",
		Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys in the database", Summary: "Deletes all keys of the database."},
	{Name: "flushall", Arity: -1, Flags: command.Write, Run: withBroker(flushall), ACL: "keyspace dangerous", Tips: "request_policy:all_shards response_policy:all_succeeded",
		Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys in all databases", Summary: "Deletes all keys of all databases."},
	{Name: "lolwut", Arity: -1, Flags: command.ReadOnly | command.Fast, Run: withBroker(lolwut),
		Group: "server", Since: "5.0.0", Complexity: "O(1)", Summary: "Returns the version as a text."},
	{Name: "shutdown", Arity: -1, Flags: command.Admin | command.NoScript | command.Always | command.NoMulti | command.AllowBusy, Run: withBroker(shutdown), ACL: "dangerous",
		Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of clients", Summary: "Closes the broker."},
	{Name: "swapdb", Arity: 3, Flags: command.Write | command.Fast, Run: withBroker(swapdb), ACL: "keyspace dangerous",
		Group: "server", Since: "4.0.0", Complexity: "O(N) where N is the number of keys in both databases", Summary: "Swaps two databases."},
	{Name: "time", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(timeOfDay), Tips: "nondeterministic_output",
		Group: "server", Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the time in seconds and microseconds."},
	{Name: "module", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about modules.", Subs: []*command.Command{
		{Name: "help", Arity: 2, Flags: command.Always, Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "load", Arity: -3, Flags: command.Protected | command.Admin | command.NoScript | command.NoAsyncLoading, Run: withBroker(moduleLoad), Since: "4.0.0", Complexity: "O(1)", Summary: "Refuses, as modules are not allowed."},
		{Name: "loadex", Arity: -3, Flags: command.Protected | command.Admin | command.NoScript | command.NoAsyncLoading, Run: withBroker(moduleLoad), Since: "7.0.0", Complexity: "O(1)", Summary: "Refuses, as modules are not allowed."},
		{Name: "unload", Arity: 3, Flags: command.Protected | command.Admin | command.NoScript | command.NoAsyncLoading, Run: withBroker(moduleLoad), Since: "4.0.0", Complexity: "O(1)", Summary: "Refuses, as modules are not allowed."},
		{Name: "list", Arity: 2, Flags: command.Admin | command.NoScript, Run: withBroker(moduleList), Tips: "nondeterministic_output_order", Since: "4.0.0", Complexity: "O(1)", Summary: "Returns the loaded modules. There are none."},
	}},
}

func dbsize(c *call, _ [][]byte) resp.Reply { return resp.Int(c.DB.Len() + c.pause.expiredIn(c.DB)) }

func flushdb(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DB) }

func flushall(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DBs...) }

func (c *call) flushSome(args [][]byte, dbs ...*keyspace.DB) resp.Reply {
	if len(args) > 2 || len(args) == 2 && !resp.Is(args[1], "SYNC") && !resp.Is(args[1], "ASYNC") {
		return resp.SyntaxError
	}
	for _, d := range dbs {
		c.signalFlushed(d)
		c.Flush(d)
	}
	if c.tracking.active {
		c.tracking.flushed(c.session.origin())
	}
	return resp.OK
}

// signalFlushed makes the transactions of clients that watch keys fail which are about to go.
func (b *Broker) signalFlushed(d *keyspace.DB) {
	for key := range b.watched[d.Index] {
		if d.Get(key) != nil {
			b.touchWatched(d, key)
		}
	}
}

func timeOfDay(c *call, _ [][]byte) resp.Reply {
	t := time.Unix(0, c.keys.Now)
	return resp.Array(
		resp.BulkString(strconv.FormatInt(t.Unix(), 10)),
		resp.BulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func moduleList(*call, [][]byte) resp.Reply { return resp.EmptyArray }

// moduleLoad is never reached, as enable-module-command is no.
func moduleLoad(c *call, _ [][]byte) resp.Reply { return notEnabled(c.command) }

// lolwut returns the version, without Redis's drawings.
func lolwut(_ *call, args [][]byte) resp.Reply {
	if len(args) > 2 && resp.Is(args[1], "VERSION") {
		if _, isInt := resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	return resp.Verbatim("Redis ver. " + version + "\n")
}

func swapdb(c *call, args [][]byte) resp.Reply {
	for i, which := range []string{"first", "second"} {
		if _, err := resp.ParseInt32(args[1+i]); err != nil {
			return resp.Errorf("ERR invalid %s DB index", which)
		}
	}
	var dbs [2]*keyspace.DB
	for i := range dbs {
		var err *resp.Reply
		if dbs[i], err = c.ParseDB(args[1+i]); err != nil {
			return *err
		}
	}
	if dbs[0] != dbs[1] {
		c.swapDBs(dbs[0], dbs[1])
	}
	return resp.OK
}

// swapDBs exchanges the contents of two databases. Clients that watch a key or are blocked
// on one see those of the other.
func (b *Broker) swapDBs(x, y *keyspace.DB) {
	for _, d := range []*keyspace.DB{x, y} {
		for key := range b.watched[d.Index] {
			if x.Get(key) != nil || y.Get(key) != nil {
				b.touchWatched(d, key)
			}
		}
	}
	b.keys.Swap(x, y)
	for _, d := range []*keyspace.DB{x, y} {
		for key := range b.blocked[d.Index] {
			if d.Get(key) != nil {
				b.keys.SignalReady(d, key)
			}
		}
	}
}

// shutdown closes the broker, without a reply.
func shutdown(c *call, args [][]byte) resp.Reply {
	var save, noSave, now, force, abort bool
	for _, arg := range args[1:] {
		switch {
		case resp.Is(arg, "SAVE"):
			save = true
		case resp.Is(arg, "NOSAVE"):
			noSave = true
		case resp.Is(arg, "NOW"): // no effect without replicas
			now = true
		case resp.Is(arg, "FORCE"):
			force = true
		case resp.Is(arg, "ABORT"):
			abort = true
		default:
			return resp.SyntaxError
		}
	}
	switch {
	case save && noSave, abort && (save || noSave || now || force):
		return resp.SyntaxError
	case abort:
		return resp.ErrorReply("ERR No shutdown in progress.")
	case c.isBusy() && !noSave:
		return c.scripting.running.busyReply()
	}
	c.log(slog.LevelInfo, "closed by SHUTDOWN", "client", c.session.String())
	c.disconnectAll()
	return resp.Nothing
}
