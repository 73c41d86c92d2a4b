package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// A modelled entry is one of a stream as a slice has it.
type modelled struct {
	id    entryID
	pairs [][]byte
}

func (m modelled) String() string { return fmt.Sprintf("%v %q", m.id, m.pairs) }

func textsOf(pairs ...string) (texts [][]byte) {
	for _, text := range pairs {
		texts = append(texts, []byte(text))
	}
	return texts
}

// A stream does what a slice of entries does, whatever the sizes of its nodes, fields and values.
func TestStreamAgainstSlice(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	texts := []string{"", "x", "12", "-70000", "9223372036854775807", "01", strings.Repeat("v", 63), strings.Repeat("w", 70), strings.Repeat("y", 5000)}
	text := func() string { return texts[r.IntN(len(texts))] }
	for round := range 6 {
		limits := keyspace.Thresholds{StreamBytes: []int{0, 100, 4096}[round%3], StreamEntries: []int{0, 1, 7, 100}[r.IntN(4)]}
		s := &stream{}
		var model []modelled
		for step := range 150 {
			switch n := r.IntN(10); {
			case n < 6:
				id, pairs := s.last, textsOf("f", text(), "g", text())
				if id, _ = id.next(); r.IntN(3) > 0 {
					id = entryID{id.ms + uint64(r.IntN(1<<r.IntN(60))), uint64(r.IntN(300))}
				}
				if !s.last.less(id) {
					continue
				}
				if r.IntN(3) == 0 {
					pairs = textsOf(text(), text())
				}
				s.add(id, pairs, &limits)
				model = append(model, modelled{id, pairs})
			case n < 8 && len(model) > 0:
				i := r.IntN(len(model))
				if !s.delete(model[i].id) || s.delete(model[i].id) {
					t.Fatalf("seed %d: %v was not deleted, or twice", seed, model[i].id)
				}
				model = slices.Delete(model, i, i+1)
				s.findFirst()
			case n == 8 && len(model) > 0:
				i := r.IntN(len(model))
				o := trimming{strategy: toID, least: model[i].id}
				if r.IntN(2) == 0 {
					o = trimming{strategy: toLength, length: len(model) - i}
				}
				if removed := s.trim(&o); removed != i {
					t.Fatalf("seed %d: trimming removed %d, expected %d", seed, removed, i)
				}
				model = slices.Delete(model, 0, i)
			}
			if step%10 == 0 {
				checkStream(t, s, model)
				checkStream(t, s.Clone().(*stream), model)
				d := rdb.NewDecoder(s.AppendRDB(nil)[1:], 0)
				checkStream(t, decodeStream(rdb.TypeStream2, d, limits).(*stream), model)
				checkRange(t, s, model, r)
			}
		}
	}
}

func checkStream(t *testing.T, s *stream, model []modelled) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	checkEntries(t, s, whole, model)
}

func checkEntries(t *testing.T, s *stream, r span, model []modelled) {
	t.Helper()
	for _, reverse := range []bool{false, true} {
		var got []modelled
		for e := range s.walk(r, reverse) {
			m := modelled{id: e.id}
			for text := range e.pairs {
				m.pairs = append(m.pairs, bytes.Clone(text))
			}
			got = append(got, m)
		}
		if reverse {
			slices.Reverse(got)
		}
		if got, want := fmt.Sprint(got), fmt.Sprint(model); got != want {
			t.Fatalf("reverse %t: got %.300s, want %.300s", reverse, got, want)
		}
	}
}

func checkRange(t *testing.T, s *stream, model []modelled, r *rand.Rand) {
	t.Helper()
	if len(model) == 0 {
		return
	}
	i := r.IntN(len(model))
	j := i + r.IntN(len(model)-i)
	checkEntries(t, s, span{model[i].id, model[j].id}, model[i:j+1])
	from, _ := model[i].id.next()
	to, _ := model[j].id.previous()
	inside := slices.DeleteFunc(slices.Clone(model), func(m modelled) bool { return m.id.less(from) || to.less(m.id) })
	checkEntries(t, s, span{from, to}, inside)
}

