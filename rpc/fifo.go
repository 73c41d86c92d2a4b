package rpc

// A fifo is a queue that costs the same however long it is.
type fifo[T any] struct {
	all   []T
	taken int // how many of the first of all are no longer in it
}

// waiting is what is in the queue, until the next change.
func (q *fifo[T]) waiting() []T { return q.all[q.taken:] }

func (q *fifo[T]) push(v ...T) {
	if q.taken > len(q.all)/2 {
		rest := copy(q.all, q.all[q.taken:])
		clear(q.all[rest:])
		q.all, q.taken = q.all[:rest], 0
	}
	q.all = append(q.all, v...)
}

// take appends up to n values from the front to to, which are then gone.
func (q *fifo[T]) take(to []T, n int) []T {
	first := q.waiting()
	first = first[:min(n, len(first))]
	to = append(to, first...)
	clear(first)
	q.taken += len(first)
	return to
}

// next takes the first value, if there is one.
func (q *fifo[T]) next() (v T, ok bool) {
	first := q.waiting()
	if len(first) == 0 {
		return v, false
	}
	v = first[0]
	clear(first[:1])
	q.taken++
	return v, true
}
