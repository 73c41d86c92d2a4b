package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	DefaultPrefix = "redis_rpc"
	DefaultExpiry = 120 * time.Second // life of a queue and of a result after a push
)

// CallsKey is the list that calls of fn wait in.
func CallsKey(prefix, fn string) string { return prefix + ":" + fn + ":calls" }

// ResultKey is the list that the one result of a call comes in.
func ResultKey(prefix, fn, id string) string { return prefix + ":" + fn + ":result:" + id }

// AliveKey exists while a server lives.
func AliveKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":alive" }

// StatsKey has what a server has done, as long as it lives: an addition to the protocol.
func StatsKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":stats" }

// WakeKey is a list that only its server blocks on: a push to it ends its wait.
func WakeKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":wake" }

// RepliesKey is the list in which all results come for a client ID: an addition to the
// protocol.
func RepliesKey(prefix, clientID string) string { return prefix + ":client:" + clientID + ":results" }

// A Call is a call message to write. Of the additions to the protocol those
// are left out that are zero.
type Call struct {
	ID       string // plain ASCII
	At       time.Time
	KW       []byte // a JSON object
	Client   []byte // the field with the client's name, and a comma before it
	Timeout  int64  // the caller's remaining budget, in milliseconds
	Deadline int64  // when it is over, in Unix milliseconds of Redis's clock
	ReplyTo  []byte // the field with the client ID of its reply list, and a comma before it
	Extra    []byte // more fields, each with a comma before it
}

func (c *Call) Append(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, c.ID...)
	b = append(b, `","ts":"`...)
	b = appendTime(b, c.At)
	b = append(b, '"')
	b = append(b, c.Client...)
	b = append(b, c.ReplyTo...)
	if c.Timeout > 0 {
		b = append(b, `,"timeout_ms":`...)
		b = strconv.AppendInt(b, c.Timeout, 10)
	}
	if c.Deadline > 0 {
		b = append(b, `,"deadline_ms":`...)
		b = strconv.AppendInt(b, c.Deadline, 10)
	}
	b = append(b, c.Extra...)
	b = append(b, `,"kw":`...)
	b = append(b, c.KW...)
	return append(b, '}')
}

// A Result is a result message to write: of a failure if Error is not empty.
type Result struct {
	ID        []byte // of the call, as JSON, if it goes to a reply list
	At        time.Time
	Value     []byte // JSON; null if there is none
	Error     string // of a failure
	Traceback string // may be empty
	Extra     []byte // more fields, each with a comma before it

	// Additions to the protocol, which are left out unless Extensions is set.
	Extensions bool
	ErrorType  string        // may be empty
	Server     []byte        // the field with the server's ID, and a comma before it
	Queued     time.Duration // time waited, to the millisecond; less than 0 if not known
	Ran        time.Duration // time worked
}

func (r *Result) Append(b []byte) []byte {
	b = append(b, '{')
	if len(r.ID) > 0 {
		b = append(b, `"id":`...)
		b = append(b, r.ID...)
		b = append(b, ',')
	}
	b = append(b, `"ts":"`...)
	b = appendTime(b, r.At)
	b = append(b, '"')
	if r.Extensions {
		b = append(b, r.Server...)
		if r.Queued >= 0 {
			b = append(b, `,"queue_ms":`...)
			b = strconv.AppendInt(b, r.Queued.Milliseconds(), 10)
		}
		b = append(b, `,"run_ms":`...)
		micros := max(0, r.Ran.Microseconds())
		b = strconv.AppendInt(b, micros/1000, 10)
		if part := micros % 1000; part > 0 {
			b = append(b, '.', '0'+byte(part/100), '0'+byte(part/10%10), '0'+byte(part%10))
		}
	}
	b = append(b, r.Extra...)
	switch {
	case r.Error != "":
		b = append(b, `,"err":`...)
		b = AppendText(b, r.Error)
		if r.Extensions && r.ErrorType != "" {
			b = append(b, `,"err_type":`...)
			b = AppendText(b, r.ErrorType)
		}
		if r.Traceback != "" {
			b = append(b, `,"err_traceback":`...)
			b = AppendText(b, r.Traceback)
		}
	case r.Value == nil:
		b = append(b, `,"res":null`...)
	default:
		b = append(b, `,"res":`...)
		b = append(b, r.Value...)
	}
	return append(b, '}')
}

// AppendNotice appends the message of a reply list that says that the result of a call
// is on its single-use list, as it is long.
func AppendNotice(b []byte, id []byte, at time.Time) []byte {
	b = append(append(b, `{"id":`...), id...)
	b = append(b, `,"ts":"`...)
	b = appendTime(b, at)
	return append(b, `","at":"result"}`...)
}

// IsNotice reports whether a message of a reply list says that the result is on the
// single-use list of its call.
func IsNotice(message []byte) bool {
	const longest = 1024
	return len(message) < longest && bytes.Contains(message, []byte(`"at"`)) && TextField(message, "at") == "result"
}

