package zset

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/rdb"
)

// A model is a sorted set as a slice in order.
type model []scored

func (m model) find(member string) int {
	return slices.IndexFunc(m, func(s scored) bool { return string(s.member) == member })
}

func (m model) without(member string) model {
	return slices.DeleteFunc(m, func(s scored) bool { return string(s.member) == member })
}

func (m model) with(member string, score float64) model {
	m = append(m.without(member), scored{[]byte(member), score})
	slices.SortFunc(m, func(x, y scored) int { return compare(x.score, x.member, y.score, y.member) })
	return m
}

func sameMember(x, y scored) bool { return bytes.Equal(x.member, y.member) && x.score == y.score }

// A sorted set does what a slice does, whether it is small or large, and whatever is done to it.
func TestZsetAgainstSlice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	scores := []float64{0, 1, -1, 2, 31, 4096, -5000, 1 << 53, -1 << 53, 1<<53 - 1, 0.1, math.Inf(1), math.Inf(-1), 1e300, 5e-324}
	for round := range 20 {
		s := &zset{}
		var m model
		limits := keyspace.Thresholds{ZSetEntries: []int{0, 20, 100_000}[round%3], ZSetValue: 64}
		for step := range 1500 {
			member := fmt.Sprint(random.IntN(600))
			if random.IntN(50) == 0 && round%3 != 2 {
				member = strings.Repeat("long", random.IntN(100)) + member
			}
			score := float64(random.IntN(100))
			if random.IntN(4) == 0 {
				score = scores[random.IntN(len(scores))]
			}
			what := ""
			shrink := (step/500)%2 == 1
			switch op := random.IntN(11); {
			case op < 6 && !shrink, op < 2, len(m) == 0:
				what = "put"
				s.put([]byte(member), score, &limits)
				m = m.with(member, score)
			case op < 8:
				what = "remove"
				if got, want := s.remove([]byte(member)), m.find(member) >= 0; got != want {
					t.Fatalf("removed %t, want %t", got, want)
				}
				m = m.without(member)
			case op < 9:
				what = "pop"
				n := random.IntN(min(len(m), 5) + 1)
				ends := slices.Clone(m)
				from := end(random.IntN(2) == 0)
				if from == greatest {
					slices.Reverse(ends)
				}
				if got := s.pop(n, from); !slices.EqualFunc(got, ends[:n], sameMember) {
					t.Fatalf("popped %v at %t of %v", got, from, m)
				}
				for _, x := range ends[:n] {
					m = m.without(string(x.member))
				}
			default:
				what = "remove a range"
				from := random.IntN(len(m))
				n := random.IntN(min(len(m)-from, 5) + 1)
				s.removeRange(from, n)
				m = slices.Delete(m, from, from+n)
			}
			if step%25 == 0 || len(m) < 3 {
				checkZset(t, s, m, random, fmt.Sprintf("round %d, step %d, %s", round, step, what))
			}
		}
		checkZset(t, s.Clone().(*zset), m, random, "a clone")
	}
}

func checkZset(t *testing.T, s *zset, m model, random *rand.Rand, when string) {
	t.Helper()
	if s.len() != len(m) {
		t.Fatalf("%s: length %d, want %d", when, s.len(), len(m))
	}
	if len(m) == 0 {
		return
	}
	if err := s.Check(); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	skip := random.IntN(len(m))
	n := random.IntN(len(m) - skip + 1)
	for _, reverse := range []bool{false, true} {
		want := slices.Clone(m)
		if reverse {
			slices.Reverse(want)
		}
		for _, part := range []interval{{0, len(m)}, {skip, n}} {
			got := collected(s.walk(part.skip, part.n, reverse))
			if !slices.EqualFunc(got, want[part.skip:part.skip+part.n], sameMember) {
				t.Fatalf("%s: walked over %v of %v in reverse %t: %v", when, part, m, reverse, got)
			}
		}
	}
	from, to := random.IntN(100), random.IntN(100)
	span := scoreSpan{from: float64(from), to: float64(to), openFrom: from%2 == 0, openTo: to%2 == 0}
	inRange := 0
	for _, x := range m {
		if !span.isBelow(x.score, nil) && span.isNotAbove(x.score, nil) {
			inRange++
		}
	}
	if got := span.in(s, false, 0, -1); got.n != inRange {
		t.Fatalf("%s: %d members from %d to %d, want %d", when, got.n, from, to, inRange)
	}
	body := s.AppendRDB(nil)
	limits := keyspace.Thresholds{ZSetEntries: len(m) * (random.IntN(2)), ZSetValue: 64}
	loaded, isZset := decodeZset(body[0], rdb.NewDecoder(body[1:], 0), limits).(*zset)
	if !isZset || !slices.EqualFunc(collected(loaded.all()), m, sameMember) {
		t.Fatalf("%s: it is loaded as %v", when, loaded)
	}
}

