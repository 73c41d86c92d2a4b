package broker

import (
	"math"
	"strconv"
	"time"
)

// Commands about the server.

func dbsize(c *call, _ [][]byte) reply { return count(len(c.db.order)) }

func flushdb(c *call, args [][]byte) reply { return c.flushSome(args, c.db) }

func flushall(c *call, args [][]byte) reply { return c.flushSome(args, c.dbs...) }

func (c *call) flushSome(args [][]byte, dbs ...*database) reply {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "SYNC") && !is(args[1], "ASYNC") {
		return syntaxError
	}
	for _, d := range dbs {
		c.flush(d)
	}
	if c.tracking.active {
		c.tracking.flushed(c.session)
	}
	return ok
}

// waitForReplicas waits until its time is up if it is to wait for any replica, as
// none will come.
func waitForReplicas(c *call, args [][]byte) reply {
	replicas, isInt := parseInt(args[1])
	if !isInt {
		return notAnInteger
	}
	ms, isInt := parseInt(args[2])
	switch {
	case !isInt:
		return failure("ERR timeout is not an integer or out of range")
	case ms < 0:
		return failure("ERR timeout is negative")
	case replicas <= 0:
		return zero
	}
	timeout := time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	return reply{kind: kindWait, wait: &wait{timeout: timeout, refused: zero, late: zero}}
}

func timeOfDay(c *call, _ [][]byte) reply {
	t := time.Unix(0, c.now)
	return array(
		bulkString(strconv.FormatInt(t.Unix(), 10)),
		bulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func role(*call, [][]byte) reply { return array(bulkString("master"), zero, emptyList) }

// lolwut tells the version. Redis draws for some of its old versions.
func lolwut(_ *call, args [][]byte) reply {
	if len(args) > 2 && is(args[1], "VERSION") {
		if _, isInt := parseInt(args[2]); !isInt {
			return notAnInteger
		}
	}
	return verbatim("Redis ver. " + version + "\n")
}
