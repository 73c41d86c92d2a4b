package zset

import (
	"bytes"
	"math"
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands are the rows of the commands for sorted sets.
var Commands = slices.Concat(memberCommands, popCommands, rangeCommands, combineCommands, randomCommands, geoCommands)

var memberCommands = []command.Command{
	{Name: "zadd", Arity: -4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW update"), Run: zadd, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)) for each member added, where N is the number of members", Summary: "Adds members to a sorted set, or changes their scores."},
	{Name: "zincrby", Arity: 4, Flags: command.Write | command.DenyOOM | command.Fast, Keys: command.OneKey("RW access update"), Run: zincrby, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)) where N is the number of members", Summary: "Adds a number to the score of a member."},
	{Name: "zrem", Arity: -3, Flags: command.Write | command.Fast, Keys: command.OneKey("RW delete"), Run: zrem, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(M*log(N)) where N is the number of members and M the number of those to be removed", Summary: "Removes members from a sorted set."},
	{Name: "zcard", Arity: 2, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO"), Run: zcard, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(1)", Summary: "Returns the number of members of a sorted set."},
	{Name: "zscore", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zscore, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(1)", Summary: "Returns the score of a member."},
	{Name: "zmscore", Arity: -3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zmscore, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Returns the scores of members."},
	{Name: "zrank", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zrank, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N))", Summary: "Returns the rank of a member, the lowest score first."},
	{Name: "zrevrank", Arity: 3, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zrevrank, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N))", Summary: "Returns the rank of a member, the highest score first."},
	{Name: "zscan", Arity: -3, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: keyspace.ScanElements[*zset], ACL: "sortedset", Tips: "nondeterministic_output",
		Group: "sorted-set", Since: "2.8.0", Complexity: "O(1) for every call, O(N) for a complete iteration", Summary: "Iterates over the members and scores of a sorted set."},
}

// asZset returns the value of a sorted set's key, or nil if there is no such key. It reports
// false if the key holds something else.
func asZset(e *keyspace.Entry) (*zset, bool) {
	if e == nil {
		return nil, true
	}
	s, isZset := e.Value.(*zset)
	return s, isZset
}

// zsetOf returns the sorted set that a key holds, for a command that writes it: nil if there is
// no such key, false if it holds something else.
func zsetOf(c *keyspace.Call, key []byte) (*keyspace.Entry, *zset, bool) {
	e := c.Find(key)
	s, isZset := asZset(e)
	return e, s, isZset
}

// dropEmpty deletes a sorted set that has become empty.
func dropEmpty(c *keyspace.Call, e *keyspace.Entry, s *zset) {
	if s.len() == 0 {
		c.Remove(e)
		c.Notify(c.DB, []byte(e.Key), keyspace.GenericEvent, "del")
	}
}

// addOptions are those of ZADD.
type addOptions struct {
	nx, xx, gt, lt bool // which members are to be added or changed
	ch             bool // those that are changed count, too
	incr           bool // the score is added to the one that there is
}

// parse reads the options, and returns the scores and members behind them.
func (o *addOptions) parse(args [][]byte) (pairs [][]byte, err *resp.Reply) {
	for ; len(args) > 0; args = args[1:] {
		switch {
		case resp.Is(args[0], "NX"):
			o.nx = true
		case resp.Is(args[0], "XX"):
			o.xx = true
		case resp.Is(args[0], "GT"):
			o.gt = true
		case resp.Is(args[0], "LT"):
			o.lt = true
		case resp.Is(args[0], "CH"):
			o.ch = true
		case resp.Is(args[0], "INCR"):
			o.incr = true
		default:
			return args, o.check(args)
		}
	}
	return nil, &resp.SyntaxError
}

var (
	nxAndXX    = resp.ErrorReply("ERR XX and NX options at the same time are not compatible")
	gtLtAndNX  = resp.ErrorReply("ERR GT, LT, and/or NX options at the same time are not compatible")
	onePair    = resp.ErrorReply("ERR INCR option supports a single increment-element pair")
	notAFloat  = resp.ErrorReply("ERR value is not a valid float")
	notANumber = resp.ErrorReply("ERR resulting score is not a number (NaN)")
)

func (o *addOptions) check(pairs [][]byte) *resp.Reply {
	switch {
	case len(pairs)%2 != 0:
		return &resp.SyntaxError
	case o.nx && o.xx:
		return &nxAndXX
	case o.gt && o.nx, o.lt && o.nx, o.gt && o.lt:
		return &gtLtAndNX
	case o.incr && len(pairs) > 2:
		return &onePair
	}
	return nil
}

func zadd(c *keyspace.Call, args [][]byte) resp.Reply {
	var o addOptions
	pairs, err := o.parse(args[2:])
	if err != nil {
		return *err
	}
	return addMembers(c, args[1], pairs, o)
}

func zincrby(c *keyspace.Call, args [][]byte) resp.Reply {
	return addMembers(c, args[1], args[2:], addOptions{incr: true})
}

// parseScore reads a score.
func parseScore(arg []byte) (score float64, isFloat bool) {
	if n, isInt := resp.ParseInt(arg); isInt {
		return float64(n), true
	}
	return resp.ParseFloat(arg)
}

// addMembers adds scores and members, in turn, or changes the scores.
func addMembers(c *keyspace.Call, key []byte, pairs [][]byte, o addOptions) resp.Reply {
	scores := make([]float64, 0, 8)
	for i := 0; i < len(pairs); i += 2 {
		score, isFloat := parseScore(pairs[i])
		if !isFloat {
			return notAFloat
		}
		scores = append(scores, score)
	}
	return addScored(c, key, scores, pairs, o)
}

// addScored adds members with their scores, or changes those. The words of each member have the
// same number, and the last one is the member.
func addScored(c *keyspace.Call, key []byte, scores []float64, words [][]byte, o addOptions) resp.Reply {
	_, s, isZset := zsetOf(c, key)
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil && o.xx && o.incr:
		return resp.Null
	case s == nil && o.xx:
		return resp.Zero
	case s == nil:
		s = &zset{}
		c.Create(key, s)
	}
	added, changed, result := 0, 0, resp.Null
	each := len(words) / len(scores)
	for i, score := range scores {
		switch o.add(s, words[each*i+each-1], &score, &c.Thresholds) {
		case noNumber:
			return notANumber
		case passedOver:
			continue
		case isNew:
			added++
		case isChanged:
			changed++
		case isSame:
		}
		if o.incr {
			result = resp.Double(score)
		}
	}
	switch {
	case o.incr:
	case o.ch:
		result = resp.Int(added + changed)
	default:
		result = resp.Int(added)
	}
	if added+changed > 0 {
		event := "zadd"
		if o.incr {
			event = "zincr"
		}
		c.AnswerFirst()
		c.Changed(key, keyspace.ZsetEvent, event)
	}
	return result
}

