package str

import (
	"math/big"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for parts of strings, and for numbers with a fraction.

var rangeCommands = []command.Command{
	{Name: "incrbyfloat", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: incrbyfloat, ACL: "string",
		Group: "string", Since: "2.6.0", Complexity: "O(1)", Summary: "Adds a floating-point number to the number that a key holds."},
	{Name: "getrange", Arity: 4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: getrange, ACL: "string",
		Group: "string", Since: "2.4.0", Complexity: "O(N) where N is the length of the answer", Summary: "Returns a part of the string that a key holds."},
	{Name: "substr", Arity: 4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: getrange, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(N) where N is the length of the answer", Summary: "Returns a part of the string that a key holds; the old name of GETRANGE."},
	{Name: "setrange", Arity: 4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("RW update"), Run: setrange, ACL: "string",
		Group: "string", Since: "2.2.0", Complexity: "O(N) where N is the length of the part", Summary: "Overwrites a part of the string that a key holds."},
}

func getrange(c *keyspace.Call, args [][]byte) resp.Reply {
	start, stop, isInt := resp.ParseRange(args[2:])
	if !isInt {
		return resp.NotAnInteger
	}
	t, isText := asString(c.Lookup(args[1]))
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		return resp.Bulk(nil)
	}
	size := int64(len(t.bytes))
	if start < 0 && stop < 0 && start > stop {
		return resp.Bulk(nil)
	}
	if start < 0 {
		start = max(0, start+size)
	}
	if stop < 0 {
		stop = max(0, stop+size)
	}
	stop = min(stop, size-1)
	if start > stop {
		return resp.Bulk(nil)
	}
	return resp.Bulk(t.bytes[start : stop+1])
}

func setrange(c *keyspace.Call, args [][]byte) resp.Reply {
	offset, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.NotAnInteger
	case offset < 0:
		return resp.ErrorReply("ERR offset is out of range")
	}
	value := args[3]
	e := c.Find(args[1])
	t, isText := asString(e)
	switch {
	case !isText:
		return resp.WrongType
	case len(value) == 0 && t == nil:
		return resp.Zero
	case len(value) == 0:
		return resp.Int(len(t.bytes))
	case offset > int64(c.MaxBulk-len(value)):
		return resp.StringTooLong
	case t == nil:
		t = &stringValue{}
		c.Create(args[1], t)
	}
	t.extend(int(offset) + len(value))
	copy(t.bytes[offset:], value)
	t.encoding = grown
	c.Changed(args[1], keyspace.StringEvent, "setrange")
	return resp.Int(len(t.bytes))
}

func incrbyfloat(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[1])
	t, isText := asString(e)
	if !isText {
		return resp.WrongType
	}
	notAFloat := resp.ErrorReply("ERR value is not a valid float")
	old, infinity := new(big.Float), 0
	if t != nil {
		if old, infinity = resp.ParseLongDouble(t.bytes); old == nil {
			return notAFloat
		}
	}
	by, byInfinity := resp.ParseLongDouble(args[2])
	if by == nil {
		return notAFloat
	}
	digits, fits := resp.SumLongDoubles(old, by)
	if !fits || infinity != 0 || byInfinity != 0 {
		return resp.ErrorReply("ERR increment would produce NaN or Infinity")
	}
	e = assign(c, e, args[1], []byte(digits), true, "incrbyfloat")
	e.Value.(*stringValue).encoding = spelled
	return resp.BulkString(digits)
}
