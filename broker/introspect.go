package broker

import (
	"strings"
)

// COMMAND and its sub-commands, and the HELP of all containers: what the table
// says about itself.

func commandAll(c *call, _ [][]byte) reply { return c.describeAll() }

func commandCountAll(c *call, _ [][]byte) reply { return count(len(c.table.order)) }

func commandInfo(c *call, args [][]byte) reply {
	if len(args) == 2 {
		return c.describeAll()
	}
	infos := make([]reply, 0, len(args)-2)
	for _, name := range args[2:] {
		if cmd := c.table.named(name); cmd != nil {
			infos = append(infos, cmd.describe())
		} else {
			infos = append(infos, null)
		}
	}
	return array(infos...)
}

func (c *call) describeAll() reply {
	infos := make([]reply, len(c.table.order))
	for i, cmd := range c.table.order {
		infos[i] = cmd.describe()
	}
	return array(infos...)
}

// describe is a command's entry in COMMAND INFO.
func (c *command) describe() reply {
	var flags, categories, tips, specs, subs []reply
	for name := range c.flags.names() {
		flags = append(flags, simple(name))
	}
	for _, name := range c.categories() {
		categories = append(categories, simple(name))
	}
	for _, tip := range strings.Fields(c.tips) {
		tips = append(tips, bulkString(tip))
	}
	for _, k := range c.keys {
		specs = append(specs, k.describe())
	}
	for _, sub := range c.order {
		subs = append(subs, sub.describe())
	}
	subCommands := array(subs...)
	if len(subs) == 0 {
		subCommands = set() // an empty one is of another type
	}
	first, last, step := c.span()
	return array(
		bulkString(c.fullName), count(c.arity), set(flags...), count(first), count(last), count(step),
		set(categories...), set(tips...), set(specs...), subCommands,
	)
}

func (k keySpec) describe() reply {
	var flags []reply
	for _, name := range strings.Fields(k.flags) {
		flags = append(flags, simple(name))
	}
	typed := func(name string, spec ...reply) reply {
		return fields(bulkString("type"), bulkString(name), bulkString("spec"), fields(spec...))
	}
	begin, find := typed("index", bulkString("index"), count(k.first)), typed("range", bulkString("lastkey"), count(k.last), bulkString("keystep"), count(k.step), bulkString("limit"), zero)
	switch {
	case k.find != nil:
		begin, find = typed("unknown"), typed("unknown")
	case k.count:
		find = typed("keynum", bulkString("keynumidx"), zero, bulkString("firstkey"), one, bulkString("keystep"), count(k.step))
	}
	return fields(
		bulkString("flags"), set(flags...),
		bulkString("begin_search"), begin,
		bulkString("find_keys"), find,
	)
}

func commandDocs(c *call, args [][]byte) reply {
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

func docs(chosen []*command) reply {
	var pairs []reply
	for _, cmd := range chosen {
		doc := []reply{
			bulkString("summary"), bulkString(cmd.summary),
			bulkString("since"), bulkString(cmd.since),
			bulkString("group"), bulkString(cmd.group),
			bulkString("complexity"), bulkString(cmd.cost),
		}
		if len(cmd.order) > 0 {
			doc = append(doc, bulkString("subcommands"), docs(cmd.order))
		}
		pairs = append(pairs, bulkString(cmd.fullName), fields(doc...))
	}
	return fields(pairs...)
}

func commandList(c *call, args [][]byte) reply {
	wanted := func(*command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 5 && is(args[2], "FILTERBY") && is(args[3], "MODULE"):
		wanted = func(*command) bool { return false } // there are no modules
	case len(args) == 5 && is(args[2], "FILTERBY") && is(args[3], "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(cmd *command) bool {
			for _, name := range cmd.categories() {
				if name == category {
					return true
				}
			}
			return false
		}
	case len(args) == 5 && is(args[2], "FILTERBY") && is(args[3], "PATTERN"):
		wanted = func(cmd *command) bool { return match(string(args[4]), cmd.fullName, true) }
	default:
		return syntaxError
	}
	names := []reply{}
	for name, cmd := range c.table.all() {
		if wanted(cmd) {
			names = append(names, bulkString(name))
		}
	}
	return array(names...)
}

func commandGetKeys(c *call, args [][]byte) reply {
	return c.eachKey(args[2:], func(name []byte, _ string) reply { return bulk(name) })
}

func commandGetKeysAndFlags(c *call, args [][]byte) reply {
	return c.eachKey(args[2:], func(name []byte, flags string) reply {
		names := []reply{}
		for _, flag := range strings.Fields(flags) {
			names = append(names, simple(flag))
		}
		return array(bulk(name), set(names...))
	})
}

// eachKey answers something for each key in a command.
func (c *call) eachKey(given [][]byte, answer func(name []byte, flags string) reply) reply {
	cmd, _ := c.table.lookup(given)
	switch {
	case cmd == nil:
		return failure("ERR Invalid command specified")
	case !cmd.hasKeys():
		return failure("ERR The command has no key arguments")
	case !cmd.accepts(len(given)):
		return failure("ERR Invalid number of arguments specified for command")
	}
	answers := []reply{}
	for _, k := range cmd.keys {
		indexes, valid := k.indexes(given)
		if !valid {
			return failure("ERR Invalid arguments specified for command")
		}
		flags := k.uses(given)
		for _, at := range indexes {
			answers = append(answers, answer(given[at], flags))
		}
	}
	return array(answers...)
}

// help lists the sub-commands of the container that it belongs to.
func help(c *call, _ [][]byte) reply {
	container, _, _ := strings.Cut(c.command.fullName, "|")
	lines := []reply{simple(strings.ToUpper(container) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, sub := range c.table.byName[container].order {
		lines = append(lines, simple(strings.ToUpper(sub.name)), simple("    "+sub.summary))
	}
	return array(lines...)
}
