// Package stream has streams: their values with consumer groups, and their commands.
package stream

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A stream is a sequence of entries in the order of their IDs, each with fields and values. As
// in Redis entries are packed into nodes, of which trimming removes whole ones if it may.
// Entries that are only marked as deleted need not be in order, as XSETID can set the last ID back.
type stream struct {
	nodes  []*node
	length int
	bytes  int // of the nodes
	groups groups

	first      entryID // of the first entry; zero if there is none
	last       entryID // the greatest ID that was added
	maxDeleted entryID // the greatest ID that XDEL has deleted
	added      uint64  // how many entries have been added, trimmed and deleted ones included
}

func (s *stream) Type() *keyspace.Type { return Type }
func (s *stream) Encoding() string     { return "stream" }

// nodeBytes is what a node takes besides what it packs.
const nodeBytes = 80 + 8

func (s *stream) Size() int { return 144 + s.bytes + s.groups.size() }

func (n *node) bytes() int { return nodeBytes + cap(n.body) }

func (s *stream) Clone() keyspace.Value {
	c := *s
	c.nodes = make([]*node, len(s.nodes))
	c.bytes = 0
	for i, n := range s.nodes {
		copied := *n
		copied.body = bytes.Clone(n.body)
		c.nodes[i] = &copied
		c.bytes += copied.bytes()
	}
	c.groups = s.groups.clone()
	return &c
}

// Recipe is RESTORE, as no other command brings back groups with what is pending, and what a
// stream counts.
func (s *stream) Recipe() keyspace.Recipe {
	return keyspace.Recipe{Command: "RESTORE", Group: 2, Parts: func(yield func([]byte) bool) {
		_ = yield([]byte("0")) && yield(keyspace.Dump(s))
	}}
}

// nextID is an ID for an entry that is added at a time. It reports false if there is none.
func (s *stream) nextID(milliseconds int64) (entryID, bool) {
	if now := uint64(max(milliseconds, 0)); now > s.last.ms {
		return entryID{ms: now}, true
	}
	return s.last.next()
}

// largestNode is how many bytes a node has at most where no limit is set.
const largestNode = 1 << 30

// add appends an entry, whose ID is greater than all.
func (s *stream) add(id entryID, pairs [][]byte, t *keyspace.Thresholds) {
	n := s.tail()
	if n == nil || n.isFull(pairs, t) {
		room := 0
		if n != nil {
			s.resize(n, n.shrink)
			room = min(t.StreamBytes, mostRoom)
		}
		n = newNode(id, pairs, room)
		s.nodes = slices.Insert(s.nodes, s.nodeOf(id)+1, n) // at the end, but for XSETID after all was deleted
		s.bytes += n.bytes()
	}
	s.resize(n, func() { n.add(id, pairs) })
	s.length++
	s.added++
	s.last = id
	if s.length == 1 {
		s.first = id
	}
}

// mostRoom is how many bytes are reserved for a node, at most. For the first one of a stream there
// are none, as many streams only ever have a few entries.
const mostRoom = 4096

// shrink gives up memory that a node, which is full, does not need.
func (n *node) shrink() {
	if len(n.body) < cap(n.body)*7/8 {
		n.body = bytes.Clone(n.body)
	}
}

func (s *stream) tail() *node {
	if len(s.nodes) == 0 {
		return nil
	}
	return s.nodes[len(s.nodes)-1]
}

// isFull reports whether an entry needs a node of its own.
func (n *node) isFull(pairs [][]byte, t *keyspace.Thresholds) bool {
	most := t.StreamBytes
	if most == 0 || most > largestNode {
		most = largestNode
	}
	size := n.size()
	for _, text := range pairs {
		size += len(text)
	}
	return size >= most || t.StreamEntries > 0 && n.live+n.deleted >= t.StreamEntries
}

