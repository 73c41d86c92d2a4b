package stream

import (
	"math"
	"strconv"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands about what consumers have pending.

var pendingCommands = []command.Command{
	{Name: "xack", Arity: -4, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: xack, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)) for each ID, where N is the number of entries pending", Summary: "Acknowledges pending entries."},
	{Name: "xpending", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: xpending, ACL: "stream", Tips: "nondeterministic_output",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)+M) where N is the number of entries pending and M the number of those returned or, with IDLE, passed over; or O(C) where C is the number of consumers", Summary: "Returns the pending entries of a group."},
	{Name: "xclaim", Arity: -6, Flags: command.Write | command.Fast, Keys: command.OneKey("RW update"), Run: xclaim, ACL: "stream", Tips: "nondeterministic_output",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)) for each ID, where N is the number of entries pending", Summary: "Gives pending entries to another consumer."},
	{Name: "xautoclaim", Arity: -6, Flags: command.Write | command.Fast, Keys: command.OneKey("RW delete"), Run: xautoclaim, ACL: "stream", Tips: "nondeterministic_output",
		Group: "stream", Since: "6.2.0", Complexity: "O(log(N)+M) where N is the number of entries pending and M the number of those looked at", Summary: "Gives entries that have long been pending to another consumer, from an ID on."},
}

// pendingGroup returns the stream and the group that stand behind a command's name, of which
// both must exist.
func pendingGroup(e *keyspace.Entry, args [][]byte) (s *stream, g *group, err *resp.Reply) {
	s, isStream := asStream(e)
	if !isStream {
		return nil, nil, &resp.WrongType
	}
	if s != nil {
		g = s.groups.find(args[2])
	}
	if g == nil {
		r := resp.Errorf("NOGROUP No such key '%s' or consumer group '%s'", args[1], args[2])
		return nil, nil, &r
	}
	return s, g, nil
}

