package broker

import (
	"math"
	"strconv"
	"time"

	"redrpc/broker/internal/resp"
)

// Commands about the server.

func dbsize(c *call, _ [][]byte) resp.Reply { return resp.Int(len(c.db.order)) }

func flushdb(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.db) }

func flushall(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.dbs...) }

func (c *call) flushSome(args [][]byte, dbs ...*database) resp.Reply {
	if len(args) > 2 || len(args) == 2 && !resp.Is(args[1], "SYNC") && !resp.Is(args[1], "ASYNC") {
		return resp.SyntaxError
	}
	for _, d := range dbs {
		c.flush(d)
	}
	if c.tracking.active {
		c.tracking.flushed(c.session)
	}
	return resp.OK
}

// waitForReplicas waits until its time is up if it is to wait for any replica, as
// none will come.
func waitForReplicas(c *call, args [][]byte) resp.Reply {
	replicas, isInt := resp.ParseInt(args[1])
	if !isInt {
		return resp.NotAnInteger
	}
	ms, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.ErrorReply("ERR timeout is not an integer or out of range")
	case ms < 0:
		return resp.ErrorReply("ERR timeout is negative")
	case replicas <= 0:
		return resp.Zero
	}
	timeout := time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	return resp.Reply{Kind: resp.KindWait, Wait: &wait{timeout: timeout, refused: resp.Zero, late: resp.Zero}}
}

func timeOfDay(c *call, _ [][]byte) resp.Reply {
	t := time.Unix(0, c.now)
	return resp.Array(
		resp.BulkString(strconv.FormatInt(t.Unix(), 10)),
		resp.BulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func role(*call, [][]byte) resp.Reply {
	return resp.Array(resp.BulkString("master"), resp.Zero, resp.EmptyArray)
}

// lolwut tells the version. Redis draws for some of its old versions.
func lolwut(_ *call, args [][]byte) resp.Reply {
	if len(args) > 2 && resp.Is(args[1], "VERSION") {
		if _, isInt := resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	return resp.Verbatim("Redis ver. " + version + "\n")
}
