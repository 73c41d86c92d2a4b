package list

import (
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// Type is the type of lists.
var Type = &keyspace.Type{
	Name: "list", RDB: []byte{rdb.TypeList, rdb.TypeListZiplist, rdb.TypeListQuicklist, rdb.TypeListQuicklist2},
	Decode: decodeList, Collect: collect,
}

// The form of lists in DUMP.

// Kinds of the pieces of a list.
const (
	plainPiece  = 1 // one large element
	packedPiece = 2
)

// largestPacked is the size from which on an element is a piece of its own.
const largestPacked = 1 << 30

// AppendRDB writes a list as listpacks, each as large as one grows in Redis when
// elements are pushed behind it.
func (l *list) AppendRDB(b []byte) []byte {
	const tooLarge = 8 << 10
	var pieces []byte
	n := 0
	finish := func(kind byte, piece []byte) {
		pieces = append(rdb.AppendLength(append(pieces, kind), len(piece)), piece...)
		n++
	}
	var pack rdb.Listpack
	for _, p := range l.walk(left) {
		value := p.value()
		if pack.Len() > 0 && pack.Size()+len(value)+8 > tooLarge {
			finish(packedPiece, pack.Bytes())
			pack = rdb.Listpack{}
		}
		if len(value) >= largestPacked {
			finish(plainPiece, value)
		} else {
			pack.Add(value)
		}
	}
	if pack.Len() > 0 {
		finish(packedPiece, pack.Bytes())
	}
	return append(rdb.AppendLength(append(b, rdb.TypeListQuicklist2), n), pieces...)
}

// decodeList reads a list in any of its forms.
func decodeList(form byte, d *rdb.Decoder, _ keyspace.Thresholds) keyspace.Value {
	l := &list{}
	add := func(element []byte) { l.push(right, element) }
	switch form {
	case rdb.TypeList:
		for range d.Length() {
			if element := d.String(); !d.Broken() {
				add(element)
			}
		}
	case rdb.TypeListZiplist:
		d.Ziplist(d.String(), add)
	case rdb.TypeListQuicklist:
		for range d.Length() {
			d.Ziplist(d.String(), add)
		}
	case rdb.TypeListQuicklist2:
		for range d.Length() {
			switch d.Length() {
			case plainPiece:
				if element := d.String(); !d.Broken() {
					add(element)
				}
			case packedPiece:
				d.Listpack(d.String(), add)
			default:
				d.Fail()
			}
		}
	}
	if l.length == 0 {
		return nil
	}
	return l
}
