package str

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for strings.
var Commands = slices.Concat(stringCommands, rangeCommands, lcsCommands, bitCommands, bitfieldCommands, hyperloglogCommands)

var stringCommands = []command.Command{
	{Name: "set", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: []command.KeySpec{{Flags: "RW access update variable_flags", First: 1, Step: 1, Use: useBySet}}, Run: setString, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Sets a key to a string, whatever it held."},
	{Name: "get", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: get, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the string that a key holds."},
	{Name: "getdel", Arity: 2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access delete"), Run: getdel, ACL: "string",
		Group: "string", Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string that a key holds and deletes the key."},
	{Name: "getex", Arity: -2, Flags: command.Write | command.Fast, Keys: command.OneKey("RW access update"), Run: getex, ACL: "string",
		Group: "string", Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string that a key holds and changes when it expires."},
	{Name: "setex", Arity: 4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("OW update"), Run: setex, ACL: "string",
		Group: "string", Since: "2.0.0", Complexity: "O(1)", Summary: "Sets a key to a string that expires."},
	{Name: "psetex", Arity: 4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("OW update"), Run: psetex, ACL: "string",
		Group: "string", Since: "2.6.0", Complexity: "O(1)", Summary: "Sets a key to a string that expires, in milliseconds."},
	{Name: "getset", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: getset, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Sets a key to a string and returns the one that it held."},
	{Name: "setnx", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("OW insert"), Run: setnx, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Sets a key to a string if it does not exist."},
	{Name: "mget", Arity: -2, Flags: command.ReadOnly | command.Fast, Keys: command.KeysUpTo(-1, 1, "RO access"), Run: mget, ACL: "string", Tips: "request_policy:multi_shard",
		Group: "string", Since: "1.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Returns the strings that several keys hold."},
	{Name: "mset", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: command.KeysUpTo(-1, 2, "OW update"), Run: mset, ACL: "string", Tips: "request_policy:multi_shard response_policy:all_succeeded",
		Group: "string", Since: "1.0.1", Complexity: "O(N) where N is the number of keys", Summary: "Sets several keys to strings at once."},
	{Name: "msetnx", Arity: -3, Flags: command.Write | command.DenyOOM, Keys: command.KeysUpTo(-1, 2, "OW insert"), Run: msetnx, ACL: "string", Tips: "request_policy:multi_shard response_policy:agg_min",
		Group: "string", Since: "1.0.1", Complexity: "O(N) where N is the number of keys", Summary: "Sets several keys to strings if none of them exists."},
	{Name: "incr", Arity: 2, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: incr, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Adds one to the number that a key holds."},
	{Name: "decr", Arity: 2, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: decr, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Subtracts one from the number that a key holds."},
	{Name: "incrby", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: incrby, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Adds to the number that a key holds."},
	{Name: "decrby", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: decrby, ACL: "string",
		Group: "string", Since: "1.0.0", Complexity: "O(1)", Summary: "Subtracts from the number that a key holds."},
	{Name: "append", Arity: 3, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW insert"), Run: appendString, ACL: "string",
		Group: "string", Since: "2.0.0", Complexity: "O(1), amortised", Summary: "Appends to the string that a key holds."},
	{Name: "strlen", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: strlen, ACL: "string",
		Group: "string", Since: "2.2.0", Complexity: "O(1)", Summary: "Returns the length of the string that a key holds, in bytes."},
}

// asString returns the value of a string key, or nil if there is no such key. It
// reports false if the key holds something else.
func asString(e *keyspace.Entry) (*stringValue, bool) {
	if e == nil {
		return nil, true
	}
	t, isText := e.Value.(*stringValue)
	return t, isText
}

// content returns the bytes of a string, or none of one that does not exist.
func (t *stringValue) content() []byte {
	if t == nil {
		return nil
	}
	return t.bytes
}

// assign sets a key to a string, without expiry unless keepTTL, and signals the event. It
// reuses the memory of the old string.
func assign(c *keyspace.Call, e *keyspace.Entry, key, value []byte, keepTTL bool, event string) *keyspace.Entry {
	if e == nil {
		e = c.Create(key, &stringValue{bytes: keep(c, value)})
	} else {
		if t, isText := e.Value.(*stringValue); isText && len(value) < resp.LargeArgument && cap(t.bytes) >= len(value) && cap(t.bytes) <= 2*len(value)+64 {
			t.bytes, t.encoding = append(t.bytes[:0], value...), compact
		} else {
			c.Assign(e, &stringValue{bytes: keep(c, value)})
		}
		if !keepTTL {
			c.Persist(e)
		}
	}
	if c.MaxMemory > 0 && !c.SharesIntegers() {
		e.Value.(*stringValue).Unshare()
	}
	c.Changed(key, keyspace.StringEvent, event)
	return e
}

// keep returns an argument to be stored: itself if it has memory of its own, else a copy.
func keep(c *keyspace.Call, arg []byte) []byte {
	if len(arg) >= resp.LargeArgument && c.Caller.Give(arg) {
		return arg
	}
	return append([]byte(nil), arg...)
}

func get(c *keyspace.Call, args [][]byte) resp.Reply {
	t, isText := asString(c.Lookup(args[1]))
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		return resp.Null
	}
	return resp.Bulk(t.bytes)
}

// setOptions are those of SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool

	expiry []byte // nil: none
	unit   keyspace.TimeUnit
}

// parse reads options from args. It reports false for one that is unknown, lacks
// its value or contradicts another.
func (o *setOptions) parse(args [][]byte, isSet bool) bool {
	var given []byte // which unit the expiry was given in
	for i := 0; i < len(args); i++ {
		arg := args[i]
		unit, isExpiry := keyspace.TimeUnit{}, true
		switch {
		case resp.Is(arg, "EX"):
			unit = keyspace.InSeconds
		case resp.Is(arg, "PX"):
			unit = keyspace.InMilliseconds
		case resp.Is(arg, "EXAT"):
			unit = keyspace.AtSeconds
		case resp.Is(arg, "PXAT"):
			unit = keyspace.AtMilliseconds
		default:
			isExpiry = false
		}
		switch {
		case isExpiry && i+1 < len(args) && !o.keepTTL && !o.persist && (given == nil || unit == o.unit):
			given, o.unit, o.expiry = arg, unit, args[i+1]
			i++
		case isSet && resp.Is(arg, "NX") && !o.xx:
			o.nx = true
		case isSet && resp.Is(arg, "XX") && !o.nx:
			o.xx = true
		case isSet && resp.Is(arg, "GET"):
			o.get = true
		case isSet && resp.Is(arg, "KEEPTTL") && given == nil:
			o.keepTTL = true
		case !isSet && resp.Is(arg, "PERSIST") && given == nil:
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
		if resp.Is(arg, "GET") {
			return "RW access update"
		}
	}
	return "OW update"
}

func setString(c *keyspace.Call, args [][]byte) resp.Reply {
	var o setOptions
	if len(args) > 3 && !o.parse(args[3:], true) {
		return resp.SyntaxError
	}
	var at int64
	if o.expiry != nil {
		var err *resp.Reply
		if at, err = c.ParseExpiry(o.expiry, o.unit); err != nil {
			return *err
		}
	}
	e := c.Find(args[1])
	answer, refused := resp.OK, resp.Null
	if o.get {
		t, isText := asString(c.Lookup(args[1]))
		c.AnswerFirst()
		switch {
		case !isText:
			return resp.WrongType
		case t == nil:
			answer = resp.Null
		default:
			answer = resp.Bulk(bytes.Clone(t.bytes)) // as the memory is reused
		}
		refused = answer
	}
	if o.nx && e != nil || o.xx && e == nil {
		return refused
	}
	e = assign(c, e, args[1], args[2], o.keepTTL, "set")
	if o.expiry != nil {
		setFirstExpiry(c, e, at)
	}
	return answer
}

func setex(c *keyspace.Call, args [][]byte) resp.Reply {
	return setExpiring(c, args, keyspace.InSeconds)
}

func setExpiring(c *keyspace.Call, args [][]byte, unit keyspace.TimeUnit) resp.Reply {
	at, err := c.ParseExpiry(args[2], unit)
	if err != nil {
		return *err
	}
	setFirstExpiry(c, assign(c, c.Find(args[1]), args[1], args[3], false, "set"), at)
	return resp.OK
}

// setFirstExpiry sets when an entry expires that has just been written, in
// milliseconds since 1970. It may do so at once, of which clients hear after the reply.
func setFirstExpiry(c *keyspace.Call, e *keyspace.Entry, at int64) {
	c.Notify(c.DB, []byte(e.Key), keyspace.GenericEvent, "expire")
	if at <= c.Milliseconds() {
		if c.Place == 0 {
			c.AnswerFirst()
		}
		e.Due()
	} else {
		c.SetExpiry(e, at)
	}
}

func psetex(c *keyspace.Call, args [][]byte) resp.Reply {
	return setExpiring(c, args, keyspace.InMilliseconds)
}

func getset(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Lookup(args[1])
	t, isText := asString(e)
	if !isText {
		return resp.WrongType
	}
	old := resp.Null
	if t != nil {
		old = resp.Bulk(bytes.Clone(t.bytes)) // as the memory is reused
	}
	c.AnswerFirst()
	assign(c, e, args[1], args[2], false, "set")
	return old
}

func setnx(c *keyspace.Call, args [][]byte) resp.Reply {
	if c.Find(args[1]) != nil {
		return resp.Zero
	}
	assign(c, nil, args[1], args[2], false, "set")
	return resp.One
}

func getdel(c *keyspace.Call, args [][]byte) resp.Reply {
	r := get(c, args)
	if r.Kind == resp.KindBulk {
		c.AnswerFirst()
		c.Remove(c.DB.Find(args[1]))
		c.Changed(args[1], keyspace.GenericEvent, "del")
	}
	return r
}

func getex(c *keyspace.Call, args [][]byte) resp.Reply {
	var o setOptions
	if !o.parse(args[2:], false) {
		return resp.SyntaxError
	}
	r := get(c, args)
	if r.Kind != resp.KindBulk {
		return r
	}
	c.AnswerFirst()
	e := c.Find(args[1])
	switch {
	case o.expiry != nil:
		at, err := c.ParseExpiry(o.expiry, o.unit)
		if err != nil {
			return *err
		}
		c.Expire(e, at)
	case o.persist && c.Persist(e):
		c.Changed(args[1], keyspace.GenericEvent, "persist")
	}
	return r
}

func mget(c *keyspace.Call, args [][]byte) resp.Reply {
	values := make([]resp.Reply, 0, len(args)-1)
	for _, key := range args[1:] {
		if t, isText := asString(c.Lookup(key)); isText && t != nil {
			values = append(values, resp.Bulk(t.bytes))
		} else {
			values = append(values, resp.Null)
		}
	}
	return resp.Array(values...)
}

func msetnx(c *keyspace.Call, args [][]byte) resp.Reply {
	if len(args)%2 == 0 {
		return c.WrongNumber()
	}
	for i := 1; i < len(args); i += 2 {
		if c.Find(args[i]) != nil {
			return resp.Zero
		}
	}
	mset(c, args)
	return resp.One
}

func mset(c *keyspace.Call, args [][]byte) resp.Reply {
	if len(args)%2 == 0 {
		return c.WrongNumber()
	}
	for i := 1; i < len(args); i += 2 {
		assign(c, c.Find(args[i]), args[i], args[i+1], false, "set")
	}
	return resp.OK
}

func incr(c *keyspace.Call, args [][]byte) resp.Reply { return add(c, args[1], 1) }
func decr(c *keyspace.Call, args [][]byte) resp.Reply { return add(c, args[1], -1) }

func incrby(c *keyspace.Call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	return add(c, args[1], n)
}

func decrby(c *keyspace.Call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.NotAnInteger
	case n == math.MinInt64:
		return resp.ErrorReply("ERR decrement would overflow")
	}
	return add(c, args[1], -n)
}

func add(c *keyspace.Call, key []byte, by int64) resp.Reply {
	e := c.Find(key)
	t, isText := asString(e)
	if !isText {
		return resp.WrongType
	}
	n := int64(0)
	if t != nil {
		var isInt bool
		if n, isInt = resp.ParseInt(t.bytes); !isInt {
			return resp.NotAnInteger
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return resp.WouldOverflow
	}
	n += by
	var digits [20]byte
	assign(c, e, key, strconv.AppendInt(digits[:0], n, 10), true, "incrby")
	return resp.Integer(n)
}

func appendString(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Find(args[1])
	t, isText := asString(e)
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		assign(c, nil, args[1], args[2], false, "append")
		return resp.Int(len(args[2]))
	case len(t.bytes)+len(args[2]) > c.MaxBulk:
		return resp.StringTooLong
	}
	t.bytes, t.encoding = append(t.bytes, args[2]...), grown
	c.Changed(args[1], keyspace.StringEvent, "append")
	return resp.Int(len(t.bytes))
}

func strlen(c *keyspace.Call, args [][]byte) resp.Reply {
	t, isText := asString(c.Lookup(args[1]))
	switch {
	case !isText:
		return resp.WrongType
	case t == nil:
		return resp.Zero
	}
	return resp.Int(len(t.bytes))
}
