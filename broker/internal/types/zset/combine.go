package zset

import (
	"cmp"
	"math"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Unions, intersections and differences of sorted sets and sets.

var combineCommands = []command.Command{
	{Name: "zunion", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, Keys: command.CountedKeys(1, "RO access"), Run: zunion, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N)+O(M*log(M)) where N is the number of all members and M the number of those returned", Summary: "Returns the members of any of several sorted sets or sets."},
	{Name: "zunionstore", Arity: -4, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: storedKeys, Run: zunionstore, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(N)+O(M*log(M)) where N is the number of all members and M the number of those stored", Summary: "Stores the members of any of several sorted sets or sets."},
	{Name: "zinter", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, Keys: command.CountedKeys(1, "RO access"), Run: zinter, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N*K)+O(M*log(M)) where N is the number of members of the smallest, K the number of sets and M the number of members returned", Summary: "Returns the members that several sorted sets or sets have in common."},
	{Name: "zinterstore", Arity: -4, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: storedKeys, Run: zinterstore, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(N*K)+O(M*log(M)) where N is the number of members of the smallest, K the number of sets and M the number of members stored", Summary: "Stores the members that several sorted sets or sets have in common."},
	{Name: "zintercard", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, Keys: command.CountedKeys(1, "RO access"), Run: zintercard, ACL: "sortedset",
		Group: "sorted-set", Since: "7.0.0", Complexity: "O(N*K) where N is the number of members of the smallest and K the number of sets", Summary: "Counts the members that several sorted sets or sets have in common."},
	{Name: "zdiff", Arity: -3, Flags: command.ReadOnly | command.MovableKeys, Keys: command.CountedKeys(1, "RO access"), Run: zdiff, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N*K)+O(M*log(M)) where N is the number of members of the first, K the number of sets and M the number of members returned", Summary: "Returns the members of the first sorted set or set that are not in the others."},
	{Name: "zdiffstore", Arity: -4, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: storedKeys, Run: zdiffstore, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N*K)+O(M*log(M)) where N is the number of members of the first, K the number of sets and M the number of members stored", Summary: "Stores the members of the first sorted set or set that are not in the others."},
}

var storedKeys = append(command.OneKey("OW update"), command.CountedKeys(2, "RO access")...)

// A source is one of the sets that are combined. The members of a plain set have a score of 1.
type source struct {
	zset   *zset            // nil: it is a plain set, or empty
	set    keyspace.Members // nil: it is a sorted set, or empty
	weight float64
}

func (s *source) len() int {
	switch {
	case s.zset != nil:
		return s.zset.len()
	case s.set != nil:
		_, n := s.set.Elements()
		return n
	}
	return 0
}

// score returns the score of a member.
func (s *source) score(member []byte) (score float64, found bool) {
	switch {
	case s.zset != nil:
		return s.zset.score(member)
	case s.set != nil:
		return 1, s.set.Has(member)
	}
	return 0, false
}

// all passes the members with their scores.
func (s *source) all(yield func([]byte, float64) bool) {
	switch {
	case s.zset != nil:
		s.zset.all()(yield)
	case s.set != nil:
		members, _ := s.set.Elements()
		for member := range members {
			if !yield(member, 1) {
				return
			}
		}
	}
}

// weighted is a score by its weight, where infinity by 0 is 0.
func (s *source) weighted(score float64) float64 {
	if score *= s.weight; math.IsNaN(score) {
		return 0
	}
	return score
}

// An aggregate makes one score of two.
type aggregate func(x, y float64) float64

// sum of infinities of different signs is 0.
func sum(x, y float64) float64 {
	if x += y; math.IsNaN(x) {
		return 0
	}
	return x
}

func lesser(x, y float64) float64 {
	if y < x {
		return y
	}
	return x
}

func greater(x, y float64) float64 {
	if y > x {
		return y
	}
	return x
}

// A combination is what ZUNION and the like are to do.
type combination struct {
	sources    []source
	aggregate  aggregate
	withScores bool
	limit      int64 // of ZINTERCARD; 0: none
}

// options says which a command has.
type options struct{ weights, scores, limit bool }

var (
	noWeight      = resp.ErrorReply("ERR weight value is not a float")
	negativeLimit = resp.ErrorReply("ERR LIMIT can't be negative")
)

// parse reads the number of sets, their keys and the options, and looks the sets up.
func (m *combination) parse(c *keyspace.Call, args [][]byte, may options) *resp.Reply {
	n, isInt := resp.ParseInt(args[0])
	switch {
	case !isInt:
		return &resp.NotAnInteger
	case n < 1:
		r := resp.Errorf("ERR at least 1 input key is needed for '%s' command", c.Command)
		return &r
	case n > int64(len(args)-1):
		return &resp.SyntaxError
	}
	for _, key := range args[1 : 1+n] {
		s := source{weight: 1}
		if e := c.Lookup(key); e != nil {
			var isZset, isSet bool
			s.zset, isZset = e.Value.(*zset)
			s.set, isSet = e.Value.(keyspace.Members)
			if !isZset && !isSet {
				return &resp.WrongType
			}
		}
		m.sources = append(m.sources, s)
	}
	m.aggregate = sum
	return m.parseOptions(args[1+n:], may)
}

func (m *combination) parseOptions(args [][]byte, may options) *resp.Reply {
	n := len(m.sources)
	for len(args) > 0 {
		word, rest := args[0], args[1:]
		switch {
		case resp.Is(word, "WEIGHTS") && may.weights && len(rest) >= n:
			for i := range m.sources {
				var isFloat bool
				if m.sources[i].weight, isFloat = parseScore(rest[i]); !isFloat {
					return &noWeight
				}
			}
			args = rest[n:]
		case resp.Is(word, "AGGREGATE") && may.weights && len(rest) >= 1:
			switch {
			case resp.Is(rest[0], "SUM"):
				m.aggregate = sum
			case resp.Is(rest[0], "MIN"):
				m.aggregate = lesser
			case resp.Is(rest[0], "MAX"):
				m.aggregate = greater
			default:
				return &resp.SyntaxError
			}
			args = rest[1:]
		case resp.Is(word, "WITHSCORES") && may.scores:
			m.withScores = true
			args = rest
		case resp.Is(word, "LIMIT") && may.limit && len(rest) >= 1:
			limit, isInt := resp.ParseInt(rest[0])
			if !isInt || limit < 0 {
				return &negativeLimit
			}
			m.limit = limit
			args = rest[1:]
		default:
			return &resp.SyntaxError
		}
	}
	return nil
}

// bySize sorts the sets, the smallest first: scores are aggregated in this order.
func (m *combination) bySize() {
	slices.SortStableFunc(m.sources, func(x, y source) int { return cmp.Compare(x.len(), y.len()) })
}

// union returns the members of any set.
func (m *combination) union() []scored {
	m.bySize()
	var members []scored
	index := map[string]int{}
	for i := range m.sources {
		s := &m.sources[i]
		for member, score := range s.all {
			score = s.weighted(score)
			if at, found := index[string(member)]; found {
				members[at].score = m.aggregate(members[at].score, score)
				continue
			}
			index[string(member)] = len(members)
			members = append(members, scored{member, score})
		}
	}
	return members
}

// inter passes the members that all sets have in common.
func (m *combination) inter(yield func([]byte, float64) bool) {
	m.bySize()
	first, others := &m.sources[0], m.sources[1:]
	if first.len() == 0 {
		return
	}
	for member, score := range first.all {
		score, isCommon := m.common(member, first.weighted(score), others)
		if isCommon && !yield(member, score) {
			return
		}
	}
}

// common aggregates the score of a member with those that it has in other sets. It reports false
// if one does not have it.
func (m *combination) common(member []byte, score float64, others []source) (aggregated float64, isCommon bool) {
	for i := range others {
		more, found := others[i].score(member)
		if !found {
			return 0, false
		}
		score = m.aggregate(score, more*others[i].weight)
	}
	return score, true
}

// diff passes the members of the first set that are in no other.
func (m *combination) diff(yield func([]byte, float64) bool) {
	first, others := &m.sources[0], m.sources[1:]
	for member, score := range first.all {
		isIn := func(s source) bool { _, found := s.score(member); return found }
		if !slices.ContainsFunc(others, isIn) && !yield(member, score) {
			return
		}
	}
}

func (m *combination) interMembers() []scored { return collected(m.inter) }
func (m *combination) diffMembers() []scored  { return collected(m.diff) }

func collected(all func(yield func([]byte, float64) bool)) (members []scored) {
	for member, score := range all {
		members = append(members, scored{member, score})
	}
	return members
}

var (
	allOptions  = options{weights: true, scores: true}
	diffOptions = options{scores: true}
)

func zunion(c *keyspace.Call, args [][]byte) resp.Reply {
	return combined(c, args, allOptions, (*combination).union)
}
func zinter(c *keyspace.Call, args [][]byte) resp.Reply {
	return combined(c, args, allOptions, (*combination).interMembers)
}
func zdiff(c *keyspace.Call, args [][]byte) resp.Reply {
	return combined(c, args, diffOptions, (*combination).diffMembers)
}

// combined answers with the members that combine returns, in order.
func combined(c *keyspace.Call, args [][]byte, may options, combine func(*combination) []scored) resp.Reply {
	var m combination
	if err := m.parse(c, args[1:], may); err != nil {
		return *err
	}
	members := combine(&m)
	slices.SortFunc(members, func(x, y scored) int { return compare(x.score, x.member, y.score, y.member) })
	return membersReply(len(members), each(members), m.withScores)
}

func zunionstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeCombined(c, args, options{weights: true}, (*combination).union)
}
func zinterstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeCombined(c, args, options{weights: true}, (*combination).interMembers)
}
func zdiffstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return storeCombined(c, args, options{}, (*combination).diffMembers)
}

// storeCombined stores the members that combine returns. The event has the name of the command.
func storeCombined(c *keyspace.Call, args [][]byte, may options, combine func(*combination) []scored) resp.Reply {
	var m combination
	if err := m.parse(c, args[2:], may); err != nil {
		return *err
	}
	return store(c, args[1], made(combine(&m), &c.Thresholds), c.Command)
}

// made makes a sorted set of members, each of which is there once. It is a small one if it may
// be.
func made(members []scored, t *keyspace.Thresholds) *zset {
	slices.SortFunc(members, func(x, y scored) int { return compare(x.score, x.member, y.score, y.member) })
	s := &zset{}
	isLong := func(m scored) bool { return len(m.member) > t.ZSetValue }
	if len(members) > t.ZSetEntries || slices.ContainsFunc(members, isLong) {
		s.grow()
	}
	for _, m := range members {
		s.put(m.member, m.score, t)
	}
	return s
}

func zintercard(c *keyspace.Call, args [][]byte) resp.Reply {
	var m combination
	if err := m.parse(c, args[1:], options{limit: true}); err != nil {
		return *err
	}
	n := int64(0)
	m.inter(func([]byte, float64) bool {
		n++
		return n != m.limit
	})
	return resp.Integer(n)
}
