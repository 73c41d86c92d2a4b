package main

import (
	"runtime/debug"
	"testing"
)

// Memory that has been let go of is given back, but not while the process uses much that is new.
// The test has no parallel ones beside it, as the figures are those of the whole process.
func TestGiveBackMemory(t *testing.T) {
	debug.FreeOSMemory()
	var m memoryKeeper
	m.look()
	m.kept = m.held
	if m.look(); m.hasExcess() {
		t.Errorf("nothing was allocated, and it is to be given back: %+v", m)
	}
	const size = 128 << 20
	much := make([]byte, size)
	for i := 0; i < size; i += 4 << 10 {
		much[i] = 1
	}
	if m.look(); m.hasExcess() {
		t.Errorf("%d bytes were allocated just now, and are to be given back: %+v", size, m)
	}
	much = nil
	if m.look(); !m.hasExcess() {
		t.Fatalf("%d bytes are not to be given back: %+v", size, m)
	}
	before := m.held
	debug.FreeOSMemory()
	if m.look(); m.held+size/2 > before {
		t.Errorf("%d bytes are held, before %d", m.held, before)
	}
}
