package zset

import (
	"bytes"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for members between two ranks, two scores or two members.

var rangeCommands = []command.Command{
	{Name: "zrange", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrange, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a range of ranks, scores or members."},
	{Name: "zrangestore", Arity: -5, Flags: command.Write | command.DenyOOM, Keys: command.TwoKeys("OW update", "RO access"), Run: zrangestore, ACL: "sortedset",
		Group: "sorted-set", Since: "6.2.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those stored", Summary: "Stores the members in a range of ranks, scores or members."},
	{Name: "zrevrange", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrevrange, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a range of ranks, the highest score first."},
	{Name: "zrangebyscore", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrangebyscore, ACL: "sortedset",
		Group: "sorted-set", Since: "1.0.5", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a range of scores."},
	{Name: "zrevrangebyscore", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrevrangebyscore, ACL: "sortedset",
		Group: "sorted-set", Since: "2.2.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a range of scores, the highest first."},
	{Name: "zrangebylex", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrangebylex, ACL: "sortedset",
		Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a lexicographical range, where all scores are equal."},
	{Name: "zrevrangebylex", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: zrevrangebylex, ACL: "sortedset",
		Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) where N is the number of members and M the number of those returned", Summary: "Returns the members in a lexicographical range, the highest first, where all scores are equal."},
	{Name: "zcount", Arity: 4, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zcount, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N)) where N is the number of members", Summary: "Counts the members in a range of scores."},
	{Name: "zlexcount", Arity: 4, Flags: command.ReadOnly | command.Fast, Keys: command.OneKey("RO access"), Run: zlexcount, ACL: "sortedset",
		Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)) where N is the number of members", Summary: "Counts the members in a lexicographical range, where all scores are equal."},
	{Name: "zremrangebyrank", Arity: 4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: zremrangebyrank, ACL: "sortedset",
		Group: "sorted-set", Since: "2.0.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those removed", Summary: "Removes the members in a range of ranks."},
	{Name: "zremrangebyscore", Arity: 4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: zremrangebyscore, ACL: "sortedset",
		Group: "sorted-set", Since: "1.2.0", Complexity: "O(log(N)+M) where N is the number of members and M the number of those removed", Summary: "Removes the members in a range of scores."},
	{Name: "zremrangebylex", Arity: 4, Flags: command.Write, Keys: command.OneKey("RW delete"), Run: zremrangebylex, ACL: "sortedset",
		Group: "sorted-set", Since: "2.8.9", Complexity: "O(log(N)+M) where N is the number of members and M the number of those removed", Summary: "Removes the members in a lexicographical range, where all scores are equal."},
}

// An interval is a range of a sorted set: n members behind the first ones, of which skip says
// how many, from the front or, in reverse, from the back.
type interval struct{ skip, n int }

// limit leaves n members behind the first ones, of which offset says how many; all if n is
// negative, none if the offset is.
func (i interval) limit(offset, n int64) interval {
	if offset < 0 {
		return interval{}
	}
	offset = min(offset, int64(i.n))
	left := int64(i.n) - offset
	if n >= 0 {
		left = min(left, n)
	}
	return interval{i.skip + int(offset), int(left)}
}

// A span is a range as a command gives it.
type span interface {
	// parse reads the two ends, the lower one first.
	parse(from, to []byte) *resp.Reply

	// in returns the members of a sorted set that are in the span, but for the first ones, of
	// which offset says how many, and no more than n, unless that is negative.
	in(s *zset, reverse bool, offset, n int64) interval
}

// A rankSpan is a range of ranks, where negative ones count from the end.
type rankSpan struct{ start, stop int64 }

func (r *rankSpan) parse(from, to []byte) *resp.Reply {
	var isInt bool
	if r.start, r.stop, isInt = resp.ParseRange([][]byte{from, to}); !isInt {
		return &resp.NotAnInteger
	}
	return nil
}

func (r *rankSpan) in(s *zset, _ bool, _, _ int64) interval {
	length := int64(s.len())
	start, stop := r.start, r.stop
	if start < 0 {
		start = max(0, start+length)
	}
	if stop < 0 {
		stop += length
	}
	stop = min(stop, length-1)
	if start > stop || start >= length {
		return interval{}
	}
	return interval{int(start), int(stop - start + 1)}
}

// A scoreSpan is a range of scores, of which the ends may be open.
type scoreSpan struct {
	from, to         float64
	openFrom, openTo bool
}

var notAScoreRange = resp.ErrorReply("ERR min or max is not a float")

func (r *scoreSpan) parse(from, to []byte) *resp.Reply {
	var valid1, valid2 bool
	r.from, r.openFrom, valid1 = parseScoreBound(from)
	r.to, r.openTo, valid2 = parseScoreBound(to)
	if !valid1 || !valid2 {
		return &notAScoreRange
	}
	return nil
}

func parseScoreBound(arg []byte) (score float64, open, valid bool) {
	arg, open = bytes.CutPrefix(arg, []byte("("))
	score, valid = resp.Strtod(arg)
	return score, open, valid
}

func (r *scoreSpan) isBelow(score float64, _ []byte) bool {
	return score < r.from || r.openFrom && score == r.from
}

func (r *scoreSpan) isNotAbove(score float64, _ []byte) bool {
	return score < r.to || !r.openTo && score == r.to
}

func (r *scoreSpan) in(s *zset, reverse bool, offset, n int64) interval {
	return between(s, r.isBelow, r.isNotAbove, reverse).limit(offset, n)
}

// between returns the members behind those for which isBelow is true, among those for which
// isNotAbove is.
func between(s *zset, isBelow, isNotAbove func(float64, []byte) bool, reverse bool) interval {
	from, to := s.countBefore(isBelow), s.countBefore(isNotAbove)
	switch {
	case from >= to:
		return interval{}
	case reverse:
		return interval{s.len() - to, to - from}
	}
	return interval{from, to - from}
}

// A lexSpan is a range of members, in the order of their bytes.
type lexSpan struct{ from, to lexBound }

// A lexBound is an end of such a range.
type lexBound struct {
	member   []byte
	open     bool
	infinite int // -1: before all members, 1: behind all
}

var notALexRange = resp.ErrorReply("ERR min or max not valid string range item")

func (r *lexSpan) parse(from, to []byte) *resp.Reply {
	var valid1, valid2 bool
	r.from, valid1 = parseLexBound(from)
	r.to, valid2 = parseLexBound(to)
	if !valid1 || !valid2 {
		return &notALexRange
	}
	return nil
}

// parseLexBound reads an end, of which what is infinite ends at a zero byte, as in C.
func parseLexBound(arg []byte) (b lexBound, valid bool) {
	switch {
	case len(arg) == 0:
		return b, false
	case arg[0] == '[', arg[0] == '(':
		return lexBound{member: arg[1:], open: arg[0] == '('}, true
	}
	switch resp.CString(arg, len(arg)) {
	case "-":
		return lexBound{infinite: -1}, true
	case "+":
		return lexBound{infinite: 1}, true
	}
	return b, false
}

// compare orders a member and the bound.
func (b *lexBound) compare(member []byte) int {
	if b.infinite != 0 {
		return -b.infinite
	}
	return bytes.Compare(member, b.member)
}

func (r *lexSpan) isBelow(_ float64, member []byte) bool {
	order := r.from.compare(member)
	return order < 0 || order == 0 && r.from.open
}

func (r *lexSpan) isNotAbove(_ float64, member []byte) bool {
	order := r.to.compare(member)
	return order < 0 || order == 0 && !r.to.open
}

func (r *lexSpan) in(s *zset, reverse bool, offset, n int64) interval {
	if s.large == nil {
		return r.inSmall(s, reverse, offset, n)
	}
	return between(s, r.isBelow, r.isNotAbove, reverse).limit(offset, n)
}

// inSmall looks a small sorted set through as Redis does, which makes a difference where the
// scores of members are not equal.
func (r *lexSpan) inSmall(s *zset, reverse bool, offset, n int64) interval {
	var members [][]byte
	for member := range s.walk(0, s.len(), reverse) {
		members = append(members, member)
	}
	isBelow := func(member []byte) bool { return r.isBelow(0, member) }
	isAbove := func(member []byte) bool { return !r.isNotAbove(0, member) }
	first, last := members[0], members[len(members)-1]
	if reverse {
		isBelow, isAbove = isAbove, isBelow
	}
	if isAbove(first) || isBelow(last) || r.isEmpty() || offset < 0 {
		return interval{}
	}
	from := 0
	for isBelow(members[from]) {
		from++
	}
	if isAbove(members[from]) {
		return interval{}
	}
	from += int(min(offset, int64(len(members)-from)))
	to := from
	for to < len(members) && int64(to-from) != n && !isAbove(members[to]) {
		to++
	}
	return interval{from, to - from}
}

// isEmpty reports whether no member can be in the range.
func (r *lexSpan) isEmpty() bool {
	from, to := &r.from, &r.to
	if from.infinite != 0 || to.infinite != 0 {
		return from.infinite > to.infinite || from.infinite == to.infinite && (from.open || to.open)
	}
	order := bytes.Compare(from.member, to.member)
	return order > 0 || order == 0 && (from.open || to.open)
}

// rangeOptions are those of ZRANGE and the like.
type rangeOptions struct {
	span       span // nil: that of the command, or ranks
	reverse    bool
	withScores bool
	offset     int64
	n          int64 // negative: all
}

var (
	limitOfRanks = resp.ErrorReply("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
	scoresOfLex  = resp.ErrorReply("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
)

// parse reads the ends of a range and the options behind them. Options that choose the span
// and the direction are there if chooses says so.
func (o *rangeOptions) parse(args [][]byte, chooses, stores bool) *resp.Reply {
	o.n = -1
	for i := 2; i < len(args); i++ {
		switch rest := args[i+1:]; {
		case resp.Is(args[i], "WITHSCORES") && !stores:
			o.withScores = true
		case resp.Is(args[i], "LIMIT") && len(rest) >= 2:
			var isInt bool
			if o.offset, o.n, isInt = resp.ParseRange(rest); !isInt {
				return &resp.NotAnInteger
			}
			i += 2
		case resp.Is(args[i], "REV") && chooses && !o.reverse:
			o.reverse = true
		case resp.Is(args[i], "BYLEX") && chooses && o.span == nil:
			o.span = &lexSpan{}
		case resp.Is(args[i], "BYSCORE") && chooses && o.span == nil:
			o.span = &scoreSpan{}
		default:
			return &resp.SyntaxError
		}
	}
	if o.span == nil {
		o.span = &rankSpan{}
	}
	_, isRanks := o.span.(*rankSpan)
	_, isLex := o.span.(*lexSpan)
	switch {
	case isRanks && o.n != -1:
		return &limitOfRanks
	case isLex && o.withScores:
		return &scoresOfLex
	case o.reverse && !isRanks:
		return o.span.parse(args[1], args[0])
	}
	return o.span.parse(args[0], args[1])
}

func zrange(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{}, true)
}
func zrevrange(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{span: &rankSpan{}, reverse: true}, false)
}
func zrangebyscore(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{span: &scoreSpan{}}, false)
}
func zrevrangebyscore(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{span: &scoreSpan{}, reverse: true}, false)
}
func zrangebylex(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{span: &lexSpan{}}, false)
}
func zrevrangebylex(c *keyspace.Call, args [][]byte) resp.Reply {
	return rangeReply(c, args, rangeOptions{span: &lexSpan{}, reverse: true}, false)
}

