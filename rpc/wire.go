package rpc

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file is the protocol: the names of the keys and the messages in them.
// It does no I/O.

const (
	defaultPrefix = "redis_rpc"
	defaultExpiry = 120 * time.Second // life of a queue and of a result after a push
	maxSlice      = time.Second       // longest that one command blocks on Redis
)

// callsKey is the list that calls of fn wait in.
func callsKey(prefix, fn string) string { return prefix + ":" + fn + ":calls" }

// resultKey is the list that the one result of a call comes in.
func resultKey(prefix, fn, id string) string { return prefix + ":" + fn + ":result:" + id }

// aliveKey exists while a server lives.
func aliveKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":alive" }

// statsKey has what a server has done, as long as it lives: an addition to the protocol.
func statsKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":stats" }

// wakeKey is a list that only its server blocks on: a push to it ends its wait.
func wakeKey(prefix, kind, id string) string { return prefix + ":" + kind + ":" + id + ":wake" }

// A sentCall is a call message to write. Of the additions to the protocol those
// are left out that are zero.
type sentCall struct {
	id       string // plain ASCII
	at       time.Time
	kw       []byte // a JSON object
	client   []byte // the field with the client's name, and a comma before it
	timeout  int64  // the caller's remaining budget, in milliseconds
	deadline int64  // when it is over, in Unix milliseconds of Redis's clock
	extra    []byte // more fields, each with a comma before it
}

func (c *sentCall) append(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, c.id...)
	b = append(b, `","ts":"`...)
	b = appendTime(b, c.at)
	b = append(b, '"')
	b = append(b, c.client...)
	if c.timeout > 0 {
		b = append(b, `,"timeout_ms":`...)
		b = strconv.AppendInt(b, c.timeout, 10)
	}
	if c.deadline > 0 {
		b = append(b, `,"deadline_ms":`...)
		b = strconv.AppendInt(b, c.deadline, 10)
	}
	b = append(b, c.extra...)
	b = append(b, `,"kw":`...)
	b = append(b, c.kw...)
	return append(b, '}')
}

// An answer is a result message to write: of a failure if text is not empty.
type answer struct {
	at        time.Time
	res       []byte // JSON; null if there is none
	text      string // of a failure
	traceback string // may be empty
	extra     []byte // more fields, each with a comma before it

	// Additions to the protocol.
	full    bool          // they are wanted
	errType string        // may be empty
	server  []byte        // the field with the server's ID, and a comma before it
	queued  time.Duration // time waited, to the millisecond; less than 0 if not known
	ran     time.Duration // time worked
}

func (a *answer) append(b []byte) []byte {
	b = append(b, `{"ts":"`...)
	b = appendTime(b, a.at)
	b = append(b, '"')
	if a.full {
		b = append(b, a.server...)
		if a.queued >= 0 {
			b = append(b, `,"queue_ms":`...)
			b = strconv.AppendInt(b, a.queued.Milliseconds(), 10)
		}
		b = append(b, `,"run_ms":`...)
		micros := max(0, a.ran.Microseconds())
		b = strconv.AppendInt(b, micros/1000, 10)
		if part := micros % 1000; part > 0 {
			b = append(b, '.', '0'+byte(part/100), '0'+byte(part/10%10), '0'+byte(part%10))
		}
	}
	b = append(b, a.extra...)
	switch {
	case a.text != "":
		b = append(b, `,"err":`...)
		b = appendText(b, a.text)
		if a.full && a.errType != "" {
			b = append(b, `,"err_type":`...)
			b = appendText(b, a.errType)
		}
		if a.traceback != "" {
			b = append(b, `,"err_traceback":`...)
			b = appendText(b, a.traceback)
		}
	case a.res == nil:
		b = append(b, `,"res":null`...)
	default:
		b = append(b, `,"res":`...)
		b = append(b, a.res...)
	}
	return append(b, '}')
}

