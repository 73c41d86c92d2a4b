package lua

import (
	"math"
	"math/big"
	"sync"
)

// Functions of numbers to the last bit, which those of Go's package math miss now and
// then, and C's hardly ever. They are computed with twice the bits and rounded once.

// A double is the sum of two numbers, of which the second is at most half of the last bit
// of the first.
type double struct{ hi, lo float64 }

// twoSum is a + b.
func twoSum(a, b float64) double {
	s := a + b
	v := s - a
	return double{s, (a - (s - v)) + (b - v)}
}

// quickSum is a + b for an a that is not less.
func quickSum(a, b float64) double {
	s := a + b
	return double{s, b - (s - a)}
}

// twoProduct is a * b.
func twoProduct(a, b float64) double {
	p := a * b
	return double{p, math.FMA(a, b, -p)}
}

func (x double) plus(y double) double {
	s, t := twoSum(x.hi, y.hi), twoSum(x.lo, y.lo)
	s = quickSum(s.hi, s.lo+t.hi)
	return quickSum(s.hi, s.lo+t.lo)
}

func (x double) minus(y double) double { return x.plus(double{-y.hi, -y.lo}) }

func (x double) times(y double) double {
	p := twoProduct(x.hi, y.hi)
	return quickSum(p.hi, p.lo+(x.hi*y.lo+x.lo*y.hi))
}

func (x double) over(y double) double {
	q := x.hi / y.hi
	r := x.minus(y.times(double{q, 0}))
	q2 := r.hi / y.hi
	r = r.minus(y.times(double{q2, 0}))
	return quickSum(q, q2).plus(double{r.hi / y.hi, 0})
}

var one = double{1, 0}

// Parts of constants, each with the bits that those before it lack. The first one of ln 2
// and those of pi/2 have zeros at the end, so that small multiples are exact.
const (
	ln2First  = 0x1.62e42fee00000p-1
	ln2Second = 0x1.a39ef35793c76p-33
	ln2Third  = math.Ln2 - ln2First - ln2Second

	ln10First  = 0x1.26bb1bbb55516p+1
	ln10Second = math.Ln10 - ln10First

	halfPiFirst  = 0x1.921fb54400000p+0
	halfPiSecond = 0x1.0b4611a600000p-34
	halfPiThird  = 0x1.3198a2e037073p-69
)

// expDouble is e to the power of x, as m times 2 to the power of k.
func expDouble(x double) (m double, k int) {
	n := math.Round(x.hi / math.Ln2)
	r := x.minus(double{n * ln2First, 0}).minus(twoProduct(n, ln2Second)).minus(double{n * ln2Third, 0})
	const halvings = 8
	r.hi, r.lo = math.Ldexp(r.hi, -halvings), math.Ldexp(r.lo, -halvings)
	// The series of e^r - 1, whose square is that of twice r.
	p := one
	for i := 10.0; i > 1; i-- {
		p = one.plus(p.times(r).over(double{i, 0}))
	}
	p = p.times(r)
	for range halvings {
		p = p.plus(p).plus(p.times(p))
	}
	return one.plus(p), int(n)
}

// logDouble is the natural logarithm of a positive number.
func logDouble(x float64) double {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	var l double
	if f := m - 1; math.Abs(f) < 1.0/128 {
		s := double{f, 0}.over(twoSum(2, f))
		square := s.times(s)
		l = double{1.0 / 17, 0}
		for i := 15.0; i > 0; i -= 2 {
			l = one.over(double{i, 0}).plus(l.times(square))
		}
		l = l.times(s).times(double{2, 0})
	} else { // one step of Newton's method
		near := math.Log(m)
		inverse, k := expDouble(double{-near, 0})
		scale := math.Ldexp(m, k)
		rest := inverse.times(double{scale, 0}).minus(one)
		l = double{near, 0}.plus(rest).minus(double{rest.hi * rest.hi / 2, 0})
	}
	n := float64(e)
	return double{n * ln2First, 0}.plus(twoProduct(n, ln2Second)).plus(double{n * ln2Third, 0}).plus(l)
}

// negativeNaN is the result of an operation that has none, as processors of x86 give it.
var negativeNaN = math.Float64frombits(0xfff8000000000000)

