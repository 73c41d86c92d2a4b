package set

import (
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for sets.
var Commands = slices.Concat(setCommands, algebraCommands)

var setCommands = []command.Command{
	{Name: "sadd", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: sadd, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members", Summary: "Adds members to a set."},
	{Name: "srem", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW delete"), Run: srem, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members", Summary: "Removes members of a set."},
	{Name: "smove", Arity: 4, Flags: command.Write | command.Fast, Keys: command.TwoKeys("RW access delete", "RW insert"), Run: smove, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(1)", Summary: "Moves a member from one set to another."},
	{Name: "sismember", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: sismember, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(1)", Summary: "Tells whether a set has a member."},
	{Name: "smismember", Arity: -3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: smismember, ACL: "set",
		Group: "set", Since: "6.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Tells which of several members a set has."},
	{Name: "scard", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: scard, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of members of a set."},
	{Name: "smembers", Arity: 2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: smembers, ACL: "set", Tips: "nondeterministic_output_order",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members", Summary: "Returns all members of a set."},
	{Name: "spop", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: spop, ACL: "set", Tips: "nondeterministic_output",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members returned", Summary: "Removes random members of a set and returns them."},
	{Name: "srandmember", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: srandmember, ACL: "set", Tips: "nondeterministic_output",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members returned", Summary: "Returns random members of a set."},
	{Name: "sscan", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: keyspace.ScanElements[*set], ACL: "set", Tips: "nondeterministic_output",
		Group: "set", Since: "2.8.0", Complexity: "O(1) for every call, O(N) for a complete iteration", Summary: "Iterates over the members of a set."},
}

var emptySet = resp.Set()

// asSet returns the value of a set key, or nil if there is no such key. It reports false if
// the key holds something else.
func asSet(e *keyspace.Entry) (*set, bool) {
	if e == nil {
		return nil, true
	}
	s, isSet := e.Value.(*set)
	return s, isSet
}

// setOf returns the set that a key holds, for a command that writes it: nil if there is no
// such key, false if it holds something else.
func setOf(c *keyspace.Call, key []byte) (*keyspace.Entry, *set, bool) {
	e := c.Find(key)
	s, isSet := asSet(e)
	return e, s, isSet
}

// dropEmpty deletes a set that has become empty.
func dropEmpty(c *keyspace.Call, e *keyspace.Entry, s *set) {
	if s.length() == 0 {
		c.Remove(e)
		c.Notify(c.DB, []byte(e.Key), keyspace.GenericEvent, "del")
	}
}

func sadd(c *keyspace.Call, args [][]byte) resp.Reply {
	_, s, isSet := setOf(c, args[1])
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil:
		s = &set{}
		c.Create(args[1], s)
	}
	added := 0
	for _, name := range args[2:] {
		if s.add(name, &c.Thresholds) {
			added++
		}
	}
	if added > 0 {
		c.Changed(args[1], keyspace.SetEvent, "sadd")
	}
	return resp.Int(added)
}

func srem(c *keyspace.Call, args [][]byte) resp.Reply {
	e, s, isSet := setOf(c, args[1])
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	removed := 0
	for _, name := range args[2:] {
		if s.remove(name) {
			removed++
		}
	}
	if removed == 0 {
		return resp.Zero
	}
	if s.length() == 0 {
		c.Remove(e)
	}
	c.Changed(args[1], keyspace.SetEvent, "srem")
	if s.length() == 0 {
		c.Notify(c.DB, args[1], keyspace.GenericEvent, "del")
	}
	return resp.Int(removed)
}

func smove(c *keyspace.Call, args [][]byte) resp.Reply {
	e, from, isSet1 := setOf(c, args[1])
	_, to, isSet2 := setOf(c, args[2])
	name := args[3]
	switch {
	case e == nil:
		return resp.Zero
	case !isSet1 || !isSet2:
		return resp.WrongType
	case from == to:
		return truth(from.Has(name))
	case !from.remove(name):
		return resp.Zero
	}
	c.Notify(c.DB, args[1], keyspace.SetEvent, "srem")
	dropEmpty(c, e, from)
	if to == nil {
		to = &set{}
		c.Create(args[2], to)
	}
	c.SignalModified(c.Caller, c.DB, args[1])
	if to.add(name, &c.Thresholds) {
		c.Changed(args[2], keyspace.SetEvent, "sadd")
	}
	return resp.One
}

func truth(is bool) resp.Reply {
	if is {
		return resp.One
	}
	return resp.Zero
}

// read answers from the set that a key holds, or with missing if there is none.
func read(c *keyspace.Call, key []byte, missing resp.Reply, answer func(*set) resp.Reply) resp.Reply {
	s, isSet := asSet(c.Lookup(key))
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil:
		return missing
	}
	return answer(s)
}

func sismember(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Zero, func(s *set) resp.Reply { return truth(s.Has(args[2])) })
}

func smismember(c *keyspace.Call, args [][]byte) resp.Reply {
	s, isSet := asSet(c.Lookup(args[1]))
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil:
		s = &set{}
	}
	answers := make([]resp.Reply, 0, len(args)-2)
	for _, name := range args[2:] {
		answers = append(answers, truth(s.Has(name)))
	}
	return resp.Array(answers...)
}

func scard(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Zero, func(s *set) resp.Reply { return resp.Int(s.length()) })
}

func smembers(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], emptySet, func(s *set) resp.Reply { return resp.StringSet(s.length(), s.all()) })
}

func spop(c *keyspace.Call, args [][]byte) resp.Reply {
	switch {
	case len(args) == 3:
		return popSome(c, args[1], args[2])
	case len(args) > 3:
		return resp.SyntaxError
	}
	e, s, isSet := setOf(c, args[1])
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil:
		return resp.Null
	}
	name := s.pop()
	c.Notify(c.DB, args[1], keyspace.SetEvent, "spop")
	c.AnswerFirst()
	dropEmpty(c, e, s)
	c.SignalModified(c.Caller, c.DB, args[1])
	return resp.Bulk(name)
}

