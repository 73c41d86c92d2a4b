package zset

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// Type is the type of sorted sets.
var Type = &keyspace.Type{
	Name: "zset", RDB: []byte{rdb.TypeZSet, rdb.TypeZSetZiplist, rdb.TypeZSet2, rdb.TypeZSetListpack},
	Decode: decodeZset,
}

// The form of sorted sets in DUMP.

// appendPackedScore writes a score as a listpack has it: more integers as such than elsewhere.
func appendPackedScore(b []byte, score float64) []byte {
	const most = 1 << 62
	if n := int64(score); -most <= score && score <= most && float64(n) == score {
		return strconv.AppendInt(b, n, 10)
	}
	return resp.AppendFloat(b, score)
}

func (s *zset) AppendRDB(b []byte) []byte {
	if s.large == nil {
		var pack rdb.Listpack
		for spot := range s.small.all() {
			pack.Add(spot.member)
			pack.Add(appendPackedScore(nil, spot.score))
		}
		b = rdb.AppendLength(append(b, rdb.TypeZSetListpack), pack.Size())
		return append(b, pack.Bytes()...)
	}
	b = rdb.AppendLength(append(b, rdb.TypeZSet2), s.len())
	for member, score := range s.walk(0, s.len(), true) {
		b = binary.LittleEndian.AppendUint64(rdb.AppendString(b, member), math.Float64bits(score))
	}
	return b
}

// decodeZset reads a sorted set in any of its forms. In one piece it is small however long its
// members are.
func decodeZset(form byte, d *rdb.Decoder, t keyspace.Thresholds) keyspace.Value {
	var members []scored
	switch form {
	case rdb.TypeZSet:
		for range d.Length() {
			members = append(members, scored{d.String(), d.TextDouble()})
		}
	case rdb.TypeZSet2:
		for range d.Length() {
			members = append(members, scored{d.String(), d.Double()})
		}
	case rdb.TypeZSetListpack:
		t.ZSetValue = math.MaxInt
		members = decodePairs(d, d.Listpack)
	case rdb.TypeZSetZiplist:
		t.ZSetValue = math.MaxInt
		members = decodePairs(d, d.Ziplist)
	}
	if d.Broken() || len(members) == 0 || slices.ContainsFunc(members, isNoNumber) {
		return nil
	}
	s := made(members, &t)
	if s.len() < len(members) { // one is there twice
		return nil
	}
	return s
}

func isNoNumber(m scored) bool { return math.IsNaN(m.score) }

// decodePairs reads members and scores, in turn, that are in one piece.
func decodePairs(d *rdb.Decoder, read func(piece []byte, add func([]byte))) (members []scored) {
	isScore, valid := false, true
	read(d.String(), func(element []byte) {
		if isScore {
			score, isFloat := parseScore(element)
			valid = valid && isFloat
			members[len(members)-1].score = score
		} else {
			members = append(members, scored{bytes.Clone(element), 0})
		}
		isScore = !isScore
	})
	if isScore || !valid {
		d.Fail()
	}
	return members
}
