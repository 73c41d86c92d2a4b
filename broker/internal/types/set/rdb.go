package set

import (
	"encoding/binary"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// Type is the type of sets.
var Type = &keyspace.Type{Name: "set", RDB: []byte{rdb.TypeSet, rdb.TypeSetIntset}, Decode: decode}

// intsetHeader is the width of integers and their number, before those.
const intsetHeader = 4 + 4

// AppendRDB writes an intset in one piece, and a table member by member.
func (s *set) AppendRDB(b []byte) []byte {
	if s.table == nil {
		b = rdb.AppendLength(append(b, rdb.TypeSetIntset), intsetHeader+len(s.ints.packed))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.ints.bytes()))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.ints.length()))
		return append(b, s.ints.packed...)
	}
	b = rdb.AppendLength(append(b, rdb.TypeSet), s.table.Len())
	for name := range s.all() {
		b = rdb.AppendString(b, name)
	}
	return b
}

// decode reads a set in either form.
func decode(form byte, d *rdb.Decoder, t keyspace.Thresholds) keyspace.Value {
	s := &set{}
	if form == rdb.TypeSetIntset {
		s.decodeIntset(d)
		if s.ints.length() > t.SetIntegers {
			s.spread()
		}
	} else {
		n := d.Length()
		if n > uint64(t.SetIntegers) {
			s.spread()
		}
		for range n {
			if name := d.String(); !d.Broken() && !s.add(name, &t) {
				d.Fail() // it is there twice
			}
		}
	}
	if s.length() == 0 {
		return nil
	}
	return s
}

// decodeIntset reads integers that are in order.
func (s *set) decodeIntset(d *rdb.Decoder) {
	p := d.String()
	if len(p) < intsetHeader {
		d.Fail()
		return
	}
	width, n := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
	p = p[intsetHeader:]
	if width != 2 && width != 4 && width != 8 || uint64(n)*uint64(width) != uint64(len(p)) {
		d.Fail()
		return
	}
	s.ints = intset{width: int(width), packed: append([]byte(nil), p...)}
	for i := 1; i < s.ints.length(); i++ {
		if s.ints.at(i-1) >= s.ints.at(i) {
			d.Fail()
			return
		}
	}
}
