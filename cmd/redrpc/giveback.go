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
	giveBackLeast = 32 << 20 // bytes beyond what the last time left
	giveBackShare = 4        // and so much of that: a quarter
	giveBackRest  = 100      // times as long as it took: it has a hundredth of the time at most
)

// giveBackMemory does so until the context ends.
func giveBackMemory(ctx context.Context) {
	var m memoryKeeper
	m.look()
	m.kept = m.held
	for wait := giveBackEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = giveBackEvery
		if m.look(); m.hasExcess() {
			began := time.Now()
			debug.FreeOSMemory()
			wait = max(wait, giveBackRest*time.Since(began))
			m.look()
			m.kept = m.held
		}
	}
}

// A memoryKeeper knows what the process takes of memory, in bytes.
type memoryKeeper struct {
	held      uint64 // from the system
	kept      uint64 // held when memory was given back last, or less
	allocated uint64 // since the process began
	recently  uint64 // of that, between the last two looks
}

// look asks the runtime.
func (m *memoryKeeper) look() {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	m.held = s[0].Value.Uint64() - s[1].Value.Uint64()
	m.kept = min(m.kept, m.held)
	m.recently = s[2].Value.Uint64() - m.allocated
	m.allocated += m.recently
}

// hasExcess reports whether much has come since memory was given back that is not being used for
// something new right now.
func (m *memoryKeeper) hasExcess() bool {
	excess := m.held - m.kept
	return excess >= max(giveBackLeast, m.kept/giveBackShare) && m.recently < excess/2
}
