package broker

import (
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/resp"
)

// CLIENT KILL.

// A clientFilter says which clients a command is about. What is zero does not
// matter.
type clientFilter struct {
	id          int64
	kind        string // normal, master, replica or pubsub
	addr, laddr []byte
	user        *user
	butOneself  bool
}

// clientKill ends the connection of one client, that with an address, or of all that
// a filter is about. To oneself the answer still goes.
func clientKill(c *call, args [][]byte) resp.Reply {
	f, one := clientFilter{addr: args[2]}, len(args) == 3
	if !one {
		var err *resp.Reply
		if f, err = c.parseClientFilter(args[2:]); err != nil {
			return *err
		}
	}
	killed, own := c.kill(func(s *session) bool { return f.matches(s, c.session) })
	answer := resp.Int(killed)
	switch {
	case one && killed == 0:
		answer = resp.ErrorReply("ERR No such client")
	case one:
		answer = resp.OK
	}
	return c.lastAnswer(answer, own)
}

// kill ends the connections of clients. It returns of how many, and whether the client
// itself is among them, for which lastAnswer does it.
func (c *call) kill(wanted func(*session) bool) (killed int, own bool) {
	for _, id := range slices.Sorted(maps.Keys(c.sessions)) {
		s := c.sessions[id]
		switch {
		case !wanted(s):
			continue
		case s == c.session:
			own = true
		default:
			s.abort()
		}
		killed++
	}
	return killed, own
}

// lastAnswer is the answer to a command behind which the connection is closed, or not.
func (c *call) lastAnswer(answer resp.Reply, last bool) resp.Reply {
	if !last {
		return answer
	}
	c.session.reply(&answer)
	c.session.finish()
	return resp.Nothing
}

// parseClientFilter reads names and values. Of several values for one name the last
// counts.
func (c *call) parseClientFilter(args [][]byte) (f clientFilter, err *resp.Reply) {
	f.butOneself = true
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return f, &resp.SyntaxError
		}
		switch value := args[i+1]; {
		case resp.Is(args[i], "ID"):
			var isInt bool
			if f.id, isInt = resp.ParseInt(value); !isInt || f.id < 1 {
				r := resp.ErrorReply("ERR client-id should be greater than 0")
				return f, &r
			}
		case resp.Is(args[i], "TYPE"):
			if f.kind, err = parseClientType(value); err != nil {
				return f, err
			}
		case resp.Is(args[i], "ADDR"):
			f.addr = value
		case resp.Is(args[i], "LADDR"):
			f.laddr = value
		case resp.Is(args[i], "USER"):
			if f.user = c.acl.users[string(value)]; f.user == nil {
				r := resp.Errorf("ERR No such user '%s'", value)
				return f, &r
			}
		case resp.Is(args[i], "SKIPME") && resp.Is(value, "YES"):
			f.butOneself = true
		case resp.Is(args[i], "SKIPME") && resp.Is(value, "NO"):
			f.butOneself = false
		default:
			return f, &resp.SyntaxError
		}
	}
	return f, nil
}

// matches reports whether the filter is about a client, if another asks.
func (f *clientFilter) matches(s, asking *session) bool {
	addr, laddr := s.transport.addresses()
	return (f.id == 0 || f.id == s.id) &&
		(f.user == nil || f.user == s.user) &&
		(f.kind == "" || f.kind == s.kind()) &&
		(f.addr == nil || string(f.addr) == addr) &&
		(f.laddr == nil || string(f.laddr) == laddr) &&
		!(f.butOneself && s == asking)
}

// parseClientType reads a type of clients.
func parseClientType(name []byte) (kind string, err *resp.Reply) {
	switch kind = strings.ToLower(string(name)); kind {
	case "normal", "master", "replica", "pubsub":
		return kind, nil
	case "slave":
		return "replica", nil
	}
	r := resp.Errorf("ERR Unknown client type '%s'", name)
	return "", &r
}

// kind is the type of a client, by the names of CLIENT LIST.
func (s *session) kind() string {
	if s.subscriptions.any() {
		return "pubsub"
	}
	return "normal"
}