// resize keeps count of the memory of a node that changes.
func (s *stream) resize(n *node, change func()) {
	s.bytes -= n.bytes()
	change()
	s.bytes += n.bytes()
}

// nodeOf is the index of the node in which an entry would be, -1 if it would be before all.
func (s *stream) nodeOf(id entryID) int {
	return sort.Search(len(s.nodes), func(i int) bool { return id.less(s.nodes[i].first) }) - 1
}

// removeNode removes a node with its entries. Nodes are moved on the side where they are fewer:
// most are removed near the front.
func (s *stream) removeNode(i int) {
	n := s.nodes[i]
	s.length -= n.live
	s.bytes -= n.bytes()
	if i < len(s.nodes)/2 {
		copy(s.nodes[1:], s.nodes[:i])
		s.nodes[0] = nil
		s.nodes = s.nodes[1:]
	} else {
		s.nodes = slices.Delete(s.nodes, i, i+1)
	}
}

// A mark is a place in a node, of which it is known that no entry before it is looked for.
type mark struct {
	node *node
	at   int
}

// forward passes the live entries of a range on, in order.
func (s *stream) forward(r span, known mark) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, n := range s.nodes[max(0, s.nodeOf(r.from)):] {
			at := n.entries
			if n == known.node {
				at = known.at
			}
			for at < len(n.body) {
				e := n.at(at)
				at = e.to
				switch {
				case e.isDeleted():
				case r.to.less(e.id):
					return
				case e.id.less(r.from):
				case !yield(e):
					return
				}
			}
		}
	}
}

// backward passes them on in reverse order.
func (s *stream) backward(r span) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for i := s.nodeOf(r.to); i >= 0; i-- {
			n := s.nodes[i]
			for to := len(n.body); to > n.entries; {
				e := n.before(to)
				to = e.from
				switch {
				case e.isDeleted():
				case e.id.less(r.from):
					return
				case r.to.less(e.id):
				case !yield(e):
					return
				}
			}
		}
	}
}

// walk is forward or backward.
func (s *stream) walk(r span, reverse bool) iter.Seq[entry] {
	if reverse {
		return s.backward(r)
	}
	return s.forward(r, mark{})
}

// whole is the range of all entries.
var whole = span{leastID, greatestID}

// firstEntry returns the first live entry.
func (s *stream) firstEntry() (e entry, found bool) {
	for _, n := range s.nodes {
		for at := n.entries; at < len(n.body); at = e.to {
			if e = n.at(at); !e.isDeleted() {
				return e, true
			}
		}
	}
	return entry{}, false
}

// lastEntry returns the last live entry.
func (s *stream) lastEntry() (e entry, found bool) {
	for _, n := range slices.Backward(s.nodes) {
		for to := len(n.body); to > n.entries; to = e.from {
			if e = n.before(to); !e.isDeleted() {
				return e, true
			}
		}
	}
	return entry{}, false
}

// lastID is the ID of the last live entry, or zero.
func (s *stream) lastID() entryID {
	e, _ := s.lastEntry()
	return e.id
}

// find returns the live entry of an ID.
func (s *stream) find(id entryID) (e entry, found bool) {
	i := s.nodeOf(id)
	if i < 0 {
		return entry{}, false
	}
	n := s.nodes[i]
	for at := n.entries; at < len(n.body); at = e.to {
		if e = n.at(at); !e.isDeleted() && !e.id.less(id) {
			return e, e.id == id
		}
	}
	return entry{}, false
}

// delete deletes an entry. It reports false if there is none of the ID.
func (s *stream) delete(id entryID) bool {
	e, found := s.find(id)
	if !found {
		return false
	}
	if e.node.live == 1 {
		s.removeNode(s.nodeOf(id))
		return true
	}
	e.node.delete(&e)
	s.length--
	return true
}

// findFirst brings first up to date after entries were removed.
func (s *stream) findFirst() {
	e, _ := s.firstEntry()
	s.first = e.id
}

