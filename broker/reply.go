package broker

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"
)

// A reply is what a handler returns: a value of the protocol, or a request to
// wait. It may refer to stored data, so it is encoded before anything else runs.
type reply struct {
	kind  kind
	n     int64   // integer, boolean, push: how many elements follow; error: not 0 if it does not count as one
	text  string  // simple string, error
	bytes []byte  // bulk string, verbatim text, double
	items []reply // array, map, set, push, sequence
	wait  any     // how to wait: a *keyspace.Wait
}

type kind uint8

const (
	kindNothing  kind = iota // no reply at all
	kindSimple               // +text
	kindError                // -text
	kindInteger              // :n
	kindBulk                 // $bytes
	kindVerbatim             // text for people: a bulk string in RESP2
	kindBoolean              // an integer in RESP2
	kindDouble               // $bytes: a bulk string in RESP2
	kindNull                 // null: the null bulk string in RESP2
	kindNullList             // null: the null array in RESP2
	kindArray
	kindMap      // keys and values in turn: an array in RESP2
	kindSet      // an array in RESP2
	kindPush     // out of band: an array in RESP2
	kindSequence // several replies, one after the other
	kindOpening  // the header of an array whose n elements follow
	kindWait     // none yet
)

var (
	nothing   = reply{}
	ok        = simple("OK")
	queued    = simple("QUEUED")
	null      = reply{kind: kindNull}
	nullList  = reply{kind: kindNullList}
	emptyList = reply{kind: kindArray}
	zero      = integer(0)
	one       = integer(1)

	syntaxError   = failure("ERR syntax error")
	wrongType     = failure("WRONGTYPE Operation against a key holding the wrong kind of value")
	notAnInteger  = failure("ERR value is not an integer or out of range")
	notPositive   = failure("ERR value is out of range, must be positive")
	notAnInt32    = failuref("ERR value is out of range, value must between %d and %d", math.MinInt32, math.MaxInt32)
	noSuchDB      = failure("ERR DB index is out of range")
	noSuchKey     = failure("ERR no such key")
	indexOutside  = failure("ERR index out of range")
	wouldOverflow = failure("ERR increment or decrement would overflow")
	tooLong       = failure("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
)

func simple(s string) reply       { return reply{kind: kindSimple, text: s} }
func failure(s string) reply      { return reply{kind: kindError, text: s} }
func integer(n int64) reply       { return reply{kind: kindInteger, n: n} }
func count(n int) reply           { return reply{kind: kindInteger, n: int64(n)} }
func bulk(b []byte) reply         { return reply{kind: kindBulk, bytes: b} }
func bulkString(s string) reply   { return reply{kind: kindBulk, bytes: []byte(s)} }
func verbatim(s string) reply     { return reply{kind: kindVerbatim, bytes: []byte(s)} }
func array(items ...reply) reply  { return reply{kind: kindArray, items: items} }
func fields(items ...reply) reply { return reply{kind: kindMap, items: items} }
func set(items ...reply) reply    { return reply{kind: kindSet, items: items} }
func push(items ...reply) reply   { return reply{kind: kindPush, items: items} }
func double(f float64) reply {
	return reply{kind: kindDouble, bytes: strconv.AppendFloat(nil, f, 'g', 17, 64)}
}
func sequence(items ...reply) reply { return reply{kind: kindSequence, items: items} }

// isFailure reports whether a reply counts as an error.
func (r *reply) isFailure() bool { return r.kind == kindError && r.n == 0 }

// failuref formats an error as Redis does, in C: what a client sent ends at its
// first zero byte, and the text has no line breaks at its end. Those within it are
// encoded as spaces.
func failuref(f string, args ...any) reply {
	for i, arg := range args {
		if sent, is := arg.([]byte); is {
			args[i] = cString(sent, len(sent))
		}
	}
	return failure(strings.TrimRight(fmt.Sprintf(f, args...), "\r\n"))
}

// cString is what C's %.*s prints: all before the first zero byte, but no more
// than most bytes.
func cString(b []byte, most int) string {
	b = b[:min(len(b), most)]
	if zero := bytes.IndexByte(b, 0); zero >= 0 {
		b = b[:zero]
	}
	return string(b)
}

func bulkStrings(values []string) reply {
	items := make([]reply, len(values))
	for i, v := range values {
		items[i] = bulkString(v)
	}
	return array(items...)
}

// encode appends a reply in the given version of the protocol, 2 or 3. Lists may be
// nested in it as deep as depth says; of a reply that is deeper it appends a part,
// and reports false.
func (r *reply) encode(b []byte, protocol, depth int) (_ []byte, fits bool) {
	switch r.kind {
	case kindSimple:
		return redcon.AppendString(b, r.text), true
	case kindError:
		return redcon.AppendError(b, r.text), true
	case kindInteger:
		return redcon.AppendInt(b, r.n), true
	case kindBulk:
		return redcon.AppendBulk(b, r.bytes), true
	case kindVerbatim:
		if protocol == 2 {
			return redcon.AppendBulk(b, r.bytes), true
		}
		b = header(b, '=', len(r.bytes)+len("txt:"))
		b = append(b, "txt:"...)
		b = append(b, r.bytes...)
		return append(b, '\r', '\n'), true
	case kindBoolean:
		if protocol == 2 {
			return redcon.AppendInt(b, r.n), true
		}
		return append(b, '#', "ft"[r.n], '\r', '\n'), true
	case kindDouble:
		if protocol == 2 {
			return redcon.AppendBulk(b, r.bytes), true
		}
		b = append(append(b, ','), r.bytes...)
		return append(b, '\r', '\n'), true
	case kindNull, kindNullList:
		switch {
		case protocol == 3:
			return append(b, "_\r\n"...), true
		case r.kind == kindNullList:
			return append(b, "*-1\r\n"...), true
		}
		return redcon.AppendNull(b), true
	case kindArray:
		b = redcon.AppendArray(b, len(r.items))
	case kindMap:
		if protocol == 2 {
			b = redcon.AppendArray(b, len(r.items))
		} else {
			b = header(b, '%', len(r.items)/2)
		}
	case kindSet:
		b = typed(b, '~', len(r.items), protocol)
	case kindPush:
		b = typed(b, '>', len(r.items), protocol)
	case kindOpening:
		return redcon.AppendArray(b, int(r.n)), true
	case kindNothing, kindWait, kindSequence:
	}
	if depth == 0 && len(r.items) > 0 {
		return b, false
	}
	for i := range r.items {
		if b, fits = r.items[i].encode(b, protocol, depth-1); !fits {
			return b, false
		}
	}
	return b, true
}

// isDeeper reports whether lists are nested in a reply deeper than depth says.
func (r *reply) isDeeper(depth int) bool {
	return len(r.items) > 0 && (depth == 0 || slices.ContainsFunc(r.items, func(item reply) bool { return item.isDeeper(depth - 1) }))
}

// typed opens an aggregate that RESP2 knows only as an array.
func typed(b []byte, prefix byte, n, protocol int) []byte {
	if protocol == 2 {
		return redcon.AppendArray(b, n)
	}
	return header(b, prefix, n)
}

func header(b []byte, prefix byte, n int) []byte {
	b = append(b, prefix)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}
