package stream

import (
	"fmt"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
)

// A group is a consumer group: who reads a stream together, and what each of them has got.
type group struct {
	name      string
	last      entryID // the last ID that was delivered
	known     mark    // behind that entry, or anything
	read      int64   // how many entries have been delivered, as far as added counts; negative: unknown
	pending   pending
	consumers []*consumer // in the order of their names
	bytes     int         // of the consumers, without what they have pending
}

// A consumer is one reader of a group.
type consumer struct {
	name    string
	seen    int64 // when it read last, in milliseconds since 1970
	pending pending
}

// unknownRead is the number of entries read of which nothing is known.
const unknownRead = -1

// groups are those of a stream, in the order of their names.
type groups []*group

func (g *group) compareName(name string) int    { return strings.Compare(g.name, name) }
func (c *consumer) compareName(name string) int { return strings.Compare(c.name, name) }

// find returns the group of a name, or nil.
func (gs groups) find(name []byte) *group {
	if i, found := slices.BinarySearchFunc(gs, string(name), (*group).compareName); found {
		return gs[i]
	}
	return nil
}

// create makes a group. It reports false if there is one of the name.
func (gs *groups) create(name []byte, last entryID, read int64) (g *group, isNew bool) {
	i, found := slices.BinarySearchFunc(*gs, string(name), (*group).compareName)
	if found {
		return (*gs)[i], false
	}
	g = &group{name: string(name), last: last, read: read}
	*gs = slices.Insert(*gs, i, g)
	return g, true
}

// destroy removes a group. It reports false if there is none of the name.
func (gs *groups) destroy(name []byte) bool {
	i, found := slices.BinarySearchFunc(*gs, string(name), (*group).compareName)
	if found {
		*gs = slices.Delete(*gs, i, i+1)
	}
	return found
}

// find returns the consumer of a name, or nil.
func (g *group) find(name []byte) *consumer {
	if i, found := slices.BinarySearchFunc(g.consumers, string(name), (*consumer).compareName); found {
		return g.consumers[i]
	}
	return nil
}

// create makes a consumer. It reports false if there is one of the name.
func (g *group) create(name []byte, now int64) (c *consumer, isNew bool) {
	i, found := slices.BinarySearchFunc(g.consumers, string(name), (*consumer).compareName)
	if found {
		return g.consumers[i], false
	}
	c = &consumer{name: string(name), seen: now}
	g.consumers = slices.Insert(g.consumers, i, c)
	g.bytes += c.size()
	return c, true
}

// remove removes a consumer with what it has pending.
func (g *group) remove(c *consumer) {
	for d := range c.pending.all() {
		g.pending.remove(d.id)
	}
	i, _ := slices.BinarySearchFunc(g.consumers, c.name, (*consumer).compareName)
	g.consumers = slices.Delete(g.consumers, i, i+1)
	g.bytes -= c.size()
}

// deliver notes that a consumer gets an entry for the first time. Where the group's last ID was
// set back the entry may be pending already.
func (g *group) deliver(id entryID, c *consumer, now int64) {
	d := g.pending.find(id)
	if d == nil {
		d = &delivery{id: id}
		g.pending.add(d)
	}
	g.assign(d, c)
	d.at, d.count = now, 1
}

// assign makes a consumer the one that has an entry pending.
func (g *group) assign(d *delivery, c *consumer) {
	if d.consumer == c {
		return
	}
	if d.consumer != nil {
		d.consumer.pending.remove(d.id)
	}
	d.consumer = c
	c.pending.add(d)
}

// acknowledge removes what is pending of an ID. It reports false if there is nothing.
func (g *group) acknowledge(id entryID) bool {
	d := g.pending.remove(id)
	if d == nil {
		return false
	}
	d.consumer.pending.remove(id)
	return true
}

// advance moves the group's last ID to that of an entry that is delivered.
func (g *group) advance(s *stream, e *entry) {
	switch {
	case !g.last.less(e.id):
		return
	case g.read != unknownRead && !s.hasDeletedFrom(e.id):
		g.read++
	case s.added > 0:
		g.read = s.position(e.id)
	}
	g.last, g.known = e.id, mark{e.node, e.to}
}

