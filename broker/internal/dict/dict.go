// Package dict has a compact hash table of elements that have byte strings for keys: the keys
// of a database, the fields of a hash, the members of a set or a sorted set.
package dict

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sort"
	"unsafe"
)

// An Element is what a Dict holds. Its name is its key, which never changes.
type Element interface{ Name() string }

// A Dict has elements in the order of their keys' hashes, each key once. The zero Dict is
// empty. It guarantees:
//
//   - The hash of a key is the same in every process, and so is the order of elements, but
//     for keys with the same hash. An element stands in the same place whenever it is added.
//   - A scan page by page (Scan) passes every element that is there from its beginning to its
//     end, whatever is added, removed or replaced between the pages, and none twice that
//     stays.
//   - Place, Find, Remove and Random take O(1) on average, as long as few keys have the same
//     hash of 32 bits.
//   - It takes 8 bytes and the size of an E, rounded up to 8, for each slot, and 1.25 to 1.65
//     slots for each element; up to 4 after many were removed, or if most hashes are alike; more while many are left that
//     have hashes close together.
//
// It is a hash table with linear probing: an element stands in the slot that its hash says, or
// behind it, without a free slot between; so all are sorted by their hashes.
type Dict[E Element] struct {
	slots []slot[E] // own, and some for those that stand behind the last
	own   int       // slots that hashes say
	n     int       // elements
}

type slot[E Element] struct {
	hash    uint32
	taken   bool
	element E
}

// fewestSlots is how many there are at least, once there is an element. Of more, at most 4 in 5
// are taken, and at least 1 in 4, see mayShrink; when that is over their number is made anew.
const fewestSlots = 8

// farMove is how many elements are moved at most, to add or remove one, before there is more
// room than for their number alone.
const farMove = 1000

// spacious is the number of slots for n elements of which as many may be added as removed.
func spacious(n int) int { return max(n*13/8, fewestSlots) }

// Hash returns the hash of a key.
func Hash(key []byte) uint32 {
	h := uint64(len(key))
	for ; len(key) >= 8; key = key[8:] {
		h = mix(h ^ binary.LittleEndian.Uint64(key))
	}
	rest := uint64(0)
	for _, b := range key {
		rest = rest<<8 | uint64(b)
	}
	return uint32(mix(h^rest^0xE7037ED1A0B428DB) >> 32)
}

// mix makes each bit depend on all.
func mix(x uint64) uint64 {
	high, low := bits.Mul64(x^0xA0761D6478BD642F, 0x9E3779B97F4A7C15)
	return high ^ low
}

// Bytes returns the bytes of a string without copying them: they must not be changed.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Len is how many elements there are.
func (d *Dict[E]) Len() int { return d.n }

// Slots is how many there are, taken or not.
func (d *Dict[E]) Slots() int { return len(d.slots) }

// Size is how many bytes the Dict takes, without what its elements refer to.
func (d *Dict[E]) Size() int {
	return int(unsafe.Sizeof(*d)) + cap(d.slots)*int(unsafe.Sizeof(slot[E]{}))
}

// slotOf is the slot that a hash says.
func (d *Dict[E]) slotOf(hash uint32) int { return int(uint64(hash) * uint64(d.own) >> 32) }

// seek returns the slot of a key, or the one where it belongs.
func (d *Dict[E]) seek(hash uint32, key []byte) (at int, found bool) {
	at = d.slotOf(hash)
	for near := at + 16; d.isBelow(at, hash); at++ {
		if at == near {
			at += sort.Search(len(d.slots)-at, func(i int) bool { return !d.isBelow(at+i, hash) })
			break
		}
	}
	for ; at < len(d.slots) && d.slots[at].taken && d.slots[at].hash == hash; at++ {
		if d.slots[at].element.Name() == string(key) {
			return at, true
		}
	}
	return at, false
}

// isBelow reports whether an element with a smaller hash stands in a slot, which is not before
// the one that the hash says. Behind a slot for which it is false it is false for all.
func (d *Dict[E]) isBelow(at int, hash uint32) bool {
	return at < len(d.slots) && d.slots[at].taken && d.slots[at].hash < hash
}

