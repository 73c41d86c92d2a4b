// Package list has lists: their values and commands.
package list

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"redrpc/broker/internal/keyspace"
)

// chunkSize is the most bytes a chunk of a list grows to, unless one element
// alone is larger. Redis packs its lists to 8 KiB too.
const chunkSize = 8 << 10

// A list is a sequence of byte strings with fast ends. Its elements are packed
// into chunks, which form a doubly linked list. Every chunk holds at least one
// element.
//
// Elements that a method returns or passes on belong to the list and are valid
// until it changes; elements that a method is given are copied.
type list struct {
	head, tail *chunk
	length     int
	packed     int // bytes of the elements with their lengths
}

// A chunk packs elements into one piece of memory, from buf[lo:] on. Before and
// after each element stands its length as a varint, the one after it backwards,
// so that the elements can be walked both ways.
type chunk struct {
	prev, next *chunk
	buf        []byte
	lo         int
	count      int
}

// An end of a list.
type end bool

const (
	left  end = false
	right end = true
)

func (l *list) Type() *keyspace.Type { return Type }
func (l *list) Encoding() string     { return "quicklist" }
func (l *list) Size() int            { return 96 + l.packed }

func (l *list) Clone() keyspace.Value {
	copied := &list{}
	for _, p := range l.walk(left) {
		copied.push(right, p.value())
	}
	return copied
}

// Elements are those from the head to the tail.
func (l *list) Elements() (elements iter.Seq[[]byte], n int) {
	return func(yield func([]byte) bool) {
		for _, p := range l.walk(left) {
			if !yield(p.value()) {
				return
			}
		}
	}, l.length
}

func (l *list) Recipe() keyspace.Recipe {
	elements, _ := l.Elements()
	return keyspace.Recipe{Command: "RPUSH", Group: 1, Parts: elements}
}

// collect makes a list of elements.
func collect(elements iter.Seq[[]byte]) keyspace.Value {
	l := &list{}
	for e := range elements {
		l.push(right, e)
	}
	return l
}

// push adds an element at an end.
func (l *list) push(e end, value []byte) {
	size := packedSize(len(value))
	if e == right {
		c := l.tail
		if c == nil || !c.roomBehind(size) {
			c = l.grow(right, size)
		}
		c.buf = pack(c.buf, value)
		c.count++
	} else {
		c := l.head
		if c == nil || !c.roomBefore(size) {
			c = l.grow(left, size)
		}
		c.lo -= size
		pack(c.buf[c.lo:c.lo], value)
		c.count++
	}
	l.length++
	l.packed += size
}

// grow adds a chunk at an end with room for size bytes there. The first chunk of
// a list is made to measure, as many lists only ever hold one element.
func (l *list) grow(e end, size int) *chunk {
	room := size
	if l.head != nil {
		room = max(size, chunkSize)
	}
	c := &chunk{}
	if e == right {
		c.buf = make([]byte, 0, room)
		l.link(l.tail, c)
	} else {
		c.buf = make([]byte, room)
		c.lo = room
		l.link(nil, c)
	}
	return c
}

// link puts a chunk behind another, or first if that is nil.
func (l *list) link(after, c *chunk) {
	c.prev = after
	if after == nil {
		c.next, l.head = l.head, c
	} else {
		c.next, after.next = after.next, c
	}
	if c.next == nil {
		l.tail = c
	} else {
		c.next.prev = c
	}
}

