package dict

import (
	"slices"
	"strconv"
	"testing"
)

// Elements may come and go in the order of their hashes, as they do when a Dict is copied or
// emptied page by page: not many are moved for each.
func TestHashOrder(t *testing.T) {
	const n = 100_000
	var source Dict[text]
	for i := range n {
		e, _ := source.Place(strconv.AppendInt(nil, int64(i), 10))
		*e = text(strconv.Itoa(i))
	}
	ascending := slices.Collect(source.All())
	for _, before := range []int{0, n / 5, n} {
		var d Dict[text]
		moved := 0 // elements, for all that come and go
		add := func(names []text) {
			for _, s := range names {
				at, _ := d.seek(Hash(Bytes(string(s))), Bytes(string(s)))
				moved += d.freeFrom(at) - at
				e, found := d.Place(Bytes(string(s)))
				if *e = s; found {
					t.Fatalf("%q is there before it is added", s)
				}
			}
			if err := d.Check(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range before {
			e, _ := d.Place([]byte("other" + strconv.Itoa(i)))
			*e = text("other" + strconv.Itoa(i))
		}
		add(ascending[:n/2])
		add(ascending[n/2:])
		if got := len(slices.Collect(d.All())); got != n+before || d.Len() != got {
			t.Fatalf("%d elements, counted as %d, want %d", got, d.Len(), n+before)
		}
		for i, s := range ascending {
			at, _ := d.seek(Hash(Bytes(string(s))), Bytes(string(s)))
			for end := at + 1; end < len(d.slots) && d.slots[end].taken && d.slotOf(d.slots[end].hash) < end; end++ {
				moved++
			}
			if _, found := d.Remove(Bytes(string(s))); !found {
				t.Fatalf("%q is not found", s)
			}
			if i%(n/10) == 0 {
				if err := d.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if most := 600 * n; moved > most {
			t.Errorf("among %d, %d elements were moved, at most %d expected", before, moved, most)
		}
		t.Logf("among %d: %.1f moved each", before, float64(moved)/n/2)
		if d.Len() != before {
			t.Fatalf("%d elements are left, want %d", d.Len(), before)
		}
	}
}
