//go:build unix

package broker

import (
	"math"
	"slices"
	"strings"

	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// Where the broker and redis-server may differ. What is not listed here is
// compared byte for byte.

// A rule makes equal what may be different in the replies to a row.
type rule struct {
	rows  string // full names, separated by spaces; "": any
	why   string
	level func(args []string, redis, broker []*answer)
}

var rules = []rule{
	{"hrandfield srandmember spop", "any elements will do", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.shape() == b.shape() {
				*b = *r
			}
		})
	}},
	{"zrandmember", "any members will do, unless all are asked for", func(args []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(args) == 2 && r.kind == '$' && b.kind == '$' && !r.null && !b.null {
				b.text = r.text
			}
			if len(args) > 2 && r.kind == '*' && len(r.items) == len(b.items) {
				count, _ := resp.ParseInt([]byte(args[2]))
				if count <= int64(len(r.items)) {
					b.items = r.items
				}
			}
		})
	}},
	{"ttl pttl expiretime pexpiretime", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			rn, bn := r.number(), b.number()
			if rn > 1_000_000 && max(rn-bn, bn-rn) < 30_000 {
				b.text = r.text
			}
		})
	}},
	{"xinfo|stream", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		levelMoments(redis)
		levelMoments(broker)
	}},
	{"xinfo|consumers", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		levelField(redis, "idle")
		levelField(broker, "idle")
	}},
	{"xpending", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		levelIdle(redis)
		levelIdle(broker)
	}},
	{"acl|cat", "the broker has fewer commands, in another order", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '*' && len(r.items) > 0 && r.items[0].text != "keyspace" {
				r.knownCommands()
				b.knownCommands()
			}
		})
	}},
	{"acl|genpass", "any will do that is as long", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '$' && len(r.text) == len(b.text) {
				b.text = r.text
			}
		})
	}},
	{"acl|list acl|getuser", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortCommandRules(redis)
		sortCommandRules(broker)
	}},
	{"acl|log", "the servers are asked a moment apart, and clients have other addresses and memory", func(_ []string, redis, broker []*answer) {
		levelDenials(redis)
		levelDenials(broker)
	}},
	{"time", "the servers are asked a moment apart", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(r.items) == 2 && len(b.items) == 2 && max(r.items[0].number()-b.items[0].number(), b.items[0].number()-r.items[0].number()) < 30 {
				b.items = r.items
			}
		})
	}},
	{"command command|docs command|info command|list", "the broker has fewer commands, in another order, and its own words for them", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.knownCommands()
			b.knownCommands()
		})
	}},
	{"command|count", "the broker has fewer commands", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.number() == 240 && b.number() == int64(len(table.Order)) {
				b.text = r.text
			}
		})
	}},
	{"config|get", "the broker has them in the order of their names, and some values of its own", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.knownSettings()
			b.knownSettings()
		})
	}},
	{"keys scan pubsub|channels pubsub|shardchannels", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortBulks(redis)
		sortBulks(broker)
	}},
	{"scan", "a cursor says where in a hash table the iteration stands: only complete ones are compared, and what all pages of a scan have together", func(args []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(args) > 1 && r.isScan() && b.isScan() && (r.items[0].text != "0" || b.items[0].text != "0" || args[1] != "0") {
				b.items = r.items
			}
		})
	}},
	{"randomkey", "any key will do", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == '$' && b.kind == '$' && !r.null && !b.null {
				b.text = r.text
			}
		})
	}},
	{"unsubscribe punsubscribe sunsubscribe", "hash tables have no order", func(_ []string, redis, broker []*answer) {
		sortUnsubscribed(redis)
		sortUnsubscribed(broker)
	}},
	{"", "a message for several patterns of a client comes in the order of a hash table", func(_ []string, redis, broker []*answer) {
		sortPatterns(redis)
		sortPatterns(broker)
	}},
	{"", "redis-server tells a client that others redirect to of a flush in the protocol of the other: a null that its own may not have", func(_ []string, redis, broker []*answer) {
		levelNulls(redis)
		levelNulls(broker)
	}},
	{"info client|list client|info", "the memory and addresses of the broker are others, INFO tells less, and clients have no Unix socket (U) and are unblocked (u) at once", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.text, b.text = selectFields(r.text), selectFields(b.text)
		})
	}},
	{"dump", "how a list is cut into pieces depends on how it came about, hash tables have no order, and groups of a stream have times", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if sameContent(r.dumped(), b.dumped()) {
				b.text = r.text
			}
		})
	}},
	{"migrate", "a refused connection may be noticed before it is written to", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.text == "IOERR error or timeout connecting to the client" && b.text == "IOERR error or timeout writing to target instance" {
				b.text = r.text
			}
		})
	}},
	{"function|list", "libraries and their functions have no order", func(_ []string, redis, broker []*answer) {
		sortLibraries(redis)
		sortLibraries(broker)
	}},
	{"function|restore", "which of several is there already depends on their order", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			for _, name := range []string{"libraryExists", "functionExists"} {
				text := "ERR " + failures[name].text
				if r.kind == '-' && b.kind == '-' && glob.Match(text, r.text, false) && glob.Match(text, b.text, false) {
					b.text = r.text
				}
			}
		})
	}},
	{"function|dump", "libraries have no order", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if sameLibraries(r.text, b.text) {
				b.text = r.text
			}
		})
	}},
	{"object|idletime", "redis-server counts the use of a small integer for all keys that share it", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"object|freq", "counters of uses grow by chance", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' && b.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"object|refcount", "in a transaction of redis-server the queued command counts too", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' && r.text == "2" && b.text == "1" {
				b.text = r.text
			}
		})
	}},
	{"memory|usage", "the broker estimates what values take", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"memory|stats", "memory is managed in another way", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.keepField("keys.count")
			b.keepField("keys.count")
		})
	}},
	{"memory|doctor", "the broker has its own words", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if strings.Contains(r.text, "very little memory") && strings.Contains(b.text, "little memory") {
				b.text = r.text
			}
		})
	}},
	{"lastsave", "the servers were started a moment apart", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if r.kind == ':' && b.kind == ':' {
				b.text = r.text
			}
		})
	}},
	{"memory|malloc-stats", "the allocator is another", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if strings.Contains(r.text, "jemalloc") && strings.Contains(b.text, "Go's allocator") {
				b.text = r.text
			}
		})
	}},
	{"", "redis-server tells of a key that has expired between any two commands that MONITOR shows", func(_ []string, redis, broker []*answer) {
		if slices.ContainsFunc(redis, (*answer).tellsOfExpiry) {
			pushesFirst(redis)
			pushesFirst(broker)
		}
	}},
	{"", "the servers are asked a moment apart, and clients have other addresses", func(_ []string, redis, broker []*answer) {
		levelShown(redis)
		levelShown(broker)
	}},
	{"latency|histogram", "one server is faster than the other", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			r.levelUsages()
			b.levelUsages()
		})
	}},
	{"latency|doctor", "the broker has its own words", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if strings.Contains(r.text, "monitoring is disabled") && strings.Contains(b.text, "monitor is off") ||
				strings.Contains(r.text, "no latency spike") && strings.Contains(b.text, "No command") {
				b.text = r.text
			}
		})
	}},
	{"acl|help client|help command|help config|help function|help latency|help memory|help module|help object|help pubsub|help script|help slowlog|help xgroup|help xinfo|help debug", "the broker explains in its own words the sub-commands that it has", func(_ []string, redis, broker []*answer) {
		pairs(redis, broker, func(r, b *answer) {
			if len(r.items) > 1 && len(b.items) > 1 && r.items[0].text == b.items[0].text {
				b.items = r.items
			}
		})
	}},
}

