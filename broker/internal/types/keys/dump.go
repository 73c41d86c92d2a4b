package keys

import (
	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// DUMP and RESTORE.

var dumpCommands = []command.Command{
	{Name: "dump", Arity: 2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: dump, ACL: "keyspace", Tips: "nondeterministic_output",
		Group: "generic", Since: "2.6.0", Complexity: "O(N) where N is the size of the value", Summary: "Returns a value in a form that RESTORE reads, here and in Redis."},
	{Name: "restore", Arity: -4, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("OW update"), Run: restore, ACL: "keyspace dangerous",
		Group: "generic", Since: "2.6.0", Complexity: "O(N) where N is the size of the value", Summary: "Makes a key from what DUMP returned, here or in Redis."},
	{Name: "restore-asking", Arity: -4, Flags: command.Write | command.DenyOOM | command.Asking, Keys: command.OneKey("OW update"), Run: restore, ACL: "keyspace dangerous",
		Group: "server", Since: "3.0.0", Complexity: "O(N) where N is the size of the value", Summary: "RESTORE, as MIGRATE sends it between nodes of a cluster."},
}

func dump(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Lookup(args[1])
	if e == nil {
		return resp.Null
	}
	return resp.Bulk(keyspace.Dump(e.Value))
}

// restoreOptions are those of RESTORE.
type restoreOptions struct {
	replace, absolute bool

	idle int64 // seconds; negative: not given
	freq int64 // negative: not given
}

func (o *restoreOptions) parse(args [][]byte) *resp.Reply {
	o.idle, o.freq = -1, -1
	for i := 0; i < len(args); i++ {
		var isInt bool
		switch more := i+1 < len(args); {
		case resp.Is(args[i], "REPLACE"):
			o.replace = true
		case resp.Is(args[i], "ABSTTL"):
			o.absolute = true
		case resp.Is(args[i], "IDLETIME") && more && o.freq < 0:
			i++
			switch o.idle, isInt = resp.ParseInt(args[i]); {
			case !isInt:
				return &resp.NotAnInteger
			case o.idle < 0:
				r := resp.ErrorReply("ERR Invalid IDLETIME value, must be >= 0")
				return &r
			}
		case resp.Is(args[i], "FREQ") && more && o.idle < 0:
			i++
			switch o.freq, isInt = resp.ParseInt(args[i]); {
			case !isInt:
				return &resp.NotAnInteger
			case o.freq < 0 || o.freq > 255:
				r := resp.ErrorReply("ERR Invalid FREQ value, must be >= 0 and <= 255")
				return &r
			}
		default:
			return &resp.SyntaxError
		}
	}
	return nil
}

func restore(c *keyspace.Call, args [][]byte) resp.Reply {
	var o restoreOptions
	if err := o.parse(args[4:]); err != nil {
		return *err
	}
	key := args[1]
	if !o.replace && c.Find(key) != nil {
		return resp.ErrorReply("BUSYKEY Target key name already exists.")
	}
	at, isInt := resp.ParseInt(args[2])
	switch {
	case !isInt:
		return resp.NotAnInteger
	case at < 0:
		return resp.ErrorReply("ERR Invalid TTL value, must be >= 0")
	}
	body, valid := rdb.Undump(args[3])
	if !valid {
		return resp.ErrorReply("ERR DUMP payload version or checksum are wrong")
	}
	v := c.Types.Load(body, c.MaxBulk, c.Thresholds)
	if v == nil {
		return resp.ErrorReply("ERR Bad data format")
	}
	old := c.DB.Find(key)
	if old != nil {
		c.Remove(old)
	}
	if at != 0 && !o.absolute {
		at += c.Milliseconds() // what is too large becomes negative, and has expired
	}
	if at != 0 && at <= c.Milliseconds() {
		if old != nil {
			c.Changed(key, keyspace.GenericEvent, "del")
		}
		return resp.OK
	}
	if s, may := v.(keyspace.Shared); may && !c.SharesIntegers() {
		s.Unshare()
	}
	e := c.Create(key, v)
	if at != 0 {
		c.SetExpiry(e, at)
	}
	switch isLFU := c.Policy().IsLFU(); {
	case isLFU && o.freq >= 0:
		c.SetFrequency(e, uint8(o.freq))
	case !isLFU && o.idle >= 0:
		e.Used -= uint32(min(o.idle, int64(e.Used)))
	}
	c.Changed(key, keyspace.GenericEvent, "restore")
	return resp.OK
}
