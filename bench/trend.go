package bench

import (
	"math"
	"time"
)

// A trend is the straight line through response times by the times at which the calls
// were intended, by least squares. In an overload of rho times what can be done it
// rises by rho-1 seconds a second, and where calls are slow but wait for nothing, by
// none: a call of the end takes as long as one of the beginning.
//
// It is of all calls that ended, also those that failed.
type trend struct {
	n, x, y, xx, xy, yy float64 // sums, in seconds
}

func (t *trend) record(intended, response time.Duration) {
	x, y := intended.Seconds(), response.Seconds()
	t.n++
	t.x += x
	t.y += y
	t.xx += x * x
	t.xy += x * y
	t.yy += y * y
}

func (t *trend) add(from *trend) {
	t.n += from.n
	t.x += from.x
	t.y += from.y
	t.xx += from.xx
	t.xy += from.xy
	t.yy += from.yy
}

// slope is by how many seconds the response time rises each second, and how many
// standard errors that is above 0. It is 0, 0 where there are too few calls for a line.
func (t *trend) slope() (slope, errors float64) {
	if t.n < 3 {
		return 0, 0
	}
	xx, xy, yy := t.xx-t.x*t.x/t.n, t.xy-t.x*t.y/t.n, t.yy-t.y*t.y/t.n
	if xx <= 0 {
		return 0, 0
	}
	slope = xy / xx
	// What rounding leaves of a perfect fit is not 0.
	rest := max(yy-slope*xy, 1e-12*t.yy)
	if rest == 0 {
		return slope, 0
	}
	return slope, slope / math.Sqrt(rest/(t.n-2)/xx)
}