// tableRules are about keys that are held in hash tables, which have no order: what is small
// and in one piece is compared as it comes.
var tableRules = []rule{
	{"hgetall", "fields with their values", func(_ []string, redis, broker []*answer) {
		sortElements(redis, 2)
		sortElements(broker, 2)
	}},
	{"hkeys hvals smembers sinter sunion sdiff", "elements", func(_ []string, redis, broker []*answer) {
		sortElements(redis, 1)
		sortElements(broker, 1)
	}},
	{"sort sort_ro", "ALPHA compares up to the first zero byte, and leaves members that are equal so far in the order of a hash table", func(args []string, redis, broker []*answer) {
		if !slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, "ALPHA") }) {
			return
		}
		toZero := func(x *answer) string { return resp.CString([]byte(x.text), len(x.text)) }
		pairs(redis, broker, func(r, b *answer) {
			same := slices.EqualFunc(r.items, b.items, func(x, y *answer) bool { return toZero(x) == toZero(y) })
			if same && slices.EqualFunc(slices.SortedFunc(slices.Values(r.items), byText), slices.SortedFunc(slices.Values(b.items), byText), func(x, y *answer) bool { return x.text == y.text }) {
				b.items = r.items
			}
		})
	}},
	{"sort sort_ro", "members that are not sorted: as many will do if but a part of them is asked for", func(args []string, redis, broker []*answer) {
		given := map[string]int{}
		for _, arg := range args {
			given[strings.ToUpper(arg)]++
		}
		switch {
		case given["BY"] == 0:
		case given["LIMIT"] == 0:
			sortElements(redis, max(1, given["GET"]))
			sortElements(broker, max(1, given["GET"]))
		default:
			pairs(redis, broker, func(r, b *answer) {
				if len(r.items) == len(b.items) {
					b.items = r.items
				}
			})
		}
	}},
	{"sscan", "only complete iterations are compared", func(args []string, redis, broker []*answer) {
		levelScan(args, redis, broker, 1)
	}},
	{"hscan zscan", "only complete iterations are compared", func(args []string, redis, broker []*answer) {
		levelScan(args, redis, broker, 2)
	}},
}

// levelScan makes pages of a hash table equal unless both are all of it. So many strings are
// an element.
func levelScan(args []string, redis, broker []*answer, group int) {
	pairs(redis, broker, func(r, b *answer) {
		switch {
		case len(args) < 3 || !r.isScan() || !b.isScan():
		case r.items[0].text != "0" || b.items[0].text != "0" || args[2] != "0":
			b.items = r.items
		default:
			sortElements(r.items, group)
			sortElements(b.items, group)
		}
	})
}

