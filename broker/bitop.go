package broker

import (
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// BITOP.

// bitOperations combine the bytes of two strings.
var bitOperations = map[string]func(x, y byte) byte{
	"and": func(x, y byte) byte { return x & y },
	"or":  func(x, y byte) byte { return x | y },
	"xor": func(x, y byte) byte { return x ^ y },
}

func bitop(c *keyspace.Call, args [][]byte) resp.Reply {
	var buf [3]byte
	name := string(resp.Lower(buf[:], args[1]))
	combine := bitOperations[name]
	switch {
	case name == "not" && len(args) != 4:
		return resp.ErrorReply("ERR BITOP NOT must be called with a single source key.")
	case name != "not" && combine == nil:
		return resp.SyntaxError
	}
	sources := make([][]byte, len(args)-3)
	longest := 0
	for i, key := range args[3:] {
		t, isText := asString(c.Lookup(key))
		if !isText {
			return resp.WrongType
		}
		sources[i] = t.content()
		longest = max(longest, len(sources[i]))
	}
	target := args[2]
	if longest == 0 {
		if e := c.Find(target); e != nil {
			c.Remove(e)
			c.Changed(target, keyspace.GenericEvent, "del")
		}
		return resp.Zero
	}
	result := make([]byte, longest)
	copy(result, sources[0])
	if name == "not" {
		for i := range result {
			result[i] = ^result[i]
		}
	}
	for _, s := range sources[1:] {
		for i := range result {
			b := byte(0) // behind the end of a shorter string
			if i < len(s) {
				b = s[i]
			}
			result[i] = combine(result[i], b)
		}
	}
	c.Replace(target, &stringValue{result, grown})
	c.Changed(target, keyspace.StringEvent, "set")
	return resp.Int(longest)
}
