package set

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// A set does what a map does, of integers of any width and of texts.
func TestSetAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	integer := func() string {
		limit := []int64{10, math.MaxInt16, math.MaxInt32, math.MaxInt64 / 2}[r.IntN(4)]
		return strconv.FormatInt(2*r.Int64N(limit)-limit+r.Int64N(3), 10)
	}
	for round := range 60 {
		limits := keyspace.Thresholds{SetIntegers: r.IntN(60)}
		s, model := &set{}, map[string]bool{}
		names := []string{"0", "32767", "32768", "-32768", "-32769", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "-9223372036854775808"}
		for range 60 {
			if names = append(names, integer()); round%3 == 0 {
				names = append(names, strings.Repeat("x", r.IntN(200)), "0"+integer())
			}
		}
		largest := 0
		for step := range 400 {
			name := names[r.IntN(len(names))]
			if s.Has([]byte(name)) != model[name] {
				t.Fatalf("seed %d: %q is a member: %t", seed, name, !model[name])
			}
			switch op := r.IntN(8); {
			case op == 0 && len(model) > 1:
				popped := string(s.pop())
				if !model[popped] {
					t.Fatalf("seed %d: %q was popped", seed, popped)
				}
				delete(model, popped)
			case op < 3 && (len(model) > 1 || !model[name]):
				if s.remove([]byte(name)) != model[name] {
					t.Fatalf("seed %d: %q was removed, expected %t", seed, name, model[name])
				}
				delete(model, name)
			default:
				if s.add([]byte(name), &limits) == model[name] {
					t.Fatalf("seed %d: %q was added, new: %t", seed, name, model[name])
				}
				model[name] = true
			}
			largest = max(largest, len(model))
			if step%5 == 0 && len(model) > 0 {
				checkSet(t, s, model)
				checkSet(t, s.Clone().(*set), model)
			}
			if s.table == nil && largest > limits.SetIntegers {
				t.Fatalf("seed %d: %d integers in one piece", seed, largest)
			}
		}
	}
}

func checkSet(t *testing.T, s *set, model map[string]bool) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name := range s.all() {
		if !model[string(name)] {
			t.Fatalf("%q is a member", name)
		}
		n++
	}
	if n != len(model) || s.length() != n {
		t.Fatalf("%d members are listed, %d counted, expected %d", n, s.length(), len(model))
	}
}

func setOfWords(words string, t *keyspace.Thresholds) *set {
	if words == "nil" {
		return nil
	}
	s := &set{}
	for word := range strings.FieldsSeq(words) {
		s.add([]byte(word), t)
	}
	return s
}

