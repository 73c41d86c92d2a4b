package broker

import (
	"bytes"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/script"
)

// EVAL and SCRIPT. What runs a script is in scripting.go.

const evalFlags = command.NoScript | command.Stale | command.SkipMonitor | command.NoMandatoryKeys | command.MovableKeys | command.RunsScript

var scriptCommands = []command.Command{
	{Name: "eval", Arity: -3, Flags: evalFlags | command.MayReplicate, Keys: command.CountedKeys(2, "RW access update"), Run: withBroker(eval), ACL: "scripting",
		Group: "scripting", Since: "2.6.0", Complexity: "Depends on the script.", Summary: "Runs a script."},
	{Name: "eval_ro", Arity: -3, Flags: evalFlags | command.ReadOnly, Keys: command.CountedKeys(2, "RO access"), Run: withBroker(evalReadOnly), ACL: "scripting",
		Group: "scripting", Since: "7.0.0", Complexity: "Depends on the script.", Summary: "Runs a script that may not write."},
	{Name: "evalsha", Arity: -3, Flags: evalFlags | command.MayReplicate, Keys: command.CountedKeys(2, "RW access update"), Run: withBroker(evalSHA), ACL: "scripting",
		Group: "scripting", Since: "2.6.0", Complexity: "Depends on the script.", Summary: "Runs a script that was loaded, by its SHA-1."},
	{Name: "evalsha_ro", Arity: -3, Flags: evalFlags | command.ReadOnly, Keys: command.CountedKeys(2, "RO access"), Run: withBroker(evalSHAReadOnly), ACL: "scripting",
		Group: "scripting", Since: "7.0.0", Complexity: "Depends on the script.", Summary: "Runs a script that was loaded, by its SHA-1, and may not write."},
	{Name: "script", Arity: -2, Group: "scripting", Since: "2.6.0", Complexity: "Depends on the sub-command.", Summary: "Commands about scripts.", Subs: []*command.Command{
		{Name: "debug", Arity: 3, Flags: command.NoScript, Run: withBroker(scriptDebug), ACL: "scripting", Since: "3.2.0", Complexity: "O(1)", Summary: "Refuses, as there is no debugger. NO is accepted."},
		{Name: "exists", Arity: -3, Flags: command.NoScript, Run: withBroker(scriptExists), ACL: "scripting", Tips: "request_policy:all_shards response_policy:agg_logical_and", Since: "2.6.0", Complexity: "O(N) where N is the number of scripts asked for", Summary: "Tells which scripts are loaded, by their SHA-1."},
		{Name: "flush", Arity: -2, Flags: command.NoScript, Run: withBroker(scriptFlush), ACL: "scripting", Tips: "request_policy:all_nodes response_policy:all_succeeded", Since: "2.6.0", Complexity: "O(N) where N is the number of scripts", Summary: "Removes all scripts."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "scripting", Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "kill", Arity: 2, Flags: command.NoScript | command.AllowBusy, Run: withBroker(scriptKill), ACL: "scripting", Tips: "request_policy:all_shards response_policy:one_succeeded", Since: "2.6.0", Complexity: "O(1)", Summary: "Ends the script that is running, unless it has written."},
		{Name: "load", Arity: 3, Flags: command.NoScript | command.Stale, Run: withBroker(scriptLoad), ACL: "scripting", Tips: "request_policy:all_nodes response_policy:all_succeeded", Since: "2.6.0", Complexity: "O(N) where N is the size of the script", Summary: "Compiles a script, and returns its SHA-1."},
	}},
}

func eval(c *call, args [][]byte) resp.Reply            { return c.eval(args, false, c.load) }
func evalReadOnly(c *call, args [][]byte) resp.Reply    { return c.eval(args, true, c.load) }
func evalSHA(c *call, args [][]byte) resp.Reply         { return c.evalSHA(args, false) }
func evalSHAReadOnly(c *call, args [][]byte) resp.Reply { return c.evalSHA(args, true) }

