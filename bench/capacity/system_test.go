package capacity

import (
	"context"
	"math"
	"time"

	"redrpc/bench"
	"redrpc/bench/stats"
)

// A system is simulated: workers behind one line. Its trials take no time, unless told
// to sleep in the fake time of a bubble.
type system struct {
	workers  int
	run      Times
	overhead Times
	random   bool // arrivals
	sleeps   bool
	seed     uint64

	trials int
}

func (s *system) trial(ctx context.Context, rate float64, length time.Duration) (*bench.Result, error) {
	s.trials++
	if s.sleeps {
		timer := time.NewTimer(length)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return &bench.Result{Interrupted: true, Verdict: bench.Verdict{State: bench.Valid}}, nil
		}
	}
	const warmup = 1.0
	whole := warmup + length.Seconds()
	q := queue{rate: rate, constant: !s.random, run: s.run, overhead: s.overhead}
	res := &bench.Result{OpenLoop: true, OfferedRate: rate, DurationS: length.Seconds()}
	response := bench.NewSamples()
	const tenths = 0.1
	sent, done := make([]int64, int(whole/tenths)+1), make([]int64, int(whole/tenths)+1)
	for _, v := range q.visits(s.workers, int(2*rate*whole)+100, s.seed+uint64(s.trials)) {
		if v.at > whole {
			break
		}
		end := v.at + v.response
		sent[int(v.at/tenths)]++
		if end < whole {
			done[int(end/tenths)]++
		}
		if v.at > warmup {
			response.Record(inDuration(v.response))
			res.Calls++
		}
		if end > warmup && end <= whole {
			res.Completed++
		}
	}
	res.Intended = res.Calls
	res.Throughput = float64(res.Completed) / res.DurationS
	res.Latency, res.Samples.Response = *latencies(response), response
	var series []stats.Load
	var l stats.Load
	for i := range sent {
		l.At, l.Intended, l.Done = time.Duration(i+1)*100*time.Millisecond, l.Intended+sent[i], l.Done+done[i]
		if l.At > time.Second && l.At <= time.Second+length {
			series = append(series, l)
		}
	}
	growth, err := stats.Overloaded(series, stats.BacklogRule{})
	if err != nil {
		return nil, err
	}
	res.Verdict.State = bench.Valid
	if growth.Diverging {
		res.Verdict.State = bench.Diverging
	}
	return res, nil
}

// closed is a system that obeys the Universal Scalability Law.
func closed(law stats.USL) Trial {
	return func(_ context.Context, callers float64, length time.Duration) (*bench.Result, error) {
		x := law.At(callers)
		us := 1e6 * callers / x
		return &bench.Result{Callers: int(callers), Calls: int64(x * length.Seconds()), DurationS: length.Seconds(),
			Throughput: x, Latency: bench.Latency{P99: &us, Mean: &us}, Verdict: bench.Verdict{State: bench.Valid}}, nil
	}
}

// result is one whose calls took the times given, in milliseconds.
func result(failed int64, ms ...float64) *bench.Result {
	s := bench.NewSamples()
	for _, v := range ms {
		s.Record(time.Duration(v * float64(time.Millisecond)))
	}
	return &bench.Result{Calls: s.Count, Errors: failed, Intended: s.Count + failed, DurationS: 1, Throughput: float64(s.Count),
		Latency: *latencies(s), Samples: bench.ResultSamples{Response: s}, Verdict: bench.Verdict{State: bench.Valid}}
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }
