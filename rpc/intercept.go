package rpc

import (
	"context"
	"fmt"
	"redrpc/rpc/internal/wire"
	"strconv"
	"strings"
	"time"
)

// An Interceptor runs around each call, for metrics, tracing, logs, limits. On a
// client it runs around Call, on a server around the handler, for which ctx is.
//
// next goes on with the call, with the context that it is given, and returns
// how it ended: on a client one of the errors that the package documentation
// lists; on a server what the handler returned, or, if it panicked, an error
// whose TypeOf is TypePanic. What the interceptor returns is the outcome of the
// call. If it does not call next, the call is not sent, or its handler does not
// run, and with a nil error the result is null. On a client, next makes a new
// call each time; the deadline stays.
//
// Interceptors run in the order of the options, the first is the outermost. They
// are called from many goroutines at a time. A server does not show them calls
// that it cannot read or drops as expired; Server.Stats counts those.
type Interceptor func(ctx context.Context, call *CallInfo, next func(context.Context) error) error

// CallInfo is what an Interceptor sees of a call. It is valid, and may be used by
// one goroutine, until the interceptor returns. What is not known is zero.
type CallInfo struct {
	// Func is the name of the function, and Queue the key of the list that its calls
	// wait in.
	Func, Queue string

	// ID is the ID of the call. A client knows it after next.
	ID string

	// Deadline is when the caller gives up.
	Deadline time.Time

	// Client is the name of the client, and Server the ID of the server. A client
	// knows the server after next, if the result says it.
	Client, Server string

	// Queued is how long the call waited for its server, by Redis's clock, and Ran
	// how long its handler took. A server knows Ran after next; a client knows
	// both after next, if the result says them.
	Queued, Ran time.Duration

	received []byte // the message that came
	extra    []byte // fields of the message to send, each with a comma before it
}

// Field returns a text field of the message that came: on a server the call's,
// on a client, after next, the result's. It is empty if there is none.
func (c *CallInfo) Field(name string) string { return wire.TextField(c.received, name) }

// SetField adds a text field, such as traceparent, to the message that is to be
// sent: on a client to the call, if it is set before next, on a server to the
// result. The other side reads it by Field, and the old ports ignore it. A name
// can be set once. The fields of the protocol cannot be set, nor what differs
// from them only in case, which the old Go port does not tell apart.
func (c *CallInfo) SetField(name, value string) error {
	for _, own := range wire.OwnFields {
		if strings.EqualFold(name, own) {
			return fmt.Errorf("rpc: SetField(%q): expected a name that the protocol does not use", name)
		}
	}
	if name == "" {
		return fmt.Errorf("rpc: SetField: expected a name, got an empty one")
	}
	c.extra = wire.AppendTextField(c.extra, name, value)
	return nil
}

// learn tells a client what a result says about itself.
func (c *CallInfo) learn(result []byte) {
	c.received = result
	for name, value := range wire.Members(result) {
		switch string(name) {
		case "server":
			c.Server = wire.TextOf(value)
		case "queue_ms":
			c.Queued = durationOf(value)
		case "run_ms":
			c.Ran = durationOf(value)
		}
	}
}

// durationOf returns a time that is given in milliseconds, or 0 for anything else.
func durationOf(value []byte) time.Duration {
	ms, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(ms > 0 && ms < 1e12) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// intercept runs chain around last.
func intercept(ctx context.Context, chain []Interceptor, call *CallInfo, last func(context.Context) error) error {
	if len(chain) == 0 {
		return last(ctx)
	}
	return chain[0](ctx, call, func(ctx context.Context) error {
		return intercept(ctx, chain[1:], call, last)
	})
}

func checkInterceptors(chain []Interceptor, name string) error {
	for i, f := range chain {
		if f == nil {
			return fmt.Errorf("rpc: %s[%d]: expected a function, got nil", name, i)
		}
	}
	return nil
}
