package broker

import (
	"math"
	"strconv"
	"time"
)

// Commands about the server.

func dbsize(c *call, _ [][]byte) Reply { return Int(len(c.db.order)) }

func flushdb(c *call, args [][]byte) Reply { return c.flushSome(args, c.db) }

func flushall(c *call, args [][]byte) Reply { return c.flushSome(args, c.dbs...) }

func (c *call) flushSome(args [][]byte, dbs ...*database) Reply {
	if len(args) > 2 || len(args) == 2 && !Is(args[1], "SYNC") && !Is(args[1], "ASYNC") {
		return SyntaxError
	}
	for _, d := range dbs {
		c.flush(d)
	}
	if c.tracking.active {
		c.tracking.flushed(c.session)
	}
	return OK
}

// waitForReplicas waits until its time is up if it is to wait for any replica, as
// none will come.
func waitForReplicas(c *call, args [][]byte) Reply {
	replicas, isInt := ParseInt(args[1])
	if !isInt {
		return NotAnInteger
	}
	ms, isInt := ParseInt(args[2])
	switch {
	case !isInt:
		return ErrorReply("ERR timeout is not an integer or out of range")
	case ms < 0:
		return ErrorReply("ERR timeout is negative")
	case replicas <= 0:
		return Zero
	}
	timeout := time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	return Reply{Kind: KindWait, Wait: &wait{timeout: timeout, refused: Zero, late: Zero}}
}

func timeOfDay(c *call, _ [][]byte) Reply {
	t := time.Unix(0, c.now)
	return Array(
		BulkString(strconv.FormatInt(t.Unix(), 10)),
		BulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func role(*call, [][]byte) Reply { return Array(BulkString("master"), Zero, EmptyArray) }

// lolwut tells the version. Redis draws for some of its old versions.
func lolwut(_ *call, args [][]byte) Reply {
	if len(args) > 2 && Is(args[1], "VERSION") {
		if _, isInt := ParseInt(args[2]); !isInt {
			return NotAnInteger
		}
	}
	return Verbatim("Redis ver. " + version + "\n")
}