// A tree stays balanced and its pages filled, in whatever order nodes come and go.
func TestTreePages(t *testing.T) {
	const n = 20_000
	for name, order := range map[string]func(i int) int{
		"up":     func(i int) int { return i },
		"down":   func(i int) int { return n - i },
		"random": func(i int) int { return i * 7919 % n },
	} {
		x := newIndex()
		for i := range n {
			x.put([]byte(fmt.Sprint(order(i))), float64(order(i)))
		}
		for _, left := range []int{n, n / 2, n / 10, 1} {
			for x.members.Len() > left {
				node := x.at(order(x.members.Len()) % x.members.Len())
				x.members.Remove(node.bytes())
				x.tree.remove(node)
			}
			depth, err := x.root.check()
			if err != nil {
				t.Fatalf("%s, %d left: %v", name, left, err)
			}
			if pages := x.root.pages(); pages > left*5/pageSize+2 {
				t.Errorf("%s, %d left: %d pages, %d deep", name, left, pages, depth)
			}
		}
	}
}

// A tree stays in order when pages of pages lose what they begin with, get it again and are
// joined.
func TestTreeJoins(t *testing.T) {
	const n = 20_000
	x := newIndex()
	put := func(i int) { x.put(fmt.Appendf(nil, "%06d", i), float64(i)) }
	remove := func(i int) {
		if node, found := x.members.Remove(fmt.Appendf(nil, "%06d", i)); found {
			x.tree.remove(node)
		}
	}
	for i := range n {
		put(i)
	}
	// Whole leaves go, and among them the first of each page of pages.
	for start := 0; start < n; start += 32 {
		for i := start; i < start+32; i++ {
			remove(i)
		}
		put(start)
		if _, err := x.root.check(); err != nil {
			t.Fatalf("after %d: %v", start, err)
		}
	}
	for left := range 3 {
		for i := range n {
			if i%3 == left {
				remove(i)
			}
			if i%100 == 0 {
				if _, err := x.root.check(); err != nil {
					t.Fatalf("round %d, after %d: %v", left, i, err)
				}
			}
		}
	}
}

func (p *page) pages() int {
	n := 1
	for i := range p.children {
		n += p.children[i].page.pages()
	}
	return n
}

// What a member takes, at most 1.3 times of what it takes in redis-server 7.0.15, whose
// used_memory was measured.
func TestZsetMemory(t *testing.T) {
	for _, c := range []struct {
		sets, members, size int
		redis               float64 // bytes
	}{
		{1, 100_000, 10, 112},
		{1, 20_000, 1000, 1131},
		{100, 1000, 10, 110},
		{200, 128, 40, 48.6},
		{200, 100, 10, 16.1},
		{2000, 10, 10, 14}, // and 97 of the key
	} {
		all := make([]*zset, c.sets)
		before := heap()
		for i := range all {
			all[i] = &zset{}
			for j := range c.members {
				n := j * 7919 % c.members
				member := fmt.Appendf(nil, "%0*d", c.size, n)
				all[i].put(member, float64(n), &keyspace.DefaultThresholds)
			}
		}
		n := float64(c.sets * c.members)
		per, said := float64(heap()-before)/n, 0
		for _, s := range all {
			said += s.Size()
		}
		t.Logf("%d sets of %d members of %d bytes: %.1f bytes for each, said to be %.1f, in redis-server %.1f", c.sets, c.members, c.size, per, float64(said)/n, c.redis)
		if per > 1.3*c.redis {
			t.Errorf("%.1f bytes, want at most %.1f", per, 1.3*c.redis)
		}
		if most := float64(said) / n * 1.2; per > most || per*1.2 < float64(said)/n {
			t.Errorf("Size says %.1f bytes, measured %.1f", float64(said)/n, per)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Times are logarithmic in the number of members.
func BenchmarkZset(b *testing.B) {
	for _, n := range []int{1000, 30_000, 1_000_000} {
		s := &zset{}
		names := make([][]byte, n)
		for i := range names {
			names[i] = fmt.Append(nil, "member:", i)
			s.put(names[i], float64(i*7919%n), &keyspace.DefaultThresholds)
		}
		random := rand.New(rand.NewPCG(1, 2))
		put := func() { s.put(names[random.IntN(n)], float64(random.IntN(n)), &keyspace.DefaultThresholds) }
		score := func() { s.score(names[random.IntN(n)]) }
		rank := func() { s.rank(names[random.IntN(n)]) }
		ten := func() {
			from := float64(random.IntN(n))
			i := (&scoreSpan{from: from, to: from + 10}).in(s, false, 0, 10)
			for range s.walk(i.skip, i.n, false) {
			}
		}
		for _, c := range []struct {
			name string
			f    func()
		}{{"put", put}, {"score", score}, {"rank", rank}, {"range of ten", ten}} {
			b.Run(fmt.Sprint(c.name, "/", n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.f()
				}
			})
		}
	}
}

// The first elements of a part that is sorted are those of all, in order, and none is lost.
func TestSortFirst(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		s := make([]int, 1+r.IntN(200))
		for i := range s {
			s[i] = r.IntN(1 + r.IntN(100))
		}
		want := slices.Sorted(slices.Values(s))
		n := 1 + r.IntN(len(s))
		sortFirst(s, n, func(x, y *int) int { return *x - *y })
		if !slices.Equal(s[:n], want[:n]) || !slices.Equal(slices.Sorted(slices.Values(s)), want) {
			t.Fatalf("seed %d: the first %d of %d are %v, want %v", seed, n, len(s), s[:n], want[:n])
		}
	}
}
