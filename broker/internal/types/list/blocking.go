package list

import (
	"bytes"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

var blockingCommands = []command.Command{
	{Name: "blpop", Arity: -3, Flags: command.Write | command.NoScript | command.Blocking, Keys: command.KeysUpTo(-2, 1, "RW access delete"), Run: blpop, ACL: "list",
		Group: "list", Since: "2.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Removes the head of the first list that is not empty, waiting for one if need be."},
	{Name: "brpop", Arity: -3, Flags: command.Write | command.NoScript | command.Blocking, Keys: command.KeysUpTo(-2, 1, "RW access delete"), Run: brpop, ACL: "list",
		Group: "list", Since: "2.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Removes the tail of the first list that is not empty, waiting for one if need be."},
	{Name: "blmove", Arity: 6, Flags: command.Write | command.DenyOOM | command.NoScript | command.Blocking, Keys: command.TwoKeys("RW access delete", "RW insert"), Run: blmove, ACL: "list",
		Group: "list", Since: "6.2.0", Complexity: "O(1)", Summary: "Moves an element from one list to another, waiting for one if need be."},
	{Name: "brpoplpush", Arity: 4, Flags: command.Write | command.DenyOOM | command.NoScript | command.Blocking, Keys: command.TwoKeys("RW access delete", "RW insert"), Run: brpoplpush, ACL: "list",
		Group: "list", Since: "2.2.0", Complexity: "O(1)", Summary: "Moves an element from the tail of a list to the head of another, waiting for one if need be."},
	{Name: "blmpop", Arity: -5, Flags: command.Write | command.Blocking | command.MovableKeys, Keys: command.CountedKeys(2, "RW access delete"), Run: blmpop, ACL: "list",
		Group: "list", Since: "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned", Summary: "Removes elements from the first list that is not empty, waiting for one if need be."},
}

func blpop(c *keyspace.Call, args [][]byte) resp.Reply { return blockingPop(c, args, left) }
func brpop(c *keyspace.Call, args [][]byte) resp.Reply { return blockingPop(c, args, right) }

func blockingPop(c *keyspace.Call, args [][]byte, from end) resp.Reply {
	timeout, err := c.ParseTimeout(args[len(args)-1])
	if err != nil {
		return *err
	}
	return keyspace.PopOrWait(c, args[1:len(args)-1], timeout, func(c *keyspace.Call, e *keyspace.Entry, l *list) resp.Reply {
		r := resp.Array(resp.BulkString(e.Key), resp.Bulk(l.pop(from)))
		c.AnswerFirst()
		shrunk(c, e, l, from.popped())
		return r
	})
}

func blmpop(c *keyspace.Call, args [][]byte) resp.Reply {
	names, from, n, err := keyspace.ParseMultiPop(args[2:], parseEnd)
	if err != nil {
		return *err
	}
	timeout, err := c.ParseTimeout(args[1])
	if err != nil {
		return *err
	}
	return keyspace.PopOrWait(c, names, timeout, func(c *keyspace.Call, e *keyspace.Entry, l *list) resp.Reply {
		c.Woken = false // Redis signals the modification, unlike for BLPOP and BLMOVE
		return resp.Array(resp.BulkString(e.Key), popMany(c, e, l, from, n))
	})
}

func blmove(c *keyspace.Call, args [][]byte) resp.Reply {
	from, ok1 := parseEnd(args[3])
	to, ok2 := parseEnd(args[4])
	if !ok1 || !ok2 {
		return resp.SyntaxError
	}
	return moveOrWait(c, args[1], args[2], from, to, args[5])
}

func brpoplpush(c *keyspace.Call, args [][]byte) resp.Reply {
	return moveOrWait(c, args[1], args[2], right, left, args[3])
}

func moveOrWait(c *keyspace.Call, source, target []byte, from, to end, timeoutArg []byte) resp.Reply {
	timeout, err := c.ParseTimeout(timeoutArg)
	if err != nil {
		return *err
	}
	e, l, isList := listOf(c, source)
	switch {
	case !isList:
		return resp.WrongType
	case l != nil:
		return moveFrom(c, e, l, target, from, to)
	}
	target = bytes.Clone(target)
	return (&keyspace.Wait{
		Keys: [][]byte{source}, Timeout: timeout, Refused: resp.Null, Late: resp.NullArray,
		Serve: keyspace.ServeOnly(func(c *keyspace.Call, e *keyspace.Entry, l *list) resp.Reply {
			return moveFrom(c, e, l, target, from, to)
		}),
	}).Reply()
}
