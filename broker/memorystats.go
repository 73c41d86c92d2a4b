package broker

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// MEMORY, but for MEMORY USAGE.

// memoryStats tells what Redis does and the broker knows too. What the allocator
// has is that of the whole process.
func memoryStats(c *call, _ [][]byte) resp.Reply {
	total, keys, dataset := c.UsedMemory(), 0, 0
	for _, d := range c.DBs {
		keys += d.Len()
		for e := range d.All() {
			dataset += e.Value.Size()
		}
	}
	clients := 0
	for _, s := range c.sessions {
		clients += s.memory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var pairs []resp.Reply
	for _, f := range []struct {
		name  string
		bytes int
	}{
		{"total.allocated", total},
		{"startup.allocated", keyspace.EmptyBytes},
		{"clients.normal", clients},
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

// memoryMallocStats tells what Go's allocator says of itself.
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

// memoryPurge gives memory that is not used back to the system.
func memoryPurge(*call, [][]byte) resp.Reply {
	debug.FreeOSMemory()
	return resp.OK
}

// memoryUsage takes the number of elements that Redis would look at, which here are
// all.
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
	return asked(c.DB.Find(args[2]), func(e *keyspace.Entry) resp.Reply { return resp.Int(e.Footprint()) })
}
