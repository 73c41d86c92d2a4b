package zset

import (
	"slices"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/geohash"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Searches for members that are in an area.

var searchCommands = []command.Command{
	{Name: "georadius", Arity: -6, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: radiusKeys(6), Run: georadius, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: searchTime, Summary: "Returns or stores the members in a circle around a position."},
	{Name: "georadius_ro", Arity: -6, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: georadiusReadOnly, ACL: "geo",
		Group: "geo", Since: "3.2.10", Complexity: searchTime, Summary: "Returns the members in a circle around a position."},
	{Name: "georadiusbymember", Arity: -5, Flags: command.Write | command.DenyOOM | command.MovableKeys, Keys: radiusKeys(5), Run: georadiusbymember, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: searchTime, Summary: "Returns or stores the members in a circle around one of them."},
	{Name: "georadiusbymember_ro", Arity: -5, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: georadiusbymemberReadOnly, ACL: "geo",
		Group: "geo", Since: "3.2.10", Complexity: searchTime, Summary: "Returns the members in a circle around one of them."},
	{Name: "geosearch", Arity: -7, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: geosearch, ACL: "geo",
		Group: "geo", Since: "6.2.0", Complexity: searchTime, Summary: "Returns the members in a circle or a box."},
	{Name: "geosearchstore", Arity: -8, Flags: command.Write | command.DenyOOM, Keys: command.TwoKeys("OW update", "RO access"), Run: geosearchstore, ACL: "geo",
		Group: "geo", Since: "6.2.0", Complexity: searchTime, Summary: "Stores the members in a circle or a box."},
}

const searchTime = "O(N+log(M)) where N is the number of members in the cells around the area and M that of all members"

// radiusKeys are the keys of GEORADIUS, and of GEORADIUSBYMEMBER, of which options begin at an argument.
func radiusKeys(options int) []command.KeySpec {
	return append(command.OneKey("RO access"), command.KeyBehind("STORE", options, "OW update"), command.KeyBehind("STOREDIST", options, "OW update"))
}

// A search is for the members in an area.
type search struct {
	zset *zset // nil: there is none
	area geohash.Area

	order     int // 1: the nearest first, -1: the farthest; 0: as they are found
	count     int64
	any       bool // any so many will do, not only the nearest
	withDist  bool
	withHash  bool
	withCoord bool

	store     []byte // where to put the members; nil: they are the answer
	storeDist bool   // with their distances for scores

	mayStore bool // STORE and STOREDIST name a key

	// Of GEOSEARCH and GEOSEARCHSTORE.
	choosesArea, stores   bool
	fromMember, fromPoint bool
	byRadius              bool
}

var (
	noRadius       = resp.ErrorReply("ERR need numeric radius")
	negativeRadius = resp.ErrorReply("ERR radius cannot be negative")
	noWidth        = resp.ErrorReply("ERR need numeric width")
	noHeight       = resp.ErrorReply("ERR need numeric height")
	negativeBox    = resp.ErrorReply("ERR height or width cannot be negative")
	noSuchPlace    = resp.ErrorReply("ERR could not decode requested zset member")
	noGeoCount     = resp.ErrorReply("ERR COUNT must be > 0")
	anyOfHowMany   = resp.ErrorReply("ERR the ANY argument requires COUNT argument")
)

// parseMember reads the member that is the center.
func (q *search) parseMember(arg []byte) *resp.Reply {
	if q.zset == nil {
		return nil
	}
	var found bool
	if q.area.Center, found = q.zset.placeOf(arg); !found {
		return &noSuchPlace
	}
	return nil
}

// parsePoint reads the center.
func (q *search) parsePoint(args [][]byte) (err *resp.Reply) {
	q.area.Center, err = parsePoint(args)
	return err
}

// parseRadius reads a radius and its unit.
func (q *search) parseRadius(args [][]byte) (err *resp.Reply) {
	radius, isFloat := parseScore(args[0])
	switch {
	case !isFloat:
		return &noRadius
	case radius < 0:
		return &negativeRadius
	}
	q.area.Radius = radius
	q.area.Unit, err = parseUnit(args[1])
	return err
}

// parseBox reads a width, a height and their unit.
func (q *search) parseBox(args [][]byte) (err *resp.Reply) {
	width, isFloat1 := parseScore(args[0])
	height, isFloat2 := parseScore(args[1])
	switch {
	case !isFloat1:
		return &noWidth
	case !isFloat2:
		return &noHeight
	case width < 0, height < 0:
		return &negativeBox
	}
	q.area.Width, q.area.Height, q.area.IsBox = width, height, true
	q.area.Unit, err = parseUnit(args[2])
	return err
}

// parse reads options. The name is that of the command as it was given.
func (q *search) parse(name []byte, args [][]byte) *resp.Reply {
	for len(args) > 0 {
		taken, err := q.parseOption(args[0], args[1:])
		if err != nil {
			return err
		}
		args = args[1+taken:]
	}
	var r resp.Reply
	switch {
	case q.store != nil && (q.withDist || q.withHash || q.withCoord):
		what := "STORE option in GEORADIUS"
		if q.stores {
			what = "GEOSEARCHSTORE"
		}
		r = resp.Errorf("ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options", what)
	case q.choosesArea && !q.fromMember && !q.fromPoint:
		r = resp.Errorf("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %s", name)
	case q.choosesArea && !q.byRadius && !q.area.IsBox:
		r = resp.Errorf("ERR exactly one of BYRADIUS and BYBOX can be specified for %s", name)
	case q.any && q.count == 0:
		return &anyOfHowMany
	default:
		if q.count > 0 && q.order == 0 && !q.any {
			q.order = 1
		}
		return nil
	}
	return &r
}

// parseOption reads an option, and returns how many words behind it belong to it.
func (q *search) parseOption(word []byte, rest [][]byte) (taken int, err *resp.Reply) {
	switch {
	case resp.Is(word, "WITHDIST"):
		q.withDist = true
	case resp.Is(word, "WITHHASH"):
		q.withHash = true
	case resp.Is(word, "WITHCOORD"):
		q.withCoord = true
	case resp.Is(word, "ANY"):
		q.any = true
	case resp.Is(word, "ASC"):
		q.order = 1
	case resp.Is(word, "DESC"):
		q.order = -1
	case resp.Is(word, "COUNT") && len(rest) >= 1:
		n, isInt := resp.ParseInt(rest[0])
		switch {
		case !isInt:
			return 0, &resp.NotAnInteger
		case n <= 0:
			return 0, &noGeoCount
		}
		q.count = n
		return 1, nil
	case resp.Is(word, "STORE") && len(rest) >= 1 && q.mayStore:
		q.store, q.storeDist = rest[0], false
		return 1, nil
	case resp.Is(word, "STOREDIST") && len(rest) >= 1 && q.mayStore:
		q.store, q.storeDist = rest[0], true
		return 1, nil
	case resp.Is(word, "STOREDIST") && q.stores:
		q.storeDist = true
	case resp.Is(word, "FROMMEMBER") && len(rest) >= 1 && q.choosesArea && !q.fromPoint:
		q.fromMember = true
		return 1, q.parseMember(rest[0])
	case resp.Is(word, "FROMLONLAT") && len(rest) >= 2 && q.choosesArea && !q.fromMember:
		q.fromPoint = true
		return 2, q.parsePoint(rest)
	case resp.Is(word, "BYRADIUS") && len(rest) >= 2 && q.choosesArea && !q.area.IsBox:
		q.byRadius = true
		return 2, q.parseRadius(rest)
	case resp.Is(word, "BYBOX") && len(rest) >= 3 && q.choosesArea && !q.byRadius:
		return 3, q.parseBox(rest)
	default:
		return 0, &resp.SyntaxError
	}
	return 0, nil
}

func georadius(c *keyspace.Call, args [][]byte) resp.Reply { return aroundPoint(c, args, true) }
func georadiusReadOnly(c *keyspace.Call, args [][]byte) resp.Reply {
	return aroundPoint(c, args, false)
}

func aroundPoint(c *keyspace.Call, args [][]byte, mayStore bool) resp.Reply {
	return searchFor(c, args[1], search{mayStore: mayStore}, "georadiusstore", func(q *search) *resp.Reply {
		if err := q.parsePoint(args[2:]); err != nil {
			return err
		}
		if err := q.parseRadius(args[4:]); err != nil {
			return err
		}
		return q.parse(args[0], args[6:])
	})
}

func georadiusbymember(c *keyspace.Call, args [][]byte) resp.Reply {
	return aroundMember(c, args, true)
}
func georadiusbymemberReadOnly(c *keyspace.Call, args [][]byte) resp.Reply {
	return aroundMember(c, args, false)
}

func aroundMember(c *keyspace.Call, args [][]byte, mayStore bool) resp.Reply {
	return searchFor(c, args[1], search{mayStore: mayStore}, "georadiusstore", func(q *search) *resp.Reply {
		if q.zset != nil { // else Redis does not look at these
			if err := q.parseMember(args[2]); err != nil {
				return err
			}
			if err := q.parseRadius(args[3:]); err != nil {
				return err
			}
		}
		return q.parse(args[0], args[5:])
	})
}

func geosearch(c *keyspace.Call, args [][]byte) resp.Reply {
	return searchFor(c, args[1], search{choosesArea: true}, "", func(q *search) *resp.Reply { return q.parse(args[0], args[2:]) })
}

func geosearchstore(c *keyspace.Call, args [][]byte) resp.Reply {
	return searchFor(c, args[2], search{choosesArea: true, stores: true, store: args[1]}, "geosearchstore", func(q *search) *resp.Reply { return q.parse(args[0], args[3:]) })
}

// searchFor looks up a sorted set, reads for what it is searched, and answers with the members that
// are found, or stores them.
func searchFor(c *keyspace.Call, key []byte, q search, event string, parse func(*search) *resp.Reply) resp.Reply {
	var isZset bool
	if q.zset, isZset = asZset(c.Lookup(key)); !isZset {
		return resp.WrongType
	}
	if err := parse(&q); err != nil {
		return *err
	}
	found := q.find()
	if q.store != nil {
		return q.storeFound(c, found, event)
	}
	if !q.withDist && !q.withHash && !q.withCoord {
		return resp.Strings(len(found), func(yield func([]byte) bool) {
			for i := range found {
				if !yield(found[i].member) {
					return
				}
			}
		})
	}
	return q.answer(found)
}

// A found is a member in the area, and how far it is from the center, in meters.
type found struct {
	scored
	distance float64
}

// answer answers with members and what is wanted of them. All of it has little memory of its own,
// as there may be many.
func (q *search) answer(found []found) resp.Reply {
	each := 1
	for _, wanted := range []bool{q.withDist, q.withHash, q.withCoord} {
		if wanted {
			each++
		}
	}
	answers, parts := make([]resp.Reply, len(found)), make([]resp.Reply, 0, each*len(found))
	const textSize = len("12345678.1234")
	var text []byte
	if q.withDist {
		text = make([]byte, 0, textSize*len(found))
	}
	for i := range found {
		f, from := &found[i], len(parts)
		parts = append(parts, resp.Bulk(f.member))
		if q.withDist {
			start := len(text)
			text = appendDistance(text, f.distance/q.area.Unit)
			parts = append(parts, resp.Bulk(text[start:]))
		}
		if q.withHash {
			parts = append(parts, resp.Integer(truncated(f.score)))
		}
		if q.withCoord {
			parts = append(parts, pointReply(place(f.score)))
		}
		answers[i] = resp.Array(parts[from:]...)
	}
	return resp.Array(answers...)
}

// find returns the members that are asked for.
func (q *search) find() (all []found) {
	if q.zset == nil {
		return nil
	}
	enough := func() bool { return q.any && int64(len(all)) >= q.count }
	for from, to := range q.area.Scores {
		skip := q.zset.countBefore(func(score float64, _ []byte) bool { return score < from })
		n := q.zset.countBefore(func(score float64, _ []byte) bool { return score < to }) - skip
		for member, score := range q.zset.walk(skip, n, false) {
			if distance, within := q.area.Contains(place(score)); within {
				all = append(all, found{scored{member, score}, distance})
				if enough() {
					break
				}
			}
		}
		if enough() {
			break
		}
	}
	n := len(all)
	if q.count > 0 {
		n = int(min(int64(n), q.count))
	}
	if q.order == 0 {
		return all[:n]
	}
	return sortFound(all, n, q.order)
}

// sortFound returns the first n members, the nearest first or, if the order is negative, the
// farthest. Those that are equally far come in the order in which they were found, if all are
// wanted.
func sortFound(all []found, n, order int) []found {
	type rank struct {
		distance float64
		at       int
	}
	ranks := make([]rank, len(all)) // as these are smaller, and no pointers
	for i := range all {
		ranks[i] = rank{all[i].distance, i}
	}
	byDistance := func(x, y *rank) int {
		switch {
		case x.distance < y.distance:
			return -order
		case x.distance > y.distance:
			return order
		}
		return 0
	}
	if n < len(all) {
		sortFirst(ranks, n, byDistance)
	} else {
		slices.SortFunc(ranks, func(x, y rank) int {
			if c := byDistance(&x, &y); c != 0 {
				return c
			}
			return x.at - y.at
		})
	}
	sorted := make([]found, n)
	for i := range sorted {
		sorted[i] = all[ranks[i].at]
	}
	return sorted
}

// storeFound makes a key hold the members that were found.
func (q *search) storeFound(c *keyspace.Call, all []found, event string) resp.Reply {
	members := make([]scored, len(all))
	for i, f := range all {
		members[i] = f.scored
		if q.storeDist {
			members[i].score = f.distance / q.area.Unit
		}
	}
	if len(members) > 0 {
		c.Replace(q.store, made(members, &c.Thresholds))
		c.Changed(q.store, keyspace.ZsetEvent, event)
	} else if e := c.Find(q.store); e != nil {
		c.Remove(e)
		c.Changed(q.store, keyspace.GenericEvent, "del")
	}
	return resp.Int(len(members))
}