func xack(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Lookup(args[1])
	s, isStream := asStream(e)
	switch {
	case !isStream:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	g := s.groups.find(args[2])
	if g == nil {
		return resp.Zero
	}
	ids, err := parseIDs(args[3:])
	if err != nil {
		return *err
	}
	n := 0
	for _, id := range ids {
		if g.acknowledge(id) {
			n++
		}
	}
	c.Resized(e)
	return resp.Int(n)
}

// A pendingQuery is which entries XPENDING is to list.
type pendingQuery struct {
	span
	idle     int64 // for at least so many milliseconds
	count    int64
	consumer []byte // nil: of any
}

func (q *pendingQuery) parse(args [][]byte) *resp.Reply {
	var isInt bool
	if len(args) != 0 && (len(args) < 3 || len(args) > 6) {
		return &resp.SyntaxError
	}
	if resp.Is(args[0], "IDLE") {
		if q.idle, isInt = resp.ParseInt(args[1]); !isInt {
			return &resp.NotAnInteger
		}
		if len(args) < 5 {
			return &resp.SyntaxError
		}
		args = args[2:]
	}
	if q.count, isInt = resp.ParseInt(args[2]); !isInt {
		return &resp.NotAnInteger
	}
	var err *resp.Reply
	if q.span, err = parseSpan(args[0], args[1]); err != nil {
		return err
	}
	if len(args) > 3 {
		q.consumer = args[3]
	}
	return nil
}

func xpending(c *keyspace.Call, args [][]byte) resp.Reply {
	var q pendingQuery
	if len(args) > 3 {
		if err := q.parse(args[3:]); err != nil {
			return *err
		}
	}
	_, g, err := pendingGroup(c.Lookup(args[1]), args)
	switch {
	case err != nil:
		return *err
	case len(args) == 3:
		return g.summary()
	}
	pending := &g.pending
	if q.consumer != nil {
		one := g.find(q.consumer)
		if one == nil {
			return resp.EmptyArray
		}
		pending = &one.pending
	}
	listed := []resp.Reply{}
	if q.count <= 0 {
		return resp.EmptyArray
	}
	for d := range pending.from(q.from) {
		switch {
		case q.to.less(d.id):
			return resp.Array(listed...)
		case !d.isIdle(c.Milliseconds(), q.idle):
			continue
		}
		idle := c.Milliseconds() - d.at
		listed = append(listed, resp.Array(d.id.reply(), resp.BulkString(d.consumer.name), resp.Integer(max(idle, 0)), resp.Integer(int64(d.count))))
		if int64(len(listed)) == q.count {
			break
		}
	}
	return resp.Array(listed...)
}

// summary is the short answer of XPENDING.
func (g *group) summary() resp.Reply {
	if g.pending.len == 0 {
		return resp.Array(resp.Zero, resp.Null, resp.Null, resp.NullArray)
	}
	consumers := []resp.Reply{}
	for _, one := range g.consumers {
		if one.pending.len > 0 {
			consumers = append(consumers, resp.Array(resp.BulkString(one.name), resp.BulkString(strconv.Itoa(one.pending.len))))
		}
	}
	return resp.Array(resp.Int(g.pending.len), g.pending.first().reply(), g.pending.last().reply(), resp.Array(consumers...))
}

// A claim is how entries that are pending become another consumer's.
type claim struct {
	idle    int64 // for at least so many milliseconds
	ids     []entryID
	force   bool // they become pending if they are not
	onlyIDs bool
	at      int64 // when they count as delivered
	retries int64 // how often; negative: once more, unless onlyIDs
	last    entryID
}

func xclaim(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Lookup(args[1])
	s, g, err := pendingGroup(e, args)
	if err != nil {
		return *err
	}
	var o claim
	if err := o.parse(c, args[4:]); err != nil {
		return *err
	}
	if g.last.less(o.last) {
		g.set(o.last)
	}
	var one *consumer
	claimed := []resp.Reply{}
	for _, id := range o.ids {
		found, exists := s.find(id)
		if !exists {
			g.acknowledge(id)
			continue
		}
		d := g.pending.find(id)
		switch {
		case d == nil && !o.force:
			continue
		case d == nil:
			d = &delivery{id: id, count: 1}
			g.pending.add(d)
		case !d.isIdle(c.Milliseconds(), o.idle):
			continue
		}
		if one == nil {
			one = g.consumerFor(c, args[1], args[3])
		}
		claimed = append(claimed, o.take(g, d, one, found))
	}
	c.Resized(e)
	return resp.Array(claimed...)
}

// take makes what is pending a consumer's. It returns the entry as the reply has it.
func (o *claim) take(g *group, d *delivery, one *consumer, found entry) resp.Reply {
	g.assign(d, one)
	d.at = o.at
	switch {
	case o.retries >= 0:
		d.count = uint64(o.retries)
	case !o.onlyIDs:
		d.count++
	}
	if o.onlyIDs {
		return d.id.reply()
	}
	return found.reply()
}

// parse reads the arguments from the idle time on. IDs end where something else begins.
func (o *claim) parse(c *keyspace.Call, args [][]byte) *resp.Reply {
	var err *resp.Reply
	if o.idle, err = claimInteger(args[0], "min-idle-time"); err != nil {
		return err
	}
	args = args[1:]
	for len(args) > 0 {
		id, err := parseID(args[0])
		if err != nil {
			break
		}
		o.ids = append(o.ids, id)
		args = args[1:]
	}
	now := c.Milliseconds()
	o.at, o.retries = -1, -1
	for i := 0; i < len(args); i++ {
		if i+1 < len(args) {
			isOption := true
			switch value := args[i+1]; {
			case resp.Is(args[i], "IDLE"):
				o.at, err = claimInteger(value, "IDLE option")
				o.at = now - o.at
			case resp.Is(args[i], "TIME"):
				o.at, err = claimInteger(value, "TIME option")
			case resp.Is(args[i], "RETRYCOUNT"):
				o.retries, err = claimInteger(value, "RETRYCOUNT option")
			case resp.Is(args[i], "LASTID"):
				o.last, err = parseID(value)
			default:
				isOption = false
			}
			if err != nil {
				return err
			}
			if isOption {
				i++
				continue
			}
		}
		switch {
		case resp.Is(args[i], "FORCE"):
			o.force = true
		case resp.Is(args[i], "JUSTID"):
			o.onlyIDs = true
		default:
			r := resp.Errorf("ERR Unrecognized XCLAIM option '%s'", args[i])
			return &r
		}
	}
	if o.at < 0 || o.at > now {
		o.at = now
	}
	return nil
}

// claimInteger reads a number, whose name stands in the error.
func claimInteger(arg []byte, name string) (int64, *resp.Reply) {
	n, isInt := resp.ParseInt(arg)
	if !isInt {
		r := resp.Errorf("ERR Invalid %s argument for XCLAIM", name)
		return 0, &r
	}
	return n, nil
}

// mostClaimed is the greatest COUNT of XAUTOCLAIM.
const mostClaimed = math.MaxInt64 / rawID

// mostTransient is the greatest COUNT for which Redis finds memory, where that is not limited: it
// allocates an ID for each.
const mostTransient = 1 << 47 / rawID

// attempts is how many entries XAUTOCLAIM looks at for each that it may return.
const attempts = 10

func xautoclaim(c *keyspace.Call, args [][]byte) resp.Reply {
	e := c.Lookup(args[1]) // counts even where the arguments are wrong
	o, count := claim{retries: -1, at: c.Milliseconds()}, int64(100)
	var isInt bool
	if o.idle, isInt = resp.ParseInt(args[4]); !isInt {
		return resp.ErrorReply("ERR Invalid min-idle-time argument for XAUTOCLAIM")
	}
	from, excluded, err := parseEnd(args[5], 0)
	if err != nil {
		return *err
	}
	if excluded {
		if from, isInt = from.next(); !isInt {
			return invalidStart
		}
	}
	for options := args[6:]; len(options) > 0; options = options[1:] {
		switch {
		case resp.Is(options[0], "COUNT") && len(options) > 1:
			if count, isInt = resp.ParseInt(options[1]); !isInt || count < 1 || count > mostClaimed {
				return resp.ErrorReply("ERR COUNT must be > 0")
			}
			options = options[1:]
		case resp.Is(options[0], "JUSTID"):
			o.onlyIDs = true
		default:
			return resp.SyntaxError
		}
	}
	s, g, err := pendingGroup(e, args)
	switch {
	case err != nil:
		return *err
	case count > mostTransient:
		return resp.ErrorReply("ERR Insufficient memory, failed allocating transient memory, COUNT too high.")
	}
	r := o.auto(c, s, g, args, from, count)
	c.Resized(e)
	return r
}

// auto claims up to count entries from an ID on. What is not in the stream any more is not
// pending from then on, and is listed.
func (o *claim) auto(c *keyspace.Call, s *stream, g *group, args [][]byte, from entryID, count int64) resp.Reply {
	var one *consumer
	var gone []entryID
	claimed, deleted := []resp.Reply{}, []resp.Reply{}
	left, cursor := count, leastID
	looked := int64(0)
	for d := range g.pending.from(from) {
		if left == 0 || looked/attempts >= count {
			cursor = d.id
			break
		}
		looked++
		found, exists := s.find(d.id)
		switch {
		case !exists:
			gone = append(gone, d.id)
			deleted = append(deleted, d.id.reply())
		case !d.isIdle(c.Milliseconds(), o.idle):
			continue
		default:
			if one == nil {
				one = g.consumerFor(c, args[1], args[3])
			}
			claimed = append(claimed, o.take(g, d, one, found))
		}
		left--
	}
	for _, id := range gone {
		g.acknowledge(id)
	}
	return resp.Array(cursor.reply(), resp.Array(claimed...), resp.Array(deleted...))
}
