package capacity

import (
	"iter"
	"math/rand/v2"
)

// A queue is one line of calls in front of a number of workers, each of which takes the
// call that has waited longest as soon as it is free: G/G/k, first in, first out.
type queue struct {
	rate     float64 // calls per second
	constant bool    // they come in equal intervals, else at random
	run      Times
	overhead Times
}

// A visit is what becomes of a call. Times are in seconds.
type visit struct {
	at       float64 // when it came, since the start
	wait     float64 // for a worker
	response float64 // overhead, wait and run
}

// visits simulates calls, the same ones with each number of workers. The line is empty
// at the start. 0 workers are as many as there are calls: none waits.
func (q queue) visits(workers, calls int, seed uint64) iter.Seq2[int, visit] {
	return func(yield func(int, visit) bool) {
		rng := rand.New(rand.NewPCG(seed, 0))
		free := make([]float64, workers) // when each is free: a heap, the first one first
		var at float64
		for i := range calls {
			gap := 1.0
			if !q.constant {
				gap = rng.ExpFloat64()
			}
			at += gap / q.rate
			run, overhead := q.run.next(rng), q.overhead.next(rng)
			v := visit{at: at}
			if workers > 0 {
				v.wait = max(0, free[0]-at)
				free[0] = at + v.wait + run
				sink(free)
			}
			v.response = overhead + v.wait + run
			if !yield(i, v) {
				return
			}
		}
	}
}

// sink puts the first of a heap in its place.
func sink(heap []float64) {
	for i := 0; ; {
		least := 2*i + 1
		if least >= len(heap) {
			return
		}
		if least+1 < len(heap) && heap[least+1] < heap[least] {
			least++
		}
		if heap[i] <= heap[least] {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}
