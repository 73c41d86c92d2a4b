package broker

// Commands about the connection itself.

// version is the Redis version whose behaviour this is.
const version = "7.0.15"

func ping(c *call, args [][]byte) reply {
	if len(args) > 2 {
		return c.wrongNumber()
	}
	if s := c.session; s.protocol == 2 && s.subscriptions.any() {
		message := []byte{}
		if len(args) == 2 {
			message = args[1]
		}
		return array(bulkString("pong"), bulk(message))
	}
	if len(args) == 2 {
		return bulk(args[1])
	}
	return simple("PONG")
}

func echo(_ *call, args [][]byte) reply { return bulk(args[1]) }

func selectDB(c *call, args [][]byte) reply {
	d, err := c.parseDB(args[1])
	if err != nil {
		return *err
	}
	c.session.db = d
	return ok
}

func quit(c *call, _ [][]byte) reply {
	c.session.reply(&ok)
	c.session.finish()
	return nothing
}

func reset(c *call, _ [][]byte) reply {
	c.session.reset()
	return simple("RESET")
}

var wrongPassword = failure("WRONGPASS invalid username-password pair or user is disabled.")

func auth(c *call, args [][]byte) reply {
	if len(args) > 3 {
		return syntaxError
	}
	name, password := []byte("default"), args[1]
	if len(args) == 3 {
		name, password = args[1], args[2]
	} else if c.acl.standard.open {
		return failure("ERR AUTH <password> called without any password configured for the default user. " +
			"Are you sure your configuration is correct?")
	}
	if !c.authenticate(name, password, args[0]) {
		return wrongPassword
	}
	return ok
}

func hello(c *call, args [][]byte) reply {
	s := c.session
	protocol := int64(s.protocol)
	if len(args) > 1 {
		var isInt bool
		protocol, isInt = parseInt(args[1])
		switch {
		case !isInt:
			return failure("ERR Protocol version is not an integer or out of range")
		case protocol < 2 || protocol > 3:
			return failure("NOPROTO unsupported protocol version")
		}
	}
	for i := 2; i < len(args); i++ {
		switch rest := len(args) - i - 1; {
		case is(args[i], "AUTH") && rest >= 2:
			if !c.authenticate(args[i+1], args[i+2], args[0]) {
				return wrongPassword
			}
			i += 2
		case is(args[i], "SETNAME") && rest >= 1:
			if err := s.setName(args[i+1]); err != nil {
				return *err
			}
			i++
		default:
			return failuref("ERR Syntax error in HELLO option '%s'", args[i])
		}
	}
	if !s.authenticated { // even if no password is asked for any more
		return failure("NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
			"HELLO AUTH <user> <pass> option can be used to authenticate the client and select the " +
			"RESP protocol version at the same time")
	}
	s.protocol = int(protocol)
	return fields(
		bulkString("server"), bulkString("redis"),
		bulkString("version"), bulkString(version),
		bulkString("proto"), integer(protocol),
		bulkString("id"), integer(s.id),
		bulkString("mode"), bulkString("standalone"),
		bulkString("role"), bulkString("master"),
		bulkString("modules"), emptyList,
	)
}

// setName names the client. A name cannot have spaces, so that CLIENT LIST can be
// read by programs.
func (s *session) setName(name []byte) *reply {
	for _, c := range name {
		if c < '!' || c > '~' {
			r := failure("ERR Client names cannot contain spaces, newlines or special characters.")
			return &r
		}
	}
	s.rename(string(name))
	return nil
}
