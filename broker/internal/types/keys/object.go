package keys

import (
	"math"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// OBJECT.

var objectCommands = []command.Command{
	{Name: "object", Arity: -2, Group: "generic", Since: "2.2.3", Complexity: "Depends on the sub-command.", Summary: "Commands about the representation of values.", Subs: []*command.Command{
		{Name: "encoding", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: objectEncoding, ACL: "keyspace", Tips: "nondeterministic_output", Since: "2.2.3", Complexity: "O(1)", Summary: "Returns the encoding that Redis would use."},
		{Name: "freq", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: objectFreq, ACL: "keyspace", Tips: "nondeterministic_output", Since: "4.0.0", Complexity: "O(1)", Summary: "Returns the access frequency of a key, under an LFU policy."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "keyspace", Since: "6.2.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "idletime", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: objectIdleTime, ACL: "keyspace", Tips: "nondeterministic_output", Since: "2.2.3", Complexity: "O(1)", Summary: "Returns for how many seconds a key has not been used."},
		{Name: "refcount", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: objectRefCount, ACL: "keyspace", Tips: "nondeterministic_output", Since: "2.2.3", Complexity: "O(1)", Summary: "Returns how many keys share a value."},
	}},
}

// references is how many keys share a value, which for the small integers of Redis is
// not counted.
func references(e *keyspace.Entry) int64 {
	if v, may := e.Value.(keyspace.Shared); may && v.IsShared() {
		return math.MaxInt32
	}
	return 1
}

// asked answers what an entry tells, or that there is none.
func asked(e *keyspace.Entry, tell func(*keyspace.Entry) resp.Reply) resp.Reply {
	if e == nil {
		return resp.Null
	}
	return tell(e)
}

func objectEncoding(c *keyspace.Call, args [][]byte) resp.Reply {
	return asked(c.Inspect(args[2]), func(e *keyspace.Entry) resp.Reply { return resp.BulkString(e.Value.Encoding()) })
}

func objectRefCount(c *keyspace.Call, args [][]byte) resp.Reply {
	return asked(c.Inspect(args[2]), func(e *keyspace.Entry) resp.Reply { return resp.Integer(references(e)) })
}

const switching = "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

func objectIdleTime(c *keyspace.Call, args [][]byte) resp.Reply {
	return asked(c.Inspect(args[2]), func(e *keyspace.Entry) resp.Reply {
		if c.Policy().IsLFU() {
			return resp.ErrorReply("ERR An LFU maxmemory policy is selected, idle time not tracked. " + switching)
		}
		return resp.Integer(int64(c.Second - e.Used))
	})
}

func objectFreq(c *keyspace.Call, args [][]byte) resp.Reply {
	return asked(c.Inspect(args[2]), func(e *keyspace.Entry) resp.Reply {
		if !c.Policy().IsLFU() {
			return resp.ErrorReply("ERR An LFU maxmemory policy is not selected, access frequency not tracked. " + switching)
		}
		return resp.Int(int(c.Frequency(e)))
	})
}
