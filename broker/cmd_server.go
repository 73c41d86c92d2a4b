package broker

import (
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
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
	{Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about memory.", Subs: []*command.Command{
		{Name: "help", Arity: 2, Flags: command.Always, Since: "4.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "malloc-stats", Arity: 2, Run: withBroker(memoryMallocStats), Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "4.0.0", Complexity: "O(1)", Summary: "Returns what Go's allocator says of itself."},
		{Name: "purge", Arity: 2, Run: withBroker(memoryPurge), Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "4.0.0", Complexity: "O(N) where N is the size of the heap", Summary: "Gives memory back to the system that is not used."},
		{Name: "stats", Arity: 2, Run: withBroker(memoryStats), Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "4.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Returns figures about memory."},
		{Name: "usage", Arity: -3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: withBroker(memoryUsage), Since: "4.0.0", Complexity: "O(1)", Summary: "Returns how many bytes a key and its value take, about."},
	}},
	{Name: "role", Arity: 1, Flags: command.NoScript | command.Always | command.Fast, Run: withBroker(role), ACL: "admin dangerous",
		Group: "server", Since: "2.8.12", Complexity: "O(1)", Summary: "Says that the server is a master without replicas."},
	{Name: "shutdown", Arity: -1, Flags: command.Admin | command.NoScript | command.Always | command.NoMulti | command.AllowBusy, Run: withBroker(shutdown), ACL: "dangerous",
		Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of clients", Summary: "Closes the broker."},
	{Name: "swapdb", Arity: 3, Flags: command.Write | command.Fast, Run: withBroker(swapdb), ACL: "keyspace dangerous",
		Group: "server", Since: "4.0.0", Complexity: "O(N) where N is the number of keys in both databases", Summary: "Exchanges what two databases hold."},
	{Name: "time", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(timeOfDay), Tips: "nondeterministic_output",
		Group: "server", Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the time in seconds and microseconds."},
	{Name: "module", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about modules.", Subs: []*command.Command{
		{Name: "help", Arity: 2, Flags: command.Always, Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "list", Arity: 2, Flags: command.Admin | command.NoScript, Run: withBroker(moduleList), Tips: "nondeterministic_output_order", Since: "4.0.0", Complexity: "O(1)", Summary: "Returns the modules, which there are none of."},
	}},
	{Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about a cluster, which refuse.", Subs: []*command.Command{
		{Name: "addslots", Arity: -3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "addslotsrange", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "7.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "bumpepoch", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "count-failure-reports", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of failure reports", Summary: "Refuses, as there is no cluster."},
		{Name: "countkeysinslot", Arity: 3, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "delslots", Arity: -3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "delslotsrange", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "7.0.0", Complexity: "O(N) where N is the number of slots", Summary: "Refuses, as there is no cluster."},
		{Name: "failover", Arity: -2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "flushslots", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "forget", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "getkeysinslot", Arity: 4, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(log(N)) where N is the number of keys asked for", Summary: "Refuses, as there is no cluster."},
		{Name: "help", Arity: 2, Flags: command.Always, Run: withBroker(clusterDisabled), Since: "5.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "info", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "keyslot", Arity: 3, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of bytes in the key", Summary: "Refuses, as there is no cluster."},
		{Name: "links", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "7.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "meet", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "myid", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "nodes", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "replicas", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "5.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "replicate", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "reset", Arity: -2, Flags: command.Admin | command.NoScript | command.Stale, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "saveconfig", Arity: 2, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "set-config-epoch", Arity: 3, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "setslot", Arity: -4, Flags: command.Admin | command.Stale | command.NoAsyncLoading, Run: withBroker(clusterDisabled), Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "shards", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "7.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
		{Name: "slaves", Arity: 3, Flags: command.Admin | command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
		{Name: "slots", Arity: 2, Flags: command.Stale, Run: withBroker(clusterDisabled), Tips: "nondeterministic_output", Since: "3.0.0", Complexity: "O(N) where N is the number of nodes", Summary: "Refuses, as there is no cluster."},
	}},
	{Name: "asking", Arity: 1, Flags: command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
	{Name: "readonly", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
	{Name: "readwrite", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(clusterDisabled), ACL: "connection",
		Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no cluster."},
	{Name: "wait", Arity: 3, Flags: command.NoScript, Run: withBroker(waitForReplicas), ACL: "connection", Tips: "request_policy:all_shards response_policy:agg_min",
		Group: "generic", Since: "3.0.0", Complexity: "O(1)", Summary: "Waits for replicas, which there are none of."},
}

func dbsize(c *call, _ [][]byte) resp.Reply { return resp.Int(c.DB.Len()) }

func flushdb(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DB) }

func flushall(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DBs...) }

func (c *call) flushSome(args [][]byte, dbs ...*keyspace.DB) resp.Reply {
	if len(args) > 2 || len(args) == 2 && !resp.Is(args[1], "SYNC") && !resp.Is(args[1], "ASYNC") {
		return resp.SyntaxError
	}
	for _, d := range dbs {
		for key := range c.watched[d.Index] {
			if d.Get(key) != nil {
				c.touchWatched(d, key)
			}
		}
		c.Flush(d)
	}
	if c.tracking.active {
		c.tracking.flushed(c.session.origin())
	}
	return resp.OK
}

// waitForReplicas times out if it is to wait for any replica, as there are none.
func waitForReplicas(c *call, args [][]byte) resp.Reply {
	replicas, isInt := resp.ParseInt(args[1])
	if !isInt {
		return resp.NotAnInteger
	}
	ms, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.ErrorReply("ERR timeout is not an integer or out of range")
	case ms < 0:
		return resp.ErrorReply("ERR timeout is negative")
	case replicas <= 0:
		return resp.Zero
	}
	timeout := time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	return (&keyspace.Wait{Timeout: timeout, Refused: resp.Zero, Late: resp.Zero}).Reply()
}

func timeOfDay(c *call, _ [][]byte) resp.Reply {
	t := time.Unix(0, c.keys.Now)
	return resp.Array(
		resp.BulkString(strconv.FormatInt(t.Unix(), 10)),
		resp.BulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func role(*call, [][]byte) resp.Reply {
	return resp.Array(resp.BulkString("master"), resp.Zero, resp.EmptyArray)
}

var noCluster = resp.ErrorReply("ERR This instance has cluster support disabled")

// clusterDisabled is Redis's reply without cluster support, by which client libraries
// recognise a standalone server.
func clusterDisabled(*call, [][]byte) resp.Reply { return noCluster }

func moduleList(*call, [][]byte) resp.Reply { return resp.EmptyArray }

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

// shutdown closes the broker, without a reply. SAVE fails as there is no disk, unless with
// FORCE.
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
		return busyWithScript
	case save && !force:
		return resp.ErrorReply("ERR Errors trying to SHUTDOWN. Check logs.")
	}
	c.log(slog.LevelInfo, "closed by SHUTDOWN", "client", c.session.String())
	c.disconnectAll()
	return resp.Nothing
}

// MEMORY.

// memoryStats returns those of Redis's figures that the broker has. The allocator's are
// those of the whole process.
func memoryStats(c *call, _ [][]byte) resp.Reply {
	total, keys, dataset := c.UsedMemory(), 0, 0
	for _, d := range c.DBs {
		keys += d.Len()
		for e := range d.All() {
			dataset += e.Value.Size()
		}
	}
	clients := 0
	for _, s := range c.sessions {
		clients += s.memory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var pairs []resp.Reply
	for _, f := range []struct {
		name  string
		bytes int
	}{
		{"total.allocated", total},
		{"startup.allocated", keyspace.EmptyBytes},
		{"clients.normal", clients},
		{"overhead.total", total - dataset},
		{"keys.count", keys},
		{"keys.bytes-per-key", (total - keyspace.EmptyBytes) / max(keys, 1)},
		{"dataset.bytes", dataset},
		{"allocator.allocated", int(m.HeapAlloc)},
		{"allocator.active", int(m.HeapInuse)},
		{"allocator.resident", int(m.HeapSys - m.HeapReleased)},
	} {
		pairs = append(pairs, resp.BulkString(f.name), resp.Int(f.bytes))
	}
	return resp.Map(pairs...)
}

// memoryMallocStats returns figures of Go's allocator.
func memoryMallocStats(*call, [][]byte) resp.Reply {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var out strings.Builder
	fmt.Fprintf(&out, "Go's allocator, of the whole process, in bytes:\n")
	for _, f := range []field{
		{"heap, allocated", m.HeapAlloc},
		{"heap, in use", m.HeapInuse},
		{"heap, idle", m.HeapIdle},
		{"heap, given back", m.HeapReleased},
		{"stacks", m.StackSys},
		{"from the system", m.Sys},
		{"objects, counted", m.HeapObjects},
		{"collections, counted", m.NumGC},
	} {
		fmt.Fprintf(&out, "%s: %d\n", f.name, f.value)
	}
	return resp.Verbatim(out.String())
}

// memoryPurge returns unused memory to the operating system.
func memoryPurge(*call, [][]byte) resp.Reply {
	debug.FreeOSMemory()
	return resp.OK
}

// memoryUsage ignores SAMPLES: all elements count.
func memoryUsage(c *call, args [][]byte) resp.Reply {
	for i := 3; i < len(args); i += 2 {
		if !resp.Is(args[i], "SAMPLES") || i+1 == len(args) {
			return resp.SyntaxError
		}
		n, isInt := resp.ParseInt(args[i+1])
		switch {
		case !isInt:
			return resp.NotAnInteger
		case n < 0:
			return resp.SyntaxError
		}
	}
	e := c.DB.Find(args[2])
	if e == nil {
		return resp.Null
	}
	return resp.Int(e.Footprint())
}