// ResultID returns the ID of the call that a message of a reply list answers.
func ResultID(message []byte) (id []byte, ok bool) {
	if rest, ok := bytes.CutPrefix(message, []byte(`{"id":"`)); ok { // as this package writes it
		if end := bytes.IndexAny(rest, `"\\`); end >= 0 && rest[end] == '"' {
			return rest[:end], true
		}
	}
	if text := TextField(message, "id"); text != "" {
		return []byte(text), true
	}
	return nil, false
}

// TextField returns a text field of a message; it is empty if there is none.
func TextField(message []byte, name string) (text string) {
	for n, value := range Members(message) {
		if string(n) == name {
			text = ""
			if KindOf(value) == "string" {
				text = Unquote(value)
			}
		}
	}
	return text
}

// OwnFields are the names of the fields that the protocol uses, in calls and in
// results.
var OwnFields = []string{
	"id", "ts", "kw", "client", "reply_to", "at", "timeout_ms", "deadline_ms",
	"res", "err", "err_traceback", "err_type", "server", "queue_ms", "run_ms",
}

// appendTime appends t in ISO 8601 with microseconds, in UTC. It is for people:
// nobody computes with it.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	micros := t.Nanosecond() / 1000
	b = append(b, "0000-00-00T00:00:00.000000Z"...)
	text := b[len(b)-len("0000-00-00T00:00:00.000000Z"):]
	for _, two := range [...]struct{ at, n int }{
		{0, year / 100}, {2, year}, {5, int(month)}, {8, day}, {11, hour}, {14, minute}, {17, second},
		{20, micros / 10_000}, {22, micros / 100}, {24, micros},
	} {
		text[two.at] += byte(two.n / 10 % 10)
		text[two.at+1] += byte(two.n % 10)
	}
	return b
}

// AppendText appends a JSON string.
func AppendText(b []byte, s string) []byte {
	if isPlain(s) {
		b = append(append(b, '"'), s...)
		return append(b, '"')
	}
	quoted, err := NewEncoder().Encode(s)
	if err != nil {
		panic("wire: a string does not encode: " + err.Error())
	}
	return append(b, quoted...)
}

// isPlain reports whether s stands for itself between quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// AppendTextField appends a field with a comma before it.
func AppendTextField(b []byte, name, value string) []byte {
	b = AppendText(append(b, ','), name)
	return AppendText(append(b, ':'), value)
}

// A ReceivedCall is a message of a calls list. What it holds is part of the message.
type ReceivedCall struct {
	RawID json.RawMessage // the ID, a JSON string
	KW    json.RawMessage // the arguments, a JSON object
	Fault error           // if set, all that the call can be answered with

	// Additions to the protocol. What is absent or invalid is 0.
	Timeout  int64  // the caller's budget when it sent the call, in milliseconds
	Deadline int64  // when it is over, in Unix milliseconds of Redis's clock
	ReplyTo  []byte // the client ID of the caller's reply list
}

func (c *ReceivedCall) ID() string { return Unquote(c.RawID) }

// DecodeCall reads a call. Its error means that the call cannot be answered:
// it is no JSON object, or its id is no text. Fields are matched exactly, of
// repeated ones the last counts, and unknown ones are ignored.
//
// Python writes NaN and Infinity, which are not JSON: such a call is answered with a
// fault if its id can be read.
func DecodeCall(message []byte) (ReceivedCall, error) {
	c, err := decodeCall(message)
	if err == nil {
		return c, nil
	}
	finite, number := withoutNonFinite(message)
	if number == "" {
		return c, err
	}
	if c, _ := decodeCall(finite); c.RawID != nil && string(c.RawID) != nonFinite {
		c.Fault = fmt.Errorf("expected JSON, got %s, which is not JSON", number)
		for name, value := range Members(c.KW) {
			if bytes.Contains(value, []byte(nonFinite)) {
				c.Fault = fmt.Errorf("argument %q: expected JSON, got %s, which is not JSON", name, number)
				break
			}
		}
		return c, nil
	}
	return c, err
}

// nonFinite stands for a NaN, Infinity or -Infinity.
const nonFinite = `"\u0000not finite"`

func decodeCall(message []byte) (ReceivedCall, error) {
	var c ReceivedCall
	var id, kw json.RawMessage
	err := walk(message, func(name, value []byte) bool {
		switch string(name) {
		case "id":
			id = value
		case "kw":
			kw = value
		case "timeout_ms":
			c.Timeout = millisOf(value)
		case "deadline_ms":
			c.Deadline = millisOf(value)
		case "reply_to":
			c.ReplyTo = clientID(value)
		}
		return true
	})
	if err != nil {
		return ReceivedCall{}, err
	}
	if id == nil {
		return ReceivedCall{}, errors.New(`expected a text "id", got none`)
	}
	if k := KindOf(id); k != "string" {
		return ReceivedCall{}, fmt.Errorf(`expected a text "id", got %s`, article(k))
	}
	c.RawID, c.KW = id, kw
	switch {
	case kw == nil || KindOf(kw) == "null":
		c.KW = json.RawMessage("{}")
	case KindOf(kw) != "object":
		c.KW = nil
		c.Fault = fmt.Errorf(`expected the arguments in "kw" as a JSON object, got %s`, article(KindOf(kw)))
	}
	return c, nil
}

