// Package zset has sorted sets: their values and commands.
package zset

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"redrpc/broker/internal/dict"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A zset is a set of byte strings, its members, in the order of their scores, and of their
// bytes where scores are equal. The rank of a member is how many stand before it.
//
// As in Redis a small one is a listpack, until a member is added that is too long, or one too
// many, or it is sorted: then it is a skip list, and stays one.
//
// Members that a method returns or passes on are valid until the zset changes; members that a
// method is given are copied.
type zset struct {
	small packed
	large *index // nil: it is small
}

// An index is a large sorted set: a tree of its members, and a table that finds them.
type index struct {
	tree
	members *dict.Dict[*node]
	bytes   int // of the members
}

func newIndex() *index { return &index{tree: tree{root: newLeaf()}, members: &dict.Dict[*node]{}} }

func (s *zset) Type() *keyspace.Type { return Type }

func (s *zset) Encoding() string {
	if s.large != nil {
		return "skiplist"
	}
	return "listpack"
}

// nodeBytes is what a member takes in a large sorted set besides its bytes and its place in
// the table: the node, its place in the tree, and what the allocator rounds up.
const nodeBytes = 24 + 12 + 4

func (s *zset) Size() int {
	if x := s.large; x != nil {
		return 96 + x.members.Size() + x.members.Len()*nodeBytes + x.bytes
	}
	return 48 + cap(s.small.b)
}

// bytes is how many bytes the members have, with their scores if the sorted set is small.
func (s *zset) bytes() int {
	if s.large != nil {
		return s.large.bytes
	}
	return len(s.small.b)
}

func (s *zset) Clone() keyspace.Value {
	x := s.large
	if x == nil {
		return &zset{small: packed{append([]byte(nil), s.small.b...), s.small.n}}
	}
	return &zset{large: &index{tree: tree{root: x.root.clone()}, members: x.members.Clone(), bytes: x.bytes}} // nodes never change
}

// Elements are the members in order.
func (s *zset) Elements() (elements iter.Seq[[]byte], n int) {
	return func(yield func([]byte) bool) {
		for member := range s.all() {
			if !yield(member) {
				return
			}
		}
	}, s.len()
}

func (s *zset) Recipe() keyspace.Recipe {
	return keyspace.Recipe{Command: "ZADD", Group: 2, Parts: func(yield func([]byte) bool) {
		for member, score := range s.all() {
			if !yield(resp.AppendFloat(nil, score)) || !yield(member) {
				return
			}
		}
	}}
}

// Scan passes all of a small sorted set on at once.
func (s *zset) Scan(cursor uint64, o *keyspace.ScanOptions) (next uint64, page [][]byte) {
	if s.large == nil {
		for member := range s.small.all() {
			if o.Matches(string(member.member)) {
				page = append(page, member.member, appendPackedScore(nil, member.score))
			}
		}
		return 0, page
	}
	next = s.large.members.Scan(cursor, o.Count, func(n *node) {
		if o.Matches(n.member) {
			page = append(page, n.bytes(), resp.AppendFloat(nil, n.score))
		}
	})
	return next, page
}

func (s *zset) len() int {
	if s.large != nil {
		return s.large.members.Len()
	}
	return s.small.n
}

// score returns the score of a member.
func (s *zset) score(member []byte) (score float64, found bool) {
	if x := s.large; x != nil {
		if n := x.members.Find(member); n != nil {
			return (*n).score, true
		}
		return 0, false
	}
	spot, found := s.small.find(member)
	return spot.score, found
}

// rank returns the rank of a member.
func (s *zset) rank(member []byte) (rank int, found bool) {
	if x := s.large; x != nil {
		n := x.members.Find(member)
		if n == nil {
			return 0, false
		}
		return x.countBefore((*n).precedes()), true
	}
	spot, found := s.small.find(member)
	return spot.rank, found
}

// put adds a member, or changes its score.
func (s *zset) put(member []byte, score float64, t *keyspace.Thresholds) {
	if s.large == nil {
		spot, found := s.small.find(member)
		if found {
			s.small.remove(spot.from, 1)
		}
		if found || s.small.n < t.ZSetEntries && len(member) <= t.ZSetValue {
			s.small.add(member, score)
			return
		}
		s.grow()
	}
	s.large.put(member, score)
}

func (x *index) put(member []byte, score float64) {
	place, found := x.members.Place(member)
	var name string
	if found {
		name = (*place).member
		x.remove(*place)
	} else {
		name = string(member)
		x.bytes += len(name)
	}
	*place = &node{score, name}
	x.add(*place)
}