// ownFields are the names of the fields that the protocol uses, in calls and in
// results.
var ownFields = []string{
	"id", "ts", "kw", "client", "timeout_ms", "deadline_ms",
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

func appendText(b []byte, s string) []byte {
	quoted, err := newEncoder().encode(s)
	if err != nil {
		panic("rpc: a string does not encode: " + err.Error())
	}
	return append(b, quoted...)
}

// appendTextField appends a field with a comma before it.
func appendTextField(b []byte, name, value string) []byte {
	b = appendText(append(b, ','), name)
	return appendText(append(b, ':'), value)
}

// A call is a message of a calls list.
type call struct {
	id    string
	kw    json.RawMessage // the arguments, a JSON object
	fault error           // if set, all that the call can be answered with

	// Additions to the protocol. What is absent or of no use is 0.
	timeout  int64 // the caller's budget when it sent the call, in milliseconds
	deadline int64 // when it is over, in Unix milliseconds of Redis's clock
}

// decodeCall reads a call. Its error means that the call cannot be answered:
// it is no JSON object, or its id is no text. Fields are matched exactly, of
// repeated ones the last counts, and unknown ones are ignored.
func decodeCall(message []byte) (call, error) {
	if err := checkObject(message); err != nil {
		return call{}, err
	}
	var c call
	var id, kw json.RawMessage
	for name, value := range members(message) {
		switch string(name) {
		case "id":
			id = value
		case "kw":
			kw = value
		case "timeout_ms":
			c.timeout = millisOf(value)
		case "deadline_ms":
			c.deadline = millisOf(value)
		}
	}
	if id == nil {
		return call{}, errors.New(`expected a text "id", got none`)
	}
	if k := kindOf(id); k != "string" {
		return call{}, fmt.Errorf(`expected a text "id", got %s`, article(k))
	}
	c.id, c.kw = unquote(id), kw
	switch {
	case kw == nil || kindOf(kw) == "null":
		c.kw = json.RawMessage("{}")
	case kindOf(kw) != "object":
		c.kw = nil
		c.fault = fmt.Errorf(`expected the arguments in "kw" as a JSON object, got %s`, article(kindOf(kw)))
	}
	return c, nil
}

// A result is a message of a result list: a value, or a failure.
type result struct {
	res     json.RawMessage // JSON; null if the message has none
	failure *RemoteError    // without Func
}

// decodeResult reads a result. An err that is absent or null is success, any
// other a failure, an empty text too. Fields are matched exactly, of repeated
// ones the last counts, and unknown ones are ignored.
func decodeResult(message []byte) (result, error) {
	if err := checkObject(message); err != nil {
		return result{}, err
	}
	r := result{res: json.RawMessage("null")}
	var failure, traceback, errType json.RawMessage
	for name, value := range members(message) {
		switch string(name) {
		case "res":
			r.res = value
		case "err":
			failure = value
		case "err_traceback":
			traceback = value
		case "err_type":
			errType = value
		}
	}
	if failure != nil && kindOf(failure) != "null" {
		r.failure = &RemoteError{Message: textOf(failure), Type: textOf(errType), Traceback: textOf(traceback)}
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

// textOf returns the text of a JSON string, and any other value as it is written.
func textOf(value json.RawMessage) string {
	switch {
	case value == nil || kindOf(value) == "null":
		return ""
	case kindOf(value) == "string":
		return unquote(value)
	}
	return string(value)
}

const excerptBytes = 200

// excerpt shows the start of a message in an error: quoted, and cut.
func excerpt(message []byte) string {
	if len(message) <= excerptBytes {
		return strconv.QuoteToASCII(string(message))
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(string(message[:excerptBytes])), len(message))
}

// logExcerpt is an excerpt for slog, whose handlers escape what they write, so
// it is cut, but not quoted. They do not all escape what is beyond ASCII, some
// of which a terminal obeys: what cannot be printed there is replaced.
func logExcerpt(message []byte) string {
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

// newResultKey returns the key for the result of a new call, and the call's ID,
// a UUID of version 4 behind tag.
func newResultKey(prefix, fn, tag string) (key, id string) {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	before := resultKey(prefix, fn, "")
	b := make([]byte, 0, len(before)+len(tag)+36)
	b = append(append(b, before...), tag...)
	for i, part := range [][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	key = string(b)
	return key, key[len(before):]
}
