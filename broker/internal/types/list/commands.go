package list

import (
	"bytes"
	"math"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for lists.
var Commands = slices.Concat(listCommands, blockingCommands)

var listCommands = []command.Command{
	{Name: "lpush", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: lpush, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(1) for each element", Summary: "Adds elements at the head of a list."},
	{Name: "rpush", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: rpush, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(1) for each element", Summary: "Adds elements at the tail of a list."},
	{Name: "lpushx", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: lpushx, ACL: "list",
		Group: "list", Since: "2.2.0", Complexity: "O(1) for each element", Summary: "Adds elements at the head of a list that exists."},
	{Name: "rpushx", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: rpushx, ACL: "list",
		Group: "list", Since: "2.2.0", Complexity: "O(1) for each element", Summary: "Adds elements at the tail of a list that exists."},
	{Name: "lpop", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: lpop, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N) where N is the number of elements returned", Summary: "Removes elements from the head of a list and returns them."},
	{Name: "rpop", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: rpop, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N) where N is the number of elements returned", Summary: "Removes elements from the tail of a list and returns them."},
	{Name: "llen", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: llen, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the length of a list."},
	{Name: "lrange", Arity: 4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: lrange, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(S+N) where S is the distance from the nearer end and N the number of elements returned", Summary: "Returns a range of a list."},
	{Name: "lindex", Arity: 3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: lindex, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N) where N is the distance from the nearer end", Summary: "Returns the element at an index."},
	{Name: "lset", Arity: 4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("RW update"), Run: lset, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N) where N is the distance from the nearer end", Summary: "Replaces the element at an index."},
	{Name: "lrem", Arity: 4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: lrem, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N+M) where N is the length of the list and M the number of elements removed", Summary: "Removes elements that are equal to a value."},
	{Name: "ltrim", Arity: 4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: ltrim, ACL: "list",
		Group: "list", Since: "1.0.0", Complexity: "O(N) where N is the number of elements removed", Summary: "Removes all but a range of a list."},
	{Name: "linsert", Arity: 5, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("RW insert"), Run: linsert, ACL: "list",
		Group: "list", Since: "2.2.0", Complexity: "O(N) where N is the distance from the head", Summary: "Inserts an element before or after another."},
	{Name: "lpos", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: lpos, ACL: "list",
		Group: "list", Since: "6.0.6", Complexity: "O(N) where N is the length of the list", Summary: "Returns the indexes of the elements equal to a value."},
	{Name: "lmove", Arity: 5, Flags: command.Write | command.DenyOOM, Keys: command.TwoKeys("RW access delete", "RW insert"), Run: lmove, ACL: "list",
		Group: "list", Since: "6.2.0", Complexity: "O(1)", Summary: "Moves an element from one end of a list to an end of another."},
	{Name: "rpoplpush", Arity: 3, Flags: command.Write | command.DenyOOM, Keys: command.TwoKeys("RW access delete", "RW insert"), Run: rpoplpush, ACL: "list",
		Group: "list", Since: "1.2.0", Complexity: "O(1)", Summary: "Moves an element from the tail of a list to the head of another."},
	{Name: "lmpop", Arity: -4, Flags: command.Write | command.MovableKeys, Keys: command.CountedKeys(1, "RW access delete"), Run: lmpop, ACL: "list",
		Group: "list", Since: "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned", Summary: "Removes elements from the first list that is not empty and returns them."},
}

// asList returns the value of a list key, or nil if there is no such key. It
// reports false if the key holds something else.
func asList(e *keyspace.Entry) (*list, bool) {
	if e == nil {
		return nil, true
	}
	l, isList := e.Value.(*list)
	return l, isList
}

// listOf returns the list that a key holds, for a command that writes it: nil if
// there is no such key, false if it holds something else.
func listOf(c *keyspace.Call, key []byte) (*keyspace.Entry, *list, bool) {
	e := c.Find(key)
	l, isList := asList(e)
	return e, l, isList
}

// pushed and popped are the events of what happens at an end of a list.
func (e end) pushed() string {
	if e == left {
		return "lpush"
	}
	return "rpush"
}

func (e end) popped() string {
	if e == left {
		return "lpop"
	}
	return "rpop"
}

// shrunk signals that elements were removed from a list, and deletes it if it is empty. For a
// blocked client the event is only published, as the push has signalled the modification.
func shrunk(c *keyspace.Call, e *keyspace.Entry, l *list, event string) {
	key := []byte(e.Key)
	c.Notify(c.DB, key, keyspace.ListEvent, event)
	dropEmpty(c, e, l)
	switch {
	case !c.Woken:
		c.SignalModified(c.Caller, c.DB, key)
	case c.MaxMemory > 0 && l.length > 0:
		c.Measure(e)
	}
}

// dropEmpty deletes a list that has become empty.
func dropEmpty(c *keyspace.Call, e *keyspace.Entry, l *list) {
	if l.length == 0 {
		c.Remove(e)
		c.Notify(c.DB, []byte(e.Key), keyspace.GenericEvent, "del")
	}
}

func lpush(c *keyspace.Call, args [][]byte) resp.Reply  { return pushAll(c, args, left, true) }
func rpush(c *keyspace.Call, args [][]byte) resp.Reply  { return pushAll(c, args, right, true) }
func lpushx(c *keyspace.Call, args [][]byte) resp.Reply { return pushAll(c, args, left, false) }
func rpushx(c *keyspace.Call, args [][]byte) resp.Reply { return pushAll(c, args, right, false) }

func pushAll(c *keyspace.Call, args [][]byte, e end, create bool) resp.Reply {
	_, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil && !create:
		return resp.Zero
	case l == nil:
		l = &list{}
		c.Create(args[1], l)
	}
	for _, value := range args[2:] {
		l.push(e, value)
	}
	c.AnswerFirst()
	c.Changed(args[1], keyspace.ListEvent, e.pushed())
	return resp.Int(l.length)
}

func lpop(c *keyspace.Call, args [][]byte) resp.Reply { return popSome(c, args, left) }
func rpop(c *keyspace.Call, args [][]byte) resp.Reply { return popSome(c, args, right) }

func popSome(c *keyspace.Call, args [][]byte, from end) resp.Reply {
	if len(args) > 3 {
		return c.WrongNumber()
	}
	n, missing := int64(-1), resp.Null
	if len(args) == 3 {
		var isInt bool
		if n, isInt = resp.ParseInt(args[2]); !isInt || n < 0 {
			return resp.NotPositive
		}
		missing = resp.NullArray
	}
	e, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return missing
	case n == 0:
		return resp.EmptyArray
	case n < 0:
		value := l.pop(from)
		c.AnswerFirst()
		shrunk(c, e, l, from.popped())
		return resp.Bulk(value)
	}
	return popMany(c, e, l, from, n)
}

// popMany removes up to n elements from a list.
func popMany(c *keyspace.Call, e *keyspace.Entry, l *list, from end, n int64) resp.Reply {
	values := make([][]byte, 0, min(n, int64(l.length)))
	for int64(len(values)) < n && l.length > 0 {
		values = append(values, l.pop(from))
	}
	c.AnswerFirst()
	shrunk(c, e, l, from.popped())
	return resp.Strings(len(values), slices.Values(values))
}

func llen(c *keyspace.Call, args [][]byte) resp.Reply {
	l, isList := asList(c.Lookup(args[1]))
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.Zero
	}
	return resp.Int(l.length)
}

// between resolves a range of indexes, where negative ones count from the end,
// to a first index and a number of elements.
func (l *list) between(start, stop int64) (first, n int) {
	length := int64(l.length)
	if start < 0 {
		start = max(0, start+length)
	}
	if stop < 0 {
		stop += length
	}
	stop = min(stop, length-1)
	if start > stop || start >= length {
		return 0, 0
	}
	return int(start), int(stop - start + 1)
}

func lrange(c *keyspace.Call, args [][]byte) resp.Reply {
	start, stop, isInt := resp.ParseRange(args[2:])
	if !isInt {
		return resp.NotAnInteger
	}
	l, isList := asList(c.Lookup(args[1]))
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.EmptyArray
	}
	first, n := l.between(start, stop)
	if n == 0 {
		return resp.EmptyArray
	}
	return resp.Strings(n, func(yield func([]byte) bool) {
		p := l.seek(first)
		for i := 0; i < n && yield(p.value()); i++ {
			p = p.next()
		}
	})
}

// find returns the place of an index, where negative ones count from the end.
func (l *list) find(index int64) (p place, found bool) {
	if index < 0 {
		index += int64(l.length)
	}
	if index < 0 || index >= int64(l.length) {
		return place{}, false
	}
	return l.seek(int(index)), true
}

func lindex(c *keyspace.Call, args [][]byte) resp.Reply {
	l, isList := asList(c.Lookup(args[1]))
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.Null
	}
	index, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	p, found := l.find(index)
	if !found {
		return resp.Null
	}
	return resp.Bulk(p.value())
}

