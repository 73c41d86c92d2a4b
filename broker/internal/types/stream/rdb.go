package stream

import (
	"bytes"
	"encoding/binary"
	"math"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
	"redrpc/broker/internal/resp"
)

// Type is the type of streams.
var Type = &keyspace.Type{Name: "stream", RDB: []byte{rdb.TypeStream, rdb.TypeStream2}, Decode: decodeStream}

// The form of streams in DUMP.

func (s *stream) AppendRDB(b []byte) []byte {
	b = rdb.AppendLength(append(b, rdb.TypeStream2), len(s.nodes))
	for _, n := range s.nodes {
		b = n.first.appendRaw(rdb.AppendLength(b, rawID))
		b = n.appendListpack(rdb.AppendLength(b, n.size()))
	}
	b = rdb.AppendLength(b, s.length)
	for _, id := range []entryID{s.last, s.first, s.maxDeleted} {
		b = rdb.AppendUint(rdb.AppendUint(b, id.ms), id.seq)
	}
	b = rdb.AppendUint(b, s.added)
	b = rdb.AppendLength(b, len(s.groups))
	for _, g := range s.groups {
		b = g.appendRDB(b)
	}
	return b
}

// appendListpack writes a node as Redis holds it.
func (n *node) appendListpack(b []byte) []byte {
	elements := 2
	for at := 0; at < len(n.body); at += rdb.ElementSize(n.body[at:]) {
		elements++
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(n.size()))
	b = binary.LittleEndian.AppendUint16(b, uint16(min(elements, math.MaxUint16)))
	b = append(n.appendCounts(b), n.body...)
	return append(b, rdb.ListpackEnd)
}

func (g *group) appendRDB(b []byte) []byte {
	b = rdb.AppendString(b, []byte(g.name))
	b = rdb.AppendUint(rdb.AppendUint(b, g.last.ms), g.last.seq)
	b = rdb.AppendUint(b, uint64(g.read))
	b = rdb.AppendLength(b, g.pending.len)
	for d := range g.pending.all() {
		b = binary.LittleEndian.AppendUint64(d.id.appendRaw(b), uint64(d.at))
		b = rdb.AppendUint(b, d.count)
	}
	b = rdb.AppendLength(b, len(g.consumers))
	for _, c := range g.consumers {
		b = binary.LittleEndian.AppendUint64(rdb.AppendString(b, []byte(c.name)), uint64(c.seen))
		b = rdb.AppendLength(b, c.pending.len)
		for d := range c.pending.all() {
			b = d.id.appendRaw(b)
		}
	}
	return b
}

// decodeStream reads a stream. It refuses what is not consistent.
func decodeStream(form byte, d *rdb.Decoder, _ keyspace.Thresholds) keyspace.Value {
	s := &stream{}
	for range d.Length() {
		s.decodeNode(d)
		if d.Broken() {
			return nil
		}
	}
	length := d.Uint()
	s.last = decodeID(d)
	if form == rdb.TypeStream2 {
		s.first = decodeID(d)
		s.maxDeleted = decodeID(d)
		s.added = d.Uint()
	} else {
		s.added, s.first = length, greatestID // which Redis records where there is no entry
		if s.length > 0 {
			s.findFirst()
		}
	}
	if length != uint64(s.length) || s.last.less(s.lastID()) || s.added < length {
		d.Fail()
	}
	for range d.Length() {
		s.decodeGroup(form, d)
		if d.Broken() {
			return nil
		}
	}
	if d.Broken() || s.Check() != nil {
		return nil
	}
	return s
}

func decodeID(d *rdb.Decoder) entryID {
	ms := d.Uint()
	return entryID{ms, d.Uint()}
}

func decodeRawID(d *rdb.Decoder) entryID {
	if raw := d.Raw(rawID); len(raw) == rawID {
		return rawEntryID(raw)
	}
	return entryID{}
}

// decodeNode reads a node, which comes behind the ones that were read.
func (s *stream) decodeNode(d *rdb.Decoder) {
	first := d.String()
	if last := s.tail(); len(first) != rawID || last != nil && !last.first.less(rawEntryID(first)) {
		d.Fail()
		return
	}
	r := nodeReader{node: &node{first: rawEntryID(first)}}
	d.Listpack(d.String(), r.add)
	n := r.node
	if d.Broken() || !r.isWhole() || n.live+n.deleted == 0 {
		d.Fail()
		return
	}
	n.body = bytes.Clone(n.body)
	s.nodes = append(s.nodes, n)
	s.length += n.live
	s.bytes += n.bytes()
}