// withoutNonFinite returns a message with a string for each NaN, Infinity and -Infinity
// outside of strings, and the first of these; it is empty if there is none.
func withoutNonFinite(message []byte) (finite []byte, first string) {
	finite = stringOrNonFinite.ReplaceAllFunc(message, func(found []byte) []byte {
		if found[0] == '"' {
			return found
		}
		first = cmp.Or(first, string(found))
		return []byte(nonFinite)
	})
	return finite, first
}

var stringOrNonFinite = regexp.MustCompile(`"(?s:[^"\\]|\\.)*"|-?Infinity|NaN`)

// clientID returns the text of a valid client ID, or nothing.
func clientID(value json.RawMessage) []byte {
	const longest = 128
	if KindOf(value) != "string" {
		return nil
	}
	id := []byte(value[1 : len(value)-1])
	if bytes.IndexByte(id, '\\') >= 0 {
		id = []byte(Unquote(value))
	}
	if len(id) > longest || bytes.IndexByte(id, ':') >= 0 {
		return nil
	}
	return id
}

// A ReceivedResult is a message of a result list: a value, or a failure.
type ReceivedResult struct {
	Value   json.RawMessage // JSON; null if the message has none
	Failure *Failure
}

// A Failure is what a result says of a call that failed.
type Failure struct {
	Message   string // for people; may be empty
	Type      string // for programs; may be empty
	Traceback string // may be empty
}

// DecodeResult reads a result. An err that is absent or null is success, any
// other a failure, an empty text too. Fields are matched exactly, of repeated
// ones the last counts, and unknown ones are ignored.
func DecodeResult(message []byte) (ReceivedResult, error) {
	r := ReceivedResult{Value: json.RawMessage("null")}
	var failure, traceback, errType json.RawMessage
	err := walk(message, func(name, value []byte) bool {
		switch string(name) {
		case "res":
			r.Value = value
		case "err":
			failure = value
		case "err_traceback":
			traceback = value
		case "err_type":
			errType = value
		}
		return true
	})
	if err != nil {
		return ReceivedResult{}, err
	}
	if failure != nil && KindOf(failure) != "null" {
		r.Failure = &Failure{Message: TextOf(failure), Type: TextOf(errType), Traceback: TextOf(traceback)}
	}
	return r, nil
}

// millisOf returns a number of milliseconds, more than 0, or 0 for anything else.
func millisOf(value json.RawMessage) (ms int64) {
	const most = 1 << 53
	for _, c := range value {
		if c < '0' || c > '9' {
			f, err := strconv.ParseFloat(string(value), 64)
			if err != nil || !(f > 0 && f < most) {
				return 0
			}
			return int64(f)
		}
		if ms = ms*10 + int64(c-'0'); ms > most {
			return 0
		}
	}
	return ms
}

// TextOf returns the text of a JSON string, and any other value as it is written.
func TextOf(value json.RawMessage) string {
	switch {
	case value == nil || KindOf(value) == "null":
		return ""
	case KindOf(value) == "string":
		return Unquote(value)
	}
	return string(value)
}

const excerptBytes = 200

// Excerpt shows the start of a message in an error: quoted, and cut.
func Excerpt(message []byte) string {
	if len(message) <= excerptBytes {
		return strconv.QuoteToASCII(string(message))
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(string(message[:excerptBytes])), len(message))
}

// LogExcerpt is an excerpt for slog, whose handlers escape what they write, so
// it is cut, but not quoted. They do not all escape what is beyond ASCII, some
// of which a terminal obeys: what cannot be printed there is replaced.
func LogExcerpt(message []byte) string {
	var b strings.Builder
	for rest := message[:min(len(message), excerptBytes)]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		// A byte that is not UTF-8 has size 1, and becomes an escape or U+FFFD.
		if size == 1 && r != 0x7f || strconv.IsPrint(r) {
			b.Write(rest[:size])
		} else {
			b.WriteRune(utf8.RuneError)
		}
		rest = rest[size:]
	}
	if len(message) > excerptBytes {
		fmt.Fprintf(&b, "... (%d bytes)", len(message))
	}
	return b.String()
}

// NewID returns the ID of a new call, a UUID behind tag.
func NewID(tag string) string { return tag + newUUID().String() }

// NewClientID returns what the reply lists of a client are named after.
func NewClientID() string { return strings.ReplaceAll(NewID(""), "-", "") }

// newUUID returns a UUID of version 4. Its random bits are of a generator that is seeded by
// the system, which is enough for what nobody has to guess.
func newUUID() (u uuid.UUID) {
	binary.LittleEndian.PutUint64(u[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(u[8:], rand.Uint64())
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
