package rpc

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A HandleOption says how calls of a function are taken.
type HandleOption func(*function) error

// Weight is how often the function's calls come first when the server takes some,
// compared with other functions: 1 to 100, default 1. A function with a higher
// weight starves nobody: each comes first in its turn.
func Weight(n int) HandleOption {
	return func(f *function) error {
		if n < 1 || n > 100 {
			return fmt.Errorf("Weight: expected 1 to 100, got %d", n)
		}
		f.weight = n
		return nil
	}
}

// Concurrency is how many calls of the function run at a time on this server, at
// most; the others are left to other servers, or wait in Redis. By default only
// ServerOptions.Workers limits them.
func Concurrency(n int) HandleOption {
	return func(f *function) error {
		if n < 1 {
			return fmt.Errorf("Concurrency: expected more than 0, got %d", n)
		}
		f.limit = int64(n)
		return nil
	}
}

// A rotation decides from which queues calls are taken next. Redis takes them from
// the first queue that has any, so each turn begins with another one, as often as
// its function's weight says.
type rotation struct {
	functions []*function
	order     []int // which function each turn begins with
	turn      int
	limited   bool // some function has a limit
	quiet     bool // the last turn found nothing
	queues    []string

	without atomic.Bool   // a turn leaves out a function that has no room
	room    chan struct{} // of size 1: a function has room again
}

func newRotation(functions []*function) *rotation {
	r := &rotation{functions: functions, room: make(chan struct{}, 1)}
	total := 0
	for _, f := range functions {
		total += f.weight
		r.limited = r.limited || f.limit > 0
	}
	// Evenly: each gains its weight a turn, and who has most pays for all.
	credit := make([]int, len(functions))
	for range total {
		first := 0
		for i, f := range functions {
			credit[i] += f.weight
			if credit[i] > credit[first] {
				first = i
			}
		}
		credit[first] -= total
		r.order = append(r.order, first)
	}
	return r
}

// begin returns the queues of a turn, up to how many calls to take from the first
// that has any, n or fewer, and how long to wait for one. There are no queues if
// no function has room.
//
// A function that has room for fewer than n has them taken when it comes first.
// When it does not, it would make the batches of all others small, so it is left
// out, and there is no waiting, unless little is going on.
func (r *rotation) begin(n int) (queues []string, count int, wait time.Duration) {
	r.queues = r.queues[:0]
	start := r.order[r.turn%len(r.order)]
	if !r.limited {
		for i := range r.functions {
			r.queues = append(r.queues, r.functions[(start+i)%len(r.functions)].queue)
		}
		return r.queues, n, maxSlice
	}
	r.without.Store(true) // before rooms are looked at, so that none is missed
	full, count, wait := false, n, maxSlice
	if r.quiet {
		for _, f := range r.functions {
			if room := f.room(n); room > 0 {
				count = min(count, room)
			}
		}
	}
	for i := range r.functions {
		f := r.functions[(start+i)%len(r.functions)]
		switch room := f.room(n); {
		case room == 0:
			full = true
			continue
		case len(r.queues) == 0:
			count = min(count, room)
		case room < count:
			wait = time.Millisecond
			continue
		}
		r.queues = append(r.queues, f.queue)
	}
	if !full {
		r.without.Store(false)
	}
	return r.queues, count, wait
}

// end is told whether a turn found calls.
func (r *rotation) end(found bool) {
	r.without.Store(false)
	r.quiet = !found
	if found {
		r.turn++
	}
}

// room is how many calls of f may begin now, up to n.
func (f *function) room(n int) int {
	if f.limit == 0 {
		return n
	}
	return int(min(int64(n), f.limit-f.busy.Load()))
}

// took notes that calls of f were taken.
func (f *function) took(n int) {
	if f.limit > 0 {
		f.busy.Add(int64(n))
	}
}

// finish notes that a call of f that was taken has ended. The taker is woken if it
// waits for others, as f had no room.
func (r *shift) finish(f *function) {
	if f.limit == 0 {
		return
	}
	f.busy.Add(-1)
	rotation := f.stand.rotation
	poke(rotation.room)
	if rotation.without.CompareAndSwap(true, false) {
		r.wakeTaker(f.stand, "a function with a limit waits a little longer")
	}
}
