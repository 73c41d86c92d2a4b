package stream

import (
	"math"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for streams.
var Commands = slices.Concat(entryCommands, readCommands, groupCommands, pendingCommands, infoCommands)

var entryCommands = []command.Command{
	{Name: "xadd", Arity: -5, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW update"), Run: xadd, ACL: "stream", Tips: "nondeterministic_output",
		Group: "stream", Since: "5.0.0", Complexity: "O(1), and O(N) to trim, where N is the number of entries removed", Summary: "Adds an entry to a stream, and trims it if asked to."},
	{Name: "xlen", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: xlen, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Returns the number of entries of a stream."},
	{Name: "xrange", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: xrange, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)+M) where N is the number of entries and M the number of those returned", Summary: "Returns the entries of a range of IDs."},
	{Name: "xrevrange", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: xrevrange, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)+M) where N is the number of entries and M the number of those returned", Summary: "Returns the entries of a range of IDs in reverse order."},
	{Name: "xdel", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW delete"), Run: xdel, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)) for each ID, where N is the number of entries", Summary: "Deletes entries of a stream."},
	{Name: "xtrim", Arity: -4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: xtrim, ACL: "stream", Tips: "nondeterministic_output",
		Group: "stream", Since: "5.0.0", Complexity: "O(N) where N is the number of entries removed", Summary: "Removes the oldest entries of a stream."},
	{Name: "xsetid", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW update"), Run: xsetid, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Sets the last ID of a stream, and its counters."},
}

// asStream returns the value of a stream's key, or nil if there is no such key. It reports false
// if the key holds something else.
func asStream(e *keyspace.Entry) (*stream, bool) {
	if e == nil {
		return nil, true
	}
	s, isStream := e.Value.(*stream)
	return s, isStream
}

// Errors of XADD and XSETID.
var (
	zeroID         = resp.ErrorReply("ERR The ID specified in XADD must be greater than 0-0")
	exhausted      = resp.ErrorReply("ERR The stream has exhausted the last possible ID, unable to add more items")
	notGreater     = resp.ErrorReply("ERR The ID specified in XADD is equal or smaller than the target stream top item")
	tooLarge       = resp.ErrorReply("ERR Elements are too large to be stored")
	addedNegative  = resp.ErrorReply("ERR entries_added must be positive")
	belowDeleted   = resp.ErrorReply("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
	belowTop       = resp.ErrorReply("ERR The ID specified in XSETID is smaller than the target stream top item")
	addedTooLittle = resp.ErrorReply("ERR The entries_added specified in XSETID is smaller than the target stream length")
)

func xadd(c *keyspace.Call, args [][]byte) resp.Reply {
	var o addOptions
	pairs, err := o.parse(c, args[2:])
	if err != nil {
		return *err
	}
	switch {
	case len(pairs) == 0 || len(pairs)%2 != 0:
		return c.WrongNumber()
	case o.idGiven && !o.anySeq && o.id.isZero():
		return zeroID
	}
	key := args[1]
	e := c.Find(key)
	s, isStream := asStream(e)
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil && o.keepMissing:
		return resp.Null
	case s == nil:
		s = &stream{}
		e = c.Create(key, s)
	case s.last == greatestID:
		return exhausted
	}
	id, err := o.idFor(c, s)
	if err != nil {
		return *err
	}
	if !isStorable(pairs) {
		return tooLarge
	}
	s.add(id, pairs, &c.Thresholds)
	c.AnswerFirst()
	c.Changed(key, keyspace.StreamEvent, "xadd")
	if o.strategy != noTrimming && s.trim(&o.trimming) > 0 {
		c.Notify(c.DB, key, keyspace.StreamEvent, "xtrim")
		c.Resized(e)
	}
	c.SignalReady(c.DB, e.Key) // it may have existed before
	return id.reply()
}

// idFor is the ID of the entry that is to be added.
func (o *addOptions) idFor(c *keyspace.Call, s *stream) (id entryID, err *resp.Reply) {
	valid := true
	switch {
	case !o.idGiven:
		id, valid = s.nextID(c.Milliseconds())
	case o.anySeq && o.id.ms == s.last.ms:
		id, valid = s.last, s.last.seq < math.MaxUint64
		id.seq++
	default:
		id = o.id
	}
	if !valid || !s.last.less(id) {
		return id, &notGreater
	}
	return id, nil
}

