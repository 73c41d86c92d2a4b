package hyperloglog

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// add adds an element, which must go right.
func add(t *testing.T, s Sketch, element string, most int) (added Sketch, changed bool) {
	t.Helper()
	added, changed, valid := s.Add([]byte(element), most)
	if !valid {
		t.Fatalf("%q: the sketch is not in order: %s", element, s.Runs())
	}
	return added, changed
}

// What a sketch has in Redis.
func TestBytes(t *testing.T) {
	s := New()
	for _, c := range []struct{ element, runs string }{
		{"", "Z:5938 v:2,1 Z:10445"},
		{"a", "Z:5938 v:2,1 Z:6772 v:2,1 Z:3672"},
		{"b", "Z:5938 v:2,1 Z:6772 v:2,1 Z:3068 v:1,1 Z:603"},
		{"a", "Z:5938 v:2,1 Z:6772 v:2,1 Z:3068 v:1,1 Z:603"},
	} {
		if s, _ = add(t, s, c.element, 3000); s.Runs() != c.runs {
			t.Errorf("with %q: %s, want %s", c.element, s.Runs(), c.runs)
		}
	}
	if n, valid := s.Count(); n != 3 || !valid {
		t.Errorf("got %d %t, want 3", n, valid)
	}
}

// A dense sketch, a sparse one and the registers of both have the same estimates, which are
// near the truth.
func TestEstimates(t *testing.T) {
	seed := rand.Uint64()
	if err := SelfTest(seed, 3000); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}

// Runs that are joined, split or made dense say the same as the registers that were raised.
func TestRaise(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 50 {
		most := []int{0, 100, 1000, 3000, 20000}[round%5]
		var want Registers
		s := New()
		spread := 1 + r.IntN(registers)
		for range 300 {
			index, value := r.IntN(spread), byte(1+r.IntN(3))
			if r.IntN(2000) == 0 {
				value = sparseValue + 1
			}
			raised, changed, valid := s.raise(index, value, most)
			if s = raised; !valid || changed != (value > want[index]) {
				t.Fatalf("seed %d: register %d, which is %d, raised to %d: %t %t", seed, index, want[index], value, changed, valid)
			}
			want[index] = max(want[index], value)
			if s.IsSparse() && len(s) > max(most, headerSize+2) {
				t.Fatalf("seed %d: a sparse sketch has %d bytes, and may have %d", seed, len(s), most)
			}
		}
		var got Registers
		if !got.Merge(s) || got != want {
			t.Fatalf("seed %d: the registers of %s are wrong", seed, s.Runs())
		}
		n, valid := s.Count()
		d, _ := s.Dense()
		if of, _ := d.Count(); !valid || n != of || n != want.Count() {
			t.Fatalf("seed %d: estimates %d, %d, and %d of the registers", seed, n, of, want.Count())
		}
		if written := want.WriteTo(New(), most); !got.Merge(written) || got != want {
			t.Fatalf("seed %d: the registers that were written are wrong", seed)
		}
	}
}

// Registers with the greatest values make the greatest estimate, as in Redis.
func TestGreatestEstimate(t *testing.T) {
	d, _ := New().Dense()
	for i := range registers {
		d.setRegister(i, rankBits+1)
	}
	if n, _ := d.Count(); n != 1<<63 {
		t.Errorf("got %d", n)
	}
}

// What is not in order is refused, and nothing reads beyond it.
func FuzzSketch(f *testing.F) {
	f.Add([]byte(New()), "a")
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff"), "a")
	f.Add([]byte("HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x88\x40\x05\x41"), "b")
	d, _ := New().Dense()
	f.Add([]byte(d), "c")
	f.Fuzz(func(t *testing.T, b []byte, element string) {
		s := Sketch(b)
		if !s.IsValid() {
			return
		}
		s.Count()
		s.Runs()
		_, isDense := s.Dense()
		var r Registers
		if r.Merge(s) != isDense {
			t.Error("Merge and Dense do not agree")
		}
		for i := range 20 {
			s, _, _ = s.Add(fmt.Appendf(nil, "%s%d", element, i), 3000)
		}
		if isDense {
			if _, valid := s.Dense(); !valid {
				t.Errorf("a sketch in order is not any more: %s", s.Runs())
			}
		}
	})
}
