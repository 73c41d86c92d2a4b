package broker

import (
	"strings"

	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// COMMAND and its sub-commands, and the HELP of all containers: what the table
// says about itself.

func commandAll(c *call, _ [][]byte) resp.Reply { return c.describeAll() }

func commandCountAll(c *call, _ [][]byte) resp.Reply { return resp.Int(len(c.table.order)) }

func commandInfo(c *call, args [][]byte) resp.Reply {
	if len(args) == 2 {
		return c.describeAll()
	}
	infos := make([]resp.Reply, 0, len(args)-2)
	for _, name := range args[2:] {
		if cmd := c.table.named(name); cmd != nil {
			infos = append(infos, cmd.describe())
		} else {
			infos = append(infos, resp.Null)
		}
	}
	return resp.Array(infos...)
}

func (c *call) describeAll() resp.Reply {
	infos := make([]resp.Reply, len(c.table.order))
	for i, cmd := range c.table.order {
		infos[i] = cmd.describe()
	}
	return resp.Array(infos...)
}

// describe is a command's entry in COMMAND INFO.
func (c *command) describe() resp.Reply {
	var flags, categories, tips, specs, subs []resp.Reply
	for name := range c.flags.names() {
		flags = append(flags, resp.Simple(name))
	}
	for _, name := range c.categories() {
		categories = append(categories, resp.Simple(name))
	}
	for _, tip := range strings.Fields(c.tips) {
		tips = append(tips, resp.BulkString(tip))
	}
	for _, k := range c.keys {
		specs = append(specs, k.describe())
	}
	for _, sub := range c.order {
		subs = append(subs, sub.describe())
	}
	subCommands := resp.Array(subs...)
	if len(subs) == 0 {
		subCommands = resp.Set() // an empty one is of another type
	}
	first, last, step := c.span()
	return resp.Array(
		resp.BulkString(c.fullName), resp.Int(c.arity), resp.Set(flags...), resp.Int(first), resp.Int(last), resp.Int(step),
		resp.Set(categories...), resp.Set(tips...), resp.Set(specs...), subCommands,
	)
}

func (k keySpec) describe() resp.Reply {
	var flags []resp.Reply
	for _, name := range strings.Fields(k.flags) {
		flags = append(flags, resp.Simple(name))
	}
	typed := func(name string, spec ...resp.Reply) resp.Reply {
		return resp.Map(resp.BulkString("type"), resp.BulkString(name), resp.BulkString("spec"), resp.Map(spec...))
	}
	begin, find := typed("index", resp.BulkString("index"), resp.Int(k.first)), typed("range", resp.BulkString("lastkey"), resp.Int(k.last), resp.BulkString("keystep"), resp.Int(k.step), resp.BulkString("limit"), resp.Zero)
	switch {
	case k.find != nil:
		begin, find = typed("unknown"), typed("unknown")
	case k.count:
		find = typed("keynum", resp.BulkString("keynumidx"), resp.Zero, resp.BulkString("firstkey"), resp.One, resp.BulkString("keystep"), resp.Int(k.step))
	}
	return resp.Map(
		resp.BulkString("flags"), resp.Set(flags...),
		resp.BulkString("begin_search"), begin,
		resp.BulkString("find_keys"), find,
	)
}

func commandDocs(c *call, args [][]byte) resp.Reply {
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

func docs(chosen []*command) resp.Reply {
	var pairs []resp.Reply
	for _, cmd := range chosen {
		doc := []resp.Reply{
			resp.BulkString("summary"), resp.BulkString(cmd.summary),
			resp.BulkString("since"), resp.BulkString(cmd.since),
			resp.BulkString("group"), resp.BulkString(cmd.group),
			resp.BulkString("complexity"), resp.BulkString(cmd.cost),
		}
		if len(cmd.order) > 0 {
			doc = append(doc, resp.BulkString("subcommands"), docs(cmd.order))
		}
		pairs = append(pairs, resp.BulkString(cmd.fullName), resp.Map(doc...))
	}
	return resp.Map(pairs...)
}

func commandList(c *call, args [][]byte) resp.Reply {
	wanted := func(*command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "MODULE"):
		wanted = func(*command) bool { return false } // there are no modules
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(cmd *command) bool {
			for _, name := range cmd.categories() {
				if name == category {
					return true
				}
			}
			return false
		}
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "PATTERN"):
		wanted = func(cmd *command) bool { return glob.Match(string(args[4]), cmd.fullName, true) }
	default:
		return resp.SyntaxError
	}
	names := []resp.Reply{}
	for name, cmd := range c.table.all() {
		if wanted(cmd) {
			names = append(names, resp.BulkString(name))
		}
	}
	return resp.Array(names...)
}

func commandGetKeys(c *call, args [][]byte) resp.Reply {
	return c.eachKey(args[2:], func(name []byte, _ string) resp.Reply { return resp.Bulk(name) })
}

func commandGetKeysAndFlags(c *call, args [][]byte) resp.Reply {
	return c.eachKey(args[2:], func(name []byte, flags string) resp.Reply {
		names := []resp.Reply{}
		for _, flag := range strings.Fields(flags) {
			names = append(names, resp.Simple(flag))
		}
		return resp.Array(resp.Bulk(name), resp.Set(names...))
	})
}

// eachKey answers something for each key in a command.
func (c *call) eachKey(given [][]byte, answer func(name []byte, flags string) resp.Reply) resp.Reply {
	cmd, _ := c.table.lookup(given)
	switch {
	case cmd == nil:
		return resp.ErrorReply("ERR Invalid command specified")
	case !cmd.hasKeys():
		return resp.ErrorReply("ERR The command has no key arguments")
	case !cmd.accepts(len(given)):
		return resp.ErrorReply("ERR Invalid number of arguments specified for command")
	}
	answers := []resp.Reply{}
	for _, k := range cmd.keys {
		indexes, valid := k.indexes(given)
		if !valid {
			return resp.ErrorReply("ERR Invalid arguments specified for command")
		}
		flags := k.uses(given)
		for _, at := range indexes {
			answers = append(answers, answer(given[at], flags))
		}
	}
	return resp.Array(answers...)
}

// help lists the sub-commands of the container that it belongs to.
func help(c *call, _ [][]byte) resp.Reply {
	container, _, _ := strings.Cut(c.command.fullName, "|")
	lines := []resp.Reply{resp.Simple(strings.ToUpper(container) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")}
	for _, sub := range c.table.byName[container].order {
		lines = append(lines, resp.Simple(strings.ToUpper(sub.name)), resp.Simple("    "+sub.summary))
	}
	return resp.Array(lines...)
}
