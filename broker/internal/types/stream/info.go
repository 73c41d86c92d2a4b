package stream

import (
	"math/bits"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// XINFO.

var infoCommands = []command.Command{
	{Name: "xinfo", Arity: -2, Group: "stream", Since: "5.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands that describe streams.", Subs: []*command.Command{
		{Name: "consumers", Arity: 4, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO access"), Run: xinfoConsumers, ACL: "stream", Tips: "nondeterministic_output", Since: "5.0.0", Complexity: "O(N) where N is the number of consumers", Summary: "Describes the consumers of a group."},
		{Name: "groups", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO access"), Run: xinfoGroups, ACL: "stream", Since: "5.0.0", Complexity: "O(N) where N is the number of groups", Summary: "Describes the consumer groups of a stream."},
		{Name: "help", Arity: 2, Flags: command.Always, ACL: "stream", Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "stream", Arity: -3, Flags: command.ReadOnly, Keys: command.KeyAt(2, "RO access"), Run: xinfoStream, ACL: "stream", Since: "5.0.0", Complexity: "O(N) where N is the number of nodes, which have 100 entries each", Summary: "Describes a stream."},
	}},
}

// described returns the stream of a key, which must exist.
func described(c *keyspace.Call, key []byte) (*stream, *resp.Reply) {
	s, isStream := asStream(c.Lookup(key))
	switch {
	case !isStream:
		return nil, &resp.WrongType
	case s == nil:
		return nil, &resp.NoSuchKey
	}
	return s, nil
}

// A description is a map that is being made.
type description []resp.Reply

func (d *description) add(name string, value resp.Reply) {
	*d = append(*d, resp.BulkString(name), value)
}

func xinfoConsumers(c *keyspace.Call, args [][]byte) resp.Reply {
	s, err := described(c, args[2])
	if err != nil {
		return *err
	}
	g := s.groups.find(args[3])
	if g == nil {
		return noGroup(args[2], args[3])
	}
	consumers := []resp.Reply{}
	for _, one := range g.consumers {
		var d description
		d.add("name", resp.BulkString(one.name))
		d.add("pending", resp.Int(one.pending.len))
		d.add("idle", resp.Integer(max(0, c.Milliseconds()-one.seen)))
		consumers = append(consumers, resp.Map(d...))
	}
	return resp.Array(consumers...)
}

func xinfoGroups(c *keyspace.Call, args [][]byte) resp.Reply {
	s, err := described(c, args[2])
	if err != nil {
		return *err
	}
	groups := []resp.Reply{}
	for _, g := range s.groups {
		var d description
		d.add("name", resp.BulkString(g.name))
		d.add("consumers", resp.Int(len(g.consumers)))
		d.add("pending", resp.Int(g.pending.len))
		d.add("last-delivered-id", g.last.reply())
		g.describeProgress(&d, s)
		groups = append(groups, resp.Map(d...))
	}
	return resp.Array(groups...)
}

// describeProgress adds how far a group is.
func (g *group) describeProgress(d *description, s *stream) {
	read, lag := resp.Null, resp.Null
	if g.read != unknownRead {
		read = resp.Integer(g.read)
	}
	if n, known := g.lag(s); known {
		lag = resp.Integer(n)
	}
	d.add("entries-read", read)
	d.add("lag", lag)
}

func xinfoStream(c *keyspace.Call, args [][]byte) resp.Reply {
	s, err := described(c, args[2])
	if err != nil {
		return *err
	}
	options, count := args[3:], int64(10)
	switch {
	case len(options) == 0:
		return resp.Map(s.describe()...)
	case !resp.Is(options[0], "FULL"), len(options) == 2, len(options) > 3, len(options) == 3 && !resp.Is(options[1], "COUNT"):
		return *subSyntax(args, "XINFO")
	case len(options) == 3:
		n, isInt := resp.ParseInt(options[2])
		if !isInt {
			return resp.NotAnInteger
		}
		if n >= 0 {
			count = n
		}
	}
	return resp.Map(s.describeFull(count)...)
}

// header is what XINFO STREAM begins with.
func (s *stream) header() description {
	var d description
	d.add("length", resp.Int(s.length))
	d.add("radix-tree-keys", resp.Int(len(s.nodes)))
	d.add("radix-tree-nodes", resp.Int(s.radixNodes()))
	d.add("last-generated-id", s.last.reply())
	d.add("max-deleted-entry-id", s.maxDeleted.reply())
	d.add("entries-added", resp.Integer(int64(s.added)))
	d.add("recorded-first-entry-id", s.first.reply())
	return d
}

func (s *stream) describe() description {
	d := s.header()
	d.add("groups", resp.Int(len(s.groups)))
	d.add("first-entry", shown(s.firstEntry()))
	d.add("last-entry", shown(s.lastEntry()))
	return d
}

// shown is an entry, or a null for none.
func shown(e entry, found bool) resp.Reply {
	if !found {
		return resp.Null
	}
	return e.reply()
}

// describeFull lists up to count entries, and as many that are pending for each group and
// consumer; 0 stands for all.
func (s *stream) describeFull(count int64) description {
	most := count
	if count == 0 {
		most = int64(s.length)
	}
	d := s.header()
	d.add("entries", s.rangeReply(whole, false, most))
	groups := []resp.Reply{}
	for _, g := range s.groups {
		groups = append(groups, resp.Map(g.describeFull(s, count)...))
	}
	d.add("groups", resp.Array(groups...))
	return d
}

func (g *group) describeFull(s *stream, count int64) description {
	var d description
	d.add("name", resp.BulkString(g.name))
	d.add("last-delivered-id", g.last.reply())
	g.describeProgress(&d, s)
	d.add("pel-count", resp.Int(g.pending.len))
	d.add("pending", g.pending.describe(count, func(one *delivery) resp.Reply {
		return resp.Array(one.id.reply(), resp.BulkString(one.consumer.name), resp.Integer(one.at), resp.Integer(int64(one.count)))
	}))
	consumers := []resp.Reply{}
	for _, c := range g.consumers {
		var d description
		d.add("name", resp.BulkString(c.name))
		d.add("seen-time", resp.Integer(c.seen))
		d.add("pel-count", resp.Int(c.pending.len))
		d.add("pending", c.pending.describe(count, func(one *delivery) resp.Reply {
			return resp.Array(one.id.reply(), resp.Integer(one.at), resp.Integer(int64(one.count)))
		}))
		consumers = append(consumers, resp.Map(d...))
	}
	d.add("consumers", resp.Array(consumers...))
	return d
}

// describe lists the first deliveries; count 0 stands for all.
func (p *pending) describe(count int64, describe func(*delivery) resp.Reply) resp.Reply {
	listed := []resp.Reply{}
	for d := range p.all() {
		listed = append(listed, describe(d))
		if int64(len(listed)) == count {
			break
		}
	}
	return resp.Array(listed...)
}

// radixNodes is how many nodes Redis's radix tree would have, whose keys are the binary IDs of
// the stream's nodes. It has one for the root, for each key, for each place where keys differ,
// and for each byte there that is not such a place itself: what lies between is in one node.
func (s *stream) radixNodes() int {
	if len(s.nodes) == 0 {
		return 1
	}
	n := len(s.nodes)  // their keys are leaves
	var branches []int // depths of the branches above the last key, in order
	// close leaves the branches below a depth, to which the last child ends there.
	leave := func(child, depth int) int {
		for len(branches) > 0 && branches[len(branches)-1] > depth {
			top := branches[len(branches)-1]
			branches = branches[:len(branches)-1]
			n += between(top, child)
			child = top
		}
		return child
	}
	for i := 1; i < len(s.nodes); i++ {
		depth := commonBytes(s.nodes[i-1].first, s.nodes[i].first)
		child := leave(rawID, depth)
		if len(branches) == 0 || branches[len(branches)-1] < depth {
			branches = append(branches, depth)
			n++
		}
		n += between(depth, child)
	}
	if top := leave(rawID, -1); top > 0 {
		n++ // the root is none of them
	}
	return n
}

// between is how many nodes there are on the way from a branch to a child of it.
func between(branch, child int) int {
	if child > branch+1 {
		return 1
	}
	return 0
}

// commonBytes is how many bytes two IDs have in common in binary form, from the first on.
func commonBytes(a, b entryID) int {
	if a.ms != b.ms {
		return bits.LeadingZeros64(a.ms^b.ms) / 8
	}
	return 8 + bits.LeadingZeros64(a.seq^b.seq)/8
}
