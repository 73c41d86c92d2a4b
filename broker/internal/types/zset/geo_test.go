package zset

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Distances are written as C writes them, also those between two numbers of four digits.
func TestAppendDistance(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	distances := []float64{0, 0.00005, 0.00015, 0.99995, 1e-300, 0.03125, 0.09375, 20015114.352186, 4e11, 5e11, 1e300, math.Inf(1)}
	for range 2000 {
		distances = append(distances, math.Pow(10, 12*r.Float64()-4), float64(r.Int64N(1<<40))/(1<<20), float64(r.IntN(1e9))/1e4+0.00005)
	}
	for _, x := range distances {
		if got, want := string(appendDistance(nil, x)), strconv.FormatFloat(x, 'f', 4, 64); got != want {
			t.Errorf("seed %d: %v is written as %s, want %s", seed, x, got, want)
		}
	}
}