// rangeReply answers with the members in a range.
func rangeReply(c *keyspace.Call, args [][]byte, o rangeOptions, chooses bool) resp.Reply {
	if err := o.parse(args[2:], chooses, false); err != nil {
		return *err
	}
	s, isZset := asZset(c.Lookup(args[1]))
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.EmptyArray
	}
	i := o.span.in(s, o.reverse, o.offset, o.n)
	return membersReply(i.n, s.walk(i.skip, i.n, o.reverse), o.withScores)
}

func zrangestore(c *keyspace.Call, args [][]byte) resp.Reply {
	var o rangeOptions
	if err := o.parse(args[3:], true, true); err != nil {
		return *err
	}
	s, isZset := asZset(c.Lookup(args[2]))
	if !isZset {
		return resp.WrongType
	}
	stored := &zset{}
	if s != nil {
		i := o.span.in(s, o.reverse, o.offset, o.n)
		if _, isRanks := o.span.(*rankSpan); isRanks && i.n > c.ZSetEntries {
			stored.grow() // Redis knows before that it will not be small
		}
		for member, score := range s.walk(i.skip, i.n, o.reverse) {
			stored.put(member, score, &c.Thresholds)
		}
	}
	return store(c, args[1], stored, "zrangestore")
}

// store makes a key hold a sorted set, or nothing if that is empty, and answers with the number
// of members.
func store(c *keyspace.Call, key []byte, s *zset, event string) resp.Reply {
	n := s.len()
	if n == 0 {
		if e := c.Find(key); e != nil {
			c.AnswerFirst()
			c.Remove(e)
			c.Changed(key, keyspace.GenericEvent, "del")
		}
		return resp.Zero
	}
	c.Replace(key, s)
	c.SignalModified(c.Caller, c.DB, key)
	c.AnswerFirst()
	c.Notify(c.DB, key, keyspace.ZsetEvent, event)
	return resp.Int(n)
}

