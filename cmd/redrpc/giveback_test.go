package main

import (
	"runtime/debug"
	"testing"
)

// Memory that has been let go of is given back, also if it was in use when that was tried before, but
// not while the process uses much that is new, nor if it did nothing. The test has no parallel
// ones beside it, as the figures are those of the whole process.
func TestGiveBackMemory(t *testing.T) {
	debug.FreeOSMemory()
	m := newMemoryKeeper()
	if m.look(); m.mayGiveBack() {
		t.Errorf("nothing was allocated, and it is to be given back: %+v", m)
	}
	const size = 128 << 20
	much := make([]byte, size)
	for i := 0; i < size; i += 4 << 10 {
		much[i] = 1
	}
	if m.look(); m.mayGiveBack() {
		t.Errorf("%d bytes were allocated just now, and are to be given back: %+v", size, m)
	}
	work := func() {
		for end := processorTime() + 2*giveBackWork; processorTime() < end; {
			much[0]++
		}
	}
	work()
	if m.look(); !m.mayGiveBack() {
		t.Errorf("%d bytes may be in use or not, and are not to be given back: %+v", size, m)
	}
	debug.FreeOSMemory()
	m.collected()
	if m.look(); m.mayGiveBack() || m.held < m.first+size/2 {
		t.Errorf("nothing has been let go of since the last time: %+v", m)
	}
	work()
	much = nil
	m.look()
	m.look()
	if !m.mayGiveBack() {
		t.Fatalf("%d bytes are not to be given back: %+v", size, m)
	}
	before := m.held
	debug.FreeOSMemory()
	if m.look(); m.held+size/2 > before {
		t.Errorf("%d bytes are held, before %d", m.held, before)
	}
}
