package broker

import "redrpc/broker/internal/resp"

// Commands that move values between keys and databases.

func rename(c *call, args [][]byte) resp.Reply {
	if failed := c.rename(args[1], args[2], true); failed != nil {
		return *failed
	}
	return resp.OK
}

func renamenx(c *call, args [][]byte) resp.Reply {
	if failed := c.rename(args[1], args[2], false); failed != nil {
		return *failed
	}
	return resp.One
}

// rename gives a value another key, replacing what that holds or else refusing
// to. It returns the answer if there is nothing to do.
func (c *call) rename(from, to []byte, replace bool) *resp.Reply {
	e := c.find(from)
	if e == nil {
		return &resp.NoSuchKey
	}
	if old := c.find(to); old != nil {
		switch {
		case !replace:
			return &resp.Zero
		case old == e:
			return &resp.OK
		}
		c.remove(old)
	}
	v, at := e.value, e.at
	c.remove(e)
	e = c.add(c.db, to, v)
	if at != 0 {
		c.expireAt(e, at)
	}
	c.signalModified(c.session, c.db, from)
	c.signalModified(c.session, c.db, to)
	c.notify(c.db, from, genericEvent, "rename_from")
	c.notify(c.db, to, genericEvent, "rename_to")
	return nil
}

var sameObject = resp.ErrorReply("ERR source and destination objects are the same")

// parseDB reads the number of a database.
func (c *call) parseDB(arg []byte) (*database, *resp.Reply) {
	n, err := parseInt32(arg)
	switch {
	case err != nil:
		return nil, err
	case n < 0 || int(n) >= len(c.dbs):
		return nil, &resp.NoSuchDB
	}
	return c.dbs[n], nil
}

func parseInt32(arg []byte) (int32, *resp.Reply) {
	n, isInt := resp.ParseInt(arg)
	switch {
	case !isInt:
		return 0, &resp.NotAnInteger
	case n != int64(int32(n)):
		return 0, &resp.NotAnInt32
	}
	return int32(n), nil
}

func copyKey(c *call, args [][]byte) resp.Reply {
	target, replace := c.db, false
	for i := 3; i < len(args); i++ {
		switch {
		case resp.Is(args[i], "REPLACE"):
			replace = true
		case resp.Is(args[i], "DB") && i+1 < len(args):
			i++
			var err *resp.Reply
			if target, err = c.parseDB(args[i]); err != nil {
				return *err
			}
		default:
			return resp.SyntaxError
		}
	}
	if target == c.db && string(args[1]) == string(args[2]) {
		return sameObject
	}
	e := c.lookup(args[1])
	if e == nil {
		return resp.Zero
	}
	if old := target.find(args[2]); old != nil {
		if !replace {
			return resp.Zero
		}
		c.remove(old)
	}
	added := c.add(target, args[2], e.value.clone())
	if e.at != 0 {
		c.expireAt(added, e.at)
	}
	c.signalModified(c.session, target, args[2])
	c.notify(target, args[2], genericEvent, "copy_to")
	return resp.One
}

func move(c *call, args [][]byte) resp.Reply {
	target, err := c.parseDB(args[2])
	if err != nil {
		return *err
	}
	if target == c.db {
		return sameObject
	}
	e := c.find(args[1])
	if e == nil || target.find(args[1]) != nil {
		return resp.Zero
	}
	v, at := e.value, e.at
	c.remove(e)
	e = c.add(target, args[1], v)
	if at != 0 {
		c.expireAt(e, at)
	}
	c.signalModified(c.session, c.db, args[1])
	c.signalModified(c.session, target, args[1])
	c.notify(c.db, args[1], genericEvent, "move_from")
	c.notify(target, args[1], genericEvent, "move_to")
	return resp.One
}

func swapdb(c *call, args [][]byte) resp.Reply {
	for i, which := range []string{"first", "second"} {
		if _, err := parseInt32(args[1+i]); err != nil {
			return resp.Errorf("ERR invalid %s DB index", which)
		}
	}
	var dbs [2]*database
	for i := range dbs {
		var err *resp.Reply
		if dbs[i], err = c.parseDB(args[1+i]); err != nil {
			return *err
		}
	}
	if dbs[0] != dbs[1] {
		c.swap(dbs[0], dbs[1])
	}
	return resp.OK
}

// swap exchanges what two databases hold. Who watches or waits for a key in one
// of them finds there what was in the other.
func (b *Broker) swap(x, y *database) {
	for _, d := range []*database{x, y} {
		for key := range d.watched {
			if x.entries[key] != nil || y.entries[key] != nil {
				d.touchWatched([]byte(key))
			}
		}
	}
	x.entries, y.entries = y.entries, x.entries
	x.order, y.order = y.order, x.order
	x.expiring, y.expiring = y.expiring, x.expiring
	for _, d := range []*database{x, y} {
		for _, e := range d.order {
			e.db = d
		}
		for key := range d.blocked {
			if d.entries[key] != nil {
				b.signalReady(d, key)
			}
		}
	}
}

func (t *stringValue) clone() value {
	copied := &stringValue{append([]byte(nil), t.bytes...), t.form}
	if copied.form == compact {
		copied.form = unshared
	}
	return copied
}

func (l *list) clone() value {
	copied := &list{}
	for _, p := range l.walk(left) {
		copied.push(right, p.value())
	}
	return copied
}
