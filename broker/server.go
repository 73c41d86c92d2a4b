package broker

import (
	"math"
	"strconv"
	"time"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands about the server.

func dbsize(c *call, _ [][]byte) resp.Reply { return resp.Int(c.DB.Len()) }

func flushdb(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DB) }

func flushall(c *call, args [][]byte) resp.Reply { return c.flushSome(args, c.DBs...) }

func (c *call) flushSome(args [][]byte, dbs ...*keyspace.DB) resp.Reply {
	if len(args) > 2 || len(args) == 2 && !resp.Is(args[1], "SYNC") && !resp.Is(args[1], "ASYNC") {
		return resp.SyntaxError
	}
	for _, d := range dbs {
		for key := range c.watched[d.Index] {
			if d.Get(key) != nil {
				c.touchWatched(d, key)
			}
		}
		c.Flush(d)
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
	return (&keyspace.Wait{Timeout: timeout, Refused: resp.Zero, Late: resp.Zero}).Reply()
}

func timeOfDay(c *call, _ [][]byte) resp.Reply {
	t := time.Unix(0, c.keys.Now)
	return resp.Array(
		resp.BulkString(strconv.FormatInt(t.Unix(), 10)),
		resp.BulkString(strconv.Itoa(t.Nanosecond()/1000)),
	)
}

func role(*call, [][]byte) resp.Reply {
	return resp.Array(resp.BulkString("master"), resp.Zero, resp.EmptyArray)
}

var noCluster = resp.ErrorReply("ERR This instance has cluster support disabled")

// clusterDisabled is the answer to what only a cluster does. Client libraries ask, and
// take this for the answer of a server that stands alone.
func clusterDisabled(*call, [][]byte) resp.Reply { return noCluster }

func moduleList(*call, [][]byte) resp.Reply { return resp.EmptyArray }

// lolwut tells the version. Redis draws for some of its old versions.
func lolwut(_ *call, args [][]byte) resp.Reply {
	if len(args) > 2 && resp.Is(args[1], "VERSION") {
		if _, isInt := resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	return resp.Verbatim("Redis ver. " + version + "\n")
}

func swapdb(c *call, args [][]byte) resp.Reply {
	for i, which := range []string{"first", "second"} {
		if _, err := resp.ParseInt32(args[1+i]); err != nil {
			return resp.Errorf("ERR invalid %s DB index", which)
		}
	}
	var dbs [2]*keyspace.DB
	for i := range dbs {
		var err *resp.Reply
		if dbs[i], err = c.ParseDB(args[1+i]); err != nil {
			return *err
		}
	}
	if dbs[0] != dbs[1] {
		c.swapDBs(dbs[0], dbs[1])
	}
	return resp.OK
}

// swapDBs exchanges what two databases hold. Who watches or waits for a key in one of them
// finds there what was in the other.
func (b *Broker) swapDBs(x, y *keyspace.DB) {
	for _, d := range []*keyspace.DB{x, y} {
		for key := range b.watched[d.Index] {
			if x.Get(key) != nil || y.Get(key) != nil {
				b.touchWatched(d, key)
			}
		}
	}
	b.keys.Swap(x, y)
	for _, d := range []*keyspace.DB{x, y} {
		for key := range b.blocked[d.Index] {
			if d.Get(key) != nil {
				b.keys.SignalReady(d, key)
			}
		}
	}
}
