package zset

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"redrpc/broker/internal/dict"
)

// A node is a member of a large sorted set with its score. It never changes: pages may refer
// to a node that has been removed.
type node struct {
	score  float64
	member string
}

// Name is the member: nodes are elements of a dict.Dict.
func (n *node) Name() string { return n.member }

// bytes returns the member, which must not be changed.
func (n *node) bytes() []byte { return dict.Bytes(n.member) }

// compare orders members by their scores, and those of one score by their bytes.
func compare(score1 float64, member1 []byte, score2 float64, member2 []byte) int {
	if order := cmp.Compare(score1, score2); order != 0 {
		return order
	}
	return bytes.Compare(member1, member2)
}

// A tree has nodes in order. It is a B+ tree that counts: adding, removing and finding a node,
// its rank or the node of a rank take a time that is logarithmic in their number.
type tree struct{ root *page }

// A page is a leaf, which has nodes, or has other pages. All but the root have something.
type page struct {
	nodes    []*node
	children []child
}

// A child is a page in another. No node in it is less than least, and all in those before it
// are.
type child struct {
	page  *page
	count int // nodes
	least *node
}

// pageSize is how much a page has at most. One that has too little is joined with another if
// both leave room in one.
const (
	pageSize   = 63
	littlePage = pageSize / 4
	roomyPage  = pageSize * 3 / 4
)

func newLeaf(nodes ...*node) *page {
	return &page{nodes: append(make([]*node, 0, pageSize+1), nodes...)}
}

func newBranch(children ...child) *page {
	return &page{children: append(make([]child, 0, pageSize+1), children...)}
}

func (p *page) isLeaf() bool { return p.children == nil }

func (p *page) len() int { return len(p.nodes) + len(p.children) }

func (p *page) count() int {
	n := len(p.nodes)
	for i := range p.children {
		n += p.children[i].count
	}
	return n
}

// before tells nodes that come before a place in the order from those behind it.
type before func(*node) bool

// seekNode returns the index of a leaf's first node that is not before a place.
func (p *page) seekNode(is before) int {
	return sort.Search(len(p.nodes), func(i int) bool { return !is(p.nodes[i]) })
}

// seekChild returns the index of the child that a place is in.
func (p *page) seekChild(is before) int {
	return sort.Search(len(p.children)-1, func(i int) bool { return !is(p.children[i+1].least) })
}

// precedes returns what is before a node, and upTo the node itself, too.
func (n *node) precedes() before {
	return func(x *node) bool { return compare(x.score, x.bytes(), n.score, n.bytes()) < 0 }
}

func (n *node) upTo() before {
	return func(x *node) bool { return compare(x.score, x.bytes(), n.score, n.bytes()) <= 0 }
}

// countBefore returns how many nodes come before a place.
func (t *tree) countBefore(is before) int {
	n := 0
	p := t.root
	for !p.isLeaf() {
		i := p.seekChild(is)
		for j := range i {
			n += p.children[j].count
		}
		p = p.children[i].page
	}
	return n + p.seekNode(is)
}

// at returns the node of a rank, which there must be.
func (t *tree) at(rank int) *node {
	p := t.root
	for !p.isLeaf() {
		p = p.children[p.seekRank(&rank)].page
	}
	return p.nodes[rank]
}

// seekRank returns the index of the child that a rank is in, or that of a leaf's node. It
// takes what is before the child from the rank.
func (p *page) seekRank(rank *int) int {
	if p.isLeaf() {
		return *rank
	}
	i := 0
	for ; *rank >= p.children[i].count; i++ {
		*rank -= p.children[i].count
	}
	return i
}

// add adds a node that is not there.
func (t *tree) add(n *node) {
	left := t.root
	if right := left.add(n, n.upTo()); right != nil {
		t.root = newBranch(left.asChild(), right.asChild())
	}
}

func (p *page) asChild() child {
	if p.isLeaf() {
		return child{p, len(p.nodes), p.nodes[0]}
	}
	return child{p, p.count(), p.children[0].least}
}

// add adds a node to a page, at a place. What is too much for the page is returned in another.
func (p *page) add(n *node, is before) (right *page) {
	if p.isLeaf() {
		at := p.seekNode(is)
		p.nodes = slices.Insert(p.nodes, at, n)
		if len(p.nodes) <= pageSize {
			return nil
		}
		cut := cutAt(at)
		right = newLeaf(p.nodes[cut:]...)
		clear(p.nodes[cut:])
		p.nodes = p.nodes[:cut]
		return right
	}
	at := p.seekChild(is)
	c := &p.children[at]
	c.count++
	more := c.page.add(n, is)
	if more == nil {
		return nil
	}
	added := more.asChild()
	c.count -= added.count
	p.children = slices.Insert(p.children, at+1, added)
	if len(p.children) <= pageSize {
		return nil
	}
	cut := cutAt(at + 1)
	right = newBranch(p.children[cut:]...)
	clear(p.children[cut:])
	p.children = p.children[:cut]
	return right
}

