package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"time"

	"redrpc/bench"
)

// latencyOf has every figure that the samples support.
func latencyOf(s *bench.Samples) bench.Latency {
	us := func(d time.Duration) *float64 {
		v := float64(d) / 1e3
		return &v
	}
	if s.Count == 0 {
		return bench.Latency{}
	}
	l := bench.Latency{Min: us(s.Min), Mean: us(s.Mean()), Max: us(s.Max), CI95: map[string][2]*float64{}}
	for _, q := range []struct {
		key string
		q   float64
		to  **float64
	}{{"p50", 0.5, &l.P50}, {"p90", 0.9, &l.P90}, {"p95", 0.95, &l.P95}, {"p99", 0.99, &l.P99}, {"p999", 0.999, &l.P999}} {
		if s.Count < bench.MinSamples(q.q) {
			continue
		}
		n := float64(s.Count)
		at := func(rank float64) *float64 {
			d, ok := s.Rank(int64(math.Ceil(rank)))
			if !ok {
				return nil
			}
			return us(d)
		}
		*q.to = at(q.q * n)
		half := 1.96 * math.Sqrt(n*q.q*(1-q.q))
		l.CI95[q.key] = [2]*float64{at(max(1, q.q*n-half)), at(q.q*n + half)}
	}
	return l
}

