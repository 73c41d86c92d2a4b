package broker

import (
	"math"
	"strconv"
)

// Commands for strings.

// text returns the value of a string key, or nil if there is no such key. It
// reports false if the key holds something else.
func (e *entry) text() (*stringValue, bool) {
	if e == nil {
		return nil, true
	}
	t, isText := e.value.(*stringValue)
	return t, isText
}

// content returns the bytes of a string, or none of one that does not exist.
func (t *stringValue) content() []byte {
	if t == nil {
		return nil
	}
	return t.bytes
}

// assign makes a key hold a string, and not expire unless keepTTL says so, and tells
// that event of it. It reuses the memory of the string that the key held.
func (c *call) assign(e *entry, key, value []byte, keepTTL bool, event string) *entry {
	if e == nil {
		e = c.add(c.db, key, &stringValue{bytes: append([]byte(nil), value...)})
	} else {
		if t, isText := e.value.(*stringValue); isText && cap(t.bytes) >= len(value) && cap(t.bytes) <= 2*len(value)+64 {
			t.bytes, t.form = append(t.bytes[:0], value...), compact
		} else {
			e.value = &stringValue{bytes: append([]byte(nil), value...)}
		}
		if !keepTTL {
			c.Broker.persist(e)
		}
	}
	c.changed(key, stringEvent, event)
	return e
}

func get(c *call, args [][]byte) Reply {
	t, isText := c.lookup(args[1]).text()
	switch {
	case !isText:
		return WrongType
	case t == nil:
		return Null
	}
	return Bulk(t.bytes)
}

// setOptions are those of SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool

	expiry []byte // nil: none
	unit   timeUnit
}

// parse reads options from args. It reports false for one that is unknown, lacks
// its value or contradicts another.
func (o *setOptions) parse(args [][]byte, isSet bool) bool {
	var given []byte // which unit the expiry was given in
	for i := 0; i < len(args); i++ {
		arg := args[i]
		unit, isExpiry := timeUnit{}, true
		switch {
		case Is(arg, "EX"):
			unit = inSeconds
		case Is(arg, "PX"):
			unit = inMilliseconds
		case Is(arg, "EXAT"):
			unit = atSeconds
		case Is(arg, "PXAT"):
			unit = atMilliseconds
		default:
			isExpiry = false
		}
		switch {
		case isExpiry && i+1 < len(args) && !o.keepTTL && !o.persist && (given == nil || unit == o.unit):
			given, o.unit, o.expiry = arg, unit, args[i+1]
			i++
		case isSet && Is(arg, "NX") && !o.xx:
			o.nx = true
		case isSet && Is(arg, "XX") && !o.nx:
			o.xx = true
		case isSet && Is(arg, "GET"):
			o.get = true
		case isSet && Is(arg, "KEEPTTL") && given == nil:
			o.keepTTL = true
		case !isSet && Is(arg, "PERSIST") && given == nil:
			o.persist = true
		default:
			return false
		}
	}
	return true
}

// useBySet is what SET does to its key.
func useBySet(args [][]byte) string {
	for _, arg := range args[3:] {
		if Is(arg, "GET") {
			return "RW access update"
		}
	}
	return "OW update"
}

func setString(c *call, args [][]byte) Reply {
	var o setOptions
	if len(args) > 3 && !o.parse(args[3:], true) {
		return SyntaxError
	}
	var at int64
	if o.expiry != nil {
		var err *Reply
		if at, err = c.parseExpiry(o.expiry, o.unit); err != nil {
			return *err
		}
	}
	e := c.find(args[1])
	answer, refused := OK, Null
	if o.get {
		t, isText := c.lookup(args[1]).text()
		c.answerFirst()
		switch {
		case !isText:
			return WrongType
		case t == nil:
			answer = Null
		default:
			answer = BulkString(string(t.bytes)) // a copy, as the memory is reused
		}
		refused = answer
	}
	if o.nx && e != nil || o.xx && e == nil {
		return refused
	}
	e = c.assign(e, args[1], args[2], o.keepTTL, "set")
	if o.expiry != nil {
		c.setFirstExpiry(e, at)
	}
	return answer
}

func setex(c *call, args [][]byte) Reply { return setExpiring(c, args, inSeconds) }

func setExpiring(c *call, args [][]byte, unit timeUnit) Reply {
	at, err := c.parseExpiry(args[2], unit)
	if err != nil {
		return *err
	}
	c.setFirstExpiry(c.assign(c.find(args[1]), args[1], args[3], false, "set"), at)
	return OK
}

