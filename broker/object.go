package broker

import (
	"math"

	"redrpc/broker/internal/resp"
)

// OBJECT and MEMORY USAGE: how a value is held, or would be by Redis.

// A stringForm is what the bytes of a string do not tell of how Redis would hold it.
type stringForm uint8

const (
	compact  stringForm = iota // as compactly as the bytes allow
	unshared                   // likewise, but a small integer is not shared with other keys
	spelled                    // likewise, but not as an integer
	grown                      // as it came to be when it was changed in place
)

// sharedIntegers is how many integers, from 0 on, all keys share in Redis, and
// longestEmbedded the length of the longest string held in one piece with its
// object.
const (
	sharedIntegers  = 10_000
	longestEmbedded = 44
)

// integer returns the integer that a string is held as, if it is.
func (t *stringValue) integer() (n int64, isInt bool) {
	if t.form > unshared {
		return 0, false
	}
	return resp.ParseInt(t.bytes)
}

func (t *stringValue) encoding() string {
	if _, isInt := t.integer(); isInt {
		return "int"
	}
	if t.form == grown || len(t.bytes) > longestEmbedded {
		return "raw"
	}
	return "embstr"
}

func (*list) encoding() string { return "quicklist" }

// references is how many keys share a value, which for the small integers is not
// counted.
func (e *entry) references() int64 {
	t, isText := e.value.(*stringValue)
	if !isText || t.form != compact {
		return 1
	}
	if n, isInt := t.integer(); !isInt || n < 0 || n >= sharedIntegers {
		return 1
	}
	return math.MaxInt32
}

// asked answers what an entry tells, or that there is none.
func asked(e *entry, tell func(*entry) resp.Reply) resp.Reply {
	if e == nil {
		return resp.Null
	}
	return tell(e)
}

func objectEncoding(c *call, args [][]byte) resp.Reply {
	return asked(c.inspect(args[2]), func(e *entry) resp.Reply { return resp.BulkString(e.value.encoding()) })
}

func objectRefCount(c *call, args [][]byte) resp.Reply {
	return asked(c.inspect(args[2]), func(e *entry) resp.Reply { return resp.Integer(e.references()) })
}

func objectIdleTime(c *call, args [][]byte) resp.Reply {
	return asked(c.inspect(args[2]), func(e *entry) resp.Reply { return resp.Integer(int64(c.second - e.used)) })
}

// memoryUsage takes the number of elements that Redis would look at, which here are
// all.
func memoryUsage(c *call, args [][]byte) resp.Reply {
	for i := 3; i < len(args); i += 2 {
		if !resp.Is(args[i], "SAMPLES") || i+1 == len(args) {
			return resp.SyntaxError
		}
		n, isInt := resp.ParseInt(args[i+1])
		switch {
		case !isInt:
			return resp.NotAnInteger
		case n < 0:
			return resp.SyntaxError
		}
	}
	return asked(c.db.find(args[2]), func(e *entry) resp.Reply { return resp.Int(e.footprint()) })
}

func objectFreq(c *call, args [][]byte) resp.Reply {
	return asked(c.inspect(args[2]), func(*entry) resp.Reply {
		return resp.ErrorReply("ERR An LFU maxmemory policy is not selected, access frequency not tracked. " +
			"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	})
}