// cutAt returns where to cut a page that is too large, given the index of what was added: in
// the middle, unless what is added is likely to be followed by more.
func cutAt(added int) int {
	if added == pageSize {
		return pageSize
	}
	return (pageSize + 1) / 2
}

// remove removes a node that is there.
func (t *tree) remove(n *node) {
	is := n.upTo()
	t.take(func(p *page) int {
		if p.isLeaf() {
			return p.seekNode(is) - 1
		}
		return p.seekChild(is)
	})
}

// removeAt removes the node of a rank, which there must be, and returns it.
func (t *tree) removeAt(rank int) *node {
	return t.take(func(p *page) int { return p.seekRank(&rank) })
}

// take removes a node and returns it. Seek says which child it is in, and where in its leaf.
func (t *tree) take(seek func(*page) int) *node {
	n := t.root.take(seek)
	for len(t.root.children) == 1 {
		t.root = t.root.children[0].page
	}
	return n
}

func (p *page) take(seek func(*page) int) *node {
	at := seek(p)
	if p.isLeaf() {
		n := p.nodes[at]
		p.nodes = slices.Delete(p.nodes, at, at+1)
		return n
	}
	c := &p.children[at]
	c.count--
	n := c.page.take(seek)
	switch {
	case c.count == 0:
		p.children = slices.Delete(p.children, at, at+1)
	case c.page.len() >= littlePage:
	case at > 0 && p.fits(at-1):
		p.join(at - 1)
	case at+1 < len(p.children) && p.fits(at):
		p.join(at)
	}
	return n
}

// fits reports whether a child and the next leave room in one page.
func (p *page) fits(at int) bool {
	return p.children[at].page.len()+p.children[at+1].page.len() <= roomyPage
}

// join makes one of a child and the next.
func (p *page) join(at int) {
	into, from := &p.children[at], &p.children[at+1]
	if !from.page.isLeaf() {
		from.page.children[0].least = from.least // nodes may have come before its own
	}
	into.page.nodes = append(into.page.nodes, from.page.nodes...)
	into.page.children = append(into.page.children, from.page.children...)
	into.count += from.count
	p.children = slices.Delete(p.children, at+1, at+2)
}

// forward passes the nodes from a rank on to yield, until that returns false.
func (p *page) forward(rank int, yield func(*node) bool) bool {
	if p.isLeaf() {
		for _, n := range p.nodes[rank:] {
			if !yield(n) {
				return false
			}
		}
		return true
	}
	for i := range p.children {
		c := &p.children[i]
		if rank >= c.count {
			rank -= c.count
			continue
		}
		if !c.page.forward(rank, yield) {
			return false
		}
		rank = 0
	}
	return true
}

// backward passes the nodes from behind to yield but for the last ones, of which skip says how
// many.
func (p *page) backward(skip int, yield func(*node) bool) bool {
	if p.isLeaf() {
		for i := len(p.nodes) - 1 - skip; i >= 0; i-- {
			if !yield(p.nodes[i]) {
				return false
			}
		}
		return true
	}
	for i := len(p.children) - 1; i >= 0; i-- {
		c := &p.children[i]
		if skip >= c.count {
			skip -= c.count
			continue
		}
		if !c.page.backward(skip, yield) {
			return false
		}
		skip = 0
	}
	return true
}

// clone copies the pages.
func (p *page) clone() *page {
	if p.isLeaf() {
		return newLeaf(p.nodes...)
	}
	copied := newBranch(p.children...)
	for i := range copied.children {
		copied.children[i].page = copied.children[i].page.clone()
	}
	return copied
}

// check returns what is wrong in a page, and how deep its leaves are.
func (p *page) check() (depth int, err error) {
	if p.isLeaf() {
		return 0, nil
	}
	if len(p.children) == 0 || len(p.nodes) > 0 {
		return 0, errors.New("a page has no child, or nodes, too")
	}
	for i := range p.children {
		c := &p.children[i]
		below, err := c.page.check()
		switch {
		case err != nil:
			return 0, err
		case i > 0 && below != depth:
			return 0, fmt.Errorf("one leaf is %d pages deep, another %d", below, depth)
		case c.count != c.page.count() || c.count == 0:
			return 0, fmt.Errorf("a page of %d nodes is counted as %d", c.page.count(), c.count)
		}
		depth = below
		wrong := false
		c.page.forward(0, func(n *node) bool {
			wrong = wrong || i > 0 && c.least.precedes()(n) || i+1 < len(p.children) && !p.children[i+1].least.precedes()(n)
			return !wrong
		})
		if wrong {
			return 0, errors.New("a node is in another page than it belongs in")
		}
	}
	return depth + 1, nil
}
