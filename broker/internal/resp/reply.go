// Package resp reads requests and writes replies of the Redis protocol, RESP2 and RESP3,
// and reads numbers and quoted words as Redis does.
package resp

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"
)

// A Reply is what a handler returns: a value of the protocol, or a request to
// wait. It may refer to stored data, so it is encoded before anything else runs.
type Reply struct {
	Kind  Kind
	N     int64            // integer, boolean, push: how many elements follow; error: not 0 if it does not count as one
	Text  string           // simple string, error; verbatim text: its format, "" for txt
	Bytes []byte           // bulk string, verbatim text, double, big number
	Items []Reply          // array, pairs, map, keyed, set, push, sequence
	Each  iter.Seq[[]byte] // strings, scored, and map and set without Items: passes on N strings, each until the next
	Lazy  iter.Seq[Reply]  // array without Items: passes on N elements, each until the next, every time the same
	Wait  any              // how to wait: a *keyspace.Wait
}

type Kind uint8

const (
	KindNothing   Kind = iota // no reply at all
	KindSimple                // +text
	KindError                 // -text
	KindInteger               // :n
	KindBulk                  // $bytes
	KindVerbatim              // text for people: a bulk string in RESP2
	KindBoolean               // an integer in RESP2
	KindDouble                // $bytes: a bulk string in RESP2
	KindBigNumber             // a bulk string in RESP2
	KindNull                  // null: the null bulk string in RESP2
	KindNullArray             // null: the null array in RESP2
	KindArray
	KindStrings     // an array of bulk strings, which need not be in memory all at once
	KindPairs       // an array of arrays of two: in RESP2 one array of all that is in them
	KindScored      // such an array of strings and doubles in turn; in RESP3 one of pairs
	KindMap         // keys and values in turn: an array in RESP2
	KindKeyed       // keys and values in turn: an array of arrays of two in RESP2, a map in RESP3
	KindSet         // an array in RESP2
	KindPush        // out of band: an array in RESP2
	KindAttribute   // says something about the reply behind it, in RESP3 only
	KindSequence    // several replies, one after the other
	KindArrayHeader // the header of an array whose n elements follow
	KindWait        // none yet
)

