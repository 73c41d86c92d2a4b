package stats

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// queued simulates one server whose calls arrive at random, and returns how far it had
// come every 100 ms.
func queued(rng *rand.Rand, rate float64, service func() float64, length time.Duration) []Load {
	const every = 100 * time.Millisecond
	var series []Load
	var free, arrival float64
	var ends []float64 // of the calls that have not ended
	next, sent, done := every, int64(0), int64(0)
	for {
		arrival += rng.ExpFloat64() / rate
		for ; next.Seconds() <= arrival; next += every {
			for len(ends) > 0 && ends[0] <= next.Seconds() {
				ends = ends[1:]
				done++
			}
			series = append(series, Load{At: next, Intended: sent, Done: done})
			if next >= length {
				return series
			}
		}
		sent++
		free = max(free, arrival) + service()
		ends = append(ends, free)
	}
}

// firstAlarm asks every half second, and returns when a run is called overloaded first.
func firstAlarm(t *testing.T, series []Load) (time.Duration, bool) {
	for i := 20; i <= len(series); i += 5 {
		g, err := Overloaded(series[:i], BacklogRule{})
		if err != nil {
			t.Fatal(err)
		}
		if g.Diverging {
			return series[i-1].At, true
		}
	}
	return 0, false
}

func TestOverloadedQueue(t *testing.T) {
	seed := rand.Uint64()
	for _, c := range []struct {
		capacity, load float64
		runs           int
		most           int           // alarms, of a load below 1
		within         time.Duration // mean of the first alarm, of a load above 1
	}{
		{50, 0.9, 300, 2, 0},
		{1000, 0.9, 300, 2, 0},
		{1000, 0.95, 100, 2, 0},
		{10000, 0.9, 20, 1, 0},
		{1000, 1.1, 100, 0, 8 * time.Second},
		{10000, 1.1, 10, 0, 3 * time.Second},
		{1000, 2, 20, 0, 3 * time.Second},
	} {
		alarms, sum := 0, time.Duration(0)
		for run := range c.runs {
			rng := rand.New(rand.NewPCG(seed, uint64(run)))
			service := func() float64 { return rng.ExpFloat64() / c.capacity }
			series := queued(rng, c.capacity*c.load, service, 30*time.Second)
			if at, ok := firstAlarm(t, series); ok {
				alarms++
				sum += at
			}
		}
		switch {
		case c.load < 1 && alarms > c.most:
			t.Errorf("seed %d: %+v: %d alarms", seed, c, alarms)
		case c.load > 1 && alarms < c.runs:
			t.Errorf("seed %d: %+v: %d alarms only", seed, c, alarms)
		case c.load > 1 && sum/time.Duration(alarms) > c.within:
			t.Errorf("seed %d: %+v: the alarm came after %v", seed, c, sum/time.Duration(alarms))
		}
	}
}

// shaped is a run at 1,000 calls/s whose backlog at t seconds is given.
func shaped(length time.Duration, backlog func(t float64) float64) []Load {
	var series []Load
	for at := time.Duration(0); at <= length; at += 100 * time.Millisecond {
		sent := float64(at.Milliseconds())
		series = append(series, Load{At: at, Intended: int64(sent), Done: int64(max(0, sent-backlog(at.Seconds())+1e-6))})
	}
	return series
}

func TestOverloadedShapes(t *testing.T) {
	for name, c := range map[string]struct {
		backlog func(t float64) float64
		want    bool
		share   float64
	}{
		"constant": {func(float64) float64 { return 50 }, false, 0},
		"a pause of one second in five": {func(t float64) float64 {
			t -= 5 * float64(int(t/5))
			return 10 + max(0, 1000*min(t, 1)-2000*max(0, t-1)) // drained at 3,000/s
		}, false, 0},
		"filling up":             {func(t float64) float64 { return 1000 * min(t, 1) }, false, 0},
		"a growth that is small": {func(t float64) float64 { return 50 + 15*t }, false, 0.015},
		"a growth that matters":  {func(t float64) float64 { return 50 + 100*t }, true, 0.1},
		"nothing ends":           {func(t float64) float64 { return 1000 * t }, true, 1},
		"it broke after 8 s":     {func(t float64) float64 { return 50 + 500*max(0, t-8) }, true, 0.33},
	} {
		series := shaped(12*time.Second, c.backlog)
		_, alarm := firstAlarm(t, series)
		g, err := Overloaded(series, BacklogRule{})
		if err != nil || alarm != c.want || g.Diverging != c.want || g.Share < c.share-0.09 || g.Share > c.share+0.09 {
			t.Errorf("%s: alarm %v, in the end %+v, %v; expected %v, %v", name, alarm, g, err, c.want, c.share)
		}
	}
	filling := shaped(12*time.Second, func(t float64) float64 { return 1000 * min(t, 5) })
	if _, alarm := firstAlarm(t, filling); !alarm {
		t.Error("calls of 5 s are not expected within a MinSpan of 2 s")
	}
	if g, err := Overloaded(filling[:60], BacklogRule{MinSpan: 6 * time.Second}); err != nil || g.Diverging {
		t.Errorf("calls of 5 s: %+v, %v", g, err)
	}
}

func TestOverloadedSeries(t *testing.T) {
	growing := shaped(10*time.Second, func(t float64) float64 { return 100 * t })
	for _, n := range []int{0, 1, 16, 20} {
		if g, err := Overloaded(growing[:n], BacklogRule{}); err != nil || g != (Growth{}) {
			t.Errorf("%d entries: %+v, %v; expected nothing", n, g, err)
		}
	}
	g, err := Overloaded(growing, BacklogRule{})
	if err != nil || !g.Diverging || g.SpanS != 10 || !near(g.PerSecond, 100, 1) || !near(g.Share, 0.1, 0.001) || g.T < 50 {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err := Overloaded(growing, BacklogRule{MinGrowth: 0.2}); err != nil || g.Diverging {
		t.Errorf("with a MinGrowth of 0.2: %+v, %v", g, err)
	}
	for want, c := range map[string]struct {
		series []Load
		rule   BacklogRule
	}{
		"series[1]: expected a later time":             {series: []Load{{At: 1}, {At: 1}}},
		"counts that are not less":                     {series: []Load{{At: 1, Done: 5}, {At: 2, Done: 4}}},
		"BacklogRule.MinSpan: expected more than 0":    {rule: BacklogRule{MinSpan: -1}},
		"BacklogRule.MinGrowth: expected more than 0,": {rule: BacklogRule{MinGrowth: -1}},
	} {
		if _, err := Overloaded(c.series, c.rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}
