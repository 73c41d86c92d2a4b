package broker

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// INFO. It has all fields of Redis: what there is nothing of here is 0, or says so.

var infoCommands = []command.Command{
	{Name: "info", Arity: -1, Flags: command.Always, Run: withBroker(info), ACL: "dangerous", Tips: "nondeterministic_output request_policy:all_shards response_policy:special",
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns figures about the server."},
}

// sections are those of INFO, in order. Those that are not by default are returned by
// name, or with "all" or "everything".
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
	{"CPU", true, (*Broker).infoCPU},
	{"Modules", true, func(*Broker, *strings.Builder) {}},
	{"Commandstats", false, (*Broker).infoCommands},
	{"Errorstats", true, (*Broker).infoErrors},
	{"Latencystats", false, (*Broker).infoLatency},
	{"Cluster", true, (*Broker).infoCluster},
	{"Keyspace", true, (*Broker).infoKeyspace},
}

func info(c *call, args [][]byte) resp.Reply {
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
	return resp.Verbatim(out.String())
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
	uptime := (b.keys.Now - b.stats.started) / int64(time.Second)
	multiplexing := "goroutines"
	if b.poller != nil {
		multiplexing = "epoll"
	}
	executable, _ := os.Executable() // "" where there is none
	writeFields(out,
		field{"redis_version", version},
		field{"redis_git_sha1", "00000000"}, // as of a release
		field{"redis_git_dirty", 0},
		field{"redis_build_id", "0"},
		field{"redis_mode", "standalone"},
		field{"os", runtime.GOOS + " " + runtime.GOARCH},
		field{"arch_bits", strconv.IntSize},
		field{"monotonic_clock", runtime.Version()},
		field{"multiplexing_api", multiplexing},
		field{"atomicvar_api", "sync/atomic"},
		field{"gcc_version", "0.0.0"}, // as of a Redis that another compiler made
		field{"process_id", os.Getpid()},
		field{"process_supervised", "no"},
		field{"run_id", b.runID},
		field{"tcp_port", b.options.served.port},
		field{"server_time_usec", b.keys.Now / 1000},
		field{"uptime_in_seconds", uptime},
		field{"uptime_in_days", uptime / (24 * 60 * 60)},
		field{"hz", b.kept("hz")},
		field{"configured_hz", b.kept("hz")},
		field{"lru_clock", b.keys.Second & keyspace.LRUClockMask},
		field{"executable", executable},
		field{"config_file", ""},
		field{"io_threads_active", 0},
	)
}

func (b *Broker) infoClients(out *strings.Builder) {
	timeouts := 0
	for a := range b.keys.Alarms.All() {
		if _, isClient := a.Owner.(*session); isClient {
			timeouts++
		}
	}
	writeFields(out,
		field{"connected_clients", len(b.sessions)},
		field{"cluster_connections", 0},
		field{"maxclients", b.options.MaxClients},
		field{"client_recent_max_input_buffer", b.stats.input.most(b.keys.Now)},
		field{"client_recent_max_output_buffer", b.stats.output.most(b.keys.Now)},
		field{"blocked_clients", b.stats.blocked},
		field{"tracking_clients", b.tracking.clients},
		field{"clients_in_timeout_table", timeouts},
	)
}

func (b *Broker) infoMemory(out *strings.Builder) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used := b.keys.UsedMemory()
	bytes := func(name string, n int) []field {
		return []field{{name, n}, {name + "_human", humanBytes(int64(n))}}
	}
	writeFields(out, bytes("used_memory", used)...)
	writeFields(out, field{"used_memory_heap", m.HeapAlloc})
	writeFields(out, bytes("used_memory_rss", int(m.Sys-m.HeapReleased))...)
	writeFields(out, bytes("used_memory_peak", b.keys.PeakMemory())...)
	writeFields(out,
		field{"used_memory_peak_perc", percentage(used, b.keys.PeakMemory())},
		field{"used_memory_overhead", keyspace.EmptyBytes},
		field{"used_memory_startup", keyspace.EmptyBytes},
		field{"used_memory_dataset", used - keyspace.EmptyBytes},
		field{"used_memory_dataset_perc", percentage(used-keyspace.EmptyBytes, used-keyspace.EmptyBytes)},
	)
	writeFields(out,
		field{"allocator_allocated", m.HeapAlloc},
		field{"allocator_active", m.HeapInuse},
		field{"allocator_resident", m.HeapSys - m.HeapReleased},
	)
	writeFields(out, bytes("total_system_memory", systemMemory())...)
	u := b.scripting.usage()
	writeFields(out,
		field{"used_memory_lua", 0},
		field{"used_memory_vm_eval", 0},
		field{"used_memory_lua_human", "0B"},
		field{"used_memory_scripts_eval", u.scriptBytes},
		field{"number_of_cached_scripts", u.scripts},
		field{"number_of_functions", u.functions},
		field{"number_of_libraries", u.libraries},
		field{"used_memory_vm_functions", 0},
	)
	writeFields(out, bytes("used_memory_vm_total", 0)...)
	writeFields(out, field{"used_memory_functions", u.libraryBytes})
	writeFields(out, bytes("used_memory_scripts", u.scriptBytes+u.libraryBytes)...)
	writeFields(out, bytes("maxmemory", b.options.MaxMemory)...)
	ratio := func(a, b uint64) string { return fmt.Sprintf("%.2f", float64(a)/float64(max(b, 1))) }
	resident := m.Sys - m.HeapReleased
	writeFields(out,
		field{"maxmemory_policy", b.keys.Policy()},
		field{"allocator_frag_ratio", ratio(m.HeapInuse, m.HeapAlloc)},
		field{"allocator_frag_bytes", m.HeapInuse - m.HeapAlloc},
		field{"allocator_rss_ratio", ratio(m.HeapSys-m.HeapReleased, m.HeapInuse)},
		field{"allocator_rss_bytes", m.HeapSys - m.HeapReleased - m.HeapInuse},
		field{"rss_overhead_ratio", ratio(resident, m.HeapSys-m.HeapReleased)},
		field{"rss_overhead_bytes", resident - (m.HeapSys - m.HeapReleased)},
		field{"mem_fragmentation_ratio", ratio(resident, uint64(used))},
		field{"mem_fragmentation_bytes", int64(resident) - int64(used)},
		field{"mem_not_counted_for_evict", 0},
		field{"mem_replication_backlog", 0},
		field{"mem_total_replication_buffers", 0},
		field{"mem_clients_slaves", 0},
		field{"mem_clients_normal", b.clientMemory()},
		field{"mem_cluster_links", 0},
		field{"mem_aof_buffer", 0},
		field{"mem_allocator", "go"},
		field{"active_defrag_running", 0},
		field{"lazyfree_pending_objects", 0},
		field{"lazyfreed_objects", 0},
	)
}

