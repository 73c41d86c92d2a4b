package broker

import (
	"context"
	"slices"
	"time"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A condition is somebody who waits until something holds of the broker: that clients
// are blocked, for example.
type condition struct {
	holds func() bool
	done  func() // called when it does, once
}

// countBlocked notes that more or fewer clients are blocked, or paused.
func (b *Broker) countBlocked(more int) {
	b.stats.blocked += more
	b.checkConditions()
}

// checkConditions is called when something has changed that may be waited for.
func (b *Broker) checkConditions() {
	for i := 0; i < len(b.conditions); {
		w := b.conditions[i]
		if !w.holds() {
			i++
			continue
		}
		b.conditions = slices.Delete(b.conditions, i, i+1)
		w.done()
	}
}

// areBlocked reports whether n clients are blocked, on one of the keys if there are
// any.
func (b *Broker) areBlocked(n int, keys []string) bool {
	if len(keys) == 0 {
		return b.stats.blocked >= n
	}
	waiters := map[*waiter]struct{}{}
	for _, blocked := range b.blocked {
		for _, key := range keys {
			if q := blocked[key]; q != nil {
				for t := q.first; t != nil; t = t.next {
					waiters[t.waiter] = struct{}{}
				}
			}
		}
	}
	return len(waiters) >= n
}

// forgetCondition reports whether it was still there.
func (b *Broker) forgetCondition(w *condition) bool {
	at := slices.Index(b.conditions, w)
	if at < 0 {
		return false
	}
	b.conditions = slices.Delete(b.conditions, at, at+1)
	return true
}

// WaitBlocked returns once at least n clients are blocked, in BLPOP for example, or
// with a command that CLIENT PAUSE postpones. If there are keys, only those clients
// count that wait for one of them, in any database. It returns the context's error if
// that ends first, or ErrClosed.
func (b *Broker) WaitBlocked(ctx context.Context, n int, keys ...string) error {
	keys = slices.Clone(keys)
	return b.waitUntil(ctx, func() bool { return b.areBlocked(n, keys) })
}

// waitUntil returns once something holds, which is asked for under the lock, whenever
// tellWatchers is called.
func (b *Broker) waitUntil(ctx context.Context, holds func() bool) error {
	done := make(chan struct{})
	w := &condition{holds: holds, done: func() { close(done) }}
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return ErrClosed
	case holds():
		b.mu.Unlock()
		return nil
	}
	b.conditions = append(b.conditions, w)
	b.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.forgetCondition(w):
		return context.Cause(ctx)
	case b.closed:
		return ErrClosed
	}
	return nil
}

// waitUntil is Broker.waitUntil for a client, which is answered OK, or with an error
// when the time is up: by the machine's clock, as a manual one may stand still. 0 means
// never.
func (c *call) waitUntil(holds func() bool, timeout time.Duration, late resp.Reply) resp.Reply {
	b, s := c.Broker, c.session
	switch {
	case holds():
		return resp.OK
	case s.transaction.running:
		return resp.Errorf("ERR '%s' cannot wait inside a transaction", c.command.FullName)
	}
	w := &condition{holds: holds, done: func() { s.unblock(0, resp.OK) }}
	b.conditions = append(b.conditions, w)
	var timer *time.Timer
	if timeout > 0 {
		timer = time.AfterFunc(timeout, func() {
			if !b.goroutines.enter("timer") {
				return
			}
			defer b.goroutines.leave("timer")
			b.enter()
			if slices.Contains(b.conditions, w) {
				s.unblock(0, late)
			}
			b.leave()
		})
	}
	return (&keyspace.Wait{Late: late, Left: func() {
		b.forgetCondition(w)
		if timer != nil {
			timer.Stop()
		}
	}}).Reply()
}
