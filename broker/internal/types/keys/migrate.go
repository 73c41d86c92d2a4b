package keys

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// MIGRATE, as of a server that reaches no other one.

var migrateCommands = []command.Command{
	{Name: "migrate", Arity: -6, Flags: command.Write | command.MovableKeys, Run: migrate, ACL: "keyspace dangerous", Tips: "nondeterministic_output",
		Keys:  []command.KeySpec{{Flags: "RW access delete", First: 3, Step: 1, Find: migratesOne}, {Flags: "RW access delete incomplete", Last: -1, Step: 1, Keyword: "KEYS", From: -2, Find: migratesSome, Use: func([][]byte) string { return "RW access delete" }}},
		Group: "generic", Since: "2.6.0", Complexity: "O(N) where N is the number of keys", Summary: "Fails for keys that exist, as the broker connects to nobody."},
}

// migratesOne and migratesSome find the keys of MIGRATE: those behind KEYS, for which the
// first key has to be empty, or else that one.
func migratesOne(args [][]byte) (indexes []int, ok bool) {
	from := behindKeys(args)
	switch {
	case from == 0:
		return []int{3}, true
	case len(args[3]) > 0:
		return nil, false
	}
	return nil, true
}

func migratesSome(args [][]byte) (indexes []int, ok bool) {
	if from := behindKeys(args); from > 0 {
		for i := from; i < len(args); i++ {
			indexes = append(indexes, i)
		}
	}
	return indexes, true
}

// behindKeys returns the index behind KEYS, or 0 if there are no keys.
func behindKeys(args [][]byte) int {
	for i := 6; i+1 < len(args); i++ {
		switch {
		case resp.Is(args[i], "KEYS"):
			return i + 1
		case resp.Is(args[i], "AUTH"):
			i++
		case resp.Is(args[i], "AUTH2"):
			i += 2
		}
	}
	return 0
}

// unreachable is Redis's answer where nobody listens.
var unreachable = resp.ErrorReply("IOERR error or timeout writing to target instance")

func migrate(c *keyspace.Call, args [][]byte) resp.Reply {
	names := args[3:4]
	for i := 6; i < len(args); i++ {
		rest := args[i+1:]
		switch {
		case resp.Is(args[i], "COPY"), resp.Is(args[i], "REPLACE"):
		case resp.Is(args[i], "AUTH") && len(rest) >= 1:
			i++
		case resp.Is(args[i], "AUTH2") && len(rest) >= 2:
			i += 2
		case resp.Is(args[i], "KEYS") && len(args[3]) > 0:
			return resp.ErrorReply("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
		case resp.Is(args[i], "KEYS"):
			names = rest
			i = len(args)
		default:
			return resp.SyntaxError
		}
	}
	for _, number := range [][]byte{args[5], args[4]} { // timeout, database
		if _, isInt := resp.ParseInt(number); !isInt {
			return resp.NotAnInteger
		}
	}
	if countKeys(names, c.Lookup).N == 0 {
		return resp.Simple("NOKEY")
	}
	return unreachable
}