// Approximate trimming removes whole nodes only, and no more than its limit.
func TestTrimByNodes(t *testing.T) {
	limits := keyspace.Thresholds{StreamEntries: 10}
	for _, c := range []struct {
		o    trimming
		want int
	}{
		{trimming{strategy: toLength, length: 95}, 0},
		{trimming{strategy: toLength, length: 90}, 10},
		{trimming{strategy: toLength, length: 1}, 90},
		{trimming{strategy: toLength, length: 0}, 100},
		{trimming{strategy: toLength, limit: 25}, 20},
		{trimming{strategy: toLength, limit: 9}, 0},
		{trimming{strategy: toID, least: entryID{ms: 11}}, 10},
		{trimming{strategy: toID, least: entryID{ms: 20}}, 10},
		{trimming{strategy: toID, least: entryID{ms: 1000}}, 100},
	} {
		s := &stream{}
		for i := range uint64(100) {
			s.add(entryID{ms: i + 1}, textsOf("f", "v"), &limits)
		}
		c.o.approximate = true
		if got := s.trim(&c.o); got != c.want {
			t.Errorf("%+v: %d removed, expected %d", c.o, got, c.want)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

// A pending does what a map does, in order.
func TestPendingAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 6 {
		var p pending
		model := map[entryID]*delivery{}
		id := func() entryID { return entryID{uint64(r.IntN(1500)), 0} }
		grows := uint64(2000)
		for step := range 3000 {
			switch n := r.IntN(8); {
			case n < 2: // in order, as usual
				grows++
				d := &delivery{id: entryID{grows, 0}}
				p.add(d)
				model[d.id] = d
			case n < 5 && step < 2000:
				d := &delivery{id: id()}
				if model[d.id] == nil {
					p.add(d)
					model[d.id] = d
				}
			default:
				at := id()
				if got := p.remove(at); got != model[at] {
					t.Fatalf("seed %d: %v was removed for %v", seed, got, at)
				}
				delete(model, at)
			}
		}
		if err := p.check(); err != nil || p.len != len(model) {
			t.Fatalf("seed %d: %d deliveries, expected %d: %v", seed, p.len, len(model), err)
		}
		from, n := id(), 0
		for d := range p.from(from) {
			if d.id.less(from) || model[d.id] != d || p.find(d.id) != d {
				t.Fatalf("seed %d: %v is found from %v", seed, d.id, from)
			}
			n++
		}
		for at := range model {
			if !at.less(from) {
				n--
			}
		}
		if n != 0 {
			t.Fatalf("seed %d: %d deliveries too many from %v", seed, n, from)
		}
	}
}

// Few deliveries of many do not keep their memory.
func TestPendingShrinks(t *testing.T) {
	var p pending
	for i := range uint64(100_000) {
		p.add(&delivery{id: entryID{i, 0}})
	}
	for i := range uint64(100_000) {
		if i%100 != 0 {
			p.remove(entryID{i, 0})
		}
	}
	if p.len != 1000 || len(p.chunks) > 1000/smallChunk*2+1 {
		t.Errorf("%d deliveries are in %d chunks", p.len, len(p.chunks))
	}
}

// IDs are read as Redis does.
func TestParseID(t *testing.T) {
	for _, c := range []struct {
		text string
		form idForm
		want entryID
		ok   bool
	}{
		{"5-7", idForm{}, entryID{5, 7}, true}, {"5", idForm{missing: 9}, entryID{5, 9}, true}, {"5-*", idForm{anySeq: true}, entryID{5, 0}, true}, {"5-*", idForm{}, leastID, false},
		{"-", idForm{special: true}, leastID, true}, {"+", idForm{special: true}, greatestID, true}, {"-", idForm{}, leastID, false}, {"+", idForm{}, leastID, false},
		{"18446744073709551615-18446744073709551615", idForm{}, greatestID, true}, {"18446744073709551616", idForm{}, leastID, false}, {"", idForm{}, leastID, false}, {"1-", idForm{}, leastID, false},
		{"01-+2", idForm{}, entryID{1, 2}, true}, {" 1", idForm{}, entryID{1, 0}, true}, {"1 ", idForm{}, leastID, false}, {"1--05", idForm{}, entryID{1, 1<<64 - 5}, true}, {"1--5", idForm{}, leastID, false},
		{"1\x002", idForm{}, entryID{1, 0}, true}, {strings.Repeat("0", 127) + "1", idForm{}, leastID, false}, {"1-2-3", idForm{}, leastID, false},
	} {
		got, _, err := c.form.parse([]byte(c.text))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%.20q: got %v, %t", c.text, got, err == nil)
		}
	}
}

// The number of nodes of Redis's radix tree follows from the keys.
func TestRadixNodes(t *testing.T) {
	for _, c := range []struct {
		ids  []entryID
		want int
	}{
		{nil, 1}, {[]entryID{{1, 0}}, 2}, {[]entryID{{1, 0}, {2, 0}}, 6}, {[]entryID{{1, 0}, {1, 1}}, 4}, {[]entryID{{1, 0}, {1 << 60, 0}}, 5}, {[]entryID{{1, 0}, {2, 0}, {2, 1}, {1 << 60, 0}}, 11},
	} {
		s := &stream{}
		for _, id := range c.ids {
			s.nodes = append(s.nodes, &node{first: id})
		}
		if got := s.radixNodes(); got != c.want {
			t.Errorf("%v: %d nodes, expected %d", c.ids, got, c.want)
		}
	}
}

// What is not in order is refused.
func TestDecodeRefuses(t *testing.T) {
	limits := keyspace.DefaultThresholds
	s := &stream{}
	for i := range uint64(3) {
		s.add(entryID{i + 1, 0}, textsOf("f", "v"), &limits)
	}
	s.add(entryID{9, 0}, textsOf("g", "v"), &limits)
	g, _ := s.groups.create([]byte("group"), entryID{2, 0}, 2)
	one, _ := g.create([]byte("alice"), 5)
	g.deliver(entryID{1, 0}, one, 5)
	good := s.AppendRDB(nil)[1:]
	decode := func(body []byte) keyspace.Value {
		d := rdb.NewDecoder(body, 0)
		v := decodeStream(rdb.TypeStream2, d, limits)
		if d.Broken() {
			return nil
		}
		return v
	}
	if v := decode(good); v == nil || !bytes.Equal(v.AppendRDB(nil)[1:], good) {
		t.Fatal("a good one is refused, or changed")
	}
	for n := range good {
		if decode(good[:n]) != nil {
			t.Errorf("the first %d bytes of %d are taken", n, len(good))
		}
	}
	changed := func(change func(s *stream)) []byte {
		c := s.Clone().(*stream)
		change(c)
		return c.AppendRDB(nil)[1:]
	}
	for name, body := range map[string][]byte{
		"another length":           changed(func(s *stream) { s.length++ }),
		"a last ID too small":      changed(func(s *stream) { s.last = entryID{3, 0} }),
		"a first ID that is not":   changed(func(s *stream) { s.first = entryID{2, 0} }),
		"too few added":            changed(func(s *stream) { s.added = 3 }),
		"a count of live entries":  changed(func(s *stream) { s.nodes[0].live-- }),
		"a count of deleted ones":  changed(func(s *stream) { s.nodes[0].deleted++ }),
		"nodes in no order":        changed(func(s *stream) { s.nodes = append(s.nodes, s.nodes[0]); s.length = 8 }),
		"an empty node":            changed(func(s *stream) { s.nodes = append(s.nodes, newNode(entryID{10, 0}, textsOf("f", "v"), 0)) }),
		"unknown flags":            changed(func(s *stream) { s.nodes[0].body[s.nodes[0].entries] = 4 }),
		"a wrong length of entry":  changed(func(s *stream) { s.nodes[0].body[len(s.nodes[0].body)-2]++ }),
		"a wrong number of fields": changed(func(s *stream) { s.nodes[0].body[0]++ }),
		"entries in no order":      changed(func(s *stream) { s.nodes[0].body[s.nodes[0].entries+2] = 5 }),
		"groups of one name":       changed(func(s *stream) { s.groups = append(s.groups, s.groups[0]) }),
		"consumers of one name":    changed(func(s *stream) { g := s.groups[0]; g.consumers = append(g.consumers, g.consumers[0]) }),
		"an entry of nobody":       changed(func(s *stream) { s.groups[0].consumers[0].pending = pending{} }),
		"an entry not in the list": changed(func(s *stream) { s.groups[0].pending = pending{} }),
		"a negative number read":   changed(func(s *stream) { s.groups[0].read = -2 }),
	} {
		if decode(body) != nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Whatever is taken for a stream can be read, changed and written again.
func FuzzDecode(f *testing.F) {
	limits := keyspace.Thresholds{StreamEntries: 3}
	s := &stream{}
	for i := range uint64(5) {
		s.add(entryID{i + 1, 0}, textsOf("f", "v", "12", "-70000")[:2+2*(i%2)], &limits)
	}
	s.delete(entryID{2, 0})
	f.Add(s.AppendRDB(nil))
	g, _ := s.groups.create([]byte("group"), entryID{2, 0}, 2)
	one, _ := g.create([]byte("alice"), 5)
	g.deliver(entryID{1, 0}, one, 5)
	f.Add(s.AppendRDB(nil))
	f.Add([]byte("\x0f\x00\x00\x05\x01\x01\x01g\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		d := rdb.NewDecoder(body[1:], 1<<20)
		v := decodeStream(body[0], d, limits)
		if v == nil || d.Broken() {
			return
		}
		s := v.(*stream)
		written := s.AppendRDB(nil)
		again := decodeStream(rdb.TypeStream2, rdb.NewDecoder(written[1:], 0), limits)
		if again == nil || !bytes.Equal(again.AppendRDB(nil), written) {
			t.Fatalf("%q is written as %q", body, written)
		}
		live := 0
		for e := range s.forward(whole, mark{}) {
			live++
			if found, is := s.find(e.id); !is || found != e {
				t.Fatalf("%v is not found", e.id)
			}
			for range e.pairs {
			}
		}
		for range s.backward(whole) {
			live--
		}
		if live != 0 {
			t.Fatal("backwards there are other entries")
		}
		s.radixNodes()
		for _, g := range s.groups {
			g.lag(s)
		}
		if id, _ := s.last.next(); s.last.less(id) {
			s.add(id, textsOf("f", "v"), &limits)
		}
		s.delete(s.first)
		s.findFirst()
		s.trim(&trimming{strategy: toLength, length: s.length / 2})
		for _, g := range s.groups {
			for _, c := range g.consumers {
				g.remove(c)
				break
			}
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
