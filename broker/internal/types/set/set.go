// Package set has sets: their values, and the commands for them.
package set

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"unsafe"

	"redrpc/broker/internal/dict"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A set is the value of a set key. While it is small and all members are integers it is an
// intset; then a table, for good.
type set struct {
	ints  intset
	table *dict.Dict[member]
	bytes int // of the members in the table
}

// A member is one of a table.
type member string

func (m member) Name() string { return string(m) }

// text is the member, which must not be changed.
func (m member) text() []byte { return dict.Bytes(string(m)) }

func (s *set) length() int {
	if s.table != nil {
		return s.table.Len()
	}
	return s.ints.length()
}

// Has reports whether a set has a member, also for commands of sorted sets.
func (s *set) Has(name []byte) bool {
	if s.table != nil {
		return s.table.Find(name) != nil
	}
	n, isInt := resp.ParseInt(name)
	if !isInt {
		return false
	}
	_, found := s.ints.find(n)
	return found
}

// add adds a member, and reports whether it is new. It makes a table of a set that is too
// large for the thresholds, or gets a member that is no integer.
func (s *set) add(name []byte, t *keyspace.Thresholds) (isNew bool) {
	if s.table != nil {
		return s.put(name)
	}
	n, isInt := resp.ParseInt(name)
	if !isInt {
		s.spread()
		return s.put(name)
	}
	isNew = s.ints.add(n)
	if isNew && s.ints.length() > t.SetIntegers {
		s.spread()
	}
	return isNew
}

// put adds a member to a table.
func (s *set) put(name []byte) (isNew bool) {
	m, found := s.table.Place(name)
	if !found {
		*m = member(name)
		s.bytes += len(name)
	}
	return !found
}

// spread makes a table of an intset.
func (s *set) spread() {
	s.table = &dict.Dict[member]{}
	s.table.Reserve(s.ints.length())
	var digits [20]byte
	for i := range s.ints.length() {
		s.put(strconv.AppendInt(digits[:0], s.ints.at(i), 10))
	}
	s.ints = intset{}
}

// remove removes a member, and reports whether it was there.
func (s *set) remove(name []byte) bool {
	if s.table != nil {
		m, found := s.table.Remove(name)
		s.bytes -= len(m)
		return found
	}
	n, isInt := resp.ParseInt(name)
	return isInt && s.ints.remove(n)
}

// pop removes any member of a set that is not empty.
func (s *set) pop() []byte {
	if s.table != nil {
		m := s.table.Pop()
		s.bytes -= len(m)
		return m.text()
	}
	at := rand.IntN(s.ints.length())
	name := strconv.AppendInt(nil, s.ints.at(at), 10)
	s.ints.removeAt(at)
	return name
}

// all lists the members, each valid until the next: integers of an intset in ascending order,
// those of a table in an order that stays. The set must not change meanwhile.
func (s *set) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.table != nil {
			for m := range s.table.All() {
				if !yield(m.text()) {
					return
				}
			}
			return
		}
		var digits [20]byte
		for i := range s.ints.length() {
			if !yield(strconv.AppendInt(digits[:0], s.ints.at(i), 10)) {
				return
			}
		}
	}
}

// random returns a function that draws one member after the other, each as likely as the
// others every time.
func (s *set) random() func() []byte {
	if s.table != nil {
		return func() []byte { return s.table.Random().text() }
	}
	return func() []byte { return strconv.AppendInt(nil, s.ints.at(rand.IntN(s.ints.length())), 10) }
}

// sample returns n different members, of which there must be more, each set of them as likely
// as the others.
func (s *set) sample(n int) (drawn [][]byte) {
	if s.table != nil {
		for _, m := range s.table.Sample(n) {
			drawn = append(drawn, m.text())
		}
		return drawn
	}
	for i := range dict.Choose(s.ints.length(), n) {
		drawn = append(drawn, strconv.AppendInt(nil, s.ints.at(i), 10))
	}
	return drawn
}

// Scan passes an intset on as a whole.
func (s *set) Scan(cursor uint64, o *keyspace.ScanOptions) (next uint64, page [][]byte) {
	if s.table != nil {
		next = s.table.Scan(cursor, o.Count, func(m member) {
			if o.Matches(string(m)) {
				page = append(page, m.text())
			}
		})
		return next, page
	}
	for name := range s.all() {
		if o.Matches(string(name)) {
			page = append(page, bytes.Clone(name))
		}
	}
	return 0, page
}

func (s *set) Type() *keyspace.Type { return Type }

func (s *set) Encoding() string {
	if s.table != nil {
		return "hashtable"
	}
	return "intset"
}

// Clone shares the members of a table, which never change.
func (s *set) Clone() keyspace.Value {
	c := &set{ints: intset{width: s.ints.width, packed: bytes.Clone(s.ints.packed)}, bytes: s.bytes}
	if s.table != nil {
		c.table = s.table.Clone()
	}
	return c
}

// Size counts half of what the allocator rounds up to 16 bytes for each member of a table.
func (s *set) Size() int {
	size := int(unsafe.Sizeof(*s)) + s.ints.front + cap(s.ints.packed)
	if s.table != nil {
		size += s.table.Size() + s.bytes + 8*s.table.Len()
	}
	return size
}

func (s *set) Recipe() keyspace.Recipe {
	return keyspace.Recipe{Command: "SADD", Group: 1, Parts: s.all()}
}

// Elements are the members, for SORT. They are valid until the set changes.
func (s *set) Elements() (elements iter.Seq[[]byte], n int) {
	return func(yield func([]byte) bool) {
		for name := range s.all() {
			if s.table == nil {
				name = bytes.Clone(name)
			}
			if !yield(name) {
				return
			}
		}
	}, s.length()
}

// IsUnordered reports that the order of members means nothing.
func (s *set) IsUnordered() bool { return true }

// Check returns what is wrong with a set: integers that are not in order, or counts.
func (s *set) Check() error {
	if s.length() == 0 {
		return errors.New("a set is empty")
	}
	for i := 1; i < s.ints.length(); i++ {
		if s.ints.at(i-1) >= s.ints.at(i) {
			return fmt.Errorf("%d comes before %d", s.ints.at(i-1), s.ints.at(i))
		}
	}
	if s.table == nil {
		return nil
	}
	size := 0
	for m := range s.table.All() {
		size += len(m)
		if !s.Has(m.text()) {
			return fmt.Errorf("the member %q is not found", m)
		}
	}
	if size != s.bytes {
		return fmt.Errorf("the members have %d bytes, and count %d", size, s.bytes)
	}
	return s.table.Check()
}