var (
	Nothing    = Reply{}
	OK         = Simple("OK")
	Null       = Reply{Kind: KindNull}
	NullArray  = Reply{Kind: KindNullArray}
	EmptyArray = Reply{Kind: KindArray}
	Zero       = Integer(0)
	One        = Integer(1)

	SyntaxError     = ErrorReply("ERR syntax error")
	WrongType       = ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value")
	NotAnInteger    = ErrorReply("ERR value is not an integer or out of range")
	NotPositive     = ErrorReply("ERR value is out of range, must be positive")
	NotAnInt32      = Errorf("ERR value is out of range, value must between %d and %d", math.MinInt32, math.MaxInt32)
	NotACount       = Errorf("ERR value is out of range, value must between %d and %d", int64(-math.MaxInt64), int64(math.MaxInt64))
	CountOutOfRange = ErrorReply("ERR value is out of range")
	NoSuchDB        = ErrorReply("ERR DB index is out of range")
	NoSuchKey       = ErrorReply("ERR no such key")
	IndexOutOfRange = ErrorReply("ERR index out of range")
	WouldOverflow   = ErrorReply("ERR increment or decrement would overflow")
	StringTooLong   = ErrorReply("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
)

func Simple(s string) Reply      { return Reply{Kind: KindSimple, Text: s} }
func ErrorReply(s string) Reply  { return Reply{Kind: KindError, Text: s} }
func Integer(n int64) Reply      { return Reply{Kind: KindInteger, N: n} }
func Int(n int) Reply            { return Reply{Kind: KindInteger, N: int64(n)} }
func Bulk(b []byte) Reply        { return Reply{Kind: KindBulk, Bytes: b} }
func BulkString(s string) Reply  { return Reply{Kind: KindBulk, Bytes: []byte(s)} }
func Verbatim(s string) Reply    { return Reply{Kind: KindVerbatim, Bytes: []byte(s)} }
func BigNumber(s string) Reply   { return Reply{Kind: KindBigNumber, Bytes: []byte(s)} }
func Array(items ...Reply) Reply { return Reply{Kind: KindArray, Items: items} }

func Boolean(is bool) Reply {
	r := Reply{Kind: KindBoolean}
	if is {
		r.N = 1
	}
	return r
}

// VerbatimOf is a text of a format, of which three letters count.
func VerbatimOf(format, s string) Reply {
	return Reply{Kind: KindVerbatim, Text: (format + "   ")[:3], Bytes: []byte(s)}
}

// Strings is an array of n bulk strings that the iterator passes on, once. They may
// refer to stored data.
func Strings(n int, each iter.Seq[[]byte]) Reply {
	return Reply{Kind: KindStrings, N: int64(n), Each: each}
}

// Lazy is an array of n elements that the iterator passes on, the same every time, each valid
// until the next.
func Lazy(n int, each iter.Seq[Reply]) Reply {
	return Reply{Kind: KindArray, N: int64(n), Lazy: each}
}

// StringMap is a map of n strings, keys and values in turn, and StringSet a set of n
// strings, which are passed on as those of Strings are.
func StringMap(n int, each iter.Seq[[]byte]) Reply {
	return Reply{Kind: KindMap, N: int64(n), Each: each}
}

func StringSet(n int, each iter.Seq[[]byte]) Reply {
	return Reply{Kind: KindSet, N: int64(n), Each: each}
}

// Pairs is an array of n pairs of strings, which the iterator passes on in turn, as Strings does.
func Pairs(n int, each iter.Seq[[]byte]) Reply {
	return Reply{Kind: KindPairs, N: int64(n), Each: each}
}

// Scored is an array of n strings with their scores. The iterator passes on each string and
// behind it the text of its score, as Strings does.
func Scored(n int, each iter.Seq[[]byte]) Reply {
	return Reply{Kind: KindScored, N: int64(n), Each: each}
}

// Keyed is keys and values in turn, which are pairs in version 2 of the protocol and a map in
// version 3.
func Keyed(items ...Reply) Reply { return Reply{Kind: KindKeyed, Items: items} }

func Map(items ...Reply) Reply       { return Reply{Kind: KindMap, Items: items} }
func Set(items ...Reply) Reply       { return Reply{Kind: KindSet, Items: items} }
func Attribute(items ...Reply) Reply { return Reply{Kind: KindAttribute, Items: items} }
func Push(items ...Reply) Reply      { return Reply{Kind: KindPush, Items: items} }

// Double is a number as C's %.17g writes it.
func Double(f float64) Reply {
	return Reply{Kind: KindDouble, Bytes: AppendFloat(nil, f)}
}
func Sequence(items ...Reply) Reply { return Reply{Kind: KindSequence, Items: items} }

// IsError reports whether a reply counts as an error.
func (r *Reply) IsError() bool { return r.Kind == KindError && r.N == 0 }

// Errorf formats an error as Redis does, in C: what a client sent ends at its
// first zero byte, and the text has no line breaks at its end. Those within it are
// encoded as spaces.
func Errorf(f string, args ...any) Reply {
	for i, arg := range args {
		if sent, is := arg.([]byte); is {
			args[i] = CString(sent, len(sent))
		}
	}
	return ErrorReply(strings.TrimRight(fmt.Sprintf(f, args...), "\r\n"))
}

// CString is what C's %.*s prints: all before the first zero byte, but no more
// than most bytes.
func CString(b []byte, most int) string {
	b = b[:min(len(b), most)]
	if zero := bytes.IndexByte(b, 0); zero >= 0 {
		b = b[:zero]
	}
	return string(b)
}

func BulkStrings(values []string) Reply {
	items := make([]Reply, len(values))
	for i, v := range values {
		items[i] = BulkString(v)
	}
	return Array(items...)
}

// encode appends a reply in the given version of the protocol, 2 or 3; of a list only
// its header, see Output.Add.
func (r *Reply) encode(b []byte, protocol int) []byte {
	switch r.Kind {
	case KindSimple:
		return redcon.AppendString(b, r.Text)
	case KindError:
		return redcon.AppendError(b, r.Text)
	case KindInteger:
		return redcon.AppendInt(b, r.N)
	case KindBulk:
		return redcon.AppendBulk(b, r.Bytes)
	case KindVerbatim:
		if protocol == 2 {
			return redcon.AppendBulk(b, r.Bytes)
		}
		b = header(b, '=', len(r.Bytes)+len("txt:"))
		format := r.Text
		if format == "" {
			format = "txt"
		}
		b = append(append(b, format...), ':')
		b = append(b, r.Bytes...)
		return append(b, '\r', '\n')
	case KindBoolean:
		if protocol == 2 {
			return redcon.AppendInt(b, r.N)
		}
		return append(b, '#', "ft"[r.N], '\r', '\n')
	case KindDouble:
		if protocol == 2 {
			return redcon.AppendBulk(b, r.Bytes)
		}
		b = append(append(b, ','), r.Bytes...)
		return append(b, '\r', '\n')
	case KindBigNumber:
		if protocol == 2 {
			return redcon.AppendBulk(b, r.Bytes)
		}
		b = append(append(b, '('), r.Bytes...)
		return append(b, '\r', '\n')
	case KindNull, KindNullArray:
		switch {
		case protocol == 3:
			return append(b, "_\r\n"...)
		case r.Kind == KindNullArray:
			return append(b, "*-1\r\n"...)
		}
		return redcon.AppendNull(b)
	case KindArray:
		b = redcon.AppendArray(b, r.length())
	case KindMap:
		if protocol == 2 {
			b = redcon.AppendArray(b, r.length())
		} else {
			b = header(b, '%', r.length()/2)
		}
	case KindKeyed:
		if n := len(r.Items) / 2; protocol == 2 {
			b = redcon.AppendArray(b, n)
		} else {
			b = header(b, '%', n)
		}
	case KindSet:
		b = typed(b, '~', r.length(), protocol)
	case KindAttribute:
		b = header(b, '|', len(r.Items)/2)
	case KindPush:
		b = typed(b, '>', len(r.Items), protocol)
	case KindArrayHeader, KindStrings:
		return redcon.AppendArray(b, int(r.N))
	case KindPairs, KindScored:
		n := int(r.N)
		if protocol == 2 {
			n *= 2
		}
		return redcon.AppendArray(b, n)
	case KindNothing, KindWait, KindSequence:
	}
	return b
}

// length is how many elements an array, a map or a set has.
func (r *Reply) length() int {
	if r.Each != nil || r.Lazy != nil {
		return int(r.N)
	}
	return len(r.Items)
}

// All lists the elements of a list, map or set, each valid until the next.
func (r *Reply) All() iter.Seq[Reply] {
	if r.Lazy != nil {
		return r.Lazy
	}
	return func(yield func(Reply) bool) {
		for _, item := range r.Items {
			if !yield(item) {
				return
			}
		}
		switch {
		case r.Each == nil:
		case r.inPairs():
			r.allPairs(yield)
		default:
			for s := range r.Each {
				if !yield(Bulk(s)) {
					return
				}
			}
		}
	}
}

// inPairs reports whether the iterator passes on pairs.
func (r *Reply) inPairs() bool { return r.Kind == KindPairs || r.Kind == KindScored }

func (r *Reply) allPairs(yield func(Reply) bool) {
	second := Reply{Kind: KindBulk}
	if r.Kind == KindScored {
		second.Kind = KindDouble
	}
	var first []byte
	isSecond := false
	for s := range r.Each {
		second.Bytes = s
		if !isSecond {
			first = append(first[:0], s...)
		} else if !yield(Array(Bulk(first), second)) {
			return
		}
		isSecond = !isSecond
	}
}

// IsDeeper reports whether lists are nested in a Reply deeper than depth says.
func (r *Reply) IsDeeper(depth int) bool {
	if r.Kind == KindKeyed && len(r.Items) > 0 {
		if depth == 0 {
			return true
		}
		depth--
	}
	if r.Lazy != nil && r.N > 0 {
		if depth == 0 {
			return true
		}
		for item := range r.Lazy {
			if item.IsDeeper(depth - 1) {
				return true
			}
		}
		return false
	}
	return r.N > 0 && r.Each != nil && (depth == 0 || depth == 1 && r.inPairs()) || len(r.Items) > 0 && (depth == 0 || slices.ContainsFunc(r.Items, func(item Reply) bool { return item.IsDeeper(depth - 1) }))
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