func popSome(c *keyspace.Call, key, count []byte) resp.Reply {
	n, isInt := resp.ParseInt(count)
	if !isInt || n < 0 {
		return resp.NotPositive
	}
	e, s, isSet := setOf(c, key)
	switch {
	case !isSet:
		return resp.WrongType
	case s == nil || n == 0:
		return emptySet
	}
	c.Notify(c.DB, key, keyspace.SetEvent, "spop")
	var popped [][]byte
	if n >= int64(s.length()) {
		c.Lookup(key) // Redis does, as it answers with a union of the one set
		s = union([]*set{s}, &c.Thresholds)
		c.AnswerFirst()
		c.Remove(e)
		c.Notify(c.DB, key, keyspace.GenericEvent, "del")
		c.SignalModified(c.Caller, c.DB, key)
		return resp.StringSet(s.length(), s.all())
	}
	for int64(len(popped)) < n {
		popped = append(popped, s.pop())
	}
	c.AnswerFirst()
	c.SignalModified(c.Caller, c.DB, key)
	return resp.StringSet(len(popped), slices.Values(popped))
}

func srandmember(c *keyspace.Call, args [][]byte) resp.Reply {
	switch {
	case len(args) == 2:
		return read(c, args[1], resp.Null, func(s *set) resp.Reply { return resp.Bulk(s.random()()) })
	case len(args) > 3:
		return resp.SyntaxError
	}
	n, err := resp.ParseCount(args[2])
	if err != nil {
		return *err
	}
	return read(c, args[1], resp.EmptyArray, func(s *set) resp.Reply {
		if !c.MayDraw(n, s.length(), len(s.ints.packed)+s.bytes) {
			return resp.CountOutOfRange
		}
		return resp.Strings(keyspace.Draw[[]byte]{Size: s.length(), All: s.all(), Random: s.random, Sample: s.sample}.Elements(n))
	})
}
