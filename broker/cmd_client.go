package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unsafe"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// CLIENT and its sub-commands.

var clientCommands = []command.Command{
	{Name: "client", Arity: -2, Group: "connection", Since: "2.4.0", Complexity: "Depends on the sub-command.", Summary: "Commands about client connections.", Subs: []*command.Command{
		{Name: "caching", Arity: 3, Flags: command.PerSession, Run: withBroker(clientCaching), ACL: "connection", Since: "6.0.0", Complexity: "O(1)", Summary: "Sets whether the next command is tracked."},
		{Name: "getname", Arity: 2, Flags: command.PerSession, Run: withBroker(clientGetName), ACL: "connection", Since: "2.6.9", Complexity: "O(1)", Summary: "Returns the name of this client."},
		{Name: "getredir", Arity: 2, Flags: command.PerSession, Run: withBroker(clientGetRedir), ACL: "connection", Since: "6.0.0", Complexity: "O(1)", Summary: "Returns the client that invalidations are redirected to."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "connection", Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "id", Arity: 2, Flags: command.PerSession, Run: withBroker(clientID), ACL: "connection", Since: "5.0.0", Complexity: "O(1)", Summary: "Returns the number of this client."},
		{Name: "info", Arity: 2, Flags: command.PerSession, Run: withBroker(clientInfo), ACL: "connection", Tips: "nondeterministic_output", Since: "6.2.0", Complexity: "O(1)", Summary: "Describes this client."},
		{Name: "kill", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(clientKill), ACL: "connection", Since: "2.4.0", Complexity: "O(N) where N is the number of clients", Summary: "Ends the connections of clients."},
		{Name: "list", Arity: -2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(clientList), ACL: "connection", Tips: "nondeterministic_output", Since: "2.4.0", Complexity: "O(N) where N is the number of clients", Summary: "Describes all clients, those of a type or those with the given numbers."},
		{Name: "no-evict", Arity: 3, Flags: command.Admin | command.PerSession, Run: withBroker(clientNoEvict), ACL: "connection", Since: "7.0.0", Complexity: "O(1)", Summary: "Sets whether this client may be closed to save memory. The broker closes none."},
		{Name: "pause", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(clientPause), ACL: "connection", Since: "2.9.50", Complexity: "O(1)", Summary: "Postpones all commands, or those that write, for a time."},
		{Name: "reply", Arity: 3, Flags: command.PerSession, Run: withBroker(clientReply), ACL: "connection", Since: "3.2.0", Complexity: "O(1)", Summary: "Sets whether this client is sent replies."},
		{Name: "setname", Arity: 3, Flags: command.PerSession, Run: withBroker(clientSetName), ACL: "connection", Since: "2.6.9", Complexity: "O(1)", Summary: "Names this client."},
		{Name: "tracking", Arity: -3, Flags: command.PerSession, Run: withBroker(clientTracking), ACL: "connection", Since: "6.0.0", Complexity: "O(1)", Summary: "Turns client tracking on or off."},
		{Name: "trackinginfo", Arity: 2, Flags: command.PerSession, Run: withBroker(clientTrackingInfo), ACL: "connection", Since: "6.2.0", Complexity: "O(1)", Summary: "Describes this client's tracking."},
		{Name: "unblock", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(clientUnblock), ACL: "connection", Since: "5.0.0", Complexity: "O(log N) where N is the number of clients", Summary: "Unblocks a blocked client."},
		{Name: "unpause", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(clientUnpause), ACL: "connection", Since: "6.2.0", Complexity: "O(N) where N is the number of clients with a command that is postponed", Summary: "Ends a pause."},
	}},
}

// tooManyArguments is the error reply to a sub-command with too many arguments.
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

// clientNoEvict sets the flag e of CLIENT LIST. The broker never evicts clients.
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
	s.accountUnblocked()
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

// refuseTracking returns why these options are invalid, or conflict with those in force;
// or "".
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

// refusePrefixes returns which of the new prefixes overlap with each other or with the
// client's, or "".
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

// CLIENT LIST.

// replyBlock is the size of Redis's blocks of replies, which oll counts.
const replyBlock = 16 << 10

