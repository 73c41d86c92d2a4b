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
// The bytes come in pieces of any size: Feed passes a piece, Next returns the
// commands in it one by one, and Keep keeps what is left. A piece is
// not copied unless a command in it is incomplete, and no byte is looked at twice. A
// declared length is compared with what has arrived; of what it asks for no more than
// 16 times that is allocated.
//
// A large argument that comes in several pieces gets memory of its own, which is its
// reader's to give away: it becomes the value that is stored.
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

	large *largeArguments // of the command; nil: it has none
}

// largeArguments are those of a command that have memory of their own.
type largeArguments struct {
	read    [][]byte // in order; nil in the place of one that was given away
	partial []byte   // what has arrived of the next one, with its CR and LF; nil: none is being read
	bytes   int      // that have arrived of all of them
}

// LargeArgument is how long an argument must be to get memory of its own, as in Redis.
const LargeArgument = 32 << 10

// A span is a part of a command: offsets from the command's first byte. An argument with
// memory of its own has the zero value in its place.
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
	if r.isPartial() {
		p = p[r.fill(p):]
	}
	if len(r.rest) == 0 {
		r.window = p
		return
	}
	r.rest = append(r.rest, p...)
	r.window = r.rest
}

// Buffered is the number of bytes fed and not yet taken.
func (r *Reader) Buffered() int {
	n := len(r.window) - r.start
	if r.large != nil {
		n += r.large.bytes
	}
	return n
}

// Spare is how many bytes there is room for without taking more memory.
func (r *Reader) Spare() int {
	n := cap(r.rest) - len(r.rest)
	if r.large != nil {
		n += cap(r.large.partial) - len(r.large.partial)
	}
	return n
}

// Running is the size of the arguments of the last command that Next returned, until Keep.
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
		if r.large != nil {
			r.drop()
		}
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
		if r.isPartial() {
			if !r.complete() {
				return nil, ErrIncomplete
			}
			continue
		}
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
			if r.bulk >= LargeArgument {
				r.part()
			}
			return nil, ErrIncomplete
		}
		from := r.pos - r.start
		r.args = append(r.args, span{from, from + r.bulk})
		r.pos += r.bulk + 2
		r.bulk = -1
		r.missing--
	}
	if cap(r.out) < len(r.args) {
		r.out = make([][]byte, 0, len(r.args))
	}
	r.out = r.out[:0]
	command := r.window[r.start:r.pos]
	for _, a := range r.args {
		r.out = append(r.out, command[a.from:a.to:a.to])
	}
	if r.large != nil {
		r.place()
	}
	return r.out, nil
}

// place puts the large arguments in their places.
func (r *Reader) place() {
	large := r.large.read
	for i, a := range r.args {
		if a == (span{}) {
			r.out[i], large = large[0], large[1:]
		}
	}
}

// isPartial reports whether a large argument is being read.
func (r *Reader) isPartial() bool { return r.large != nil && r.large.partial != nil }

// part moves what has arrived of a large argument to memory of its own.
func (r *Reader) part() {
	begun := r.window[r.pos:]
	if r.large == nil {
		r.large = &largeArguments{}
	}
	r.large.partial = []byte{}
	r.fill(begun)
	r.window = r.window[:r.pos]
	if len(r.rest) > 0 {
		r.rest = r.window
	}
}

// fill takes as much as there is of the large argument that is being read, and returns
// how many bytes that is.
func (r *Reader) fill(p []byte) int {
	l, want := r.large, r.bulk+2
	p = p[:min(len(p), want-len(l.partial))]
	if have := len(l.partial) + len(p); have > cap(l.partial) {
		l.partial = append(make([]byte, 0, reserve(have, want)), l.partial...)
	}
	l.partial = append(l.partial, p...)
	l.bytes += len(p)
	return len(p)
}

// complete ends the large argument that is being read, if all of it has arrived.
func (r *Reader) complete() bool {
	l := r.large
	if len(l.partial) < r.bulk+2 {
		return false
	}
	l.read = append(l.read, l.partial[:r.bulk:r.bulk])
	l.partial = nil
	r.args = append(r.args, span{})
	r.bulk = -1
	r.missing--
	return true
}

// reserve is how much memory to have for so many bytes that are wanted when some have
// arrived: all once that is a sixteenth, so that what is thrown away is little.
func reserve(have, want int) int {
	if enough := (want + 15) / 16; have < enough {
		return min(8*have, enough)
	}
	return want
}

// drop forgets the large arguments of a command.
func (r *Reader) drop() {
	r.large = nil
	clear(r.out[:cap(r.out)])
}

// Give reports whether an argument of the running command has memory of its own, which
// is the caller's from then on.
func (r *Reader) Give(arg []byte) bool {
	if r.large == nil {
		return false
	}
	for i, large := range r.large.read {
		if len(large) > 0 && len(arg) > 0 && &large[0] == &arg[0] {
			r.large.read[i] = nil
			return true
		}
	}
	return false
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
		if r.large != nil {
			r.drop()
		}
	}
	if len(r.window) > LargeArgument {
		clear(r.out[:cap(r.out)]) // which keep the window in memory
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

// CopyArgs returns a copy of a command's arguments, and how many bytes they have. Large
// ones have memory of their own, as they had before if that can be.
func (r *Reader) CopyArgs(args [][]byte) (copied [][]byte, size int) {
	together := 0
	for _, arg := range args {
		size += len(arg)
		if len(arg) < LargeArgument {
			together += len(arg)
		}
	}
	copied = make([][]byte, len(args))
	memory := make([]byte, 0, together)
	for i, arg := range args {
		switch {
		case len(arg) < LargeArgument:
			from := len(memory)
			memory = append(memory, arg...)
			copied[i] = memory[from:len(memory):len(memory)]
		case r.Give(arg):
			copied[i] = arg
		default:
			copied[i] = bytes.Clone(arg)
		}
	}
	return copied, size
}

// Adopt makes the large ones of a copy's arguments the running command's, to be given
// away.
func (r *Reader) Adopt(copied [][]byte) {
	r.large = nil
	for _, arg := range copied {
		if len(arg) < LargeArgument {
			continue
		}
		if r.large == nil {
			r.large = &largeArguments{}
		}
		r.large.read = append(r.large.read, arg)
	}
}
