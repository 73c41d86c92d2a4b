package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc/internal/resp"
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

// timeUp is the cause when a call's own timeout was reached.
type timeUp time.Duration

func (d timeUp) Error() string { return fmt.Sprintf("timeout of %v reached", time.Duration(d)) }
func (timeUp) Unwrap() error   { return context.DeadlineExceeded }
func (timeUp) Timeout() bool   { return true }

// troubled is the cause of a call that was not answered in time, and whose
// connection had been lost before.
type troubled struct{ cause, lost error }

func (e *troubled) Error() string {
	return fmt.Sprintf("%v, after trouble with Redis: %v", e.cause, e.lost)
}
func (e *troubled) Unwrap() []error { return []error{e.cause, e.lost} }

// This is what an error reply of Redis means. Each says that the command did nothing.

// isRedirect reports whether another node is in charge of the slot, or will be in a
// moment.
func isRedirect(err error) bool { return isMigrating(err) || begins(err, "MOVED", "CLUSTERDOWN") }

// isMigrating reports whether the slot is on its way to another node, so some of its keys
// are there already.
func isMigrating(err error) bool { return begins(err, "ASK", "TRYAGAIN") }

// needsReconnect reports whether another connection may be to a Redis that does not refuse.
func needsReconnect(err error) bool {
	return begins(err, "LOADING", "READONLY", "MASTERDOWN", "UNBLOCKED", "MOVED", "CLUSTERDOWN")
}

// isTransient reports whether Redis may take the same in a moment.
func isTransient(err error) bool {
	return needsReconnect(err) || begins(err, "OOM", "NOREPLICAS", "MISCONF", "BUSY")
}

// isForbidden reports whether Redis does not know a command, or forbids it or its key to
// this user.
func isForbidden(err error) bool {
	return begins(err, "NOPERM") || resp.IsError(err) && strings.HasPrefix(strings.ToLower(err.Error()), "err unknown command")
}

// isOfKey reports whether Redis refuses because of a key: others may be fine.
func isOfKey(err error) bool {
	return begins(err, "WRONGTYPE") || begins(err, "NOPERM") && !strings.Contains(err.Error(), " to run the ")
}

func begins(err error, prefixes ...string) bool {
	for _, p := range prefixes {
		if err != nil && redis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return false
}