// String describes the client as CLIENT LIST does, with Redis's fields in its order. For a
// client in memory, what it has not read counts as omem.
func (s *session) String() string {
	b := s.broker
	addr, laddr := s.transport.Addresses()
	queuedCommands := -1
	if s.transaction.open || s.transaction.running {
		queuedCommands = len(s.transaction.queue)
	}
	name := "NULL"
	if s.command != nil {
		name = s.command.FullName
	}
	unread := s.transport.Backlog()
	events := "r"
	if unread > 0 {
		events = "rw"
	}
	seconds := func(since int64) int64 { return (b.keys.Now - since) / int64(time.Second) }
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d",
		s.id, addr, laddr, s.transport.Descriptor(), s.name, seconds(s.created), seconds(s.used), s.flags(), s.db.Index,
		len(s.subscriptions[channels]), len(s.subscriptions[patterns]), len(s.subscriptions[shards]), queuedCommands,
		s.requests.Buffered(), s.requests.Spare(), s.argumentBytes(), s.transaction.bytes, s.out.Memory(), s.outPeak, s.out.Len(),
		(unread+replyBlock-1)/replyBlock, unread, s.memory(), events, name, s.user.Name, s.tracking.redirection(), s.protocol)
}

// memory is the client's memory in bytes, without subscriptions, tracking and watched keys.
func (s *session) memory() int {
	return int(unsafe.Sizeof(*s)) + s.requests.Buffered() + s.requests.Spare() + s.postponedBytes() + s.transaction.bytes +
		s.out.Memory() + s.transport.Backlog()
}

// postponedBytes is the size of the postponed command's arguments.
func (s *session) postponedBytes() int {
	if s.postponed == nil {
		return 0
	}
	return s.postponed.bytes
}

// argumentBytes is the size of the arguments of the command that runs, blocks or is
// postponed.
func (s *session) argumentBytes() int {
	switch {
	case s.postponed != nil:
		return s.postponed.bytes
	case s.waiter == nil:
		return s.requests.Running()
	}
	n := 0
	for _, arg := range keptArgumentsOf(s.blockedArgs) {
		n += len(arg)
	}
	return n
}

// flags are the letters that CLIENT LIST shows.
func (s *session) flags() string {
	f := ""
	for _, flag := range []struct {
		on     bool
		letter string
	}{
		{s.monitors, "O"},
		{s.subscriptions.any(), "P"},
		{s.transaction.open || s.transaction.running, "x"},
		{s.blocked(), "b"},
		{s.tracking.on, "t"},
		{s.tracking.broken, "R"},
		{s.tracking.broadcast, "B"},
		{s.transaction.watchedChanged, "d"},
		{s.closing, "c"},
		{s.transport.IsUnix(), "U"},
		{s.noEvict, "e"},
	} {
		if flag.on {
			f += flag.letter
		}
	}
	if f == "" {
		return "N"
	}
	return f
}

// CLIENT KILL.

// A clientFilter selects clients. Zero fields match any.
type clientFilter struct {
	id          int64
	kind        string // normal, master, replica or pubsub
	addr, laddr []byte
	user        *acl.User
	skipMe      bool
}

// clientKill disconnects the client with an address, or all that a filter matches. The
// calling client gets its reply before.
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
	return c.replyAndClose(answer, own)
}

// kill disconnects clients. It returns how many, and whether the calling client is one of
// them, which is left to replyAndClose.
func (c *call) kill(wanted func(*session) bool) (killed int, own bool) {
	for _, id := range slices.Sorted(maps.Keys(c.sessions)) {
		s := c.sessions[id]
		switch {
		case !wanted(s):
			continue
		case s == c.session:
			own = true
		default:
			s.Abort()
		}
		killed++
	}
	return killed, own
}

// replyAndClose is the reply of a command after which the connection is closed, if last.
func (c *call) replyAndClose(answer resp.Reply, last bool) resp.Reply {
	if !last {
		return answer
	}
	c.session.reply(&answer)
	c.session.finish()
	return resp.Nothing
}

// parseClientFilter reads names and values. The last value of a name counts.
func (c *call) parseClientFilter(args [][]byte) (f clientFilter, err *resp.Reply) {
	f.skipMe = true
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
			f.skipMe = true
		case resp.Is(args[i], "SKIPME") && resp.Is(value, "NO"):
			f.skipMe = false
		default:
			return f, &resp.SyntaxError
		}
	}
	return f, nil
}

// matches reports whether the filter selects a client; asking is the caller.
func (f *clientFilter) matches(s, asking *session) bool {
	addr, laddr := s.transport.Addresses()
	return (f.id == 0 || f.id == s.id) &&
		(f.user == nil || f.user == s.user) &&
		(f.kind == "" || f.kind == s.kind()) &&
		(f.addr == nil || string(f.addr) == addr) &&
		(f.laddr == nil || string(f.laddr) == laddr) &&
		!(f.skipMe && s == asking)
}

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

// kind is the client's type, as in CLIENT LIST TYPE.
func (s *session) kind() string {
	if s.subscriptions.any() {
		return "pubsub"
	}
	return "normal"
}
