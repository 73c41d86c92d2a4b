package rpc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// errTimeUp is the cause of a failure whose stop channel delivered.
var errTimeUp = errors.New("time is up")

// popTransport waits for each result by a BLPOP on a connection of its own.
//
// A worker pushes a call and waits for its result, while the caller waits for
// the worker, its context and its time: go-redis cannot be interrupted, so a
// caller that gives up leaves the worker behind, which finishes its BLPOP,
// drops what may still come, and is free again; or, if nothing was sent yet,
// finishes the connection and leaves it to the next call. There are as many
// workers as there ever were calls at a time, given up ones that still hold
// theirs included, at most MaxConns, each with a connection.
type popTransport struct {
	redis  *link
	expiry time.Duration
	trips  chan *trip    // to a worker that is free
	spare  chan struct{} // holds one for each worker that does not exist yet
	closed chan struct{}

	mu      sync.Mutex // guards closing: no worker starts after close
	closing bool
	workers sync.WaitGroup
}

// A trip is an exchange with its way back.
type trip struct {
	*exchange
	done chan outcome // of size 1: the worker never waits for its caller
	left atomic.Bool  // the caller has given up
}

type outcome struct {
	message []byte
	err     error
}

func newPopTransport(rdb *redis.Client, opt ClientOptions) *popTransport {
	t := &popTransport{
		redis:  newLink(rdb, opt.MaxConns),
		expiry: opt.Expiry,
		trips:  make(chan *trip),
		spare:  make(chan struct{}, opt.MaxConns),
		closed: make(chan struct{}),
	}
	for range opt.MaxConns {
		t.spare <- struct{}{}
	}
	return t
}

func (t *popTransport) roundTrip(ctx context.Context, x *exchange, stop <-chan time.Time) ([]byte, error) {
	tr := &trip{exchange: x, done: make(chan outcome, 1)}
	select {
	case t.trips <- tr:
	default:
		select {
		case t.trips <- tr:
		case <-t.spare:
			if !t.start(tr) {
				return nil, &failure{ErrNotSent, redis.ErrClosed}
			}
		case <-ctx.Done():
			return nil, &failure{ErrNotSent, ctx.Err()}
		case <-stop:
			return nil, &failure{ErrNotSent, errTimeUp}
		case <-t.closed:
			return nil, &failure{ErrNotSent, redis.ErrClosed}
		}
	}
	select {
	case o := <-tr.done:
		return o.message, o.err
	case <-ctx.Done():
		return tr.leave(ctx.Err())
	case <-stop:
		return tr.leave(errTimeUp)
	case <-t.closed:
		return tr.leave(redis.ErrClosed)
	}
}

// leave ends the caller's part of a trip, with the outcome if it is there.
func (tr *trip) leave(cause error) ([]byte, error) {
	tr.left.Store(true)
	select {
	case o := <-tr.done:
		return o.message, o.err
	default:
	}
	if tr.withdraw() {
		return nil, &failure{ErrNotSent, cause}
	}
	return nil, &failure{ErrNoResult, cause}
}

// start runs a new worker, beginning with tr.
func (t *popTransport) start(tr *trip) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	t.workers.Go(func() { t.work(tr) })
	return true
}

func (t *popTransport) work(tr *trip) {
	for {
		if o, ok := t.exchange(tr); ok {
			tr.done <- o
		}
		select {
		case tr = <-t.trips:
		case <-t.closed:
			return
		}
	}
}

// exchange pushes the call and waits for its result, until its time is up or
// its caller has left: then the outcome is the caller's to tell, and ok is false.
func (t *popTransport) exchange(tr *trip) (o outcome, ok bool) {
	if f := t.redis.push(tr.queue, &tr.payload, t.expiry); f != nil {
		return t.failed(f.kind, f.cause), true
	}
	for !tr.left.Load() {
		left := time.Until(tr.deadline)
		if left <= 0 {
			break
		}
		message, err := t.redis.popOne(tr.reply, min(left, maxSlice))
		if err == nil {
			return outcome{message: message}, true
		}
		if !errors.Is(err, redis.Nil) {
			return t.failed(ErrNoResult, err), true
		}
	}
	return outcome{}, false
}

// failed is an outcome without a result. That a connection was cut is our own
// doing once the transport is closed, and then the cause is that.
func (t *popTransport) failed(kind, cause error) outcome {
	select {
	case <-t.closed:
		cause = redis.ErrClosed
	default:
	}
	return outcome{err: &failure{kind, cause}}
}

func (t *popTransport) close() error {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	close(t.closed)
	err := t.redis.close()
	t.workers.Wait()
	return err
}
