package broker

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// ACL and its sub-commands.

func aclWhoAmI(c *call, _ [][]byte) reply { return bulkString(c.session.user.name) }

func aclUsers(c *call, _ [][]byte) reply {
	return bulkStrings(slices.Sorted(maps.Keys(c.acl.users)))
}

func aclList(c *call, _ [][]byte) reply {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(c.acl.users)) {
		lines = append(lines, "user "+name+" "+c.acl.users[name].rules(c.table))
	}
	return bulkStrings(lines)
}

func aclGetUser(c *call, args [][]byte) reply {
	u := c.acl.users[string(args[2])]
	if u == nil {
		return null
	}
	var flags, selectors []reply
	for _, flag := range u.flags() {
		flags = append(flags, bulkString(flag))
	}
	for i := range u.rights[1:] {
		selectors = append(selectors, fields(u.rights[1+i].describe(c.table)...))
	}
	description := []reply{bulkString("flags"), set(flags...), bulkString("passwords"), bulkStrings(u.passwords)}
	description = append(description, u.rights[0].describe(c.table)...)
	return fields(append(description, bulkString("selectors"), array(selectors...))...)
}

func (p *permissions) describe(t *commandTable) []reply {
	return []reply{
		bulkString("commands"), bulkString(strings.Join(p.commandRules(t), " ")),
		bulkString("keys"), bulkString(strings.Join(p.keyRules(), " ")),
		bulkString("channels"), bulkString(strings.Join(p.channelRules(), " ")),
	}
}

// aclSetUser makes or changes a user, by all rules or by none.
func aclSetUser(c *call, args [][]byte) reply {
	name := string(args[2])
	if hasSpaces(name) {
		return failure("ERR Usernames can't contain spaces or null characters")
	}
	rules, unclosed := joinSelectors(args[3:])
	if unclosed != "" {
		return failuref("ERR Unmatched parenthesis in acl selector starting at '%s'.", []byte(unclosed))
	}
	old := c.acl.users[name]
	changed := &user{name: name, rights: []permissions{{anyChannel: c.options.access.anyChannel}}}
	if old != nil {
		changed = old.clone()
	}
	for _, rule := range rules {
		if wrong := changed.apply(rule, &c.options.access); wrong != "" {
			return failuref("ERR Error in ACL SETUSER modifier '%s': %s", []byte(rule), wrong)
		}
	}
	own := &changed.rights[0]
	changed.unlimited = own.future && own.commands == everyCommand && own.anyKey && own.anyChannel
	if old == nil {
		c.acl.users[name] = changed
		return ok
	}
	_, self := c.kill(func(s *session) bool { return s.user == old && s.hearsMore(old, changed) })
	*old = *changed
	return c.lastAnswer(ok, self)
}

// hearsMore reports whether the client is subscribed to what its user may not hear any
// more, once it has been changed. As in Redis, nothing is taken away from one that might
// hear nothing: it has subscribed as another user.
func (s *session) hearsMore(old, changed *user) bool {
	if !s.subscriptions.any() {
		return false
	}
	var after []string
	for _, p := range changed.rights {
		if p.anyChannel {
			return false
		}
		after = append(after, p.channels...)
	}
	if !slices.ContainsFunc(old.rights, func(p permissions) bool { return p.anyChannel || len(p.channels) > 0 }) {
		return false
	}
	for kind, names := range s.subscriptions {
		for name := range names {
			if !permitsChannel(after, name, subscriptionKind(kind) == patterns) {
				return true
			}
		}
	}
	return false
}

// aclDelUser deletes users, and ends the connections of their clients.
func aclDelUser(c *call, args [][]byte) reply {
	if slices.ContainsFunc(args[2:], func(name []byte) bool { return cString(name, len(name)) == "default" }) {
		return failure("ERR The 'default' user cannot be removed")
	}
	deleted, self := 0, false
	for _, name := range args[2:] {
		u := c.acl.users[string(name)]
		if u == nil {
			continue
		}
		delete(c.acl.users, u.name)
		deleted++
		if _, own := c.kill(func(s *session) bool { return s.user == u }); own {
			self = true
		}
	}
	return c.lastAnswer(count(deleted), self)
}

func aclCat(c *call, args [][]byte) reply {
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 2:
		return bulkStrings(categoryNames)
	}
	bit := category(cString(args[2], len(args[2])))
	if bit == 0 {
		return failuref("ERR Unknown category '%s'", cString(args[2], 128))
	}
	names := []string{}
	for name, cmd := range c.table.all() {
		if all := allCommands(); all.categories[all.rows[cmd.index]]&bit != 0 {
			names = append(names, name)
		}
	}
	return bulkStrings(names)
}

const maxGenPassBits = 4096

func aclGenPass(c *call, args [][]byte) reply {
	bits := int64(256)
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3:
		var isInt bool
		if bits, isInt = parseInt(args[2]); !isInt {
			return notAnInteger
		}
	}
	if bits <= 0 || bits > maxGenPassBits {
		return failuref("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", maxGenPassBits)
	}
	random := make([]byte, maxGenPassBits/8)
	rand.Read(random) // never fails, by its contract
	return bulkString(hex.EncodeToString(random)[:(bits+3)/4])
}

// aclDryRun says whether a user may run a command, without running it.
func aclDryRun(c *call, args [][]byte) reply {
	u := c.acl.users[string(args[2])]
	if u == nil {
		return failuref("ERR User '%s' not found", args[2])
	}
	given := args[3:]
	cmd, err := c.table.lookup(given)
	switch {
	case err != nil:
		return failuref("ERR Command '%s' not found", given[0])
	case !cmd.accepts(len(given)):
		return cmd.wrongNumber()
	}
	const refusal = "This user has no permissions to "
	switch what, at := u.denies(cmd, given); what {
	case commandDenied:
		return bulkString(refusal + "run the '" + cmd.fullName + "' command")
	case keyDenied:
		return bulkString(refusal + "access the '" + cString(given[at], len(given[at])) + "' key")
	case channelDenied:
		return bulkString(refusal + "access the '" + cString(given[at], len(given[at])) + "' channel")
	}
	return ok
}

// aclFile answers LOAD and SAVE.
func aclFile(*call, [][]byte) reply {
	return failure("ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command " +
		"and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")
}