// Find returns the element of a key, or nil. It may be replaced by one with the same key, and
// is valid until the Dict changes.
func (d *Dict[E]) Find(key []byte) *E {
	if at, found := d.seek(Hash(key), key); found {
		return &d.slots[at].element
	}
	return nil
}

// Place is Find for a key that is added if it is not there: the element is zero then, and
// must be set before anything else is done.
func (d *Dict[E]) Place(key []byte) (e *E, found bool) {
	hash := Hash(key)
	at, found := d.seek(hash, key)
	if !found {
		at = d.insert(at, hash)
	}
	return &d.slots[at].element, found
}

// insert adds a zero element in a slot where it belongs. It returns the slot, which is
// another one if their number has changed.
func (d *Dict[E]) insert(at int, hash uint32) int {
	if d.n++; d.n*5 > d.own*4 {
		d.resize(spacious(d.n))
		at = d.behind(hash)
	}
	free := d.freeFrom(at)
	if d.isCrowded(free - at) {
		d.resize(d.n * 3)
		at = d.behind(hash)
		free = d.freeFrom(at)
	}
	if free == len(d.slots) {
		d.slots = append(d.slots, slot[E]{})
	}
	if free > at {
		copy(d.slots[at+1:free+1], d.slots[at:free])
	}
	d.slots[at] = slot[E]{hash: hash, taken: true}
	return at
}

// behind returns the slot behind the elements whose hashes are not greater than the given one.
func (d *Dict[E]) behind(hash uint32) int {
	at := d.slotOf(hash)
	for at < len(d.slots) && d.slots[at].taken && d.slots[at].hash <= hash {
		at++
	}
	return at
}

// freeFrom returns the first free slot from one on; if there is none, one more than there are.
func (d *Dict[E]) freeFrom(at int) int {
	for at < len(d.slots) && d.slots[at].taken {
		at++
	}
	return at
}

// isCrowded reports whether so many elements would be moved, and could have more room. Nearly
// always that is as their hashes are not spread: they come or go in the order of hashes, as
// another Dict lists them.
func (d *Dict[E]) isCrowded(moved int) bool { return moved > farMove && d.own < d.n*2 }

// Remove removes the element of a key. It reports false if there is none.
func (d *Dict[E]) Remove(key []byte) (e E, found bool) {
	at, found := d.seek(Hash(key), key)
	if !found {
		return e, false
	}
	return d.removeAt(at), true
}

func (d *Dict[E]) removeAt(at int) E {
	e := d.slots[at].element
	end := at + 1
	for end < len(d.slots) && d.slots[end].taken && d.slotOf(d.slots[end].hash) < end {
		end++
	}
	if end > at+1 {
		copy(d.slots[at:end-1], d.slots[at+1:end])
	}
	d.slots[end-1] = slot[E]{}
	d.n--
	switch {
	case d.own > fewestSlots && d.n*4 < d.own && d.mayShrink():
		d.resize(spacious(d.n))
	case d.isCrowded(end - at):
		d.resize(d.n * 3)
	}
	return e
}

// mayShrink reports whether the elements would not stand much closer together than their number
// says: what is left when elements go in the order of their hashes has hashes that are close, and
// would all be moved each time in a smaller table. It looks at samples, of many elements now and
// then.
func (d *Dict[E]) mayShrink() bool {
	const samples, length = 16, 64
	if d.n <= farMove {
		return true
	}
	if d.n%length != 0 {
		return false
	}
	for i := range samples {
		taken := 0
		for _, s := range d.slots[d.own/samples*i:][:length] {
			if s.taken {
				taken++
			}
		}
		if taken > length/2 {
			return false
		}
	}
	return true
}

// Reserve makes room for as many elements.
func (d *Dict[E]) Reserve(n int) {
	if n*5 > d.own*4 {
		d.resize(max(n*5/4+1, fewestSlots))
	}
}

