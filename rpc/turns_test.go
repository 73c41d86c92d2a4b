package rpc

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// newTurns returns turns with so many workers, and stands named by their letters, each
// with the weight behind it.
func newTurns(workers, calls int, names string) (t *turns, byName map[byte]*stand, woken *[]*stand) {
	t = &turns{free: workers, left: calls, over: make(chan struct{})}
	woken, byName = new([]*stand), map[byte]*stand{}
	t.wake = func(s *stand) { *woken = append(*woken, s) }
	for _, name := range strings.Fields(names) {
		s := &stand{turn: turn{weight: int(name[1] - '0'), granted: make(chan struct{}, 1)}}
		byName[name[0]] = s
		t.stands = append(t.stands, s)
	}
	return t, byName, woken
}

// TestTurnsByWeight: whose turn it is when a worker is free.
func TestTurnsByWeight(t *testing.T) {
	turns, by, _ := newTurns(0, 1000, "a3 b1 c2")
	order := ""
	for range 12 {
		for _, s := range turns.stands { // all want one, all the time
			if !slices.Contains(turns.hungry, s) {
				turns.hungry = append(turns.hungry, s)
			}
		}
		turns.give(1)
		for name, s := range by {
			select {
			case <-s.granted:
				order += string(name)
				turns.settle(s, 1, 1)
			default:
			}
		}
	}
	for name, want := range map[string]int{"a": 6, "b": 2, "c": 4} {
		if got := strings.Count(order, name); got != want || !strings.Contains(order[:6], name) {
			t.Errorf("got the order %s, want %s %d times, and soon", order, name, want)
		}
	}
}

// TestTurnsWakeIdlers: a worker that is held in vain is asked for, once, and comes to who
// wants it.
func TestTurnsWakeIdlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, by, woken := newTurns(1, 1000, "a1 b1")
		a, b := by['a'], by['b']
		stop := make(chan struct{})
		if !turns.take(a, stop) || !turns.mayWait(a) {
			t.Fatal("a did not get the only worker, and leave to wait")
		}
		got := make(chan bool, 2)
		go func() { got <- turns.take(b, stop) }()
		synctest.Wait()
		if len(*woken) != 1 || (*woken)[0] != a || len(got) > 0 {
			t.Fatalf("woke %v, want a alone", *woken)
		}
		if !turns.awake(a) {
			t.Error("a does not know that it was woken")
		}
		turns.settle(a, 1, 0)
		if !<-got {
			t.Fatal("b did not get the worker")
		}
		go func() { got <- turns.take(a, stop) }()
		synctest.Wait()
		if turns.mayWait(b) {
			t.Error("b may wait although a wants its worker")
		}
		turns.settle(b, 1, 1) // it found a call
		synctest.Wait()
		if len(got) > 0 || len(*woken) != 1 {
			t.Errorf("a got the worker that has a call, or woke somebody: %v", *woken)
		}
		close(stop)
		if <-got || len(turns.hungry) > 0 {
			t.Error("a got a worker after the stop, or still wants it")
		}
		if turns.take(a, stop) {
			t.Error("a got a worker after the stop")
		}
	})
}

// TestTurnsShare: who has found calls takes more, but leaves others who have calls
// their part.
func TestTurnsShare(t *testing.T) {
	turns, by, _ := newTurns(21, 1000, "a3 b1 c1")
	a, b := by['a'], by['b']
	stop := make(chan struct{})
	for _, s := range []*stand{a, b} {
		if !turns.take(s, stop) {
			t.Fatal("no worker")
		}
	}
	if n := turns.more(a, 1000); n != 19 {
		t.Errorf("alone with calls: got %d more, want all 19", n)
	}
	turns.settle(a, 20, 4) // so 16 are back
	if n := turns.more(b, 1000); n != 4 {
		t.Errorf("beside a: got %d more, want a quarter of 16", n)
	}
	if n := turns.more(b, 2); n != 2 {
		t.Errorf("with room for 2 got %d", n)
	}
	if n := turns.more(b, -1); n != 0 {
		t.Errorf("without room got %d", n)
	}
}

// TestTurnsEnd: calls that may be taken are given back by who finds none, and when all
// are taken it is over.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, by, _ := newTurns(10, 2, "a1 b1")
		a, b := by['a'], by['b']
		if !turns.take(a, nil) || turns.more(a, 10) != 1 {
			t.Fatal("a did not get both calls")
		}
		got := make(chan bool, 1)
		go func() { got <- turns.take(b, nil) }()
		synctest.Wait()
		turns.settle(a, 2, 1)
		if !<-got {
			t.Fatal("b did not get the call that a gave back")
		}
		go func() { got <- turns.take(a, nil) }()
		synctest.Wait()
		turns.settle(b, 1, 1)
		if <-got {
			t.Error("a got a call although all are taken")
		}
		turns.give(2) // their workers
		if turns.take(a, nil) || turns.take(b, nil) {
			t.Error("somebody got a call although all are taken")
		}
	})
}