// isStorable reports whether fields and values fit into a node.
func isStorable(pairs [][]byte) bool {
	size := 0
	for _, text := range pairs {
		size += len(text)
	}
	return size <= largestNode
}

func xlen(c *keyspace.Call, args [][]byte) resp.Reply {
	s, isStream := asStream(c.Lookup(args[1]))
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	return resp.Int(s.length)
}

func xrange(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeOf(c, args[1], args[2], args[3], args[4:], false)
}

func xrevrange(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeOf(c, args[1], args[3], args[2], args[4:], true)
}

func rangeOf(c *keyspace.Call, key, from, to []byte, options [][]byte, reverse bool) resp.Reply {
	r, err := parseSpan(from, to)
	if err != nil {
		return *err
	}
	most := int64(math.MaxInt64)
	for ; len(options) > 0; options = options[2:] {
		if !resp.Is(options[0], "COUNT") || len(options) == 1 {
			return resp.SyntaxError
		}
		var isInt bool
		if most, isInt = resp.ParseInt(options[1]); !isInt {
			return resp.NotAnInteger
		}
		most = max(most, 0)
	}
	s, isStream := asStream(c.Lookup(key))
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.EmptyArray
	case most == 0:
		return resp.NullArray
	}
	return s.rangeReply(r, reverse, most)
}

func xdel(c *keyspace.Call, args [][]byte) resp.Reply {
	key := args[1]
	s, isStream := asStream(c.Find(key))
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	ids, err := parseIDs(args[2:])
	if err != nil {
		return *err
	}
	deleted := 0
	for _, id := range ids {
		if !s.delete(id) {
			continue
		}
		deleted++
		if s.maxDeleted.less(id) {
			s.maxDeleted = id
		}
	}
	if deleted > 0 {
		s.findFirst()
		c.Changed(key, keyspace.StreamEvent, "xdel")
	}
	return resp.Int(deleted)
}

// parseIDs reads IDs of the form ms or ms-seq.
func parseIDs(args [][]byte) ([]entryID, *resp.Reply) {
	ids := make([]entryID, 0, 8)
	for _, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func xtrim(c *keyspace.Call, args [][]byte) resp.Reply {
	var o trimming
	if err := o.parse(c, args[2:]); err != nil {
		return *err
	}
	key := args[1]
	s, isStream := asStream(c.Find(key))
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	removed := s.trim(&o)
	if removed > 0 {
		c.Notify(c.DB, key, keyspace.StreamEvent, "xtrim")
		c.SignalModified(c.Caller, c.DB, key)
	}
	return resp.Int(removed)
}

func xsetid(c *keyspace.Call, args [][]byte) resp.Reply {
	last, err := parseID(args[2])
	if err != nil {
		return *err
	}
	added, maxDeleted := int64(-1), entryID{}
	for options := args[3:]; len(options) > 0; options = options[2:] {
		isInt := true
		switch {
		case resp.Is(options[0], "ENTRIESADDED") && len(options) > 1:
			if added, isInt = resp.ParseInt(options[1]); !isInt {
				return resp.NotAnInteger
			}
			if added < 0 {
				return addedNegative
			}
		case resp.Is(options[0], "MAXDELETEDID") && len(options) > 1:
			if maxDeleted, err = parseID(options[1]); err != nil {
				return *err
			}
			if last.less(maxDeleted) {
				return belowDeleted
			}
		default:
			return resp.SyntaxError
		}
	}
	s, isStream := asStream(c.Find(args[1]))
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.NoSuchKey
	case s.length > 0 && last.less(s.lastID()):
		return belowTop
	case s.length > 0 && added >= 0 && added < int64(s.length):
		return addedTooLittle
	}
	s.last = last
	if added >= 0 {
		s.added = uint64(added)
	}
	if !maxDeleted.isZero() {
		s.maxDeleted = maxDeleted
	}
	c.AnswerFirst()
	c.Notify(c.DB, args[1], keyspace.StreamEvent, "xsetid")
	return resp.OK
}