// sample is an open-loop run with something of everything: 20 intervals of 1 s, the
// first two of them warm-up, with a stall of 0.8 s in the middle.
func sample() Report {
	rng := rand.New(rand.NewPCG(7, 7))
	response, service, lag := bench.NewSamples(), bench.NewSamples(), bench.NewSamples()
	phases := []string{"push", "queue", "run", "wake"}
	of := map[string]*bench.Samples{}
	for _, p := range phases {
		of[p] = bench.NewSamples()
	}
	timeouts := bench.NewSamples()
	res := &bench.Result{
		Schema: bench.Schema, StartedAt: time.Date(2026, 11, 24, 20, 15, 0, 0, time.UTC),
		Model: "poisson:500", OpenLoop: true, MaxInFlight: 10_000, Seed: 42, Instances: 1,
		OfferedRate: 500, DurationS: 18,
		Warmup:       bench.Warmup{DurationS: 2, Calls: 1000},
		ErrorsByKind: map[string]int64{"timeout": 3, "remote_error": 2},
		ErrorSamples: map[string]string{"timeout": "no <result>\x1b[2J within 1s from redis://u:hunter2@127.0.0.1", "remote_error": "division by zero"},
		Bottleneck:   "the server's workers: 92 % busy while calls waited in the queue",
		Resources: []bench.Usage{
			{Name: "server workers", Capacity: 4, Utilization: 0.92}, {Name: "redis main thread", Capacity: 1, Utilization: 0.31},
			{Name: "generator", Capacity: 2, Utilization: 0.12},
		},
		Counters: map[string]float64{"rpush calls": 18_004, "lpop calls": 18_010, "used_cpu_user s": 4.2},
		Verdict: bench.Verdict{State: bench.Valid, Checks: []bench.Check{
			{Name: "lag", Result: bench.OK, Text: "p99 of sent - intended was 81µs, at most 1ms is fine"},
			{Name: "littles_law", Result: bench.OK, Text: "in flight was 6.1, rate times response time is 6.0"},
			{Name: "stationary", Result: bench.Warning, Text: "the second half was 4.1 % slower than the first"},
		}},
	}
	for n := range 20 {
		i := bench.Interval{StartS: float64(n), EndS: float64(n + 1), WarmingUp: n < 2, Intended: 500, Sent: 500,
			Errors: map[string]int64{}, Gauges: map[string]float64{"queue depth": float64(rng.IntN(8))}}
		ir, is := bench.NewSamples(), bench.NewSamples()
		for call := range 490 + rng.IntN(21) {
			parts := map[string]time.Duration{
				"push":  time.Duration(60+rng.IntN(60)) * time.Microsecond,
				"queue": time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond)),
				"run":   time.Duration((1 + rng.ExpFloat64()*0.3) * float64(5*time.Millisecond)),
				"wake":  time.Duration(90+rng.IntN(90)) * time.Microsecond,
			}
			if n == 10 && call > 100 { // a stall
				parts["queue"] += time.Duration(500-min(call, 499)) * 2 * time.Millisecond
				i.Gauges["queue depth"] = 300
				i.InFlight = 320
			}
			s, behind := time.Duration(0), time.Duration(rng.ExpFloat64()*float64(20*time.Microsecond))
			for _, d := range parts {
				s += d
			}
			ir.Record(s + behind)
			is.Record(s)
			if i.WarmingUp {
				continue
			}
			response.Record(s + behind)
			service.Record(s)
			lag.Record(behind)
			for p, d := range parts {
				of[p].Record(d)
			}
		}
		i.Calls, i.ResponseSamples, i.ServiceSamples = ir.Count, ir, is
		i.Latency, i.Service = latencyOf(ir), latencyOf(is)
		i.InFlight += int64(2 + rng.IntN(9))
		if n == 10 {
			i.Errors["timeout"] = 3
		}
		if n == 15 {
			i.Errors["remote_error"] = 2
		}
		res.Intervals = append(res.Intervals, i)
	}
	for range 3 {
		timeouts.Record(time.Second)
	}
	res.Calls, res.Errors, res.Dropped = response.Count, 5, 0
	res.Intended = res.Calls + res.Errors
	res.Completed = res.Calls - 4
	res.Throughput = float64(res.Completed) / res.DurationS
	res.Latency, res.Service, res.Lag = latencyOf(response), latencyOf(service), latencyOf(lag)
	censored := bench.NewSamples()
	censored.Add(response)
	censored.Add(timeouts)
	res.TimedOut = &bench.TimedOut{Calls: 3, AtLeast: 1e6, Latency: latencyOf(censored)}
	for _, p := range phases {
		res.Phases = append(res.Phases, bench.Phase{Name: p, Calls: of[p].Count, Latency: latencyOf(of[p])})
	}
	res.Samples = bench.ResultSamples{Response: response, Service: service, Lag: lag, Phases: of,
		Errors: map[string]*bench.Samples{"timeout": timeouts}}
	return Report{
		Settings: Settings{{"broker", "in-process"}, {"transport", "memory"}, {"redis_version", "7.0.15"}, {"function", "sleep"},
			{"payload_bytes", 100}, {"args", json.RawMessage(`{"x":"<&>"}`)}, {"prefix", "redrpc-bench-x"}},
		Environment: &Environment{Redrpc: "v1.2.3", Revision: "0123456789abcdef0123", Modified: true, Go: "go1.26.0", OS: "linux", Arch: "amd64",
			Kernel: "6.1.0", CPU: "Example CPU @ 2.60GHz", Cores: 2, GOMAXPROCS: 2, MemoryBytes: 24 << 30,
			Command: []string{"redrpc", "bench", "--rate", "500", "--redis", "redis://u:hunter2@127.0.0.1"},
			More:    Settings{{"redis_mode", "standalone"}, {"requirepass", "hunter2"}}},
		Result: res,
	}
}

// closed is a closed-loop run, as one of a few calls is.
func closed(calls int) Report {
	s := bench.NewSamples()
	for i := range calls {
		s.Record(time.Duration(i+1) * 10 * time.Microsecond)
	}
	return Report{
		Settings: Settings{{"transport", "memory"}, {"redis_version", "7.0.15"}, {"payload_bytes", 100}, {"args", json.RawMessage(`{"x":"<&>"}`)}},
		Result: &bench.Result{
			Schema: bench.Schema, Model: "closed loop", Callers: 1000, Instances: 1, Calls: int64(calls), Errors: 1,
			ErrorsByKind: map[string]int64{"timeout": 1}, ErrorSamples: map[string]string{"timeout": "no <result>\x1b[2J within 1s"},
			Warmup: bench.Warmup{DurationS: 1, Calls: 1234}, DurationS: 2, Completed: int64(calls) * 20,
			Throughput: float64(calls) * 10, ThroughputMargin: 500, Latency: latencyOf(s), Service: latencyOf(s),
			Samples: bench.ResultSamples{Response: s, Service: s},
		},
	}
}
