package str

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// What fits into a field, and what becomes of what does not, is compared with
// computing without limits.
func TestBitFieldFit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	near := func(n int64) int64 { return n + random.Int64N(5) - 2 } // it may wrap
	for range 100_000 {
		f := bitField{signed: random.IntN(2) == 0}
		if f.bits = 1 + random.Int64N(63); f.signed {
			f.bits = 1 + random.Int64N(64)
		}
		least, greatest := f.limits()
		n := []int64{near(least), near(greatest), near(0), int64(random.Uint64())}[random.IntN(4)]
		by := int64(0)
		if random.IntN(3) > 0 {
			n = f.wrap(n)
			by = []int64{near(least - n), near(greatest - n), near(0), int64(random.Uint64())}[random.IntN(4)]
		}
		sum := new(big.Int).Add(big.NewInt(n), big.NewInt(by))
		wrapped, saturated := new(big.Int).And(sum, big.NewInt(0).Sub(new(big.Int).Lsh(big.NewInt(1), uint(f.bits)), big.NewInt(1))), int64(0)
		if f.signed && wrapped.Bit(int(f.bits-1)) == 1 {
			wrapped.Sub(wrapped, new(big.Int).Lsh(big.NewInt(1), uint(f.bits)))
		}
		fits := true
		switch {
		case sum.Cmp(big.NewInt(greatest)) > 0, !f.signed && n < 0: // a negative number is taken for a large one
			fits, saturated = false, greatest
		case f.signed && f.bits < 64 && n < 0 && greatest-n < 0: // the difference wraps round, in Redis too
			fits, saturated = false, greatest
		case sum.Cmp(big.NewInt(least)) < 0:
			fits, saturated = false, least
		}
		for o, want := range map[overflow]int64{overflowWrap: wrapped.Int64(), overflowSaturate: saturated} {
			if fits {
				want = sum.Int64()
			}
			if got, ok := f.fit(n, by, o); got != want || !ok {
				t.Fatalf("%+v: %d + %d, overflow %d: got %d, %t, want %d", f, n, by, o, got, ok, want)
			}
		}
		if _, ok := f.fit(n, by, overflowFail); ok != fits {
			t.Fatalf("%+v: %d + %d: fits is %t, want %t", f, n, by, ok, fits)
		}
	}
}

// The ones of any range are counted, and found, as bit by bit.
func TestBitRanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 5_000 {
		p := make([]byte, random.IntN(40))
		for i := range p {
			p[i] = []byte{0, 0xFF, byte(random.Uint32())}[random.IntN(3)]
		}
		r := bitRange{random.Int64N(400) - 50, random.Int64N(400) - 50, true}
		from, to := r.resolve(len(p))
		ones, first := int64(0), [2]int64{to, to}
		for at := to - 1; at >= from; at-- {
			b := bit(p, at)
			ones += int64(b)
			first[b] = at
		}
		if got := countOnes(p, r); got != ones {
			t.Fatalf("%x, %+v: got %d ones, want %d", p, r, got, ones)
		}
		for want, at := range first {
			if got := findBit(p, byte(want), from, to); got != at {
				t.Fatalf("%x, %+v: the first %d is at %d, want %d", p, r, want, got, at)
			}
		}
	}
}
