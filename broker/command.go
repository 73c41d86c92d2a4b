package broker

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A command is one row of the table.
type command struct {
	name     string
	arity    int // number of arguments, the name included; negative: that many or more
	flags    commandFlag
	keys     []keySpec
	channels channelArgs
	run      keyspace.Handler
	acl      string // categories that do not follow from the flags
	tips     string // for clients of a cluster, separated by spaces
	group    string
	since    string // the Redis version that brought it
	cost     string // its complexity
	summary  string

	subs     map[string]*command
	order    []*command // subs in the order of the table
	fullName string     // of a sub-command: container|name
	index    int        // in Broker.usage
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
	noAuth  // runs before the client has given the password
	noMulti // cannot be queued
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
	"skip_slowlog", "fast", "no_auth", "no_multi", "allow_busy", "movablekeys"}

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
	for _, name := range categoryNames {
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

// channelArgs says which arguments are channels that access control looks at.
type channelArgs uint8

const (
	noChannels      channelArgs = iota
	oneChannel                  // the first one
	allChannels                 // all
	channelPatterns             // all are patterns of channels
)

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
		n := resp.Atoi(args[k.first])
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

// uses are the flags of a key for given arguments. As in Redis there are none where a
// number of keys is not written as integers are.
func (k keySpec) uses(args [][]byte) string {
	if k.use != nil {
		return k.use(args)
	}
	if k.count {
		if _, isInt := resp.ParseInt(args[k.first]); !isInt {
			return ""
		}
	}
	return k.flags
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

// A commandTable is the commands that a broker knows.
type commandTable struct {
	byName map[string]*command // in lower case
	order  []*command
	count  int // sub-commands included
}

// table has Redis's commands, and testTable those of Options.TestCommands, too.
var table, testTable *commandTable

func init() {
	table = (&commandTable{}).with(rows)
	testTable = table.with(testRows)
}

// with returns a table that has more rows.
func (t *commandTable) with(rows []command) *commandTable {
	t = &commandTable{byName: maps.Clone(t.byName), order: slices.Clone(t.order), count: t.count}
	if t.byName == nil {
		t.byName = map[string]*command{}
	}
	for i := range rows {
		c := &rows[i]
		t.number(c, c.name)
		t.byName[c.name] = c
		t.order = append(t.order, c)
		for _, sub := range c.order {
			t.number(sub, c.name+"|"+sub.name)
			if sub.group == "" {
				sub.group = c.group
			}
			c.subs[sub.name] = sub
		}
	}
	return t
}

func (t *commandTable) number(c *command, fullName string) {
	c.fullName = fullName
	c.index = t.count
	t.count++
	if c.order != nil {
		c.subs = map[string]*command{}
	}
}

// all lists every command and sub-command by its full name.
func (t *commandTable) all() iter.Seq2[string, *command] {
	return func(yield func(string, *command) bool) {
		for _, c := range t.order {
			if !yield(c.fullName, c) {
				return
			}
			for _, sub := range c.order {
				if !yield(sub.fullName, sub) {
					return
				}
			}
		}
	}
}

// named returns a command by its name, or a sub-command by container|name.
func (t *commandTable) named(name []byte) *command {
	container, sub, isSub := strings.Cut(strings.ToLower(string(name)), "|")
	c := t.byName[container]
	if c == nil || !isSub {
		return c
	}
	return c.subs[sub]
}

// lookup finds a command, or the sub-command of one, by its name in args.
func (t *commandTable) lookup(args [][]byte) (*command, *resp.Reply) {
	var buf [32]byte
	cmd := t.byName[string(resp.Lower(buf[:], args[0]))]
	if cmd == nil {
		r := unknownCommand(args)
		return nil, &r
	}
	if cmd.subs == nil || len(args) == 1 {
		return cmd, nil
	}
	sub := cmd.subs[string(resp.Lower(buf[:], args[1]))]
	if sub == nil {
		r := resp.Errorf("ERR unknown subcommand '%s'. Try %s HELP.", resp.CString(args[1], 128), strings.ToUpper(cmd.name))
		return nil, &r
	}
	return sub, nil
}
