package stream

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
)

// A delivery is an entry that a consumer got and has not acknowledged.
type delivery struct {
	id       entryID
	consumer *consumer
	at       int64 // when it was delivered last, in milliseconds since 1970
	count    uint64
}

// isIdle reports whether an entry was delivered at least so many milliseconds ago. At least 0 is
// always so, even where it was delivered by a clock that is ahead and has been restored.
func (d *delivery) isIdle(now, milliseconds int64) bool {
	return milliseconds <= 0 || now-d.at >= milliseconds
}

// deliveryBytes is what a delivery takes, with its places in the lists of the group and of the
// consumer.
const deliveryBytes = 48 + 2*10

// A pending is a list of deliveries in the order of their IDs, in chunks that are not empty.
type pending struct {
	chunks [][]*delivery
	len    int
}

// fullChunk is how many deliveries a chunk has at most, and smallChunk how few two may have
// together to become one.
const (
	fullChunk  = 128
	smallChunk = 64
)

// chunkOf is the index of the chunk in which an ID would be.
func (p *pending) chunkOf(id entryID) int {
	return max(0, sort.Search(len(p.chunks), func(i int) bool { return id.less(p.chunks[i][0].id) })-1)
}

// place returns where an ID is, or would be.
func (p *pending) place(id entryID) (chunk, at int, found bool) {
	if len(p.chunks) == 0 {
		return 0, 0, false
	}
	chunk = p.chunkOf(id)
	c := p.chunks[chunk]
	at = sort.Search(len(c), func(i int) bool { return !c[i].id.less(id) })
	return chunk, at, at < len(c) && c[at].id == id
}

// find returns the delivery of an ID, or nil.
func (p *pending) find(id entryID) *delivery {
	if chunk, at, found := p.place(id); found {
		return p.chunks[chunk][at]
	}
	return nil
}

// add adds a delivery of an ID that has none.
func (p *pending) add(d *delivery) {
	p.len++
	if len(p.chunks) == 0 {
		p.chunks = [][]*delivery{{d}}
		return
	}
	chunk, at, _ := p.place(d.id)
	c := p.chunks[chunk]
	switch {
	case len(c) < fullChunk:
		p.chunks[chunk] = slices.Insert(c, at, d)
		return
	case at == len(c) && chunk == len(p.chunks)-1: // the usual case leaves full chunks behind
		p.chunks = append(p.chunks, append(make([]*delivery, 0, 8), d))
		return
	}
	half := len(c) / 2
	behind := append(make([]*delivery, 0, fullChunk), c[half:]...)
	clear(c[half:])
	c = c[:half]
	if at <= half {
		c = slices.Insert(c, at, d)
	} else {
		behind = slices.Insert(behind, at-half, d)
	}
	p.chunks[chunk] = c
	p.chunks = slices.Insert(p.chunks, chunk+1, behind)
}

// remove removes the delivery of an ID, and returns it, or nil if there is none.
func (p *pending) remove(id entryID) *delivery {
	chunk, at, found := p.place(id)
	if !found {
		return nil
	}
	c := p.chunks[chunk]
	d := c[at]
	p.chunks[chunk] = slices.Delete(c, at, at+1)
	p.len--
	p.shrink(chunk)
	return d
}

// shrink removes a chunk that is empty, or joins it with a neighbour if both are small.
func (p *pending) shrink(chunk int) {
	n := len(p.chunks[chunk])
	if n == 0 {
		p.chunks = slices.Delete(p.chunks, chunk, chunk+1)
		return
	}
	first := chunk
	switch {
	case chunk > 0 && n+len(p.chunks[chunk-1]) <= smallChunk:
		first--
	case chunk+1 == len(p.chunks) || n+len(p.chunks[chunk+1]) > smallChunk:
		return
	}
	p.chunks[first] = append(p.chunks[first], p.chunks[first+1]...)
	p.chunks = slices.Delete(p.chunks, first+1, first+2)
}

// from passes the deliveries on from an ID on. The list must not change meanwhile.
func (p *pending) from(id entryID) iter.Seq[*delivery] {
	return func(yield func(*delivery) bool) {
		if p.len == 0 {
			return
		}
		chunk, at, _ := p.place(id)
		for ; chunk < len(p.chunks); chunk, at = chunk+1, 0 {
			for _, d := range p.chunks[chunk][at:] {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// all passes all deliveries on.
func (p *pending) all() iter.Seq[*delivery] { return p.from(leastID) }

// first and last are the least and the greatest ID, of which there must be one.
func (p *pending) first() entryID { return p.chunks[0][0].id }

func (p *pending) last() entryID {
	c := p.chunks[len(p.chunks)-1]
	return c[len(c)-1].id
}

// check returns what is wrong in a list.
func (p *pending) check() error {
	n := 0
	var before *delivery
	for i, c := range p.chunks {
		if len(c) == 0 || len(c) > fullChunk {
			return fmt.Errorf("chunk %d has %d deliveries", i, len(c))
		}
		for _, d := range c {
			if before != nil && !before.id.less(d.id) {
				return errors.New("deliveries are not in order")
			}
			before = d
			n++
		}
	}
	if n != p.len {
		return fmt.Errorf("%d deliveries are counted as %d", n, p.len)
	}
	return nil
}
