package stream

import (
	"bytes"
	"math"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// XREAD and XREADGROUP.

var readCommands = []command.Command{
	{Name: "xread", Arity: -4, Flags: command.ReadOnly | command.Blocking | command.MovableKeys, Keys: command.StreamKeys(1, "RO access"), Run: xread, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)+M) for each stream, where N is the number of entries and M the number of those returned", Summary: "Returns the entries after an ID of several streams, waiting for some if asked to."},
	{Name: "xreadgroup", Arity: -7, Flags: command.Write | command.Blocking | command.MovableKeys, Keys: command.StreamKeys(4, "RO access"), Run: xreadgroup, ACL: "stream",
		Group: "stream", Since: "5.0.0", Complexity: "O(log(N)+M) for each stream, where N is the number of entries and M the number of those returned", Summary: "Returns new or pending entries to a consumer of a group, waiting for some if asked to."},
}

// A reading is what XREAD or XREADGROUP is to read.
type reading struct {
	timeout time.Duration // negative: do not wait; 0: for ever
	count   int64         // the most entries of each stream; 0: any number
	noAck   bool          // what is delivered does not become pending
	keys    [][]byte
	ids     [][]byte
	group   []byte // nil: XREAD
	name    []byte // of the consumer
}

// Errors of reading.
var (
	notAMillisecond = resp.ErrorReply("ERR timeout is not an integer or out of range")
	timeoutNegative = resp.ErrorReply("ERR timeout is negative")
	groupOfXread    = resp.ErrorReply("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
	noAckOfXread    = resp.ErrorReply("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
	unbalanced      = resp.ErrorReply("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
	missingGroup    = resp.ErrorReply("ERR Missing GROUP option for XREADGROUP")
	lastOfGroup     = resp.ErrorReply("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
	newOfXread      = resp.ErrorReply("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
	groupGone       = resp.ErrorReply("NOGROUP the consumer group this client was blocked on no longer exists")
	streamGone      = resp.ErrorReply("UNBLOCKED the stream key no longer exists")
)

// parse reads the arguments, and leaves the IDs for later.
func (r *reading) parse(c *keyspace.Call, args [][]byte, ofGroup bool) *resp.Reply {
	r.timeout = -1
	for i := 1; i < len(args); i++ {
		more := len(args) - i - 1
		switch {
		case resp.Is(args[i], "BLOCK") && more > 0:
			if c.Script {
				err := resp.Errorf("ERR %s command is not allowed with BLOCK option from scripts", args[0])
				return &err
			}
			i++
			var err *resp.Reply
			if r.timeout, err = parseBlock(args[i]); err != nil {
				return err
			}
		case resp.Is(args[i], "COUNT") && more > 0:
			i++
			var isInt bool
			if r.count, isInt = resp.ParseInt(args[i]); !isInt {
				return &resp.NotAnInteger
			}
			r.count = max(r.count, 0)
		case resp.Is(args[i], "STREAMS") && more > 0:
			return r.parseStreams(args[i+1:], ofGroup)
		case resp.Is(args[i], "GROUP") && more > 1:
			if !ofGroup {
				return &groupOfXread
			}
			r.group, r.name = args[i+1], args[i+2]
			i += 2
		case resp.Is(args[i], "NOACK"):
			if !ofGroup {
				return &noAckOfXread
			}
			r.noAck = true
		default:
			return &resp.SyntaxError
		}
	}
	return &resp.SyntaxError
}

func (r *reading) parseStreams(args [][]byte, ofGroup bool) *resp.Reply {
	n := len(args) / 2
	switch {
	case len(args)%2 != 0:
		return &unbalanced
	case ofGroup && r.group == nil:
		return &missingGroup
	}
	r.keys, r.ids = args[:n], args[n:]
	return nil
}

// parseBlock reads a timeout in milliseconds, 0 meaning none.
func parseBlock(arg []byte) (time.Duration, *resp.Reply) {
	ms, isInt := resp.ParseInt(arg)
	switch {
	case !isInt:
		return 0, &notAMillisecond
	case ms < 0:
		return 0, &timeoutNegative
	case ms > math.MaxInt64/int64(time.Millisecond): // longer than 292 years
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// mostEntries is the number of entries that are read at most.
func (r *reading) mostEntries() int64 {
	if r.count == 0 {
		return math.MaxInt64
	}
	return r.count
}

// blockedCount is how many entries a client gets that has waited, unless it says otherwise.
const blockedCount = 1000

func xread(c *keyspace.Call, args [][]byte) resp.Reply {
	var r reading
	if err := r.parse(c, args, false); err != nil {
		return *err
	}
	last := make([]entryID, len(r.keys))
	for i, arg := range r.ids {
		s, isStream := asStream(c.Lookup(r.keys[i]))
		var err *resp.Reply
		switch {
		case !isStream:
			return resp.WrongType
		case len(arg) == 1 && arg[0] == '$':
			if s != nil {
				last[i] = s.last
			}
		case len(arg) == 1 && arg[0] == '>':
			return newOfXread
		default:
			if last[i], err = parseID(arg); err != nil {
				return *err
			}
		}
	}
	var found []resp.Reply
	for i, key := range r.keys {
		if s, _ := asStream(c.Lookup(key)); s != nil {
			if s.length > 0 && last[i].less(s.lastID()) {
				found = append(found, resp.Bulk(key), s.rangeReply(after(last[i]), false, r.mostEntries()))
			}
		}
	}
	switch {
	case len(found) > 0:
		return streamsReply(found)
	case r.timeout < 0:
		return resp.NullArray
	}
	if r.count == 0 {
		r.count = blockedCount
	}
	return r.wait(xreadServe(r.keys, last, r.count)).Reply()
}

// after is the range of what comes behind an ID.
func after(id entryID) span {
	from, _ := id.next()
	return span{from, greatestID}
}

// xreadServe serves a client of XREAD that has waited for entries behind the IDs. As in Redis it
// is served without any if all that was added has been deleted in the same transaction.
func xreadServe(keys [][]byte, last []entryID, count int64) func(*keyspace.Call, *keyspace.Entry) (resp.Reply, bool) {
	lastOf := map[string]entryID{}
	for i, key := range keys {
		if _, twice := lastOf[string(key)]; !twice {
			lastOf[string(key)] = last[i]
		}
	}
	return func(_ *keyspace.Call, e *keyspace.Entry) (resp.Reply, bool) {
		s, isStream := e.Value.(*stream)
		if !isStream || !lastOf[e.Key].less(s.last) {
			return resp.Nothing, false
		}
		return streamsReply([]resp.Reply{resp.BulkString(e.Key), s.rangeReply(after(lastOf[e.Key]), false, count)}), true
	}
}

// streamsReply answers with keys and entries, in turn: an array of pairs in version 2 of the
// protocol, a map in version 3.
func streamsReply(found []resp.Reply) resp.Reply { return resp.Keyed(found...) }

func (r *reading) wait(serve func(*keyspace.Call, *keyspace.Entry) (resp.Reply, bool)) *keyspace.Wait {
	return &keyspace.Wait{Keys: r.keys, Timeout: r.timeout, Refused: resp.NullArray, Late: resp.NullArray, Serve: serve}
}

func xreadgroup(c *keyspace.Call, args [][]byte) resp.Reply {
	var r reading
	if err := r.parse(c, args, true); err != nil {
		return *err
	}
	groups, from := make([]*group, len(r.keys)), make([]entryID, len(r.keys))
	for i, arg := range r.ids {
		s, isStream := asStream(c.Lookup(r.keys[i]))
		if !isStream {
			return resp.WrongType
		}
		if s != nil {
			groups[i] = s.groups.find(r.group)
		}
		var err *resp.Reply
		switch {
		case groups[i] == nil:
			return resp.Errorf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", r.keys[i], r.group)
		case len(arg) == 1 && arg[0] == '$':
			return lastOfGroup
		case isNew(arg):
			from[i] = greatestID
		default:
			if from[i], err = parseID(arg); err != nil {
				return *err
			}
		}
	}
	var found []resp.Reply
	for i, key := range r.keys {
		e := c.Lookup(key)
		if e == nil {
			continue
		}
		s := e.Value.(*stream)
		g := groups[i]
		switch {
		case from[i] != greatestID:
			found = append(found, resp.Bulk(key), r.history(c, s, g.consumerFor(c, key, r.name), from[i]))
		case g.hasNew(s):
			found = append(found, resp.Bulk(key), r.deliver(c, s, g, g.consumerFor(c, key, r.name)))
		default:
			continue
		}
		c.Resized(e)
	}
	switch {
	case len(found) > 0:
		return streamsReply(found)
	case r.timeout < 0:
		return resp.NullArray
	}
	return r.waitForNew().Reply()
}

// isNew reports whether an ID stands for what was not delivered yet.
func isNew(arg []byte) bool { return len(arg) == 1 && arg[0] == '>' }

// deliver delivers entries behind the group's last ID to a consumer.
func (r *reading) deliver(c *keyspace.Call, s *stream, g *group, one *consumer) resp.Reply {
	all, known, n := after(g.last), g.known, 0
	now, most := c.Milliseconds(), r.mostEntries()
	for e := range s.forward(all, known) {
		if n == 0 {
			known = mark{e.node, e.from}
		}
		g.advance(s, &e)
		if !r.noAck {
			g.deliver(e.id, one, now)
		}
		if n++; int64(n) >= most {
			break
		}
	}
	return entriesReply(n, s.forward(all, known))
}

// history answers with what a consumer has pending behind an ID, which is delivered once more.
// Of an entry that is not in the stream any more there is the ID only.
func (r *reading) history(c *keyspace.Call, s *stream, one *consumer, last entryID) resp.Reply {
	entries := []resp.Reply{}
	for d := range one.pending.from(after(last).from) {
		if e, found := s.find(d.id); found {
			entries = append(entries, e.reply())
			d.at = c.Milliseconds()
			d.count++
		} else {
			entries = append(entries, resp.Array(d.id.reply(), resp.NullArray))
		}
		if int64(len(entries)) >= r.mostEntries() {
			break
		}
	}
	return resp.Array(entries...)
}

// waitForNew waits for entries of the group. The client is told when the group has gone, or the
// stream.
func (r *reading) waitForNew() *keyspace.Wait {
	if r.count == 0 {
		r.count = blockedCount
	}
	waiting := reading{count: r.count, noAck: r.noAck, group: bytes.Clone(r.group), name: bytes.Clone(r.name)}
	w := r.wait(func(c *keyspace.Call, e *keyspace.Entry) (resp.Reply, bool) {
		s, isStream := e.Value.(*stream)
		if !isStream {
			return streamGone, true
		}
		g := s.groups.find(waiting.group)
		switch {
		case g == nil:
			return groupGone, true
		case !g.last.less(s.last): // as in Redis all behind it may be deleted
			return resp.Nothing, false
		}
		key := []byte(e.Key)
		entries := waiting.deliver(c, s, g, g.consumerFor(c, key, waiting.name))
		c.Resized(e)
		return streamsReply([]resp.Reply{resp.Bulk(key), entries}), true
	})
	w.Gone = func(*keyspace.Call, string) resp.Reply { return streamGone }
	return w
}
