// Package hash has hashes: their values, and the commands for them.
package hash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"unsafe"

	"redrpc/broker/internal/dict"
	"redrpc/broker/internal/keyspace"
)

// A hash is the value of a hash key. While it is small its fields and values stand in one
// piece of memory, in the order in which the fields were added; then in a table, and do so for
// good.
type hash struct {
	packed []byte // fields and values in turn, each behind its length
	count  int    // how many fields are in it
	table  *dict.Dict[field]
	bytes  int // of the fields and values in the table
}

// A field is one of a table with its value: the length of its name, the name and the value.
type field string

func newField(name, value []byte) field {
	b := make([]byte, 0, sizeOf(len(name))+len(value))
	b = append(pack(b, name), value...)
	return field(unsafe.String(unsafe.SliceData(b), len(b)))
}

// Name is the field's name.
func (f field) Name() string {
	name, _ := f.cut()
	return string(name)
}

func (f field) cut() (name, value field) {
	size, n := uint64(f[0]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(dict.Bytes(string(f[:min(len(f), binary.MaxVarintLen64)])))
	}
	behind := n + int(size)
	return f[n:behind], f[behind:]
}

// parts are the name and the value, which must not be changed.
func (f field) parts() (name, value []byte) {
	x, y := f.cut()
	return dict.Bytes(string(x)), dict.Bytes(string(y))
}

// sizeOf is how many bytes a string of a length takes with that.
func sizeOf(length int) int {
	n := 1
	for s := length; s >= 0x80; s >>= 7 {
		n++
	}
	return n + length
}

// pack appends a string behind its length.
func pack(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A place is where a field stands in a packed hash.
type place struct {
	from, value, to int // the field's first byte, that of its value, and the byte behind
}

// unpack returns the string that begins at an offset, and where the next one does.
func (h *hash) unpack(from int) (s []byte, to int) {
	size, n := uint64(h.packed[from]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(h.packed[from:])
	}
	from += n
	to = from + int(size)
	return h.packed[from:to:to], to
}

// seek finds a field of a packed hash.
func (h *hash) seek(name []byte) (p place, found bool) {
	for p.to < len(h.packed) {
		p.from = p.to
		var s []byte
		s, p.value = h.unpack(p.from)
		_, p.to = h.unpack(p.value)
		if string(s) == string(name) {
			return p, true
		}
	}
	return p, false
}

// length is how many fields there are.
func (h *hash) length() int {
	if h.table != nil {
		return h.table.Len()
	}
	return h.count
}

// get returns the value of a field, valid until the hash changes.
func (h *hash) get(name []byte) (value []byte, found bool) {
	if h.table != nil {
		f := h.table.Find(name)
		if f == nil {
			return nil, false
		}
		_, value = f.parts()
		return value, true
	}
	p, found := h.seek(name)
	if found {
		value, _ = h.unpack(p.value)
	}
	return value, found
}

// set sets a field, and reports whether it is new. It makes a table of a hash that is too
// large for the thresholds.
func (h *hash) set(name, value []byte, t *keyspace.Thresholds) (isNew bool) {
	if h.table == nil && max(len(name), len(value)) > t.HashValue {
		h.spread()
	}
	if h.table != nil {
		return h.put(name, value)
	}
	p, found := h.seek(name)
	if found {
		h.replace(p.value, p.to, value)
	} else {
		h.grow(sizeOf(len(name)) + sizeOf(len(value)))
		h.packed = pack(pack(h.packed, name), value)
		h.count++
	}
	if h.count > t.HashEntries { // also if the threshold has been lowered since
		h.spread()
	}
	return !found
}

// grow makes room for more bytes of a packed hash, and some to spare.
func (h *hash) grow(more int) {
	if n := len(h.packed) + more; n > cap(h.packed) {
		h.packed = append(make([]byte, 0, n+n/8), h.packed...)
	}
}

// replace puts a packed string in the place of what stands from one offset to another.
func (h *hash) replace(from, to int, value []byte) {
	more := sizeOf(len(value)) - (to - from)
	if more > 0 {
		h.grow(more)
	}
	old := len(h.packed)
	h.packed = h.packed[:max(old, old+more)]
	copy(h.packed[to+more:], h.packed[to:old])
	h.packed = h.packed[:old+more]
	pack(h.packed[:from], value)
}

// put sets a field of a table.
func (h *hash) put(name, value []byte) (isNew bool) {
	f, found := h.table.Place(name)
	h.bytes -= len(*f)
	*f = newField(name, value)
	h.bytes += len(*f)
	return !found
}

// spread makes a table of a packed hash.
func (h *hash) spread() {
	h.table = &dict.Dict[field]{}
	h.table.Reserve(h.count)
	for i := 0; i < len(h.packed); {
		var name, value []byte
		name, i = h.unpack(i)
		value, i = h.unpack(i)
		h.put(name, value)
	}
	h.packed, h.count = nil, 0
}

// remove removes a field, and reports whether it was there.
func (h *hash) remove(name []byte) bool {
	if h.table != nil {
		f, found := h.table.Remove(name)
		h.bytes -= len(f)
		return found
	}
	p, found := h.seek(name)
	if found {
		h.packed = append(h.packed[:p.from], h.packed[p.to:]...)
		h.count--
	}
	return found
}

// all lists the fields with their values, valid until the hash changes: those of a packed
// hash in the order in which they were added, those of a table in an order that stays.
func (h *hash) all() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if h.table != nil {
			for f := range h.table.All() {
				if !yield(f.parts()) {
					return
				}
			}
			return
		}
		for i := 0; i < len(h.packed); {
			var name, value []byte
			name, i = h.unpack(i)
			value, i = h.unpack(i)
			if !yield(name, value) {
				return
			}
		}
	}
}

