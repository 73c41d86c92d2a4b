package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The Go runtime gives memory back that a process does not use any more, but only after the next
// garbage collection, which on a server that has become idle comes two minutes later. What a
// broker has let go of (replies that have been read, keys that are deleted) is given back within
// seconds, as redis-server does.

const (
	giveBackEvery = 5 * time.Second
	giveBackLeast = 32 << 20              // bytes beyond what the process held at first
	giveBackRest  = 50                    // times the processor time that it took: a fiftieth of a core at most
	giveBackWork  = 10 * time.Millisecond // of processor time: what did less has let go of nothing
)

// giveBackMemory does so until the context ends.
func giveBackMemory(ctx context.Context) {
	m := newMemoryKeeper()
	for wait := giveBackEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = giveBackEvery
		if m.look(); m.mayGiveBack() {
			debug.FreeOSMemory()
			m.collected()
			wait = max(wait, giveBackRest*(m.usedThen-m.used))
		}
	}
}

// A memoryKeeper knows what the process takes of memory, in bytes, and whether it works.
type memoryKeeper struct {
	first     uint64        // that it held from the system at first
	held      uint64        // that it holds
	allocated uint64        // since the process began
	recently  uint64        // of that, between the last two looks
	used      time.Duration // processor time
	usedThen  time.Duration // at the last collection
}

func newMemoryKeeper() *memoryKeeper {
	m := new(memoryKeeper)
	m.look()
	m.first = m.held
	m.collected()
	return m
}

// look asks the runtime and the system.
func (m *memoryKeeper) look() {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	m.held = s[0].Value.Uint64() - s[1].Value.Uint64()
	m.recently = s[2].Value.Uint64() - m.allocated
	m.allocated += m.recently
	m.used = processorTime()
}

// collected notes that garbage has just been collected.
func (m *memoryKeeper) collected() { m.usedThen = processorTime() }

// mayGiveBack reports whether the process holds much, may have let go of some of it since the last
// collection, and is not using it for something new right now.
func (m *memoryKeeper) mayGiveBack() bool {
	return m.held >= m.first+giveBackLeast && m.used-m.usedThen >= giveBackWork && m.recently < (m.held-m.first)/2
}
