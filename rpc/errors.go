package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How a call can end without a result, other than by *RemoteError. Match them
// with errors.Is; the cause is wrapped too, so a call that ran out of time also
// matches context.DeadlineExceeded, and one whose context was cancelled matches
// context.Canceled.
var (
	// ErrNotSent: the call was not put into its queue, and will not be: Redis
	// could not be reached or refused it, there was no time left, or the
	// arguments could not be encoded. Trying again cannot run it twice.
	ErrNotSent = errors.New("not sent")

	// ErrNoResult: the call was sent, or may have been, and no result came: time
	// was up, the context was cancelled, or the connection was lost. The
	// function may have run, may be running, or may run later.
	ErrNoResult = errors.New("no result")

	// ErrBadResult: a result came, so the function ran, but it is not a message
	// of the protocol or does not fit the caller's type.
	ErrBadResult = errors.New("result cannot be read")
)

// RemoteError is the failure that a server answered with.
type RemoteError struct {
	Func      string // the function called
	Message   string // the server's text for people; may be empty
	Type      string // what kind of failure, for programs, if the server says so
	Traceback string // where it failed, if the server says so
}

func (e *RemoteError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("rpc: %s: failed, without a message", e.Func)
	}
	return fmt.Sprintf("rpc: %s: %s", e.Func, e.Message)
}

// Types of failures that a server finds itself, as RemoteError.Type has them.
const (
	TypeBadArguments = "bad_arguments" // the arguments do not fit the function
	TypeBadResult    = "bad_result"    // what the handler returned cannot be encoded
	TypeTooLarge     = "too_large"     // the arguments or the result are longer than the server's limit
	TypePanic        = "panic"         // the handler panicked, or ended its goroutine
)

// WithType gives err a type, a stable word for programs: as a handler's error it
// reaches the caller as RemoteError.Type. An error of one's own can have a type,
// too, by a method ErrorType() string. WithType(typ, nil) is nil.
func WithType(typ string, err error) error {
	if err == nil {
		return nil
	}
	return &typedError{typ, err}
}

// TypeOf returns the type of an error in the sense of WithType, or "": for what next
// returned to an Interceptor of a server, that which the caller will see.
func TypeOf(err error) string {
	if t, ok := errors.AsType[interface {
		error
		ErrorType() string
	}](err); ok {
		return t.ErrorType()
	}
	return ""
}

type typedError struct {
	typ string
	error
}

func (e *typedError) ErrorType() string { return e.typ }
func (e *typedError) Unwrap() error     { return e.error }

// panicked is the failure of a call whose handler panicked.
type panicked struct {
	value     any
	traceback string
}

func (p *panicked) Error() string   { return fmt.Sprintf("panic: %v", p.value) }
func (*panicked) ErrorType() string { return TypePanic }

// callError is a call that ended without a result: one of the three sentinels,
// and why.
type callError struct {
	fn    string
	kind  error
	cause error
}

func (e *callError) Error() string   { return fmt.Sprintf("rpc: %s: %v: %v", e.fn, e.kind, e.cause) }
func (e *callError) Unwrap() []error { return []error{e.kind, e.cause} }

// timeUp is the cause when a call's own time-out was reached.
type timeUp time.Duration

func (d timeUp) Error() string { return fmt.Sprintf("time-out of %v reached", time.Duration(d)) }
func (timeUp) Unwrap() error   { return context.DeadlineExceeded }
func (timeUp) Timeout() bool   { return true }

// troubled is the cause of a call that was not answered in time, and whose
// connection had been lost before.
type troubled struct{ cause, lost error }

func (e *troubled) Error() string {
	return fmt.Sprintf("%v, after trouble with Redis: %v", e.cause, e.lost)
}
func (e *troubled) Unwrap() []error { return []error{e.cause, e.lost} }
