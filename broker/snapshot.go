package broker

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// snapshotWidth is how long a line of a snapshot gets, in characters, before a key
// takes a line for each of its elements.
const snapshotWidth = 100

// Snapshot returns what all databases hold, and the libraries of functions, as text for
// people, programs and golden files: the commands that bring it about, one per line, the
// libraries and the keys in order.
//
//	FUNCTION LOAD REPLACE "#!lua name=lib\n..."
//	RPUSH jobs one 'two "quoted"' "three\n"
//	SET greeting hello PX 1500
//	SELECT 1
//	SET k v
//
// A key with more than fits in a line of 100 characters takes a line for each
// element. A stream is a RESTORE, which alone brings back its groups and what they have pending. Times to live are in milliseconds by the broker's clock, so a test that
// compares them stops it: see Options.ManualTime, or use testing/synctest. Words are
// quoted as redis-cli takes them, and nothing is lost: [Broker.Seed] brings the same
// about, and so does redis-cli.
func (b *Broker) Snapshot() string {
	b.enterIdle()
	defer b.leave()
	return string(b.snapshot())
}

func (b *Broker) snapshot() []byte {
	var out []byte
	if b.scripting.functions != nil {
		for _, l := range b.scripting.functions.Libraries() {
			out = resp.AppendQuoted(append(out, "FUNCTION LOAD REPLACE "...), l.Code)
			out = append(out, '\n')
		}
	}
	for _, d := range b.keys.DBs {
		if d.Index > 0 && d.Len() > 0 {
			out = append(out, "SELECT "...)
			out = strconv.AppendInt(out, int64(d.Index), 10)
			out = append(out, '\n')
		}
		for _, e := range slices.SortedFunc(d.All(), func(x, y *keyspace.Entry) int { return strings.Compare(x.Key, y.Key) }) {
			if e.ExpiresAt == 0 || e.ExpiresAt > b.keys.Milliseconds() { // else it expires once a stall has ended
				out = appendCommands(out, e, b.keys.Milliseconds())
			}
		}
	}
	return out
}

// appendCommands appends the commands that make a key what it is.
func appendCommands(out []byte, e *keyspace.Entry, now int64) []byte {
	r := e.Value.Recipe()
	opening := resp.AppendQuoted(append([]byte(r.Command), ' '), []byte(e.Key))
	ttl := strconv.FormatInt(e.ExpiresAt-now, 10)
	if r.TakesTTL {
		out = append(out, opening...)
		for part := range r.Parts {
			out = resp.AppendQuoted(append(out, ' '), part)
		}
		if e.ExpiresAt != 0 {
			out = append(append(out, " PX "...), ttl...)
		}
		return append(out, '\n')
	}
	line := slices.Clone(opening)
	for part := range r.Parts {
		if line = resp.AppendQuoted(append(line, ' '), part); utf8.RuneCount(line) > snapshotWidth {
			break
		}
	}
	if utf8.RuneCount(line) <= snapshotWidth {
		out = append(append(out, line...), '\n')
	} else {
		n := 0
		for part := range r.Parts {
			if n%r.Group == 0 {
				out = append(out, opening...)
			}
			out = resp.AppendQuoted(append(out, ' '), part)
			if n++; n%r.Group == 0 {
				out = append(out, '\n')
			}
		}
	}
	if e.ExpiresAt != 0 {
		out = resp.AppendQuoted(append(out, "PEXPIRE "...), []byte(e.Key))
		out = append(append(append(out, ' '), ttl...), '\n')
	}
	return out
}
