package broker

import (
	"fmt"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
	"runtime"
	"runtime/debug"
	"strings"
)

// MEMORY. What the broker says of memory is estimated; the figures of the allocator are
// those of the whole process.

var memoryCommands = []command.Command{
	{Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about memory.", Subs: []*command.Command{
		{Name: "doctor", Arity: 2, Run: withBroker(memoryDoctor), Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "4.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Reports whether the data take much less memory than at their peak."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "4.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "malloc-stats", Arity: 2, Run: withBroker(memoryMallocStats), Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "4.0.0", Complexity: "O(1)", Summary: "Returns statistics of Go's allocator."},
		{Name: "purge", Arity: 2, Run: withBroker(memoryPurge), Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "4.0.0", Complexity: "O(N) where N is the size of the heap", Summary: "Returns unused memory to the system."},
		{Name: "stats", Arity: 2, Run: withBroker(memoryStats), Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "4.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Returns figures about memory."},
		{Name: "usage", Arity: -3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO"), Run: withBroker(memoryUsage), Since: "4.0.0", Complexity: "O(1)", Summary: "Estimates how many bytes a key and its value take."},
	}},
}

// memoryDoctor looks for what Redis's looks for, as far as it means something here. As in
// Redis little data are not looked at.
func memoryDoctor(c *call, _ [][]byte) resp.Reply {
	const least, shrunk = 5 << 20, 1.5
	switch used, peak := c.UsedMemory(), c.PeakMemory(); {
	case used < least:
		return resp.Verbatim("The data take little memory: there is nothing to diagnose.\n")
	case float64(peak) > shrunk*float64(used):
		return resp.Verbatim(fmt.Sprintf("Peak memory: the data took %s at most, and take %s now. Go's allocator may keep the rest; MEMORY PURGE gives it back.\n", humanBytes(int64(peak)), humanBytes(int64(used))))
	}
	return resp.Verbatim("No memory problem was found.\n")
}

// memoryStats returns those of Redis's figures that the broker has. The allocator's are
// those of the whole process.
func memoryStats(c *call, _ [][]byte) resp.Reply {
	total, keys, dataset := c.UsedMemory(), 0, 0
	for _, d := range c.DBs {
		keys += d.Len()
		for e := range d.All() {
			dataset += e.Value.Size()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	scripts := c.scripting.usage()
	var pairs []resp.Reply
	for _, f := range []struct {
		name  string
		bytes int
	}{
		{"total.allocated", total},
		{"startup.allocated", keyspace.EmptyBytes},
		{"clients.normal", c.clientMemory()},
		{"lua.caches", scripts.scriptBytes},
		{"functions.caches", scripts.libraryBytes},
		{"overhead.total", total - dataset},
		{"keys.count", keys},
		{"keys.bytes-per-key", (total - keyspace.EmptyBytes) / max(keys, 1)},
		{"dataset.bytes", dataset},
		{"allocator.allocated", int(m.HeapAlloc)},
		{"allocator.active", int(m.HeapInuse)},
		{"allocator.resident", int(m.HeapSys - m.HeapReleased)},
	} {
		pairs = append(pairs, resp.BulkString(f.name), resp.Int(f.bytes))
	}
	return resp.Map(pairs...)
}

// clientMemory is what the clients take, in bytes, about.
func (b *Broker) clientMemory() (bytes int) {
	for _, s := range b.sessions {
		bytes += s.memory()
	}
	return bytes
}

// memoryMallocStats returns figures of Go's allocator.
func memoryMallocStats(*call, [][]byte) resp.Reply {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var out strings.Builder
	fmt.Fprintf(&out, "Go's allocator, of the whole process, in bytes:\n")
	for _, f := range []field{
		{"heap, allocated", m.HeapAlloc},
		{"heap, in use", m.HeapInuse},
		{"heap, idle", m.HeapIdle},
		{"heap, given back", m.HeapReleased},
		{"stacks", m.StackSys},
		{"from the system", m.Sys},
		{"objects, counted", m.HeapObjects},
		{"collections, counted", m.NumGC},
	} {
		fmt.Fprintf(&out, "%s: %d\n", f.name, f.value)
	}
	return resp.Verbatim(out.String())
}

// memoryPurge returns unused memory to the operating system.
func memoryPurge(*call, [][]byte) resp.Reply {
	debug.FreeOSMemory()
	return resp.OK
}

// memoryUsage ignores SAMPLES: all elements count.
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
	e := c.DB.Find(args[2])
	if e == nil {
		return resp.Null
	}
	return resp.Int(e.Footprint())
}
