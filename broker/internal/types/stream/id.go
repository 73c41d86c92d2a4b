package stream

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"redrpc/broker/internal/resp"
)

// An entryID is the ID of an entry: milliseconds since 1970, and a number among those of the
// same millisecond.
type entryID struct{ ms, seq uint64 }

var (
	leastID    = entryID{}
	greatestID = entryID{math.MaxUint64, math.MaxUint64}
)

func (a entryID) less(b entryID) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }
func (a entryID) isZero() bool        { return a == leastID }

// next is the ID behind this one. It reports false if there is none.
func (a entryID) next() (entryID, bool) {
	a.seq++
	if a.seq == 0 {
		a.ms++
	}
	return a, !a.isZero()
}

// previous is the ID before this one. It reports false if there is none.
func (a entryID) previous() (entryID, bool) {
	if a.isZero() {
		return greatestID, false
	}
	if a.seq == 0 {
		a.ms--
	}
	a.seq--
	return a, true
}

// appendText writes an ID as ms-seq.
func (a entryID) appendText(b []byte) []byte {
	b = append(strconv.AppendUint(b, a.ms, 10), '-')
	return strconv.AppendUint(b, a.seq, 10)
}

func (a entryID) reply() resp.Reply { return resp.Bulk(a.appendText(make([]byte, 0, 24))) }

// rawID is how many bytes an ID has in binary form, the highest first.
const rawID = 16

func (a entryID) appendRaw(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.ms), a.seq)
}

func rawEntryID(b []byte) entryID {
	return entryID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

var (
	invalidID    = resp.ErrorReply("ERR Invalid stream ID specified as stream command argument")
	invalidStart = resp.ErrorReply("ERR invalid start ID for the interval")
	invalidEnd   = resp.ErrorReply("ERR invalid end ID for the interval")
)

// longestID is how long an ID may be that is read.
const longestID = 127

// An idForm says what an ID may be written as, besides ms-seq.
type idForm struct {
	missing uint64 // the number of an ID that is written as ms
	special bool   // - and + are the least and the greatest one
	anySeq  bool   // ms-* leaves the number open
}

// parse reads an ID.
func (f idForm) parse(arg []byte) (id entryID, isOpen bool, err *resp.Reply) {
	if f.special && len(arg) == 1 && arg[0] == '-' {
		return leastID, false, nil
	}
	if f.special && len(arg) == 1 && arg[0] == '+' {
		return greatestID, false, nil
	}
	if len(arg) > longestID {
		return leastID, false, &invalidID
	}
	if zero := bytes.IndexByte(arg, 0); zero >= 0 {
		arg = arg[:zero]
	}
	ms, seq, hasSeq := bytes.Cut(arg, []byte("-"))
	id.seq = f.missing
	valid := true
	if id.ms, valid = parseUint(ms); !valid {
		return leastID, false, &invalidID
	}
	switch {
	case !hasSeq:
	case f.anySeq && len(seq) == 1 && seq[0] == '*':
		return entryID{ms: id.ms}, true, nil
	default:
		if id.seq, valid = parseUint(seq); !valid {
			return leastID, false, &invalidID
		}
	}
	return id, false, nil
}

// parseID reads an ID of the form ms or ms-seq.
func parseID(arg []byte) (entryID, *resp.Reply) {
	id, _, err := idForm{}.parse(arg)
	return id, err
}

// parseUint reads a number. As in Redis what is not written as integers are is read as C's
// strtoull does: space and a sign may come first.
func parseUint(b []byte) (uint64, bool) {
	if n, isInt := resp.ParseInt(b); isInt {
		return uint64(n), n >= 0
	}
	s := strings.TrimLeft(string(b), " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// A span is a range of IDs, both ends included.
type span struct{ from, to entryID }

// parseSpan reads the ends of a range. An end behind ( is excluded.
func parseSpan(from, to []byte) (s span, err *resp.Reply) {
	var excluded, valid bool
	if s.from, excluded, err = parseEnd(from, 0); err != nil {
		return span{}, err
	}
	if excluded {
		if s.from, valid = s.from.next(); !valid {
			return span{}, &invalidStart
		}
	}
	if s.to, excluded, err = parseEnd(to, math.MaxUint64); err != nil {
		return span{}, err
	}
	if excluded {
		if s.to, valid = s.to.previous(); !valid {
			return span{}, &invalidEnd
		}
	}
	return s, nil
}

// parseEnd reads an end of a range.
func parseEnd(arg []byte, missing uint64) (id entryID, excluded bool, err *resp.Reply) {
	if excluded = len(arg) > 1 && arg[0] == '('; excluded {
		arg = arg[1:]
	}
	id, _, err = idForm{missing: missing, special: !excluded}.parse(arg)
	return id, excluded, err
}
