package keyspace

import (
	"fmt"
	"hash/crc32"
	"iter"
	"math/rand/v2"
)

// An order has every entry of a database once, sorted by the hash of its key. SCAN
// walks it, and its cursor is a hash: a key stands in the same place whenever it is
// made, and in whichever database, so that none is missed that is replaced meanwhile.
//
// It is a hash table with linear probing: the first bits of a hash say which slot is
// the entry's own, and it stands there or behind it, without a free slot between.
type order struct {
	slots []slot // as many as there are numbers of so many bits, and some for who stands behind the last
	bits  int
	n     int // entries
}

// A slot is free if it has no entry.
type slot struct {
	hash  uint32
	entry *Entry
}

// The number of slots is such that at most three quarters of them are taken, and at
// least an eighth, unless they are few.
const (
	fewestBits = 3
	spareSlots = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hashOf returns the hash of a key, which is the same in every process.
func hashOf(key []byte) uint32 {
	const spread = 0x9E3779B1 // the first bits depend on all
	return crc32.Checksum(key, castagnoli) * spread
}

// own is the slot of an entry's own.
func (o *order) own(hash uint32) int { return int(hash >> (32 - o.bits)) }

func (o *order) add(e *Entry) {
	if o.n++; o.bits == 0 || o.n > 3<<o.bits/4 {
		o.resize(max(o.bits+1, fewestBits))
	}
	i := o.own(e.hash)
	for i < len(o.slots) && o.slots[i].entry != nil && o.slots[i].hash <= e.hash {
		i++
	}
	s := slot{e.hash, e}
	for ; i < len(o.slots) && s.entry != nil; i++ {
		o.slots[i], s = s, o.slots[i]
	}
	if s.entry != nil {
		o.slots = append(o.slots, s)
	}
}

func (o *order) remove(e *Entry) {
	i := o.own(e.hash)
	for o.slots[i].entry != e {
		i++
	}
	for ; i+1 < len(o.slots); i++ {
		if next := o.slots[i+1]; next.entry == nil || o.own(next.hash) > i {
			break
		}
		o.slots[i] = o.slots[i+1]
	}
	o.slots[i] = slot{}
	if o.n--; o.bits > fewestBits && o.n < 1<<o.bits/8 {
		o.resize(o.bits - 1)
	}
}

func (o *order) resize(bits int) {
	old := o.slots
	o.bits = bits
	o.slots = make([]slot, 1<<bits, 1<<bits+spareSlots)
	free := 0
	for _, s := range old {
		if s.entry == nil {
			continue
		}
		free = max(free, o.own(s.hash))
		if free == len(o.slots) {
			o.slots = append(o.slots, slot{})
		}
		o.slots[free] = s
		free++
	}
}

// from lists the entries whose hash is the given one or greater. The order must not
// change meanwhile.
func (o *order) from(hash uint32) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		if o.n == 0 {
			return
		}
		for _, s := range o.slots[o.own(hash):] {
			if s.entry != nil && s.hash >= hash && !yield(s.entry) {
				return
			}
		}
	}
}

// all lists all entries. The order must not change meanwhile.
func (o *order) all() iter.Seq[*Entry] { return o.from(0) }

// random returns any entry, of which there must be one.
func (o *order) random() *Entry {
	for {
		if e := o.slots[rand.IntN(len(o.slots))].entry; e != nil {
			return e
		}
	}
}

// check looks at the slots: sorted, and nobody behind a free one that is not its own.
func (o *order) check() error {
	n, free, last := 0, 0, uint32(0)
	for i, s := range o.slots {
		switch {
		case s.entry == nil:
			free = i + 1
			continue
		case s.hash != s.entry.hash || s.hash < last || o.own(s.hash) > i || o.own(s.hash) < free:
			return fmt.Errorf("slot %d of %d has the hash %08x, after %08x", i, len(o.slots), s.hash, last)
		}
		n, last = n+1, s.hash
	}
	if n != o.n {
		return fmt.Errorf("%d entries in order, counted as %d", n, o.n)
	}
	return nil
}
