package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"redrpc/rpc/internal/wire"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

	// Wait is how results are waited for. Default WaitAuto.
	Wait Wait

	// MaxConns is the most connections that the client opens. With tracking it
	// opens no more than three, and Send one more. Where results are waited for by
	// BLPOP alone a call holds one until its result is there, and if it is given up
	// sooner, for up to a second more; further calls wait for a connection within
	// their time-out. Each slot of a Cluster counts for itself. Default 1024.
	MaxConns int

	// Name is what servers are told of the client. Default the ClientName of
	// the Redis client, which may be empty.
	Name string

	// NoExtensions leaves out of the messages what the protocol did not have at first:
	// the client's name, and how long the caller waits, by which servers drop
	// calls that come too late and end the contexts of handlers. The Python and Go
	// ports ignore these fields.
	NoExtensions bool

	// Intercept runs around each call, the first outermost.
	Intercept []Interceptor

	// Logger is told which way of waiting was found to work, and why. Default
	// slog.Default().
	Logger *slog.Logger
}

// Wait is a way of waiting for results.
type Wait string

const (
	// WaitAuto waits by BLPOP while no more calls are in flight than there are
	// connections to spare for it, and by tracking for the others. If tracking does
	// not work it waits by BLPOP alone.
	WaitAuto Wait = "auto"

	// WaitTracking waits for all calls on one connection, on which Redis (6.0 or
	// newer) tells that a result has come. Where that does not work no call is
	// sent.
	WaitTracking Wait = "tracking"

	// WaitBLPOP waits for each call on a connection of its own.
	WaitBLPOP Wait = "blpop"
)

func (o *ClientOptions) complete() error {
	if o.Prefix == "" {
		o.Prefix = wire.DefaultPrefix
	}
	o.Wait = cmp.Or(o.Wait, WaitAuto)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return errors.Join(
		o.Wait.check("ClientOptions.Wait"),
		orDefault(&o.Timeout, time.Second, "ClientOptions.Timeout"),
		orDefault(&o.Expiry, wire.DefaultExpiry, "ClientOptions.Expiry"),
		orDefault(&o.MaxConns, 1024, "ClientOptions.MaxConns"),
		checkInterceptors(o.Intercept, "ClientOptions.Intercept"),
	)
}

func (w Wait) check(name string) error {
	switch w {
	case WaitAuto, WaitTracking, WaitBLPOP:
		return nil
	}
	return fmt.Errorf("rpc: %s: expected %q, %q or %q, or an empty text for %[2]q, got %q", name, WaitAuto, WaitTracking, WaitBLPOP, w)
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
	opt      ClientOptions
	only     *branch   // nil if it is a Cluster
	cluster  *branches // if it is one
	waiters  sync.Pool // of *waiter
	encoders wire.Encoders
	spare    buffers       // for messages
	name     []byte        // the field of the messages, with a comma before it
	closed   chan struct{} // closed when the first Close has finished

	isClosing atomic.Bool
}

// NewClient returns a client that reaches Redis as rdb does: it takes rdb's
// options, not its connections, and no hooks. rdb stays the caller's to close.
// Nothing is sent before the first call.
//
// rdb is a *redis.Client or a *redis.ClusterClient; a Ring is refused. With one of
// Sentinel (redis.NewFailoverClient) all connections follow the master, as long as
// rdb is not closed. With a Cluster they go to the masters of the slots of the
// functions, and follow them, as long as rdb is not closed; the prefix must not have {}.
func NewClient(rdb redis.UniversalClient, opt ClientOptions) (*Client, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	single, cluster, err := checkClient(rdb, opt.Prefix)
	if err != nil {
		return nil, fmt.Errorf("rpc: NewClient: %w", err)
	}
	c := &Client{opt: opt, closed: make(chan struct{})}
	if cluster != nil {
		c.opt.Name = cmp.Or(opt.Name, cluster.Options().ClientName)
		c.cluster = newBranches(cluster, func(h *home) *branch { return c.open(newLink(nil, h)) })
	} else {
		c.opt.Name = cmp.Or(opt.Name, single.Options().ClientName)
		c.only = c.open(newLink(single, nil))
	}
	if !opt.NoExtensions && c.opt.Name != "" {
		c.name = wire.AppendTextField(nil, "client", c.opt.Name)
	}
	return c, nil
}

