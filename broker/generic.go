package broker

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// Commands for keys of any type.

// find returns the entry of a key that is used, or nil.
func (c *call) find(key []byte) *entry {
	e := c.db.find(key)
	if e != nil {
		e.used = c.second
	}
	return e
}

// lookup returns the entry of a key that is read, or nil, and counts hits and
// misses.
func (c *call) lookup(key []byte) *entry {
	e := c.peek(key)
	if e != nil {
		e.used = c.second
	}
	return e
}

// peek is lookup for commands that ask about a key and do not count as use of it.
func (c *call) peek(key []byte) *entry {
	e := c.inspect(key)
	if e == nil {
		c.notify(c.db, key, missEvent, "keymiss")
	}
	return e
}

// inspect is peek for commands that do not even tell of a miss.
func (c *call) inspect(key []byte) *entry {
	e := c.db.find(key)
	if e == nil {
		c.stats.misses++
	} else {
		c.stats.hits++
	}
	return e
}

// replace makes a key hold a value, whatever it held, and not expire.
func (c *call) replace(key []byte, v value) *entry {
	e := c.find(key)
	if e == nil {
		return c.add(c.db, key, v)
	}
	e.value = v
	c.Broker.persist(e)
	return e
}

func del(c *call, args [][]byte) resp.Reply {
	n := 0
	for _, key := range args[1:] {
		if e := c.find(key); e != nil {
			c.remove(e)
			c.changed(key, genericEvent, "del")
			n++
		}
	}
	return resp.Int(n)
}

func exists(c *call, args [][]byte) resp.Reply { return countKeys(args[1:], c.peek) }
func touch(c *call, args [][]byte) resp.Reply  { return countKeys(args[1:], c.lookup) }

func countKeys(names [][]byte, lookup func(key []byte) *entry) resp.Reply {
	n := 0
	for _, key := range names {
		if lookup(key) != nil {
			n++
		}
	}
	return resp.Int(n)
}

func typeOf(c *call, args [][]byte) resp.Reply {
	if e := c.peek(args[1]); e != nil {
		return resp.Simple(e.value.typeName())
	}
	return resp.Simple("none")
}

// A timeUnit is how a command gives a time: in seconds or milliseconds, from now
// or since 1970.
type timeUnit struct {
	scale    int64 // milliseconds
	absolute bool
}

var (
	inSeconds      = timeUnit{1000, false}
	inMilliseconds = timeUnit{1, false}
	atSeconds      = timeUnit{1000, true}
	atMilliseconds = timeUnit{1, true}
)

func expire(c *call, args [][]byte) resp.Reply    { return expireGeneric(c, args, inSeconds) }
func pexpire(c *call, args [][]byte) resp.Reply   { return expireGeneric(c, args, inMilliseconds) }
func expireat(c *call, args [][]byte) resp.Reply  { return expireGeneric(c, args, atSeconds) }
func pexpireat(c *call, args [][]byte) resp.Reply { return expireGeneric(c, args, atMilliseconds) }

func expireGeneric(c *call, args [][]byte, unit timeUnit) resp.Reply {
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
	when, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	base := int64(0)
	if !unit.absolute {
		base = c.milliseconds()
	}
	if when > math.MaxInt64/unit.scale || when < math.MinInt64/unit.scale || when*unit.scale > math.MaxInt64-base {
		return c.invalidExpire()
	}
	at := when*unit.scale + base
	e := c.find(args[1])
	switch {
	case e == nil,
		nx && e.at != 0,
		xx && e.at == 0,
		gt && (e.at == 0 || at <= e.at),
		lt && e.at != 0 && at >= e.at:
		return resp.Zero
	}
	if at > c.milliseconds() {
		c.answerFirst()
	}
	c.setExpiry(e, at)
	return resp.One
}

func (c *call) invalidExpire() resp.Reply {
	return resp.Errorf("ERR invalid expire time in '%s' command", c.command.fullName)
}

// setExpiry changes when an entry expires, in milliseconds since 1970; one that
// should have expired already is deleted.
func (c *call) setExpiry(e *entry, at int64) {
	key, event := []byte(e.key), "expire"
	if at <= c.milliseconds() {
		c.remove(e)
		event = "del"
	} else {
		c.expireAt(e, at)
	}
	c.changed(key, genericEvent, event)
}

// parseExpiry reads a time to live that has to be positive, and returns when it
// ends, in milliseconds since 1970.
func (c *call) parseExpiry(arg []byte, unit timeUnit) (at int64, err *resp.Reply) {
	n, isInt := resp.ParseInt(arg)
	if !isInt {
		return 0, &resp.NotAnInteger
	}
	base := int64(0)
	if !unit.absolute {
		base = c.milliseconds()
	}
	if n <= 0 || n > math.MaxInt64/unit.scale || n*unit.scale > math.MaxInt64-base {
		r := c.invalidExpire()
		return 0, &r
	}
	return n*unit.scale + base, nil
}

// toSeconds rounds milliseconds.
func toSeconds(ms int64) int64 { return ms/1000 + (ms%1000+500)/1000 }

func ttl(c *call, args [][]byte) resp.Reply         { return expiry(c, args, true, toSeconds) }
func pttl(c *call, args [][]byte) resp.Reply        { return expiry(c, args, true, toMilliseconds) }
func expiretime(c *call, args [][]byte) resp.Reply  { return expiry(c, args, false, toSeconds) }
func pexpiretime(c *call, args [][]byte) resp.Reply { return expiry(c, args, false, toMilliseconds) }

func toMilliseconds(ms int64) int64 { return ms }

// expiry answers when a key expires, from now or since 1970.
func expiry(c *call, args [][]byte, fromNow bool, unit func(ms int64) int64) resp.Reply {
	e := c.peek(args[1])
	switch {
	case e == nil:
		return resp.Integer(-2)
	case e.at == 0:
		return resp.Integer(-1)
	case fromNow:
		return resp.Integer(unit(e.at - c.milliseconds()))
	}
	return resp.Integer(unit(e.at))
}

func randomkey(c *call, _ [][]byte) resp.Reply {
	if len(c.db.order) == 0 {
		return resp.Null
	}
	return resp.BulkString(c.db.order[rand.IntN(len(c.db.order))].key)
}

func persist(c *call, args [][]byte) resp.Reply {
	e := c.find(args[1])
	if e == nil || !c.persist(e) {
		return resp.Zero
	}
	c.changed(args[1], genericEvent, "persist")
	return resp.One
}

func keys(c *call, args [][]byte) resp.Reply {
	pattern := string(args[1])
	var names []resp.Reply
	for _, e := range c.db.order {
		if pattern == "*" || glob.Match(pattern, e.key, false) {
			names = append(names, resp.BulkString(e.key))
		}
	}
	return resp.Array(names...)
}

// scan walks database.order from the back; the cursor is the number of entries
// that are still before it.
func scan(c *call, args [][]byte) resp.Reply {
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
	order := c.db.order
	at := int64(len(order))
	if cursor != 0 && cursor < uint64(at) {
		at = int64(cursor)
	}
	names := []resp.Reply{}
	for ; at > 0 && number > 0; number-- {
		at--
		e := order[at]
		if pattern != "*" && !glob.Match(pattern, e.key, false) {
			continue
		}
		if !anyType {
			c.stats.hits++ // Redis looks the key up
			if typeName != e.value.typeName() {
				continue
			}
		}
		names = append(names, resp.BulkString(e.key))
	}
	return resp.Array(resp.BulkString(strconv.FormatInt(at, 10)), resp.Array(names...))
}
