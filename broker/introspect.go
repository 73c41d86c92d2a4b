package broker

import (
	"strings"
)

// COMMAND and its sub-commands, and the HELP of all containers: what the table
// says about itself.

func commandAll(c *call, _ [][]byte) Reply { return c.describeAll() }

func commandCountAll(c *call, _ [][]byte) Reply { return Int(len(c.table.order)) }

func commandInfo(c *call, args [][]byte) Reply {
	if len(args) == 2 {
		return c.describeAll()
	}
	infos := make([]Reply, 0, len(args)-2)
	for _, name := range args[2:] {
		if cmd := c.table.named(name); cmd != nil {
			infos = append(infos, cmd.describe())
		} else {
			infos = append(infos, Null)
		}
	}
	return Array(infos...)
}

func (c *call) describeAll() Reply {
	infos := make([]Reply, len(c.table.order))
	for i, cmd := range c.table.order {
		infos[i] = cmd.describe()
	}
	return Array(infos...)
}

// describe is a command's entry in COMMAND INFO.
func (c *command) describe() Reply {
	var flags, categories, tips, specs, subs []Reply
	for name := range c.flags.names() {
		flags = append(flags, Simple(name))
	}
	for _, name := range c.categories() {
		categories = append(categories, Simple(name))
	}
	for _, tip := range strings.Fields(c.tips) {
		tips = append(tips, BulkString(tip))
	}
	for _, k := range c.keys {
		specs = append(specs, k.describe())
	}
	for _, sub := range c.order {
		subs = append(subs, sub.describe())
	}
	subCommands := Array(subs...)
	if len(subs) == 0 {
		subCommands = Set() // an empty one is of another type
	}
	first, last, step := c.span()
	return Array(
		BulkString(c.fullName), Int(c.arity), Set(flags...), Int(first), Int(last), Int(step),
		Set(categories...), Set(tips...), Set(specs...), subCommands,
	)
}

func (k keySpec) describe() Reply {
	var flags []Reply
	for _, name := range strings.Fields(k.flags) {
		flags = append(flags, Simple(name))
	}
	typed := func(name string, spec ...Reply) Reply {
		return Map(BulkString("type"), BulkString(name), BulkString("spec"), Map(spec...))
	}
	begin, find := typed("index", BulkString("index"), Int(k.first)), typed("range", BulkString("lastkey"), Int(k.last), BulkString("keystep"), Int(k.step), BulkString("limit"), Zero)
	switch {
	case k.find != nil:
		begin, find = typed("unknown"), typed("unknown")
	case k.count:
		find = typed("keynum", BulkString("keynumidx"), Zero, BulkString("firstkey"), One, BulkString("keystep"), Int(k.step))
	}
	return Map(
		BulkString("flags"), Set(flags...),
		BulkString("begin_search"), begin,
		BulkString("find_keys"), find,
	)
}

func commandDocs(c *call, args [][]byte) Reply {
	chosen := c.table.order
	if len(args) > 2 {
		chosen = nil
		for _, name := range args[2:] {
			if cmd := c.table.named(name); cmd != nil {
				chosen = append(chosen, cmd)
			}
		}
	}
	return docs(chosen)
}

func docs(chosen []*command) Reply {
	var pairs []Reply
	for _, cmd := range chosen {
		doc := []Reply{
			BulkString("summary"), BulkString(cmd.summary),
			BulkString("since"), BulkString(cmd.since),
			BulkString("group"), BulkString(cmd.group),
			BulkString("complexity"), BulkString(cmd.cost),
		}
		if len(cmd.order) > 0 {
			doc = append(doc, BulkString("subcommands"), docs(cmd.order))
		}
		pairs = append(pairs, BulkString(cmd.fullName), Map(doc...))
	}
	return Map(pairs...)
}

func commandList(c *call, args [][]byte) Reply {
	wanted := func(*command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 5 && Is(args[2], "FILTERBY") && Is(args[3], "MODULE"):
		wanted = func(*command) bool { return false } // there are no modules
	case len(args) == 5 && Is(args[2], "FILTERBY") && Is(args[3], "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(cmd *command) bool {
			for _, name := range cmd.categories() {
				if name == category {
					return true
				}
			}
			return false
		}
	case len(args) == 5 && Is(args[2], "FILTERBY") && Is(args[3], "PATTERN"):
		wanted = func(cmd *command) bool { return Match(string(args[4]), cmd.fullName, true) }
	default:
		return SyntaxError
	}
	names := []Reply{}
	for name, cmd := range c.table.all() {
		if wanted(cmd) {
			names = append(names, BulkString(name))
		}
	}
	return Array(names...)
}

func commandGetKeys(c *call, args [][]byte) Reply {
	return c.eachKey(args[2:], func(name []byte, _ string) Reply { return Bulk(name) })
}

func commandGetKeysAndFlags(c *call, args [][]byte) Reply {
	return c.eachKey(args[2:], func(name []byte, flags string) Reply {
		names := []Reply{}
		for _, flag := range strings.Fields(flags) {
			names = append(names, Simple(flag))
		}
		return Array(Bulk(name), Set(names...))
	})
}

// eachKey answers something for each key in a command.
func (c *call) eachKey(given [][]byte, answer func(name []byte, flags string) Reply) Reply {
	cmd, _ := c.table.lookup(given)
	switch {
	case cmd == nil:
		return ErrorReply("ERR Invalid command specified")
	case !cmd.hasKeys():
		return ErrorReply("ERR The command has no key arguments")
	case !cmd.accepts(len(given)):
		return ErrorReply("ERR Invalid number of arguments specified for command")
	}
	answers := []Reply{}
	for _, k := range cmd.keys {
		indexes, valid := k.indexes(given)
		if !valid {
			return ErrorReply("ERR Invalid arguments specified for command")
		}
		flags := k.uses(given)
		for _, at := range indexes {
			answers = append(answers, answer(given[at], flags))
		}
	}
	return Array(answers...)
}

// help lists the sub-commands of the container that it belongs to.
func help(c *call, _ [][]byte) Reply {
	container, _, _ := strings.Cut(c.command.fullName, "|")
	lines := []Reply{Simple(strings.ToUpper(container) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, sub := range c.table.byName[container].order {
		lines = append(lines, Simple(strings.ToUpper(sub.name)), Simple("    "+sub.summary))
	}
	return Array(lines...)
}