// open makes a branch of a link.
func (c *Client) open(l *link) *branch {
	if !c.opt.NoExtensions {
		l.clock = newClock()
	}
	b := &branch{link: l, sends: newSendTransport(l, c.opt.Expiry)}
	var nodes *nodes
	if c.cluster != nil {
		nodes = c.cluster.nodes
	}
	b.via = newTransport(l, c.opt, &c.spare, nodes)
	b.sends.detour = b.via.detour
	return b
}

// enter returns where a call of fn goes. It stays there until leave.
func (c *Client) enter(fn string) (place, error) {
	if c.cluster == nil {
		return place{branch: c.only}, nil
	}
	return c.cluster.enter(c.opt.Prefix, fn)
}

func (c *Client) leave(at place) {
	if c.cluster != nil {
		c.cluster.leave(at.branch)
	}
}

// branches are those that there are now.
func (c *Client) branches() []*branch {
	if c.cluster == nil {
		return []*branch{c.only}
	}
	return c.cluster.all()
}

// Waiting says which way of waiting for results is in use, and why. WaitAuto
// means that it is still open: so far there was no need to try. Where the ways differ
// between the slots of a Cluster it is WaitBLPOP, which costs most.
func (c *Client) Waiting() (way Wait, why string) {
	way, why = WaitAuto, noNeed
	for _, b := range c.branches() {
		if is, because := b.via.waiting(); way == WaitAuto || is == WaitBLPOP {
			way, why = is, because
		}
	}
	return way, why
}

// Conns is how many connections the client has now.
func (c *Client) Conns() int {
	n := 0
	for _, b := range c.branches() {
		n += b.link.open()
	}
	if c.cluster != nil {
		n += c.cluster.nodes.link.open()
	}
	return n
}

// Close ends the calls in flight with an error that matches redis.ErrClosed,
// closes the client's connections, and returns when nothing of the client runs
// any more. A second Close only waits for the first.
func (c *Client) Close() error {
	if c.isClosing.Swap(true) {
		<-c.closed
		return nil
	}
	if c.cluster != nil {
		c.cluster.close()
	} else {
		c.only.abandon()
		c.only.close()
	}
	close(c.closed)
	return nil
}

// Args are the arguments of a call, by name.
type Args map[string]any

// A CallOption changes a single call.
type CallOption func(*callOptions)

type callOptions struct {
	queue    string // of the function
	timeout  time.Duration
	deadline time.Time // when it is over
	only     bool      // it is only sent, so nobody has given up after that
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
	o := c.callOptions(fn, opts)
	if len(c.opt.Intercept) > 0 {
		return c.intercepted(ctx, fn, args, out, o)
	}
	return c.call(ctx, fn, args, out, o, nil)
}

func (c *Client) callOptions(fn string, opts []CallOption) callOptions {
	o := callOptions{queue: wire.CallsKey(c.opt.Prefix, fn), timeout: c.opt.Timeout}
	if len(opts) > 0 {
		o = o.with(opts)
	}
	o.deadline = time.Now().Add(o.timeout)
	return o
}

// with is a function of its own, as what options point to is allocated.
func (o callOptions) with(opts []CallOption) callOptions {
	for _, set := range opts {
		set(&o)
	}
	return o
}

// intercepted makes a call with the interceptors around it.
func (c *Client) intercepted(ctx context.Context, fn string, args, out any, o callOptions) error {
	info := &CallInfo{Func: fn, Queue: o.queue, Client: c.opt.Name, Deadline: sooner(ctx, o.deadline)}
	return intercept(ctx, c.opt.Intercept, info, func(ctx context.Context) error {
		return c.call(ctx, fn, args, out, o, info)
	})
}

