package broker

import (
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// There is no disk. To save succeeds at once: LASTSAVE moves on, by the broker's clock, and
// nothing is written.

var persistenceCommands = []command.Command{
	{Name: "save", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti, Run: withBroker(save),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Only sets the time of LASTSAVE, as there is no disk."},
	{Name: "bgsave", Arity: -1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading, Run: withBroker(bgsave),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Only sets the time of LASTSAVE, as there is no disk."},
	{Name: "bgrewriteaof", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading, Run: withBroker(bgrewriteaof),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Only counts in INFO, as there is no disk."},
	{Name: "lastsave", Arity: 1, Flags: command.Always | command.Fast, Run: withBroker(lastsave), ACL: "admin dangerous", Tips: "nondeterministic_output",
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the time of the last SAVE or BGSAVE, in seconds since 1970."},
}

// saves are what INFO and LASTSAVE tell of saving.
type saves struct {
	last     int64 // nanoseconds since 1970; at first when the broker was made
	changes  int64 // Keyspace.Changes at that time
	count    int64 // since the last CONFIG RESETSTAT
	inBack   int64 // how many of all were BGSAVEs
	rewrites int64 // BGREWRITEAOFs since the last CONFIG RESETSTAT
	rewrote  bool  // there was one at all
}

func (c *call) noteSave() {
	c.saves.last, c.saves.changes = c.keys.Now, c.keys.Changes
	c.saves.count++
}

func save(c *call, _ [][]byte) resp.Reply {
	c.noteSave()
	return resp.OK
}

func bgsave(c *call, args [][]byte) resp.Reply {
	if len(args) > 2 || len(args) == 2 && !resp.Is(args[1], "SCHEDULE") {
		return resp.SyntaxError
	}
	c.noteSave()
	c.saves.inBack++
	return resp.Simple("Background saving started")
}

func bgrewriteaof(c *call, _ [][]byte) resp.Reply {
	c.saves.rewrites++
	c.saves.rewrote = true
	return resp.Simple("Background append only file rewriting started")
}

func lastsave(c *call, _ [][]byte) resp.Reply {
	return resp.Integer(c.saves.last / int64(time.Second))
}
