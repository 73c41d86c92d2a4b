package broker

import (
	"bytes"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/script"
)

// FCALL and FUNCTION. What runs a function is in scripting.go.

var functionCommands = []command.Command{
	{Name: "fcall", Arity: -3, Flags: evalFlags | command.MayReplicate, Keys: command.CountedKeys(2, "RW access update"), Run: withBroker(fcall), ACL: "scripting",
		Group: "scripting", Since: "7.0.0", Complexity: "Depends on the function that is executed.", Summary: "Calls a function."},
	{Name: "fcall_ro", Arity: -3, Flags: evalFlags | command.ReadOnly, Keys: command.CountedKeys(2, "RO access"), Run: withBroker(fcallReadOnly), ACL: "scripting",
		Group: "scripting", Since: "7.0.0", Complexity: "Depends on the function that is executed.", Summary: "Calls a function that does not write."},
	{Name: "function", Arity: -2, Group: "scripting", Since: "7.0.0", Complexity: "Depends on subcommand.", Summary: "Commands about functions.", Subs: []*command.Command{
		{Name: "delete", Arity: 3, Flags: command.Write | command.NoScript, Run: withBroker(functionDelete), ACL: "scripting", Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "7.0.0", Complexity: "O(1)", Summary: "Deletes a library."},
		{Name: "dump", Arity: 2, Flags: command.NoScript, Run: withBroker(functionDump), ACL: "scripting", Since: "7.0.0", Complexity: "O(N) where N is the number of functions", Summary: "Returns all libraries in a form that FUNCTION RESTORE reads, here and in Redis."},
		{Name: "flush", Arity: -2, Flags: command.Write | command.NoScript, Run: withBroker(functionFlush), ACL: "scripting", Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "7.0.0", Complexity: "O(N) where N is the number of functions deleted", Summary: "Deletes all libraries."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "scripting", Since: "7.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "kill", Arity: 2, Flags: command.NoScript | command.AllowBusy, Run: withBroker(functionKill), ACL: "scripting", Tips: "request_policy:all_shards response_policy:one_succeeded", Since: "7.0.0", Complexity: "O(1)", Summary: "Ends the function that is running, unless it has written."},
		{Name: "list", Arity: -2, Flags: command.NoScript, Run: withBroker(functionList), ACL: "scripting", Tips: "nondeterministic_output_order", Since: "7.0.0", Complexity: "O(N) where N is the number of functions", Summary: "Describes the libraries, all or those whose names match."},
		{Name: "load", Arity: -3, Flags: command.Write | command.DenyOOM | command.NoScript, Run: withBroker(functionLoad), ACL: "scripting", Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "7.0.0", Complexity: "O(1) (considering compilation time is redundant)", Summary: "Loads a library of functions, and returns its name."},
		{Name: "restore", Arity: -3, Flags: command.Write | command.DenyOOM | command.NoScript, Run: withBroker(functionRestore), ACL: "scripting", Tips: "request_policy:all_shards response_policy:all_succeeded", Since: "7.0.0", Complexity: "O(N) where N is the number of functions on the payload", Summary: "Loads libraries from what FUNCTION DUMP returned, here or in Redis."},
		{Name: "stats", Arity: 2, Flags: command.NoScript | command.AllowBusy, Run: withBroker(functionStats), ACL: "scripting", Tips: "nondeterministic_output request_policy:all_shards response_policy:special", Since: "7.0.0", Complexity: "O(1)", Summary: "Tells which function is running, and how many there are."},
	}},
}

func fcall(c *call, args [][]byte) resp.Reply         { return c.fcall(args, false) }
func fcallReadOnly(c *call, args [][]byte) resp.Reply { return c.fcall(args, true) }

// fcall calls a function with the keys and arguments that follow its name.
func (c *call) fcall(args [][]byte, readOnly bool) resp.Reply {
	c.show(c.session, c.command, args) // before the commands of the function
	f := c.functions().Find(args[1])
	if f == nil {
		return resp.ErrorReply("ERR Function not found")
	}
	keys, err := numberOfKeys(args, "ERR Bad number of keys provided")
	if err != nil {
		return *err
	}
	return c.runScript(c.session, &f.Script, args, keys, readOnly)
}

func functionDelete(c *call, args [][]byte) resp.Reply {
	if !c.functions().Delete(args[2]) {
		return resp.ErrorReply("ERR Library not found")
	}
	return resp.OK
}

func functionDump(c *call, _ [][]byte) resp.Reply { return resp.Bulk(c.functions().Dump()) }

func functionFlush(c *call, args [][]byte) resp.Reply {
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3 && !resp.Is(args[2], "SYNC") && !resp.Is(args[2], "ASYNC"):
		return resp.ErrorReply("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
	}
	c.functions().Flush()
	return resp.OK
}

func functionKill(c *call, _ [][]byte) resp.Reply { return c.killScript(true) }

func functionList(c *call, args [][]byte) resp.Reply {
	var pattern []byte
	isNamed, withCode := false, false
	for i := 2; i < len(args); i++ {
		switch {
		case !withCode && resp.Is(args[i], "WITHCODE"):
			withCode = true
		case !isNamed && resp.Is(args[i], "LIBRARYNAME"):
			if i++; i == len(args) {
				return resp.ErrorReply("ERR library name argument was not given")
			}
			isNamed, pattern = true, args[i]
		default:
			return resp.Errorf("ERR Unknown argument %s", args[i])
		}
	}
	var libraries []resp.Reply
	for _, l := range c.functions().Libraries() {
		if isNamed && !glob.Match(string(pattern), l.Name, true) {
			continue
		}
		pairs := []resp.Reply{
			resp.BulkString("library_name"), resp.BulkString(l.Name),
			resp.BulkString("engine"), resp.BulkString("LUA"),
			resp.BulkString("functions"), describeFunctions(l),
		}
		if withCode {
			pairs = append(pairs, resp.BulkString("library_code"), resp.Bulk(l.Code))
		}
		libraries = append(libraries, resp.Map(pairs...))
	}
	return resp.Array(libraries...)
}

func describeFunctions(l *script.Library) resp.Reply {
	var functions []resp.Reply
	for _, f := range l.Functions {
		description := resp.Null
		if f.Description != nil {
			description = resp.Bulk(f.Description)
		}
		var flags []resp.Reply
		for _, name := range f.Flags.Names() {
			flags = append(flags, resp.Simple(name))
		}
		functions = append(functions, resp.Map(
			resp.BulkString("name"), resp.BulkString(f.Name),
			resp.BulkString("description"), description,
			resp.BulkString("flags"), resp.Set(flags...),
		))
	}
	return resp.Array(functions...)
}

func functionLoad(c *call, args [][]byte) resp.Reply {
	last := len(args) - 1
	for _, option := range args[2:last] {
		if !resp.Is(option, "REPLACE") {
			return resp.Errorf("ERR Unknown option given: %s", option)
		}
	}
	l, err := c.functions().Load(bytes.Clone(args[last]), last > 2)
	if err != nil {
		return *err
	}
	return resp.BulkString(l.Name)
}

func functionRestore(c *call, args [][]byte) resp.Reply {
	if len(args) > 4 {
		return tooManyArguments(args)
	}
	policy := script.Append
	if len(args) == 4 {
		switch {
		case resp.Is(args[3], "APPEND"):
		case resp.Is(args[3], "REPLACE"):
			policy = script.Replace
		case resp.Is(args[3], "FLUSH"):
			policy = script.Flush
		default:
			return resp.ErrorReply("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
		}
	}
	if err := c.functions().Restore(args[2], policy, c.MaxBulk); err != nil {
		return *err
	}
	return resp.OK
}

// functionStats may be asked while a function lets others in.
func functionStats(c *call, _ [][]byte) resp.Reply {
	running := resp.Null
	if run := c.scripting.running; run != nil {
		if !run.script.IsFunction {
			return run.busyReply()
		}
		running = resp.Map(
			resp.BulkString("name"), resp.BulkString(run.script.Name),
			resp.BulkString("command"), resp.Strings(len(run.args), slices.Values(run.args)),
			resp.BulkString("duration_ms"), resp.Integer(run.elapsed().Milliseconds()),
		)
	}
	libraries, functions := c.functions().Len()
	return resp.Map(
		resp.BulkString("running_script"), running,
		resp.BulkString("engines"), resp.Map(
			resp.BulkString("LUA"), resp.Map(
				resp.BulkString("libraries_count"), resp.Int(libraries),
				resp.BulkString("functions_count"), resp.Int(functions),
			),
		),
	)
}
