package broker

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// Commands about the connection itself.

var connectionCommands = []command.Command{
	{Name: "ping", Arity: -1, Flags: command.Fast | command.WhileSubscribed, Run: withBroker(ping), ACL: "connection", Tips: "request_policy:all_shards response_policy:all_succeeded",
		Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Answers PONG, or the given text."},
	{Name: "echo", Arity: 2, Flags: command.Always | command.Fast, Run: withBroker(echo), ACL: "connection",
		Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Answers the given text."},
	{Name: "hello", Arity: -1, Flags: command.PerSession | command.Fast | command.NoAuth | command.AllowBusy, Run: withBroker(hello), ACL: "connection",
		Group: "connection", Since: "6.0.0", Complexity: "O(1)", Summary: "Chooses the protocol version, and may authenticate and name the client."},
	{Name: "auth", Arity: -2, Flags: command.PerSession | command.Fast | command.NoAuth | command.AllowBusy, Run: withBroker(auth), ACL: "connection",
		Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Authenticates the client."},
	{Name: "select", Arity: 2, Flags: command.Always | command.Fast, Run: withBroker(selectDB), ACL: "connection",
		Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Chooses the database."},
	{Name: "quit", Arity: -1, Flags: command.PerSession | command.Fast | command.NoAuth | command.AllowBusy | command.Immediate | command.WhileSubscribed, Run: withBroker(quit), ACL: "connection",
		Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Closes the connection."},
	{Name: "reset", Arity: 1, Flags: command.PerSession | command.Fast | command.NoAuth | command.AllowBusy | command.Immediate | command.WhileSubscribed, Run: withBroker(reset), ACL: "connection",
		Group: "connection", Since: "6.2.0", Complexity: "O(1)", Summary: "Resets the connection to its initial state."},
}

// version is the Redis version whose behaviour this is.
const version = "7.0.15"

func ping(c *call, args [][]byte) resp.Reply {
	if len(args) > 2 {
		return c.WrongNumber()
	}
	if s := c.session; s.protocol == 2 && s.subscriptions.any() {
		message := []byte{}
		if len(args) == 2 {
			message = args[1]
		}
		return resp.Array(resp.BulkString("pong"), resp.Bulk(message))
	}
	if len(args) == 2 {
		return resp.Bulk(args[1])
	}
	return resp.Simple("PONG")
}

func echo(_ *call, args [][]byte) resp.Reply { return resp.Bulk(args[1]) }

func selectDB(c *call, args [][]byte) resp.Reply {
	d, err := c.ParseDB(args[1])
	if err != nil {
		return *err
	}
	c.session.db = d
	return resp.OK
}

func quit(c *call, _ [][]byte) resp.Reply {
	c.session.reply(&resp.OK)
	c.session.finish()
	return resp.Nothing
}

func reset(c *call, _ [][]byte) resp.Reply {
	c.session.reset()
	return resp.Simple("RESET")
}

var wrongPassword = resp.ErrorReply("WRONGPASS invalid username-password pair or user is disabled.")

func auth(c *call, args [][]byte) resp.Reply {
	if len(args) > 3 {
		return resp.SyntaxError
	}
	name, password := []byte("default"), args[1]
	if len(args) == 3 {
		name, password = args[1], args[2]
	} else if c.acl.defaultUser.NoPass {
		return resp.ErrorReply("ERR AUTH <password> called without any password configured for the default user. " +
			"Are you sure your configuration is correct?")
	}
	if !c.authenticate(name, password, args[0]) {
		return wrongPassword
	}
	return resp.OK
}

func hello(c *call, args [][]byte) resp.Reply {
	s := c.session
	protocol := int64(s.protocol)
	if len(args) > 1 {
		var isInt bool
		protocol, isInt = resp.ParseInt(args[1])
		switch {
		case !isInt:
			return resp.ErrorReply("ERR Protocol version is not an integer or out of range")
		case protocol < 2 || protocol > 3:
			return resp.ErrorReply("NOPROTO unsupported protocol version")
		}
	}
	for i := 2; i < len(args); i++ {
		switch rest := len(args) - i - 1; {
		case resp.Is(args[i], "AUTH") && rest >= 2:
			if !c.authenticate(args[i+1], args[i+2], args[0]) {
				return wrongPassword
			}
			i += 2
		case resp.Is(args[i], "SETNAME") && rest >= 1:
			if err := s.setName(args[i+1]); err != nil {
				return *err
			}
			i++
		default:
			return resp.Errorf("ERR Syntax error in HELLO option '%s'", args[i])
		}
	}
	if !s.authenticated { // even if no password is required any more
		return resp.ErrorReply("NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
			"HELLO AUTH <user> <pass> option can be used to authenticate the client and select the " +
			"RESP protocol version at the same time")
	}
	s.protocol = int(protocol)
	return resp.Map(
		resp.BulkString("server"), resp.BulkString("redis"),
		resp.BulkString("version"), resp.BulkString(version),
		resp.BulkString("proto"), resp.Integer(protocol),
		resp.BulkString("id"), resp.Integer(s.id),
		resp.BulkString("mode"), resp.BulkString("standalone"),
		resp.BulkString("role"), resp.BulkString("master"),
		resp.BulkString("modules"), resp.EmptyArray,
	)
}

// setName names the client.
func (s *session) setName(name []byte) *resp.Reply {
	for _, c := range name {
		if c < '!' || c > '~' {
			r := resp.ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
			return &r
		}
	}
	s.rename(string(name))
	return nil
}

// A replyMode is what the client has set by CLIENT REPLY.
type replyMode uint8

const (
	skipping replyMode = 1 << iota // that to the running command
	skipNext                       // that to the next one
	silent                         // all
)

// suppresses reports whether a reply is not sent. Pushes and the replies to SUBSCRIBE and
// the like always are.
func (q replyMode) suppresses(r *resp.Reply) bool {
	return q&(skipping|silent) != 0 && r.Kind != resp.KindPush && r.Kind != resp.KindSequence
}

// nextCommand updates the mode after a command.
func (q *replyMode) nextCommand() {
	if *q != 0 {
		*q = *q&silent | *q&skipNext>>1
	}
}

func clientReply(c *call, args [][]byte) resp.Reply {
	q := &c.session.replyMode
	switch {
	case resp.Is(args[2], "ON"):
		*q &^= skipping | silent
		return resp.OK
	case resp.Is(args[2], "OFF"):
		*q |= silent
	case resp.Is(args[2], "SKIP"):
		if *q&silent == 0 { // else the reply to RESET would be skipped
			*q |= skipNext
		}
	default:
		return resp.SyntaxError
	}
	return resp.Nothing
}
