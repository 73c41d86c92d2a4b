package broker

import (
	"strconv"
	"strings"

	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for keys of any type.

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
	var names []resp.Reply
	for e := range c.DB.All() {
		if pattern == "*" || glob.Match(pattern, e.Key, false) {
			names = append(names, resp.BulkString(e.Key))
		}
	}
	return resp.Array(names...)
}

// scan walks keys in the order of their hashes. The cursor is the least hash that it has
// not come to.
func scan(c *keyspace.Call, args [][]byte) resp.Reply {
	cursor, valid := resp.ParseCursor(args[1])
	if !valid {
		return resp.ErrorReply("ERR invalid cursor")
	}
	number := int64(10)
	pattern, anyType, typeName := "*", true, ""
	for i := 2; i < len(args); i += 2 {
		if i+1 == len(args) {
			return resp.SyntaxError
		}
		value := args[i+1]
		switch {
		case resp.Is(args[i], "COUNT"):
			n, isInt := resp.ParseInt(value)
			if !isInt {
				return resp.NotAnInteger
			}
			if n < 1 {
				return resp.SyntaxError
			}
			number = n
		case resp.Is(args[i], "MATCH"):
			pattern = string(value)
		case resp.Is(args[i], "TYPE"):
			anyType, typeName = false, strings.ToLower(string(value))
		default:
			return resp.SyntaxError
		}
	}
	names := []resp.Reply{}
	next := uint64(0)
	for e := range c.DB.From(uint32(cursor)) {
		if number <= 0 && uint64(e.Hash()) >= next { // else one with the same hash has been passed
			return resp.Array(resp.BulkString(strconv.FormatUint(next, 10)), resp.Array(names...))
		}
		number--
		next = uint64(e.Hash()) + 1
		if pattern != "*" && !glob.Match(pattern, e.Key, false) {
			continue
		}
		if !anyType {
			c.Hits++ // Redis looks the key up
			if typeName != e.Value.Type().Name {
				continue
			}
		}
		names = append(names, resp.BulkString(e.Key))
	}
	return resp.Array(resp.BulkString("0"), resp.Array(names...))
}
