// Package command says what a command is: its row in the table, with its flags, keys and
// categories, and the table itself.
package command

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// A Command is one row of the table.
type Command struct {
	Name       string
	Arity      int // number of arguments, the name included; negative: that many or more
	Flags      Flag
	Keys       []KeySpec
	Channels   Channels
	Run        keyspace.Handler
	ACL        string // categories that do not follow from the flags
	Tips       string // for clients of a cluster, separated by spaces
	Group      string
	Since      string // the Redis version that brought it
	Complexity string
	Summary    string

	Subs []*Command // sub-commands; the Run of one named help may be nil: it lists them

	subs     map[string]*Command
	FullName string // set by Table.With; of a sub-command: container|name
	Index    int    // set by Table.With: its number in the table
}

// A Flag says how a command is treated, or what it does.
type Flag uint32

// Flags that COMMAND reports, in Redis's order.
const (
	Write Flag = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Asking // in a cluster: the client need not have said ASKING before
	Fast
	NoAuth // runs before the client has given the password
	NoMandatoryKeys
	NoAsyncLoading
	NoMulti // cannot be queued
	AllowBusy
	MovableKeys

	// Flags of this broker.
	Immediate       // runs at once in a transaction instead of being queued
	WhileSubscribed // may be used by a RESP2 client that is subscribed
	Personal        // about the client's own connection: nothing for Do
	MayReplicate    // changes no key, but a replica would have to know: CLIENT PAUSE WRITE postpones it
	Protected       // has to be allowed by a setting
	NeverPostponed  // no pause, stall or fault keeps it from running
	RunsScript      // its flags depend on what the script declares
)

// Combinations of flags that many commands share.
const (
	Always     = Loading | Stale
	PerSession = NoScript | Always | Personal
)

const reported = Immediate - 1

var flagNames = []string{"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "skip_monitor",
	"skip_slowlog", "asking", "fast", "no_auth", "no_mandatory_keys", "no_async_loading", "no_multi", "allow_busy", "movablekeys"}

// Names lists the flags that COMMAND reports.
func (f Flag) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := f & reported; rest != 0; rest &= rest - 1 {
			if !yield(flagNames[bits.TrailingZeros32(uint32(rest))]) {
				return
			}
		}
	}
}

// CategoryNames are those of Redis, in its order.
var CategoryNames = []string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"}

// Categories are those of Redis's access control lists, with the ones that follow
// from the flags.
func (c *Command) Categories() []string {
	has := map[string]bool{}
	for _, name := range strings.Fields(c.ACL) {
		has[name] = true
	}
	for _, implied := range []struct {
		flag     Flag
		category string
	}{
		{Write, "write"}, {ReadOnly, "read"}, {Admin, "admin"}, {Admin, "dangerous"},
		{PubSub, "pubsub"}, {Fast, "fast"}, {Blocking, "blocking"},
	} {
		if c.Flags&implied.flag != 0 {
			has[implied.category] = true
		}
	}
	if has["scripting"] { // a script reads and writes by other commands
		has["read"] = false
	}
	has["slow"] = !has["fast"]
	var names []string
	for _, name := range CategoryNames {
		if has[name] {
			names = append(names, "@"+name)
		}
	}
	return names
}

// WrongNumber is the answer to a number of arguments that the command does not take.
func (c *Command) WrongNumber() resp.Reply { return keyspace.WrongNumber(c.FullName) }

// Accepts reports whether a command may have n arguments, its name included.
func (c *Command) Accepts(n int) bool {
	return n == c.Arity || c.Arity < 0 && n >= -c.Arity
}

