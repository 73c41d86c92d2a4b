package rpc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// ClientOptions are the settings of a Client. The zero value works.
type ClientOptions struct {
	// Prefix starts every key. Default "redis_rpc".
	Prefix string

	// Timeout is how long a call may take, from Call to its result, unless its
	// context ends sooner. Default 1 s; the call option Timeout overrides it.
	Timeout time.Duration

	// Expiry is how long a function's queue lives after the last push to it.
	// Redis counts it in whole seconds: a part of one is rounded up. Default 120 s.
	Expiry time.Duration

	// MaxConns is the most connections that the client opens. A call holds one
	// until its result is there. If it is given up sooner, it goes on to hold it:
	// up to a second if it had been sent, else until the connection is set up,
	// which then serves other calls. Further calls wait for a connection within
	// their time-out. Default 1024.
	MaxConns int
}

func (o *ClientOptions) complete() error {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	return errors.Join(
		orDefault(&o.Timeout, time.Second, "ClientOptions.Timeout"),
		orDefault(&o.Expiry, defaultExpiry, "ClientOptions.Expiry"),
		orDefault(&o.MaxConns, 1024, "ClientOptions.MaxConns"),
	)
}

// orDefault replaces a zero by its default, and refuses less.
func orDefault[T int | time.Duration](field *T, def T, name string) error {
	if *field < 0 {
		return fmt.Errorf("rpc: %s: expected more than 0, or 0 for the default of %v, got %v", name, def, *field)
	}
	if *field == 0 {
		*field = def
	}
	return nil
}

// Client calls functions. It is safe for concurrent use.
type Client struct {
	opt    ClientOptions
	via    transport
	closed atomic.Bool
	done   chan struct{} // closed when the first Close has finished
}

// A transport takes calls to Redis and brings back their results. This is where
// ways of waiting differ.
type transport interface {
	// roundTrip pushes x's message and returns the message of its result. Its
	// error is a *failure. It returns at once when ctx ends or stop delivers,
	// whatever Redis does, and may go on to read x, which is no longer the
	// caller's to change.
	roundTrip(ctx context.Context, x *exchange, stop <-chan time.Time) ([]byte, error)

	// close ends what is in flight with redis.ErrClosed, and returns when
	// nothing runs any more.
	close() error
}

// An exchange is one call on its way.
type exchange struct {
	payload
	queue    string    // the list to push to
	reply    string    // the list to wait at
	deadline time.Time // when its caller will have given up
}

// NewClient returns a client that reaches Redis as rdb does: it takes rdb's
// options, not its connections, and no hooks. rdb stays the caller's to close.
// Nothing is sent before the first call.
//
// rdb is a *redis.Client; Cluster and Ring are refused. A client of Sentinel
// (redis.NewFailoverClient) is a *redis.Client too and is taken, but a failover
// is not tested yet.
func NewClient(rdb redis.UniversalClient, opt ClientOptions) (*Client, error) {
	single, err := checkClient(rdb)
	if err != nil {
		return nil, fmt.Errorf("rpc: NewClient: %w", err)
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	return &Client{opt: opt, via: newPopTransport(single, opt), done: make(chan struct{})}, nil
}

// Close ends the calls in flight with an error that matches redis.ErrClosed,
// closes the client's connections, and returns when nothing of the client runs
// any more. A second Close only waits for the first.
func (c *Client) Close() error {
	if c.closed.Swap(true) {
		<-c.done
		return nil
	}
	defer close(c.done)
	return c.via.close()
}

// A CallOption changes a single call.
type CallOption func(*callOptions)

type callOptions struct {
	timeout time.Duration
}

// Timeout is how long the call may take, in place of ClientOptions.Timeout. A
// context that ends sooner still ends the call.
func Timeout(d time.Duration) CallOption {
	return func(o *callOptions) { o.timeout = d }
}

// Call runs fn remotely and decodes its result into out, a pointer, or drops it
// if out is nil. A number that lands in an interface becomes a json.Number.
//
// args are the arguments by name: an [Args], or anything else that encodes to
// a JSON object, such as a struct; nil is none.
//
// The call ends when its result is there, when ctx ends, or when its time is
// up, whichever comes first. The error is one of those that the package
// documentation lists; if time was up or ctx ended it also matches
// context.DeadlineExceeded or context.Canceled.
func (c *Client) Call(ctx context.Context, fn string, args, out any, opts ...CallOption) error {
	o := callOptions{timeout: c.opt.Timeout}
	for _, set := range opts {
		set(&o)
	}
	x, err := c.prepare(ctx, fn, args, out, o)
	if err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	var stop <-chan time.Time
	if d, ok := ctx.Deadline(); ok && d.Before(x.deadline) {
		x.deadline = d
	} else {
		timer := time.NewTimer(o.timeout)
		defer timer.Stop()
		stop = timer.C
	}
	message, err := c.via.roundTrip(ctx, x, stop)
	if err != nil {
		var f *failure
		if !errors.As(err, &f) {
			return &callError{fn, ErrNoResult, err}
		}
		if f.cause == errTimeUp {
			f.cause = timeUp(o.timeout)
		}
		return &callError{fn, f.kind, f.cause}
	}
	return read(fn, message, out)
}

// prepare checks what the caller gave and makes a message of it.
func (c *Client) prepare(ctx context.Context, fn string, args, out any, o callOptions) (*exchange, error) {
	switch {
	case fn == "":
		return nil, errors.New("expected the name of a function, got an empty one")
	case o.timeout <= 0:
		return nil, fmt.Errorf("Timeout: expected more than 0, got %v", o.timeout)
	case c.closed.Load():
		return nil, redis.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if out != nil {
		if p := reflect.ValueOf(out); p.Kind() != reflect.Pointer || p.IsNil() {
			return nil, fmt.Errorf("expected a non-nil pointer to put the result in, got %T", out)
		}
	}
	kw, err := encodeArgs(args)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	x := &exchange{
		queue:    callsKey(c.opt.Prefix, fn),
		reply:    resultKey(c.opt.Prefix, fn, id.String()),
		deadline: now.Add(o.timeout),
	}
	x.message = appendCall(make([]byte, 0, len(kw)+96), id.String(), now, kw)
	return x, nil
}

// read makes the outcome of a call from the message of its result.
func read(fn string, message []byte, out any) error {
	r, err := decodeResult(message)
	if err != nil {
		return &callError{fn, ErrBadResult, fmt.Errorf("%w: %s", err, excerpt(message))}
	}
	if r.failure != nil {
		r.failure.Func = fn
		return r.failure
	}
	if out == nil {
		return nil
	}
	if err := decodeValue(r.res, out); err != nil {
		return &callError{fn, ErrBadResult, explain(err)}
	}
	return nil
}

// Call is Client.Call for a result of type T.
func Call[T any](ctx context.Context, c *Client, fn string, args any, opts ...CallOption) (T, error) {
	var out T
	if err := c.Call(ctx, fn, args, &out, opts...); err != nil {
		var none T
		return none, err
	}
	return out, nil
}
