package rpc

import (
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A gate is where those pass who each want a connection of their own. It is open as
// long as Redis is well. When it cannot be reached, or refuses for now, all wait for the
// end of a pause, which grows and differs; then one of them tries for all. If it fails,
// those who waited have failed, too, and the next pause begins.
type gate struct {
	mu    sync.Mutex // guards what follows
	next  *try       // nil if the gate is open
	again backoff
}

// A try is the next attempt, by one for all.
type try struct {
	at    time.Time
	taken bool          // by the one who makes it; guarded by the gate's mu
	ended chan struct{} // closed when it is known what came of it
	err   error         // which is this; set before
}

// errYielded is what comes of a try if the one who had it does not need it any more.
var errYielded = errors.New("somebody else may try")

// enter waits until there is something to be gained from a connection. If it returns a
// try it is the caller's, who has to end it by passed, failed or yield. Its error is
// that of the other who tried, or redis.ErrClosed if stop was closed.
func (g *gate) enter(stop <-chan struct{}) (*try, error) {
	for {
		g.mu.Lock()
		t := g.next
		g.mu.Unlock()
		if t == nil {
			return nil, nil
		}
		timer := time.NewTimer(time.Until(t.at))
		select {
		case <-timer.C:
		case <-t.ended:
		case <-stop:
		}
		timer.Stop()
		g.mu.Lock()
		mine := !t.taken
		t.taken = true
		g.mu.Unlock()
		if mine {
			return t, nil
		}
		select {
		case <-t.ended:
		case <-stop:
			return nil, redis.ErrClosed
		}
		if t.err != errYielded {
			return nil, t.err
		}
	}
}

// passed says that a try went well: the gate is open.
func (g *gate) passed(t *try) {
	if t == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.again = backoff{}
	g.next = nil
	close(t.ended)
}

// failed says that Redis is not well, as t shows, or, if t is nil, one who went through
// the gate when it was open.
func (g *gate) failed(t *try, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t == nil && g.next != nil {
		return // that is known
	}
	g.next = &try{at: time.Now().Add(g.again.step()), ended: make(chan struct{})}
	if t != nil {
		t.err = err
		close(t.ended)
	}
}

// yield lets somebody else try at once.
func (g *gate) yield(t *try) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = &try{at: time.Now(), ended: make(chan struct{})}
	t.err = errYielded
	close(t.ended)
}
