package resp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// An Output holds what was put into it, whatever its pieces are.
func TestOutput(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var o Output
	var want []byte
	for step := range 2000 {
		p := bytes.Repeat([]byte{byte('a' + step%26)}, []int{1, 100, 5000, longString, 3 * PieceSize}[r.IntN(5)])
		switch r.IntN(6) {
		case 0:
			o.Write(p)
			want = append(want, p...)
		case 1:
			value := Bulk(p)
			o.Add(&value, 2, 1)
			want = append(fmt.Appendf(want, "$%d\r\n", len(p)), string(p)+"\r\n"...)
		case 2:
			var other Output
			other.Write(p)
			other.Write(p[1:])
			o.Take(&other)
			want = append(append(want, p...), p[1:]...)
		case 3:
			n := len(want) - r.IntN(len(want)/2+1)
			o.Truncate(n)
			want = want[:n]
		case 4:
			if from := r.IntN(len(want) + 1); len(want) > 0 {
				to := from + r.IntN(len(want)-from+1)
				o.Swap(from, to)
				want = slices.Concat(want[:from], want[to:], want[from:to])
			}
		case 5:
			if o.Len() > 0 {
				p := o.Pop()
				if !bytes.HasPrefix(want, p) {
					t.Fatalf("step %d, seed %d: the first piece is not the first bytes", step, seed)
				}
				want = want[len(p):]
			}
		}
		if o.Len() != len(want) {
			t.Fatalf("step %d, seed %d: %d bytes, want %d", step, seed, o.Len(), len(want))
		}
	}
	var got []byte
	for o.Len() > 0 {
		got = append(got, o.Pop()...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("seed %d: what was left is wrong", seed)
	}
}
