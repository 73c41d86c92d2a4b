package broker

import (
	"context"
	"slices"
	"time"
)

// A blockedWatch is somebody who waits until clients are blocked.
type blockedWatch struct {
	n    int
	keys []string // the clients that count: those that wait for one of them; nil: all
	done func()   // called when there are so many, once
}

// countBlocked notes that more or fewer clients are blocked, or paused.
func (b *Broker) countBlocked(more int) {
	b.stats.blocked += more
	for i := 0; i < len(b.watchers); {
		w := b.watchers[i]
		if !b.areBlocked(w.n, w.keys) {
			i++
			continue
		}
		b.watchers = slices.Delete(b.watchers, i, i+1)
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
	for _, d := range b.dbs {
		for _, key := range keys {
			if q := d.blocked[key]; q != nil {
				for t := q.first; t != nil; t = t.next {
					waiters[t.waiter] = struct{}{}
				}
			}
		}
	}
	return len(waiters) >= n
}

// unwatchBlocked forgets a watch. It reports whether it was still open.
func (b *Broker) unwatchBlocked(w *blockedWatch) bool {
	at := slices.Index(b.watchers, w)
	if at < 0 {
		return false
	}
	b.watchers = slices.Delete(b.watchers, at, at+1)
	return true
}

// WaitBlocked returns once at least n clients are blocked, in BLPOP for example, or
// with a command that CLIENT PAUSE postpones. If there are keys, only those clients
// count that wait for one of them, in any database. It returns the context's error if
// that ends first, or ErrClosed.
func (b *Broker) WaitBlocked(ctx context.Context, n int, keys ...string) error {
	done := make(chan struct{})
	w := &blockedWatch{n: n, keys: slices.Clone(keys), done: func() { close(done) }}
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return ErrClosed
	case b.areBlocked(n, keys):
		b.mu.Unlock()
		return nil
	}
	b.watchers = append(b.watchers, w)
	b.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.unwatchBlocked(w):
		return context.Cause(ctx)
	case b.closed:
		return ErrClosed
	}
	return nil
}

// waitBlocked is WaitBlocked for a client, which gets an error reply when the time is
// up: by the machine's clock, as a manual one may stand still. 0 means never.
func (c *call) waitBlocked(n int, timeout time.Duration, keys []string) reply {
	if c.areBlocked(n, keys) {
		return ok
	}
	refused := failuref("ERR %s cannot wait inside a transaction", c.command.fullName)
	if c.session.transaction.running {
		return refused
	}
	b, s := c.Broker, c.session
	w := &blockedWatch{n: n, keys: keys, done: func() { s.unblock(0, ok) }}
	b.watchers = append(b.watchers, w)
	var timer *time.Timer
	late := failuref("ERR fewer than %d clients were blocked for %v", n, timeout)
	if timeout > 0 {
		timer = time.AfterFunc(timeout, func() {
			if !b.goroutines.enter("timer") {
				return
			}
			defer b.goroutines.leave("timer")
			b.enter()
			if slices.Contains(b.watchers, w) {
				s.unblock(0, late)
			}
			b.leave()
		})
	}
	return reply{kind: kindWait, wait: &wait{late: late, left: func() {
		b.unwatchBlocked(w)
		if timer != nil {
			timer.Stop()
		}
	}}}
}
