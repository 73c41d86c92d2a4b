package broker

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// DEBUG, with what test suites use it for. What Redis does there to its process, its files or
// its tables is refused, or has no effect.

var debugCommands = []command.Command{
	{Name: "debug", Arity: -2, Flags: command.Admin | command.NoScript | command.Always | command.Protected, Run: withBroker(debugCommand),
		Group: "server", Since: "1.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands for tests: stall the broker, reload, digest or make data, and more."},
}

// A debugSub is a sub-command of DEBUG. COMMAND does not know them.
type debugSub struct {
	usage       string // its name, and its arguments
	least, most int    // arguments behind the name
	help        string
	run         func(*call, [][]byte) resp.Reply // gets the arguments behind the name
}

var debugSubs = []debugSub{
	{"CHANGE-REPL-ID", 0, 0, "Changes the replication ID in INFO.", debugChangeReplID},
	{"CLIENT-EVICTION", 0, 0, "Refuses, as clients are not evicted.", debugRefuse("maxmemory-clients is disabled.")},
	{"CLUSTERLINK KILL <to|from|all> <node-id>", 3, 3, "Refuses, as there is no cluster.", debugRefuse("Debug option only available for cluster mode enabled setup!")},
	{"CONFIG-REWRITE-FORCE-ALL", 0, 0, "Refuses, as there is no configuration file.", debugRefuse("CONFIG-REWRITE-FORCE-ALL failed: Bad address")},
	{"DIGEST", 0, 0, "Returns a digest of all data, the same as that of Redis.", debugDigest},
	{"DIGEST-VALUE [<key> ...]", 0, math.MaxInt, "Returns digests of values, the same as those of Redis.", debugDigestValue},
	{"ERROR <string>", 1, 1, "Answers with an error of this text.", debugError},
	{"HTSTATS <dbid>", 1, 1, "Describes the hash table of a database.", debugTable},
	{"HTSTATS-KEY <key>", 1, 1, "Describes a value that Redis would hold in a hash table.", debugTableOfKey},
	{"LISTPACK <key>", 1, 1, "Tells whether Redis would hold the value in a listpack.", debugHeldAs("listpack", "Listpack")},
	{"LOADAOF", 0, 0, "Reloads the data as RELOAD does.", debugLoadAOF},
	{"LOG <message>", 1, 1, "Writes a message to the log.", debugLog},
	{"OBJECT <key>", 1, 1, "Describes a key and its value.", debugObject},
	{"POPULATE <count> [<prefix>] [<size>]", 1, 3, "Makes strings <prefix>:<number>, or key:<number>.", debugPopulate},
	{"PROTOCOL <type>", 1, 1, "Answers with a value of a type of the protocol.", debugProtocol},
	{"QUICKLIST <key> [<0|1>]", 1, 2, "Tells whether Redis would hold the value in a quicklist.", debugHeldAs("quicklist", "Quicklist")},
	{"QUICKLIST-PACKED-THRESHOLD <size>", 1, 1, "Has no effect.", debugPackedThreshold},
	{"RELOAD [MERGE] [NOFLUSH]", 0, math.MaxInt, "Writes all values in the form of RDB, and reads them.", debugReload},
	{"SDSLEN <key>", 1, 1, "Returns the length of a key and of its string.", debugStringLength},
	{"SLEEP <seconds>", 1, 1, "Stalls the broker for a time, which may have a fraction.", debugSleep},

	{"AOF-FLUSH-SLEEP <microsec>", 1, 1, "Has no effect.", debugIgnore},
	{"DROP-CLUSTER-PACKET-FILTER <packet-type>", 1, 1, "Has no effect.", debugIgnoreInteger},
	{"PAUSE-CRON <0|1>", 1, 1, "Has no effect.", debugIgnore},
	{"REPLICATE <string>", 1, math.MaxInt, "Has no effect.", debugIgnore},
	{"SET-ACTIVE-EXPIRE <0|1>", 1, 1, "Has no effect: keys expire at their deadline.", debugIgnore},

	{"ASSERT", 0, math.MaxInt, "Refuses.", debugCrash},
	{"CRASH-AND-RECOVER [<milliseconds>]", 0, math.MaxInt, "Refuses.", debugCrash},
	{"OOM", 0, math.MaxInt, "Refuses.", debugCrash},
	{"PANIC", 0, math.MaxInt, "Refuses.", debugCrash},
	{"RESTART [<milliseconds>]", 0, math.MaxInt, "Refuses.", debugCrash},
	{"SEGFAULT", 0, math.MaxInt, "Refuses.", debugCrash},
}

