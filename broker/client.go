package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"redrpc/broker/internal/resp"
)

// CLIENT and its sub-commands.

// tooManyArguments is the answer to a sub-command with more arguments than it
// takes.
func tooManyArguments(args [][]byte) resp.Reply {
	return resp.Errorf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		resp.CString(args[1], 128), strings.ToUpper(string(args[0])))
}

func clientID(c *call, _ [][]byte) resp.Reply { return resp.Integer(c.session.id) }

func clientGetName(c *call, _ [][]byte) resp.Reply {
	if c.session.name == "" {
		return resp.Null
	}
	return resp.BulkString(c.session.name)
}

func clientSetName(c *call, args [][]byte) resp.Reply {
	if err := c.session.setName(args[2]); err != nil {
		return *err
	}
	return resp.OK
}

func clientInfo(c *call, _ [][]byte) resp.Reply { return resp.Verbatim(c.session.String() + "\n") }

func clientList(c *call, args [][]byte) resp.Reply {
	ids := slices.Sorted(maps.Keys(c.sessions))
	var kind string
	switch {
	case len(args) == 2:
	case len(args) == 4 && resp.Is(args[2], "TYPE"):
		var err *resp.Reply
		if kind, err = parseClientType(args[3]); err != nil {
			return *err
		}
	case len(args) > 3 && resp.Is(args[2], "ID"):
		ids = nil
		for _, arg := range args[3:] {
			id, isInt := resp.ParseInt(arg)
			if !isInt {
				return resp.ErrorReply("ERR Invalid client ID")
			}
			ids = append(ids, id)
		}
	default:
		return resp.SyntaxError
	}
	var lines strings.Builder
	for _, id := range ids {
		if s := c.sessions[id]; s != nil && (kind == "" || kind == s.kind()) {
			lines.WriteString(s.String() + "\n")
		}
	}
	return resp.Verbatim(lines.String())
}

// clientNoEvict is what CLIENT LIST shows as flag e. Clients are not evicted in any
// case.
func clientNoEvict(c *call, args [][]byte) resp.Reply {
	switch {
	case resp.Is(args[2], "ON"):
		c.session.noEvict = true
	case resp.Is(args[2], "OFF"):
		c.session.noEvict = false
	default:
		return resp.SyntaxError
	}
	return resp.OK
}

func clientUnblock(c *call, args [][]byte) resp.Reply {
	answer := resp.Reply{}
	if len(args) > 4 {
		return tooManyArguments(args)
	}
	if len(args) == 4 {
		switch {
		case resp.Is(args[3], "TIMEOUT"):
		case resp.Is(args[3], "ERROR"):
			answer = resp.ErrorReply("UNBLOCKED client unblocked via CLIENT UNBLOCK")
		default:
			return resp.ErrorReply("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		}
	}
	id, isInt := resp.ParseInt(args[2])
	if !isInt {
		return resp.NotAnInteger
	}
	s := c.sessions[id]
	if s == nil || s.waiter == nil {
		return resp.Zero
	}
	if answer.IsError() {
		c.usage[c.command.Index].failed++ // as in Redis: it has caused an error
	} else {
		answer = s.waiter.wait.Late
	}
	s.givenUp()
	s.unblock(0, answer)
	return resp.One
}

func clientTracking(c *call, args [][]byte) resp.Reply {
	s := c.session
	o := trackingState{}
	for i := 3; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case resp.Is(args[i], "REDIRECT") && more:
			i++
			if o.redirect != 0 {
				return resp.ErrorReply("ERR A client can only redirect to a single other client")
			}
			id, isInt := resp.ParseInt(args[i])
			if !isInt {
				return resp.NotAnInteger
			}
			if c.sessions[id] == nil {
				return resp.ErrorReply("ERR The client ID you want redirect to does not exist")
			}
			o.redirect = id
		case resp.Is(args[i], "BCAST"):
			o.broadcast = true
		case resp.Is(args[i], "OPTIN"):
			o.optIn = true
		case resp.Is(args[i], "OPTOUT"):
			o.optOut = true
		case resp.Is(args[i], "NOLOOP"):
			o.noLoop = true
		case resp.Is(args[i], "PREFIX") && more:
			i++
			o.prefixes = append(o.prefixes, string(args[i]))
		default:
			return resp.SyntaxError
		}
	}
	switch {
	case resp.Is(args[2], "OFF"):
		s.stopTracking()
		return resp.OK
	case !resp.Is(args[2], "ON"):
		return resp.SyntaxError
	}
	if err := s.refuseTracking(&o); err != "" {
		return resp.ErrorReply("ERR " + err)
	}
	s.startTracking(o)
	return resp.OK
}

