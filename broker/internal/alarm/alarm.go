// Package alarm has a queue of alarms: times at which something is due.
package alarm

import (
	"iter"
	"math"
	"slices"
)

// An Alarm is a time at which something is due: a key expires, for example, or a client
// times out.
type Alarm struct {
	At     int64  // nanoseconds since 1970
	place  int32  // in the heap, counted from 1; 0: not set
	number uint32 // of alarms for the same time, the one that was set first comes first
	Owner  Owner
}

// Never is the time of alarms that do not go off: the last time there is, in the year 2262.
const Never = math.MaxInt64

// An Owner of an alarm does what is due. Its alarm is not set any more.
type Owner interface{ Due() }

// Queue is a heap with the earliest alarm first.
type Queue struct {
	heap []*Alarm
	sets uint32 // how many were set, modulo 2^32
}

// IsSet reports whether the alarm is to go off.
func (a *Alarm) IsSet() bool { return a.place != 0 }

// Set makes an alarm go off at a time, at which its owner does what is due.
func (h *Queue) Set(a *Alarm, o Owner, at int64) {
	h.sets++
	a.At, a.number, a.Owner = at, h.sets, o
	if a.place == 0 {
		h.heap = append(h.heap, a)
		a.place = int32(len(h.heap))
	}
	h.up(a.place)
	h.down(a.place)
}

func (h *Queue) Clear(a *Alarm) {
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

// Len is how many alarms are set.
func (h *Queue) Len() int { return len(h.heap) }

// At returns one of the alarms that are set, from 0 on, in the order of All.
func (h *Queue) At(i int) *Alarm { return h.heap[i] }

// All lists the alarms that are set, the earliest first, the others in no order.
func (h *Queue) All() iter.Seq[*Alarm] { return slices.Values(h.heap) }

// First returns the alarm that goes off next, or nil.
func (h *Queue) First() *Alarm {
	if len(h.heap) == 0 || h.heap[0].At == Never {
		return nil
	}
	return h.heap[0]
}

// before reports whether the alarm at place i goes off before the one at j.
func (h *Queue) before(i, j int32) bool {
	a, b := h.heap[i-1], h.heap[j-1]
	return a.At < b.At || a.At == b.At && int32(a.number-b.number) < 0
}

func (h *Queue) swap(i, j int32) {
	h.heap[i-1], h.heap[j-1] = h.heap[j-1], h.heap[i-1]
	h.heap[i-1].place, h.heap[j-1].place = i, j
}

func (h *Queue) up(i int32) {
	for i > 1 && h.before(i, i/2) {
		h.swap(i, i/2)
		i /= 2
	}
}

func (h *Queue) down(i int32) {
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