// humanBytes is a number of bytes in Redis's human-readable form.
func humanBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%dB", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1<<10 && unit < len("KMGTP")-1 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.2f%c", size, "KMGTP"[unit])
}

func percentage(part, whole int) string {
	if whole == 0 {
		return "0.00%"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(whole))
}

func (b *Broker) infoPersistence(out *strings.Builder) {
	appendOnly := 0
	if b.kept("appendonly") == "yes" {
		appendOnly = 1
	}
	neverOr0 := func(happened bool) int { // seconds that it took
		if happened {
			return 0
		}
		return -1
	}
	writeFields(out,
		field{"loading", 0},
		field{"async_loading", 0},
		field{"current_cow_peak", 0},
		field{"current_cow_size", 0},
		field{"current_cow_size_age", 0},
		field{"current_fork_perc", "0.00"},
		field{"current_save_keys_processed", 0},
		field{"current_save_keys_total", 0},
		field{"rdb_changes_since_last_save", b.keys.Changes - b.saves.changes},
		field{"rdb_bgsave_in_progress", 0},
		field{"rdb_last_save_time", b.saves.last / int64(time.Second)},
		field{"rdb_last_bgsave_status", "ok"},
		field{"rdb_last_bgsave_time_sec", neverOr0(b.saves.inBack > 0)},
		field{"rdb_current_bgsave_time_sec", -1},
		field{"rdb_saves", b.saves.count},
		field{"rdb_last_cow_size", 0},
		field{"rdb_last_load_keys_expired", 0},
		field{"rdb_last_load_keys_loaded", 0},
		field{"aof_enabled", appendOnly},
		field{"aof_rewrite_in_progress", 0},
		field{"aof_rewrite_scheduled", 0},
		field{"aof_last_rewrite_time_sec", neverOr0(b.saves.rewrote)},
		field{"aof_current_rewrite_time_sec", -1},
		field{"aof_last_bgrewrite_status", "ok"},
		field{"aof_rewrites", b.saves.rewrites},
		field{"aof_rewrites_consecutive_failures", 0},
		field{"aof_last_write_status", "ok"},
		field{"aof_last_cow_size", 0},
		field{"module_fork_in_progress", 0},
		field{"module_fork_last_cow_size", 0},
	)
}