// setFirstExpiry sets when an entry expires that has just been written, in
// milliseconds since 1970. It may do so at once.
func (c *call) setFirstExpiry(e *entry, at int64) {
	c.notify(c.db, []byte(e.key), genericEvent, "expire")
	if at <= c.milliseconds() {
		e.Due()
	} else {
		c.expireAt(e, at)
	}
}

func psetex(c *call, args [][]byte) Reply { return setExpiring(c, args, inMilliseconds) }

func getset(c *call, args [][]byte) Reply {
	e := c.lookup(args[1])
	t, isText := e.text()
	if !isText {
		return WrongType
	}
	old := Null
	if t != nil {
		old = BulkString(string(t.bytes)) // a copy, as the memory is reused
	}
	c.answerFirst()
	c.assign(e, args[1], args[2], false, "set")
	return old
}

func setnx(c *call, args [][]byte) Reply {
	if c.find(args[1]) != nil {
		return Zero
	}
	c.assign(nil, args[1], args[2], false, "set")
	return One
}

func getdel(c *call, args [][]byte) Reply {
	r := get(c, args)
	if r.Kind == KindBulk {
		c.answerFirst()
		c.remove(c.db.find(args[1]))
		c.changed(args[1], genericEvent, "del")
	}
	return r
}

func getex(c *call, args [][]byte) Reply {
	var o setOptions
	if !o.parse(args[2:], false) {
		return SyntaxError
	}
	r := get(c, args)
	if r.Kind != KindBulk {
		return r
	}
	c.answerFirst()
	e := c.find(args[1])
	switch {
	case o.expiry != nil:
		at, err := c.parseExpiry(o.expiry, o.unit)
		if err != nil {
			return *err
		}
		c.setExpiry(e, at)
	case o.persist && c.Broker.persist(e):
		c.changed(args[1], genericEvent, "persist")
	}
	return r
}

func mget(c *call, args [][]byte) Reply {
	values := make([]Reply, 0, len(args)-1)
	for _, key := range args[1:] {
		if t, isText := c.lookup(key).text(); isText && t != nil {
			values = append(values, Bulk(t.bytes))
		} else {
			values = append(values, Null)
		}
	}
	return Array(values...)
}

func msetnx(c *call, args [][]byte) Reply {
	if len(args)%2 == 0 {
		return c.wrongNumber()
	}
	for i := 1; i < len(args); i += 2 {
		if c.find(args[i]) != nil {
			return Zero
		}
	}
	mset(c, args)
	return One
}

func mset(c *call, args [][]byte) Reply {
	if len(args)%2 == 0 {
		return c.wrongNumber()
	}
	for i := 1; i < len(args); i += 2 {
		c.assign(c.find(args[i]), args[i], args[i+1], false, "set")
	}
	return OK
}

func incr(c *call, args [][]byte) Reply { return add(c, args[1], 1) }
func decr(c *call, args [][]byte) Reply { return add(c, args[1], -1) }

func incrby(c *call, args [][]byte) Reply {
	n, isInt := ParseInt(args[2])
	if !isInt {
		return NotAnInteger
	}
	return add(c, args[1], n)
}

func decrby(c *call, args [][]byte) Reply {
	n, isInt := ParseInt(args[2])
	switch {
	case !isInt:
		return NotAnInteger
	case n == math.MinInt64:
		return ErrorReply("ERR decrement would overflow")
	}
	return add(c, args[1], -n)
}

func add(c *call, key []byte, by int64) Reply {
	e := c.find(key)
	t, isText := e.text()
	if !isText {
		return WrongType
	}
	n := int64(0)
	if t != nil {
		var isInt bool
		if n, isInt = ParseInt(t.bytes); !isInt {
			return NotAnInteger
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return WouldOverflow
	}
	n += by
	var digits [20]byte
	c.assign(e, key, strconv.AppendInt(digits[:0], n, 10), true, "incrby")
	return Integer(n)
}

func appendString(c *call, args [][]byte) Reply {
	e := c.find(args[1])
	t, isText := e.text()
	switch {
	case !isText:
		return WrongType
	case t == nil:
		c.assign(nil, args[1], args[2], false, "append")
		return Int(len(args[2]))
	case len(t.bytes)+len(args[2]) > c.options.MaxBulk:
		return StringTooLong
	}
	t.bytes, t.form = append(t.bytes, args[2]...), grown
	c.changed(args[1], stringEvent, "append")
	return Int(len(t.bytes))
}

func strlen(c *call, args [][]byte) Reply {
	t, isText := c.lookup(args[1]).text()
	switch {
	case !isText:
		return WrongType
	case t == nil:
		return Zero
	}
	return Int(len(t.bytes))
}