func debugCommand(c *call, args [][]byte) resp.Reply {
	if len(args) == 2 && resp.Is(args[1], "HELP") {
		return debugHelp()
	}
	n := len(args) - 2
	for i := range debugSubs {
		s := &debugSubs[i]
		if name, _, _ := strings.Cut(s.usage, " "); n >= s.least && n <= s.most && resp.Is(args[1], name) {
			return s.run(c, args[2:])
		}
	}
	return tooManyArguments(args)
}

func debugHelp() resp.Reply {
	lines := []resp.Reply{resp.Simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, s := range debugSubs {
		lines = append(lines, resp.Simple(s.usage), resp.Simple("    "+s.help))
	}
	return resp.Array(append(lines, resp.Simple("HELP"), resp.Simple("    Lists the sub-commands."))...)
}

func debugSleep(c *call, args [][]byte) resp.Reply {
	c.sleep(sleepTime(args[0]))
	return resp.OK
}

// sleepTime parses seconds as C's strtod does, ignoring what follows the number. As in Redis
// a time that overflows 64 bits of microseconds is 0.
func sleepTime(arg []byte) time.Duration {
	for end := min(len(arg), 64); end > 0; end-- {
		if seconds, isFloat := resp.ParseFloat(arg[:end]); isFloat {
			if seconds < 0 || seconds*1e6 >= math.MaxInt64 {
				return 0
			}
			return time.Duration(min(seconds*1e9, math.MaxInt64/2))
		}
	}
	return 0
}

func debugError(_ *call, args [][]byte) resp.Reply {
	return resp.Reply{Kind: resp.KindError, Text: string(args[0]), N: 1} // which Redis does not count
}

func debugLog(c *call, args [][]byte) resp.Reply {
	c.log(slog.LevelWarn, "DEBUG LOG", "message", string(args[0]))
	return resp.OK
}

func debugRefuse(text string) func(*call, [][]byte) resp.Reply {
	r := resp.ErrorReply("ERR " + text)
	return func(*call, [][]byte) resp.Reply { return r }
}

// debugCrash refuses to end the process, which is that of the tests.
func debugCrash(*call, [][]byte) resp.Reply {
	return resp.ErrorReply("ERR the broker does not crash on purpose; a fault can drop connections or commands")
}

func debugIgnore(*call, [][]byte) resp.Reply { return resp.OK }

func debugIgnoreInteger(_ *call, args [][]byte) resp.Reply {
	if _, isInt := resp.ParseInt(args[0]); !isInt {
		return resp.NotAnInteger
	}
	return resp.OK
}

func debugPackedThreshold(_ *call, args [][]byte) resp.Reply {
	if n, isMemory := parseMemory(string(args[0])); !isMemory || n > math.MaxUint32 {
		return resp.ErrorReply("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
	}
	return resp.OK
}

func debugChangeReplID(c *call, _ [][]byte) resp.Reply {
	c.replicationID, c.formerReplicationID = randomID(), strings.Repeat("0", idDigits)
	return resp.OK
}

func debugDigest(c *call, _ [][]byte) resp.Reply { return resp.Simple(c.Digest().String()) }

func debugDigestValue(c *call, args [][]byte) resp.Reply {
	digests := make([]resp.Reply, len(args))
	for i, key := range args {
		var d keyspace.Digest
		if e := c.DB.Find(key); e != nil {
			e.AddTo(&d)
		}
		digests[i] = resp.Simple(d.String())
	}
	return resp.Array(digests...)
}

// debugReload does what can be seen of a restart from a file: values are held as Redis would
// hold them when they have been loaded, and who watches or tracks keys is told of a flush.
func debugReload(c *call, args [][]byte) resp.Reply {
	save, flush := true, true
	for _, arg := range args {
		switch {
		case resp.Is(arg, "MERGE"):
		case resp.Is(arg, "NOFLUSH"):
			flush = false
		case resp.Is(arg, "NOSAVE"):
			save = false
		default:
			return resp.ErrorReply("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
		}
	}
	if !save {
		return cannotLoad // there is no file
	}
	c.noteSave()
	return c.reload(flush)
}

var cannotLoad = resp.ErrorReply("ERR Error trying to load the RDB dump, check server logs.")

func debugLoadAOF(c *call, _ [][]byte) resp.Reply { return c.reload(true) }

func (c *call) reload(flush bool) resp.Reply {
	if flush {
		for _, d := range c.DBs {
			c.signalFlushed(d)
		}
	}
	if err := c.Reload(); err != nil {
		c.log(slog.LevelError, "DEBUG RELOAD failed", "error", err)
		return cannotLoad
	}
	if flush && c.tracking.active {
		c.tracking.flushed(c.session.origin())
	}
	return resp.OK
}

// ofEntry answers what tell says of a key that exists. Some count that as a read, as in Redis.
func ofEntry(e *keyspace.Entry, tell func(*keyspace.Entry) resp.Reply) resp.Reply {
	if e == nil {
		return resp.NoSuchKey
	}
	return tell(e)
}

func debugObject(c *call, args [][]byte) resp.Reply {
	return ofEntry(c.DB.Find(args[0]), func(e *keyspace.Entry) resp.Reply {
		return resp.Simple(fmt.Sprintf("Value at:%p refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
			e, e.Value.Encoding(), len(e.Value.AppendRDB(nil))-1, e.Used&keyspace.LRUClockMask, c.Second-e.Used))
	})
}

func debugStringLength(c *call, args [][]byte) resp.Reply {
	return ofEntry(c.DB.Find(args[0]), func(e *keyspace.Entry) resp.Reply {
		text, isText := e.Value.(keyspace.Text)
		if !isText {
			return resp.ErrorReply("ERR Not an sds encoded string.")
		}
		value := text.Text()
		return resp.Simple(fmt.Sprintf("key_sds_len:%d, key_sds_avail:0, key_zmalloc: %d, val_sds_len:%d, val_sds_avail:%d, val_zmalloc: %d",
			len(e.Key), len(e.Key), len(value), cap(value)-len(value), cap(value)))
	})
}

// debugHeldAs tells whether Redis would hold a value in a form. Redis prints it.
func debugHeldAs(encoding, name string) func(*call, [][]byte) resp.Reply {
	return func(c *call, args [][]byte) resp.Reply {
		return ofEntry(c.Inspect(args[0]), func(e *keyspace.Entry) resp.Reply {
			if e.Value.Encoding() != encoding {
				return resp.ErrorReply("ERR Not a " + encoding + " encoded object.")
			}
			return resp.Simple(name + " structure printed on stdout")
		})
	}
}

// tableStats describes a hash table of so many elements, 0 slots meaning that it is not known.
func tableStats(elements, slots int) string {
	const title = "Hash table 0 stats (main hash table):\n"
	switch {
	case elements == 0:
		return title + "No stats available for empty dictionaries\n"
	case slots == 0:
		return fmt.Sprintf("%s number of elements: %d\n", title, elements)
	}
	return fmt.Sprintf("%s table size: %d\n number of elements: %d\n", title, slots, elements)
}

func debugTable(c *call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[0])
	switch {
	case !isInt:
		return resp.NotAnInteger
	case n < 0 || n >= int64(len(c.DBs)):
		return resp.ErrorReply("ERR Out of range database")
	}
	d := c.DBs[n]
	return resp.Verbatim("[Dictionary HT]\n" + tableStats(d.Len(), d.Slots()) + "[Expires HT]\n" + tableStats(d.Expiring(), 0))
}

func debugTableOfKey(c *call, args [][]byte) resp.Reply {
	return ofEntry(c.Inspect(args[0]), func(e *keyspace.Entry) resp.Reply {
		switch e.Value.Encoding() {
		case "hashtable", "skiplist":
			r, n := e.Value.Recipe(), 0
			for range r.Parts {
				n++
			}
			return resp.Verbatim(tableStats(n/r.Group, 0))
		}
		return resp.ErrorReply("ERR The value stored at the specified key is not represented using an hash table")
	})
}

// mostPopulated is how many bytes DEBUG POPULATE makes at most, about: it has to end.
const mostPopulated = 1 << 32

func debugPopulate(c *call, args [][]byte) resp.Reply {
	n, isInt := resp.ParseInt(args[0])
	if !isInt || n < 0 {
		return resp.NotPositive
	}
	const longest = 127 // of the text that Redis makes a key of
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = resp.CString(args[1], longest)
	}
	if len(args) > 2 {
		if size, isInt = resp.ParseInt(args[2]); !isInt || size < 0 {
			return resp.NotPositive
		}
	}
	if size > int64(c.MaxBulk) || n > mostPopulated/(size+int64(len(prefix))+200) {
		return resp.CountOutOfRange
	}
	for i := range n {
		key := fmt.Appendf(nil, "%s:%d", prefix, i)
		key = key[:min(len(key), longest)]
		if c.DB.Find(key) != nil {
			continue
		}
		value := fmt.Appendf(nil, "value:%d", i)
		if size > 0 {
			value = append(make([]byte, 0, size), value[:min(len(value), int(size))]...)[:size]
		}
		c.Create(key, c.Types.String(value))
		c.SignalModified(c.Caller, c.DB, key)
	}
	return resp.OK
}

// debugProtocol answers with a value of each type that RESP3 has.
func debugProtocol(c *call, args [][]byte) resp.Reply {
	isRESP3 := c.session.protocol == 3
	switch name := strings.ToLower(string(args[0])); name {
	case "string":
		return resp.BulkString("Hello World")
	case "integer":
		return resp.Integer(12345)
	case "double":
		return resp.Reply{Kind: resp.KindDouble, Bytes: []byte("3.141")}
	case "bignum":
		return resp.BigNumber("1234567999999999999999999999999999999")
	case "null":
		return resp.Null
	case "array":
		return resp.Array(resp.Zero, resp.One, resp.Integer(2))
	case "set":
		return resp.Set(resp.Zero, resp.One, resp.Integer(2))
	case "map":
		return resp.Map(resp.Zero, resp.Boolean(false), resp.One, resp.Boolean(true), resp.Integer(2), resp.Boolean(false))
	case "attrib":
		r := resp.BulkString("Some real reply following the attribute")
		if !isRESP3 {
			return r
		}
		return resp.Sequence(resp.Attribute(resp.BulkString("key-popularity"), resp.Array(resp.BulkString("key:123"), resp.Integer(90))), r)
	case "push":
		if !isRESP3 {
			return resp.ErrorReply("ERR RESP2 is not supported by this command")
		}
		return resp.Sequence(resp.Push(resp.BulkString("server-cpu-usage"), resp.Integer(42)), resp.BulkString("Some real reply following the push reply"))
	case "true", "false":
		return resp.Boolean(name == "true")
	case "verbatim":
		return resp.Verbatim("This is a verbatim\nstring")
	}
	return resp.ErrorReply("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
}