func (l *list) unlink(c *chunk) {
	if c.prev == nil {
		l.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
}

// roomBehind makes room for size bytes at the back of the chunk, if it may grow.
func (c *chunk) roomBehind(size int) bool {
	if cap(c.buf)-len(c.buf) >= size {
		return true
	}
	used := len(c.buf) - c.lo
	switch half := cap(c.buf) / 2; {
	case used+size > chunkSize, used+size > half && cap(c.buf) >= chunkSize:
		return false
	case used+size <= half: // the front was popped: move down instead
		c.buf = c.buf[:copy(c.buf[:cap(c.buf)], c.buf[c.lo:])]
	default:
		grown := make([]byte, used, min(2*(used+size), chunkSize))
		copy(grown, c.buf[c.lo:])
		c.buf = grown
	}
	c.lo = 0
	return true
}

// roomBefore makes room for size bytes at the front of the chunk, if it may grow.
func (c *chunk) roomBefore(size int) bool {
	if c.lo >= size {
		return true
	}
	used := len(c.buf) - c.lo
	room := cap(c.buf)
	switch half := room / 2; {
	case used+size > chunkSize, used+size > half && room >= chunkSize:
		return false
	case used+size > half:
		room = min(2*(used+size), chunkSize)
	}
	grown := make([]byte, room)
	lo := room - used
	copy(grown[lo:], c.buf[c.lo:])
	c.buf, c.lo = grown, lo
	return true
}

// pop removes the element at an end of a list that is not empty.
func (l *list) pop(e end) []byte {
	var c *chunk
	var value []byte
	size := 0
	if e == left {
		c = l.head
		value = l.front().value()
		size = packedSize(len(value))
		c.lo += size
	} else {
		c = l.tail
		value = l.back().value()
		size = packedSize(len(value))
		c.buf = c.buf[:len(c.buf)-size]
	}
	c.count--
	l.length--
	l.packed -= size
	if c.count == 0 {
		l.unlink(c)
	}
	return value
}

// A place is where an element stands in a list.
type place struct {
	chunk    *chunk
	off      int // of the element's first byte in chunk.buf
	from, to int // the packed element: lengths and bytes
	size     int
}

func (p place) value() []byte { return p.chunk.buf[p.off : p.off+p.size : p.off+p.size] }
func (p place) valid() bool   { return p.chunk != nil }

func (l *list) front() place {
	if l.head == nil {
		return place{}
	}
	return l.head.at(l.head.lo)
}

func (l *list) back() place {
	if l.tail == nil {
		return place{}
	}
	return l.tail.before(len(l.tail.buf))
}

// at reads the element that begins at an offset.
func (c *chunk) at(from int) place {
	size, n := uint64(c.buf[from]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(c.buf[from:])
	}
	off := from + n
	return place{c, off, from, off + int(size) + n, int(size)}
}

// before reads the element that ends at an offset.
func (c *chunk) before(to int) place {
	size, n := uint64(0), 0
	for shift := 0; ; shift += 7 {
		n++
		b := c.buf[to-n]
		size |= uint64(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	off := to - n - int(size)
	return place{c, off, off - n, to, int(size)}
}

func (p place) next() place {
	if p.to < len(p.chunk.buf) {
		return p.chunk.at(p.to)
	}
	if c := p.chunk.next; c != nil {
		return c.at(c.lo)
	}
	return place{}
}

func (p place) prev() place {
	if p.from > p.chunk.lo {
		return p.chunk.before(p.from)
	}
	if c := p.chunk.prev; c != nil {
		return c.before(len(c.buf))
	}
	return place{}
}

// seek returns the place of the element with an index from 0 to length-1. It
// walks from the nearer end, a chunk at a time.
func (l *list) seek(index int) place {
	if index < l.length/2 {
		c := l.head
		for ; index >= c.count; c = c.next {
			index -= c.count
		}
		return c.nth(index)
	}
	c, behind := l.tail, l.length-1-index
	for ; behind >= c.count; c = c.prev {
		behind -= c.count
	}
	return c.nth(c.count - 1 - behind)
}

func (c *chunk) nth(index int) place {
	if index < c.count/2 {
		p := c.at(c.lo)
		for range index {
			p = c.at(p.to)
		}
		return p
	}
	p := c.before(len(c.buf))
	for range c.count - 1 - index {
		p = c.before(p.from)
	}
	return p
}

// walk passes the elements with their indexes, from an end on.
func (l *list) walk(e end) iter.Seq2[int, place] {
	return func(yield func(int, place) bool) {
		if e == left {
			for i, p := 0, l.front(); p.valid(); i, p = i+1, p.next() {
				if !yield(i, p) {
					return
				}
			}
			return
		}
		for i, p := l.length-1, l.back(); p.valid(); i, p = i-1, p.prev() {
			if !yield(i, p) {
				return
			}
		}
	}
}

// set replaces an element.
func (l *list) set(p place, value []byte) {
	if len(value) == p.size {
		copy(p.value(), value)
		return
	}
	l.splice(p.chunk, p.from, p.to, value, 0)
}

// insertBefore and insertAfter put an element next to another.
func (l *list) insertBefore(p place, value []byte) {
	l.length++
	l.splice(p.chunk, p.from, p.from, value, 1)
}

func (l *list) insertAfter(p place, value []byte) {
	l.length++
	l.splice(p.chunk, p.to, p.to, value, 1)
}

// splice replaces the bytes from one offset of a chunk to another by a packed
// element, which changes the number of elements by more. A chunk that gets too
// large is cut in two.
func (l *list) splice(c *chunk, from, to int, value []byte, more int) {
	grows := packedSize(len(value)) - (to - from)
	l.packed += grows
	buf := make([]byte, 0, len(c.buf)-c.lo+grows)
	buf = append(buf, c.buf[c.lo:from]...)
	buf = pack(buf, value)
	buf = append(buf, c.buf[to:]...)
	c.buf, c.lo = buf, 0
	c.count += more
	if len(buf) <= chunkSize || c.count == 1 {
		return
	}
	cut := c.nth(c.count / 2).from
	behind := &chunk{buf: bytes.Clone(buf[cut:]), count: c.count - c.count/2}
	c.buf = bytes.Clone(buf[:cut])
	c.count /= 2
	l.link(c, behind)
}

// remove deletes an element and returns the place of the one behind it.
func (l *list) remove(p place) place {
	c := p.chunk
	l.length--
	l.packed -= p.to - p.from
	c.count--
	if c.count == 0 {
		l.unlink(c)
		if c.next == nil {
			return place{}
		}
		return c.next.at(c.next.lo)
	}
	c.buf = append(c.buf[:p.from], c.buf[p.to:]...)
	if p.from < len(c.buf) {
		return c.at(p.from)
	}
	if c.next == nil {
		return place{}
	}
	return c.next.at(c.next.lo)
}

// drop removes n elements at an end, or all if there are fewer.
func (l *list) drop(e end, n int) {
	for n > 0 && l.length > 0 {
		c := l.head
		if e == right {
			c = l.tail
		}
		if c.count <= n {
			n -= c.count
			l.length -= c.count
			l.packed -= len(c.buf) - c.lo
			l.unlink(c)
			continue
		}
		l.pop(e)
		n--
	}
}

// Check returns what is wrong with the counts of a list.
func (l *list) Check() error {
	length, packed := 0, 0
	for _, p := range l.walk(left) {
		length++
		packed += packedSize(len(p.value()))
	}
	if length == 0 || length != l.length || packed != l.packed {
		return fmt.Errorf("the list has %d elements of %d bytes, and counts %d of %d", length, packed, l.length, l.packed)
	}
	for _, p := range l.walk(right) {
		length--
		packed -= packedSize(len(p.value()))
	}
	if length != 0 || packed != 0 {
		return errors.New("the list is another when it is walked from its end")
	}
	return nil
}

// packedSize is the number of bytes that an element of some size takes.
func packedSize(size int) int {
	n := 1
	for s := size; s >= 0x80; s >>= 7 {
		n++
	}
	return size + 2*n
}

// pack appends an element between its two lengths.
func pack(buf, value []byte) []byte {
	size := len(value)
	if size < 0x80 {
		buf = append(buf, byte(size))
		buf = append(buf, value...)
		return append(buf, byte(size))
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	buf = append(buf, length[:n]...)
	buf = append(buf, value...)
	for n > 0 {
		n--
		buf = append(buf, length[n])
	}
	return buf
}
