package broker

import (
	"fmt"
	"math"
	"time"
)

// The commands of Options.TestCommands: what a test in Go does by the methods of a
// Broker, for tests in other languages. Without the option they do not exist.

// testRows are their rows of the table.
var testRows = []command{
	{name: "redrpc.advance", arity: 2, flags: forTests, run: testAdvance,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of keys that expire", summary: "Moves a manual clock forward, in milliseconds."},
	{name: "redrpc.log", arity: -1, flags: forTests, run: testLog,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of commands returned", summary: "Returns the last commands that the broker saw, or so many of them, a line each."},
	{name: "redrpc.seed", arity: 2, flags: forTests, run: testSeed,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of lines", summary: "Runs the commands in a text, one per line."},
	{name: "redrpc.snapshot", arity: 1, flags: forTests, run: testSnapshot,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of elements in all databases", summary: "Returns what all databases hold, as text that REDRPC.SEED takes."},
	{name: "redrpc.violations", arity: 1, flags: forTests, run: testViolations,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of violations", summary: "Returns what clients have done that strict mode does not let pass, a line each."},
	{name: "redrpc.waitblocked", arity: -3, flags: forTests, run: testWaitBlocked,
		group: "test", since: "0.1.0", cost: "O(1)", summary: "Waits until a number of clients are blocked, on one of the keys if any are given; for so many milliseconds at most, or for ever if that is 0."},
}

const forTests = admin | noScript | always | unhindered

func testSnapshot(c *call, _ [][]byte) reply { return verbatim(string(c.snapshot())) }

func testSeed(c *call, args [][]byte) reply {
	if err := c.Broker.seed(args[1]); err != nil {
		return failuref("ERR %v", err)
	}
	return ok
}

// A clockMove is what REDRPC.ADVANCE asks for. The client waits until it has been made,
// so that what it sends behind it sees the new time. In a transaction it is made at the
// end, for which nobody waits.
type clockMove struct {
	by      time.Duration
	session *session // nil: it does not wait, or no more
}

// longestMove is how far a client can move the clock at once. All that happens on the
// way is done while everybody waits.
const longestMove = 10 * 365 * 24 * time.Hour

func testAdvance(c *call, args [][]byte) reply {
	ms, isInt := parseInt(args[1])
	switch {
	case !c.clock.manual:
		return failure("ERR the broker's clock is real: only a manual one can be moved")
	case !isInt:
		return notAnInteger
	case ms < 0 || ms > longestMove.Milliseconds() || ms > (math.MaxInt64-c.now)/int64(time.Millisecond):
		return failure("ERR time can be moved by 0 to 10 years, and not beyond the year 2262")
	}
	m := &clockMove{by: time.Duration(ms) * time.Millisecond}
	c.moves = append(c.moves, m)
	if c.session.transaction.running {
		return ok
	}
	m.session = c.session
	return reply{kind: kindWait, wait: &wait{late: ok, left: func() { m.session = nil }}}
}

// moveClock makes the moves that clients have asked for.
func (b *Broker) moveClock() {
	for len(b.moves) > 0 {
		m := b.moves[0]
		b.moves = b.moves[1:]
		b.advance(m.by)
		if m.session != nil {
			m.session.unblock(0, ok)
		}
		b.settle()
	}
	b.moves = nil
}

func testWaitBlocked(c *call, args [][]byte) reply {
	n, isInt := parseInt(args[1])
	ms, isInt2 := parseInt(args[2])
	switch {
	case !isInt || !isInt2:
		return notAnInteger
	case n < 0 || ms < 0 || n > math.MaxInt32 || ms > math.MaxInt64/int64(time.Millisecond):
		return notPositive
	}
	var keys []string
	for _, key := range args[3:] {
		keys = append(keys, string(key))
	}
	return c.waitBlocked(int(n), time.Duration(ms)*time.Millisecond, keys)
}

func testLog(c *call, args [][]byte) reply {
	records := c.records()
	switch {
	case len(args) > 2:
		return c.wrongNumber()
	case len(args) == 2:
		n, isInt := parseInt(args[1])
		if !isInt || n < 0 {
			return notPositive
		}
		records = records[max(0, len(records)-int(min(n, math.MaxInt32))):]
	}
	return lines(records)
}

func testViolations(c *call, _ [][]byte) reply { return lines(c.breaches) }

// lines answers each in one line.
func lines[T fmt.Stringer](all []T) reply {
	answers := make([]reply, len(all))
	for i, one := range all {
		answers[i] = bulkString(one.String())
	}
	return array(answers...)
}
