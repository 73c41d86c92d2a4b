package broker

import (
	"iter"
	"math/bits"
	"strings"
)

// A command is one row of the table.
type command struct {
	name    string
	arity   int // number of arguments, the name included; negative: that many or more
	flags   commandFlag
	keys    []keySpec
	run     func(*call, [][]byte) reply // args[0] is the name
	acl     string                      // categories that do not follow from the flags
	tips    string                      // for clients of a cluster, separated by spaces
	group   string
	since   string // the Redis version that brought it
	cost    string // its complexity
	summary string

	subs     map[string]*command
	order    []*command // subs in the order of the table
	fullName string     // of a sub-command: container|name
	index    int        // in Broker.calls
}

// A commandFlag says how a command is treated, or what it does.
type commandFlag uint32

// Flags that COMMAND reports, in Redis's order.
const (
	write commandFlag = 1 << iota
	readOnly
	denyOOM
	admin
	pubSub
	noScript
	blocking
	loading
	stale
	skipSlowlog
	fast
	noAuth // runs before the client has given the password
	allowBusy
	movableKeys

	// Flags of this broker.
	immediate       // runs at once in a transaction instead of being queued
	whileSubscribed // may be used by a RESP2 client that is subscribed
	personal        // about the client's own connection: nothing for Do
	mayReplicate    // changes no key, but a replica would have to know: CLIENT PAUSE WRITE postpones it
	unhindered      // no pause, stall or fault keeps it from running
)

const reported = immediate - 1

var flagNames = []string{"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
	"skip_slowlog", "fast", "no_auth", "allow_busy", "movablekeys"}

// names lists the flags that COMMAND reports.
func (f commandFlag) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := f & reported; rest != 0; rest &= rest - 1 {
			if !yield(flagNames[bits.TrailingZeros32(uint32(rest))]) {
				return
			}
		}
	}
}

// categories are those of Redis's access control lists, with the ones that follow
// from the flags.
func (c *command) categories() []string {
	has := map[string]bool{}
	for _, name := range strings.Fields(c.acl) {
		has[name] = true
	}
	for _, implied := range []struct {
		flag     commandFlag
		category string
	}{
		{write, "write"}, {readOnly, "read"}, {admin, "admin"}, {admin, "dangerous"},
		{pubSub, "pubsub"}, {fast, "fast"}, {blocking, "blocking"},
	} {
		if c.flags&implied.flag != 0 {
			has[implied.category] = true
		}
	}
	has["slow"] = !has["fast"]
	var names []string
	for _, name := range []string{"keyspace", "read", "write", "set", "sortedset", "list", "string", "bitmap", "pubsub", "admin", "fast", "slow",
		"blocking", "dangerous", "connection", "transaction"} {
		if has[name] {
			names = append(names, "@"+name)
		}
	}
	return names
}

// accepts reports whether a command may have n arguments, its name included.
func (c *command) accepts(n int) bool {
	return n == c.arity || c.arity < 0 && n >= -c.arity
}

// A keySpec says which arguments are keys, and what the command does to them.
type keySpec struct {
	flags string // as COMMAND INFO has them, separated by spaces
	first int    // index of the first key, or of the number of keys
	last  int    // index of the last, relative to first; negative: counted from the end of the arguments
	step  int    // distance between two keys
	count bool   // the argument at first is the number of keys that follow it

	// use returns the flags for given arguments, if they depend on those. Find lists
	// the keys, if no rule tells where they are.
	use  func(args [][]byte) string
	find func(args [][]byte) []int
}

// indexes lists where in args the keys are. It reports nothing for arguments that
// do not hold as many keys as they say.
func (k keySpec) indexes(args [][]byte) (indexes []int, ok bool) {
	if k.find != nil {
		return k.find(args), true
	}
	first, last := k.first, k.first+k.last
	if k.count {
		if k.first >= len(args) {
			return nil, false
		}
		n := atoi(args[k.first])
		if n < 1 || n > len(args)-k.first-1 {
			return nil, false
		}
		first, last = k.first+1, k.first+n
	} else if k.last < 0 {
		last = len(args) + k.last
	}
	if last >= len(args) {
		return nil, false
	}
	for i := first; i <= last; i += k.step {
		indexes = append(indexes, i)
	}
	return indexes, true
}

// keyIndexes lists where in args the keys of a command are.
func (c *command) keyIndexes(args [][]byte) (indexes []int, ok bool) {
	for _, k := range c.keys {
		more, ok := k.indexes(args)
		if !ok {
			return nil, false
		}
		indexes = append(indexes, more...)
	}
	return indexes, true
}

// hasKeys reports whether any argument is a key: a channel of a shard stands in a
// key's place, but is none.
func (c *command) hasKeys() bool { return len(c.keys) > 0 && c.keys[0].flags != "not_key" }

// span is the place of the keys in the form that COMMAND had before Redis 7:
// first, last and step; zeros where the keys can move.
func (c *command) span() (first, last, step int) {
	for _, k := range c.keys {
		if k.count || k.find != nil {
			continue
		}
		if step == 0 {
			first, step = k.first, k.step
		}
		if last = k.last; last >= 0 {
			last += k.first
		}
	}
	return first, last, step
}

func oneKey(flags string) []keySpec { return keyAt(1, flags) }

func keyAt(index int, flags string) []keySpec {
	return []keySpec{{flags: flags, first: index, step: 1}}
}

func twoKeys(flags1, flags2 string) []keySpec {
	return []keySpec{{flags: flags1, first: 1, step: 1}, {flags: flags2, first: 2, step: 1}}
}

// keysUpTo is for keys from the first argument on; last is negative and counts
// from the end.
func keysUpTo(last, step int, flags string) []keySpec {
	return []keySpec{{flags: flags, first: 1, last: last, step: step}}
}

func countedKeys(at int, flags string) []keySpec {
	return []keySpec{{flags: flags, first: at, step: 1, count: true}}
}

// table has every command by its name in lower case. commandCount includes the
// sub-commands.
var (
	table        map[string]*command
	tableOrder   []*command
	commandCount int
)

func init() {
	table = map[string]*command{}
	for i := range rows {
		c := &rows[i]
		c.number(c.name)
		table[c.name] = c
		tableOrder = append(tableOrder, c)
		for _, sub := range c.order {
			sub.number(c.name + "|" + sub.name)
			if sub.group == "" {
				sub.group = c.group
			}
			c.subs[sub.name] = sub
		}
	}
}

func (c *command) number(fullName string) {
	c.fullName = fullName
	c.index = commandCount
	commandCount++
	if c.order != nil {
		c.subs = map[string]*command{}
	}
}
