package stream

import (
	"bytes"

	"redrpc/broker/internal/rdb"
)

// A node packs consecutive entries into one piece of memory, in the way in which Redis has them
// in a listpack: so it is full when it is full there, and can be dumped as it is. Its elements
// are
//
//	number of fields, fields, 0               the fields of the entry that it was made for
//	flags, ms, seq, values, n                 an entry with those fields
//	flags, ms, seq, number, pairs, n          an entry with others
//
// where ms and seq are to be added to those of first, and n is how many elements the entry has
// without itself. In Redis the numbers of live and deleted entries stand before all this.
type node struct {
	first         entryID // of the entry that it was made for
	live, deleted int     // entries
	entries       int     // offset of the first entry
	body          []byte
}

// Flags of an entry.
const (
	deletedFlag    = 1
	sameFieldsFlag = 2
)

// packedFrame is what a listpack has besides its elements.
const packedFrame = 4 + 2 + 1

// size is how many bytes the node has as a listpack.
func (n *node) size() int {
	var counts [2 * 10]byte
	return packedFrame + len(n.appendCounts(counts[:0])) + len(n.body)
}

// appendCounts writes the elements that stand before the body.
func (n *node) appendCounts(b []byte) []byte {
	return rdb.AppendInteger(rdb.AppendInteger(b, int64(n.live)), int64(n.deleted))
}

// newNode makes a node for an entry that is added next, with room for so many bytes.
func newNode(first entryID, pairs [][]byte, room int) *node {
	n := &node{first: first, body: make([]byte, 0, room)}
	n.body = rdb.AppendInteger(n.body, int64(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		n.body = rdb.AppendElement(n.body, pairs[i])
	}
	n.body = rdb.AppendInteger(n.body, 0)
	n.entries = len(n.body)
	return n
}

// hasFields reports whether fields, each of which stands before its value, are those that the
// node was made for.
func (n *node) hasFields(pairs [][]byte) bool {
	e := rdb.ElementAt(n.body)
	if e.Int != int64(len(pairs)/2) {
		return false
	}
	var digits [20]byte
	at := e.Size
	for i := 0; i < len(pairs); i += 2 {
		e = rdb.ElementAt(n.body[at:])
		if !bytes.Equal(e.Text(digits[:0]), pairs[i]) {
			return false
		}
		at += e.Size
	}
	return true
}

// add appends an entry.
func (n *node) add(id entryID, pairs [][]byte) {
	flags, count := int64(0), len(pairs)+4
	if n.live+n.deleted == 0 || n.hasFields(pairs) {
		flags, count = sameFieldsFlag, len(pairs)/2+3
	}
	b := rdb.AppendInteger(n.body, flags)
	b = rdb.AppendInteger(b, int64(id.ms-n.first.ms))
	b = rdb.AppendInteger(b, int64(id.seq-n.first.seq))
	if flags == 0 {
		b = rdb.AppendInteger(b, int64(len(pairs)/2))
	}
	for i, text := range pairs {
		if flags == 0 || i%2 == 1 {
			b = rdb.AppendElement(b, text)
		}
	}
	n.body = rdb.AppendInteger(b, int64(count))
	n.live++
}

// An entry is where one stands in a node.
type entry struct {
	id     entryID
	node   *node
	from   int // offset of its flags
	to     int // offset behind it
	values int // offset of its values, or of its pairs
	n      int // pairs
	flags  int64
}

func (e *entry) isDeleted() bool { return e.flags&deletedFlag != 0 }

// at reads the entry at an offset.
func (n *node) at(from int) entry {
	e := entry{node: n, from: from, to: from}
	e.flags = e.integer()
	e.id.ms = n.first.ms + uint64(e.integer())
	e.id.seq = n.first.seq + uint64(e.integer())
	elements := 0
	if e.flags&sameFieldsFlag != 0 {
		e.n = int(rdb.ElementAt(n.body).Int)
		elements = e.n
	} else {
		e.n = int(e.integer())
		elements = 2 * e.n
	}
	e.values = e.to
	for range elements + 1 {
		e.to += rdb.ElementSize(n.body[e.to:])
	}
	return e
}

// integer reads the integer at the end of what was read.
func (e *entry) integer() int64 {
	element := rdb.ElementAt(e.node.body[e.to:])
	e.to += element.Size
	return element.Int
}

// before reads the entry that ends at an offset.
func (n *node) before(to int) entry {
	from := rdb.BeforeEnd(n.body[:to])
	for range rdb.ElementAt(n.body[from:]).Int {
		from = rdb.BeforeEnd(n.body[:from])
	}
	return n.at(from)
}

// last is the ID of the last entry, live or not.
func (n *node) last() entryID { return n.before(len(n.body)).id }

// delete marks an entry as deleted.
func (n *node) delete(e *entry) {
	n.body[e.from] |= deletedFlag
	n.live--
	n.deleted++
}

// pairs passes the fields and values on, in turn, each valid until the next.
func (e entry) pairs(yield func([]byte) bool) {
	var digits [20]byte
	body := e.node.body
	field, value := 0, e.values
	if e.flags&sameFieldsFlag != 0 {
		field = rdb.ElementSize(body)
	}
	next := func(at *int) bool {
		element := rdb.ElementAt(body[*at:])
		*at += element.Size
		return yield(element.Text(digits[:0]))
	}
	for range e.n {
		from := &field
		if e.flags&sameFieldsFlag == 0 {
			from = &value
		}
		if !next(from) || !next(&value) {
			return
		}
	}
}
