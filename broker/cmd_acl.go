package broker

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"redrpc/broker/internal/acl"
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// ACL and its sub-commands.

var aclCommands = []command.Command{
	{Name: "acl", Arity: -2, Group: "server", Since: "6.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about users and their permissions.", Subs: []*command.Command{
		{Name: "cat", Arity: -2, Flags: command.NoScript | command.Always, Run: withBroker(aclCat), Since: "6.0.0", Complexity: "O(1)", Summary: "Returns the categories of commands, or the commands of one."},
		{Name: "deluser", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclDelUser), Since: "6.0.0", Complexity: "O(1) for each user", Summary: "Deletes users and closes their connections."},
		{Name: "dryrun", Arity: -4, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclDryRun), Since: "7.0.0", Complexity: "O(1)", Summary: "Says whether a user may run a command, without running it."},
		{Name: "genpass", Arity: -2, Flags: command.NoScript | command.Always, Run: withBroker(aclGenPass), Since: "6.0.0", Complexity: "O(1)", Summary: "Returns a random password."},
		{Name: "getuser", Arity: 3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclGetUser), Since: "6.0.0", Complexity: "O(N) where N is the number of passwords and patterns", Summary: "Describes a user."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "6.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "list", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclList), Since: "6.0.0", Complexity: "O(N) where N is the number of users", Summary: "Returns the rules that make each user."},
		{Name: "load", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclFile), Since: "6.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no ACL file."},
		{Name: "log", Arity: -2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclLog), Since: "6.0.0", Complexity: "O(N) where N is the number of entries returned", Summary: "Returns or clears the log of denied commands."},
		{Name: "save", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclFile), Since: "6.0.0", Complexity: "O(1)", Summary: "Refuses, as there is no ACL file."},
		{Name: "setuser", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclSetUser), Since: "6.0.0", Complexity: "O(N) where N is the number of rules", Summary: "Creates or changes a user by rules."},
		{Name: "users", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(aclUsers), Since: "6.0.0", Complexity: "O(N) where N is the number of users", Summary: "Returns the names of the users."},
		{Name: "whoami", Arity: 2, Flags: command.PerSession, Run: withBroker(aclWhoAmI), Since: "6.0.0", Complexity: "O(1)", Summary: "Returns the name of this client's user."},
	}},
}

func aclWhoAmI(c *call, _ [][]byte) resp.Reply { return resp.BulkString(c.session.user.Name) }

func aclUsers(c *call, _ [][]byte) resp.Reply {
	return resp.BulkStrings(slices.Sorted(maps.Keys(c.acl.users)))
}

func aclList(c *call, _ [][]byte) resp.Reply {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(c.acl.users)) {
		lines = append(lines, "user "+name+" "+c.acl.users[name].Rules(c.options.TestCommands))
	}
	return resp.BulkStrings(lines)
}

func aclGetUser(c *call, args [][]byte) resp.Reply {
	u := c.acl.users[string(args[2])]
	if u == nil {
		return resp.Null
	}
	var flags, selectors []resp.Reply
	for _, flag := range u.Flags() {
		flags = append(flags, resp.BulkString(flag))
	}
	for i := range u.Rights[1:] {
		selectors = append(selectors, resp.Map(describeRights(&u.Rights[1+i], c.options.TestCommands)...))
	}
	description := []resp.Reply{resp.BulkString("flags"), resp.Set(flags...), resp.BulkString("passwords"), resp.BulkStrings(u.Passwords)}
	description = append(description, describeRights(&u.Rights[0], c.options.TestCommands)...)
	return resp.Map(append(description, resp.BulkString("selectors"), resp.Array(selectors...))...)
}

func describeRights(p *acl.Permissions, testCommands bool) []resp.Reply {
	return []resp.Reply{
		resp.BulkString("commands"), resp.BulkString(strings.Join(p.CommandRules(testCommands), " ")),
		resp.BulkString("keys"), resp.BulkString(strings.Join(p.KeyRules(), " ")),
		resp.BulkString("channels"), resp.BulkString(strings.Join(p.ChannelRules(), " ")),
	}
}

// aclSetUser makes or changes a user, by all rules or by none.
func aclSetUser(c *call, args [][]byte) resp.Reply {
	name := string(args[2])
	if acl.HasSpaces(name) {
		return resp.ErrorReply("ERR Usernames can't contain spaces or null characters")
	}
	rules, unclosed := acl.JoinSelectors(args[3:])
	if unclosed != "" {
		return resp.Errorf("ERR Unmatched parenthesis in acl selector starting at '%s'.", []byte(unclosed))
	}
	old := c.acl.users[name]
	fresh := acl.Fresh{Catalogue: catalogueOf, AnyChannel: c.options.access.anyChannel}
	changed := acl.NewUser(name, fresh)
	if old != nil {
		changed = old.Clone()
	}
	for _, rule := range rules {
		if wrong := changed.Apply(rule, fresh); wrong != "" {
			return resp.Errorf("ERR Error in ACL SETUSER modifier '%s': %s", []byte(rule), wrong)
		}
	}
	changed.Seal()
	if old == nil {
		c.acl.users[name] = changed
		return resp.OK
	}
	_, self := c.kill(func(s *session) bool { return s.user == old && s.losesChannels(old, changed) })
	*old = *changed
	return c.replyAndClose(resp.OK, self)
}

