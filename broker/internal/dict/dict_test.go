package dict

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// A text is an element that is nothing but its key.
type text string

func (t text) Name() string { return string(t) }

// A pair has a value, too, by which one is told from another with the same key.
type pair struct {
	key   string
	value int
}

func (p pair) Name() string { return p.key }

// TestDictAgainstMap does to a Dict and to a map the same, growing and shrinking in turn.
func TestDictAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, most := range []int{3, 300, 5000} {
		var d Dict[pair]
		model := map[string]int{}
		grows := true
		for step := range 8 * most {
			if d.Len() == 0 || d.Len() == most {
				grows = d.Len() == 0
			}
			key := fmt.Sprint("k", r.IntN(2*most))
			_, there := model[key]
			if e := d.Find([]byte(key)); (e != nil) != there || there && e.value != model[key] {
				t.Fatalf("seed %d: %s is %v, expected %d, %t", seed, key, e, model[key], there)
			}
			switch p := r.IntN(8); {
			case p == 0 && d.Len() > 0:
				if e := d.Random(); model[e.key] != e.value {
					t.Fatalf("seed %d: %v is random, expected the value %d", seed, e, model[e.key])
				}
			case p == 1 && d.Len() > 0 && !grows:
				delete(model, d.Pop().key)
			case grows == (p < 6):
				e, found := d.Place([]byte(key))
				if found != there || !found && *e != (pair{}) {
					t.Fatalf("seed %d: %s was placed, found: %t", seed, key, found)
				}
				*e = pair{key, step}
				model[key] = step
			default:
				e, found := d.Remove([]byte(key))
				if found != there || e.value != model[key] {
					t.Fatalf("seed %d: %s was removed as %v, %t", seed, key, e, found)
				}
				delete(model, key)
			}
			if d.Len() != len(model) {
				t.Fatalf("seed %d: %d elements, expected %d", seed, d.Len(), len(model))
			}
			if step%97 == 0 || most == 3 {
				checkAgainst(t, &d, model)
			}
		}
		checkAgainst(t, &d, model)
	}
}

func checkAgainst(t *testing.T, d *Dict[pair], model map[string]int) {
	t.Helper()
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for e := range d.All() {
		if v, there := model[e.key]; !there || v != e.value {
			t.Fatalf("%v is listed, expected %d, %t", e, v, there)
		}
		n++
	}
	if n != len(model) {
		t.Fatalf("%d elements are listed, expected %d", n, len(model))
	}
}

// TestSameHashes adds and removes elements whose hashes are often the same, or the greatest,
// and looks after each step whether the slots are in order.
func TestSameHashes(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, hash := range []func() uint32{
		func() uint32 { return r.Uint32N(4) },
		func() uint32 { return ^r.Uint32N(4) },
		func() uint32 { return r.Uint32N(64) << 26 },
	} {
		var d Dict[text]
		var hashes []uint32
		grows := true
		for range 4000 {
			if len(hashes) == 0 || len(hashes) == 300 {
				grows = len(hashes) == 0
			}
			if h := hash(); grows == (r.IntN(4) > 0) {
				at, _ := d.seek(h, []byte("not there"))
				d.slots[d.insert(at, h)].element = "x"
				hashes = append(hashes, h)
			} else if i := slices.Index(hashes, h); i >= 0 {
				at, found := d.seek(h, []byte("x"))
				if !found {
					t.Fatalf("seed %d: the hash %08x is not found", seed, h)
				}
				d.removeAt(at)
				hashes = slices.Delete(hashes, i, i+1)
			} else if len(hashes) > 0 {
				at, _ := d.seek(hashes[0], []byte("x"))
				d.removeAt(at)
				hashes = hashes[1:]
			}
			if err := d.Check(); err != nil || d.Len() != len(hashes) {
				t.Fatalf("seed %d: %d elements, expected %d: %v", seed, d.Len(), len(hashes), err)
			}
		}
	}
}

// TestScanPassesWhatStays scans while other elements come and go in great numbers, so that
// the table grows and shrinks between the pages.
func TestScanPassesWhatStays(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		var d Dict[text]
		put := func(name string) {
			e, _ := d.Place([]byte(name))
			*e = text(name)
		}
		stays := 1 + r.IntN(200)
		for i := range stays {
			put(fmt.Sprint("stays", i))
		}
		seen := map[text]int{}
		cursor, come := uint64(0), 0
		for page := 0; page == 0 || cursor != 0; page++ {
			passed := 0
			cursor = d.Scan(cursor, 1+r.Int64N(20), func(e text) { seen[e]++; passed++ })
			if passed == 0 && cursor != 0 {
				t.Fatalf("seed %d: an empty page", seed)
			}
			if come < 2000 && r.IntN(2) == 0 {
				for range r.IntN(400) {
					put(fmt.Sprint("comes", come))
					come++
				}
			} else {
				for i := range come {
					if r.IntN(4) > 0 {
						d.Remove(fmt.Append(nil, "comes", i))
					}
				}
			}
		}
		for i := range stays {
			if n := seen[text(fmt.Sprint("stays", i))]; n != 1 {
				t.Errorf("seed %d: stays%d was passed %d times", seed, i, n)
			}
		}
	}
}

