package zset

import (
	"math"
	"math/rand/v2"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/dict"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// ZRANDMEMBER.

var randomCommands = []command.Command{
	{Name: "zrandmember", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrandmember, ACL: "sortedset", Tips: "nondeterministic_output",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(N) where N is the number of members returned", Summary: "Returns random members of a sorted set."},
}

func zrandmember(c *keyspace.Call, args [][]byte) resp.Reply {
	if len(args) == 2 {
		s, isZset := asZset(c.Lookup(args[1]))
		switch {
		case !isZset:
			return resp.WrongType
		case s == nil:
			return resp.Null
		}
		member, _ := s.at(rand.IntN(s.len()))
		return resp.Bulk(member)
	}
	count, err := resp.ParseCount(args[2])
	withScores := len(args) > 3
	switch {
	case err != nil:
		return *err
	case len(args) > 4, withScores && !resp.Is(args[3], "WITHSCORES"):
		return resp.SyntaxError
	case withScores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		return resp.CountOutOfRange
	}
	s, isZset := asZset(c.Lookup(args[1]))
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil, count == 0:
		return resp.EmptyArray
	case !c.MayDraw(count, s.len(), s.bytes()):
		return resp.CountOutOfRange
	case count < 0:
		return membersReply(int(-count), s.draw(-count), withScores)
	case count >= int64(s.len()):
		return membersReply(s.len(), s.walk(0, s.len(), true), withScores)
	}
	return membersReply(int(count), each(s.sample(int(count))), withScores)
}

// draw passes any members, each of which may come several times.
func (s *zset) draw(n int64) func(yield func([]byte, float64) bool) {
	return func(yield func([]byte, float64) bool) {
		for range n {
			if !yield(s.at(rand.IntN(s.len()))) {
				return
			}
		}
	}
}

// sample returns any n members, each once. There must be more.
func (s *zset) sample(n int) []scored {
	sample := make([]scored, 0, n)
	if x := s.large; x != nil {
		for _, m := range x.members.Sample(n) {
			sample = append(sample, scored{m.bytes(), m.score})
		}
		return sample
	}
	members := collected(s.all())
	for i := range dict.Choose(len(members), n) {
		sample = append(sample, members[i])
	}
	return sample
}
