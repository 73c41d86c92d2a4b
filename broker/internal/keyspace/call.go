package keyspace

import (
	"redrpc/broker/internal/resp"
)

// A Caller is the client whose command runs.
type Caller interface {
	// OutputMark is the current position in the client's output, counted from 1.
	OutputMark() int

	// Give reports whether an argument has memory of its own, which the handler owns from
	// then on.
	Give(arg []byte) bool

	// MayReadAnyKey reports whether the client has permission to read every key with the
	// running command.
	MayReadAnyKey(args [][]byte) bool
}

// A Call is one run of a command: what its handler may look at and change.
type Call struct {
	*Keyspace
	DB      *DB
	Command string // full name, in lower case
	Caller  Caller
	Script  bool // it is a script that runs the command
	Woken   bool // the client was blocked, and is served by the command that signalled the key
	Place   int  // position of the reply in the client's output, from 1; 0: at its end
}

// A Handler runs a command; args[0] is its name. The reply may refer to the arguments and
// to what keys hold: it is used before anything else happens.
type Handler func(c *Call, args [][]byte) resp.Reply

// AnswerFirst puts the reply before the notifications that the client itself gets from here
// on, instead of after them. In Redis this differs from command to command.
func (c *Call) AnswerFirst() { c.Place = c.Caller.OutputMark() }

// WrongNumber is the answer to a number of arguments that the command's arity does not
// rule out.
func (c *Call) WrongNumber() resp.Reply { return WrongNumber(c.Command) }

// WrongNumber is the answer to a wrong number of arguments.
func WrongNumber(command string) resp.Reply {
	return resp.Errorf("ERR wrong number of arguments for '%s' command", command)
}

// Find returns the entry of a key that is used, or nil.
func (c *Call) Find(key []byte) *Entry {
	e := c.DB.Find(key)
	if e != nil {
		c.touch(e)
	}
	return e
}

// Lookup returns the entry of a key that is read, or nil, and counts hits and
// misses.
func (c *Call) Lookup(key []byte) *Entry {
	e := c.Peek(key)
	if e != nil {
		c.touch(e)
	}
	return e
}

// Peek is Lookup for commands that ask about a key and do not count as use of it.
func (c *Call) Peek(key []byte) *Entry {
	e := c.Inspect(key)
	if e == nil {
		c.Notify(c.DB, key, MissEvent, "keymiss")
	}
	return e
}

// Inspect is Peek without the notification of a miss.
func (c *Call) Inspect(key []byte) *Entry {
	e := c.DB.Find(key)
	if e == nil {
		c.Misses++
	} else {
		c.Hits++
	}
	return e
}

// Create makes a key hold a value that has none.
func (c *Call) Create(key []byte, v Value) *Entry { return c.Add(c.DB, key, v) }

// Replace makes a key hold a value, whatever it held, and not expire.
func (c *Call) Replace(key []byte, v Value) *Entry {
	e := c.Find(key)
	if e == nil {
		return c.Create(key, v)
	}
	c.Assign(e, v)
	c.Persist(e)
	return e
}

// Changed signals that the client has modified a key of its database, and publishes the
// event. A handler calls it after each change.
func (c *Call) Changed(key []byte, class EventClass, event string) {
	c.SignalModified(c.Caller, c.DB, key)
	c.Notify(c.DB, key, class, event)
}

// ParseDB reads the number of a database.
func (c *Call) ParseDB(arg []byte) (*DB, *resp.Reply) {
	n, err := resp.ParseInt32(arg)
	switch {
	case err != nil:
		return nil, err
	case n < 0 || int(n) >= len(c.DBs):
		return nil, &resp.NoSuchDB
	}
	return c.DBs[n], nil
}