// Every element is as likely as the others.
func TestRandomIsEven(t *testing.T) {
	const elements, draws = 50, 100_000
	var d Dict[text]
	for i := range elements {
		e, _ := d.Place(fmt.Append(nil, i))
		*e = text(fmt.Sprint(i))
	}
	drawn := map[text]int{}
	for range draws {
		drawn[d.Random()]++
	}
	deviation := 0.0 // chi squared
	for _, n := range drawn {
		const mean = float64(draws) / elements
		deviation += (float64(n) - mean) * (float64(n) - mean) / mean
	}
	if len(drawn) != elements || deviation > 130 { // one run in 10 million
		t.Errorf("%d elements of %d were drawn, chi squared is %.1f", len(drawn), elements, deviation)
	}
}

// Every set of elements is as likely as the others, and so is every set of integers.
func TestSample(t *testing.T) {
	for _, elements := range []int{4, 9} {
		const draws = 30_000
		var d Dict[text]
		for i := range elements {
			e, _ := d.Place(fmt.Append(nil, i))
			*e = text(fmt.Sprint(i))
		}
		var sampled, chosen = map[string]int{}, map[string]int{}
		for range draws {
			sample := d.Sample(2)
			slices.Sort(sample)
			sampled[fmt.Sprint(sample)]++
			chosen[fmt.Sprint(slices.Collect(Choose(elements, 2)))]++
		}
		sets := elements * (elements - 1) / 2
		for _, drawn := range []map[string]int{sampled, chosen} {
			for set, n := range drawn {
				if mean := draws / sets; n < mean*8/10 || n > mean*12/10 || len(drawn) != sets {
					t.Errorf("%d elements: %s was drawn %d times, one of %d", elements, set, n, len(drawn))
				}
			}
		}
	}
}

// A copy changes alone.
func TestClone(t *testing.T) {
	var d Dict[pair]
	for i := range 100 {
		key := fmt.Sprint(i)
		e, _ := d.Place([]byte(key))
		*e = pair{key, i}
	}
	c := d.Clone()
	d.Remove([]byte("7"))
	if e := c.Find([]byte("7")); e == nil || e.value != 7 || c.Len() != 100 {
		t.Errorf("got %v of %d", e, c.Len())
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// What a Dict takes for each element, besides what that refers to.
func TestMemory(t *testing.T) {
	for _, n := range []int{1000, 10_000, 100_000, 150_000} {
		var d Dict[text]
		for i := range n {
			e, _ := d.Place(fmt.Append(nil, i))
			*e = text(fmt.Sprint(i))
		}
		if per := float64(d.Size()) / float64(n); per < 24*1.25 || per > 24*1.7 {
			t.Errorf("%.1f bytes for each of %d elements", per, n)
		}
		runtime.KeepAlive(&d)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var d Dict[text]
			keys := make([][]byte, n)
			for i := range n {
				keys[i] = fmt.Appendf(nil, "key:%012d", i)
				e, _ := d.Place(keys[i])
				*e = text(keys[i])
			}
			for i := 0; b.Loop(); i++ {
				if d.Find(keys[i%n]) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{10, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			keys := make([][]byte, n)
			for i := range n {
				keys[i] = fmt.Appendf(nil, "key:%012d", i)
			}
			var d Dict[text]
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					d = Dict[text]{}
				}
				e, _ := d.Place(keys[i%n])
				*e = "x"
			}
		})
	}
}

// Hashes of keys that are much alike are spread evenly, over the first bits and the last.
func TestHash(t *testing.T) {
	for _, form := range []string{"%d", "key:%d", "key:%012d", "user:%d:name", "%[1]d%016[1]d", "\x00%c"} {
		const keys, buckets = 1 << 14, 1 << 8
		var first, last [buckets]int
		for i := range keys {
			h := Hash([]byte(fmt.Sprintf(form, i)))
			first[h>>24]++
			last[h%buckets]++
		}
		for _, counts := range [][buckets]int{first, last} {
			deviation := 0.0 // chi squared; its mean is 255, its deviation 23
			for _, n := range counts {
				const mean = float64(keys) / buckets
				deviation += (float64(n) - mean) * (float64(n) - mean) / mean
			}
			if deviation > 400 {
				t.Errorf("%q: chi squared is %.0f", form, deviation)
			}
		}
	}
}
