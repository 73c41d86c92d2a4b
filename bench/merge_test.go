package bench

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func through(t *testing.T, n int, calls []call) []*Result {
	t.Helper()
	var results []*Result
	for instance := range n {
		cfg := Config{Call: takes(0), Model: OpenLoop{Profile: Constant(100)}, Instance: instance, Instances: n,
			Warmup: 5 * time.Second, Duration: 55 * time.Second, Labels: []string{"get", "set"}, TimeoutKinds: []string{"timeout"}}
		if err := cfg.check(); err != nil {
			t.Fatal(err)
		}
		cfg.Phases, cfg.StartAt = []string{"queue"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		r := newRun(cfg)
		for i, c := range calls {
			if i%n == instance {
				r.recorders[i/n%len(r.recorders)].record(&c)
			}
		}
		r.collect()
		results = append(results, r.result(false))
	}
	return results
}

func TestMergedIsTheWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var calls []call
	for i := range 6000 {
		intended := time.Duration(i) * 10 * ms
		sent := intended + time.Duration(rng.ExpFloat64()*float64(ms))
		c := call{measured: intended >= 5*time.Second, intended: intended, sent: sent, done: sent + time.Duration(rng.ExpFloat64()*float64(20*ms)),
			label:  i % 3 % 2,
			phases: []time.Duration{time.Duration(rng.Int64N(int64(ms))) - 10*time.Microsecond}}
		if rng.IntN(50) == 0 {
			c.kind, c.err = "timeout", errors.New("late")
		}
		calls = append(calls, c)
	}
	whole := through(t, 1, calls)[0]
	var parts []*Result
	for _, p := range through(t, 4, calls) { // as they come from files
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var read Result
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, &read)
	}
	slices.Reverse(parts)
	merged, err := Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	if merged.Instances != 4 || merged.MaxInFlight != 4*whole.MaxInFlight {
		t.Errorf("%d instances, at most %d in flight", merged.Instances, merged.MaxInFlight)
	}
	as := func(r *Result) map[string]any {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"instances", "max_in_flight", "offered_rate", "verdict", "resources", "started_at"} {
			delete(m, key)
		}
		return m
	}
	got, want := as(merged), as(whole)
	for key := range want {
		if !reflect.DeepEqual(got[key], want[key]) {
			t.Errorf("%s is %.300v, expected %.300v", key, got[key], want[key])
		}
	}
	if whole.Calls < 5000 || whole.Errors < 50 || whole.TimedOut.Calls != whole.Errors || whole.Phases[0].Calls < 5000 || whole.Latency.P999 == nil {
		t.Errorf("the whole: %d calls, %d errors, %+v", whole.Calls, whole.Errors, whole.Phases)
	}
	if math.Abs(merged.OfferedRate-whole.OfferedRate) > 1e-9 {
		t.Errorf("offered %v, expected %v", merged.OfferedRate, whole.OfferedRate)
	}
}

// An instance whose share of a low rate is no call does not make the whole invalid.
func TestMergeOfAnInstanceWithoutCalls(t *testing.T) {
	run := func(rate float64) (parts []*Result) {
		for i := range 2 {
			synctest.Test(t, func(t *testing.T) {
				parts = append(parts, measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(rate)}, Instance: i, Instances: 2,
					Warmup: time.Second, Duration: time.Second, Call: takes(time.Millisecond)}))
			})
		}
		return parts
	}
	for rate, want := range map[float64]Verdict{
		1:   {State: Valid, Reasons: []string{}},
		0.1: {State: Invalid, Reasons: []string{"no call ended in the measured time"}},
	} {
		parts := run(rate)
		merged, err := Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if parts[0].Verdict.State == parts[1].Verdict.State && want.State == Valid {
			t.Fatalf("expected an instance without calls, got %+v and %+v", parts[0].Verdict, parts[1].Verdict)
		}
		if v := merged.Verdict; v.State != want.State || !slices.Equal(v.Reasons, want.Reasons) {
			t.Errorf("%g calls a second: got %+v, expected %+v", rate, v, want)
		}
	}
	late := run(1)
	for _, p := range late {
		if p.Calls == 0 {
			p.Verdict.add(Check{"dropped", Failed, "dropped"})
		}
	}
	if merged, err := Merge(late...); err != nil || merged.Verdict.State != Invalid || len(merged.Verdict.Reasons) != 1 || !strings.HasSuffix(merged.Verdict.Reasons[0], ": dropped") {
		t.Errorf("%v, got %+v", err, merged)
	}
}