func (s *set) sorted() string {
	var names []string
	for name := range s.all() {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Operations on sets give what their definitions say, for random sets.
func TestAlgebra(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	limits := keyspace.DefaultThresholds
	for range 2000 {
		var sets []*set
		for range 1 + r.IntN(5) {
			switch {
			case r.IntN(10) == 0:
				sets = append(sets, nil)
			case r.IntN(10) == 0 && len(sets) > 0:
				sets = append(sets, sets[0])
			default:
				s := &set{}
				for range 1 + r.IntN(10) {
					s.add(fmt.Append(nil, []string{"", "x"}[r.IntN(2)], r.IntN(8)), &limits)
				}
				sets = append(sets, s)
			}
		}
		have := func(s *set, name string) bool { return s != nil && s.Has([]byte(name)) }
		inAll, inAny, inFirst := &set{}, &set{}, &set{}
		for i := range 16 {
			name := []string{"", "x"}[i%2] + strconv.Itoa(i/2)
			without := func(s *set) bool { return !have(s, name) }
			if !slices.ContainsFunc(sets, without) {
				inAll.add([]byte(name), &limits)
			}
			if slices.ContainsFunc(sets, func(s *set) bool { return have(s, name) }) {
				inAny.add([]byte(name), &limits)
			}
			if have(sets[0], name) && !slices.ContainsFunc(sets[1:], func(s *set) bool { return have(s, name) }) {
				inFirst.add([]byte(name), &limits)
			}
		}
		for name, c := range map[string]struct{ got, want *set }{
			"intersection": {intersection(sets, &limits), inAll}, "union": {union(sets, &limits), inAny}, "difference": {difference(sets, &limits), inFirst},
		} {
			if c.got.sorted() != c.want.sorted() {
				t.Fatalf("seed %d: the %s is %s, expected %s", seed, name, c.got.sorted(), c.want.sorted())
			}
		}
	}
}

// An intersection of sets of integers comes in their order, also where its source is larger
// than an intset may be.
func TestOrderOfIntersection(t *testing.T) {
	limits := keyspace.DefaultThresholds
	var names []string
	eachCommon([]*set{setOfWords("5 1 3 100", &limits), setOfWords("100 3 1 x y", &limits)}, func(name []byte) bool {
		names = append(names, string(name))
		return true
	})
	if got := strings.Join(names, " "); got != "1 3 100" {
		t.Errorf("got %s", got)
	}
}

// Members that are drawn are members, different ones if need be.
func TestSample(t *testing.T) {
	for _, words := range []string{"1 2 3 4 5 6 7 8 9 10", "a b c d e f g h i j"} {
		s := setOfWords(words, &keyspace.DefaultThresholds)
		for n := range 10 {
			drawn := map[string]bool{}
			for _, name := range s.sample(n) {
				drawn[string(name)] = true
				if !s.Has(name) {
					t.Errorf("%q is no member", name)
				}
			}
			if len(drawn) != n {
				t.Errorf("%d of %d members are different", len(drawn), n)
			}
		}
		random := s.random()
		first, second := string(random()), ""
		for range 1000 {
			if second = string(random()); second != first {
				break
			}
		}
		if first == second || !s.Has([]byte(first)) || !s.Has([]byte(second)) {
			t.Errorf("%q and %q were drawn", first, second)
		}
	}
}

// What is not in order is refused.
func TestDecode(t *testing.T) {
	ints := func(width, n uint32, packed ...byte) string {
		b := binary.LittleEndian.AppendUint32(nil, width)
		b = binary.LittleEndian.AppendUint32(b, n)
		return string(append(b, packed...))
	}
	piece := func(s string) string { return string(append(rdb.AppendLength(nil, len(s)), s...)) }
	for _, c := range []struct {
		form byte
		body string
		want string // "": it is refused
	}{
		{rdb.TypeSet, "\x02\x01a\xc0\x07", "hashtable 7 a"},
		{rdb.TypeSet, "\x02\xc0\x07\xc0\x05", "intset 5 7"},
		{rdb.TypeSet, "\x05\xc0\x07\xc0\x05\xc0\x01\xc0\x02\xc0\x03", "hashtable 1 2 3 5 7"},
		{rdb.TypeSet, "\x02\x01a\x01a", ""},
		{rdb.TypeSet, "\x02\xc0\x07\xc0\x07", ""},
		{rdb.TypeSet, "\x00", ""},
		{rdb.TypeSet, "\x02\x01a", ""},
		{rdb.TypeSetIntset, piece(ints(2, 2, 1, 0, 2, 0)), "intset 1 2"},
		{rdb.TypeSetIntset, piece(ints(4, 1, 1, 0, 0, 0)), "intset 1"},
		{rdb.TypeSetIntset, piece(ints(8, 1, 1, 0, 0, 0, 0, 0, 0, 0x80)), "intset -9223372036854775807"},
		{rdb.TypeSetIntset, piece(ints(2, 5, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0)), "hashtable 1 2 3 4 5"},
		{rdb.TypeSetIntset, piece(ints(2, 2, 2, 0, 1, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(2, 2, 1, 0, 1, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(2, 3, 1, 0, 2, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(3, 1, 1, 0, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(0, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(2, 0)), ""},
		{rdb.TypeSetIntset, piece(ints(2, 0)[:7]), ""},
	} {
		d := rdb.NewDecoder([]byte(c.body), 0)
		v := decode(c.form, d, keyspace.Thresholds{SetIntegers: 4})
		got := ""
		if s, isSet := v.(*set); isSet && !d.Broken() {
			got = s.Encoding() + " " + s.sorted()
		}
		if got != c.want {
			t.Errorf("form %d, %q: got %q, want %q", c.form, c.body, got, c.want)
		}
	}
}

// An intset keeps the width that it has had, also when it is dumped.
func TestWidth(t *testing.T) {
	s := setOfWords("1 70000 2", &keyspace.DefaultThresholds)
	s.remove([]byte("70000"))
	if got := string(s.AppendRDB(nil)); got != "\x0b\x10\x04\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00" {
		t.Errorf("got %q", got)
	}
}

// Integers are removed in their order without all others being moved, and their memory is given
// back.
func TestRemoveInOrder(t *testing.T) {
	const n = 50_000
	s := &set{}
	for i := range n {
		s.add([]byte(strconv.Itoa(i)), &keyspace.Thresholds{SetIntegers: n})
	}
	for i := range n - 1 {
		if !s.remove([]byte(strconv.Itoa(i))) {
			t.Fatalf("%d is no member", i)
		}
		if left := n - 1 - i; i%1000 == 0 {
			if err := s.Check(); err != nil || s.length() != left || s.Has([]byte(strconv.Itoa(i))) || !s.Has([]byte(strconv.Itoa(i+1))) {
				t.Fatalf("after %d: %v, %d members", i, err, s.length())
			}
			if size := s.Size(); size > 4*4*left+1000 {
				t.Fatalf("%d members take %d bytes", left, size)
			}
		}
	}
}
