package command

import "math"

// A draw is a stream of random numbers that depends only on a seed and the number of a
// command. A command therefore has the same keys and data on any connection and at any
// time. The generator is SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom
// Number Generators, 2014).
type draw struct{ state uint64 }

const golden = 0x9e3779b97f4a7c15

func newDraw(seed uint64, number int64) draw {
	return draw{scramble(seed + golden ^ scramble(uint64(number)*golden))}
}

func (d *draw) next() uint64 {
	d.state += golden
	return scramble(d.state)
}

func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below is from 0 to n-1. Its bias is less than n/2^53.
func (d *draw) below(n int64) int64 { return int64(d.float() * float64(n)) }

// float is from 0 to below 1.
func (d *draw) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// A zipf draws numbers from 0 to n-1, of which k comes with a probability in proportion to
// 1/(k+1)^s, by rejection-inversion: Hörmann and Derflinger, Rejection-Inversion to
// Generate Variates from Monotone Discrete Distributions (1996). s is above 0, 1 too,
// which that of math/rand does not take.
type zipf struct {
	n, s                float64
	first, last, border float64
}

func newZipf(n int64, s float64) *zipf {
	z := &zipf{n: float64(n), s: s}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.border = 2 - z.inverse(z.integral(2.5)-math.Pow(2, -s))
	return z
}

func (z *zipf) draw(d *draw) int64 {
	for {
		u := z.last + d.float()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.border || u >= z.integral(k+0.5)-math.Pow(k, -z.s) {
			return int64(k) - 1
		}
	}
}

// integral is that of 1/x^s from 1.
func (z *zipf) integral(x float64) float64 {
	log := math.Log(x)
	return expm1Over((1-z.s)*log) * log
}

func (z *zipf) inverse(y float64) float64 {
	t := max(y*(1-z.s), -1)
	return math.Exp(log1pOver(t) * y)
}

// expm1Over is (e^x-1)/x, and log1pOver log(1+x)/x: both are 1 near 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) < 1e-8 {
		return 1 + x/2
	}
	return math.Expm1(x) / x
}

func log1pOver(x float64) float64 {
	if math.Abs(x) < 1e-8 {
		return 1 - x/2
	}
	return math.Log1p(x) / x
}
