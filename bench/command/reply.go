package command

import (
	"bytes"
	"fmt"
	"io"
)

// A ReplyError is an error that Redis answered with, such as "WRONGTYPE Operation against
// a key holding the wrong kind of value".
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// A replyReader reads replies, of RESP2 and RESP3, and keeps nothing of them but errors.
type replyReader struct {
	from io.Reader
	buf  []byte
	r, w int  // what is unread of buf
	null bool // the last reply was null, or an array without elements
}

// A line of a reply is no longer than readerSize, which is also enough for all replies
// of a pipeline, mostly. An array or string has no more than maxReply elements or bytes.
const (
	readerSize = 16 << 10
	maxReply   = 1 << 40
)

func newReplyReader(from io.Reader) *replyReader {
	return &replyReader{from: from, buf: make([]byte, readerSize)}
}

// read reads one reply. It returns the error that the reply is, if it is one, or else err,
// after which nothing more can be read. Errors within arrays are no errors of the
// command. Pushes, which are no replies, are left out.
func (r *replyReader) read() (refused ReplyError, err error) {
	for {
		line, err := r.line()
		if err != nil {
			return "", err
		}
		kind := line[0]
		if kind == '-' {
			return ReplyError(line[1:]), nil
		}
		r.null = kind == '_' || kind == '$' && line[1] == '-' || (kind == '*' || kind == '%' || kind == '~') && (line[1] == '-' || line[1] == '0')
		elements, err := r.body(line)
		if err == nil {
			err = r.skip(elements)
		}
		if kind != '>' || err != nil {
			return "", err
		}
	}
}

// skip reads so many elements of an array.
func (r *replyReader) skip(elements int64) error {
	for ; elements > 0; elements-- {
		line, err := r.line()
		if err != nil {
			return err
		}
		more, err := r.body(line)
		if err != nil {
			return err
		}
		elements += more
	}
	return nil
}

// body reads the bytes that belong to a line, and returns how many elements follow.
func (r *replyReader) body(line []byte) (elements int64, err error) {
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return 0, nil
	}
	n, ok := length(line[1:])
	if !ok {
		return 0, malformed(line)
	}
	switch line[0] {
	case '$', '!', '=':
		if n < 0 {
			return 0, nil
		}
		return 0, r.discard(n + 2)
	case '*', '~', '>':
		return max(0, n), nil
	case '%':
		return 2 * max(0, n), nil
	case '|': // stands before the value that it is about
		return 2*max(0, n) + 1, nil
	}
	return 0, malformed(line)
}

// length reads a number from -1 to maxReply.
func length(digits []byte) (n int64, ok bool) {
	if string(digits) == "-1" {
		return -1, true
	}
	for _, c := range digits {
		if c < '0' || c > '9' || n > maxReply {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(digits) > 0 && n <= maxReply
}

// line reads a line that is not empty. It is valid until the next read.
func (r *replyReader) line() ([]byte, error) {
	for seen := 0; ; {
		unread := r.buf[r.r:r.w]
		if end := bytes.IndexByte(unread[seen:], '\n'); end >= 0 {
			r.r += seen + end + 1
			line := bytes.TrimSuffix(unread[:seen+end], []byte{'\r'})
			if len(line) == 0 || len(line) == 1 && line[0] != '+' && line[0] != '-' && line[0] != '_' {
				return nil, malformed(line)
			}
			return line, nil
		}
		if seen = len(unread); seen == len(r.buf) {
			return nil, malformed(unread)
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more, once.
func (r *replyReader) fill() error {
	switch {
	case r.r == r.w:
		r.r, r.w = 0, 0
	case r.w == len(r.buf):
		r.w = copy(r.buf, r.buf[r.r:])
		r.r = 0
	}
	n, err := r.from.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	return err
}

func (r *replyReader) discard(n int64) error {
	for {
		if unread := int64(r.w - r.r); unread >= n {
			r.r += int(n)
			return nil
		} else {
			n -= unread
		}
		r.r = r.w
		if err := r.fill(); err != nil {
			return err
		}
	}
}

func malformed(line []byte) error {
	return fmt.Errorf("expected a reply in the protocol of Redis, got %.40q", line)
}