// A pair is a field's name and its value.
type pair struct{ name, value []byte }

// pairs lists all fields.
func (h *hash) pairs() []pair {
	pairs := make([]pair, 0, h.length())
	for name, value := range h.all() {
		pairs = append(pairs, pair{name, value})
	}
	return pairs
}

// random returns a function that draws one field after the other, each as likely as the
// others every time.
func (h *hash) random() func() pair {
	if h.table != nil {
		return func() pair {
			name, value := h.table.Random().parts()
			return pair{name, value}
		}
	}
	pairs := h.pairs()
	return func() pair { return pairs[rand.IntN(len(pairs))] }
}

// sample returns n different fields, of which there must be more, each set of them as likely
// as the others: those of a packed hash in its order.
func (h *hash) sample(n int) (drawn []pair) {
	if h.table != nil {
		for _, f := range h.table.Sample(n) {
			name, value := f.parts()
			drawn = append(drawn, pair{name, value})
		}
		return drawn
	}
	pairs := h.pairs()
	for i := range dict.Choose(len(pairs), n) {
		drawn = append(drawn, pairs[i])
	}
	return drawn
}

// Scan passes a packed hash on as a whole.
func (h *hash) Scan(cursor uint64, o *keyspace.ScanOptions) (next uint64, page [][]byte) {
	visit := func(name, value []byte) {
		if o.Matches(string(name)) {
			page = append(page, name, value)
		}
	}
	if h.table != nil {
		next = h.table.Scan(cursor, o.Count, func(f field) { visit(f.parts()) })
		return next, page
	}
	for name, value := range h.all() {
		visit(name, value)
	}
	return 0, page
}

func (h *hash) Type() *keyspace.Type { return Type }

func (h *hash) Encoding() string {
	if h.table != nil {
		return "hashtable"
	}
	return "listpack"
}

// Clone shares the fields of a table, which never change.
func (h *hash) Clone() keyspace.Value {
	c := &hash{packed: bytes.Clone(h.packed), count: h.count, bytes: h.bytes}
	if h.table != nil {
		c.table = h.table.Clone()
	}
	return c
}

// Size counts half of what the allocator rounds up to 16 bytes for each field of a table.
func (h *hash) Size() int {
	size := int(unsafe.Sizeof(*h)) + cap(h.packed)
	if h.table != nil {
		size += h.table.Size() + h.bytes + 8*h.table.Len()
	}
	return size
}

func (h *hash) Recipe() keyspace.Recipe {
	return keyspace.Recipe{Command: "HSET", Group: 2, Parts: func(yield func([]byte) bool) {
		for name, value := range h.all() {
			if !yield(name) || !yield(value) {
				return
			}
		}
	}}
}

// Field returns the value of a field, for SORT.
func (h *hash) Field(name []byte) (value []byte, found bool) { return h.get(name) }

// Check returns what is wrong with the counts of a hash.
func (h *hash) Check() error {
	n, size := 0, 0
	for name, value := range h.all() {
		n++
		size += sizeOf(len(name)) + len(value)
		if got, found := h.get(name); !found || !bytes.Equal(got, value) {
			return fmt.Errorf("the field %q is not found, or twice", name)
		}
	}
	switch {
	case n == 0 || n != h.length():
		return fmt.Errorf("the hash has %d fields, and counts %d", n, h.length())
	case h.table == nil:
		return nil
	case size != h.bytes:
		return fmt.Errorf("the fields have %d bytes, and count %d", size, h.bytes)
	}
	return h.table.Check()
}
