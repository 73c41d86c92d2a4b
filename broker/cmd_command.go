package broker

import (
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
)

// COMMAND and its sub-commands.

var commandCommands = []command.Command{
	{Name: "command", Arity: -1, Flags: command.Always, Run: withBroker(commandAll), ACL: "connection", Tips: "nondeterministic_output_order",
		Group: "server", Since: "2.8.13", Complexity: "O(N) where N is the number of commands", Summary: "Describes all commands.", Subs: []*command.Command{
			{Name: "count", Arity: 2, Flags: command.Always, Run: withBroker(commandCountAll), ACL: "connection", Since: "2.8.13", Complexity: "O(1)", Summary: "Returns the number of commands."},
			{Name: "docs", Arity: -2, Flags: command.Always, Run: withBroker(commandDocs), ACL: "connection", Tips: "nondeterministic_output_order", Since: "7.0.0", Complexity: "O(N) where N is the number of commands asked for", Summary: "Returns the documentation of commands."},
			{Name: "getkeys", Arity: -4, Flags: command.Always, Run: withBroker(commandGetKeys), ACL: "connection", Since: "2.8.13", Complexity: "O(N) where N is the number of arguments", Summary: "Returns the keys in a command."},
			{Name: "getkeysandflags", Arity: -4, Flags: command.Always, Run: withBroker(commandGetKeysAndFlags), ACL: "connection", Since: "7.0.0", Complexity: "O(N) where N is the number of arguments", Summary: "Returns the keys in a command, and what it does to them."},
			{Name: "help", Arity: 2, Flags: command.Always, ACL: "connection", Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
			{Name: "info", Arity: -2, Flags: command.Always, Run: withBroker(commandInfo), ACL: "connection", Tips: "nondeterministic_output_order", Since: "2.8.13", Complexity: "O(N) where N is the number of commands asked for", Summary: "Describes commands."},
			{Name: "list", Arity: -2, Flags: command.Always, Run: withBroker(commandList), ACL: "connection", Tips: "nondeterministic_output_order", Since: "7.0.0", Complexity: "O(N) where N is the number of commands", Summary: "Returns the names of the commands."},
		}},
}

func commandAll(c *call, _ [][]byte) resp.Reply { return c.describeAll() }

func commandCountAll(c *call, _ [][]byte) resp.Reply { return resp.Int(len(c.table.Order)) }

func commandInfo(c *call, args [][]byte) resp.Reply {
	if len(args) == 2 {
		return c.describeAll()
	}
	infos := make([]resp.Reply, 0, len(args)-2)
	for _, name := range args[2:] {
		if cmd := c.table.Named(name); cmd != nil {
			infos = append(infos, describeCommand(cmd))
		} else {
			infos = append(infos, resp.Null)
		}
	}
	return resp.Array(infos...)
}

func (c *call) describeAll() resp.Reply {
	infos := make([]resp.Reply, len(c.table.Order))
	for i, cmd := range c.table.Order {
		infos[i] = describeCommand(cmd)
	}
	return resp.Array(infos...)
}

// describeCommand is a command's entry in COMMAND INFO.
func describeCommand(c *command.Command) resp.Reply {
	var flags, categories, tips, specs, subs []resp.Reply
	for name := range c.Flags.Names() {
		flags = append(flags, resp.Simple(name))
	}
	for _, name := range c.Categories() {
		categories = append(categories, resp.Simple(name))
	}
	for _, tip := range strings.Fields(c.Tips) {
		tips = append(tips, resp.BulkString(tip))
	}
	for _, k := range c.Keys {
		specs = append(specs, describeKeys(k))
	}
	for _, sub := range c.Subs {
		subs = append(subs, describeCommand(sub))
	}
	subCommands := resp.Array(subs...)
	if len(subs) == 0 {
		subCommands = resp.Set() // as in Redis
	}
	first, last, step := c.Span()
	return resp.Array(
		resp.BulkString(c.FullName), resp.Int(c.Arity), resp.Set(flags...), resp.Int(first), resp.Int(last), resp.Int(step),
		resp.Set(categories...), resp.Set(tips...), resp.Set(specs...), subCommands,
	)
}

func describeKeys(k command.KeySpec) resp.Reply {
	var flags []resp.Reply
	for _, name := range strings.Fields(k.Flags) {
		flags = append(flags, resp.Simple(name))
	}
	typed := func(name string, spec ...resp.Reply) resp.Reply {
		return resp.Map(resp.BulkString("type"), resp.BulkString(name), resp.BulkString("spec"), resp.Map(spec...))
	}
	begin, find := typed("index", resp.BulkString("index"), resp.Int(k.First)), typed("range", resp.BulkString("lastkey"), resp.Int(k.Last), resp.BulkString("keystep"), resp.Int(k.Step), resp.BulkString("limit"), resp.Int(k.Limit))
	switch {
	case k.Keyword != "":
		begin = typed("keyword", resp.BulkString("keyword"), resp.BulkString(k.Keyword), resp.BulkString("startfrom"), resp.Int(k.From))
	case k.Step == 0:
		begin, find = typed("unknown"), typed("unknown")
	case k.Count:
		find = typed("keynum", resp.BulkString("keynumidx"), resp.Zero, resp.BulkString("firstkey"), resp.One, resp.BulkString("keystep"), resp.Int(k.Step))
	}
	return resp.Map(
		resp.BulkString("flags"), resp.Set(flags...),
		resp.BulkString("begin_search"), begin,
		resp.BulkString("find_keys"), find,
	)
}

func commandDocs(c *call, args [][]byte) resp.Reply {
	chosen := c.table.Order
	if len(args) > 2 {
		chosen = nil
		for _, name := range args[2:] {
			if cmd := c.table.Named(name); cmd != nil {
				chosen = append(chosen, cmd)
			}
		}
	}
	return docs(chosen)
}

func docs(chosen []*command.Command) resp.Reply {
	var pairs []resp.Reply
	for _, cmd := range chosen {
		doc := []resp.Reply{
			resp.BulkString("summary"), resp.BulkString(cmd.Summary),
			resp.BulkString("since"), resp.BulkString(cmd.Since),
			resp.BulkString("group"), resp.BulkString(cmd.Group),
			resp.BulkString("complexity"), resp.BulkString(cmd.Complexity),
		}
		if len(cmd.Subs) > 0 {
			doc = append(doc, resp.BulkString("subcommands"), docs(cmd.Subs))
		}
		pairs = append(pairs, resp.BulkString(cmd.FullName), resp.Map(doc...))
	}
	return resp.Map(pairs...)
}

func commandList(c *call, args [][]byte) resp.Reply {
	wanted := func(*command.Command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "MODULE"):
		wanted = func(*command.Command) bool { return false } // there are no modules
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(cmd *command.Command) bool {
			for _, name := range cmd.Categories() {
				if name == category {
					return true
				}
			}
			return false
		}
	case len(args) == 5 && resp.Is(args[2], "FILTERBY") && resp.Is(args[3], "PATTERN"):
		wanted = func(cmd *command.Command) bool { return glob.Match(string(args[4]), cmd.FullName, true) }
	default:
		return resp.SyntaxError
	}
	names := []resp.Reply{}
	for name, cmd := range c.table.All() {
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

// eachKey returns an array of what answer returns for each key of a command.
func (c *call) eachKey(given [][]byte, answer func(name []byte, flags string) resp.Reply) resp.Reply {
	cmd, _ := c.table.Lookup(given)
	switch {
	case cmd == nil:
		return resp.ErrorReply("ERR Invalid command specified")
	case !cmd.HasKeys():
		return resp.ErrorReply("ERR The command has no key arguments")
	case !cmd.Accepts(len(given)):
		return resp.ErrorReply("ERR Invalid number of arguments specified for command")
	}
	answers := []resp.Reply{}
	for _, k := range cmd.KeySpecs(given) {
		indexes, valid := k.Indexes(given)
		if !valid && cmd.Flags&command.NoMandatoryKeys != 0 {
			continue
		}
		if !valid {
			return resp.ErrorReply("ERR Invalid arguments specified for command")
		}
		flags := k.Uses(given)
		for _, at := range indexes {
			answers = append(answers, answer(given[at], flags))
		}
	}
	return resp.Array(answers...)
}