func (b *Broker) infoStats(out *strings.Builder) {
	rate := b.rate()
	writeFields(out,
		field{"total_connections_received", b.stats.connections},
		field{"total_commands_processed", b.commandsRun()},
		field{"instantaneous_ops_per_sec", int64(rate.commands)},
		field{"total_net_input_bytes", b.stats.bytesIn},
		field{"total_net_output_bytes", b.stats.bytesOut},
		field{"total_net_repl_input_bytes", 0},
		field{"total_net_repl_output_bytes", 0},
		field{"instantaneous_input_kbps", fmt.Sprintf("%.2f", rate.in/1024)},
		field{"instantaneous_output_kbps", fmt.Sprintf("%.2f", rate.out/1024)},
		field{"instantaneous_input_repl_kbps", "0.00"},
		field{"instantaneous_output_repl_kbps", "0.00"},
		field{"rejected_connections", b.stats.rejected},
		field{"faults_refused_connections", b.stats.refused},
		field{"faults_dropped_clients", b.stats.dropped},
		field{"sync_full", 0},
		field{"sync_partial_ok", 0},
		field{"sync_partial_err", 0},
		field{"expired_keys", b.keys.Expired},
		field{"expired_stale_perc", "0.00"},
		field{"expired_time_cap_reached_count", 0},
		field{"expire_cycle_cpu_milliseconds", 0},
		field{"evicted_keys", b.keys.Evicted},
		field{"evicted_clients", 0},
		field{"total_eviction_exceeded_time", 0},
		field{"current_eviction_exceeded_time", 0},
		field{"keyspace_hits", b.keys.Hits},
		field{"keyspace_misses", b.keys.Misses},
		field{"pubsub_channels", len(b.pubsub[channels])},
		field{"pubsub_patterns", len(b.pubsub[patterns])},
		field{"pubsubshard_channels", len(b.pubsub[shards])},
		field{"latest_fork_usec", 0},
		field{"total_forks", 0},
		field{"migrate_cached_sockets", 0},
		field{"slave_expires_tracked_keys", 0},
		field{"active_defrag_hits", 0},
		field{"active_defrag_misses", 0},
		field{"active_defrag_key_hits", 0},
		field{"active_defrag_key_misses", 0},
		field{"total_active_defrag_time", 0},
		field{"current_active_defrag_time", 0},
		field{"tracking_total_keys", len(b.tracking.readers)},
		field{"tracking_total_items", b.tracking.items()},
		field{"tracking_total_prefixes", len(b.tracking.prefixes)},
		field{"unexpected_error_replies", 0},
		field{"total_error_replies", b.stats.errors},
		field{"dump_payload_sanitizations", 0},
		field{"total_reads_processed", b.stats.reads},
		field{"total_writes_processed", b.stats.writes},
		field{"io_threaded_reads_processed", 0},
		field{"io_threaded_writes_processed", 0},
		field{"reply_buffer_shrinks", 0},
		field{"reply_buffer_expands", 0},
	)
}

func (b *Broker) infoReplication(out *strings.Builder) {
	writeFields(out,
		field{"role", "master"},
		field{"connected_slaves", 0},
	)
	if b.lacksReplicas() {
		writeFields(out, field{"min_slaves_good_slaves", 0})
	}
	writeFields(out,
		field{"master_failover_state", "no-failover"},
		field{"master_replid", b.replicationID},
		field{"master_replid2", b.formerReplicationID},
		field{"master_repl_offset", 0},
		field{"second_repl_offset", -1},
		field{"repl_backlog_active", 0},
		field{"repl_backlog_size", b.kept("repl-backlog-size")},
		field{"repl_backlog_first_byte_offset", 0},
		field{"repl_backlog_histlen", 0},
	)
}

func (b *Broker) infoCommands(out *strings.Builder) {
	for name, c := range b.table.All() {
		u := &b.usage[c.Index]
		if u.calls+u.rejected+u.failed == 0 {
			continue
		}
		usec, perCall := u.time/1000, 0.0
		if u.calls > 0 {
			perCall = float64(u.time) / 1000 / float64(u.calls)
		}
		fmt.Fprintf(out, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			name, u.calls, usec, perCall, u.rejected, u.failed)
	}
}

func (b *Broker) infoErrors(out *strings.Builder) {
	for _, code := range b.stats.codes() {
		fmt.Fprintf(out, "errorstat_%s:count=%d\r\n", code, b.stats.errorCodes[code])
	}
}

// infoLatency writes percentiles in microseconds.
func (b *Broker) infoLatency(out *strings.Builder) {
	o := &b.options.diagnostics
	if !o.latencies {
		return
	}
	for name, c := range b.table.All() {
		h := b.usage[c.Index].latency
		if h == nil {
			continue
		}
		var values []string
		for word := range strings.FieldsSeq(o.percentiles) {
			p, _ := resp.ParseFloat([]byte(word)) // which CONFIG SET has checked
			values = append(values, fmt.Sprintf("p%s=%.3f", word, float64(h.percentile(p))/1000))
		}
		fmt.Fprintf(out, "latency_percentiles_usec_%s:%s\r\n", name, strings.Join(values, ","))
	}
}

func (b *Broker) infoCluster(out *strings.Builder) { writeFields(out, field{"cluster_enabled", 0}) }

func (b *Broker) infoKeyspace(out *strings.Builder) {
	for _, d := range b.keys.DBs {
		if expired := b.pause.expiredIn(d); d.Len()+expired > 0 {
			fmt.Fprintf(out, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", d.Index, d.Len()+expired, d.Expiring()+expired, b.averageTTL(d))
		}
	}
}

// averageTTL is the mean time to live, in milliseconds. Redis samples it; here it is exact.
func (b *Broker) averageTTL(d *keyspace.DB) int64 {
	if d.Expiring() == 0 {
		return 0
	}
	sum := 0.0
	for e := range d.All() {
		if e.ExpiresAt != 0 {
			sum += float64(e.ExpiresAt - b.keys.Milliseconds())
		}
	}
	return int64(sum / float64(d.Expiring()))
}
