package hash

import (
	"math"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// Type is the type of hashes.
var Type = &keyspace.Type{
	Name: "hash", RDB: []byte{rdb.TypeHash, rdb.TypeHashZipmap, rdb.TypeHashZiplist, rdb.TypeHashListpack}, Decode: decode,
}

// AppendRDB writes a packed hash as a listpack, and one with a table field by field.
func (h *hash) AppendRDB(b []byte) []byte {
	if h.table == nil {
		var p rdb.Listpack
		for name, value := range h.all() {
			p.Add(name)
			p.Add(value)
		}
		return append(rdb.AppendLength(append(b, rdb.TypeHashListpack), p.Size()), p.Bytes()...)
	}
	b = rdb.AppendLength(append(b, rdb.TypeHash), h.table.Len())
	for name, value := range h.all() {
		b = rdb.AppendString(rdb.AppendString(b, name), value)
	}
	return b
}

// decode reads a hash in any of its forms. In what is in one piece Redis does not look at
// the lengths of fields and values, but in a zipmap.
func decode(form byte, d *rdb.Decoder, t keyspace.Thresholds) keyspace.Value {
	h := &hash{}
	add := func(name, value []byte) {
		if !d.Broken() && !h.set(name, value, &t) {
			d.Fail() // there are two of that name
		}
	}
	piece := func(read func(p []byte, add func([]byte))) {
		t.HashValue = math.MaxInt
		var name []byte
		isValue := false
		read(d.String(), func(s []byte) {
			if isValue {
				add(name, s)
			}
			name, isValue = append(name[:0], s...), !isValue
		})
		if isValue {
			d.Fail()
		}
	}
	switch form {
	case rdb.TypeHash:
		for range d.Length() {
			name := d.String()
			add(name, d.String())
		}
	case rdb.TypeHashZipmap:
		d.Zipmap(d.String(), add)
	case rdb.TypeHashZiplist:
		piece(d.Ziplist)
	case rdb.TypeHashListpack:
		piece(d.Listpack)
	}
	if h.length() == 0 {
		return nil
	}
	return h
}