// An outcome is what came of a member that was to be added.
type outcome uint8

const (
	isNew      outcome = iota
	isChanged          // its score
	isSame             // it has had that score
	passedOver         // the options exclude it
	noNumber           // the sum of the scores
)

// add adds a member, or changes its score, as far as the options say so. The score becomes the
// new one.
func (o *addOptions) add(s *zset, member []byte, score *float64, t *keyspace.Thresholds) outcome {
	old, found := s.score(member)
	if found && o.incr {
		*score += old
	}
	switch {
	case found && o.nx, !found && o.xx:
		return passedOver
	case math.IsNaN(*score):
		return noNumber
	case found && (o.lt && *score >= old || o.gt && *score <= old):
		return passedOver
	case found && *score == old:
		return isSame
	}
	s.put(member, *score, t)
	if found {
		return isChanged
	}
	return isNew
}

func zrem(c *keyspace.Call, args [][]byte) resp.Reply {
	e, s, isZset := zsetOf(c, args[1])
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	removed := 0
	for _, member := range args[2:] {
		if s.remove(member) {
			removed++
		}
	}
	if removed > 0 {
		c.Notify(c.DB, args[1], keyspace.ZsetEvent, "zrem")
		dropEmpty(c, e, s)
		c.SignalModified(c.Caller, c.DB, args[1])
	}
	return resp.Int(removed)
}

func zcard(c *keyspace.Call, args [][]byte) resp.Reply {
	s, isZset := asZset(c.Lookup(args[1]))
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	return resp.Int(s.len())
}

func zscore(c *keyspace.Call, args [][]byte) resp.Reply {
	s, isZset := asZset(c.Lookup(args[1]))
	if !isZset {
		return resp.WrongType
	}
	return s.scoreReply(args[2])
}

// scoreReply answers with the score of a member, which no sorted set has none of.
func (s *zset) scoreReply(member []byte) resp.Reply {
	if s != nil {
		if score, found := s.score(member); found {
			return resp.Double(score)
		}
	}
	return resp.Null
}

func zmscore(c *keyspace.Call, args [][]byte) resp.Reply {
	s, isZset := asZset(c.Lookup(args[1]))
	if !isZset {
		return resp.WrongType
	}
	scores := make([]resp.Reply, 0, len(args)-2)
	for _, member := range args[2:] {
		scores = append(scores, s.scoreReply(member))
	}
	return resp.Array(scores...)
}

func zrank(c *keyspace.Call, args [][]byte) resp.Reply    { return rankReply(c, args, false) }
func zrevrank(c *keyspace.Call, args [][]byte) resp.Reply { return rankReply(c, args, true) }

func rankReply(c *keyspace.Call, args [][]byte, reverse bool) resp.Reply {
	s, isZset := asZset(c.Lookup(args[1]))
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.Null
	}
	rank, found := s.rank(args[2])
	switch {
	case !found:
		return resp.Null
	case reverse:
		return resp.Int(s.len() - 1 - rank)
	}
	return resp.Int(rank)
}

// membersReply answers with n members that the walk passes on, and their scores if wanted.
func membersReply(n int, members func(yield func([]byte, float64) bool), withScores bool) resp.Reply {
	if !withScores {
		return resp.Strings(n, func(yield func([]byte) bool) {
			for member := range members {
				if !yield(member) {
					return
				}
			}
		})
	}
	return resp.Scored(n, func(yield func([]byte) bool) {
		var text []byte
		for member, score := range members {
			text = resp.AppendFloat(text[:0], score)
			if !yield(member) || !yield(text) {
				return
			}
		}
	})
}

// cloned copies members and their scores, which the sorted set is about to lose.
func cloned(n int, members func(yield func([]byte, float64) bool)) []scored {
	copied := make([]scored, 0, n)
	for member, score := range members {
		copied = append(copied, scored{bytes.Clone(member), score})
	}
	return copied
}

// scored is a member with its score.
type scored struct {
	member []byte
	score  float64
}

// each passes members and scores on.
func each(members []scored) func(yield func([]byte, float64) bool) {
	return func(yield func([]byte, float64) bool) {
		for _, m := range members {
			if !yield(m.member, m.score) {
				return
			}
		}
	}
}
