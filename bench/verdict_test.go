package bench

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func checkOf(t *testing.T, res *Result, name string) Check {
	t.Helper()
	for _, c := range res.Verdict.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Errorf("no check %s among %+v", name, res.Verdict.Checks)
	return Check{}
}

func TestVerdict(t *testing.T) {
	const s = time.Second
	var slower atomic.Int64
	for _, c := range []struct {
		name, check, text string
		is                CheckResult
		cfg               Config
	}{
		{"fine", "stationary", "did not drift", OK, Config{Model: OpenLoop{Profile: Constant(100)}, Duration: 20 * s, Call: takes(10 * ms)}},
		{"little", "littles_law", "1 calls were in flight on the average, and rate times response time is 1", OK,
			Config{Model: OpenLoop{Profile: Constant(100)}, Warmup: s, Duration: 20 * s, Call: takes(10 * ms)}},
		{"closed little", "littles_law", "7 calls were in flight", OK, Config{Callers: 7, Duration: 20 * s, Call: takes(10 * ms)}},
		{"lag", "lag", "up to 0ns after they were intended (p99)", OK, Config{Model: OpenLoop{Profile: Constant(100)}, Duration: 20 * s, Call: takes(10 * ms)}},
		{"drift", "stationary", "p50 of the response time was drifting up", Warning, Config{Model: OpenLoop{Profile: Constant(100)}, Duration: 20 * s,
			Call: func(ctx context.Context) error {
				return takes(time.Duration(slower.Add(1)) * 10 * time.Microsecond)(ctx)
			}}},
		{"a ramp", "stationary", "the load changes over time", Unknown, Config{Model: OpenLoop{Profile: Ramp(10, 100, s)}, Duration: 20 * s, Call: takes(ms)}},
		{"short", "stationary", "too few to say", Unknown, Config{Duration: 3 * s, Call: takes(10 * ms)}},
		{"few", "samples", "100 calls are too few for some percentiles: p99 needs 299, p99.9 needs 2,995", Warning, Config{Duration: s, Call: takes(10 * ms)}},
		{"enough", "samples", "10,000 calls support", OK, Config{Callers: 100, Duration: s, Call: takes(10 * ms)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res := measure(t, t.Context(), c.cfg)
				if got := checkOf(t, res, c.check); got.Is != c.is || !strings.Contains(got.Text, c.text) {
					t.Errorf("got %+v, expected %s: %s", got, c.is, c.text)
				}
				if res.Verdict.State != Valid {
					t.Errorf("%+v", res.Verdict)
				}
			})
		})
	}
}

func TestDelays(t *testing.T) {
	for _, c := range []struct {
		delay, response time.Duration
		want            CheckResult
	}{
		{200 * time.Microsecond, 250 * time.Microsecond, OK}, // as good as it gets
		{900 * time.Microsecond, ms, Warning},
		{1100 * time.Microsecond, 1200 * time.Microsecond, Failed},
		{900 * time.Microsecond, 10 * ms, OK},
		{4 * ms, 10 * ms, Warning},
		{6 * ms, 10 * ms, Failed},
	} {
		var s Samples
		for range 300 {
			s.Record(c.response)
		}
		res := &Result{Latency: figures(&s)}
		if got, text := res.delayed(c.delay); got != c.want {
			t.Errorf("%v of %v is %s (%s), expected %s", c.delay, c.response, got, text, c.want)
		}
	}
	if got, _ := (&Result{}).delayed(ms); got != Unknown {
		t.Errorf("without a call: %s", got)
	}
}

func TestLateGeneratorIsInvalid(t *testing.T) {
	r := through(t, 1, []call{})[0]
	if r.Verdict.State != Valid {
		t.Fatal(r.Verdict)
	}
	var calls []call
	for i := range 1000 {
		at := 6*time.Second + time.Duration(i)*10*ms
		calls = append(calls, call{measured: true, intended: at, sent: at + 30*ms, done: at + 40*ms, phases: []time.Duration{-1}})
	}
	r = through(t, 1, calls)[0]
	if r.Verdict.State != Invalid || !strings.HasPrefix(r.Verdict.Reasons[0], "the generator was late: calls were sent up to 30.0ms after they were intended (p99), which is 75") {
		t.Errorf("%+v", r.Verdict)
	}
}
