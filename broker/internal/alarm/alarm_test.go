package alarm

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Alarms come out in order, whatever was set, moved and cleared before; those for the
// same time in the order in which they were set.
func TestAlarms(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var h Queue
	h.sets = math.MaxUint32 - 2000 // it overflows meanwhile
	all := make([]Alarm, 500)
	for range 5000 {
		a := &all[random.IntN(len(all))]
		if random.IntN(3) == 0 {
			h.Clear(a)
		} else {
			h.Set(a, nil, random.Int64N(1000))
		}
		for i, a := range h.heap {
			if place := int32(i + 1); a.place != place || place > 1 && h.before(place, place/2) {
				t.Fatalf("the alarm in place %d believes to be in %d, or is due before the one above it", place, a.place)
			}
		}
	}
	var want, got []*Alarm
	for i := range all {
		if all[i].place != 0 {
			want = append(want, &all[i])
		}
	}
	slices.SortFunc(want, func(a, b *Alarm) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(int32(a.number), int32(b.number)))
	})
	for a := h.First(); a != nil; a = h.First() {
		got = append(got, a)
		h.Clear(a)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