// help lists the sub-commands.
func (c *Command) help(*keyspace.Call, [][]byte) resp.Reply {
	lines := []resp.Reply{resp.Simple(strings.ToUpper(c.Name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, sub := range c.Subs {
		lines = append(lines, resp.Simple(strings.ToUpper(sub.Name)), resp.Simple("    "+sub.Summary))
	}
	return resp.Array(lines...)
}

// Channels says which arguments are channels that access control looks at.
type Channels uint8

const (
	NoChannels      Channels = iota
	OneChannel               // the first one
	AllChannels              // all
	ChannelPatterns          // all are patterns of channels
)

// A KeySpec says which arguments are keys, and what the command does to them.
type KeySpec struct {
	Flags string // as COMMAND INFO has them, separated by spaces
	First int    // index of the first key, or of the number of keys
	Last  int    // index of the last, relative to first; negative: counted from the end of the arguments
	Step  int    // distance between two keys
	Count bool   // the argument at first is the number of keys that follow it

	// Use returns the flags for given arguments, if they depend on those. Find lists
	// the keys, if no rule tells where they are.
	Use  func(args [][]byte) string
	Find func(args [][]byte) (indexes []int, ok bool)

	// Tracked lists the keys that client tracking remembers, if that is not what Find
	// lists: Redis has two parsers.
	Tracked func(args [][]byte) (indexes []int, ok bool)

	// Keyword is what Find looks for, from the argument From on, as COMMAND INFO has it. A
	// Find without it, and without a Step, is no rule that clients could follow.
	Keyword string
	From    int
	Limit   int // the keys are the first one of so many parts of what follows; 0: all of it
}

// Indexes lists where in args the keys are. It reports nothing for arguments that
// do not hold as many keys as they say.
func (k KeySpec) Indexes(args [][]byte) (indexes []int, ok bool) {
	if k.Find != nil {
		return k.Find(args)
	}
	first, last := k.First, k.First+k.Last
	if k.Count {
		if k.First >= len(args) {
			return nil, false
		}
		n := resp.Atoi(args[k.First])
		if n < 1 || n > len(args)-k.First-1 {
			return nil, false
		}
		first, last = k.First+1, k.First+n
	} else if k.Last < 0 {
		last = len(args) + k.Last
	}
	if last < first || last >= len(args) {
		return nil, false
	}
	for i := first; i <= last; i += k.Step {
		indexes = append(indexes, i)
	}
	return indexes, true
}

// Uses are the flags of a key for given arguments.
func (k KeySpec) Uses(args [][]byte) string {
	if k.Use != nil {
		return k.Use(args)
	}
	return k.Flags
}

// KeySpecs are the Keys for given arguments. As in Redis no key has flags if a number of keys is
// not one that atoi reads as it stands, and those that it counts come first.
func (c *Command) KeySpecs(args [][]byte) []KeySpec {
	byAtoi := func(k KeySpec) bool {
		if !k.Count || k.First >= len(args) {
			return false
		}
		n, isInt := resp.ParseInt(args[k.First])
		return !isInt || n != int64(resp.Atoi(args[k.First]))
	}
	if !slices.ContainsFunc(c.Keys, byAtoi) {
		return c.Keys
	}
	specs := slices.Clone(c.Keys)
	for i := range specs {
		specs[i].Flags, specs[i].Use = "", nil
	}
	slices.SortStableFunc(specs, func(x, y KeySpec) int {
		switch {
		case x.Count == y.Count:
			return 0
		case x.Count:
			return -1
		}
		return 1
	})
	return specs
}

// KeyIndexes lists where in args the keys of a command are.
func (c *Command) KeyIndexes(args [][]byte) (indexes []int, ok bool) {
	for _, k := range c.Keys {
		more, ok := k.Indexes(args)
		if !ok {
			return nil, false
		}
		indexes = append(indexes, more...)
	}
	return indexes, true
}

// Tracked lists where in args the keys are that client tracking remembers.
func (c *Command) Tracked(args [][]byte) []int {
	if len(c.Keys) == 1 && c.Keys[0].Tracked != nil {
		indexes, _ := c.Keys[0].Tracked(args)
		return indexes
	}
	indexes, _ := c.KeyIndexes(args)
	return indexes
}

// HasKeys reports whether any argument is a key: a channel of a shard stands in a
// key's place, but is none.
func (c *Command) HasKeys() bool { return len(c.Keys) > 0 && c.Keys[0].Flags != "not_key" }

// Span is the place of the keys in the form that COMMAND had before Redis 7:
// first, last and step; zeros where the keys can move.
func (c *Command) Span() (first, last, step int) {
	for _, k := range c.Keys {
		if k.Count || k.Keyword != "" || k.Step == 0 {
			continue
		}
		if step == 0 {
			first, step = k.First, k.Step
		}
		if last = k.Last; last >= 0 {
			last += k.First
		}
	}
	return first, last, step
}

func OneKey(flags string) []KeySpec { return KeyAt(1, flags) }

func KeyAt(index int, flags string) []KeySpec {
	return []KeySpec{{Flags: flags, First: index, Step: 1}}
}

func TwoKeys(flags1, flags2 string) []KeySpec {
	return []KeySpec{{Flags: flags1, First: 1, Step: 1}, {Flags: flags2, First: 2, Step: 1}}
}

// KeysUpTo is for keys from the first argument on; last is negative and counts
// from the end.
func KeysUpTo(last, step int, flags string) []KeySpec {
	return []KeySpec{{Flags: flags, First: 1, Last: last, Step: step}}
}

func CountedKeys(at int, flags string) []KeySpec {
	return []KeySpec{{Flags: flags, First: at, Step: 1, Count: true}}
}

// KeyBehind is for a key behind a word that may be there, from an argument on.
func KeyBehind(word string, from int, flags string) KeySpec {
	find := func(args [][]byte) (indexes []int, ok bool) {
		for i := from; i < len(args)-1; i++ {
			if resp.Is(args[i], word) {
				return []int{i + 1}, true
			}
		}
		return nil, true
	}
	return KeySpec{Flags: flags, Step: 1, Find: find, Keyword: word, From: from}
}

// StreamKeys is for keys behind the word STREAMS, from an argument on, with as many IDs behind
// them.
func StreamKeys(from int, flags string) []KeySpec {
	behind := func(args [][]byte, at int) (indexes []int, ok bool) {
		for i := range (len(args) - at - 1) / 2 {
			indexes = append(indexes, at+1+i)
		}
		return indexes, indexes != nil
	}
	find := func(args [][]byte) (indexes []int, ok bool) {
		for i := from; i < len(args)-1; i++ {
			if resp.Is(args[i], "STREAMS") {
				return behind(args, i)
			}
		}
		return nil, false
	}
	// None where something other than an option stands before STREAMS, or an ID is missing.
	tracked := func(args [][]byte) (indexes []int, ok bool) {
		for i := 1; i < len(args); i++ {
			switch {
			case resp.Is(args[i], "NOACK"): // which XREAD refuses, as it does GROUP
			case resp.Is(args[i], "BLOCK"), resp.Is(args[i], "COUNT"):
				i++
			case resp.Is(args[i], "GROUP"):
				i += 2
			case resp.Is(args[i], "STREAMS") && (len(args)-i)%2 == 1:
				return behind(args, i)
			default:
				return nil, false
			}
		}
		return nil, false
	}
	return []KeySpec{{Flags: flags, Last: -1, Step: 1, Find: find, Tracked: tracked, Keyword: "STREAMS", From: from, Limit: 2}}
}

// A Table is the commands that a broker knows.
type Table struct {
	byName map[string]*Command // in lower case
	Order  []*Command
	Count  int // sub-commands included
}

// With returns a table that has more rows.
func (t *Table) With(rows []Command) *Table {
	t = &Table{byName: maps.Clone(t.byName), Order: slices.Clone(t.Order), Count: t.Count}
	if t.byName == nil {
		t.byName = map[string]*Command{}
	}
	for i := range rows {
		c := &rows[i]
		t.number(c, c.Name)
		t.byName[c.Name] = c
		t.Order = append(t.Order, c)
		for _, sub := range c.Subs {
			t.number(sub, c.Name+"|"+sub.Name)
			if sub.Group == "" {
				sub.Group = c.Group
			}
			if sub.Name == "help" && sub.Run == nil {
				sub.Run = c.help
			}
			c.subs[sub.Name] = sub
		}
	}
	return t
}

func (t *Table) number(c *Command, fullName string) {
	c.FullName = fullName
	c.Index = t.Count
	t.Count++
	if c.Subs != nil {
		c.subs = map[string]*Command{}
	}
}

// All lists every command and sub-command by its full name.
func (t *Table) All() iter.Seq2[string, *Command] {
	return func(yield func(string, *Command) bool) {
		for _, c := range t.Order {
			if !yield(c.FullName, c) {
				return
			}
			for _, sub := range c.Subs {
				if !yield(sub.FullName, sub) {
					return
				}
			}
		}
	}
}

// Named returns a command by its name, or a sub-command by container|name.
func (t *Table) Named(name []byte) *Command {
	container, sub, isSub := strings.Cut(strings.ToLower(string(name)), "|")
	c := t.byName[container]
	if c == nil || !isSub {
		return c
	}
	return c.subs[sub]
}

// Lookup finds a command, or the sub-command of one, by its name in args.
func (t *Table) Lookup(args [][]byte) (*Command, *resp.Reply) {
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
		r := resp.Errorf("ERR unknown subcommand '%s'. Try %s HELP.", resp.CString(args[1], 128), strings.ToUpper(cmd.Name))
		return nil, &r
	}
	return sub, nil
}

func unknownCommand(args [][]byte) resp.Reply {
	var given strings.Builder
	for _, arg := range args[1:] {
		if given.Len() >= 128 {
			break
		}
		given.WriteString("'" + resp.CString(arg, 128-given.Len()) + "' ")
	}
	return resp.Errorf("ERR unknown command '%s', with args beginning with: %s", resp.CString(args[0], 128), given.String())
}
