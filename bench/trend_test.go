package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// queued sends random calls at a rate to one server with exponential service times, first
// come, first served, whose capacity is 1,000 a second, and judges the window.
func queued(t *testing.T, rate float64, warmup, window time.Duration, seed uint64) *Result {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	r := recording(t, warmup, window)
	var free time.Duration
	for at := range (OpenLoop{Profile: Constant(rate), Arrivals: Poisson}).Times(seed) {
		if at >= warmup+window {
			break
		}
		free = max(free, at) + time.Duration(rng.ExpFloat64()*float64(ms))
		r.recorders[0].record(&call{measured: at >= warmup, intended: at, sent: at, done: free})
	}
	r.collect()
	return r.result(false)
}

// recording is a run that is given its calls.
func recording(t *testing.T, warmup, window time.Duration) *run {
	t.Helper()
	cfg := Config{Call: takes(0), Model: OpenLoop{Profile: Constant(100)}, Warmup: warmup, Duration: window}
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	return newRun(cfg)
}

func TestShortOverloads(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		load        float64
		window      time.Duration
		least, most float64 // share of runs that are diverging
	}{
		{0.9, 2 * s, 0, 0},
		{0.9, 5 * s, 0, 0},
		{1.3, 2 * s, 1, 1},
		{1.3, 5 * s, 1, 1},
		{1.1, 2 * s, 0.8, 1}, // 200 calls more than 2,000, give or take 65
		{1.1, 5 * s, 0.95, 1},
		{1.05, 5 * s, 0.7, 1},
		{1.05, 10 * s, 0.9, 1},
	} {
		const runs = 20 // each the same always
		n := 0.
		for seed := range uint64(runs) {
			res := queued(t, 1000*c.load, s, c.window, seed)
			if res.Verdict.State == Diverging {
				n++
				if res.Latency.P99 != nil {
					t.Error("an overload has percentiles")
				}
			}
		}
		if share := n / runs; share < c.least || share > c.most {
			t.Errorf("load %v for %v: %.3f of the runs are diverging, expected %v to %v", c.load, c.window, share, c.least, c.most)
		}
	}
}

// A window whose last calls end after it is no overload if they were slow or sent late.
func TestBehindButNoOverload(t *testing.T) {
	for _, c := range []struct {
		name     string
		lag      func(at time.Duration) time.Duration
		response func(i int, at time.Duration) time.Duration
		want     State
		check    string
		is       CheckResult
		text     string
	}{
		{"slow", nil, func(int, time.Duration) time.Duration { return 2 * time.Second }, Invalid, "window", Failed, "1,999 more calls were in flight or due"},
		{"a tenth is slow", nil, func(i int, _ time.Duration) time.Duration {
			if i%10 == 0 {
				return 6 * time.Second
			}
			return ms
		}, Valid, "backlog", Warning, "500 more calls"},
		{"fast", nil, func(int, time.Duration) time.Duration { return ms }, Valid, "backlog", OK, "did not grow"},
		{"slower and slower", nil, func(_ int, at time.Duration) time.Duration { return at / 5 }, Diverging, "backlog", Failed, "response times grew by 200ms each second"},
		{"late", func(at time.Duration) time.Duration { return at / 5 }, func(_ int, at time.Duration) time.Duration { return at/5 + ms }, Invalid, "lag", Failed, "calls behind"},
	} {
		r := recording(t, 0, 5*time.Second)
		for i := range 5000 {
			call := call{measured: true, intended: time.Duration(i) * ms}
			call.sent, call.done = call.intended, call.intended+c.response(i, call.intended)
			if c.lag != nil {
				call.sent += c.lag(call.intended)
			}
			r.recorders[0].record(&call)
		}
		r.collect()
		res := r.result(false)
		if got := checkOf(t, res, c.check); res.Verdict.State != c.want || got.Result != c.is || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: %s, %+v; expected %s, %s: %s", c.name, res.Verdict.State, got, c.want, c.is, c.text)
		}
	}
}

// Who never answers is overloaded, too, though no response time can be seen to grow.
func TestCallsThatNeverEndAreDiverging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(1000)}, Call: takes(time.Hour), Duration: 3 * time.Second})
		if got := checkOf(t, res, "backlog"); res.Verdict.State != Diverging || !strings.Contains(got.Text, "3,000 had not ended 5.00s later") {
			t.Errorf("%s: %+v", res.Verdict.State, got)
		}
	})
}

// A run of so many calls waits for the last one, and takes longer than they were offered for.
func TestOverloadByNumberIsDiverging(t *testing.T) {
	for rate, want := range map[float64]State{900: Valid, 1300: Diverging} {
		synctest.Test(t, func(t *testing.T) {
			res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(rate), Arrivals: Poisson}, Call: queue(1000, 1), Calls: 2500, RunOn: true})
			if res.Verdict.State != want {
				t.Errorf("%v calls/s: %+v", rate, res.Verdict)
			}
		})
	}
}

// In real time: a system that does about two thirds of what is offered.
func TestOverloadInRealTime(t *testing.T) {
	var mu sync.Mutex
	res, err := Run(t.Context(), Config{
		Model: OpenLoop{Profile: Constant(3000)}, Duration: 700 * ms, MaxInFlight: 5000,
		Call: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			for began := time.Now(); time.Since(began) < 500*time.Microsecond; {
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// On a machine that is busy the generator may be late, too.
	if res.Verdict.State == Valid {
		t.Errorf("%.0f of %.0f calls/s: %+v", res.Throughput, res.OfferedRate, res.Verdict)
	}
}

func TestTrend(t *testing.T) {
	var up, flat, none trend
	for i := range 1000 {
		at := time.Duration(i) * ms
		half := new(trend)
		half.record(at, 10*ms+at/4)
		up.add(half)
		flat.record(at, time.Duration(i%7)*ms)
		none.record(0, ms)
	}
	if slope, errors := up.slope(); math.Abs(slope-0.25) > 1e-6 || errors < 1000 {
		t.Errorf("a line: %v, %v standard errors; expected 0.25 and many", slope, errors)
	}
	if slope, errors := flat.slope(); math.Abs(errors) > 2 || math.Abs(slope) > 1e-3 {
		t.Errorf("no line: %v, %v standard errors; expected about 0", slope, errors)
	}
	for _, n := range []*trend{&none, {}} {
		if slope, errors := n.slope(); slope != 0 || errors != 0 {
			t.Errorf("%+v: %v, %v; expected 0", n, slope, errors)
		}
	}
}