// set sets the group's last ID.
func (g *group) set(last entryID) { g.last, g.known = last, mark{} }

// hasDeletedFrom reports whether an entry from an ID on may have been deleted.
func (s *stream) hasDeletedFrom(id entryID) bool {
	return s.length > 0 && !s.maxDeleted.isZero() && !s.maxDeleted.less(s.first) && !s.maxDeleted.less(id)
}

// position is how many entries had been added up to an ID, unknownRead where that cannot be
// told.
func (s *stream) position(id entryID) int64 {
	switch {
	case s.added == 0:
		return 0
	case s.length == 0 && !s.last.less(id), id == s.last:
		return int64(s.added)
	case s.last.less(id):
		return unknownRead
	}
	if s.maxDeleted.isZero() || s.maxDeleted.less(s.first) {
		before := int64(s.added) - int64(s.length)
		switch {
		case id.less(s.first):
			return before
		case id == s.first:
			return before + 1
		}
	}
	return unknownRead
}

// lag is how many entries a group has not got yet. It reports false where that cannot be told.
func (g *group) lag(s *stream) (n int64, known bool) {
	switch {
	case s.added == 0:
		return 0, true
	case g.read != unknownRead && !s.hasDeletedFrom(g.last):
		return int64(s.added) - g.read, true
	}
	n = s.position(g.last)
	return int64(s.added) - n, n != unknownRead
}

// hasNew reports whether there are entries that were not delivered to the group.
func (g *group) hasNew(s *stream) bool { return s.length > 0 && g.last.less(s.lastID()) }

// Bytes of a group and of a consumer, without names and deliveries.
const (
	groupBytes    = 128 + 8
	consumerBytes = 64 + 8
)

func (gs groups) size() (n int) {
	for _, g := range gs {
		n += groupBytes + len(g.name) + g.pending.len*deliveryBytes + g.bytes
	}
	return n
}

func (c *consumer) size() int { return consumerBytes + len(c.name) }

func (gs groups) clone() groups {
	copied := make(groups, 0, len(gs))
	for _, g := range gs {
		c := &group{name: g.name, last: g.last, read: g.read, bytes: g.bytes}
		for _, old := range g.consumers {
			one := &consumer{name: old.name, seen: old.seen}
			c.consumers = append(c.consumers, one)
			for d := range old.pending.all() {
				one.pending.add(&delivery{d.id, one, d.at, d.count})
			}
		}
		for d := range g.pending.all() {
			c.pending.add(c.find([]byte(d.consumer.name)).pending.find(d.id))
		}
		copied = append(copied, c)
	}
	return copied
}

// consumerFor returns the consumer of a name, which is made if there is none.
func (g *group) consumerFor(c *keyspace.Call, key, name []byte) *consumer {
	one, isNew := g.create(name, c.Milliseconds())
	if isNew {
		c.Notify(c.DB, key, keyspace.StreamEvent, "xgroup-createconsumer")
	}
	one.seen = c.Milliseconds()
	return one
}

// check returns what is wrong in groups.
func (gs groups) check() error {
	for i, g := range gs {
		if i > 0 && gs[i-1].name >= g.name {
			return fmt.Errorf("group %q is not in order", g.name)
		}
		if err := g.check(); err != nil {
			return fmt.Errorf("group %q: %w", g.name, err)
		}
	}
	return nil
}

func (g *group) check() error {
	if err := g.pending.check(); err != nil {
		return err
	}
	n, size := 0, 0
	for i, c := range g.consumers {
		size += c.size()
		if i > 0 && g.consumers[i-1].name >= c.name {
			return fmt.Errorf("consumer %q is not in order", c.name)
		}
		if err := c.pending.check(); err != nil {
			return fmt.Errorf("consumer %q: %w", c.name, err)
		}
		for d := range c.pending.all() {
			if d.consumer != c || g.pending.find(d.id) != d {
				return fmt.Errorf("the entry %v of consumer %q is another's", d.id, c.name)
			}
			n++
		}
	}
	if size != g.bytes {
		return fmt.Errorf("consumers take %d bytes, counted are %d", size, g.bytes)
	}
	if n != g.pending.len {
		return fmt.Errorf("%d entries are pending, of consumers %d", g.pending.len, n)
	}
	return nil
}
