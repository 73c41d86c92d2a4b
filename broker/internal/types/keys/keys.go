// Package keys has the commands for keys of any type.
package keys

import (
	"iter"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for keys of any type.
var Commands = slices.Concat(keyCommands, renameCommands, dumpCommands, migrateCommands, sortCommands, objectCommands)

var keyCommands = []command.Command{
	{Name: "del", Arity: -2, Flags: command.Write, Keys: command.KeysUpTo(-1, 1, "RM delete"), Run: del, ACL: "keyspace", Tips: "request_policy:multi_shard response_policy:agg_sum",
		Group: "generic", Since: "1.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Deletes keys."},
	{Name: "unlink", Arity: -2, Flags: command.Write | command.Fast, Keys: command.KeysUpTo(-1, 1, "RM delete"), Run: del, ACL: "keyspace", Tips: "request_policy:multi_shard response_policy:agg_sum",
		Group: "generic", Since: "4.0.0", Complexity: "O(1) for each key", Summary: "Deletes keys, and frees their memory later."},
	{Name: "exists", Arity: -2, Flags: command.ReadOnly | command.Fast, Keys: command.KeysUpTo(-1, 1, "RO"), Run: exists, ACL: "keyspace", Tips: "request_policy:multi_shard response_policy:agg_sum",
		Group: "generic", Since: "1.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Counts how many of the given keys exist."},
	{Name: "type", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: typeOf, ACL: "keyspace",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the type of a key's value."},
	{Name: "expire", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: expire, ACL: "keyspace",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Makes a key expire in a number of seconds."},
	{Name: "pexpire", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: pexpire, ACL: "keyspace",
		Group: "generic", Since: "2.6.0", Complexity: "O(1)", Summary: "Makes a key expire in a number of milliseconds."},
	{Name: "expireat", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: expireat, ACL: "keyspace",
		Group: "generic", Since: "1.2.0", Complexity: "O(1)", Summary: "Makes a key expire at a time in seconds."},
	{Name: "pexpireat", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: pexpireat, ACL: "keyspace",
		Group: "generic", Since: "2.6.0", Complexity: "O(1)", Summary: "Makes a key expire at a time in milliseconds."},
	{Name: "ttl", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: ttl, ACL: "keyspace", Tips: "nondeterministic_output",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the time to live of a key, in seconds."},
	{Name: "pttl", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: pttl, ACL: "keyspace", Tips: "nondeterministic_output",
		Group: "generic", Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the time to live of a key, in milliseconds."},
	{Name: "persist", Arity: 2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: persist, ACL: "keyspace",
		Group: "generic", Since: "2.2.0", Complexity: "O(1)", Summary: "Removes the expiry of a key."},
	{Name: "scan", Arity: -2, Flags: command.ReadOnly, Run: scan, ACL: "keyspace", Tips: "nondeterministic_output request_policy:special",
		Group: "generic", Since: "2.8.0", Complexity: "O(1) for every call, O(N) for a complete iteration", Summary: "Iterates over the keys of the database."},
	{Name: "keys", Arity: 2, Flags: command.ReadOnly, Run: keys, ACL: "keyspace dangerous", Tips: "request_policy:all_shards nondeterministic_output_order",
		Group: "generic", Since: "1.0.0", Complexity: "O(N) where N is the number of keys in the database", Summary: "Returns all keys that match a pattern."},
	{Name: "expiretime", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: expiretime, ACL: "keyspace",
		Group: "generic", Since: "7.0.0", Complexity: "O(1)", Summary: "Returns when a key expires, in seconds since 1970."},
	{Name: "pexpiretime", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: pexpiretime, ACL: "keyspace",
		Group: "generic", Since: "7.0.0", Complexity: "O(1)", Summary: "Returns when a key expires, in milliseconds since 1970."},
	{Name: "randomkey", Arity: 1, Flags: command.ReadOnly, Run: randomkey, ACL: "keyspace", Tips: "request_policy:all_shards nondeterministic_output",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns a random key of the database."},
	{Name: "touch", Arity: -2, Flags: command.ReadOnly | command.Fast, Keys: command.KeysUpTo(-1, 1, "RO"), Run: touch, ACL: "keyspace", Tips: "request_policy:multi_shard response_policy:agg_sum",
		Group: "generic", Since: "3.2.1", Complexity: "O(N) where N is the number of keys", Summary: "Counts how many of the given keys exist, and marks them as used."},
}

func del(c *keyspace.Call, args [][]byte) resp.Reply {
	n := 0
	for _, key := range args[1:] {
		if e := c.Find(key); e != nil {
			c.Remove(e)
			c.Changed(key, keyspace.GenericEvent, "del")
			n++
		}
	}
	return resp.Int(n)
}

func exists(c *keyspace.Call, args [][]byte) resp.Reply { return countKeys(args[1:], c.Peek) }
func touch(c *keyspace.Call, args [][]byte) resp.Reply  { return countKeys(args[1:], c.Lookup) }

func countKeys(names [][]byte, lookup func(key []byte) *keyspace.Entry) resp.Reply {
	n := 0
	for _, key := range names {
		if lookup(key) != nil {
			n++
		}
	}
	return resp.Int(n)
}

func typeOf(c *keyspace.Call, args [][]byte) resp.Reply {
	if e := c.Peek(args[1]); e != nil {
		return resp.Simple(e.Value.Type().Name)
	}
	return resp.Simple("none")
}

func expire(c *keyspace.Call, args [][]byte) resp.Reply {
	return expireGeneric(c, args, keyspace.InSeconds)
}
func pexpire(c *keyspace.Call, args [][]byte) resp.Reply {
	return expireGeneric(c, args, keyspace.InMilliseconds)
}
func expireat(c *keyspace.Call, args [][]byte) resp.Reply {
	return expireGeneric(c, args, keyspace.AtSeconds)
}
func pexpireat(c *keyspace.Call, args [][]byte) resp.Reply {
	return expireGeneric(c, args, keyspace.AtMilliseconds)
}

func expireGeneric(c *keyspace.Call, args [][]byte, unit keyspace.TimeUnit) resp.Reply {
	var nx, xx, gt, lt bool
	for _, arg := range args[3:] {
		switch {
		case resp.Is(arg, "NX"):
			nx = true
		case resp.Is(arg, "XX"):
			xx = true
		case resp.Is(arg, "GT"):
			gt = true
		case resp.Is(arg, "LT"):
			lt = true
		default:
			return resp.Errorf("ERR Unsupported option %s", arg)
		}
	}
	switch {
	case nx && (xx || gt || lt):
		return resp.ErrorReply("ERR NX and XX, GT or LT options at the same time are not compatible")
	case gt && lt:
		return resp.ErrorReply("ERR GT and LT options at the same time are not compatible")
	}
	at, err := c.ParseTime(args[2], unit)
	if err != nil {
		return *err
	}
	e := c.Find(args[1])
	switch {
	case e == nil,
		nx && e.ExpiresAt != 0,
		xx && e.ExpiresAt == 0,
		gt && (e.ExpiresAt == 0 || at <= e.ExpiresAt),
		lt && e.ExpiresAt != 0 && at >= e.ExpiresAt:
		return resp.Zero
	}
	if at > c.Milliseconds() {
		c.AnswerFirst()
	}
	c.Expire(e, at)
	return resp.One
}

// toSeconds rounds milliseconds.
func toSeconds(ms int64) int64 { return ms/1000 + (ms%1000+500)/1000 }

func ttl(c *keyspace.Call, args [][]byte) resp.Reply        { return expiry(c, args, true, toSeconds) }
func pttl(c *keyspace.Call, args [][]byte) resp.Reply       { return expiry(c, args, true, toMilliseconds) }
func expiretime(c *keyspace.Call, args [][]byte) resp.Reply { return expiry(c, args, false, toSeconds) }
func pexpiretime(c *keyspace.Call, args [][]byte) resp.Reply {
	return expiry(c, args, false, toMilliseconds)
}

func toMilliseconds(ms int64) int64 { return ms }

// expiry answers when a key expires, from now or since 1970.
func expiry(c *keyspace.Call, args [][]byte, fromNow bool, unit func(ms int64) int64) resp.Reply {
	e := c.Peek(args[1])
	switch {
	case e == nil:
		return resp.Integer(-2)
	case e.ExpiresAt == 0:
		return resp.Integer(-1)
	case fromNow:
		return resp.Integer(unit(e.ExpiresAt - c.Milliseconds()))
	}
	return resp.Integer(unit(e.ExpiresAt))
}

func randomkey(c *keyspace.Call, _ [][]byte) resp.Reply {
	if c.DB.Len() == 0 {
		return resp.Null
	}
	return resp.BulkString(c.DB.Random().Key)
}

func persist(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[1])
	if e == nil || !c.Persist(e) {
		return resp.Zero
	}
	c.Changed(args[1], keyspace.GenericEvent, "persist")
	return resp.One
}

func keys(c *keyspace.Call, args [][]byte) resp.Reply {
	pattern := string(args[1])
	if pattern == "*" {
		return namesOf(c.DB.Len(), c.DB.All())
	}
	var found []*keyspace.Entry
	for e := range c.DB.All() {
		if glob.Match(pattern, e.Key, false) {
			found = append(found, e)
		}
	}
	return namesOf(len(found), slices.Values(found))
}

// namesOf lists the keys of entries.
func namesOf(n int, entries iter.Seq[*keyspace.Entry]) resp.Reply {
	return resp.Strings(n, func(yield func([]byte) bool) {
		var name []byte
		for e := range entries {
			if name = append(name[:0], e.Key...); !yield(name) {
				return
			}
		}
	})
}

// scan walks keys in the order of their hashes.
func scan(c *keyspace.Call, args [][]byte) resp.Reply {
	cursor, err := keyspace.ParseCursor(args[1])
	if err != nil {
		return *err
	}
	var o keyspace.ScanOptions
	if err := o.Parse(args[2:], true); err != nil {
		return *err
	}
	var found []*keyspace.Entry
	next := c.DB.Scan(cursor, o.Count, func(e *keyspace.Entry) {
		if !o.Matches(e.Key) {
			return
		}
		if o.HasType {
			c.Hits++ // Redis looks the key up
			if o.Type != e.Value.Type().Name {
				return
			}
		}
		found = append(found, e)
	})
	return keyspace.ScanReply(next, namesOf(len(found), slices.Values(found)))
}