// evalSHA is eval of a script that was loaded.
func (c *call) evalSHA(args [][]byte, readOnly bool) resp.Reply {
	if len(args[1]) != len(script.Hash(nil)) {
		c.show(c.session, c.command, args)
		return noScript
	}
	return c.eval(args, readOnly, c.find)
}

// eval runs a script with the keys and arguments that follow it.
func (c *call) eval(args [][]byte, readOnly bool, get func([]byte) (*script.Script, *resp.Reply)) resp.Reply {
	c.show(c.session, c.command, args) // before the commands of the script
	keys, err := numberOfKeys(args, "ERR value is not an integer or out of range")
	if err != nil {
		return *err
	}
	s, err := get(args[1])
	if err != nil {
		return *err
	}
	return c.runScript(c.session, s, args, keys, readOnly)
}

// numberOfKeys reads how many arguments behind it are keys. What is no number has an answer
// of its own.
func numberOfKeys(args [][]byte, notAnInteger string) (int64, *resp.Reply) {
	n, isInt := resp.ParseInt(args[2])
	wrong := ""
	switch {
	case !isInt:
		wrong = notAnInteger
	case n > int64(len(args)-3):
		wrong = "ERR Number of keys can't be greater than number of args"
	case n < 0:
		wrong = "ERR Number of keys can't be negative"
	default:
		return n, nil
	}
	r := resp.ErrorReply(wrong)
	return 0, &r
}

func (b *Broker) load(body []byte) (*script.Script, *resp.Reply) { return b.scriptCache().Load(body) }

var noScript = resp.ErrorReply("NOSCRIPT No matching script. Please use EVAL.")

func (b *Broker) find(hash []byte) (*script.Script, *resp.Reply) {
	if s := b.scriptCache().Find(hash); s != nil {
		return s, nil
	}
	return nil, &noScript
}

// scriptDebug has no debugger to switch on.
func scriptDebug(c *call, args [][]byte) resp.Reply {
	switch {
	case c.session.out.Len() > 0:
		return resp.ErrorReply("ERR SCRIPT DEBUG must be called outside a pipeline")
	case resp.Is(args[2], "NO"):
		return resp.OK
	case resp.Is(args[2], "YES"), resp.Is(args[2], "SYNC"):
		return resp.ErrorReply("ERR the broker has no debugger for scripts: expected SCRIPT DEBUG NO")
	}
	return resp.ErrorReply("ERR Use SCRIPT DEBUG YES/SYNC/NO")
}

func scriptExists(c *call, args [][]byte) resp.Reply {
	found := make([]resp.Reply, len(args)-2)
	for i, hash := range args[2:] {
		if found[i] = resp.Zero; c.scriptCache().Find(hash) != nil {
			found[i] = resp.One
		}
	}
	return resp.Array(found...)
}

func scriptFlush(c *call, args [][]byte) resp.Reply {
	if len(args) > 3 || len(args) == 3 && !resp.Is(args[2], "SYNC") && !resp.Is(args[2], "ASYNC") {
		return resp.ErrorReply("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
	}
	c.scriptCache().Flush()
	return resp.OK
}

func scriptKill(c *call, _ [][]byte) resp.Reply { return c.killScript(false) }

// killScript ends the script that is running, if it is what the command is for.
func (c *call) killScript(function bool) resp.Reply {
	run := c.scripting.running
	switch {
	case run == nil:
		return resp.ErrorReply("NOTBUSY No scripts in execution right now.")
	case run.wrote:
		return resp.ErrorReply("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.")
	case run.script.IsFunction != function:
		return run.busyReply()
	}
	run.killed = true
	return resp.OK
}

func scriptLoad(c *call, args [][]byte) resp.Reply {
	s, err := c.scriptCache().Load(bytes.Clone(args[2]))
	if err != nil {
		return *err
	}
	return resp.BulkString(s.Name)
}
