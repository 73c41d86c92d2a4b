package zset

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands that remove members at an end, and those that wait for some.

var popCommands = []command.Command{
	{Name: "zpopmin", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: zpopmin, ACL: "sortedset",
		Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)*M) where N is the number of members and M the number of those removed", Summary: "Removes the members with the lowest scores and returns them."},
	{Name: "zpopmax", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: zpopmax, ACL: "sortedset",
		Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)*M) where N is the number of members and M the number of those removed", Summary: "Removes the members with the highest scores and returns them."},
	{Name: "zmpop", Arity: -4, Flags: command.Write | command.MovableKeys, Keys: command.CountedKeys(1, "RW access delete"), Run: zmpop, ACL: "sortedset",
		Group: "sorted-set", Since: "7.0.0", Complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the number of members and M the number of those removed", Summary: "Removes members from the first sorted set that is not empty and returns them."},
	{Name: "bzpopmin", Arity: -3, Flags: command.Write | command.NoScript | command.Blocking | command.Fast, Keys: command.KeysUpTo(-2, 1, "RW access delete"), Run: bzpopmin, ACL: "sortedset",
		Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)) where N is the number of members", Summary: "Removes the member with the lowest score from the first sorted set that is not empty, waiting for one if need be."},
	{Name: "bzpopmax", Arity: -3, Flags: command.Write | command.NoScript | command.Blocking | command.Fast, Keys: command.KeysUpTo(-2, 1, "RW access delete"), Run: bzpopmax, ACL: "sortedset",
		Group: "sorted-set", Since: "5.0.0", Complexity: "O(log(N)) where N is the number of members", Summary: "Removes the member with the highest score from the first sorted set that is not empty, waiting for one if need be."},
	{Name: "bzmpop", Arity: -5, Flags: command.Write | command.Blocking | command.MovableKeys, Keys: command.CountedKeys(2, "RW access delete"), Run: bzmpop, ACL: "sortedset",
		Group: "sorted-set", Since: "7.0.0", Complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the number of members and M the number of those removed", Summary: "Removes members from the first sorted set that is not empty, waiting for one if need be."},
}

// An end of a sorted set.
type end bool

const (
	least    end = false
	greatest end = true
)

// popped is the event of what happens at an end of a sorted set.
func (e end) popped() string {
	if e == least {
		return "zpopmin"
	}
	return "zpopmax"
}

func zpopmin(c *keyspace.Call, args [][]byte) resp.Reply { return popSome(c, args, least) }
func zpopmax(c *keyspace.Call, args [][]byte) resp.Reply { return popSome(c, args, greatest) }

func popSome(c *keyspace.Call, args [][]byte, from end) resp.Reply {
	n := int64(-1)
	switch {
	case len(args) > 3:
		return resp.SyntaxError
	case len(args) == 3:
		var isInt bool
		if n, isInt = resp.ParseInt(args[2]); !isInt || n < 0 {
			return resp.NotPositive
		}
	}
	e, s, isZset := zsetOf(c, args[1])
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil, n == 0:
		return resp.EmptyArray
	case n > 0:
		members := pop(c, e, s, from, n)
		return membersReply(len(members), each(members), true)
	}
	m := pop(c, e, s, from, 1)[0]
	return resp.Array(resp.Bulk(m.member), resp.Double(m.score))
}

// pop removes up to n members at an end. The event comes before the reply; in Redis it may come
// between its elements.
func pop(c *keyspace.Call, e *keyspace.Entry, s *zset, from end, n int64) []scored {
	members := s.pop(int(min(n, int64(s.len()))), from)
	key := []byte(e.Key)
	c.Notify(c.DB, key, keyspace.ZsetEvent, from.popped())
	c.SignalModified(c.Caller, c.DB, key)
	c.AnswerFirst()
	dropEmpty(c, e, s)
	return members
}

// nested is the answer of ZMPOP: the key, and pairs of members and scores.
func nested(e *keyspace.Entry, members []scored) resp.Reply {
	pairs := make([]resp.Reply, 0, len(members))
	for _, m := range members {
		pairs = append(pairs, resp.Array(resp.Bulk(m.member), resp.Double(m.score)))
	}
	return resp.Array(resp.BulkString(e.Key), resp.Array(pairs...))
}

func zmpop(c *keyspace.Call, args [][]byte) resp.Reply {
	names, from, n, err := keyspace.ParseMultiPop(args[1:], parseEnd)
	if err != nil {
		return *err
	}
	r, found := keyspace.PopFirst(c, names, func(c *keyspace.Call, e *keyspace.Entry, s *zset) resp.Reply {
		return nested(e, pop(c, e, s, from, n))
	})
	if !found {
		return resp.NullArray
	}
	return r
}

// parseEnd reads which end of a sorted set is meant.
func parseEnd(arg []byte) (end, bool) {
	switch {
	case resp.Is(arg, "MIN"):
		return least, true
	case resp.Is(arg, "MAX"):
		return greatest, true
	}
	return least, false
}

func bzpopmin(c *keyspace.Call, args [][]byte) resp.Reply { return blockingPop(c, args, least) }
func bzpopmax(c *keyspace.Call, args [][]byte) resp.Reply { return blockingPop(c, args, greatest) }

func blockingPop(c *keyspace.Call, args [][]byte, from end) resp.Reply {
	timeout, err := c.ParseTimeout(args[len(args)-1])
	if err != nil {
		return *err
	}
	return keyspace.PopOrWait(c, args[1:len(args)-1], timeout, func(c *keyspace.Call, e *keyspace.Entry, s *zset) resp.Reply {
		m := pop(c, e, s, from, 1)[0]
		return resp.Array(resp.BulkString(e.Key), resp.Bulk(m.member), resp.Double(m.score))
	})
}

func bzmpop(c *keyspace.Call, args [][]byte) resp.Reply {
	names, from, n, err := keyspace.ParseMultiPop(args[2:], parseEnd)
	if err != nil {
		return *err
	}
	timeout, err := c.ParseTimeout(args[1])
	if err != nil {
		return *err
	}
	return keyspace.PopOrWait(c, names, timeout, func(c *keyspace.Call, e *keyspace.Entry, s *zset) resp.Reply {
		return nested(e, pop(c, e, s, from, n))
	})
}