// power is a to the power of b.
func power(a, b float64) float64 {
	switch {
	case b == 2:
		return a * a
	case b == 0 || a == 1:
		return 1
	case math.IsNaN(b) || math.IsNaN(a) && math.IsInf(b, 0):
		return a + b
	case math.IsNaN(a):
		if isOdd(b) {
			return math.Abs(a)
		}
		return a
	case a == 0 || math.IsInf(a, 0) || math.IsInf(b, 0):
		return math.Pow(a, b)
	}
	sign := 1.0
	if a < 0 {
		if b != math.Trunc(b) {
			return negativeNaN
		}
		if isOdd(b) {
			sign = -1
		}
		a = -a
	}
	return sign * roundedExp(logDouble(a).times(double{b, 0}))
}

func isOdd(x float64) bool { return math.Abs(math.Mod(x, 2)) == 1 }

func roundedExp(x double) float64 {
	switch {
	case x.hi > 710:
		return math.Inf(1)
	case x.hi < -746:
		return 0
	}
	m, k := expDouble(x)
	return math.Ldexp(m.hi, k)
}

func exponential(x float64) float64 { return roundedExp(double{x, 0}) }

func logarithm(x float64) float64 {
	switch {
	case x < 0:
		return negativeNaN
	case x == 0 || math.IsInf(x, 0):
		return math.Log(x)
	}
	return logDouble(x).hi
}

func logarithm10(x float64) float64 {
	if x <= 0 || math.IsInf(x, 0) {
		return math.Log10(x)
	}
	return logDouble(x).over(double{ln10First, ln10Second}).hi
}

// reduce takes the nearest multiple n of pi/2 off x, which is finite. It returns the rest, and n
// modulo 4.
func reduce(x float64) (rest double, n int) {
	const maxProducts = 1 << 20 // up to which the products below are exact
	if math.Abs(x) > maxProducts {
		return reduceLarge(x)
	}
	k := math.Round(x / (math.Pi / 2))
	return double{x, 0}.minus(double{k * halfPiFirst, 0}).minus(double{k * halfPiSecond, 0}).minus(twoProduct(k, halfPiThird)), int(int64(k) & 3)
}

// largePrecision is how many bits of pi/2 the largest number needs, and more than 128 for the rest.
const largePrecision = 1280

func reduceLarge(x float64) (rest double, n int) {
	number := new(big.Float).SetFloat64(x)
	quotient := new(big.Float).SetPrec(largePrecision).Quo(number, halfPi())
	k, _ := quotient.Add(quotient, big.NewFloat(math.Copysign(0.5, x))).Int(nil)
	multiple := new(big.Float).SetPrec(2 * largePrecision).SetInt(k)
	left := new(big.Float).SetPrec(2*largePrecision).Sub(number, multiple.Mul(multiple, halfPi()))
	rest.hi, _ = left.Float64()
	rest.lo, _ = left.Sub(left, big.NewFloat(rest.hi)).Float64()
	return rest, int(k.And(k, big.NewInt(3)).Int64())
}

// halfPi is pi/2 by Machin's formula.
var halfPi = sync.OnceValue(func() *big.Float {
	const bits = largePrecision + 32
	arcTangentOfInverse := func(x int64) *big.Int {
		power := new(big.Int).Lsh(big.NewInt(1), bits)
		power.Quo(power, big.NewInt(x))
		sum, square := new(big.Int).Set(power), big.NewInt(-x*x)
		for i := int64(3); power.Sign() != 0; i += 2 {
			power.Quo(power, square)
			sum.Add(sum, new(big.Int).Quo(power, big.NewInt(i)))
		}
		return sum
	}
	sum := arcTangentOfInverse(5)
	sum.Sub(sum.Mul(sum, big.NewInt(8)), new(big.Int).Mul(arcTangentOfInverse(239), big.NewInt(2)))
	half := new(big.Float).SetPrec(largePrecision).SetInt(sum)
	return half.SetMantExp(half, -bits)
})

// sineCosine are those of x, which is finite.
func sineCosine(x float64) (sine, cosine double) {
	r, n := reduce(x)
	square := r.times(r)
	s, c := one, one
	for i := 26.0; i > 0; i -= 2 {
		s = one.minus(s.times(square).over(double{i * (i + 1), 0}))
		c = one.minus(c.times(square).over(double{i * (i - 1), 0}))
	}
	s = s.times(r)
	switch negative := func(x double) double { return double{-x.hi, -x.lo} }; n {
	case 1:
		return c, negative(s)
	case 2:
		return negative(s), negative(c)
	case 3:
		return negative(c), s
	}
	return s, c
}

