package rpc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A roundRobin decides from which queues calls are fetched next, by weighted round robin.
// Redis takes them from the first queue that has any, so each turn begins with another
// one, as often as its function's weight says.
type roundRobin struct {
	functions []*function
	order     []int // which function each turn begins with
	turn      int
	quiet     bool // the last turn found nothing
	queues    []string

	without atomic.Bool   // a turn leaves out a function that has no room
	room    chan struct{} // of size 1: a function has room again
}

func newRoundRobin(functions []*function) *roundRobin {
	r := &roundRobin{functions: functions, room: make(chan struct{}, 1)}
	total := 0
	for _, f := range functions {
		total += f.weight
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
func (r *roundRobin) begin(n int) (queues []string, count int, wait time.Duration) {
	r.queues = r.queues[:0]
	start := r.order[r.turn%len(r.order)]
	r.without.Store(true) // before rooms are looked at, so that none is missed
	full, count, wait := false, n, maxBlock
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

func (r *roundRobin) end(found bool) {
	r.without.Store(false)
	r.quiet = !found
	if found {
		r.turn++
	}
}

// room is how many calls of f may begin now, up to n.
func (f *function) room(n int) int {
	if until := f.suspended.Load(); until > 0 && time.Now().UnixNano() < until {
		return 0
	}
	if f.limit == 0 {
		return n
	}
	return int(min(int64(n), f.limit-f.busy.Load()))
}

// suspension is how long a list is left out that Redis refuses.
const suspension = time.Second

// finish notes that a call of f that was taken has ended. The fetcher is woken if it
// waits for others, as f had no room.
func (r *serverRun) finish(f *function) {
	if f.limit == 0 {
		return
	}
	f.busy.Add(-1)
	rotation := f.consumer.rotation
	poke(rotation.room)
	if rotation.without.CompareAndSwap(true, false) {
		r.wake(f.consumer)
	}
}

// A scheduler shares the free workers of a server among its consumers. One that is alone
// has all that are free. Else one that waits for calls in Redis needs a worker for the
// first of them, and holds it; when that has come it takes more with those that are free
// then. Where workers are fewer than consumers that want one, nobody waits in Redis: each
// looks, in its turn, and passes the worker on.
type scheduler struct {
	consumers []*consumer
	wake      func(*consumer) // is called to end a consumer's wait in Redis
	over      chan struct{}   // closed when all calls are taken that may be

	mu      sync.Mutex  // guards what follows, and the shares of the consumers
	free    int         // workers
	left    int         // calls that may still be taken, without those that are about to be
	held    int         // workers that consumers have for calls that may come
	wanting []*consumer // that want a worker
}

// A share is what the scheduler knows of a consumer.
type share struct {
	weight  int           // of its functions
	credit  int           // how much more of its turns it should have had
	granted chan struct{} // of size 1: it has a worker
	waits   bool          // in Redis, and has not been woken
	busy    bool          // there were calls when it last looked
}

// take takes a worker for s, when it is its turn, and reports whether it did before
// stop was closed or all calls were taken.
func (t *scheduler) take(s *consumer, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	case <-t.over:
		return false
	default:
	}
	t.mu.Lock()
	t.wanting = append(t.wanting, s)
	t.serve()
	var blocked *consumer // to be woken for one that wants a worker
	if len(t.wanting) > 0 {
		for _, other := range t.consumers {
			if other.waits {
				blocked, other.waits = other, false
				break
			}
		}
	}
	t.mu.Unlock()
	if blocked != nil {
		t.wake(blocked)
	}
	select {
	case <-s.granted:
		return true
	case <-stop:
	case <-t.over:
	}
	t.mu.Lock()
	n := len(t.wanting)
	t.wanting = slices.DeleteFunc(t.wanting, func(other *consumer) bool { return other == s })
	granted := len(t.wanting) == n // meanwhile
	t.mu.Unlock()
	if granted {
		<-s.granted
		t.settle(s, 1, 0)
	}
	return false
}

// serve gives workers to consumers that want one, to each as often as its weight says. It is
// called under the lock.
func (t *scheduler) serve() {
	for len(t.wanting) > 0 && t.free > 0 && t.left > 0 {
		next, total := 0, 0
		for i, s := range t.wanting {
			s.credit += s.weight
			total += s.weight
			if s.credit > t.wanting[next].credit {
				next = i
			}
		}
		s := t.wanting[next]
		s.credit -= total
		t.wanting = slices.Delete(t.wanting, next, next+1)
		t.hold(1)
		s.granted <- struct{}{}
	}
}

func (t *scheduler) hold(n int) {
	t.free -= n
	t.left -= n
	t.held += n
}

// mayWait reports whether s may wait in Redis, as nobody else wants its worker. Then
// awake has to follow.
func (t *scheduler) mayWait(s *consumer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.waits = len(t.wanting) == 0
	return s.waits
}

// awake reports whether s was woken, as somebody else wants its worker.
func (t *scheduler) awake(s *consumer) (woken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	woken = !s.waits
	s.waits = false
	return woken
}

// more takes up to so many more workers for s, which has found a call: its share of
// those that are free, among the consumers that have calls.
func (t *scheduler) more(s *consumer, most int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.busy = true
	total := 0
	for _, other := range t.consumers {
		if other.busy {
			total += other.weight
		}
	}
	n := min(t.free, t.left)
	n = max(0, min((n*s.weight+total-1)/total, most))
	t.hold(n)
	return n
}

// settle is told what became of workers that were taken for s: so many took a call, the
// others are free again.
func (t *scheduler) settle(s *consumer, workers, calls int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.busy = calls > 0
	t.held -= workers
	t.free += workers - calls
	t.left += workers - calls
	t.serve()
	if t.left == 0 && t.held == 0 {
		select {
		case <-t.over:
		default:
			close(t.over)
		}
	}
}

// give is told of workers whose calls have ended.
func (t *scheduler) give(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += n
	t.serve()
}
