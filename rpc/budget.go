package rpc

import (
	"context"
	"sync"
	"time"
)

// A budget is the context of a handler whose caller gives up at a deadline. It is
// context.WithDeadline, but needs a timer only if somebody waits for its end,
// which most handlers do not.
type budget struct {
	context.Context // of the run
	deadline        time.Time

	mu     sync.Mutex      // guards what follows
	timed  context.Context // made when first somebody waits
	cancel context.CancelFunc
	over   error // how it ended, if before that
}

func (b *budget) Deadline() (time.Time, bool) { return sooner(b.Context, b.deadline), true }

func (b *budget) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over != nil:
		ended := make(chan struct{})
		close(ended)
		return ended
	case b.timed == nil:
		b.timed, b.cancel = context.WithDeadline(b.Context, b.deadline)
	}
	return b.timed.Done()
}

func (b *budget) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err()
}

// err is called under the lock.
func (b *budget) err() error {
	switch {
	case b.over != nil:
	case b.timed != nil:
		return b.timed.Err()
	case b.Context.Err() != nil:
		b.over = b.Context.Err()
	case !time.Now().Before(b.deadline):
		b.over = context.DeadlineExceeded
	}
	return b.over
}

// Value finds the timed context, so that those derived from it need no goroutine.
func (b *budget) Value(key any) any {
	b.mu.Lock()
	from := b.timed
	b.mu.Unlock()
	if from == nil {
		from = b.Context
	}
	return from.Value(key)
}

// end ends it, as the handler has returned.
func (b *budget) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.timed != nil:
		b.cancel()
	case b.err() == nil:
		b.over = context.Canceled
	}
}