// trim removes the oldest entries. It returns how many.
func (s *stream) trim(o *trimming) (removed int) {
	defer func() {
		if removed > 0 || s.length == 0 { // RESTORE leaves another ID for none
			s.findFirst()
		}
	}()
	for len(s.nodes) > 0 && (o.strategy == toID || s.length > o.length) {
		n := s.nodes[0]
		if o.limit > 0 && removed+n.live > o.limit {
			break
		}
		if o.covers(s, n) {
			removed += n.live
			s.removeNode(0)
			continue
		}
		if !o.approximate {
			removed += s.trimNode(n, o)
		}
		break
	}
	return removed
}

// covers reports whether trimming removes all of the first node.
func (o *trimming) covers(s *stream, n *node) bool {
	if o.strategy == toLength {
		return s.length-n.live >= o.length
	}
	return n.last().less(o.least)
}

// trimNode deletes entries of the first node, of which some stay.
func (s *stream) trimNode(n *node, o *trimming) (removed int) {
	for at := n.entries; at < len(n.body); {
		e := n.at(at)
		at = e.to
		if o.strategy == toLength && s.length <= o.length || o.strategy == toID && !e.id.less(o.least) {
			break
		}
		if !e.isDeleted() {
			n.delete(&e)
			s.length--
			removed++
		}
	}
	return removed
}

// reply is an entry as commands answer with it: the ID, and the fields with their values.
func (e entry) reply() resp.Reply { return resp.Array(e.id.reply(), e.pairsReply()) }

func (e entry) pairsReply() resp.Reply { return resp.Strings(2*e.n, e.pairs) }

// rangeReply answers with up to so many entries of a range.
func (s *stream) rangeReply(r span, reverse bool, most int64) resp.Reply {
	n := 0
	for range s.walk(r, reverse) {
		if n++; int64(n) >= most {
			break
		}
	}
	return entriesReply(n, s.walk(r, reverse))
}

// entriesReply answers with the first n entries, which are walked through when the reply is
// encoded.
func entriesReply(n int, entries iter.Seq[entry]) resp.Reply {
	return resp.Lazy(n, func(yield func(resp.Reply) bool) {
		pair := make([]resp.Reply, 2)
		var digits [48]byte
		left := n
		for e := range entries {
			pair[0], pair[1] = resp.Bulk(e.id.appendText(digits[:0])), e.pairsReply()
			if left--; !yield(resp.Array(pair...)) || left == 0 {
				return
			}
		}
	})
}

// Check returns what is wrong in a stream.
func (s *stream) Check() error {
	length, size, before := 0, 0, entryID{}
	for i, n := range s.nodes {
		live, deleted := 0, 0
		for at := n.entries; at < len(n.body); {
			e := n.at(at)
			if back := n.before(e.to); back != e {
				return fmt.Errorf("entry %v of node %d is another one backwards: %v", e.id, i, back.id)
			}
			at = e.to
			if e.isDeleted() {
				deleted++
				continue
			}
			if length+live > 0 && !before.less(e.id) {
				return fmt.Errorf("entry %v of node %d is not in order", e.id, i)
			}
			before = e.id
			live++
		}
		if live != n.live || deleted != n.deleted || live+deleted == 0 {
			return fmt.Errorf("node %d has %d entries and %d deleted ones, it counts %d and %d", i, live, deleted, n.live, n.deleted)
		}
		length += live
		size += n.bytes()
	}
	e, _ := s.firstEntry()
	switch {
	case length != s.length, size != s.bytes:
		return fmt.Errorf("a stream has %d entries in %d bytes, it counts %d in %d", length, size, s.length, s.bytes)
	case e.id != s.first && s.length > 0:
		return fmt.Errorf("the first entry is %v, recorded is %v", e.id, s.first)
	case s.last.less(before):
		return errors.New("an entry is later than the last")
	}
	return s.groups.check()
}
