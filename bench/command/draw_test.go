package command

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// Frequencies are what the pattern says, within five standard deviations.
func TestKeyPatterns(t *testing.T) {
	const keys, draws = 50, 100_000
	for _, c := range []struct {
		pattern Pattern
		weight  func(k int) float64
	}{
		{Sequential(), func(int) float64 { return 1 }},
		{Uniform(), func(int) float64 { return 1 }},
		{Zipf(0.5), func(k int) float64 { return math.Pow(float64(k+1), -0.5) }},
		{Zipf(0.99), func(k int) float64 { return math.Pow(float64(k+1), -0.99) }},
		{Zipf(1), func(k int) float64 { return 1 / float64(k+1) }},
		{Zipf(3), func(k int) float64 { return math.Pow(float64(k+1), -3) }},
	} {
		choose := newChooser(c.pattern, keys, Size{}, 1)
		counts := make([]int, keys)
		for n := range int64(draws) {
			d := newDraw(1, n)
			counts[choose.key(&d, n, 0, 1)]++
		}
		sum := 0.
		for k := range keys {
			sum += c.weight(k)
		}
		for k, got := range counts {
			p := c.weight(k) / sum
			if want := p * draws; math.Abs(float64(got)-want) > 5*math.Sqrt(draws*p*(1-p)) {
				t.Errorf("%v: key %d came %d times, want about %.0f", c.pattern, k, got, want)
			}
		}
	}
}

func TestOneKey(t *testing.T) {
	for _, p := range []Pattern{Sequential(), Uniform(), Zipf(0.99), Zipf(10)} {
		choose := newChooser(p, 1, Size{}, 1)
		for n := range int64(1000) {
			d := newDraw(3, n)
			if k := choose.key(&d, n, 0, 2); k != 0 {
				t.Fatalf("%v: got key %d of 1", p, k)
			}
		}
	}
}

// A command depends on the seed and its number alone, and its weight says how often it
// comes.
func TestMix(t *testing.T) {
	build := func(seed uint64) *mix {
		m := &mix{seed: seed, chooser: newChooser(Uniform(), 1000, Size{5, 20}, seed)}
		for i, text := range []string{"SET s:__key__ __data__", "GET s:__key__", "DEL x:__key__ y:__key__"} {
			parsed, err := parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.put("p:", []int{1}); err != nil {
				t.Fatal(err)
			}
			m.templates, m.until = append(m.templates, parsed), append(m.until, []int64{6, 9, 10}[i])
		}
		return m
	}
	one, again, other := build(1), build(1), build(2)
	const n = 30_000
	counts := map[string]int{}
	same := 0
	for i := range int64(n) {
		var a, b, c request
		one.encode(&a, i)
		again.encode(&b, i)
		other.encode(&c, i)
		if string(a.encoded) != string(b.encoded) {
			t.Fatalf("command %d: %q and %q", i, a.encoded, b.encoded)
		}
		if string(a.encoded) == string(c.encoded) {
			same++
		}
		counts[strings.Split(string(a.encoded), "\r\n")[2]]++
		if key := string(a.encoded[a.first:a.last]); !strings.HasPrefix(key, "p:") || !strings.Contains(string(a.encoded), fmt.Sprintf("$%d\r\n%s\r\n", len(key), key)) {
			t.Fatalf("got the key %q of %q", key, a.encoded)
		}
	}
	if same > n/100 {
		t.Errorf("%d of %d commands are the same with another seed", same, n)
	}
	for name, share := range map[string]float64{"SET": 0.6, "GET": 0.3, "DEL": 0.1} {
		if got := float64(counts[name]); math.Abs(got-share*n) > 5*math.Sqrt(n*share*(1-share)) {
			t.Errorf("%s came %v times of %d, want a share of %v", name, got, n, share)
		}
	}
}

// In sequence no key is left out, however many places commands have.
func TestSequence(t *testing.T) {
	parsed, err := parse("MSET __key__ a __key__ b __key__ c")
	if err != nil {
		t.Fatal(err)
	}
	m := &mix{templates: []*template{parsed}, until: []int64{1}, chooser: newChooser(Sequential(), 10, Size{}, 1)}
	var all []string
	for n := range int64(4) {
		var r request
		m.encode(&r, n)
		lines := strings.Split(string(r.encoded), "\r\n")
		all = append(all, lines[4], lines[8], lines[12])
	}
	if got := strings.Join(all, ""); got != "012345678901" {
		t.Errorf("got keys %s", got)
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	parsed, err := parse("SET k:__key__ __data__")
	if err != nil {
		t.Fatal(err)
	}
	m := &mix{templates: []*template{parsed, parsed}, until: []int64{1, 2}, chooser: newChooser(Zipf(0.99), 1000, Size{1, 100}, 1)}
	var r request
	n := int64(0)
	if allocs := testing.AllocsPerRun(1000, func() { m.encode(&r, n); n++ }); allocs > 0.1 {
		t.Errorf("a command takes %v allocations", allocs)
	}
}
