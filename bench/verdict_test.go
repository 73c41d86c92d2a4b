package bench

import (
	"context"
	"math"
	"runtime"
	"runtime/metrics"
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
		{"few", "samples", "too few calls (100) for some percentiles: p99 needs 299, p99.9 needs 2,995", Warning, Config{Duration: s, Call: takes(10 * ms)}},
		{"enough", "samples", "10,000 calls support", OK, Config{Callers: 100, Duration: s, Call: takes(10 * ms)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res := measure(t, t.Context(), c.cfg)
				if got := checkOf(t, res, c.check); got.Result != c.is || !strings.Contains(got.Text, c.text) {
					t.Errorf("got %+v, expected %s: %s", got, c.is, c.text)
				}
				if res.Verdict.State != Valid {
					t.Errorf("%+v", res.Verdict)
				}
			})
		})
	}
}

// A run in which no call ended says nothing, so it is not valid.
func TestNoCallIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(0.1)}, Warmup: time.Second, Duration: time.Second, Call: takes(time.Millisecond)})
		if want := (Check{"samples", Failed, "no call ended in the measured time"}); res.Calls != 0 || checkOf(t, res, "samples") != want || res.Verdict.State != Invalid {
			t.Errorf("%d calls, verdict %+v", res.Calls, res.Verdict)
		}
	})
}

// A run whose calls were all dropped is invalid for that only, which a search may take for a miss.
func TestAllCallsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(200)}, MaxInFlight: 1, Warmup: 100 * ms, Duration: 300 * ms, Call: takes(2 * time.Second)})
		if v := res.Verdict; res.Dropped != 60 || v.State != Invalid || len(v.Reasons) != 1 || checkOf(t, res, "dropped").Result != Failed {
			t.Errorf("%d calls, %d dropped, verdict %+v", res.Calls, res.Dropped, v)
		}
	})
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
	sentAfter := func(lag time.Duration) *Result {
		var calls []call
		for i := range 1000 {
			at := 6*time.Second + time.Duration(i)*10*ms
			calls = append(calls, call{measured: true, intended: at, sent: at + lag, done: at + lag + 10*ms, phases: []time.Duration{-1}})
		}
		return through(t, 1, calls)[0]
	}
	if r := sentAfter(0); r.Verdict.State != Valid {
		t.Fatal(r.Verdict)
	}
	r := sentAfter(30 * ms)
	if r.Verdict.State != Invalid || !strings.HasPrefix(r.Verdict.Reasons[0], "the generator was late: calls were sent up to 30.0ms after they were intended (p99), which is 75") {
		t.Errorf("%+v", r.Verdict)
	}
}

// histogram is one as the runtime has, of delays of up to 1 us, 1 ms, 1 s and more.
func histogram(counts ...uint64) *metrics.Float64Histogram {
	return &metrics.Float64Histogram{Counts: counts, Buckets: []float64{math.Inf(-1), 1e-6, 1e-3, 1, math.Inf(1)}}
}

func TestBetween(t *testing.T) {
	from := histogram(5, 5, 5, 5)
	for _, c := range []struct {
		to   *metrics.Float64Histogram
		want delays
	}{
		{histogram(5, 5, 5, 5), delays{}},
		{histogram(105, 5, 5, 5), delays{100, time.Microsecond, time.Microsecond, 100 * time.Microsecond}},
		{histogram(104, 6, 5, 5), delays{100, ms, ms, 99*time.Microsecond + ms}},
		{histogram(104, 5, 6, 5), delays{100, time.Second, time.Second, 99*time.Microsecond + time.Second}},
		{histogram(204, 5, 6, 5), delays{200, time.Microsecond, time.Second, 199*time.Microsecond + time.Second}},
		{histogram(5, 5, 5, 6), delays{1, time.Second, time.Second, time.Second}}, // no less than that
		{nil, delays{}},
	} {
		if got := between(from, c.to); got != c.want {
			t.Errorf("%+v: got %+v, expected %+v", c.to, got, c.want)
		}
	}
}