// avoided are commands whose outcome in Redis is an artefact, so that they are
// not sent.
var avoided = []struct {
	why string
	is  func(row string, args []string) bool
}{
	{"a pause of all clients would pause the test, too; one of 0 ms makes it of another", func(row string, args []string) bool {
		if row != "client|pause" || len(args) != 3 && !(len(args) == 4 && strings.EqualFold(args[3], "ALL")) {
			return false
		}
		ms, isInt := resp.ParseInt([]byte(args[2]))
		return isInt && ms >= 0
	}},
	{"redis-server would be gone", func(row string, args []string) bool {
		given := map[string]bool{}
		for _, arg := range args[1:] {
			given[strings.ToUpper(arg)] = true
		}
		refused := given["SAVE"] && given["NOSAVE"]
		for _, option := range []string{"SAVE", "NOSAVE", "NOW", "FORCE"} {
			delete(given, option)
		}
		return row == "shutdown" && !refused && len(given) == 0
	}},
	{"what is equal comes in any order", func(row string, args []string) bool {
		words := strings.ToUpper(strings.Join(args, " "))
		return strings.HasPrefix(row, "sort") && strings.Contains(words, "ALPHA") && strings.Contains(words, "BY")
	}},
	{"without an ID a client of the test's own may be killed", func(row string, args []string) bool {
		named := len(args) == 3 // an address that nobody has
		for i := 2; i+1 < len(args); i += 2 {
			named = named || strings.EqualFold(args[i], "ID")
		}
		return row == "client|kill" && !named
	}},
	{"redis-server would save, in the background or not", func(row string, args []string) bool {
		return (row == "save" || row == "bgrewriteaof") && len(args) == 1 ||
			row == "bgsave" && (len(args) == 1 || len(args) == 2 && strings.EqualFold(args[1], "SCHEDULE"))
	}},
	{"redis-server would have a replica, or become one", func(row string, args []string) bool {
		port, isInt := int64(0), false
		if len(args) > 2 {
			port, isInt = resp.ParseInt([]byte(args[2]))
		}
		switch row {
		case "sync":
			return len(args) == 1
		case "psync": // which also minds what has not been written to the client yet
			return len(args) > 2
		case "replicaof", "slaveof":
			return len(args) == 3 && isInt && port >= 0 && port <= math.MaxUint16
		}
		return false
	}},
	{"REPLCONF ACK and GETACK have no reply", func(row string, args []string) bool {
		return row == "replconf" && slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, "ACK") || strings.EqualFold(arg, "GETACK") })
	}},
	{"redis-server would connect to another one", func(row string, args []string) bool {
		return row == "migrate" && len(args) > 5 && args[1] != "127.0.0.1"
	}},
	{"the last digit of a distance depends on redis-server's processor: only those of 0 are stored", func(row string, args []string) bool {
		words := strings.ToUpper(strings.Join(args, " "))
		return strings.HasPrefix(row, "geo") && strings.Contains(words, "STOREDIST") && (!strings.Contains(words, "0E0") || !strings.Contains(words, "MEMBER"))
	}},
	{"redis-server breaks the line of its error", func(row string, args []string) bool {
		return (row == "function|list" || row == "function|load") && slices.ContainsFunc(args[2:], func(arg string) bool { return strings.ContainsAny(arg, "\r\n") && !strings.HasPrefix(arg, "#!") })
	}},
	{"DEBUG SLEEP stops the server", func(row string, args []string) bool {
		return row == "debug" && len(args) == 3 && strings.EqualFold(args[1], "SLEEP") && sleepTime([]byte(args[2])) > 0
	}},
}

// overflows reports whether a command may meet a number out of range: that leaves an
// error number behind in redis-server, which SORT takes for its own.
func overflows(args []string) bool {
	row := rowOf(args)
	isScan, isScored, isStream := strings.HasSuffix(row, "scan"), strings.HasPrefix(row, "z") || strings.HasPrefix(row, "geo"), strings.HasPrefix(row, "x")
	return slices.ContainsFunc(args, func(arg string) bool {
		if isStream && slices.ContainsFunc(strings.Split(strings.TrimLeft(arg, "("), "-"), beyondIDs) {
			return true
		}
		_, fits := resp.ParseCursor([]byte(arg))
		return strings.Contains(strings.ToLower(arg), "e4932") || slices.Contains(beyondFloats, arg) || isScored && slices.Contains(beyondDoubles, arg) || isScan && !fits && strings.Trim(arg, "0123456789") == ""
	})
}

// beyondIDs reports whether a part of a stream's ID is out of range.
func beyondIDs(part string) bool {
	_, fits := resp.ParseCursor([]byte(part))
	return part != "" && !fits && strings.Trim(part, "0123456789") == ""
}

// beyondFloats are words that are no long doubles.
var beyondFloats = []string{"1e4933", "1e-5000", "1e5000"}

// beyondDoubles are words that are long doubles, and no doubles.
var beyondDoubles = []string{"1e400", "1e-400"}
