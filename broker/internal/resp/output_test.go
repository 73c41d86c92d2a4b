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

// Members with their scores stand in one array in RESP2, and in pairs in RESP3, which are
// nested one deeper.
func TestScored(t *testing.T) {
	parts := [][]byte{[]byte("a"), []byte("1"), []byte("bb"), []byte("inf")}
	for _, c := range []struct {
		protocol, depth int
		want            string
	}{
		{2, 1, "*4\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nbb\r\n$3\r\ninf\r\n"},
		{3, 2, "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$2\r\nbb\r\n,inf\r\n"},
		{2, 0, ""},
		{3, 1, ""},
	} {
		var o Output
		r := Scored(2, slices.Values(parts))
		if fits := o.Add(&r, c.protocol, c.depth); fits != (c.want != "") {
			t.Errorf("protocol %d, depth %d: fits is %t", c.protocol, c.depth, fits)
		} else if fits && string(o.Pop()) != c.want {
			t.Errorf("protocol %d: not %q", c.protocol, c.want)
		}
	}
	r := Scored(2, slices.Values(parts))
	if r.IsDeeper(2) || !r.IsDeeper(1) {
		t.Error("it is two deep")
	}
	var all []string
	for item := range r.All() {
		all = append(all, string(item.Items[0].Bytes)+" "+string(item.Items[1].Bytes))
	}
	if fmt.Sprint(all) != "[a 1 bb inf]" {
		t.Errorf("got %v", all)
	}
}

// Elements that are made when they are encoded, and keys with values, are as deep as arrays of the
// same form.
func TestDepthOfLazyAndKeyed(t *testing.T) {
	lazy := Lazy(2, func(yield func(Reply) bool) {
		_ = yield(Array(One)) && yield(NullArray)
	})
	keyed := Keyed(BulkString("k"), lazy)
	for _, c := range []struct {
		r     *Reply
		want  [2]string // in versions 2 and 3 of the protocol
		depth [2]int
	}{
		{&lazy, [2]string{"*2\r\n*1\r\n:1\r\n*-1\r\n", "*2\r\n*1\r\n:1\r\n_\r\n"}, [2]int{2, 2}},
		{&keyed, [2]string{"*1\r\n*2\r\n$1\r\nk\r\n*2\r\n*1\r\n:1\r\n*-1\r\n", "%1\r\n$1\r\nk\r\n*2\r\n*1\r\n:1\r\n_\r\n"}, [2]int{4, 3}},
	} {
		for i, want := range c.want {
			var o, short Output
			if !o.Add(c.r, 2+i, c.depth[i]) || string(o.First()) != want {
				t.Errorf("version %d: got %q, want %q", 2+i, o.First(), want)
			}
			if short.Add(c.r, 2+i, c.depth[i]-1) {
				t.Errorf("version %d: %q fits into a depth of %d", 2+i, want, c.depth[i]-1)
			}
		}
		if most := c.depth[0]; c.r.IsDeeper(most) || !c.r.IsDeeper(most-1) {
			t.Errorf("%q is not %d deep", c.want[0], most)
		}
	}
}
