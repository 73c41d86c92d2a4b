package broker

import (
	"math"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// The broker is a master without replicas, and stays one.

var replicationCommands = []command.Command{
	{Name: "role", Arity: 1, Flags: command.NoScript | command.Always | command.Fast, Run: withBroker(role), ACL: "admin dangerous",
		Group: "server", Since: "2.8.12", Complexity: "O(1)", Summary: "Says that the server is a master without replicas."},
	{Name: "wait", Arity: 3, Flags: command.NoScript, Run: withBroker(waitForReplicas), ACL: "connection", Tips: "request_policy:all_shards response_policy:agg_min",
		Group: "generic", Since: "3.0.0", Complexity: "O(1)", Summary: "Waits for replicas. There are none."},
	{Name: "replicaof", Arity: 3, Flags: command.Admin | command.NoScript | command.Stale | command.NoAsyncLoading, Run: withBroker(replicaof),
		Group: "server", Since: "5.0.0", Complexity: "O(1)", Summary: "Accepts NO ONE, and refuses masters."},
	{Name: "slaveof", Arity: 3, Flags: command.Admin | command.NoScript | command.Stale | command.NoAsyncLoading, Run: withBroker(replicaof),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Accepts NO ONE, and refuses masters; the old name of REPLICAOF."},
	{Name: "replconf", Arity: -1, Flags: command.Admin | command.NoScript | command.Always | command.AllowBusy, Run: withBroker(replconf),
		Group: "server", Since: "3.0.0", Complexity: "O(1)", Summary: "Checks its arguments, and ignores them."},
	{Name: "psync", Arity: -3, Flags: command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti, Run: withBroker(psync),
		Group: "server", Since: "2.8.0", Complexity: "O(1)", Summary: "Refuses, as the broker does not replicate."},
	{Name: "sync", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti, Run: withBroker(syncReplica),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Refuses, as the broker does not replicate."},
	{Name: "failover", Arity: -1, Flags: command.Admin | command.NoScript | command.Stale, Run: withBroker(failover),
		Group: "server", Since: "6.2.0", Complexity: "O(1)", Summary: "Refuses, as there are no replicas."},
}

func role(*call, [][]byte) resp.Reply {
	return resp.Array(resp.BulkString("master"), resp.Zero, resp.EmptyArray)
}

// waitForReplicas times out if it is to wait for any replica, as there are none.
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

var noReplication = resp.ErrorReply("ERR the broker does not replicate: it is a master without replicas (REPLICAOF NO ONE)")

func replicaof(c *call, args [][]byte) resp.Reply {
	if resp.Is(args[1], "NO") && resp.Is(args[2], "ONE") {
		return resp.OK
	}
	if c.session.monitors { // for Redis a kind of replica
		return resp.ErrorReply("ERR Command is not valid when client is a replica.")
	}
	if port, isInt := resp.ParseInt(args[2]); !isInt || port < 0 || port > math.MaxUint16 {
		return resp.ErrorReply("ERR Invalid master port")
	}
	return noReplication
}

// psync reads its arguments as Redis does: the last one may be FAILOVER.
func psync(c *call, args [][]byte) resp.Reply {
	if c.session.monitors {
		return resp.Nothing
	}
	if _, isInt := resp.ParseInt(args[2]); !isInt {
		return resp.NotAnInteger
	}
	return noReplication
}

func syncReplica(c *call, _ [][]byte) resp.Reply {
	if c.session.monitors {
		return resp.Nothing
	}
	return noReplication
}

// longestHost is how many bytes the address of a replica may have.
const longestHost = 255

// replconf answers as to a client that is no replica.
func replconf(c *call, args [][]byte) resp.Reply {
	if len(args)%2 == 0 {
		return resp.SyntaxError
	}
	for i := 1; i < len(args); i += 2 {
		value := args[i+1]
		switch {
		case resp.Is(args[i], "LISTENING-PORT"):
			if _, isInt := resp.ParseInt(value); !isInt {
				return resp.NotAnInteger
			}
		case resp.Is(args[i], "IP-ADDRESS"):
			if len(value) > longestHost {
				return resp.Errorf("ERR REPLCONF ip-address provided by replica instance is too long: %d bytes", len(value))
			}
		case resp.Is(args[i], "CAPA"):
		case resp.Is(args[i], "ACK"), resp.Is(args[i], "GETACK"):
			return resp.Nothing // as in Redis
		case resp.Is(args[i], "RDB-ONLY"):
			switch n, isInt := resp.ParseInt(value); {
			case !isInt:
				return resp.NotAnInteger
			case n < 0 || n > 1:
				return resp.Errorf("ERR value is out of range, value must between %d and %d", 0, 1)
			}
		case resp.Is(args[i], "RDB-FILTER-ONLY"):
			if err := checkFilter(value); err != nil {
				return *err
			}
		default:
			return resp.Errorf("ERR Unrecognized REPLCONF option: %s", args[i])
		}
	}
	return resp.OK
}

// checkFilter checks which parts of the data a replica wants: functions, or none.
func checkFilter(value []byte) *resp.Reply {
	parts, valid := resp.SplitLine(value)
	if !valid {
		r := resp.ErrorReply("ERR Missing rdb-filter-only values")
		return &r
	}
	for _, part := range parts {
		if !resp.Is(part, "FUNCTIONS") {
			r := resp.Errorf("ERR Unsupported rdb-filter-only option: %s", part)
			return &r
		}
	}
	return nil
}

// failover checks its arguments as Redis does before it looks for replicas.
func failover(_ *call, args [][]byte) resp.Reply {
	if len(args) == 2 && resp.Is(args[1], "ABORT") {
		return resp.ErrorReply("ERR No failover in progress.")
	}
	timeout, hasTarget, force := int64(0), false, false
	for i := 1; i < len(args); i++ {
		rest := args[i+1:]
		switch {
		case resp.Is(args[i], "TIMEOUT") && len(rest) >= 1 && timeout == 0:
			var isInt bool
			switch timeout, isInt = resp.ParseInt(rest[0]); {
			case !isInt:
				return resp.NotAnInteger
			case timeout <= 0:
				return resp.ErrorReply("ERR FAILOVER timeout must be greater than 0")
			}
			i++
		case resp.Is(args[i], "TO") && len(rest) >= 2 && !hasTarget:
			if _, isInt := resp.ParseInt(rest[1]); !isInt {
				return resp.NotAnInteger
			}
			hasTarget = true
			i += 2
		case resp.Is(args[i], "FORCE") && !force:
			force = true
		default:
			return resp.SyntaxError
		}
	}
	return resp.ErrorReply("ERR FAILOVER requires connected replicas.")
}
