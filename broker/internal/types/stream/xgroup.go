package stream

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// XGROUP.

var groupCommands = []command.Command{
	{Name: "xgroup", Arity: -2, Group: "stream", Since: "5.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about consumer groups.", Subs: []*command.Command{
		{Name: "create", Arity: -5, Flags: command.Write | command.DenyOOM, Keys: command.KeyAt(2, "RW insert"), Run: xgroupCreate, ACL: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Creates a consumer group."},
		{Name: "createconsumer", Arity: 5, Flags: command.Write | command.DenyOOM, Keys: command.KeyAt(2, "RW insert"), Run: xgroupCreateConsumer, ACL: "stream", Since: "6.2.0", Complexity: "O(1)", Summary: "Creates a consumer of a group."},
		{Name: "delconsumer", Arity: 5, Flags: command.Write, Keys: command.KeyAt(2, "RW delete"), Run: xgroupDelConsumer, ACL: "stream", Since: "5.0.0", Complexity: "O(N) where N is the number of entries that the consumer has pending", Summary: "Deletes a consumer of a group, with its pending entries."},
		{Name: "destroy", Arity: 4, Flags: command.Write, Keys: command.KeyAt(2, "RW delete"), Run: xgroupDestroy, ACL: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Destroys a consumer group."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "setid", Arity: -5, Flags: command.Write, Keys: command.KeyAt(2, "RW update"), Run: xgroupSetID, ACL: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Sets the last ID that was delivered to a group."},
	}},
}

var (
	readNegative = resp.ErrorReply("ERR value for ENTRIESREAD must be positive or -1")
	requiresKey  = resp.ErrorReply("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
	busyGroup    = resp.ErrorReply("BUSYGROUP Consumer Group name already exists")
)

// subSyntax is the answer to options that a sub-command does not have.
func subSyntax(args [][]byte, container string) *resp.Reply {
	r := resp.Errorf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", resp.CString(args[1], 128), container)
	return &r
}

// groupOptions are those of XGROUP CREATE and SETID.
type groupOptions struct {
	makeStream bool
	read       int64 // how many entries the group has read, or unknownRead
}

func (o *groupOptions) parse(args [][]byte, ofCreate bool) *resp.Reply {
	o.read = unknownRead
	for i := 5; i < len(args); i++ {
		switch {
		case ofCreate && resp.Is(args[i], "MKSTREAM"):
			o.makeStream = true
		case resp.Is(args[i], "ENTRIESREAD") && i+1 < len(args):
			i++
			var isInt bool
			switch o.read, isInt = resp.ParseInt(args[i]); {
			case !isInt:
				return &resp.NotAnInteger
			case o.read < unknownRead:
				return &readNegative
			}
		default:
			return subSyntax(args, "XGROUP")
		}
	}
	return nil
}

// groupOf returns the entry and the stream of a key, which must exist, and the group of a name.
func groupOf(c *keyspace.Call, args [][]byte) (*keyspace.Entry, *stream, *group, *resp.Reply) {
	e := c.Find(args[2])
	s, isStream := asStream(e)
	switch {
	case !isStream:
		return nil, nil, nil, &resp.WrongType
	case s == nil:
		return nil, nil, nil, &requiresKey
	}
	return e, s, s.groups.find(args[3]), nil
}

// ownGroup is groupOf for a group that must exist.
func ownGroup(c *keyspace.Call, args [][]byte) (*keyspace.Entry, *stream, *group, *resp.Reply) {
	e, s, g, err := groupOf(c, args)
	if err == nil && g == nil {
		r := noGroup(args[2], args[3])
		err = &r
	}
	return e, s, g, err
}

// noGroup is the answer where a key has no group of a name.
func noGroup(key, name []byte) resp.Reply {
	return resp.Errorf("NOGROUP No such consumer group '%s' for key name '%s'", name, key)
}

// changedGroup publishes the event of a group that has changed, behind the reply. As in Redis
// WATCH and client tracking are not told.
func changedGroup(c *keyspace.Call, e *keyspace.Entry, event string) {
	c.AnswerFirst()
	c.Notify(c.DB, []byte(e.Key), keyspace.StreamEvent, event)
	c.Resized(e)
}

func xgroupCreate(c *keyspace.Call, args [][]byte) resp.Reply {
	var o groupOptions
	if err := o.parse(args, true); err != nil {
		return *err
	}
	e := c.Find(args[2])
	s, isStream := asStream(e)
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil && !o.makeStream:
		return requiresKey
	case len(args) > 8:
		return *subSyntax(args, "XGROUP")
	}
	last, err := parseLastID(args[4], s)
	if err != nil {
		return *err
	}
	if s == nil {
		s = &stream{}
		e = c.Create(args[2], s)
		c.SignalModified(c.Caller, c.DB, args[2])
	}
	if _, isNew := s.groups.create(args[3], last, o.read); !isNew {
		return busyGroup
	}
	changedGroup(c, e, "xgroup-create")
	return resp.OK
}

// parseLastID reads an ID; $ is the last one of the stream.
func parseLastID(arg []byte, s *stream) (entryID, *resp.Reply) {
	switch {
	case len(arg) != 1 || arg[0] != '$':
		return parseID(arg)
	case s == nil:
		return leastID, nil
	}
	return s.last, nil
}

func xgroupSetID(c *keyspace.Call, args [][]byte) resp.Reply {
	var o groupOptions
	if err := o.parse(args, false); err != nil {
		return *err
	}
	e, s, g, err := ownGroup(c, args)
	switch {
	case err != nil:
		return *err
	case len(args) > 7:
		return *subSyntax(args, "XGROUP")
	}
	last := s.last
	if len(args[4]) != 1 || args[4][0] != '$' {
		if last, _, err = (idForm{special: true}).parse(args[4]); err != nil {
			return *err
		}
	}
	g.set(last)
	g.read = o.read
	changedGroup(c, e, "xgroup-setid")
	return resp.OK
}

func xgroupDestroy(c *keyspace.Call, args [][]byte) resp.Reply {
	e, s, _, err := groupOf(c, args)
	if err != nil {
		return *err
	}
	if !s.groups.destroy(args[3]) {
		return resp.Zero
	}
	changedGroup(c, e, "xgroup-destroy")
	c.SignalReady(c.DB, e.Key) // for those who wait in the group
	return resp.One
}

func xgroupCreateConsumer(c *keyspace.Call, args [][]byte) resp.Reply {
	e, _, g, err := ownGroup(c, args)
	if err != nil {
		return *err
	}
	if _, isNew := g.create(args[4], c.Milliseconds()); !isNew {
		return resp.Zero
	}
	c.Notify(c.DB, args[2], keyspace.StreamEvent, "xgroup-createconsumer")
	c.Resized(e)
	return resp.One
}

func xgroupDelConsumer(c *keyspace.Call, args [][]byte) resp.Reply {
	e, _, g, err := ownGroup(c, args)
	if err != nil {
		return *err
	}
	one := g.find(args[4])
	if one == nil {
		return resp.Zero
	}
	pending := one.pending.len
	g.remove(one)
	c.Notify(c.DB, args[2], keyspace.StreamEvent, "xgroup-delconsumer")
	c.Resized(e)
	return resp.Int(pending)
}
