package rpc

import "sync"

// turns shares the free workers of a server among its stands, where there are several.
// One that waits for calls in Redis needs a worker for the first of them, and holds it;
// when that has come it takes more with those that are free then. Where workers are
// fewer than stands that want one, nobody waits in Redis: each looks, in its turn, and
// passes the worker on.
type turns struct {
	stands []*stand
	wake   func(*stand)  // is called to end a stand's wait in Redis
	over   chan struct{} // closed when all calls are taken that may be

	mu     sync.Mutex // guards what follows, and the turns of the stands
	free   int        // workers
	left   int        // calls that may still be taken, without those that are about to be
	held   int        // workers that stands have for calls that may come
	hungry []*stand   // that want a worker
}

// A turn is what turns knows of a stand.
type turn struct {
	weight  int           // of its functions
	credit  int           // how much more of its turns it should have had
	granted chan struct{} // of size 1: it has a worker
	waits   bool          // in Redis, and has not been woken
	busy    bool          // there were calls when it last looked
}

// take takes a worker for s, when it is its turn, and reports whether it did before
// stop was closed or all calls were taken.
func (t *turns) take(s *stand, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	case <-t.over:
		return false
	default:
	}
	t.mu.Lock()
	t.hungry = append(t.hungry, s)
	t.serve()
	idler := t.idler()
	t.mu.Unlock()
	if idler != nil {
		t.wake(idler)
	}
	select {
	case <-s.granted:
		return true
	case <-stop:
	case <-t.over:
	}
	t.leave(s)
	return false
}

// serve gives workers to hungry stands, to each as often as its weight says. It is
// called under the lock.
func (t *turns) serve() {
	for len(t.hungry) > 0 && t.free > 0 && t.left > 0 {
		next, total := 0, 0
		for i, s := range t.hungry {
			s.credit += s.weight
			total += s.weight
			if s.credit > t.hungry[next].credit {
				next = i
			}
		}
		s := t.hungry[next]
		s.credit -= total
		t.hungry = append(t.hungry[:next], t.hungry[next+1:]...)
		t.hold(1)
		s.granted <- struct{}{}
	}
}

func (t *turns) hold(n int) {
	t.free -= n
	t.left -= n
	t.held += n
}

// idler returns a stand to be woken for one that is hungry, if there is one. It is
// called under the lock.
func (t *turns) idler() *stand {
	if len(t.hungry) == 0 {
		return nil
	}
	for _, s := range t.stands {
		if s.waits {
			s.waits = false
			return s
		}
	}
	return nil
}

// leave takes back that s is hungry.
func (t *turns) leave(s *stand) {
	t.mu.Lock()
	for i, h := range t.hungry {
		if h == s {
			t.hungry = append(t.hungry[:i], t.hungry[i+1:]...)
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	<-s.granted // meanwhile
	t.settle(s, 1, 0)
}

// mayWait reports whether s may wait in Redis, as nobody else wants its worker. Then
// awake has to follow.
func (t *turns) mayWait(s *stand) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.waits = len(t.hungry) == 0
	return s.waits
}

// awake reports whether s was woken, as somebody else wants its worker.
func (t *turns) awake(s *stand) (woken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	woken = !s.waits
	s.waits = false
	return woken
}

// more takes up to so many more workers for s, which has found a call: its share of
// those that are free, among the stands that have calls.
func (t *turns) more(s *stand, most int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.busy = true
	total := 0
	for _, other := range t.stands {
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
func (t *turns) settle(s *stand, workers, calls int) {
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
func (t *turns) give(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += n
	t.serve()
}