// sooner returns the deadline of ctx if it comes before t, else t.
func sooner(ctx context.Context, t time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok && d.Before(t) {
		return d
	}
	return t
}

// call makes a call. info, which may be nil, has what interceptors want in the
// message, and is told what they want to know.
func (c *Client) call(ctx context.Context, fn string, args, out any, o callOptions, info *CallInfo) error {
	at, err := c.enter(fn)
	if err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	defer c.leave(at)
	f, err := c.prepare(ctx, at, fn, args, out, o, info)
	if err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	got := c.await(ctx, at.via, f, o)
	if got.err != nil {
		return &callError{fn, got.err.kind, got.err.cause}
	}
	err = read(fn, got.message, out, info)
	c.spare.put(f.message) // which has been sent, as there is a result
	if info == nil {
		c.spare.put(got.message)
	}
	return err
}

// await sends f and waits until there is an outcome, ctx ends, its time is over or
// the client is closed.
func (c *Client) await(ctx context.Context, via sender, f *flight, o callOptions) outcome {
	w, _ := c.waiters.Get().(*waiter)
	if w == nil {
		w = newWaiter()
	}
	w.start(f, o.timeout, time.Until(o.deadline))
	via.send(f)
	var got outcome
	if ctx.Done() == nil {
		got = <-w.done
	} else {
		select {
		case got = <-w.done:
		case <-ctx.Done():
			f.abandon(ctx.Err())
			got = <-w.done
		}
	}
	via.finished(f)
	if w.stop() {
		c.waiters.Put(w)
	}
	return got
}

// prepare checks what the caller gave and makes a message of it.
func (c *Client) prepare(ctx context.Context, at place, fn string, args, out any, o callOptions, info *CallInfo) (*flight, error) {
	switch {
	case fn == "":
		return nil, errors.New("expected the name of a function, got an empty one")
	case o.timeout <= 0:
		return nil, fmt.Errorf("Timeout: expected more than 0, got %v", o.timeout)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.isClosing.Load():
		return nil, redis.ErrClosed
	}
	if out != nil {
		if p := reflect.ValueOf(out); p.Kind() != reflect.Pointer || p.IsNil() {
			return nil, fmt.Errorf("expected a non-nil pointer to put the result in, got %T", out)
		}
	}
	e := c.encoders.Get()
	defer c.encoders.Put(e)
	kw, err := e.Args(args)
	if err != nil {
		return nil, err
	}
	f := &flight{queue: o.queue, deadline: sooner(ctx, o.deadline), only: o.only}
	call := wire.Call{At: time.Now(), KW: kw, Client: c.name}
	if !c.opt.NoExtensions && !o.only {
		call.Timeout = max(1, int64((f.deadline.Sub(call.At)+time.Millisecond-1)/time.Millisecond))
		if now, ok := at.link.clock.millis(call.At); ok {
			call.Deadline = now + call.Timeout
		}
	}
	f.reply, call.ID = wire.NewResultKey(c.opt.Prefix, fn, at.tag)
	if info != nil {
		info.ID = call.ID
		info.received, info.Server, info.Queued, info.Ran = nil, "", 0, 0
		call.Extra = info.extra
	}
	f.message = call.Append(slices.Grow(c.spare.get()[:0], len(kw)+len(call.Client)+len(call.Extra)+152))
	return f, nil
}

// read makes the outcome of a call from the message of its result, of which it keeps
// nothing but in info.
func read(fn string, message []byte, out any, info *CallInfo) error {
	r, err := wire.DecodeResult(message)
	if err != nil {
		return &callError{fn, ErrBadResult, fmt.Errorf("%w: %s", err, wire.Excerpt(message))}
	}
	if info != nil {
		info.learn(message)
	}
	if f := r.Failure; f != nil {
		return &RemoteError{Func: fn, Message: f.Message, Type: f.Type, Traceback: f.Traceback}
	}
	if out == nil {
		return nil
	}
	if err := wire.DecodeValue(r.Value, out); err != nil {
		return &callError{fn, ErrBadResult, wire.Explain(err)}
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
