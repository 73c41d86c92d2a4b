package keyspace

import (
	"math"

	"redrpc/broker/internal/resp"
)

// A TimeUnit is how a command gives a time: in seconds or milliseconds, from now
// or since 1970.
type TimeUnit struct {
	Milliseconds int64
	Absolute     bool
}

var (
	InSeconds      = TimeUnit{1000, false}
	InMilliseconds = TimeUnit{1, false}
	AtSeconds      = TimeUnit{1000, true}
	AtMilliseconds = TimeUnit{1, true}
)

// ParseTime reads a time, and returns it in milliseconds since 1970. It reports false for
// one that is out of range.
func (c *Call) ParseTime(arg []byte, unit TimeUnit) (at int64, err *resp.Reply) {
	n, isInt := resp.ParseInt(arg)
	if !isInt {
		return 0, &resp.NotAnInteger
	}
	base, scale := int64(0), unit.Milliseconds
	if !unit.Absolute {
		base = c.Milliseconds()
	}
	if n > math.MaxInt64/scale || n < math.MinInt64/scale || n*scale > math.MaxInt64-base {
		r := c.InvalidExpire()
		return 0, &r
	}
	return n*scale + base, nil
}

// ParseExpiry is ParseTime for a number that has to be positive.
func (c *Call) ParseExpiry(arg []byte, unit TimeUnit) (at int64, err *resp.Reply) {
	if n, isInt := resp.ParseInt(arg); isInt && n <= 0 {
		r := c.InvalidExpire()
		return 0, &r
	}
	return c.ParseTime(arg, unit)
}

// InvalidExpire is the answer to a time that is out of range.
func (c *Call) InvalidExpire() resp.Reply {
	return resp.Errorf("ERR invalid expire time in '%s' command", c.Command)
}

// Expire changes when an entry expires, in milliseconds since 1970; one that should have
// expired already is deleted.
func (c *Call) Expire(e *Entry, at int64) {
	key, event := []byte(e.Key), "expire"
	if at <= c.Milliseconds() {
		c.Remove(e)
		event = "del"
	} else {
		c.SetExpiry(e, at)
	}
	c.Changed(key, GenericEvent, event)
}