// A nodeReader makes a node of the elements of a listpack. Everything in it is checked but the
// order of the IDs.
type nodeReader struct {
	node  *node
	place place
	at    entry // that is read
	left  int64 // elements of its fields and values
	live  int   // entries that were read
	dead  int
	wrong bool
}

// A place is what an element of a listpack means.
type place uint8

const (
	countOfLive place = iota
	countOfDeleted
	countOfFields
	masterField
	masterEnd
	entryFlags
	entryMS
	entrySeq
	entryFields
	entryText
	entryLength
)

func (r *nodeReader) isWhole() bool {
	return !r.wrong && r.place == entryFlags && r.live == r.node.live && r.dead == r.node.deleted
}

// mostElements is how many elements a listpack that can be read may have of one kind.
const mostElements = math.MaxInt32

// add takes the next element.
func (r *nodeReader) add(element []byte) {
	n := r.node
	if r.place == masterField || r.place == entryText {
		r.addText(element)
		return
	}
	number, isInt := resp.ParseInt(element)
	if !isInt {
		r.wrong = true
	}
	if r.place >= countOfFields {
		n.body = rdb.AppendInteger(n.body, number)
	}
	isCount := 0 <= number && number <= mostElements
	switch r.place {
	case countOfLive:
		r.wrong = r.wrong || !isCount
		n.live, r.place = int(number), countOfDeleted
	case countOfDeleted:
		r.wrong = r.wrong || !isCount
		n.deleted, r.place = int(number), countOfFields
	case countOfFields:
		r.wrong = r.wrong || !isCount
		r.at.n = int(number)
		r.texts(number, masterField, masterEnd)
	case masterEnd:
		r.wrong = r.wrong || number != 0
		n.entries, r.place = len(n.body), entryFlags
	case entryFlags:
		r.wrong = r.wrong || number < 0 || number > deletedFlag|sameFieldsFlag
		r.at.flags, r.place = number, entryMS
		if r.at.isDeleted() {
			r.dead++
		} else {
			r.live++
		}
	case entryMS:
		r.place = entrySeq
	case entrySeq:
		r.place = entryFields
		if r.at.flags&sameFieldsFlag != 0 {
			r.texts(int64(r.at.n), entryText, entryLength)
		}
	case entryFields:
		r.wrong = r.wrong || !isCount
		r.texts(2*number, entryText, entryLength)
	case entryLength:
		r.wrong = r.wrong || number != r.at.elements()
		r.place = entryFlags
	case masterField, entryText:
	}
}

// texts says that so many strings are next, and what comes behind them.
func (r *nodeReader) texts(n int64, texts, behind place) {
	r.left, r.place = n, texts
	if texts == entryText {
		r.at.values = int(n)
	}
	if n <= 0 {
		r.place = behind
	}
}

func (r *nodeReader) addText(text []byte) {
	r.node.body = rdb.AppendElement(r.node.body, text)
	if r.left--; r.left == 0 {
		r.place++
	}
}

// elements is how many elements the entry has that is read, without the last one.
func (e *entry) elements() int64 {
	if e.flags&sameFieldsFlag != 0 {
		return int64(e.values) + 3
	}
	return int64(e.values) + 4
}

// decodeGroup reads a group. What it has pending need not be in the stream.
func (s *stream) decodeGroup(form byte, d *rdb.Decoder) {
	name := d.String()
	last := decodeID(d)
	read := s.position(last)
	if form == rdb.TypeStream2 {
		read = int64(d.Uint())
	}
	if read < unknownRead {
		d.Fail()
	}
	g, isNew := s.groups.create(name, last, read)
	if !isNew {
		d.Fail()
	}
	for range d.Length() {
		one := &delivery{id: decodeRawID(d), at: d.Int64(), count: d.Uint()}
		if d.Broken() || g.pending.find(one.id) != nil {
			d.Fail()
			return
		}
		g.pending.add(one)
	}
	for range d.Length() {
		g.decodeConsumer(d)
		if d.Broken() {
			return
		}
	}
	for one := range g.pending.all() {
		if one.consumer == nil {
			d.Fail()
		}
	}
}

func (g *group) decodeConsumer(d *rdb.Decoder) {
	name := d.String()
	c, isNew := g.create(name, d.Int64())
	if !isNew {
		d.Fail()
	}
	for range d.Length() {
		one := g.pending.find(decodeRawID(d))
		if d.Broken() || one == nil || one.consumer != nil {
			d.Fail()
			return
		}
		g.assign(one, c)
	}
}
