package broker

import "slices"

// A ring keeps the last items that were put into it, and gives the oldest one's
// memory to the next.
type ring[T any] struct {
	most   int // how many it keeps
	items  []T
	oldest int // index
}

// put returns the place of a new item, which may hold an old one: the caller sets it.
// It must not be called on a ring that keeps nothing.
func (r *ring[T]) put() *T {
	if len(r.items) < r.most {
		var empty T
		r.items = append(r.items, empty)
		return &r.items[len(r.items)-1]
	}
	item := &r.items[r.oldest]
	r.oldest = (r.oldest + 1) % r.most
	return item
}

// at returns an item by its age: 0 is the oldest.
func (r *ring[T]) at(i int) *T { return &r.items[(r.oldest+i)%len(r.items)] }

// resize changes how many items the ring keeps. The oldest go.
func (r *ring[T]) resize(most int) {
	if most == r.most {
		return
	}
	all := slices.Concat(r.items[r.oldest:], r.items[:r.oldest])
	r.most, r.oldest = most, 0
	r.items = slices.Clip(all[max(0, len(all)-most):])
}

// clear forgets all items.
func (r *ring[T]) clear() { r.items, r.oldest = nil, 0 }