// A process that is busy, paused or waits for a processor spoils the figures of what runs
// elsewhere, and is part of what is measured if that runs here.
func TestVerdictOnTheProcess(t *testing.T) {
	var s Samples
	for range 3000 {
		s.Record(10 * ms)
	}
	all := time.Duration(runtime.NumCPU())
	quiet := meters{read: true, at: time.Second, processors: 2, machine: time.Hour, pauses: histogram(0, 0, 0, 0), schedule: histogram(0, 0, 0, 0)}
	for _, c := range []struct {
		name  string
		after func(*meters)
		check string
		want  CheckResult
		text  string
	}{
		{"quiet", func(m *meters) { m.processor = time.Second }, "cpu", OK, "used 0.10 of 2 processors"},
		{"busy", func(m *meters) { m.processor = 19 * time.Second }, "cpu", Failed, "used 1.90 of 2 processors"},
		{"unknown", func(m *meters) { m.processors = 0 }, "cpu", Unknown, "not known"},
		{"alone on the machine", func(m *meters) { m.machine += 2 * time.Second; m.own += 2 * time.Second }, "machine", OK, "other processes used 0.00 of"},
		{"others", func(m *meters) { m.machine += 10*all*time.Second - 500*ms; m.own += time.Second }, "machine", Warning, "busy in total"},
		{"a hypervisor", func(m *meters) { m.machine += 3 * time.Second; m.stolen += 3 * time.Second }, "machine", OK, "0.30 of it steal time"},
		{"others unknown", func(m *meters) { m.machine = 0 }, "machine", Unknown, "not known"},
		{"no pause", func(*meters) {}, "gc", OK, "did not pause"},
		{"short pauses", func(m *meters) { m.pauses = histogram(10, 200, 0, 0) }, "gc", OK, "up to 1.00ms"},
		{"a long one", func(m *meters) { m.pauses = histogram(0, 0, 1, 0) }, "gc", Failed, "for up to 1.00s"},
		{"pauses unknown", func(m *meters) { m.pauses = nil }, "gc", Unknown, "not known"},
		{"few long waits", func(m *meters) { m.schedule = histogram(10_000, 10, 10, 0) }, "scheduler", OK, "up to 1.00µs (p99)"},
		{"many long waits", func(m *meters) { m.schedule = histogram(10_000, 10, 1000, 0) }, "scheduler", Failed, "up to 1.00s (p99)"},
	} {
		for _, inProcess := range []bool{false, true} {
			r := &run{cfg: Config{InProcess: inProcess}, opened: quiet, closed: quiet}
			r.closed.at += 10 * time.Second
			c.after(&r.closed)
			res := &Result{Calls: s.Count, Samples: ResultSamples{Response: &s}, Latency: figures(&s), Resources: r.usage()}
			r.judge(res)
			want, state := c.want, Valid
			switch {
			case want == Failed && inProcess:
				want = Warning
			case want == Failed:
				state = Invalid
			}
			if got := checkOf(t, res, c.check); got.Result != want || !strings.Contains(got.Text, c.text) || res.Verdict.State != state {
				t.Errorf("%s, in process %v: %+v, %s; expected %s, %s, %s", c.name, inProcess, got, res.Verdict.State, want, c.text, state)
			}
			if busy := c.name == "busy"; busy != strings.HasPrefix(res.Bottleneck, "generator CPU, busy for 95 %") {
				t.Errorf("%s: bottleneck %q", c.name, res.Bottleneck)
			}
		}
	}
}

// Who else keeps the machine busy is a stranger only if all that answers the calls is known.
func TestDisturbed(t *testing.T) {
	all := time.Duration(runtime.NumCPU())
	for _, c := range []struct {
		name                   string
		inProcess, processor   bool
		machine, own, resource time.Duration // in 10 s
		disturbed              bool
	}{
		{"strangers", true, true, 10 * all * time.Second, time.Second, 0, true},
		{"servers may be elsewhere", false, true, 10 * all * time.Second, time.Second, 0, false},
		{"Redis", true, true, 10 * all * time.Second, time.Second, (10*all - 1) * time.Second, false},
		{"a resource that is no processor", true, false, 10 * all * time.Second, time.Second, (10*all - 1) * time.Second, true},
		{"this process", true, true, 10 * all * time.Second, 10*all*time.Second - 500*ms, 0, false},
		{"a processor is free", true, true, 8 * all * time.Second, time.Second, 0, false},
	} {
		r := &run{cfg: Config{InProcess: c.inProcess, Resources: []Resource{{Name: "redis main thread", Capacity: 1, Processor: c.processor}}}}
		r.opened = meters{read: true, at: time.Second, machine: time.Hour, used: []time.Duration{time.Minute}}
		r.closed = meters{read: true, at: 11 * time.Second, machine: time.Hour + c.machine, own: c.own, used: []time.Duration{time.Minute + c.resource}}
		var res Result
		if check := r.checkMachine(&res); (res.Verdict.Disturbance != "") != c.disturbed || check.Result == Failed {
			t.Errorf("%s: %+v, disturbed %q", c.name, check, res.Verdict.Disturbance)
		}
	}
}