func TestMergeOfRuns(t *testing.T) {
	var parts []*Result
	var whole *Result
	run := func(instance, instances int, at time.Time) (res *Result) {
		synctest.Test(t, func(t *testing.T) {
			res = measure(t, t.Context(), Config{Model: OpenLoop{Profile: Constant(400), Arrivals: Poisson}, Instance: instance, Instances: instances,
				Warmup: time.Second, Duration: 4 * time.Second, Call: takes(30 * ms),
				Gauges: []Gauge{{"depth", func() float64 { return float64(10 + instance) }}}})
		})
		res.StartedAt = at
		return res
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	whole = run(0, 1, start)
	for i := range 4 {
		parts = append(parts, run(i, 4, start.Add(time.Duration(i)*30*ms))) // clocks that differ a little
	}
	merged, err := Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	if merged.Calls != whole.Calls || merged.Warmup.Calls != whole.Warmup.Calls || math.Abs(merged.DurationS-4.09) > 1e-9 || *merged.Latency.P99 != *whole.Latency.P99 {
		t.Errorf("%d calls, %d in the warm-up, %v s, p99 %v; expected %d, %d, 4.09, %v", merged.Calls, merged.Warmup.Calls, merged.DurationS, *merged.Latency.P99,
			whole.Calls, whole.Warmup.Calls, *whole.Latency.P99)
	}
	if len(merged.Intervals) != len(whole.Intervals) {
		t.Fatalf("%d intervals, expected %d", len(merged.Intervals), len(whole.Intervals))
	}
	for n, i := range merged.Intervals {
		w := whole.Intervals[n]
		if i.Calls != w.Calls || i.Intended != w.Intended || i.ResponseSamples.Count != i.Calls || i.WarmingUp != w.WarmingUp || i.Draining != w.Draining || i.Gauges["depth"] != 13 {
			t.Errorf("interval %d: %d calls of %d, %v %v, %v; expected %d of %d, %v %v", n, i.Calls, i.Intended, i.WarmingUp, i.Draining, i.Gauges, w.Calls, w.Intended, w.WarmingUp, w.Draining)
		}
	}
	parts[2].Verdict = Verdict{State: Invalid, Reasons: []string{"late"}, Checks: []Check{{"lag", Failed, "late"}}}
	if merged, err := Merge(parts...); err != nil || merged.Verdict.State != Invalid || merged.Verdict.Reasons[0] != "instance 2: late" ||
		!slices.Contains(merged.Verdict.Checks, Check{"lag", Failed, "instance 2: late"}) {
		t.Errorf("%v, verdict %+v", err, merged.Verdict)
	}

	refused := func(want string, results ...*Result) {
		t.Helper()
		if _, err := Merge(results...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
	refused("expected results, got none")
	refused("expected all 4 instances, got none of number 2", parts[0], parts[1], parts[3])
	refused("expected all 4 instances, got 3", parts[:3]...)
	lone := *parts[0]
	lone.Instances = 1
	refused("expected instances that share one load, as 0/2 and 1/2, got a whole run", &lone, &lone)
	refused("expected each instance once, got 1 twice", parts[0], parts[1], parts[1], parts[2])
	for _, off := range []time.Duration{500 * ms, -time.Second, 3 * time.Second, time.Hour} {
		later := *parts[3]
		later.StartedAt = start.Add(off)
		refused("expected instances that ran at the same time", parts[0], parts[1], parts[2], &later)
	}
	short := *parts[3]
	short.DurationS, short.Interrupted = 2, true
	refused("expected instances that ran at the same time: of the 4.06s from when the first window opened to when the last one closed all were open for 2.00s", parts[0], parts[1], parts[2], &short)
	other := *parts[1]
	other.Seed = 7
	refused("instances 0 and 1: seed is 0 and 7", parts[0], &other, parts[2], parts[3])
}
