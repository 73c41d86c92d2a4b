package broker

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
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

// sections are the parts of INFO, in order. Those that are not by default are
// given when asked for by name, or with "all" or "everything".
var sections = []struct {
	name      string
	byDefault bool
	write     func(*Broker, *strings.Builder)
}{
	{"Server", true, (*Broker).infoServer},
	{"Clients", true, (*Broker).infoClients},
	{"Memory", true, (*Broker).infoMemory},
	{"Persistence", true, (*Broker).infoPersistence},
	{"Stats", true, (*Broker).infoStats},
	{"Replication", true, (*Broker).infoReplication},
	{"Commandstats", false, (*Broker).infoCommands},
	{"Cluster", true, (*Broker).infoCluster},
	{"Keyspace", true, (*Broker).infoKeyspace},
}

func info(c *call, args [][]byte) reply {
	byDefault, all := len(args) == 1, false
	named := map[string]bool{}
	for _, arg := range args[1:] {
		switch name := strings.ToLower(string(arg)); name {
		case "default":
			byDefault = true
		case "all", "everything":
			all = true
		default:
			named[name] = true
		}
	}
	var out strings.Builder
	for _, s := range sections {
		if !all && !(byDefault && s.byDefault) && !named[strings.ToLower(s.name)] {
			continue
		}
		if out.Len() > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString("# " + s.name + "\r\n")
		s.write(c.Broker, &out)
	}
	return verbatim(out.String())
}

// A field is one line of INFO.
type field struct {
	name  string
	value any
}

func writeFields(out *strings.Builder, fields ...field) {
	for _, f := range fields {
		fmt.Fprintf(out, "%s:%v\r\n", f.name, f.value)
	}
}

func (b *Broker) infoServer(out *strings.Builder) {
	uptime := (b.now - b.stats.started) / int64(time.Second)
	writeFields(out,
		field{"redis_version", version},
		field{"redis_mode", "standalone"},
		field{"os", runtime.GOOS + " " + runtime.GOARCH},
		field{"arch_bits", strconv.IntSize},
		field{"process_id", os.Getpid()},
		field{"run_id", b.runID},
		field{"server_time_usec", b.now / 1000},
		field{"uptime_in_seconds", uptime},
		field{"uptime_in_days", uptime / (24 * 60 * 60)},
	)
}

func (b *Broker) infoClients(out *strings.Builder) {
	timeouts := 0
	for _, a := range b.alarms.heap {
		if _, isClient := a.owner.(*session); isClient {
			timeouts++
		}
	}
	writeFields(out,
		field{"connected_clients", len(b.sessions)},
		field{"maxclients", b.options.MaxClients},
		field{"blocked_clients", b.stats.blocked},
		field{"tracking_clients", b.tracking.clients},
		field{"clients_in_timeout_table", timeouts},
	)
}

func (b *Broker) infoMemory(out *strings.Builder) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	writeFields(out,
		field{"used_memory", b.usedMemory()},
		field{"used_memory_heap", m.HeapAlloc},
		field{"used_memory_rss", m.Sys - m.HeapReleased},
		field{"maxmemory", b.options.MaxMemory},
		field{"maxmemory_policy", "noeviction"},
		field{"mem_allocator", "go"},
	)
}

func (b *Broker) infoPersistence(out *strings.Builder) {
	writeFields(out, field{"loading", 0}, field{"aof_enabled", 0})
}

func (b *Broker) infoStats(out *strings.Builder) {
	writeFields(out,
		field{"total_connections_received", b.stats.connections},
		field{"total_commands_processed", b.stats.commands},
		field{"total_net_input_bytes", b.stats.bytesIn},
		field{"total_net_output_bytes", b.stats.bytesOut},
		field{"rejected_connections", b.stats.rejected},
		field{"expired_keys", b.stats.expired},
		field{"evicted_keys", 0},
		field{"keyspace_hits", b.stats.hits},
		field{"keyspace_misses", b.stats.misses},
		field{"pubsub_channels", len(b.pubsub[channels])},
		field{"pubsub_patterns", len(b.pubsub[patterns])},
		field{"pubsubshard_channels", len(b.pubsub[shards])},
		field{"tracking_total_keys", len(b.tracking.readers)},
		field{"tracking_total_prefixes", len(b.tracking.prefixes)},
		field{"total_error_replies", b.stats.errors},
	)
}

func (b *Broker) infoReplication(out *strings.Builder) {
	writeFields(out, field{"role", "master"}, field{"connected_slaves", 0})
}

func (b *Broker) infoCommands(out *strings.Builder) {
	for name, c := range b.table.all() {
		if n := b.calls[c.index]; n > 0 {
			fmt.Fprintf(out, "cmdstat_%s:calls=%d\r\n", name, n)
		}
	}
}

func (b *Broker) infoCluster(out *strings.Builder) { writeFields(out, field{"cluster_enabled", 0}) }

func (b *Broker) infoKeyspace(out *strings.Builder) {
	for _, d := range b.dbs {
		if len(d.order) > 0 {
			fmt.Fprintf(out, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", d.index, len(d.order), d.expiring, b.averageTTL(d))
		}
	}
}

// averageTTL is the mean time in milliseconds that the keys which expire have
// left. Redis samples it; here it is exact.
func (b *Broker) averageTTL(d *database) int64 {
	if d.expiring == 0 {
		return 0
	}
	sum := 0.0
	for _, e := range d.order {
		if e.at != 0 {
			sum += float64(e.at - b.milliseconds())
		}
	}
	return int64(sum / float64(d.expiring))
}