// losesChannels reports whether the client has subscriptions that its user has lost
// permission for. As in Redis this is not so if the old user had no permission for any
// channel: then the client has subscribed as another user.
func (s *session) losesChannels(old, changed *acl.User) bool {
	if !s.subscriptions.any() {
		return false
	}
	after, any := changed.Channels()
	if before, anyBefore := old.Channels(); any || !anyBefore && len(before) == 0 {
		return false
	}
	for kind, names := range s.subscriptions {
		for name := range names {
			if !acl.PermitsChannel(after, name, subscriptionKind(kind) == patterns) {
				return true
			}
		}
	}
	return false
}

// aclDelUser deletes users, and disconnects their clients.
func aclDelUser(c *call, args [][]byte) resp.Reply {
	if slices.ContainsFunc(args[2:], func(name []byte) bool { return resp.CString(name, len(name)) == "default" }) {
		return resp.ErrorReply("ERR The 'default' user cannot be removed")
	}
	deleted, self := 0, false
	for _, name := range args[2:] {
		u := c.acl.users[string(name)]
		if u == nil {
			continue
		}
		delete(c.acl.users, u.Name)
		deleted++
		if _, own := c.kill(func(s *session) bool { return s.user == u }); own {
			self = true
		}
	}
	return c.replyAndClose(resp.Int(deleted), self)
}

func aclCat(c *call, args [][]byte) resp.Reply {
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 2:
		return resp.BulkStrings(command.CategoryNames)
	}
	bit := acl.CategoryBit(resp.CString(args[2], len(args[2])))
	if bit == 0 {
		return resp.Errorf("ERR Unknown category '%s'", resp.CString(args[2], 128))
	}
	names := []string{}
	for name, cmd := range c.table.All() {
		if catalogueOf().Of(cmd)&bit != 0 {
			names = append(names, name)
		}
	}
	return resp.BulkStrings(names)
}

const maxGenPassBits = 4096

func aclGenPass(c *call, args [][]byte) resp.Reply {
	bits := int64(256)
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3:
		var isInt bool
		if bits, isInt = resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	if bits <= 0 || bits > maxGenPassBits {
		return resp.Errorf("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", maxGenPassBits)
	}
	random := make([]byte, maxGenPassBits/8)
	rand.Read(random) // never fails, by its contract
	return resp.BulkString(hex.EncodeToString(random)[:(bits+3)/4])
}

func aclDryRun(c *call, args [][]byte) resp.Reply {
	u := c.acl.users[string(args[2])]
	if u == nil {
		return resp.Errorf("ERR User '%s' not found", args[2])
	}
	given := args[3:]
	cmd, err := c.table.Lookup(given)
	switch {
	case err != nil:
		return resp.Errorf("ERR Command '%s' not found", given[0])
	case !cmd.Accepts(len(given)):
		return cmd.WrongNumber()
	}
	const refusal = "This user has no permissions to "
	switch what, at := u.Denies(cmd, given); what {
	case acl.CommandDenied:
		return resp.BulkString(refusal + "run the '" + cmd.FullName + "' command")
	case acl.KeyDenied:
		return resp.BulkString(refusal + "access the '" + resp.CString(given[at], len(given[at])) + "' key")
	case acl.ChannelDenied:
		return resp.BulkString(refusal + "access the '" + resp.CString(given[at], len(given[at])) + "' channel")
	}
	return resp.OK
}

// aclFile answers LOAD and SAVE.
func aclFile(*call, [][]byte) resp.Reply {
	return resp.ErrorReply("ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command " +
		"and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")
}

// ACL LOG.

// A denied is one entry. The same denial within a minute is counted in it.
type denied struct {
	what     acl.Denial
	context  string // "toplevel", "multi" or "lua"
	object   string // name of a command, key or channel
	username string
	at       int64 // when it happened last, nanoseconds since 1970
	client   string
	count    int64
}

const (
	defaultAccessLog = 128
	sameDenialFor    = time.Minute
	sameDenialAmong  = 10 // last entries compared
)

// denialObject is the name that the log shows.
func denialObject(what acl.Denial, cmd *command.Command, args [][]byte, at int) string {
	if what == acl.CommandDenied {
		return cmd.FullName
	}
	return string(args[at])
}