// grow makes the sorted set a large one.
func (s *zset) grow() {
	if s.large != nil {
		return
	}
	s.large = newIndex()
	s.large.members.Reserve(s.small.n)
	for spot := range s.small.all() {
		s.large.put(spot.member, spot.score)
	}
	s.small = packed{}
}

// BeforeSort is called by SORT, for which Redis makes a skip list of a sorted set.
func (s *zset) BeforeSort() { s.grow() }

// remove removes a member. It reports false if there is none.
func (s *zset) remove(member []byte) (found bool) {
	if x := s.large; x != nil {
		n, found := x.members.Remove(member)
		if found {
			x.tree.remove(n)
			x.bytes -= len(n.member)
		}
		return found
	}
	spot, found := s.small.find(member)
	if found {
		s.small.remove(spot.from, 1)
	}
	return found
}

// removeRange removes n members from a rank on, of which there must be as many.
func (s *zset) removeRange(rank, n int) {
	if n == 0 {
		return
	}
	if s.large == nil {
		_, from := s.small.countBefore(func(float64, []byte) bool { rank--; return rank >= 0 })
		s.small.remove(from, n)
		return
	}
	for range n {
		s.large.removeAt(rank)
	}
}

// removeAt removes the member of a rank, which there must be, and returns it.
func (x *index) removeAt(rank int) *node {
	n := x.tree.removeAt(rank)
	x.members.Remove(n.bytes())
	x.bytes -= len(n.member)
	return n
}

// pop removes n members at an end, of which there must be as many, and returns them, beginning
// with that at the end.
func (s *zset) pop(n int, from end) []scored {
	if s.large == nil {
		popped := cloned(n, s.walk(0, n, from == greatest))
		if from == least {
			s.removeRange(0, n)
		} else {
			s.removeRange(s.len()-n, n)
		}
		return popped
	}
	popped := make([]scored, n)
	for i := range popped {
		rank := 0
		if from == greatest {
			rank = s.len() - 1
		}
		removed := s.large.removeAt(rank)
		popped[i] = scored{removed.bytes(), removed.score} // nodes never change
	}
	return popped
}

// countBefore returns how many members come before a place in the order.
func (s *zset) countBefore(is func(score float64, member []byte) bool) int {
	if x := s.large; x != nil {
		return x.countBefore(func(n *node) bool { return is(n.score, n.bytes()) })
	}
	n, _ := s.small.countBefore(is)
	return n
}

// walk passes n members with their scores, forward or backward, but for the first ones, of
// which skip says how many. There must be as many.
func (s *zset) walk(skip, n int, reverse bool) iter.Seq2[[]byte, float64] {
	return func(yield func([]byte, float64) bool) {
		if n <= 0 {
			return
		}
		if s.large == nil {
			s.small.walk(skip, n, reverse, func(s spot) bool { return yield(s.member, s.score) })
			return
		}
		left := n
		visit := func(n *node) bool {
			left--
			return yield(n.bytes(), n.score) && left > 0
		}
		if reverse {
			s.large.root.backward(skip, visit)
		} else {
			s.large.root.forward(skip, visit)
		}
	}
}

// all passes the members with their scores in order.
func (s *zset) all() iter.Seq2[[]byte, float64] { return s.walk(0, s.len(), false) }

// at returns the member of a rank, which there must be.
func (s *zset) at(rank int) (member []byte, score float64) {
	for member, score = range s.walk(rank, 1, false) {
	}
	return member, score
}

// Check returns what is wrong in a sorted set.
func (s *zset) Check() error {
	n := 0
	var last []byte
	lastScore := 0.0
	for member, score := range s.all() {
		if n > 0 && compare(lastScore, last, score, member) >= 0 {
			return fmt.Errorf("member %d, %q, is not in order", n, member)
		}
		found, is := s.score(member)
		if rank, _ := s.rank(member); !is || found != score || rank != n {
			return fmt.Errorf("member %d, %q, with score %v, is found with %v at rank %d", n, member, score, found, rank)
		}
		last, lastScore = member, score
		n++
	}
	switch {
	case n == 0 || n != s.len():
		return fmt.Errorf("a sorted set has %d members, and counts %d", n, s.len())
	case s.large == nil:
		return nil
	}
	var names strings.Builder
	for n := range s.large.members.All() {
		names.WriteString(n.member)
	}
	if names.Len() != s.large.bytes {
		return errors.New("a sorted set counts its bytes wrong")
	}
	if err := s.large.members.Check(); err != nil {
		return err
	}
	_, err := s.large.root.check()
	return err
}
