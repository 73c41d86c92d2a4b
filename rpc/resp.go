package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"redrpc/rpc/internal/wire"
	"slices"
	"strconv"
)

// This file is as much of Redis's protocol, RESP2 and RESP3, as the package
// needs: commands go out as arrays of bulk strings, replies are read by those who
// know what to expect.

// appendCommand appends a command of its name and arguments.
func appendCommand(b []byte, args ...string) []byte {
	b = appendHeader(b, '*', len(args))
	for _, a := range args {
		b = appendArg(b, a)
	}
	return b
}

func appendArg[T string | []byte](b []byte, arg T) []byte {
	b = appendHeader(b, '$', len(arg))
	b = append(b, arg...)
	return append(b, '\r', '\n')
}

func appendHeader(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

// A replyError is an error that Redis answered with. It is a redis.Error.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

// errNull is a null where a value could have been.
var errNull = errors.New("null")

// maxBulk is the longest string that Redis sends.
const maxBulk = 512 << 20

// A reader reads replies. Its errors are a replyError, errNull, or else one
// after which nothing can be read any more.
type reader struct {
	*bufio.Reader

	// pushed is called for each push message, with the number of its elements,
	// which it has to read. Nil skips it.
	pushed func(elements int) error

	multi bool // MULTI has been seen to work
}

func newReader(src io.Reader, size int) reader {
	return reader{Reader: bufio.NewReaderSize(src, size)}
}

// header reads the first line of a reply: its type and what follows that, which
// is valid until the next read. Error replies become errors, push messages are
// dealt with on the way.
func (r *reader) header() (kind byte, text []byte, err error) {
	for {
		kind, text, err = r.line()
		switch {
		case err != nil:
			return 0, nil, err
		case kind == '-':
			return 0, nil, replyError(text)
		case kind != '>':
			return kind, text, nil
		}
		if err := r.message(text); err != nil {
			return 0, nil, err
		}
	}
}

// line reads a line: its first byte and the others, without its end.
func (r *reader) line() (kind byte, text []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, fmt.Errorf("expected a line of Redis's protocol, got %s", wire.Excerpt(line))
	}
	return line[0], line[1 : len(line)-2], nil
}

// message reads a push message of which the first line was read.
func (r *reader) message(text []byte) error {
	elements, err := length(text)
	if err != nil {
		return err
	}
	if r.pushed != nil {
		return r.pushed(elements)
	}
	return r.skip(elements)
}

// length parses the length of a string or an aggregate; -1 is null.
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

// status reads a simple string and reports whether it is want.
func (r *reader) status(want string) (bool, error) {
	kind, text, err := r.header()
	if err != nil {
		return false, err
	}
	if kind != '+' {
		return false, unexpected("a status", kind, text)
	}
	return string(text) == want, nil
}

// integer reads an integer.
func (r *reader) integer() (int, error) {
	kind, text, err := r.header()
	if err != nil {
		return 0, err
	}
	if kind != ':' {
		return 0, unexpected("an integer", kind, text)
	}
	return strconv.Atoi(string(text))
}

// bulk reads a string into memory of its own: that of into, if there is enough.
func (r *reader) bulk(into []byte) ([]byte, error) {
	n, err := r.sized('$', "a string")
	if err != nil {
		return nil, err
	}
	b, err := r.take(into, n)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(2)
	return b, err
}

// take reads n bytes. What is long is not believed before it has come.
func (r *reader) take(into []byte, n int) ([]byte, error) {
	const atOnce = 1 << 20
	b := slices.Grow(into[:0], min(n, atOnce))[:min(n, atOnce)]
	_, err := io.ReadFull(r, b)
	for err == nil && len(b) < n {
		start := len(b)
		b = append(b, make([]byte, min(n-start, start))...)
		_, err = io.ReadFull(r, b[start:])
	}
	return b, err
}

// view reads a string that is valid until the next read.
func (r *reader) view() ([]byte, error) {
	n, err := r.sized('$', "a string")
	if err != nil {
		return nil, err
	}
	if n+2 > r.Size() {
		b, err := r.take(nil, n+2)
		if err != nil {
			return nil, err
		}
		return b[:n], nil
	}
	b, err := r.Peek(n + 2)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(n + 2)
	return b[:n], err
}

// array reads the header of an array: how many values follow.
func (r *reader) array() (int, error) { return r.sized('*', "an array") }

// elements reads an array of strings, into memory of spare. With an error it returns
// those before.
func (r *reader) elements(spare *buffers) ([][]byte, error) {
	n, err := r.array()
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for ; n > 0; n-- {
		b, err := r.bulk(spare.get())
		if err != nil {
			return all, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (r *reader) sized(want byte, what string) (int, error) {
	kind, text, err := r.header()
	if err != nil {
		return 0, err
	}
	if kind == '_' {
		return 0, errNull
	}
	if kind != want && !(kind == '*' && string(text) == "-1") {
		return 0, unexpected(what, kind, text)
	}
	n, err := length(text)
	if n < 0 {
		return 0, errNull
	}
	return n, err
}

// discard reads one value of any type.
func (r *reader) discard() error {
	kind, text, err := r.header()
	if err != nil {
		return err
	}
	switch kind {
	case '$', '=', '!', '*', '~', '%', '|':
	default:
		return nil
	}
	n, err := length(text)
	if err != nil || n < 0 {
		return err
	}
	switch kind {
	case '$', '=', '!':
		_, err = r.Discard(n + 2)
		return err
	case '%':
		n = 2 * n
	case '|': // attributes of the value behind them
		n = 2*n + 1
	}
	return r.skip(n)
}

// skip reads n values of any type, which may be errors.
func (r *reader) skip(n int) error {
	for ; n > 0; n-- {
		if err := r.discard(); err != nil && !isReply(err) {
			return err
		}
	}
	return nil
}

// pushMessage reads a push message, of which there has to be one.
func (r *reader) pushMessage() error {
	kind, text, err := r.line()
	if err != nil {
		return err
	}
	if kind != '>' {
		return unexpected("a push message", kind, text)
	}
	return r.message(text)
}
