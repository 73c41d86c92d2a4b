package stats

import (
	"math"
	"strings"
	"testing"
)

func TestKnee(t *testing.T) {
	// An M/M/1 queue: 1/(1-x) from 0 to 0.95. The knee is where the scaled slope is 1:
	// 1/(1-x)^2 = (20-1)/0.95.
	var x, y []float64
	for i := range 951 {
		x = append(x, float64(i)/1000)
		y = append(y, 1/(1-x[i]))
	}
	if i, ok, err := Knee(x, y); err != nil || !ok || !near(x[i], 1-math.Sqrt(0.95/19), 0.001) {
		t.Errorf("M/M/1: %v %v %v", i, ok, err)
	}
	for _, c := range []struct {
		name string
		x, y []float64
		at   int
		ok   bool
	}{
		{"a corner", []float64{1, 2, 3, 4, 5}, []float64{10, 10, 10, 20, 30}, 2, true},
		{"a wall", []float64{100, 200, 300, 400}, []float64{5, 6, 7, 500}, 2, true},
		{"a line", []float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, 0, false},
		{"flat", []float64{1, 2, 3, 4}, []float64{7, 7, 7, 7}, 0, false},
		{"concave", []float64{1, 2, 3, 4}, []float64{1, 10, 11, 12}, 0, false},
	} {
		if at, ok, err := Knee(c.x, c.y); err != nil || at != c.at || ok != c.ok {
			t.Errorf("%s: %d %v %v, expected %d %v", c.name, at, ok, err, c.at, c.ok)
		}
	}
	for want, xy := range map[string][2][]float64{
		"expected 3 or more points, got 2 loads and 2 latencies": {{1, 2}, {1, 2}},
		"got 3 loads and 4 latencies":                            {{1, 2, 3}, {1, 2, 3, 4}},
		"x[2]: expected more than 2, got 2":                      {{1, 2, 2}, {1, 2, 3}},
		"y[0]: expected a finite number, got NaN":                {{1, 2, 3}, {math.NaN(), 2, 3}},
	} {
		if _, _, err := Knee(xy[0], xy[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}

func TestLittlesLaw(t *testing.T) {
	for _, c := range []struct {
		inFlight, rate, response, tolerance float64
		difference                          float64
		holds                               bool
	}{
		{20, 1000, 0.020, 0.05, 0, true},
		{20, 1000, 0.0195, 0.05, 0.025, true},
		{10, 1000, 0.020, 0.05, -0.5, false},
		{20, 1000, 0.010, 0.05, 0.5, false},
		{0, 0, 0, 0.05, 0, true},
		{1, 0, 0, 0.05, 1, false},
	} {
		got := LittlesLaw(c.inFlight, c.rate, c.response, c.tolerance)
		if !near(got.Difference, c.difference, 1e-9) || got.Holds != c.holds {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}
