package keys

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands that move values between keys and databases.

var renameCommands = []command.Command{
	{Name: "rename", Arity: 3, Flags: command.Write, Keys: command.TwoKeys("RW access delete", "OW update"), Run: rename, ACL: "keyspace",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Renames a key, replacing the target."},
	{Name: "renamenx", Arity: 3, Flags: command.Write | command.Fast, Keys: command.TwoKeys("RW access delete", "OW insert"), Run: renamenx, ACL: "keyspace",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Renames a key, unless the target exists."},
	{Name: "copy", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: command.TwoKeys("RO access", "OW update"), Run: copyKey, ACL: "keyspace",
		Group: "generic", Since: "6.2.0", Complexity: "O(N) where N is the number of elements", Summary: "Copies a value to another key, or another database."},
	{Name: "move", Arity: 3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access update"), Run: move, ACL: "keyspace",
		Group: "generic", Since: "1.0.0", Complexity: "O(1)", Summary: "Moves a key to another database."},
}

func rename(c *keyspace.Call, args [][]byte) resp.Reply {
	if failed := renameKey(c, args[1], args[2], true); failed != nil {
		return *failed
	}
	return resp.OK
}

func renamenx(c *keyspace.Call, args [][]byte) resp.Reply {
	if failed := renameKey(c, args[1], args[2], false); failed != nil {
		return *failed
	}
	return resp.One
}

// renameKey renames a key, replacing the new one only if replace. It returns the reply if
// there is nothing to do.
func renameKey(c *keyspace.Call, from, to []byte, replace bool) *resp.Reply {
	e := c.Find(from)
	if e == nil {
		return &resp.NoSuchKey
	}
	if old := c.Find(to); old != nil {
		switch {
		case !replace:
			return &resp.Zero
		case old == e:
			return &resp.OK
		}
		c.Remove(old)
	}
	v, at := e.Value, e.ExpiresAt
	c.Remove(e)
	renamed := c.Create(to, v)
	renamed.Inherit(e)
	if at != 0 {
		c.SetExpiry(renamed, at)
	}
	c.SignalModified(c.Caller, c.DB, from)
	c.SignalModified(c.Caller, c.DB, to)
	c.Notify(c.DB, from, keyspace.GenericEvent, "rename_from")
	c.Notify(c.DB, to, keyspace.GenericEvent, "rename_to")
	return nil
}

var sameObject = resp.ErrorReply("ERR source and destination objects are the same")

func copyKey(c *keyspace.Call, args [][]byte) resp.Reply {
	target, replace := c.DB, false
	for i := 3; i < len(args); i++ {
		switch {
		case resp.Is(args[i], "REPLACE"):
			replace = true
		case resp.Is(args[i], "DB") && i+1 < len(args):
			i++
			var err *resp.Reply
			if target, err = c.ParseDB(args[i]); err != nil {
				return *err
			}
		default:
			return resp.SyntaxError
		}
	}
	if target == c.DB && string(args[1]) == string(args[2]) {
		return sameObject
	}
	e := c.Lookup(args[1])
	if e == nil {
		return resp.Zero
	}
	if old := target.Find(args[2]); old != nil {
		if !replace {
			return resp.Zero
		}
		c.Remove(old)
	}
	added := c.Add(target, args[2], e.Value.Clone())
	if e.ExpiresAt != 0 {
		c.SetExpiry(added, e.ExpiresAt)
	}
	c.SignalModified(c.Caller, target, args[2])
	c.Notify(target, args[2], keyspace.GenericEvent, "copy_to")
	return resp.One
}

func move(c *keyspace.Call, args [][]byte) resp.Reply {
	target, err := c.ParseDB(args[2])
	if err != nil {
		return *err
	}
	if target == c.DB {
		return sameObject
	}
	e := c.Find(args[1])
	if e == nil || target.Find(args[1]) != nil {
		return resp.Zero
	}
	v, at := e.Value, e.ExpiresAt
	c.Remove(e)
	moved := c.Add(target, args[1], v)
	moved.Inherit(e)
	if at != 0 {
		c.SetExpiry(moved, at)
	}
	c.SignalModified(c.Caller, c.DB, args[1])
	c.SignalModified(c.Caller, target, args[1])
	c.Notify(c.DB, args[1], keyspace.GenericEvent, "move_from")
	c.Notify(target, args[1], keyspace.GenericEvent, "move_to")
	return resp.One
}
