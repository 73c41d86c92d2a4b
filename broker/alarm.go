package broker

// An alarm is a time at which something is due: a key to delete, for example, or
// a client that has waited long enough.
type alarm struct {
	at     int64  // nanoseconds since 1970
	place  int32  // in the heap, counted from 1; 0: not set
	number uint32 // of alarms for the same time, the one that was set first comes first
	owner  owner
}

// An owner of an alarm does what is due. Its alarm is not set any more.
type owner interface{ due() }

// alarms is a heap with the earliest alarm first.
type alarms struct {
	heap []*alarm
	sets uint32 // how many were set, modulo 2^32
}

// set makes an alarm go off at a time, at which its owner does what is due.
func (h *alarms) set(a *alarm, o owner, at int64) {
	h.sets++
	a.at, a.number, a.owner = at, h.sets, o
	if a.place == 0 {
		h.heap = append(h.heap, a)
		a.place = int32(len(h.heap))
	}
	h.up(a.place)
	h.down(a.place)
}

func (h *alarms) clear(a *alarm) {
	if a.place == 0 {
		return
	}
	i, last := a.place, int32(len(h.heap))
	h.swap(i, last)
	h.heap[last-1] = nil
	h.heap = h.heap[:last-1]
	a.place = 0
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// first returns the earliest alarm, or nil.
func (h *alarms) first() *alarm {
	if len(h.heap) == 0 {
		return nil
	}
	return h.heap[0]
}

// before reports whether the alarm at place i goes off before the one at j.
func (h *alarms) before(i, j int32) bool {
	a, b := h.heap[i-1], h.heap[j-1]
	return a.at < b.at || a.at == b.at && int32(a.number-b.number) < 0
}

func (h *alarms) swap(i, j int32) {
	h.heap[i-1], h.heap[j-1] = h.heap[j-1], h.heap[i-1]
	h.heap[i-1].place, h.heap[j-1].place = i, j
}

func (h *alarms) up(i int32) {
	for i > 1 && h.before(i, i/2) {
		h.swap(i, i/2)
		i /= 2
	}
}

func (h *alarms) down(i int32) {
	for last := int32(len(h.heap)); ; {
		child := 2 * i
		if child > last {
			return
		}
		if child < last && h.before(child+1, child) {
			child++
		}
		if !h.before(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
