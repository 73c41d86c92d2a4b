package broker

// The commands of Options.TestCommands: what a test in Go does by the methods of a
// Broker, for tests in other languages. Without the option they do not exist.

// testRows are their rows of the table.
var testRows = []command{
	{name: "redrpc.seed", arity: 2, flags: forTests, run: testSeed,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of lines", summary: "Runs the commands in a text, one per line."},
	{name: "redrpc.snapshot", arity: 1, flags: forTests, run: testSnapshot,
		group: "test", since: "0.1.0", cost: "O(N) where N is the number of elements in all databases", summary: "Returns what all databases hold, as text that REDRPC.SEED takes."},
}

const forTests = admin | noScript | always

func testSnapshot(c *call, _ [][]byte) reply { return verbatim(string(c.snapshot())) }

func testSeed(c *call, args [][]byte) reply {
	if err := c.Broker.seed(args[1]); err != nil {
		return failuref("ERR %v", err)
	}
	return ok
}
