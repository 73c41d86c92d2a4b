package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// KindTimeout is the Kind of the error of a command that was given up when its time was
// over: had it not been, it would have taken at least as long.
const KindTimeout = "timeout"

// Kind names the kind of an error of Do: the word in capitals that an error of Redis
// begins with, such as WRONGTYPE, or timeout, connection (there is none, or it was lost, so
// that the command may have been run or not), or canceled.
func Kind(err error) string {
	if reply, ok := errors.AsType[ReplyError](err); ok {
		word, _, _ := strings.Cut(string(reply), " ")
		if word == "" || len(word) > 32 || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			return "error"
		}
		return word
	}
	switch {
	case errors.As(err, new(timeoutError)):
		return KindTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	}
	return "connection"
}

// A timeoutError is that of a command that took longer, or was behind one that did.
type timeoutError time.Duration

func (e timeoutError) Error() string {
	return fmt.Sprintf("no reply within %v", time.Duration(e))
}

// lost is the error of a connection that was lost, or could not be made.
func lost(err error) error { return fmt.Errorf("connection: %w", err) }
