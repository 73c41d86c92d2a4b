package set

import (
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Intersections, unions and differences of sets.

var algebraCommands = []command.Command{
	{Name: "sinter", Arity: -2, Flags: command.ReadOnly, Keys: command.KeysUpTo(-1, 1, "RO access"), Run: sinter, ACL: "set", Tips: "nondeterministic_output_order",
		Group: "set", Since: "1.0.0", Complexity: "O(N*M) where N is the size of the smallest set and M the number of sets", Summary: "Returns the members that all of several sets have."},
	{Name: "sinterstore", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: storing("RW update"), Run: sinterstore, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(N*M) where N is the size of the smallest set and M the number of sets", Summary: "Stores the members that all of several sets have."},
	{Name: "sintercard", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, Keys: command.CountedKeys(1, "RO access"), Run: sintercard, ACL: "set",
		Group: "set", Since: "7.0.0", Complexity: "O(N*M) where N is the size of the smallest set and M the number of sets", Summary: "Counts the members that all of several sets have."},
	{Name: "sunion", Arity: -2, Flags: command.ReadOnly, Keys: command.KeysUpTo(-1, 1, "RO access"), Run: sunion, ACL: "set", Tips: "nondeterministic_output_order",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Returns the members of several sets."},
	{Name: "sunionstore", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: storing("OW update"), Run: sunionstore, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Stores the members of several sets."},
	{Name: "sdiff", Arity: -2, Flags: command.ReadOnly, Keys: command.KeysUpTo(-1, 1, "RO access"), Run: sdiff, ACL: "set", Tips: "nondeterministic_output_order",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Returns the members of a set that others do not have."},
	{Name: "sdiffstore", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: storing("OW update"), Run: sdiffstore, ACL: "set",
		Group: "set", Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Stores the members of a set that others do not have."},
}

// storing is for commands that store in the first key what they make of the others.
func storing(flags string) []command.KeySpec {
	return []command.KeySpec{{Flags: flags, First: 1, Step: 1}, {Flags: "RO access", First: 2, Last: -1, Step: 1}}
}

// An operation makes a set of others, of which those that do not exist are nil.
type operation func(sets []*set, t *keyspace.Thresholds) *set

func sinter(c *keyspace.Call, args [][]byte) resp.Reply { return answerSet(c, args[1:], intersection) }
func sunion(c *keyspace.Call, args [][]byte) resp.Reply { return answerSet(c, args[1:], union) }
func sdiff(c *keyspace.Call, args [][]byte) resp.Reply  { return answerSet(c, args[1:], difference) }

func sinterstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeSet(c, args, intersection, "sinterstore")
}
func sunionstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeSet(c, args, union, "sunionstore")
}
func sdiffstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeSet(c, args, difference, "sdiffstore")
}

func answerSet(c *keyspace.Call, keys [][]byte, combine operation) resp.Reply {
	sets, areSets := lookupSets(c, keys)
	if !areSets {
		return resp.WrongType
	}
	s := combine(sets, &c.Thresholds)
	return resp.StringSet(s.length(), s.all())
}

func storeSet(c *keyspace.Call, args [][]byte, combine operation, event string) resp.Reply {
	key := args[1]
	sets, areSets := lookupSets(c, args[2:])
	if !areSets {
		return resp.WrongType
	}
	if s := combine(sets, &c.Thresholds); s.length() > 0 {
		c.Replace(key, s)
		c.SignalModified(c.Caller, c.DB, key)
		c.AnswerFirst()
		c.Notify(c.DB, key, keyspace.SetEvent, event)
		return resp.Int(s.length())
	}
	if event != "sinterstore" || !slices.Contains(sets, nil) {
		c.AnswerFirst()
	}
	if e := c.Find(key); e != nil {
		c.Remove(e)
		c.Changed(key, keyspace.GenericEvent, "del")
	}
	return resp.Zero
}

// lookupSets returns the sets that keys hold, nil where there is none. It reports false if
// one holds something else.
func lookupSets(c *keyspace.Call, keys [][]byte) (sets []*set, areSets bool) {
	for _, key := range keys {
		s, isSet := asSet(c.Lookup(key))
		if !isSet {
			return nil, false
		}
		sets = append(sets, s)
	}
	return sets, true
}

func sintercard(c *keyspace.Call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[1])
	switch {
	case !isInt || n < 1:
		return resp.ErrorReply("ERR numkeys should be greater than 0")
	case n > int64(len(args)-2):
		return resp.ErrorReply("ERR Number of keys can't be greater than number of args")
	}
	limit := int64(0)
	for i := 2 + int(n); i < len(args); i += 2 {
		if !resp.Is(args[i], "LIMIT") || i+1 == len(args) {
			return resp.SyntaxError
		}
		if limit, isInt = resp.ParseInt(args[i+1]); !isInt || limit < 0 {
			return resp.ErrorReply("ERR LIMIT can't be negative")
		}
	}
	sets, areSets := lookupSets(c, args[2:2+n])
	if !areSets {
		return resp.WrongType
	}
	common := int64(0)
	eachCommon(sets, func([]byte) bool {
		common++
		return common != limit
	})
	return resp.Integer(common)
}

// eachCommon lists the members that all sets have, in the order of the smallest.
func eachCommon(sets []*set, yield func([]byte) bool) {
	if slices.Contains(sets, nil) {
		return
	}
	sets = slices.Clone(sets)
	slices.SortStableFunc(sets, func(x, y *set) int { return x.length() - y.length() })
	for name := range sets[0].all() {
		isCommon := !slices.ContainsFunc(sets[1:], func(s *set) bool { return !s.Has(name) })
		if isCommon && !yield(name) {
			return
		}
	}
}

func intersection(sets []*set, t *keyspace.Thresholds) *set {
	common := &set{}
	eachCommon(sets, func(name []byte) bool { return common.add(name, t) })
	return common
}

func union(sets []*set, t *keyspace.Thresholds) *set {
	all := &set{}
	for _, s := range sets {
		if s != nil {
			for name := range s.all() {
				all.add(name, t)
			}
		}
	}
	return all
}

// difference makes a set of the members of the first one that no other has. It is made as
// Redis makes it, as its encoding depends on that: member by member, or where that takes
// longer of all of them, from which the others' are removed.
func difference(sets []*set, t *keyspace.Thresholds) *set {
	rest := &set{}
	first, others := sets[0], slices.DeleteFunc(slices.Clone(sets[1:]), func(s *set) bool { return s == nil })
	if first == nil || slices.Contains(others, first) {
		return rest
	}
	total := first.length()
	for _, s := range others {
		total += s.length()
	}
	if first.length()*(1+len(others))/2 <= total {
		for name := range first.all() {
			if !slices.ContainsFunc(others, func(s *set) bool { return s.Has(name) }) {
				rest.add(name, t)
			}
		}
		return rest
	}
	for name := range first.all() {
		rest.add(name, t)
	}
	for _, s := range others {
		for name := range s.all() {
			rest.remove(name)
		}
	}
	return rest
}