// refuseTracking says why these options cannot be had, or not together with those
// in force.
func (s *session) refuseTracking(o *trackingState) string {
	const change = " before disabling tracking for this client, and then re-enabling it with a different mode."
	old := &s.tracking
	switch {
	case !o.broadcast && len(o.prefixes) > 0:
		return "PREFIX option requires BCAST mode to be enabled"
	case old.on && old.broadcast != o.broadcast:
		return "You can't switch BCAST mode on/off" + change
	case o.broadcast && (o.optIn || o.optOut):
		return "OPTIN and OPTOUT are not compatible with BCAST"
	case o.optIn && o.optOut:
		return "You can't specify both OPTIN mode and OPTOUT mode"
	case o.optIn && old.optOut || o.optOut && old.optIn:
		return "You can't switch OPTIN/OPTOUT mode" + change
	}
	if o.broadcast {
		return old.refusePrefixes(o.prefixes)
	}
	return ""
}

// refusePrefixes says which of the new prefixes overlap, with each other or with
// those that the client has.
func (t *trackingState) refusePrefixes(wanted []string) string {
	refusal := func(a, b, which string) string {
		if !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a) {
			return ""
		}
		return fmt.Sprintf("Prefix '%s' overlaps with %s prefix '%s'. Prefixes for a single client must not overlap.",
			resp.CString([]byte(a), len(a)), which, resp.CString([]byte(b), len(b)))
	}
	for i, a := range wanted {
		for _, b := range t.prefixes {
			if r := refusal(a, b, "an existing"); r != "" {
				return r
			}
		}
		for _, b := range wanted[i+1:] {
			if r := refusal(a, b, "another provided"); r != "" {
				return r
			}
		}
	}
	return ""
}

func clientCaching(c *call, args [][]byte) resp.Reply {
	t := &c.session.tracking
	if !t.on {
		return resp.ErrorReply("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	}
	switch {
	case resp.Is(args[2], "YES") && !t.optIn:
		return resp.ErrorReply("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case resp.Is(args[2], "NO") && !t.optOut:
		return resp.ErrorReply("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	case !resp.Is(args[2], "YES") && !resp.Is(args[2], "NO"):
		return resp.SyntaxError
	}
	t.caching = true
	return resp.OK
}

func clientGetRedir(c *call, _ [][]byte) resp.Reply {
	return resp.Integer(c.session.tracking.redirection())
}

func clientTrackingInfo(c *call, _ [][]byte) resp.Reply {
	t := &c.session.tracking
	flags := []resp.Reply{}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{t.on, "on"}, {!t.on, "off"}, {t.broadcast, "bcast"},
		{t.optIn, "optin"}, {t.optIn && t.caching, "caching-yes"},
		{t.optOut, "optout"}, {t.optOut && t.caching, "caching-no"},
		{t.noLoop, "noloop"}, {t.broken, "broken_redirect"},
	} {
		if f.on {
			flags = append(flags, resp.BulkString(f.name))
		}
	}
	return resp.Map(
		resp.BulkString("flags"), resp.Set(flags...),
		resp.BulkString("redirect"), resp.Integer(t.redirection()),
		resp.BulkString("prefixes"), resp.BulkStrings(t.prefixes),
	)
}
