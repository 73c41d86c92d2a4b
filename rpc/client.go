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

	// MaxConns is the most connections on which calls wait, one each: those to functions
	// that old servers answer, which know no reply lists, and all calls with NoExtensions,
	// of which further ones wait for a connection within their timeout. Besides these a
	// client has two connections, or three or four while messages are long or Redis was
	// lost, however many calls are in flight. In a Cluster it has as many for each slot of
	// the functions that it calls. Default 1024.
	MaxConns int

	// Name is what servers are told of the client. Default the ClientName of
	// the Redis client, which may be empty.
	Name string

	// NoExtensions leaves out of the messages what the protocol did not have at first:
	// the reply list, so each result comes on a list of its own; the client's name; and
	// how long the caller waits, by which servers drop calls that come too late and end
	// the contexts of handlers. The Python and Go ports ignore these fields.
	NoExtensions bool

	// Intercept runs around each call, the first outermost.
	Intercept []Interceptor

	// Logger is told if reply lists cannot be used, and why. Default slog.Default().
	Logger *slog.Logger
}

func (o *ClientOptions) complete() error {
	if o.Prefix == "" {
		o.Prefix = wire.DefaultPrefix
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return errors.Join(
		orDefault(&o.Timeout, time.Second, "ClientOptions.Timeout"),
		orDefault(&o.Expiry, wire.DefaultExpiry, "ClientOptions.Expiry"),
		orDefault(&o.MaxConns, 1024, "ClientOptions.MaxConns"),
		checkInterceptors(o.Intercept, "ClientOptions.Intercept"),
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
	opt      ClientOptions
	id       string // that reply lists are named after
	routes   *routes
	nodes    *nodePool     // for what is rare
	blpops   chan struct{} // has a token for each BLPOP that may still begin to wait
	long     chan struct{} // has a token while a long result is read
	waiters  sync.Pool     // of *waiter
	encoders wire.Encoders
	spare    wire.Buffers  // for messages
	name     []byte        // the field of the messages, with a comma before it
	closed   chan struct{} // closed when the first Close has finished

	isClosing    atomic.Bool
	wholeSeconds atomic.Bool // times to block are, before Redis 6.0

	functionsMu sync.RWMutex // guards functions
	functions   map[string]*calledFunction
}

// keptFunctions is how many functions a client remembers: names may come from anywhere.
const keptFunctions = 10_000

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
	one, cluster, err := checkClient(rdb, opt.Prefix)
	if err != nil {
		return nil, fmt.Errorf("rpc: NewClient: %w", err)
	}
	opt.Name = cmp.Or(opt.Name, one.ClientName)
	c := &Client{
		opt: opt, id: wire.NewClientID(), closed: make(chan struct{}),
		blpops: make(chan struct{}, opt.MaxConns), long: make(chan struct{}, 1),
		functions: map[string]*calledFunction{},
	}
	for range opt.MaxConns {
		c.blpops <- struct{}{}
	}
	c.nodes = newNodePool(newDialer(one, nil), cluster, opt.MaxConns+2*mostBusy)
	c.routes = &routes{bySlot: map[int]*slotClient{}, make: func(f *calledFunction) *slotClient {
		if cluster == nil {
			return newSlotClient(c, newDialer(one, nil), 0, "")
		}
		tag, _ := tagFor(wire.RepliesKey(opt.Prefix, ""), f.slot) // which checkClient has made sure of
		return newSlotClient(c, newDialer(one, &slotAddress{rdb: cluster, key: f.queue}), f.slot, tag)
	}}
	if !opt.NoExtensions && c.opt.Name != "" {
		c.name = wire.AppendTextField(nil, "client", c.opt.Name)
	}
	return c, nil
}

func (c *Client) function(fn string) *calledFunction {
	c.functionsMu.RLock()
	f := c.functions[fn]
	c.functionsMu.RUnlock()
	if f != nil {
		return f
	}
	f = &calledFunction{name: fn, queue: wire.CallsKey(c.opt.Prefix, fn), results: wire.ResultKey(c.opt.Prefix, fn, "")}
	if c.nodes.cluster != nil {
		f.placeInCluster()
	}
	c.functionsMu.Lock()
	defer c.functionsMu.Unlock()
	if known := c.functions[fn]; known != nil {
		return known
	}
	if len(c.functions) >= keptFunctions {
		clear(c.functions)
	}
	c.functions[fn] = f
	return f
}

// Conns is how many connections the client has now.
func (c *Client) Conns() int {
	n := c.nodes.dialer.open()
	for _, s := range c.routes.all() {
		n += s.dialer.open()
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
	slots := c.routes.end()
	var deleting sync.WaitGroup
	for _, s := range slots {
		s.abandon()
		deleting.Go(s.deleteLists)
	}
	deleting.Wait()
	c.nodes.close()
	for _, s := range slots {
		s.close()
	}
	c.routes.leaving.Wait()
	close(c.closed)
	return nil
}

// Args are the arguments of a call, by name.
type Args map[string]any

// A CallOption changes a single call.
type CallOption func(*callOptions)

type callOptions struct {
	timeout  time.Duration
	deadline time.Time // when timeout is over
	sendOnly bool      // nobody waits for a result
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
	o := c.callOptions(opts)
	if len(c.opt.Intercept) == 0 {
		return c.call(ctx, fn, args, out, o, nil)
	}
	_, err := c.intercepted(ctx, fn, args, out, o)
	return err
}

func (c *Client) callOptions(opts []CallOption) callOptions {
	o := callOptions{timeout: c.opt.Timeout}
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

// intercepted makes a call with the interceptors around it, and returns its ID.
func (c *Client) intercepted(ctx context.Context, fn string, args, out any, o callOptions) (id string, err error) {
	info := &CallInfo{Func: fn, Queue: c.function(fn).queue, Client: c.opt.Name, Deadline: sooner(ctx, o.deadline)}
	err = intercept(ctx, c.opt.Intercept, info, func(ctx context.Context) error {
		return c.call(ctx, fn, args, out, o, info)
	})
	return info.ID, err
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
	if err := c.check(ctx, fn, out, o); err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	f := c.function(fn)
	s, err := c.routes.enter(f)
	if err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	defer c.routes.leave(s)
	call, err := c.prepare(ctx, s, f, args, o, info)
	if err != nil {
		return &callError{fn, ErrNotSent, err}
	}
	got := c.await(ctx, call, o)
	if got.err != nil {
		return got.err
	}
	c.spare.Put(call.message)
	if o.sendOnly {
		return nil
	}
	if info == nil { // else it is kept in the CallInfo
		defer c.spare.Put(got.message)
	}
	return read(fn, got.message, out, info)
}

// await sends a call and waits until there is an outcome, ctx ends, its time is over or
// the client is closed.
func (c *Client) await(ctx context.Context, call *pendingCall, o callOptions) (got outcome) {
	w, _ := c.waiters.Get().(*waiter)
	if w == nil {
		w = newWaiter()
	}
	call.done, w.call, w.timeout = w.done, call, o.timeout
	w.timer.Reset(time.Until(o.deadline)) // call.sent may be long ago, if the process was stopped
	call.slot.send(call)
	select {
	case got = <-w.done:
	case <-ctx.Done():
		call.abandon(ctx.Err())
		got = <-w.done
	}
	call.slot.finished(call, got)
	if w.timer.Stop() { // else it is at work
		w.call = nil
		c.waiters.Put(w)
	}
	return got
}

// check refuses what the caller cannot mean.
func (c *Client) check(ctx context.Context, fn string, out any, o callOptions) error {
	switch {
	case fn == "":
		return errors.New("expected the name of a function, got an empty one")
	case o.timeout <= 0:
		return fmt.Errorf("Timeout: expected more than 0, got %v", o.timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	case c.isClosing.Load():
		return redis.ErrClosed
	}
	if out != nil {
		if p := reflect.ValueOf(out); p.Kind() != reflect.Pointer || p.IsNil() {
			return fmt.Errorf("expected a non-nil pointer to put the result in, got %T", out)
		}
	}
	return nil
}

// prepare makes a message of a call, and sees to it that its result can come.
func (c *Client) prepare(ctx context.Context, s *slotClient, f *calledFunction, args any, o callOptions, info *CallInfo) (*pendingCall, error) {
	call := &pendingCall{slot: s, function: f, deadline: sooner(ctx, o.deadline), sendOnly: o.sendOnly}
	e := c.encoders.Get()
	defer c.encoders.Put(e)
	kw, err := e.Args(args)
	if err != nil {
		return nil, err
	}
	if call.sent = time.Now(); !call.sent.Before(call.deadline) {
		return nil, cmp.Or(ctx.Err(), error(timeUp(o.timeout)))
	}
	var list *listName
	if !o.sendOnly {
		if list = s.replies.current.Load(); list == nil {
			if list, err = s.replies.name(ctx, call, o.timeout); err != nil {
				return nil, err
			}
			call.sent = time.Now()
		}
		call.list = list.number
	}
	m := wire.Call{ID: wire.NewID(f.tag), At: call.sent, KW: kw, Client: c.name}
	if list != nil {
		m.ReplyTo = list.field
		if !c.opt.NoExtensions {
			m.Timeout = max(1, int64((call.deadline.Sub(call.sent)+time.Millisecond-1)/time.Millisecond))
			if now, ok := s.dialer.clock.millis(call.sent); ok {
				m.Deadline = now + m.Timeout
			}
		}
	}
	call.id = m.ID
	if info != nil {
		info.ID = m.ID
		info.received, info.Server, info.Queued, info.Ran = nil, "", 0, 0
		m.Extra = info.extra
	}
	call.message = m.Append(slices.Grow(c.spare.Get()[:0], len(kw)+len(m.Client)+len(m.ReplyTo)+len(m.Extra)+152))
	if n := len(call.message); n >= smallestLimit {
		within, cancel := context.WithDeadline(ctx, call.deadline)
		most, over := c.nodes.largestMessage(within, f.queue), within.Err()
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case over != nil:
			return nil, timeUp(o.timeout)
		case n > most:
			return nil, fmt.Errorf("expected a message that Redis takes, of up to %d bytes, got one of %d bytes", most, n)
		}
		call.sent = time.Now()
	}
	if list != nil && list.number == 0 {
		if err := s.wait(ctx, call, o.timeout, c.blpops); err != nil {
			return nil, err
		}
		call.reserved.Store(true)
		call.sent = time.Now()
	}
	return call, nil
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

// Send puts a call into the queue of fn and returns its ID when Redis has it, for
// work whose outcome is nobody's business: no result is waited for, and no failure
// seen. The call has no deadline, so it runs even if its turn comes late, unless
// the queue expires before; the result expires unread.
//
// The error matches ErrNotSent, and then trying again is safe, or ErrNoResult if it
// is unknown whether the call is in its queue. The timeout is that of sending.
// Interceptors run around it as around a Call, with nil for sent.
func (c *Client) Send(ctx context.Context, fn string, args any, opts ...CallOption) (id string, err error) {
	o := c.callOptions(opts)
	o.sendOnly = true
	return c.intercepted(ctx, fn, args, nil, o)
}
