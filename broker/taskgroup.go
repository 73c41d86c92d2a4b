package broker

import (
	"slices"
	"sync"
	"time"
)

// A taskGroup counts who is inside, by name, and can be shut: then nobody enters, and
// shut waits until everybody has left. Unlike a WaitGroup it takes entries while
// it is being waited on, and knows who is missing.
type taskGroup struct {
	mu     sync.Mutex // guards what follows
	inside map[string]int
	closed bool
	empty  chan struct{} // closed when it is shut and empty
}

// enter lets the caller in, unless the gate is shut.
func (g *taskGroup) enter(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if g.inside == nil {
		g.inside = map[string]int{}
	}
	g.inside[name]++
	return true
}

// leave lets the caller out.
func (g *taskGroup) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside[name]--; g.inside[name] == 0 {
		delete(g.inside, name)
	}
	if g.empty != nil && len(g.inside) == 0 {
		close(g.empty)
		g.empty = nil
	}
}

// shut closes the gate and waits until nobody is inside. It returns the names of
// those who are still there when the time is up.
func (g *taskGroup) shut(patience time.Duration) []string {
	g.mu.Lock()
	g.closed = true
	if len(g.inside) == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-empty:
		return nil
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	names := make([]string, 0, len(g.inside))
	for name := range g.inside {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
