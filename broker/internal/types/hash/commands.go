package hash

import (
	"iter"
	"math"
	"math/big"
	"strconv"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for hashes.
var Commands = []command.Command{
	{Name: "hset", Arity: -4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW update"), Run: hset, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Sets fields of a hash."},
	{Name: "hsetnx", Arity: 4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: hsetnx, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(1)", Summary: "Sets a field of a hash if it does not exist."},
	{Name: "hmset", Arity: -4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW update"), Run: hmset, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Sets fields of a hash; the old name of HSET."},
	{Name: "hget", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: hget, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(1)", Summary: "Returns the value of a field."},
	{Name: "hmget", Arity: -3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: hmget, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields asked for", Summary: "Returns the values of several fields."},
	{Name: "hgetall", Arity: 2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: hgetall, ACL: "hash", Tips: "nondeterministic_output_order",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns all fields of a hash with their values."},
	{Name: "hkeys", Arity: 2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: hkeys, ACL: "hash", Tips: "nondeterministic_output_order",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns the names of all fields of a hash."},
	{Name: "hvals", Arity: 2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: hvals, ACL: "hash", Tips: "nondeterministic_output_order",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns the values of all fields of a hash."},
	{Name: "hlen", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: hlen, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(1)", Summary: "Returns the number of fields of a hash."},
	{Name: "hexists", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: hexists, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(1)", Summary: "Tells whether a field exists."},
	{Name: "hdel", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW delete"), Run: hdel, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields removed", Summary: "Removes fields of a hash."},
	{Name: "hincrby", Arity: 4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: hincrby, ACL: "hash",
		Group: "hash", Since: "2.0.0", Complexity: "O(1)", Summary: "Adds to the number in a field."},
	{Name: "hincrbyfloat", Arity: 4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: hincrbyfloat, ACL: "hash",
		Group: "hash", Since: "2.6.0", Complexity: "O(1)", Summary: "Adds a floating-point number to the number in a field."},
	{Name: "hstrlen", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: hstrlen, ACL: "hash",
		Group: "hash", Since: "3.2.0", Complexity: "O(1)", Summary: "Returns the length of a field's value, in bytes."},
	{Name: "hrandfield", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: hrandfield, ACL: "hash", Tips: "nondeterministic_output",
		Group: "hash", Since: "6.2.0", Complexity: "O(N) where N is the number of fields returned", Summary: "Returns random fields of a hash."},
	{Name: "hscan", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: keyspace.ScanElements[*hash], ACL: "hash", Tips: "nondeterministic_output",
		Group: "hash", Since: "2.8.0", Complexity: "O(1) for every call, O(N) for a complete iteration", Summary: "Iterates over the fields of a hash."},
}

// asHash returns the value of a hash key, or nil if there is no such key. It reports false if
// the key holds something else.
func asHash(e *keyspace.Entry) (*hash, bool) {
	if e == nil {
		return nil, true
	}
	h, isHash := e.Value.(*hash)
	return h, isHash
}

// toWrite returns the hash that a key holds, which is made if there is none. It reports false
// if the key holds something else.
func toWrite(c *keyspace.Call, key []byte) (*hash, bool) {
	h, isHash := asHash(c.Find(key))
	if h == nil && isHash {
		h = &hash{}
		c.Create(key, h)
	}
	return h, isHash
}

func hset(c *keyspace.Call, args [][]byte) resp.Reply {
	added, failed := setAll(c, args)
	if failed != nil {
		return *failed
	}
	return resp.Int(added)
}

func hmset(c *keyspace.Call, args [][]byte) resp.Reply {
	if _, failed := setAll(c, args); failed != nil {
		return *failed
	}
	return resp.OK
}

// setAll sets fields, and returns how many are new.
func setAll(c *keyspace.Call, args [][]byte) (added int, failed *resp.Reply) {
	if len(args)%2 != 0 {
		r := c.WrongNumber()
		return 0, &r
	}
	h, isHash := toWrite(c, args[1])
	if !isHash {
		return 0, &resp.WrongType
	}
	for i := 2; i < len(args); i += 2 {
		if h.set(args[i], args[i+1], &c.Thresholds) {
			added++
		}
	}
	c.AnswerFirst()
	c.Changed(args[1], keyspace.HashEvent, "hset")
	return added, nil
}

func hsetnx(c *keyspace.Call, args [][]byte) resp.Reply {
	h, isHash := toWrite(c, args[1])
	if !isHash {
		return resp.WrongType
	}
	if _, found := h.get(args[2]); found {
		return resp.Zero
	}
	h.set(args[2], args[3], &c.Thresholds)
	c.AnswerFirst()
	c.Changed(args[1], keyspace.HashEvent, "hset")
	return resp.One
}

// read answers from the hash that a key holds, or with missing if there is none.
func read(c *keyspace.Call, key []byte, missing resp.Reply, answer func(*hash) resp.Reply) resp.Reply {
	h, isHash := asHash(c.Lookup(key))
	switch {
	case !isHash:
		return resp.WrongType
	case h == nil:
		return missing
	}
	return answer(h)
}

func hget(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Null, func(h *hash) resp.Reply { return h.answer(args[2]) })
}

// answer is the value of a field, or null.
func (h *hash) answer(name []byte) resp.Reply {
	if value, found := h.get(name); found {
		return resp.Bulk(value)
	}
	return resp.Null
}

func hmget(c *keyspace.Call, args [][]byte) resp.Reply {
	h, isHash := asHash(c.Lookup(args[1]))
	switch {
	case !isHash:
		return resp.WrongType
	case h == nil:
		h = &hash{}
	}
	values := make([]resp.Reply, 0, len(args)-2)
	for _, name := range args[2:] {
		values = append(values, h.answer(name))
	}
	return resp.Array(values...)
}

func hgetall(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Map(), func(h *hash) resp.Reply {
		return resp.StringMap(2*h.length(), h.Recipe().Parts)
	})
}

func hkeys(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.EmptyArray, func(h *hash) resp.Reply {
		return resp.Strings(h.length(), func(yield func([]byte) bool) {
			for name := range h.all() {
				if !yield(name) {
					return
				}
			}
		})
	})
}

func hvals(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.EmptyArray, func(h *hash) resp.Reply {
		return resp.Strings(h.length(), func(yield func([]byte) bool) {
			for _, value := range h.all() {
				if !yield(value) {
					return
				}
			}
		})
	})
}

func hlen(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Zero, func(h *hash) resp.Reply { return resp.Int(h.length()) })
}

func hexists(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Zero, func(h *hash) resp.Reply {
		if _, found := h.get(args[2]); found {
			return resp.One
		}
		return resp.Zero
	})
}

func hstrlen(c *keyspace.Call, args [][]byte) resp.Reply {
	return read(c, args[1], resp.Zero, func(h *hash) resp.Reply {
		value, _ := h.get(args[2])
		return resp.Int(len(value))
	})
}

func hdel(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[1])
	h, isHash := asHash(e)
	switch {
	case !isHash:
		return resp.WrongType
	case h == nil:
		return resp.Zero
	}
	removed := 0
	for _, name := range args[2:] {
		if h.remove(name) {
			removed++
		}
	}
	if removed == 0 {
		return resp.Zero
	}
	if h.length() == 0 {
		c.Remove(e)
	}
	c.Changed(args[1], keyspace.HashEvent, "hdel")
	if h.length() == 0 {
		c.Notify(c.DB, args[1], keyspace.GenericEvent, "del")
	}
	return resp.Int(removed)
}

func hincrby(c *keyspace.Call, args [][]byte) resp.Reply {
	by, isInt := resp.ParseInt(args[3])
	if !isInt {
		return resp.NotAnInteger
	}
	h, isHash := toWrite(c, args[1])
	if !isHash {
		return resp.WrongType
	}
	n := int64(0)
	if value, found := h.get(args[2]); found {
		if n, isInt = resp.ParseInt(value); !isInt {
			return resp.ErrorReply("ERR hash value is not an integer")
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return resp.WouldOverflow
	}
	n += by
	var digits [20]byte
	h.set(args[2], strconv.AppendInt(digits[:0], n, 10), &c.Thresholds)
	c.AnswerFirst()
	c.Changed(args[1], keyspace.HashEvent, "hincrby")
	return resp.Integer(n)
}

func hincrbyfloat(c *keyspace.Call, args [][]byte) resp.Reply {
	by, infinity := resp.ParseLongDouble(args[3])
	switch {
	case by == nil:
		return resp.ErrorReply("ERR value is not a valid float")
	case infinity != 0:
		return resp.ErrorReply("ERR value is NaN or Infinity")
	}
	h, isHash := toWrite(c, args[1])
	if !isHash {
		return resp.WrongType
	}
	old := new(big.Float)
	if value, found := h.get(args[2]); found {
		if old, infinity = resp.ParseLongDouble(value); old == nil {
			return resp.ErrorReply("ERR hash value is not a float")
		}
	}
	digits, fits := resp.SumLongDoubles(old, by)
	if !fits || infinity != 0 {
		return resp.ErrorReply("ERR increment would produce NaN or Infinity")
	}
	h.set(args[2], []byte(digits), &c.Thresholds)
	c.AnswerFirst()
	c.Changed(args[1], keyspace.HashEvent, "hincrbyfloat")
	return resp.BulkString(digits)
}

func hrandfield(c *keyspace.Call, args [][]byte) resp.Reply {
	if len(args) == 2 {
		return read(c, args[1], resp.Null, func(h *hash) resp.Reply { return resp.Bulk(h.random()().name) })
	}
	n, err := resp.ParseCount(args[2])
	if err != nil {
		return *err
	}
	withValues := len(args) == 4 && resp.Is(args[3], "WITHVALUES")
	switch {
	case len(args) > 4, len(args) == 4 && !withValues:
		return resp.SyntaxError
	case withValues && (n < -math.MaxInt64/2 || n > math.MaxInt64/2):
		return resp.CountOutOfRange
	}
	return read(c, args[1], resp.EmptyArray, func(h *hash) resp.Reply {
		if !c.MayDraw(n, h.length(), len(h.packed)+h.bytes) {
			return resp.CountOutOfRange
		}
		count, drawn := h.draw(n)
		each := func(yield func([]byte) bool) {
			for p := range drawn {
				if !yield(p.name) || withValues && !yield(p.value) {
					return
				}
			}
		}
		if withValues {
			return resp.Pairs(count, each)
		}
		return resp.Strings(count, each)
	})
}

// draw draws fields.
func (h *hash) draw(n int64) (count int, drawn iter.Seq[pair]) {
	all := func(yield func(pair) bool) {
		for name, value := range h.all() {
			if !yield(pair{name, value}) {
				return
			}
		}
	}
	return keyspace.Draw[pair]{Size: h.length(), All: all, Random: h.random, Sample: h.sample}.Elements(n)
}
