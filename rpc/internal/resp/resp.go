// Package resp is as much of Redis's protocol, RESP2, as the hot path of rpc needs:
// commands go out as arrays of bulk strings, and replies are read by those who know what
// to expect. It does no I/O but through the reader that it is given.
package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"redrpc/rpc/internal/wire"
)

// AppendCommand appends a command of its name and arguments.
func AppendCommand(b []byte, args ...string) []byte {
	b = AppendArray(b, len(args))
	for _, a := range args {
		b = AppendArg(b, a)
	}
	return b
}

// AppendArray appends the header of a command with n arguments, its name included.
func AppendArray(b []byte, n int) []byte { return appendHeader(b, '*', n) }

// AppendArg appends an argument.
func AppendArg[T string | []byte](b []byte, arg T) []byte {
	b = appendHeader(b, '$', len(arg))
	b = append(b, arg...)
	return append(b, '\r', '\n')
}

func appendHeader(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

// An Error is an error reply of Redis. It is a redis.Error of go-redis.
type Error string

func (e Error) Error() string { return string(e) }

// RedisError marks it as an error reply.
func (Error) RedisError() {}

// IsError reports whether err is an error reply of Redis, read here or by go-redis, rather than a
// failure to get a reply.
func IsError(err error) bool {
	_, ok := errors.AsType[interface {
		error
		RedisError()
	}](err)
	return ok
}

// ErrNull is a null where a value could have been.
var ErrNull = errors.New("null")

// maxBulk is the longest string that Redis sends by default.
const maxBulk = 512 << 20

// A Reader reads replies. Its errors are an Error, ErrNull, or else one after which
// nothing can be read any more.
type Reader struct{ buf *bufio.Reader }

// NewReader returns a reader with a buffer of size bytes.
func NewReader(src io.Reader, size int) *Reader { return &Reader{bufio.NewReaderSize(src, size)} }

// Wait waits until there is something to read.
func (r *Reader) Wait() error {
	_, err := r.buf.Peek(1)
	return err
}

// header reads the first line of a reply: its type and what follows that, which is valid
// until the next read. Error replies become errors.
func (r *Reader) header() (kind byte, text []byte, err error) {
	line, err := r.buf.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, fmt.Errorf("expected a line of Redis's protocol, got %s", wire.Excerpt(line))
	}
	kind, text = line[0], line[1:len(line)-2]
	if kind == '-' {
		return 0, nil, Error(text)
	}
	return kind, text, nil
}

// length parses the length of a string or an array; -1 is null.
func length(text []byte) (int, error) {
	if len(text) == 1 && text[0] >= '0' && text[0] <= '9' {
		return int(text[0] - '0'), nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < -1 || n > maxBulk {
		return 0, fmt.Errorf("expected a length, got %s", wire.Excerpt(text))
	}
	return n, nil
}

func unexpected(want string, kind byte, text []byte) error {
	return fmt.Errorf("expected %s of Redis, got %s", want, wire.Excerpt(append([]byte{kind}, text...)))
}

// Bulk reads a string into memory of its own: that of into, if there is enough.
func (r *Reader) Bulk(into []byte) ([]byte, error) {
	n, err := r.sized('$', "a string")
	if err != nil {
		return nil, err
	}
	b, err := r.take(into, n)
	if err != nil {
		return nil, err
	}
	_, err = r.buf.Discard(2)
	return b, err
}

// take reads n bytes. Memory for what is long is not taken before it has come.
func (r *Reader) take(into []byte, n int) ([]byte, error) {
	const atOnce = 1 << 20
	b := slices.Grow(into[:0], min(n, atOnce))[:min(n, atOnce)]
	_, err := io.ReadFull(r.buf, b)
	for err == nil && len(b) < n {
		start := len(b)
		b = append(b, make([]byte, min(n-start, start))...)
		_, err = io.ReadFull(r.buf, b[start:])
	}
	return b, err
}

// Array reads the header of an array: how many values follow.
func (r *Reader) Array() (int, error) { return r.sized('*', "an array") }

// Strings reads an array of strings and appends them to list, each in memory that alloc
// returns. With an error it returns those before.
func (r *Reader) Strings(list [][]byte, alloc func() []byte) ([][]byte, error) {
	n, err := r.Array()
	for ; err == nil && n > 0; n-- {
		var b []byte
		if b, err = r.Bulk(alloc()); err == nil {
			list = append(list, b)
		}
	}
	return list, err
}

func (r *Reader) sized(want byte, what string) (int, error) {
	kind, text, err := r.header()
	if err != nil {
		return 0, err
	}
	if kind != want && !(kind == '*' && string(text) == "-1") {
		return 0, unexpected(what, kind, text)
	}
	n, err := length(text)
	if n < 0 {
		return 0, ErrNull
	}
	return n, err
}

// Skip reads a value of any type, and returns an error of Redis apart from the others.
func (r *Reader) Skip() (refused, broken error) {
	kind, text, err := r.header()
	switch {
	case IsError(err):
		return err, nil
	case err != nil:
		return nil, err
	case kind != '$' && kind != '*':
		return nil, nil
	}
	n, err := length(text)
	if err != nil || n < 0 {
		return nil, err
	}
	if kind == '$' {
		_, err = r.buf.Discard(n + 2)
		return nil, err
	}
	for ; n > 0 && err == nil; n-- {
		_, err = r.Skip()
	}
	return nil, err
}

// Time reads what Redis's clock shows, in microseconds of Unix time. If Redis refuses to
// tell, it is not ok.
func (r *Reader) Time() (micros int64, ok bool, err error) {
	parts, err := r.Strings(nil, func() []byte { return nil })
	switch {
	case IsError(err):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case len(parts) != 2:
		return 0, false, fmt.Errorf("expected seconds and microseconds from TIME, got %d values", len(parts))
	}
	seconds, err1 := strconv.ParseInt(string(parts[0]), 10, 64)
	fraction, err2 := strconv.ParseInt(string(parts[1]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, false, fmt.Errorf("expected numbers from TIME: %w", err)
	}
	return seconds*1_000_000 + fraction, true, nil
}
