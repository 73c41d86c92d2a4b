package rpc

import "sync"

// A runQueue is where fetched calls wait for a worker. There are never more of them than
// workers that are free, so none waits for long.
//
// A worker is woken only if there is a call for it, and only one at a time: it
// wakes the next one if there is more to do. So where calls take less time than
// waking a worker, few workers do them all, and where they take long, all do.
type runQueue struct {
	mu     sync.Mutex // guards what follows
	calls  fifo[fetchedCall]
	idle   int
	waking bool // a worker has been woken and has not come yet
	closed bool
	wake   sync.Cond
}

func newRunQueue() *runQueue {
	q := new(runQueue)
	q.wake.L = &q.mu
	return q
}

// put adds calls.
func (q *runQueue) put(calls []fetchedCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls.push(calls...)
	q.wakeOne()
}

// wakeOne wakes a worker if there is something to do. It is called under the lock.
func (q *runQueue) wakeOne() {
	if len(q.calls.waiting()) > 0 && q.idle > 0 && !q.waking {
		q.waking = true
		q.wake.Signal()
	}
}

// take waits for a call. It is not ok when the queue is closed and empty.
func (q *runQueue) take() (c fetchedCall, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if c, ok := q.calls.next(); ok {
			q.wakeOne()
			return c, true
		}
		if q.closed {
			return fetchedCall{}, false
		}
		q.idle++
		q.wake.Wait()
		q.idle--
		q.waking = false
	}
}

// close lets the workers go when all calls are taken.
func (q *runQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}
