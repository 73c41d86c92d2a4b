package keyspace

import (
	"math/rand/v2"
	"testing"
)

// TestOrder adds and removes entries, whose hashes are often the same or the greatest,
// and looks after each step whether the slots are sorted.
func TestOrder(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, hash := range []func() uint32{
		r.Uint32,
		func() uint32 { return r.Uint32N(4) },
		func() uint32 { return ^r.Uint32N(4) },
		func() uint32 { return r.Uint32N(64) << 26 },
	} {
		var o order
		var entries []*Entry
		grows := true
		for range 4000 {
			if len(entries) == 0 || len(entries) == 300 {
				grows = len(entries) == 0
			}
			if grows == (r.IntN(4) > 0) {
				e := &Entry{hash: hash()}
				o.add(e)
				entries = append(entries, e)
			} else if len(entries) > 0 {
				i, last := r.IntN(len(entries)), len(entries)-1
				o.remove(entries[i])
				entries[i] = entries[last]
				entries = entries[:last]
			}
			if v := o.check(); v != nil || o.n != len(entries) {
				t.Fatalf("seed %d: %d entries, %d in order: %v", seed, len(entries), o.n, v)
			}
			if o.n > 0 && o.random() == nil {
				t.Fatal("no entry")
			}
		}
	}
}
