package geohash

import "math"

const (
	earthRadius = 6372797.560856 // meters
	mercatorMax = 20037726.37    // half of the square's side, meters

	// radian is the float64 that C has for π/180.
	radian = 0x1.1df46a2529d39p-6
)

// Distance is how far it is from one point to another, in meters.
func Distance(p, q Point) float64 { return lengthOf(haversine(p, q)) }

// haversine is that of the angle between two points, seen from the center of the earth: the square
// of the sine of its half. The conversions keep the processor from rounding once instead of twice.
func haversine(p, q Point) float64 {
	latitude1, latitude2 := p.Latitude*radian, q.Latitude*radian
	u := sin((latitude2 - latitude1) / 2)
	v := sin((float64(q.Longitude*radian) - float64(p.Longitude*radian)) / 2)
	return float64(u*u) + float64(cos(latitude1)*cos(latitude2)*v*v)
}

// lengthOf is the distance of points between which there is an angle.
func lengthOf(haversine float64) float64 { return 2 * earthRadius * asin(math.Sqrt(haversine)) }

// An Area is a circle or a box around a point.
type Area struct {
	Center        Point
	Unit          float64 // of lengths, in meters
	Radius        float64
	Width, Height float64 // of a box
	IsBox         bool
}

// Contains reports whether a point is in the area, and how far it is from the center, in meters.
func (a *Area) Contains(p Point) (distance float64, within bool) {
	c := a.Center
	if a.IsBox {
		if !isNear(p, Point{p.Longitude, c.Latitude}, a.Height*a.Unit/2) || !isNear(p, Point{c.Longitude, p.Latitude}, a.Width*a.Unit/2) {
			return 0, false
		}
		return Distance(c, p), true
	}
	most := a.Radius * a.Unit
	if isFarther(math.Abs(p.Latitude-c.Latitude), most) {
		return 0, false
	}
	h := haversine(c, p)
	if half := most / (2 * earthRadius); half < 1 && h > math.Sin(half)*math.Sin(half)*(1+narrow) {
		return 0, false
	}
	distance = lengthOf(h)
	return distance, distance <= most
}

// isFarther reports whether points are farther from each other than so many meters, as their
// latitudes are. It may say that they are not.
func isFarther(latitudes, most float64) bool { return latitudes*(radian*earthRadius) > most*(1+narrow) }

// isNear reports whether the distance of two points, of which the longitudes or the latitudes are
// equal, is no more than so many meters. Only where that is a narrow thing does it take exact sines
// to tell.
func isNear(p, q Point, most float64) bool {
	latitudes := math.Abs(p.Latitude-q.Latitude) * radian
	longitudes := math.Abs(p.Longitude-q.Longitude) * radian
	length := latitudes * earthRadius
	if longitudes > 0 {
		length = 2 * earthRadius * math.Asin(math.Cos(p.Latitude*radian)*math.Sin(longitudes/2))
	}
	switch {
	case length > most*(1+narrow)+narrow:
		return false
	case length < most*(1-narrow)-narrow:
		return true
	}
	return Distance(p, q) <= most
}

// narrow is more than what distances are inexact by, as a part of them, and in meters.
const narrow = 1e-6

// reach is how far the area goes from its center at most, in meters.
func (a *Area) reach() float64 {
	if a.IsBox {
		w, h := a.Width/2, a.Height/2
		return math.Sqrt(float64(w*w)+float64(h*h)) * a.Unit
	}
	return a.Radius * a.Unit
}

// bounds are the degrees that the area is between. It is widest where it is nearest to the
// equator.
func (a *Area) bounds() bounds {
	width, height := a.Radius*a.Unit, a.Radius*a.Unit
	if a.IsBox {
		width, height = a.Unit*(a.Width/2), a.Unit*(a.Height/2)
	}
	latitude, longitude := a.Center.Latitude, a.Center.Longitude
	north := height / earthRadius / radian
	widest := latitude + north
	if latitude < 0 {
		widest = latitude - north
	}
	east := width / earthRadius / cos(widest*radian) / radian
	return bounds{longitude - east, latitude - north, longitude + east, latitude + north}
}

// steps returns how often the square is to be divided so that the area is in a cell and those
// around it, about.
func (a *Area) steps() uint {
	reach := a.reach()
	if reach == 0 {
		return steps
	}
	n := -1
	for ; reach < mercatorMax; reach *= 2 {
		n++
	}
	if latitude := math.Abs(a.Center.Latitude); latitude > 80 { // cells are narrow there
		n -= 2
	} else if latitude > 66 {
		n--
	}
	return uint(max(1, min(steps, n)))
}

// Scores passes the ranges of numbers in which the points of the area are, in the order in which
// Redis looks them through: that of the center, and those around it. From is in a range, and to
// is not.
func (a *Area) Scores(yield func(from, to float64) bool) {
	area, n := a.bounds(), a.steps()
	center := encode(a.Center, MaxLatitude, n)
	if n > 1 && !center.surrounds(area) {
		n--
		center = encode(a.Center, MaxLatitude, n)
	}
	inner := center.bounds()
	isNeeded := func(east, north int) bool {
		return n < 2 || !(north < 0 && inner.south < area.south || north > 0 && inner.north > area.north ||
			east < 0 && inner.west < area.west || east > 0 && inner.east > area.east)
	}
	last := center
	for i, at := range [...]struct{ east, north int }{{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}} {
		c := center.move(at.east, at.north)
		if !isNeeded(at.east, at.north) || i > 0 && last != center && c == last { // few cells are around the whole earth
			continue
		}
		if !yield(c.scores()) {
			return
		}
		last = c
	}
}

// surrounds reports whether what is within bounds is in a cell and those around it.
func (c cell) surrounds(b bounds) bool {
	return c.move(0, 1).bounds().north >= b.north && c.move(0, -1).bounds().south <= b.south &&
		c.move(1, 0).bounds().east >= b.east && c.move(-1, 0).bounds().west <= b.west
}
