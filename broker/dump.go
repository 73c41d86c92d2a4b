package broker

// DUMP and RESTORE.

func dump(c *call, args [][]byte) reply {
	e := c.lookup(args[1])
	if e == nil {
		return null
	}
	return bulk(dumped(e.value))
}

// restoreOptions are those of RESTORE.
type restoreOptions struct {
	replace, absolute bool

	idle int64 // seconds; negative: not given
	freq int64 // likewise, and of no use
}

func (o *restoreOptions) parse(args [][]byte) *reply {
	o.idle, o.freq = -1, -1
	for i := 0; i < len(args); i++ {
		var isInt bool
		switch more := i+1 < len(args); {
		case is(args[i], "REPLACE"):
			o.replace = true
		case is(args[i], "ABSTTL"):
			o.absolute = true
		case is(args[i], "IDLETIME") && more && o.freq < 0:
			i++
			switch o.idle, isInt = parseInt(args[i]); {
			case !isInt:
				return &notAnInteger
			case o.idle < 0:
				r := failure("ERR Invalid IDLETIME value, must be >= 0")
				return &r
			}
		case is(args[i], "FREQ") && more && o.idle < 0:
			i++
			switch o.freq, isInt = parseInt(args[i]); {
			case !isInt:
				return &notAnInteger
			case o.freq < 0 || o.freq > 255:
				r := failure("ERR Invalid FREQ value, must be >= 0 and <= 255")
				return &r
			}
		default:
			return &syntaxError
		}
	}
	return nil
}

func restore(c *call, args [][]byte) reply {
	var o restoreOptions
	if err := o.parse(args[4:]); err != nil {
		return *err
	}
	key := args[1]
	if !o.replace && c.find(key) != nil {
		return failure("BUSYKEY Target key name already exists.")
	}
	at, isInt := parseInt(args[2])
	switch {
	case !isInt:
		return notAnInteger
	case at < 0:
		return failure("ERR Invalid TTL value, must be >= 0")
	}
	body, valid := undumped(args[3])
	if !valid {
		return failure("ERR DUMP payload version or checksum are wrong")
	}
	v := loaded(body, c.options.MaxBulk)
	if v == nil {
		return failure("ERR Bad data format")
	}
	old := c.db.find(key)
	if old != nil {
		c.remove(old)
	}
	if at != 0 && !o.absolute {
		at += c.milliseconds() // what is too large becomes negative, and has expired
	}
	if at != 0 && at <= c.milliseconds() {
		if old != nil {
			c.changed(key, genericEvent, "del")
		}
		return ok
	}
	e := c.add(c.db, key, v)
	if at != 0 {
		c.expireAt(e, at)
	}
	if o.idle >= 0 {
		e.used -= uint32(min(o.idle, int64(e.used)))
	}
	c.changed(key, genericEvent, "restore")
	return ok
}
