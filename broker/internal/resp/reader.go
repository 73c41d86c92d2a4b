package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Before a client has given the password, it can make the broker hold little.
const (
	MaxArgumentsUnauthenticated = 10
	MaxBulkUnauthenticated      = 16 << 10
)

// Reader splits what a client sends into commands.
//
// The bytes come in pieces of any size: feed hands over a piece, next returns
// the commands in it one by one, and keep puts aside what is left. A piece is
// not copied unless a command in it is incomplete. A declared length is only
// compared with what has arrived; nothing is allocated for it, and no byte is
// looked at twice.
type Reader struct {
	limits *Limits

	window []byte // where commands are read from: the piece fed, or rest
	rest   []byte // input kept from earlier pieces, owned
	pos    int    // the next byte of window to look at
	start  int    // where in window the command being read begins

	args    []span // arguments read so far, as places relative to start
	missing int    // arguments still to come
	bulk    int    // length of the argument being read; -1 before its header
	scanned int    // bytes after pos known to hold no end of line
	out     [][]byte
}

// A span is a part of a command: offsets from the command's first byte.
type span struct{ from, to int }

// A ProtocolError ends the connection, after its text was sent.
type ProtocolError string

func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

var ErrIncomplete = errors.New("the command is incomplete")

// Limits are what a client may send. They may change meanwhile.
type Limits struct {
	MaxArguments int // of a command
	MaxBulk      int // bytes of an argument
	MaxInline    int // bytes of a line
}

func NewReader(limits *Limits) Reader { return Reader{limits: limits, bulk: -1} }

// Feed hands over a piece of input. It stays the caller's: after keep no part of
// it is referred to.
func (r *Reader) Feed(p []byte) {
	if len(r.rest) == 0 {
		r.window = p
		return
	}
	r.rest = append(r.rest, p...)
	r.window = r.rest
}

// Buffered is the number of bytes fed and not yet taken.
func (r *Reader) Buffered() int { return len(r.window) - r.start }

// Spare is how many bytes there is room for without taking more memory.
func (r *Reader) Spare() int { return cap(r.rest) - len(r.rest) }

// Running is how many bytes the arguments of the command have that next returned last,
// until keep.
func (r *Reader) Running() int {
	n := 0
	for _, arg := range r.out {
		n += len(arg)
	}
	return n
}

// Next returns the next command, without arguments for an empty line. It returns
// ErrIncomplete if more input is needed, or a ProtocolError. The arguments are
// valid until the next call of any method.
func (r *Reader) Next(authenticated bool) ([][]byte, error) {
	if r.missing == 0 {
		r.start = r.pos
		r.args = r.args[:0]
		if r.pos == len(r.window) {
			return nil, ErrIncomplete
		}
		if r.window[r.pos] != '*' {
			return r.inline()
		}
		n, err := r.count("too big mbulk count string", "invalid multibulk length", math.MinInt, r.limits.MaxArguments)
		switch {
		case err != nil:
			return nil, err
		case n > MaxArgumentsUnauthenticated && !authenticated:
			return nil, ProtocolError("unauthenticated multibulk length")
		case n <= 0:
			return nil, nil
		}
		r.missing = n
	}
	for r.missing > 0 {
		if r.bulk < 0 {
			if r.pos < len(r.window) && r.window[r.pos] != '$' {
				return nil, r.unexpected()
			}
			n, err := r.count("too big bulk count string", "invalid bulk length", 0, r.limits.MaxBulk)
			if err != nil {
				return nil, err
			}
			if n > MaxBulkUnauthenticated && !authenticated {
				return nil, ProtocolError("unauthenticated bulk length")
			}
			r.bulk = n
		}
		if len(r.window)-r.pos < r.bulk+2 {
			return nil, ErrIncomplete
		}
		from := r.pos - r.start
		r.args = append(r.args, span{from, from + r.bulk})
		r.pos += r.bulk + 2
		r.bulk = -1
		r.missing--
	}
	r.out = r.out[:0]
	command := r.window[r.start:r.pos]
	for _, a := range r.args {
		r.out = append(r.out, command[a.from:a.to:a.to])
	}
	return r.out, nil
}

// unexpected is the error for an argument that does not begin with $. Redis
// looks at the type only once the line is complete.
func (r *Reader) unexpected() error {
	if _, err := r.line("too big bulk count string"); err != nil {
		return err
	}
	return ProtocolError(fmt.Sprintf("expected '$', got '%c'", r.window[r.pos]))
}

// count reads a line that is a type byte and a number.
func (r *Reader) count(tooLong, invalid string, low, high int) (int, error) {
	end, err := r.line(tooLong)
	if err != nil {
		return 0, err
	}
	n, ok := ParseInt(r.window[r.pos+1 : end])
	if !ok || n < int64(low) || n > int64(high) {
		return 0, ProtocolError(invalid)
	}
	r.pos = end + 2
	return int(n), nil
}

// line returns where the line at pos ends: the place of its CR. A byte has to
// follow it, which is taken for the LF.
func (r *Reader) line(tooLong string) (end int, err error) {
	rest := r.window[r.pos:]
	cr := bytes.IndexByte(rest[r.scanned:], '\r')
	if cr < 0 {
		if len(rest) > r.limits.MaxInline {
			return 0, ProtocolError(tooLong)
		}
		r.scanned = len(rest)
		return 0, ErrIncomplete
	}
	cr += r.scanned
	if cr+1 >= len(rest) {
		r.scanned = cr
		return 0, ErrIncomplete
	}
	r.scanned = 0
	return r.pos + cr, nil
}

// inline reads a command typed as a line, as in telnet.
func (r *Reader) inline() ([][]byte, error) {
	rest := r.window[r.pos:]
	lf := bytes.IndexByte(rest[r.scanned:], '\n')
	if lf < 0 {
		if len(rest) > r.limits.MaxInline {
			return nil, ProtocolError("too big inline request")
		}
		r.scanned = len(rest)
		return nil, ErrIncomplete
	}
	lf += r.scanned
	r.scanned = 0
	r.pos += lf + 1
	line, _, _ := bytes.Cut(bytes.TrimSuffix(rest[:lf], []byte{'\r'}), []byte{0})
	args, ok := SplitLine(line)
	if !ok {
		return nil, ProtocolError("unbalanced quotes in request")
	}
	return args, nil
}

// Keep puts aside what was fed and not taken.
func (r *Reader) Keep() {
	if r.missing == 0 {
		r.start = r.pos
	}
	left := r.window[r.start:]
	switch {
	case len(left) == 0:
		r.rest = r.rest[:0]
		if cap(r.rest) > 16<<10 { // a large command should not weigh on an idle client
			r.rest = nil
		}
		r.shift()
	case len(r.rest) == 0: // the window is the caller's
		r.rest = append(r.rest, left...)
		r.shift()
	case r.start > len(r.rest)/2:
		r.rest = r.rest[:copy(r.rest, left)]
		r.shift()
	}
	r.out = r.out[:0]
	if r.missing == 0 && cap(r.args) > 1024 {
		r.args, r.out = nil, nil
	}
	r.window = r.rest
}

// shift makes the command being read begin at the first byte of the window.
func (r *Reader) shift() {
	r.pos -= r.start
	r.start = 0
}