func lset(c *keyspace.Call, args [][]byte) resp.Reply {
	_, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.NoSuchKey
	}
	index, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	p, found := l.find(index)
	if !found {
		return resp.IndexOutOfRange
	}
	l.set(p, args[3])
	c.AnswerFirst()
	c.Changed(args[1], keyspace.ListEvent, "lset")
	return resp.OK
}

func lrem(c *keyspace.Call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	e, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.Zero
	}
	removed := l.removeEqual(args[3], n)
	if removed > 0 {
		c.Changed(args[1], keyspace.ListEvent, "lrem")
		dropEmpty(c, e, l)
	}
	return resp.Int(removed)
}

// removeEqual removes up to n elements equal to value from the head on, up to -n
// from the tail on if n is negative, and all of them if it is 0.
func (l *list) removeEqual(value []byte, n int64) (removed int) {
	if n >= 0 {
		for p := l.front(); p.valid() && (n == 0 || int64(removed) < n); {
			if bytes.Equal(p.value(), value) {
				p = l.remove(p)
				removed++
			} else {
				p = p.next()
			}
		}
		return removed
	}
	for p := l.back(); p.valid() && int64(removed) < magnitude(n); {
		before := p.prev() // stays where it is when what follows is removed
		if bytes.Equal(p.value(), value) {
			l.remove(p)
			removed++
		}
		p = before
	}
	return removed
}

