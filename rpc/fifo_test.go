package rpc

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFIFO compares it with a slice.
func TestFIFO(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var q fifo[int]
	var want []int
	for n := range 10_000 {
		switch r.IntN(4) {
		case 0, 1:
			q.push(n, n+1)
			want = append(want, n, n+1)
		case 2:
			k := r.IntN(8)
			got := q.take(nil, k)
			if k = min(k, len(want)); !slices.Equal(got, want[:k]) {
				t.Fatalf("seed %d: took %v, want %v", seed, got, want[:k])
			}
			want = want[k:]
		case 3:
			got, ok := q.next()
			if ok != (len(want) > 0) || ok && got != want[0] {
				t.Fatalf("seed %d: took %v, %v of %v", seed, got, ok, want)
			}
			want = want[min(1, len(want)):]
		}
		if !slices.Equal(q.waiting(), want) {
			t.Fatalf("seed %d: got %v, want %v", seed, q.waiting(), want)
		}
	}
}