func sine(x float64) float64 {
	switch {
	case math.IsInf(x, 0):
		return negativeNaN
	case math.IsNaN(x) || x == 0:
		return x
	}
	s, _ := sineCosine(x)
	return s.hi
}

func cosine(x float64) float64 {
	switch {
	case math.IsInf(x, 0):
		return negativeNaN
	case math.IsNaN(x):
		return x
	}
	_, c := sineCosine(x)
	return c.hi
}

func tangent(x float64) float64 {
	switch {
	case math.IsInf(x, 0):
		return negativeNaN
	case math.IsNaN(x) || x == 0:
		return x
	}
	s, c := sineCosine(x)
	return s.over(c).hi
}

// The inverse functions begin near the result, and make one step of Newton's method.

func arcTangent(x float64) float64 {
	near := math.Atan(x)
	if x == 0 || math.IsInf(x, 0) || math.Abs(x) > 1e15 || math.Abs(x) < 1e-150 {
		return near
	}
	s, c := sineCosine(near)
	number := double{x, 0}
	step := number.times(c).minus(s).over(c.plus(number.times(s)))
	return double{near, 0}.plus(step).hi
}

func arcTangent2(y, x float64) float64 {
	if math.IsNaN(x) || math.IsNaN(y) {
		return x + y
	}
	near := math.Atan2(y, x)
	if larger := max(math.Abs(x), math.Abs(y)); larger > 1e150 || min(math.Abs(x), math.Abs(y)) < 1e-150 {
		return near
	}
	s, c := sineCosine(near)
	a, b := double{y, 0}, double{x, 0}
	step := a.times(c).minus(b.times(s)).over(b.times(c).plus(a.times(s)))
	return double{near, 0}.plus(step).hi
}

func arcSine(x float64) float64 {
	near := math.Asin(x)
	if x == 0 || math.IsNaN(near) || math.Abs(x) == 1 || math.Abs(x) < 1e-150 {
		return near
	}
	s, c := sineCosine(near)
	return double{near, 0}.plus(double{x, 0}.minus(s).over(c)).hi
}

func arcCosine(x float64) float64 {
	near := math.Acos(x)
	if math.IsNaN(near) || math.Abs(x) == 1 {
		return near
	}
	s, c := sineCosine(near)
	return double{near, 0}.plus(c.minus(double{x, 0}).over(s)).hi
}

// remainder is that of a division, with the sign of x.
func remainder(x, y float64) float64 {
	r := math.Mod(x, y)
	if math.IsNaN(r) {
		return (x * y) / (x * y)
	}
	return r
}

// The hyperbolic functions are computed as C's library does, whose last bit differs from
// that of the exact result more often.

func hyperbolicSine(x float64) float64 {
	a, half := math.Abs(x), math.Copysign(0.5, x)
	switch {
	case a < 1.0/(1<<28):
		return x
	case a < 1:
		t := math.Expm1(a)
		return half * (2*t - t*t/(t+1))
	case a < 22:
		t := math.Expm1(a)
		return half * (t + t/(t+1))
	case a < maxExponent:
		return half * exponential(a)
	}
	w := exponential(a / 2)
	return half * w * w
}

func hyperbolicCosine(x float64) float64 {
	a := math.Abs(x)
	switch {
	case a < math.Ln2/2:
		t := math.Expm1(a)
		w := 1 + t
		return 1 + t*t/(w+w)
	case a < 22:
		t := exponential(a)
		return t/2 + 0.5/t
	case a < maxExponent:
		return exponential(a) / 2
	}
	w := exponential(a / 2)
	return w / 2 * w
}

// maxExponent is what e to the power of can be computed.
const maxExponent = 709.78

func hyperbolicTangent(x float64) float64 {
	a := math.Abs(x)
	var z float64
	switch {
	case a < 1.0/(1<<55):
		return x * (1 + x)
	case a < 1:
		t := math.Expm1(-2 * a)
		z = -t / (t + 2)
	case a < 22:
		z = 1 - 2/(math.Expm1(2*a)+2)
	default:
		z = 1
	}
	return math.Copysign(z, x)
}
