package list

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A list does what a slice does, whatever the sizes of its elements and whatever
// is done to it.
func TestListAgainstSlice(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{0, 1, 5, 100, 127, 128, 300, 5000, 20_000}
	element := func() []byte {
		return []byte(strings.Repeat(string(rune('a'+random.IntN(3))), sizes[random.IntN(len(sizes))]))
	}
	for round := range 30 {
		l, model := &list{}, [][]byte(nil)
		for step := range 2000 {
			// Rounds grow and shrink in turn, so that lists of many chunks and of none
			// are both met.
			grow := random.IntN(10) < 5+3*((step/500)%2)
			at := 0
			if len(model) > 0 {
				at = random.IntN(len(model))
			}
			what := ""
			switch op := random.IntN(8); {
			case grow || len(model) == 0:
				v := element()
				switch op {
				case 0, 1, 2:
					what = "push left"
					l.push(left, v)
					model = slices.Insert(model, 0, v)
				case 3:
					if len(model) == 0 {
						continue
					}
					what = "insert before"
					l.insertBefore(l.seek(at), v)
					model = slices.Insert(model, at, v)
				case 4:
					if len(model) == 0 {
						continue
					}
					what = "insert after"
					l.insertAfter(l.seek(at), v)
					model = slices.Insert(model, at+1, v)
				default:
					what = "push right"
					l.push(right, v)
					model = append(model, v)
				}
			case op < 2:
				what = "pop left"
				if got := l.pop(left); !bytes.Equal(got, model[0]) {
					t.Fatalf("popped %d bytes, want %d", len(got), len(model[0]))
				}
				model = model[1:]
			case op < 4:
				what = "pop right"
				last := len(model) - 1
				if got := l.pop(right); !bytes.Equal(got, model[last]) {
					t.Fatalf("popped %d bytes, want %d", len(got), len(model[last]))
				}
				model = model[:last]
			case op == 4:
				what = "set"
				v := element()
				l.set(l.seek(at), v)
				model[at] = v
			case op == 5:
				what = "remove"
				next := l.remove(l.seek(at))
				model = slices.Delete(model, at, at+1)
				if next.valid() != (at < len(model)) || next.valid() && !bytes.Equal(next.value(), model[at]) {
					t.Fatalf("remove returned the wrong place")
				}
			case op == 6:
				what = "drop"
				n := random.IntN(10)
				e := end(random.IntN(2) == 0)
				l.drop(e, n)
				n = min(n, len(model))
				if e == left {
					model = model[n:]
				} else {
					model = model[:len(model)-n]
				}
			default:
				what = "remove equal"
				if random.IntN(20) > 0 { // it would keep lists short
					continue
				}
				v, n := element(), int64(random.IntN(7)-3)
				l.removeEqual(v, n)
				model = removeEqual(model, v, n)
			}
			if step%50 == 0 || len(model) < 3 {
				checkList(t, l, model, fmt.Sprintf("round %d, step %d, %s", round, step, what))
			}
		}
		checkList(t, l, model, "at the end")
	}
}

func removeEqual(model [][]byte, v []byte, n int64) [][]byte {
	limit := n
	if n < 0 {
		limit = -n
		slices.Reverse(model)
	}
	removed := int64(0)
	model = slices.DeleteFunc(model, func(x []byte) bool {
		if bytes.Equal(x, v) && (n == 0 || removed < limit) {
			removed++
			return true
		}
		return false
	})
	if n < 0 {
		slices.Reverse(model)
	}
	return model
}

func checkList(t *testing.T, l *list, model [][]byte, when string) {
	t.Helper()
	if l.length != len(model) {
		t.Fatalf("%s: length %d, want %d", when, l.length, len(model))
	}
	for _, e := range []end{left, right} {
		n := 0
		for i, p := range l.walk(e) {
			if !bytes.Equal(p.value(), model[i]) {
				t.Fatalf("%s: element %d of %d differs", when, i, len(model))
			}
			n++
		}
		if n != len(model) {
			t.Fatalf("%s: walked %d elements, want %d", when, n, len(model))
		}
	}
	for i := range model {
		if i%7 == 0 && !bytes.Equal(l.seek(i).value(), model[i]) {
			t.Fatalf("%s: element %d of %d is found in the wrong place", when, i, len(model))
		}
	}
	for c := l.head; c != nil; c = c.next {
		if c.count == 0 || len(c.buf)-c.lo > 2*chunkSize && c.count > 1 && len(c.buf)-c.lo > c.count*20_010 {
			t.Fatalf("%s: a chunk of %d elements and %d bytes", when, c.count, len(c.buf)-c.lo)
		}
	}
}

// What a list of many small elements costs, beyond the elements.
func TestListMemory(t *testing.T) {
	l := &list{}
	value := bytes.Repeat([]byte("x"), 100)
	const n = 100_000
	for range n {
		l.push(right, value)
	}
	held := 0
	for c := l.head; c != nil; c = c.next {
		held += cap(c.buf) + 64
	}
	if per := float64(held) / n; per > 106 {
		t.Errorf("%.1f bytes per 100-byte element, want at most 106", per)
	}
}

// A list that is walked through does not move its elements with every step,
// however long it is.
func BenchmarkRotate(b *testing.B) {
	value := bytes.Repeat([]byte("x"), 100)
	for _, n := range []int{1, 10, 78, 79, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := &list{}
			for range n {
				l.push(right, value)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.push(right, value)
				l.pop(left)
			}
		})
	}
}
