package broker

import (
	"bytes"
	"math"
	"math/big"
	"time"

	"redrpc/broker/internal/resp"
)

// Commands that wait for lists.

// parseTimeout reads a time-out in seconds, 0 meaning none. It is rounded up to
// milliseconds, so that no small one comes to mean none.
func (c *call) parseTimeout(arg []byte) (time.Duration, *resp.Reply) {
	ms, isFloat := parseMilliseconds(arg)
	if !isFloat {
		r := resp.ErrorReply("ERR timeout is not a float or out of range")
		return 0, &r
	}
	switch {
	case ms < 0 || ms >= math.MaxInt64: // Redis reads what is far too large as negative
		r := resp.ErrorReply("ERR timeout is negative")
		return 0, &r
	case ms > float64(math.MaxInt64-c.milliseconds()):
		r := resp.ErrorReply("ERR timeout is out of range")
		return 0, &r
	case ms > float64(math.MaxInt64/int64(time.Millisecond)): // longer than 292 years
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// parseMilliseconds reads seconds and returns them as milliseconds, rounded up. Redis
// computes with long doubles: where it may matter, so does this.
func parseMilliseconds(arg []byte) (ms float64, isFloat bool) {
	seconds, isFloat := resp.ParseFloat(arg)
	ms = math.Ceil(seconds * 1000)
	if isFloat && (ms > 0 && ms < math.MaxInt64 || ms < -1 || len(arg) == 1) {
		return ms, true
	}
	exact, infinity := resp.ParseLongDouble(arg)
	if exact == nil {
		return 0, false
	}
	if infinity != 0 {
		return math.Inf(infinity), true
	}
	exact.Mul(exact, big.NewFloat(1000))
	ms, _ = exact.Float64()
	switch minusOne := big.NewFloat(-1); {
	case exact.Sign() > 0 && ms < 1:
		return 1, true
	case exact.Sign() <= 0 && exact.Cmp(minusOne) > 0:
		return 0, true
	}
	return math.Ceil(ms), true
}

func blpop(c *call, args [][]byte) resp.Reply { return blockingPop(c, args, left) }
func brpop(c *call, args [][]byte) resp.Reply { return blockingPop(c, args, right) }

func blockingPop(c *call, args [][]byte, from end) resp.Reply {
	timeout, err := c.parseTimeout(args[len(args)-1])
	if err != nil {
		return *err
	}
	return c.popOrWait(args[1:len(args)-1], timeout, func(c *call, e *entry, l *list) resp.Reply {
		r := resp.Array(resp.BulkString(e.key), resp.Bulk(l.pop(from)))
		c.answerFirst()
		c.shrunk(e, l, from.popped())
		return r
	})
}

func blmpop(c *call, args [][]byte) resp.Reply {
	names, from, n, err := parseMultiPop(args[2:])
	if err != nil {
		return *err
	}
	timeout, err := c.parseTimeout(args[1])
	if err != nil {
		return *err
	}
	return c.popOrWait(names, timeout, func(c *call, e *entry, l *list) resp.Reply {
		c.woken = false // of what BLMPOP takes Redis tells, unlike BLPOP and BLMOVE
		return resp.Array(resp.BulkString(e.key), c.pop(e, l, from, n))
	})
}

// popOrWait serves the client from the first key that holds a list, or makes it
// wait for one.
func (c *call) popOrWait(names [][]byte, timeout time.Duration, serve func(*call, *entry, *list) resp.Reply) resp.Reply {
	for _, key := range names {
		e, l, isList := c.listOf(key)
		switch {
		case !isList:
			return resp.WrongType
		case l != nil:
			return serve(c, e, l)
		}
	}
	return resp.Reply{Kind: resp.KindWait, Wait: &wait{keys: names, timeout: timeout, refused: resp.NullArray, late: resp.NullArray, serve: serve}}
}

func blmove(c *call, args [][]byte) resp.Reply {
	from, ok1 := parseEnd(args[3])
	to, ok2 := parseEnd(args[4])
	if !ok1 || !ok2 {
		return resp.SyntaxError
	}
	return c.moveOrWait(args[1], args[2], from, to, args[5])
}

func brpoplpush(c *call, args [][]byte) resp.Reply {
	return c.moveOrWait(args[1], args[2], right, left, args[3])
}

func (c *call) moveOrWait(source, target []byte, from, to end, timeoutArg []byte) resp.Reply {
	timeout, err := c.parseTimeout(timeoutArg)
	if err != nil {
		return *err
	}
	e, l, isList := c.listOf(source)
	switch {
	case !isList:
		return resp.WrongType
	case l != nil:
		return c.moveFrom(e, l, target, from, to)
	}
	target = bytes.Clone(target)
	return resp.Reply{Kind: resp.KindWait, Wait: &wait{
		keys: [][]byte{source}, timeout: timeout, refused: resp.Null, late: resp.NullArray,
		serve: func(c *call, e *entry, l *list) resp.Reply { return c.moveFrom(e, l, target, from, to) },
	}}
}
