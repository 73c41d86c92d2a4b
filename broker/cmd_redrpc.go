package broker

import (
	"fmt"
	"math"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// The commands of Options.TestCommands: methods of Broker for tests in other languages.
// Without the option they do not exist.

// testRows are their rows in the table.
var testRows = []command.Command{
	{Name: "redrpc.advance", Arity: 2, Flags: forTests, Run: withBroker(testAdvance),
		Group: "test", Since: "0.1.0", Complexity: "O(N) where N is the number of keys that expire", Summary: "Moves a manual clock forward, in milliseconds."},
	{Name: "redrpc.fault", Arity: -2, Group: "test", Since: "0.1.0", Complexity: "Depends on the sub-command.", Summary: "Commands about rules by which things go wrong.", Subs: []*command.Command{
		{Name: "add", Arity: 3, Flags: forTests, Run: withBroker(testFaultAdd), Since: "0.1.0", Complexity: "O(1)", Summary: "Makes a rule of a fault and returns its number."},
		{Name: "del", Arity: 3, Flags: forTests, Run: withBroker(testFaultDel), Since: "0.1.0", Complexity: "O(N) where N is the number of rules", Summary: "Ends the rule with a number."},
		{Name: "help", Arity: 2, Flags: forTests, Since: "0.1.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "list", Arity: 2, Flags: forTests, Run: withBroker(testFaultList), Since: "0.1.0", Complexity: "O(N) where N is the number of rules", Summary: "Returns the rules, with how many commands they were about, and how many something happened to."},
		{Name: "wait", Arity: 5, Flags: forTests, Run: withBroker(testFaultWait), Since: "0.1.0", Complexity: "O(1)", Summary: "Waits until a rule has fired a number of times; for so many milliseconds at most, or for ever if that is 0."},
	}},
	{Name: "redrpc.log", Arity: -1, Flags: forTests, Run: withBroker(testLog),
		Group: "test", Since: "0.1.0", Complexity: "O(N) where N is the number of commands returned", Summary: "Returns the last commands that the broker saw, or so many of them, a line each."},
	{Name: "redrpc.seed", Arity: 2, Flags: forTests, Run: withBroker(testSeed),
		Group: "test", Since: "0.1.0", Complexity: "O(N) where N is the number of lines", Summary: "Runs the commands in a text, one per line."},
	{Name: "redrpc.snapshot", Arity: 1, Flags: forTests, Run: withBroker(testSnapshot),
		Group: "test", Since: "0.1.0", Complexity: "O(N) where N is the number of elements in all databases", Summary: "Returns what all databases hold, as text that REDRPC.SEED takes."},
	{Name: "redrpc.violations", Arity: 1, Flags: forTests, Run: withBroker(testViolations),
		Group: "test", Since: "0.1.0", Complexity: "O(N) where N is the number of violations", Summary: "Returns what clients have done that strict mode does not let pass, a line each."},
	{Name: "redrpc.waitblocked", Arity: -3, Flags: forTests, Run: withBroker(testWaitBlocked),
		Group: "test", Since: "0.1.0", Complexity: "O(1)", Summary: "Waits until a number of clients are blocked, on one of the keys if any are given; for so many milliseconds at most, or for ever if that is 0."},
}

const forTests = command.Admin | command.NoScript | command.Always | command.NeverPostponed

func testSnapshot(c *call, _ [][]byte) resp.Reply { return resp.Verbatim(string(c.snapshot())) }

func testSeed(c *call, args [][]byte) resp.Reply {
	if err := c.Broker.seed(args[1]); err != nil {
		return resp.Errorf("ERR %v", err)
	}
	return resp.OK
}

// A clockMove is a REDRPC.ADVANCE. The client is blocked until it is done, so that the next
// command sees the new time. In a transaction it is done after EXEC, without waiting.
type clockMove struct {
	by      time.Duration
	session *session // that is blocked; nil: none
}

// longestMove is how far a client can advance the clock at once, as all timers of that
// time run under the lock.
const longestMove = 10 * 365 * 24 * time.Hour

func testAdvance(c *call, args [][]byte) resp.Reply {
	ms, isInt := resp.ParseInt(args[1])
	switch {
	case !c.clock.manual:
		return resp.ErrorReply("ERR the broker's clock is real: only a manual one can be moved")
	case !isInt:
		return resp.NotAnInteger
	case ms < 0 || ms > longestMove.Milliseconds() || ms > c.timeLeft().Milliseconds():
		return resp.ErrorReply("ERR time can be moved by 0 to 10 years, and not beyond the year 2262")
	}
	m := &clockMove{by: time.Duration(ms) * time.Millisecond}
	c.moves = append(c.moves, m)
	if c.session.transaction.running {
		return resp.OK
	}
	m.session = c.session
	return (&keyspace.Wait{Late: resp.OK, Left: func() { m.session = nil }}).Reply()
}

// moveClock does the clock moves that clients have asked for.
func (b *Broker) moveClock() {
	for len(b.moves) > 0 {
		m := b.moves[0]
		b.moves = b.moves[1:]
		b.advance(m.by)
		if m.session != nil {
			m.session.unblock(0, resp.OK)
		}
		b.afterBatch()
	}
	b.moves = nil
}

// parseWait parses a count, and a timeout in milliseconds.
func parseWait(times, wait []byte) (n int, timeout time.Duration, err *resp.Reply) {
	number, isInt := resp.ParseInt(times)
	ms, isInt2 := resp.ParseInt(wait)
	switch {
	case !isInt || !isInt2:
		return 0, 0, &resp.NotAnInteger
	case number < 0 || ms < 0 || number > math.MaxInt32 || ms > math.MaxInt64/int64(time.Millisecond):
		return 0, 0, &resp.NotPositive
	}
	return int(number), time.Duration(ms) * time.Millisecond, nil
}

func testWaitBlocked(c *call, args [][]byte) resp.Reply {
	n, timeout, err := parseWait(args[1], args[2])
	if err != nil {
		return *err
	}
	var keys []string
	for _, key := range args[3:] {
		keys = append(keys, string(key))
	}
	b := c.Broker
	return c.waitUntil(func() bool { return b.areBlocked(n, keys) }, timeout,
		resp.Errorf("ERR fewer than %d clients were blocked for %v", n, timeout))
}

func testFaultAdd(c *call, args [][]byte) resp.Reply {
	f, err := ParseFault(string(args[2]))
	if err != nil {
		return resp.Errorf("ERR %s", strings.TrimPrefix(err.Error(), "broker: "))
	}
	if c.clock.manual && f.slows() && (f.Client == "" || glob.Match(f.Client, c.session.name, false)) {
		return resp.ErrorReply("ERR the network of this client would be slow, too, while the clock stands still: nobody could move it any more; " +
			"expected client= with the name of others")
	}
	r, err := c.inject(f)
	if err != nil {
		return resp.Errorf("ERR %s", strings.TrimPrefix(err.Error(), "broker: "))
	}
	return resp.Integer(r.id)
}

// rule finds a rule by its number.
func (c *call) rule(number []byte) (*Rule, *resp.Reply) {
	id, isInt := resp.ParseInt(number)
	if !isInt {
		return nil, &resp.NotAnInteger
	}
	for _, r := range c.rules {
		if r.id == id {
			return r, nil
		}
	}
	err := resp.Errorf("ERR there is no rule %d", id)
	return nil, &err
}

func testFaultDel(c *call, args [][]byte) resp.Reply {
	r, err := c.rule(args[2])
	if err != nil {
		return *err
	}
	r.remove()
	return resp.OK
}

func testFaultList(c *call, _ [][]byte) resp.Reply {
	var rules []resp.Reply
	for _, r := range c.rules {
		rules = append(rules, resp.Map(
			resp.BulkString("id"), resp.Integer(r.id), resp.BulkString("fault"), resp.BulkString(r.String()),
			resp.BulkString("matched"), resp.Int(r.matched), resp.BulkString("fired"), resp.Int(r.fired),
		))
	}
	return resp.Array(rules...)
}

func testFaultWait(c *call, args [][]byte) resp.Reply {
	r, err := c.rule(args[2])
	if err != nil {
		return *err
	}
	n, timeout, err := parseWait(args[3], args[4])
	if err != nil {
		return *err
	}
	return c.waitUntil(func() bool { return r.fired >= n }, timeout,
		resp.Errorf("ERR rule %d fired less than %d times for %v", r.id, n, timeout))
}

func testLog(c *call, args [][]byte) resp.Reply {
	records := c.records()
	switch {
	case len(args) > 2:
		return c.WrongNumber()
	case len(args) == 2:
		n, isInt := resp.ParseInt(args[1])
		if !isInt || n < 0 {
			return resp.NotPositive
		}
		records = records[max(0, len(records)-int(min(n, math.MaxInt32))):]
	}
	return lines(records)
}

func testViolations(c *call, _ [][]byte) resp.Reply { return lines(c.violations) }

// lines is an array of strings.
func lines[T fmt.Stringer](all []T) resp.Reply {
	answers := make([]resp.Reply, len(all))
	for i, one := range all {
		answers[i] = resp.BulkString(one.String())
	}
	return resp.Array(answers...)
}