// addACLLog adds to the log.
func (s *session) addACLLog(what acl.Denial, object, username string) {
	b := s.broker
	log := &b.acl.log
	d := &denied{what: what, context: s.context(), object: object, username: username, at: b.keys.Now, client: s.origin().String(), count: 1}
	for i, old := range (*log)[:min(len(*log), sameDenialAmong)] {
		if old.what == d.what && old.context == d.context && old.object == d.object && old.username == d.username && d.at-old.at <= int64(sameDenialFor) {
			d.count += old.count
			*log = slices.Delete(*log, i, i+1)
			break
		}
	}
	*log = slices.Insert(*log, 0, d)
	*log = slices.Delete(*log, min(len(*log), b.options.access.logLength), len(*log))
}

// context is where a command of the client stands, as ACL LOG has it.
func (s *session) context() string {
	switch {
	case s.caller != nil:
		return "lua"
	case s.transaction.open || s.transaction.running:
		return "multi"
	}
	return "toplevel"
}

var denialNames = [...]string{acl.CommandDenied: "command", acl.KeyDenied: "key", acl.AuthDenied: "auth", acl.ChannelDenied: "channel"}

func aclLog(c *call, args [][]byte) resp.Reply {
	n := int64(10)
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3 && resp.Is(args[2], "RESET"):
		c.acl.log = nil
		return resp.OK
	case len(args) == 3:
		var isInt bool
		if n, isInt = resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	var entries []resp.Reply
	for _, d := range c.acl.log[:max(0, min(n, int64(len(c.acl.log))))] {
		entries = append(entries, resp.Map(
			resp.BulkString("count"), resp.Integer(d.count),
			resp.BulkString("reason"), resp.BulkString(denialNames[d.what]),
			resp.BulkString("context"), resp.BulkString(d.context),
			resp.BulkString("object"), resp.BulkString(d.object),
			resp.BulkString("username"), resp.BulkString(d.username),
			resp.BulkString("age-seconds"), resp.Double(float64((c.keys.Now-d.at)/int64(time.Millisecond))/1000),
			resp.BulkString("client-info"), resp.BulkString(d.client),
		))
	}
	return resp.Array(entries...)
}

// accessOptions are the settings of access control.
type accessOptions struct {
	logLength  int
	anyChannel bool // of new users: acl-pubsub-default
}

// aclState is the broker's users and the ACL log.
type aclState struct {
	users       map[string]*acl.User
	defaultUser *acl.User // of new clients, named "default"
	log         []*denied // the latest first
}

func (a *aclState) init(password string) {
	a.defaultUser = acl.NewDefaultUser(password, acl.Fresh{Catalogue: catalogueOf})
	a.users = map[string]*acl.User{"default": a.defaultUser}
}

// setUser sets the user of a client that has not authenticated.
func (s *session) setUser(u *acl.User) { s.user, s.authenticated = u, u.IsFree() }

// needsAuth reports whether the client has yet to authenticate.
func (s *session) needsAuth() bool { return !s.authenticated && !s.broker.acl.defaultUser.IsFree() }

// authenticate sets the client's user. It reports false if there is no such user, or the
// password is wrong.
func (c *call) authenticate(name, password []byte, command []byte) bool {
	u := c.acl.users[string(name)]
	if u == nil || !u.Admits(password) {
		c.session.addACLLog(acl.AuthDenied, string(command), string(name))
		return false
	}
	c.session.user, c.session.authenticated = u, true
	return true
}

// deny returns the error reply to a command for which the client's user has no permission,
// and adds it to the ACL log.
func (s *session) deny(cmd *command.Command, args [][]byte) *resp.Reply {
	what, at := s.user.Denies(cmd, args)
	s.addACLLog(what, denialObject(what, cmd, args, at), s.user.Name)
	var r resp.Reply
	switch what {
	case acl.KeyDenied:
		r = resp.ErrorReply("NOPERM this user has no permissions to access one of the keys used as arguments")
	case acl.ChannelDenied:
		r = resp.ErrorReply("NOPERM this user has no permissions to access one of the channels used as arguments")
	default:
		r = resp.Errorf("NOPERM this user has no permissions to run the '%s' command", cmd.FullName)
	}
	return &r
}

// denyQueued is deny for a queued command whose permission has been withdrawn since.
func (s *session) denyQueued(cmd *command.Command, args [][]byte) resp.Reply {
	what, at := s.user.Denies(cmd, args)
	s.addACLLog(what, denialObject(what, cmd, args, at), s.user.Name)
	reason := "no permission to execute the command or subcommand"
	switch what {
	case acl.KeyDenied:
		reason = "no permission to touch the specified keys"
	case acl.ChannelDenied:
		reason = "no permission to access one of the channels used as arguments"
	}
	return resp.ErrorReply("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
		"This command is no longer allowed for the following reason: " + reason)
}

// mayRun reports whether the client's user has permission for a command.
func (s *session) mayRun(cmd *command.Command, args [][]byte) bool {
	what, _ := s.user.Denies(cmd, args)
	return what == acl.NothingDenied
}