// magnitude is the size of a negative number, as far as an int64 can hold it.
func magnitude(n int64) int64 {
	if n == math.MinInt64 {
		return math.MaxInt64
	}
	return -n
}

func ltrim(c *keyspace.Call, args [][]byte) resp.Reply {
	start, stop, isInt := resp.ParseRange(args[2:])
	if !isInt {
		return resp.NotAnInteger
	}
	e, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.OK
	}
	first, n := l.between(start, stop)
	behind := l.length - first - n
	l.drop(left, first)
	l.drop(right, behind)
	shrunk(c, e, l, "ltrim")
	return resp.OK
}

func linsert(c *keyspace.Call, args [][]byte) resp.Reply {
	before := resp.Is(args[2], "BEFORE")
	if !before && !resp.Is(args[2], "AFTER") {
		return resp.SyntaxError
	}
	_, l, isList := listOf(c, args[1])
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.Zero
	}
	for _, p := range l.walk(left) {
		if !bytes.Equal(p.value(), args[3]) {
			continue
		}
		if before {
			l.insertBefore(p, args[4])
		} else {
			l.insertAfter(p, args[4])
		}
		c.Changed(args[1], keyspace.ListEvent, "linsert")
		return resp.Int(l.length)
	}
	return resp.Integer(-1)
}

