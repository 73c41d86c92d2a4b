package geohash

import (
	"math"
	"math/big"
	"sync"
)

// Sine, cosine and arc sine that are correctly rounded but for a few of a million, as those of
// the C library that Redis uses are. Package math is off by a unit in the last place more often,
// which distances that are stored would show.
//
// A number may be a pair: one, and what it lacks.

const (
	piHigh, piLow = 0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53
	spacing       = 64 // angles of the table in a radian
)

// An angle of the table has its sine and cosine as pairs.
type angle struct{ sin, sinLow, cos, cosLow float64 }

// angles are those from 0 to a right one.
var angles = sync.OnceValue(func() *[spacing*2 + 1]angle {
	const bits = 160
	number := func(x float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(x) }
	mul := func(x, y *big.Float) *big.Float { return new(big.Float).Mul(x, y) }
	pair := func(x *big.Float) (high, low float64) {
		high, _ = x.Float64()
		low, _ = new(big.Float).Sub(x, number(high)).Float64()
		return high, low
	}
	// The sine and cosine of one step, by their series.
	stepSin, stepCos, term := number(0), number(1), number(1)
	for n := 1; n < 24; n++ {
		term.Quo(mul(term, number(1.0/spacing)), number(float64(n)))
		sum := stepCos
		if n%2 == 1 {
			sum = stepSin
		}
		if n%4 < 2 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
	}
	sin, cos := number(0), number(1)
	var table [spacing*2 + 1]angle
	for i := range table {
		table[i].sin, table[i].sinLow = pair(sin)
		table[i].cos, table[i].cosLow = pair(cos)
		sin, cos = new(big.Float).Add(mul(sin, stepCos), mul(cos, stepSin)), new(big.Float).Sub(mul(cos, stepCos), mul(sin, stepSin))
	}
	return &table
})

// twoSum is a sum as a pair.
func twoSum(x, y float64) (sum, low float64) {
	sum = x + y
	of := sum - x
	return sum, (x - (sum - of)) + (y - of)
}

// product is a product as a pair.
func product(x, y float64) (high, low float64) {
	high = x * y
	return high, math.FMA(x, y, -high)
}

// series returns sin(r)-r and cos(r)-1 for a small r.
func series(r float64) (sin, cos float64) {
	r2 := r * r
	return r * r2 * (-1.0/6 + r2*(1.0/120+r2*(-1.0/5040))), r2 * (-0.5 + r2*(1.0/24+r2*(-1.0/720+r2*(1.0/40320))))
}

// sinPair is the sine of a pair between 0 and a right angle.
func sinPair(x, low float64) (sin, sinLow float64) {
	i := math.Round(x * spacing)
	a := &angles()[int(i)]
	r := x - i/spacing
	more, less := series(r)
	rise, riseLow := product(a.cos, r)
	sin, sinLow = twoSum(a.sin, rise)
	return twoSum(sin, sinLow+(riseLow+a.sinLow+a.cosLow*r+a.sin*less+a.cos*(more+low)-a.sin*r*low))
}

// sin is the sine of an angle of up to a straight one.
func sin(x float64) float64 {
	y, low := math.Abs(x), 0.0
	if y > piHigh/2 {
		y, low = twoSum(piHigh-y, piLow)
	}
	y, _ = sinPair(y, low)
	return math.Copysign(y, x)
}

// cos is the cosine of an angle. Only up to a right one it is correctly rounded.
func cos(x float64) float64 {
	x = math.Abs(x)
	if !(x <= piHigh/2) {
		return math.Cos(x)
	}
	if x > 1 {
		y, _ := sinPair(twoSum(piHigh/2-x, piLow/2))
		return y
	}
	i := math.Round(x * spacing)
	a := &angles()[int(i)]
	r := x - i/spacing
	more, less := series(r)
	fall, fallLow := product(-a.sin, r)
	cos, low := twoSum(a.cos, fall)
	return cos + (low + (fallLow + a.cosLow - a.sinLow*r + a.cos*less - a.sin*more))
}

// asin is the arc sine of a number from 0 to 1.
func asin(x float64) float64 {
	const steep = 0.9
	if x <= steep {
		y, low := asinPair(x)
		return y + low
	}
	// Near a right angle: by that of half the angle that lacks.
	half := (1 - x) / 2
	z := math.Sqrt(half)
	if z == 0 {
		return piHigh / 2
	}
	zLow := math.FMA(-z, z, half) / (2 * z)
	y, low := asinPair(z)
	low += zLow / math.Sqrt(1-half)
	y, rest := twoSum(piHigh/2, -2*y)
	return y + (rest + (piLow/2 - 2*low))
}

// asinPair improves the arc sine of package math, of a number that is not near 1, by a step of
// Newton's method.
func asinPair(x float64) (y, low float64) {
	y = math.Asin(x)
	s, sLow := sinPair(y, 0)
	return y, ((x - s) - sLow) / math.Sqrt(1-x*x)
}