func (d *Dict[E]) resize(own int) {
	old := d.slots
	d.own = own
	d.slots = make([]slot[E], own, own+min(own/8+1, 32))
	free := 0
	for _, s := range old {
		if !s.taken {
			continue
		}
		free = max(free, d.slotOf(s.hash))
		if free == len(d.slots) {
			d.slots = append(d.slots, slot[E]{})
		}
		d.slots[free] = s
		free++
	}
}

// From lists the elements whose hash is the given one or greater, with their hashes, in the
// order of those. The Dict must not change meanwhile.
func (d *Dict[E]) From(hash uint32) iter.Seq2[uint32, E] {
	return func(yield func(uint32, E) bool) {
		for i := d.slotOf(hash); i < len(d.slots); i++ {
			if s := &d.slots[i]; s.taken && s.hash >= hash && !yield(s.hash, s.element) {
				return
			}
		}
	}
}

// All lists all elements in the order of their hashes. The Dict must not change meanwhile.
func (d *Dict[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for i := range d.slots {
			if s := &d.slots[i]; s.taken && !yield(s.element) {
				return
			}
		}
	}
}

// Scan passes a page of elements to visit, which must not change the Dict: those from a
// cursor on, at least count if there are as many. It returns the cursor of the next page, 0 if
// there is none. The first one is 0.
func (d *Dict[E]) Scan(cursor uint64, count int64, visit func(E)) (next uint64) {
	for hash, e := range d.From(uint32(cursor)) {
		if count <= 0 && uint64(hash) >= next { // else one with the same hash has been passed
			return next
		}
		count--
		next = uint64(hash) + 1
		visit(e)
	}
	return 0
}

// Random returns any element, each as likely as the others. There must be one.
func (d *Dict[E]) Random() E { return d.slots[d.randomSlot()].element }

// Draw is Random, by given random numbers.
func (d *Dict[E]) Draw(r *rand.Rand) E {
	for {
		if s := &d.slots[r.IntN(len(d.slots))]; s.taken {
			return s.element
		}
	}
}

// Pop is Random, and removes the element.
func (d *Dict[E]) Pop() E { return d.removeAt(d.randomSlot()) }

func (d *Dict[E]) randomSlot() int {
	for {
		if i := rand.IntN(len(d.slots)); d.slots[i].taken {
			return i
		}
	}
}

// Sample returns n different elements, of which there must be as many, each set of them as
// likely as the others.
func (d *Dict[E]) Sample(n int) []E {
	sample := make([]E, 0, n)
	if n <= d.n/3 {
		drawn := make(map[int]bool, n)
		for len(sample) < n {
			if at := d.randomSlot(); !drawn[at] {
				drawn[at] = true
				sample = append(sample, d.slots[at].element)
			}
		}
		return sample
	}
	left := d.n
	for e := range d.All() {
		if rand.IntN(left) < n-len(sample) {
			sample = append(sample, e)
		}
		left--
	}
	return sample
}

// Choose lists k of the integers from 0 to n-1 in ascending order, each set of them as likely
// as the others.
func Choose(n, k int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, k := 0, k; i < n && k > 0; i++ {
			if rand.IntN(n-i) < k {
				k--
				if !yield(i) {
					return
				}
			}
		}
	}
}

// Clone returns a copy, which shares what elements refer to.
func (d *Dict[E]) Clone() *Dict[E] {
	return &Dict[E]{slots: slices.Clone(d.slots), own: d.own, n: d.n}
}

// Check returns what is not as it has to be, or nil: elements that are not sorted, stand
// behind a free slot that is not their own, or are not counted.
func (d *Dict[E]) Check() error {
	n, free, last := 0, 0, uint32(0)
	for i, s := range d.slots {
		if !s.taken {
			free = i + 1
			continue
		}
		if own := d.slotOf(s.hash); s.hash < last || own > i || own < free {
			return fmt.Errorf("slot %d of %d has the hash %08x, after %08x", i, len(d.slots), s.hash, last)
		}
		n, last = n+1, s.hash
	}
	if n != d.n {
		return fmt.Errorf("%d elements, counted as %d", n, d.n)
	}
	return nil
}