func lpos(c *keyspace.Call, args [][]byte) resp.Reply {
	rank, limit, longest := int64(1), int64(-1), int64(0)
	for i := 3; i < len(args); i += 2 {
		if i+1 == len(args) {
			return resp.SyntaxError
		}
		n, isInt := resp.ParseInt(args[i+1])
		switch {
		case resp.Is(args[i], "RANK"):
			switch {
			case !isInt:
				return resp.NotAnInteger
			case n == 0:
				return resp.ErrorReply("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
					"or use negative to start from the end of the list")
			}
			rank = n
		case resp.Is(args[i], "COUNT"):
			if !isInt || n < 0 {
				return resp.ErrorReply("ERR COUNT can't be negative")
			}
			limit = n
		case resp.Is(args[i], "MAXLEN"):
			if !isInt || n < 0 {
				return resp.ErrorReply("ERR MAXLEN can't be negative")
			}
			longest = n
		default:
			return resp.SyntaxError
		}
	}
	l, isList := asList(c.Lookup(args[1]))
	if !isList {
		return resp.WrongType
	}
	found := []resp.Reply{}
	if l != nil {
		found = l.positions(args[2], rank, limit, longest)
	}
	switch {
	case limit >= 0:
		return resp.Array(found...)
	case len(found) == 0:
		return resp.Null
	}
	return found[0]
}

// positions returns the indexes of the elements equal to value, from the rank-th
// match on, counted from the tail if rank is negative. It looks at no more than
// longest elements, and returns no more than limit indexes; 0 means all, and a
// limit of -1 means 1.
func (l *list) positions(value []byte, rank, limit, longest int64) []resp.Reply {
	from := left
	if rank < 0 { // the negative number without a positive one stays below every match
		from, rank = right, -rank
	}
	if limit < 0 {
		limit = 1
	}
	found := []resp.Reply{}
	looked, matches := int64(0), int64(0)
	for i, p := range l.walk(from) {
		if looked++; longest > 0 && looked > longest {
			break
		}
		if !bytes.Equal(p.value(), value) {
			continue
		}
		if matches++; matches < rank {
			continue
		}
		found = append(found, resp.Int(i))
		if limit > 0 && int64(len(found)) >= limit {
			break
		}
	}
	return found
}

func parseEnd(arg []byte) (end, bool) {
	switch {
	case resp.Is(arg, "LEFT"):
		return left, true
	case resp.Is(arg, "RIGHT"):
		return right, true
	}
	return left, false
}

func lmove(c *keyspace.Call, args [][]byte) resp.Reply {
	from, ok1 := parseEnd(args[3])
	to, ok2 := parseEnd(args[4])
	if !ok1 || !ok2 {
		return resp.SyntaxError
	}
	return moveElement(c, args[1], args[2], from, to)
}

func rpoplpush(c *keyspace.Call, args [][]byte) resp.Reply {
	return moveElement(c, args[1], args[2], right, left)
}

// moveElement moves an element to another list, or the same.
func moveElement(c *keyspace.Call, source, target []byte, from, to end) resp.Reply {
	e, l, isList := listOf(c, source)
	switch {
	case !isList:
		return resp.WrongType
	case l == nil:
		return resp.Null
	}
	return moveFrom(c, e, l, target, from, to)
}

func moveFrom(c *keyspace.Call, e *keyspace.Entry, l *list, target []byte, from, to end) resp.Reply {
	_, into, isList := listOf(c, target)
	if !isList {
		return resp.WrongType
	}
	value := bytes.Clone(l.pop(from)) // the list may reuse its memory for the push
	if into == nil {
		into = &list{}
		c.Create(target, into)
	}
	into.push(to, value)
	c.Changed(target, keyspace.ListEvent, to.pushed())
	c.AnswerFirst()
	shrunk(c, e, l, from.popped())
	return resp.Bulk(value)
}

func lmpop(c *keyspace.Call, args [][]byte) resp.Reply {
	names, from, n, err := keyspace.ParseMultiPop(args[1:], parseEnd)
	if err != nil {
		return *err
	}
	r, found := keyspace.PopFirst(c, names, func(c *keyspace.Call, e *keyspace.Entry, l *list) resp.Reply {
		return resp.Array(resp.BulkString(e.Key), popMany(c, e, l, from, n))
	})
	if !found {
		return resp.NullArray
	}
	return r
}
