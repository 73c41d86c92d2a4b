package broker

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"redrpc/broker/internal/resp"
)

// snapshotWidth is how long a line of a snapshot gets, in characters, before a key
// takes a line for each of its elements.
const snapshotWidth = 100

// Snapshot returns what all databases hold, as text for people, programs and golden
// files: the commands that bring it about, one per line, the keys in order.
//
//	RPUSH jobs one 'two "quoted"' "three\n"
//	SET greeting hello PX 1500
//	SELECT 1
//	SET k v
//
// A key with more than fits in a line of 100 characters takes a line for each
// element. Times to live are in milliseconds by the broker's clock, so a test that
// compares them stops it: see Options.ManualTime, or use testing/synctest. Words are
// quoted as redis-cli takes them, and nothing is lost: [Broker.Seed] brings the same
// about, and so does redis-cli.
func (b *Broker) Snapshot() string {
	b.enter()
	defer b.leave()
	return string(b.snapshot())
}

func (b *Broker) snapshot() []byte {
	var out []byte
	for _, d := range b.dbs {
		if d.index > 0 && len(d.entries) > 0 {
			out = append(out, "SELECT "...)
			out = strconv.AppendInt(out, int64(d.index), 10)
			out = append(out, '\n')
		}
		for _, key := range slices.Sorted(maps.Keys(d.entries)) {
			if e := d.entries[key]; e.at == 0 || e.at > b.milliseconds() { // else it expires once a stall has ended
				out = e.appendCommands(out, b.milliseconds())
			}
		}
	}
	return out
}

// appendCommands appends the commands that make a key what it is.
func (e *entry) appendCommands(out []byte, now int64) []byte {
	command, size, parts := e.value.recipe()
	opening := resp.AppendQuoted(append([]byte(command), ' '), []byte(e.key))
	ttl := strconv.FormatInt(e.at-now, 10)
	if t, isText := e.value.(*stringValue); isText {
		out = resp.AppendQuoted(append(append(out, opening...), ' '), t.bytes)
		if e.at != 0 {
			out = append(append(out, " PX "...), ttl...)
		}
		return append(out, '\n')
	}
	line := slices.Clone(opening)
	for part := range parts {
		if line = resp.AppendQuoted(append(line, ' '), part); utf8.RuneCount(line) > snapshotWidth {
			break
		}
	}
	if utf8.RuneCount(line) <= snapshotWidth {
		out = append(append(out, line...), '\n')
	} else {
		n := 0
		for part := range parts {
			if n%size == 0 {
				out = append(out, opening...)
			}
			out = resp.AppendQuoted(append(out, ' '), part)
			if n++; n%size == 0 {
				out = append(out, '\n')
			}
		}
	}
	if e.at != 0 {
		out = resp.AppendQuoted(append(out, "PEXPIRE "...), []byte(e.key))
		out = append(append(append(out, ' '), ttl...), '\n')
	}
	return out
}

func (t *stringValue) recipe() (command string, size int, parts iter.Seq[[]byte]) {
	return "SET", 1, func(yield func([]byte) bool) { yield(t.bytes) }
}

func (l *list) recipe() (command string, size int, parts iter.Seq[[]byte]) {
	return "RPUSH", 1, func(yield func([]byte) bool) {
		for _, p := range l.walk(left) {
			if !yield(p.value()) {
				return
			}
		}
	}
}
