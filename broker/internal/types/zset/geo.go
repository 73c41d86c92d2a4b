package zset

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/geohash"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// Commands for members that are places: their scores are geohashes.

var geoCommands = slices.Concat(placeCommands, searchCommands)

var placeCommands = []command.Command{
	{Name: "geoadd", Arity: -5, Flags: command.Write | command.DenyOOM, Keys: command.OneKey("RW update"), Run: geoadd, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) for each member added, where N is the number of members", Summary: "Adds members with their positions, or moves them."},
	{Name: "geodist", Arity: -4, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: geodist, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) where N is the number of members", Summary: "Returns the distance between two members."},
	{Name: "geohash", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: geohashes, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) for each member asked for, where N is the number of members", Summary: "Returns the positions of members as geohashes of 11 characters."},
	{Name: "geopos", Arity: -2, Flags: command.ReadOnly, Keys: command.OneKey("RO access"), Run: geopos, ACL: "geo",
		Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) for each member asked for, where N is the number of members", Summary: "Returns the longitudes and latitudes of members."},
}

func geoadd(c *keyspace.Call, args [][]byte) resp.Reply {
	var o addOptions
	rest := args[2:]
	for ; len(rest) > 0; rest = rest[1:] {
		if resp.Is(rest[0], "NX") {
			o.nx = true
		} else if resp.Is(rest[0], "XX") {
			o.xx = true
		} else if resp.Is(rest[0], "CH") {
			o.ch = true
		} else {
			break
		}
	}
	if len(rest)%3 != 0 || o.nx && o.xx {
		return resp.SyntaxError
	}
	scores := make([]float64, 0, 8)
	for i := 0; i < len(rest); i += 3 {
		p, err := parsePoint(rest[i:])
		if err != nil {
			return *err
		}
		scores = append(scores, float64(geohash.Encode(p)))
	}
	if len(scores) == 0 {
		return resp.SyntaxError
	}
	return addScored(c, args[1], scores, rest, o)
}

// parsePoint reads a longitude and a latitude.
func parsePoint(args [][]byte) (p geohash.Point, err *resp.Reply) {
	var valid1, valid2 bool
	p.Longitude, valid1 = parseScore(args[0])
	p.Latitude, valid2 = parseScore(args[1])
	switch {
	case !valid1, !valid2:
		return p, &notAFloat
	case !p.IsValid():
		r := resp.Errorf("ERR invalid longitude,latitude pair %s,%s", fixed(p.Longitude), fixed(p.Latitude))
		return p, &r
	}
	return p, nil
}

// fixed is a number as C's %f writes it.
func fixed(x float64) string {
	return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(x, 'f', 6, 64), "+"))
}

// parseUnit reads a unit of length, and returns it in meters.
func parseUnit(arg []byte) (meters float64, err *resp.Reply) {
	switch {
	case resp.Is(arg, "M"):
		return 1, nil
	case resp.Is(arg, "KM"):
		return 1000, nil
	case resp.Is(arg, "FT"):
		return 0.3048, nil
	case resp.Is(arg, "MI"):
		return 1609.34, nil
	}
	return 0, &noUnit
}

var noUnit = resp.ErrorReply("ERR unsupported unit provided. please use M, KM, FT, MI")

// place returns where a score is. Those that GEOADD has not made are converted as the processor
// does it for Redis.
func place(score float64) geohash.Point {
	const half = 1 << 63
	if score >= half {
		return geohash.Decode(uint64(truncated(score-half)) ^ half)
	}
	return geohash.Decode(uint64(truncated(score)))
}

// truncated is a score as an integer, the least if it is beyond those.
func truncated(score float64) int64 {
	if score >= math.MinInt64 && score < math.MaxInt64 {
		return int64(score)
	}
	return math.MinInt64
}

// placeOf returns where a member is. No sorted set has none.
func (s *zset) placeOf(member []byte) (p geohash.Point, found bool) {
	if s == nil {
		return p, false
	}
	score, found := s.score(member)
	return place(score), found
}

// distanceReply answers with a distance in meters, in another unit.
func distanceReply(meters, unit float64) resp.Reply {
	return resp.Bulk(appendDistance(make([]byte, 0, 16), meters/unit))
}

// appendDistance writes a distance with four digits behind the point, as C's %.4f does. Package
// strconv is ten times as slow.
func appendDistance(b []byte, x float64) []byte {
	const digits, most = 10_000, 1 << 52
	scaled := x * digits
	if !(scaled < most) {
		return strconv.AppendFloat(b, x, 'f', 4, 64)
	}
	n := int64(scaled)
	rest := scaled - float64(n)
	lacks := math.FMA(x, digits, -scaled) // by which the product was rounded
	if rest > 0.5 || rest == 0.5 && (lacks > 0 || lacks == 0 && n%2 == 1) {
		n++
	}
	b = append(strconv.AppendInt(b, n/digits, 10), '.')
	digit := func(unit int64) byte { return byte('0' + n/unit%10) }
	return append(b, digit(1000), digit(100), digit(10), digit(1))
}

// pointReply answers with a longitude and a latitude.
func pointReply(p geohash.Point) resp.Reply {
	degrees := func(x float64) resp.Reply {
		text := strings.TrimRight(strconv.FormatFloat(x, 'f', 17, 64), "0")
		return resp.Reply{Kind: resp.KindDouble, Bytes: []byte(strings.TrimSuffix(text, "."))}
	}
	return resp.Array(degrees(p.Longitude), degrees(p.Latitude))
}

func geodist(c *keyspace.Call, args [][]byte) resp.Reply {
	unit := 1.0
	switch len(args) {
	case 4:
	case 5:
		var err *resp.Reply
		if unit, err = parseUnit(args[4]); err != nil {
			return *err
		}
	default:
		return resp.SyntaxError
	}
	s, isZset := asZset(c.Lookup(args[1]))
	if !isZset {
		return resp.WrongType
	}
	p, found1 := s.placeOf(args[2])
	q, found2 := s.placeOf(args[3])
	if !found1 || !found2 {
		return resp.Null
	}
	return distanceReply(geohash.Distance(p, q), unit)
}

func geohashes(c *keyspace.Call, args [][]byte) resp.Reply {
	return eachPlace(c, args, resp.Null, func(p geohash.Point) resp.Reply { return resp.BulkString(geohash.Text(p)) })
}

func geopos(c *keyspace.Call, args [][]byte) resp.Reply {
	return eachPlace(c, args, resp.NullArray, pointReply)
}

// eachPlace answers for the place of each member, or that there is none.
func eachPlace(c *keyspace.Call, args [][]byte, none resp.Reply, answer func(geohash.Point) resp.Reply) resp.Reply {
	s, isZset := asZset(c.Lookup(args[1]))
	if !isZset {
		return resp.WrongType
	}
	answers := make([]resp.Reply, 0, len(args)-2)
	for _, member := range args[2:] {
		if p, found := s.placeOf(member); found {
			answers = append(answers, answer(p))
		} else {
			answers = append(answers, none)
		}
	}
	return resp.Array(answers...)
}
