package rpc

import "sync"

// A desk is where calls wait for a worker. There are never more of them than
// workers that are free, so none waits for long.
//
// A worker is woken only if there is a call for it, and only one at a time: it
// wakes the next one if there is more to do. So where calls take less time than
// waking a worker, few workers do them all, and where they take long, all do.
type desk struct {
	mu     sync.Mutex // guards what follows
	calls  fifo[popped]
	idle   int
	waking bool // a worker has been woken and has not come yet
	closed bool
	wake   sync.Cond
}

func newDesk() *desk {
	d := new(desk)
	d.wake.L = &d.mu
	return d
}

// put adds calls.
func (d *desk) put(calls []popped) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls.push(calls...)
	d.call()
}

// call wakes a worker if there is something to do. It is called under the lock.
func (d *desk) call() {
	if len(d.calls.waiting()) > 0 && d.idle > 0 && !d.waking {
		d.waking = true
		d.wake.Signal()
	}
}

// take waits for a call. It is not ok when the desk is closed and empty.
func (d *desk) take() (c popped, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if c, ok := d.calls.next(); ok {
			d.call()
			return c, true
		}
		if d.closed {
			return popped{}, false
		}
		d.idle++
		d.wake.Wait()
		d.idle--
		d.waking = false
	}
}

// close lets the workers go when all calls are taken.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.wake.Broadcast()
}
