package rpc

import (
	"fmt"
	"testing"
)

func functionsOf(weights, limits []int) []*function {
	var fs []*function
	for i := range weights {
		name := string(rune('a' + i))
		fs = append(fs, &function{name: name, queue: name, weight: weights[i], limit: int64(limits[i])})
	}
	return fs
}

// TestRoundRobinOrder: each function comes first as often as its weight says, and
// as evenly as can be.
func TestRoundRobinOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "[a][a][a][a]"},
		{[]int{1, 1, 1}, "[a b c][b c a][c a b][a b c]"},
		{[]int{3, 1}, "[a b][a b][b a][a b]"},
		{[]int{1, 2, 1}, "[b c a][a b c][c a b][b c a]"},
	} {
		r, got := newRoundRobin(functionsOf(c.weights, make([]int, len(c.weights)))), ""
		for range 4 {
			queues, n, wait := r.begin(7)
			if n != 7 || wait != maxBlock {
				t.Errorf("%v: got %d calls within %v", c.weights, n, wait)
			}
			got += fmt.Sprint(queues)
			r.end(true)
		}
		if got != c.want {
			t.Errorf("%v: got %s, want %s", c.weights, got, c.want)
		}
	}
}

// TestRoundRobinLimits: a function with room for few is taken from in its own turn,
// and else when little is going on.
func TestRoundRobinLimits(t *testing.T) {
	t.Parallel()
	fs := functionsOf([]int{1, 1}, []int{0, 2})
	r := newRoundRobin(fs)
	begin := func(want string) {
		t.Helper()
		queues, n, wait := r.begin(8)
		if got := fmt.Sprint(queues, n, wait); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	begin("[a] 8 1ms")
	r.end(false)
	begin("[a b] 2 1s")
	r.end(true)
	begin("[b a] 2 1s")
	fs[1].busy.Add(2)
	r.end(true)
	if begin("[a] 8 1s"); !r.without.Load() {
		t.Error("the turn does not know that it leaves a function out")
	}
	r.end(true)
	begin("[a] 8 1s")
	fs[1].busy.Add(-1)
	r.end(true)
	begin("[a] 8 1ms")
	r.end(true)
	begin("[b a] 1 1s")

	fs = functionsOf([]int{1}, []int{1})
	r = newRoundRobin(fs)
	fs[0].busy.Add(1)
	if queues, _, _ := r.begin(8); len(queues) != 0 {
		t.Errorf("got queues %q, want none", queues)
	}
}

func TestHandleOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		option HandleOption
		good   bool
	}{{Weight(0), false}, {Weight(101), false}, {Weight(100), true}, {Concurrency(0), false}, {Concurrency(1), true}} {
		if err := c.option(&function{}); (err == nil) != c.good {
			t.Errorf("got %v, want an error: %v", err, !c.good)
		}
	}
}