func zcount(c *keyspace.Call, args [][]byte) resp.Reply    { return countReply(c, args, &scoreSpan{}) }
func zlexcount(c *keyspace.Call, args [][]byte) resp.Reply { return countReply(c, args, &lexSpan{}) }

// countReply answers with the number of members in a range.
func countReply(c *keyspace.Call, args [][]byte, r span) resp.Reply {
	if err := r.parse(args[2], args[3]); err != nil {
		return *err
	}
	s, isZset := asZset(c.Lookup(args[1]))
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	return resp.Int(r.in(s, false, 0, -1).n)
}

func zremrangebyrank(c *keyspace.Call, args [][]byte) resp.Reply {
	return removeRange(c, args, &rankSpan{})
}
func zremrangebyscore(c *keyspace.Call, args [][]byte) resp.Reply {
	return removeRange(c, args, &scoreSpan{})
}
func zremrangebylex(c *keyspace.Call, args [][]byte) resp.Reply {
	return removeRange(c, args, &lexSpan{})
}

// removeRange removes the members in a range. The event has the name of the command.
func removeRange(c *keyspace.Call, args [][]byte, r span) resp.Reply {
	if err := r.parse(args[2], args[3]); err != nil {
		return *err
	}
	e, s, isZset := zsetOf(c, args[1])
	switch {
	case !isZset:
		return resp.WrongType
	case s == nil:
		return resp.Zero
	}
	i := r.in(s, false, 0, -1)
	if i.n > 0 {
		s.removeRange(i.skip, i.n)
		c.Changed(args[1], keyspace.ZsetEvent, c.Command)
		dropEmpty(c, e, s)
	}
	return resp.Int(i.n)
}
