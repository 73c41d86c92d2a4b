package lua

import "math"

func (s *State) openMath() {
	library := s.NewLibrary(Library{
		{"abs", mathAbs},
		{"acos", math1(arcCosine)},
		{"asin", math1(arcSine)},
		{"atan2", math2(arcTangent2)},
		{"atan", math1(arcTangent)},
		{"ceil", math1(math.Ceil)},
		{"cosh", math1(hyperbolicCosine)},
		{"cos", math1(cosine)},
		{"deg", math1(func(x float64) float64 { return x / radiansPerDegree })},
		{"exp", math1(exponential)},
		{"floor", math1(math.Floor)},
		{"fmod", math2(remainder)},
		{"frexp", mathFrexp},
		{"ldexp", mathLdexp},
		{"log10", math1(logarithm10)},
		{"log", math1(logarithm)},
		{"max", mathMax},
		{"min", mathMin},
		{"modf", mathModf},
		{"pow", math2(power)},
		{"rad", math1(func(x float64) float64 { return x * radiansPerDegree })},
		{"random", mathRandom},
		{"randomseed", mathRandomSeed},
		{"sinh", math1(hyperbolicSine)},
		{"sin", math1(sine)},
		{"sqrt", math1(math.Sqrt)},
		{"tanh", math1(hyperbolicTangent)},
		{"tan", math1(tangent)},
	})
	library.SetString("pi", Number(math.Pi))
	library.SetString("huge", Number(math.Inf(1)))
	library.SetString("mod", library.GetString("fmod"))
	s.globals.SetString("math", library.Value())
}

const radiansPerDegree = math.Pi / 180

// math1 makes a function of one number. NaN stays what it is, with its sign.
func math1(f func(float64) float64) GoFunction {
	return func(t *Thread) int {
		x := t.CheckNumber(1)
		if !math.IsNaN(x) {
			x = f(x)
		}
		return t.Return(Number(x))
	}
}

func mathAbs(t *Thread) int { return t.Return(Number(math.Abs(t.CheckNumber(1)))) }

func math2(f func(x, y float64) float64) GoFunction {
	return func(t *Thread) int {
		y := t.CheckNumber(2) // before the first one, as in Redis
		return t.Return(Number(f(t.CheckNumber(1), y)))
	}
}

func mathFrexp(t *Thread) int {
	fraction, exponent := math.Frexp(t.CheckNumber(1))
	return t.Return(Number(fraction), Int(exponent))
}

func mathLdexp(t *Thread) int {
	exponent := t.CheckInt(2) // before the first one, as in Redis
	return t.Return(Number(math.Ldexp(t.CheckNumber(1), exponent)))
}

func mathMax(t *Thread) int {
	largest := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if x := t.CheckNumber(i); x > largest {
			largest = x
		}
	}
	return t.Return(Number(largest))
}

func mathMin(t *Thread) int {
	least := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if x := t.CheckNumber(i); x < least {
			least = x
		}
	}
	return t.Return(Number(least))
}

func mathModf(t *Thread) int {
	x := t.CheckNumber(1)
	whole := math.Trunc(x)
	fraction := math.Copysign(0, x)
	if !math.IsInf(x, 0) {
		fraction = math.Copysign(x-whole, x)
	}
	return t.Return(Number(whole), Number(fraction))
}

// random is the generator of math.random: the 48-bit one of Redis, which gives the same
// numbers everywhere. They go on from script to script.
type random struct{ x uint64 }

const randomStart = 0x1234abcd330e

const randomMax = math.MaxInt32

// seed begins anew.
func (r *random) seed(n int32) { r.x = uint64(uint32(n))<<16 | 0x330e }

// next is a number up to randomMax.
func (r *random) next() int64 {
	r.x = (r.x*0x5deece66d + 0xb) & (1<<48 - 1)
	return int64(r.x >> 17)
}

func mathRandom(t *Thread) int {
	r := float64(t.state.random.next()%randomMax) / randomMax
	switch t.NArgs() {
	case 0:
		return t.Return(Number(r))
	case 1:
		high := t.CheckInt(1)
		if high < 1 {
			t.ArgError(1, "interval is empty")
		}
		return t.Return(Number(math.Floor(r*float64(high)) + 1))
	case 2:
		low := t.CheckInt(1)
		high := t.CheckInt(2)
		if low > high {
			t.ArgError(2, "interval is empty")
		}
		width := int32(high - low + 1) // it may overflow, as in Redis
		return t.Return(Number(math.Floor(r*float64(width)) + float64(low)))
	}
	t.Errorf("wrong number of arguments")
	return 0
}

func mathRandomSeed(t *Thread) int {
	t.state.random.seed(int32(t.CheckInt(1)))
	return 0
}
