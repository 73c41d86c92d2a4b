package geohash

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What Redis says of places.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		at   Point
		hash uint64
		text string
	}{
		{Point{13.361389, 38.115556}, 3479099956230698, "sqc8b49rny0"},
		{Point{15.087269, 37.502669}, 3479447370796909, "sqdtr74hyu0"},
		{Point{0, 0}, 3377699720527872, "s0000000000"},
		{Point{180, MaxLatitude}, 13510798882111488, "bp05b5048p0"},
		{Point{-180, -MaxLatitude}, 0, "00bh0hbj200"},
	} {
		hash := Encode(c.at)
		if hash != c.hash {
			t.Errorf("%v: %d, want %d", c.at, hash, c.hash)
		}
		if text := Text(Decode(hash)); text != c.text {
			t.Errorf("%v: %s, want %s", c.at, text, c.text)
		}
	}
}

// A place is decoded as one that is near, and has the same number.
func TestDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		p := Point{360*r.Float64() - 180, (2*r.Float64() - 1) * MaxLatitude}
		hash := Encode(p)
		q := Decode(hash)
		if math.Abs(p.Longitude-q.Longitude) > 360.0/(1<<26) || math.Abs(p.Latitude-q.Latitude) > 180.0/(1<<26) || Encode(q) != hash {
			t.Errorf("%v became %v", p, q)
		}
		if d := Distance(p, q); d > 1 {
			t.Errorf("%v is %v m from %v", p, d, q)
		}
	}
}

// The cells around an area have all of it, away from the poles and the 180th meridian.
func TestScores(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		a := Area{Center: Point{200*r.Float64() - 100, 100*r.Float64() - 50}, Unit: 1000, Radius: math.Pow(10, 3.2*r.Float64())}
		if r.IntN(2) == 0 {
			a.IsBox, a.Width, a.Height = true, 2*a.Radius, a.Radius*r.Float64()
		}
		b := a.bounds()
		for range 100 {
			p := Point{b.west + r.Float64()*(b.east-b.west), b.south + r.Float64()*(b.north-b.south)}
			_, within := a.Contains(p)
			score, found := float64(Encode(p)), 0
			for from, to := range a.Scores {
				if from <= score && score < to {
					found++
				}
			}
			if found > 1 || within && found == 0 {
				t.Fatalf("seed %d: %v is in %+v: %t; it is in %d cells", seed, p, a, within, found)
			}
		}
	}
}

// What saves exact sines leaves out nothing that is in the area by its distance, nor adds to it.
func TestContains(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	place := func() Point {
		return Decode(Encode(Point{360*r.Float64() - 180, (2*r.Float64() - 1) * MaxLatitude}))
	}
	for i := range 5_000 {
		a := Area{Center: place(), Unit: 1, Radius: math.Pow(10, 8*r.Float64()-1)}
		p := place()
		switch r.IntN(4) {
		case 0:
			p.Latitude = a.Center.Latitude
		case 1:
			p.Longitude = a.Center.Longitude
		}
		distance := Distance(a.Center, p)
		switch r.IntN(3) { // just within, and just not
		case 0:
			a.Radius = distance
		case 1:
			a.Radius = math.Nextafter(distance, 0)
		}
		want := distance <= a.Radius
		if i%2 == 0 {
			a.IsBox, a.Width, a.Height = true, 2*a.Radius, 2*a.Radius
			c := a.Center
			want = Distance(p, Point{c.Longitude, p.Latitude}) <= a.Radius && Distance(p, Point{p.Longitude, c.Latitude}) <= a.Radius
		}
		if got, within := a.Contains(p); within != want || within && got != distance {
			t.Fatalf("seed %d: %v is in %+v: %v %t, want %v %t", seed, p, a, got, within, distance, want)
		}
	}
}
