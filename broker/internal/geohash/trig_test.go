package geohash

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const exactly = 200 // bits

func exact(x float64) *big.Float { return new(big.Float).SetPrec(exactly).SetFloat64(x) }

// exactSin and exactCos are series that are long enough for angles of up to a straight one.
func exactSin(x *big.Float) *big.Float { return exactSeries(x, new(big.Float).Set(x), 1) }
func exactCos(x *big.Float) *big.Float { return exactSeries(x, exact(1), 0) }

func exactSeries(x, term *big.Float, n int) *big.Float {
	square, sum := new(big.Float).Mul(x, x), new(big.Float).Set(term)
	for ; n < 80; n += 2 {
		term = new(big.Float).Quo(new(big.Float).Mul(term, square), exact(-float64((n+1)*(n+2))))
		sum.Add(sum, term)
	}
	return sum
}

// exactAsin improves what package math says, twice.
func exactAsin(x float64) *big.Float {
	y := exact(math.Asin(x))
	for range 2 {
		rest := new(big.Float).Sub(exact(x), exactSin(y))
		y = new(big.Float).Add(y, rest.Quo(rest, exactCos(y)))
	}
	return y
}

// Sine, cosine and arc sine are correctly rounded.
func TestRounding(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	const tries = 300
	for _, f := range []struct {
		name  string
		most  float64
		got   func(float64) float64
		exact func(float64) *big.Float
	}{
		{"sin", math.Pi, sin, func(x float64) *big.Float { return exactSin(exact(x)) }},
		{"cos", math.Pi / 2, cos, func(x float64) *big.Float { return exactCos(exact(x)) }},
		{"asin", 1, asin, exactAsin},
	} {
		wrong := 0
		for i := range tries {
			x := f.most * r.Float64()
			switch i % 5 {
			case 0:
				x *= math.Pow(10, -10*r.Float64())
			case 1:
				x = f.most * (1 - math.Pow(10, -1-8*r.Float64()))
			}
			want, _ := f.exact(x).Float64()
			if got := f.got(x); got != want {
				wrong++
				if math.Abs(got-want) > 0x1p-52*want {
					t.Errorf("%s(%v) = %v, want %v", f.name, x, got, want)
				}
			}
		}
		if wrong > 3 { // one of 10,000 may be
			t.Errorf("seed %d: %s is not correctly rounded %d times of %d", seed, f.name, wrong, tries)
		}
	}
	for _, f := range []struct{ got, want float64 }{
		{sin(0), 0}, {sin(-1), -math.Sin(1)}, {sin(math.Pi), 0x1.1a62633145c07p-53}, {cos(0), 1}, {cos(-1), math.Cos(1)}, {asin(0), 0}, {asin(1), math.Pi / 2}, {asin(1e-300), 1e-300},
	} {
		if f.got != f.want {
			t.Errorf("got %v, want %v", f.got, f.want)
		}
	}
	if x := cos(math.Inf(1)); !math.IsNaN(x) {
		t.Errorf("got %v", x)
	}
}

func BenchmarkDistance(b *testing.B) {
	p, q := Point{13.361389, 38.115556}, Point{15.087269, 37.502669}
	for b.Loop() {
		Distance(p, q)
	}
}
