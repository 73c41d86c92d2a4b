package rpc

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// newScheduler returns a scheduler with so many workers, and consumers named by their letters, each
// with the weight behind it.
func newScheduler(workers, calls int, names string) (t *scheduler, byName map[byte]*consumer, woken *[]*consumer) {
	t = &scheduler{free: workers, left: calls, over: make(chan struct{})}
	woken, byName = new([]*consumer), map[byte]*consumer{}
	t.wake = func(s *consumer) { *woken = append(*woken, s) }
	for _, name := range strings.Fields(names) {
		s := &consumer{share: share{weight: int(name[1] - '0'), granted: make(chan struct{}, 1)}}
		byName[name[0]] = s
		t.consumers = append(t.consumers, s)
	}
	return t, byName, woken
}

// TestSchedulerByWeight: whose turn it is when a worker is free.
func TestSchedulerByWeight(t *testing.T) {
	t.Parallel()
	sched, by, _ := newScheduler(0, 1000, "a3 b1 c2")
	order := ""
	for range 12 {
		for _, s := range sched.consumers { // all want one, all the time
			if !slices.Contains(sched.wanting, s) {
				sched.wanting = append(sched.wanting, s)
			}
		}
		sched.give(1)
		for name, s := range by {
			select {
			case <-s.granted:
				order += string(name)
				sched.settle(s, 1, 1)
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

// TestSchedulerWakesWaiting: a worker that is held in vain is asked for, once, and comes to who
// wants it.
func TestSchedulerWakesWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sched, by, woken := newScheduler(1, 1000, "a1 b1")
		a, b := by['a'], by['b']
		stop := make(chan struct{})
		if !sched.take(a, stop) || !sched.mayWait(a) {
			t.Fatal("a did not get the only worker, and leave to wait")
		}
		got := make(chan bool, 2)
		go func() { got <- sched.take(b, stop) }()
		synctest.Wait()
		if len(*woken) != 1 || (*woken)[0] != a || len(got) > 0 {
			t.Fatalf("woke %v, want a alone", *woken)
		}
		if !sched.awake(a) {
			t.Error("a does not know that it was woken")
		}
		sched.settle(a, 1, 0)
		if !<-got {
			t.Fatal("b did not get the worker")
		}
		go func() { got <- sched.take(a, stop) }()
		synctest.Wait()
		if sched.mayWait(b) {
			t.Error("b may wait although a wants its worker")
		}
		sched.settle(b, 1, 1) // it found a call
		synctest.Wait()
		if len(got) > 0 || len(*woken) != 1 {
			t.Errorf("a got the worker that has a call, or woke somebody: %v", *woken)
		}
		close(stop)
		if <-got || len(sched.wanting) > 0 {
			t.Error("a got a worker after the stop, or still wants it")
		}
		if sched.take(a, stop) {
			t.Error("a got a worker after the stop")
		}
	})
}

// TestSchedulerShare: who has found calls takes more, but leaves others who have calls
// their part.
func TestSchedulerShare(t *testing.T) {
	t.Parallel()
	sched, by, _ := newScheduler(21, 1000, "a3 b1 c1")
	a, b := by['a'], by['b']
	stop := make(chan struct{})
	for _, s := range []*consumer{a, b} {
		if !sched.take(s, stop) {
			t.Fatal("no worker")
		}
	}
	if n := sched.more(a, 1000); n != 19 {
		t.Errorf("alone with calls: got %d more, want all 19", n)
	}
	sched.settle(a, 20, 4) // so 16 are back
	if n := sched.more(b, 1000); n != 4 {
		t.Errorf("beside a: got %d more, want a quarter of 16", n)
	}
	if n := sched.more(b, 2); n != 2 {
		t.Errorf("with room for 2 got %d", n)
	}
	if n := sched.more(b, -1); n != 0 {
		t.Errorf("without room got %d", n)
	}
}

// TestSchedulerEnd: calls that may be taken are given back by who finds none, and when all
// are taken it is over.
func TestSchedulerEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sched, by, _ := newScheduler(10, 2, "a1 b1")
		a, b := by['a'], by['b']
		if !sched.take(a, nil) || sched.more(a, 10) != 1 {
			t.Fatal("a did not get both calls")
		}
		got := make(chan bool, 1)
		go func() { got <- sched.take(b, nil) }()
		synctest.Wait()
		sched.settle(a, 2, 1)
		if !<-got {
			t.Fatal("b did not get the call that a gave back")
		}
		go func() { got <- sched.take(a, nil) }()
		synctest.Wait()
		sched.settle(b, 1, 1)
		if <-got {
			t.Error("a got a call although all are taken")
		}
		sched.give(2) // their workers
		if sched.take(a, nil) || sched.take(b, nil) {
			t.Error("somebody got a call although all are taken")
		}
	})
}
