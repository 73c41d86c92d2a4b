package lua

import "runtime/metrics"

// What bounds the memory that a script takes. Lua has no bound but that of the machine;
// here a script must not take that of the tests it runs in.

const (
	defaultMemoryLimit = 1 << 30
	checksPerLimit     = 16 // how often what is in use is looked at, before there can be too much
	bytesPerField      = 40 // of a table
)

// SetMemoryLimit bounds, about, how many bytes a script may have in use, and its longest
// string. Without it that is 1 GB, and 512 MB for a string.
func (s *State) SetMemoryLimit(bytes int) { s.memoryLimit = bytes }

// A memory counts what a script allocates. From time to time it is asked what of that is
// in use.
type memory struct {
	allocated, checkAt int
	before             uint64 // bytes in use when it was first asked
	isChecked          bool
}

// allocate counts bytes, and raises an error if the script has too much in use.
func (t *Thread) allocate(bytes int) {
	m := &t.state.memory
	if m.allocated += bytes; m.allocated < m.checkAt {
		return
	}
	m.checkAt = m.allocated + t.state.memoryLimit/checksPerLimit
	live := liveBytes()
	if !m.isChecked {
		m.isChecked, m.before = true, live
	}
	if m.allocated > t.state.memoryLimit && live > m.before+uint64(t.state.memoryLimit) { // others allocate, too
		t.fail(notEnoughMemory)
	}
}

// liveBytes is what was in use when Go's collector ran last.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// size is the bytes that a table's fields take.
func (t *Table) size() int { return (len(t.array) + len(t.nodes)) * bytesPerField }

// checkLength raises an error if a string becomes too long.
func (t *Thread) checkLength(n int) {
	if n > min(MaxString, t.state.memoryLimit) {
		t.fail(notEnoughMemory)
	}
}

// madeString returns a string of bytes that nobody changes from now on.
func (t *Thread) madeString(b []byte) Value {
	t.checkLength(len(b))
	t.allocate(len(b))
	return bytesValue(b)
}
