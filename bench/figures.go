package bench

import (
	"math"
	"time"
)

// Unfinished is the kind of error of a call that was still in flight when the run
// stopped waiting. Whether it would have succeeded is unknown.
const Unfinished = "unfinished"

// A Result is what a run measured. Its JSON names are stable.
//
// A call belongs to the period in which it was sent. Those sent during the
// warm-up are only in Warmup, even if they ended later. Each of those sent in
// the measured window, which begins when the warm-up ends, is counted once: in
// Calls, or in Errors. Only Completed, and so Throughput, is by when calls ended.
type Result struct {
	Model   string `json:"model"`
	Callers int    `json:"callers"`

	Calls        int64             `json:"calls"`          // answered with success
	Errors       int64             `json:"errors"`         // failed or unfinished
	ErrorsByKind map[string]int64  `json:"errors_by_kind"` // adds up to Errors
	ErrorSamples map[string]string `json:"error_samples"`  // one message of each kind

	// DurationS is the length of the measured window. With Config.Duration it is
	// that, or less if the run was interrupted, and leaves out the waiting for
	// the last calls; with Config.Calls it ends when the last call does.
	DurationS float64 `json:"duration_s"`

	// Completed is how many calls were answered with success while the measured
	// window was open, those sent before it too, and not those that ended after
	// it. With Config.Calls, if the run was not interrupted, it is Calls.
	Completed int64 `json:"completed"`

	// Throughput is Completed/DurationS, in calls per second, and 0 if the window
	// never opened. What is in flight when the window opens makes up for what is
	// in flight when it closes, so in a steady closed loop this is the rate
	// whatever the calls' latency. Without a warm-up it includes the start, when
	// nothing is about to end.
	Throughput float64 `json:"throughput"`

	// ThroughputMargin is about how far Throughput can be from the rate of a long
	// run, as the window cuts one call of each caller: Callers/DurationS, in calls
	// per second. It is 0 with Config.Calls, which cuts none, and if the window
	// never opened.
	ThroughputMargin float64 `json:"throughput_margin"`

	Latency Latency `json:"latency_us"` // of Calls alone, never of Errors

	// Unrecorded counts the calls that took more than an hour. The percentiles
	// that they would decide are null; Max and Mean include them.
	Unrecorded int64 `json:"unrecorded"`

	Warmup      Warmup `json:"warmup"`
	Interrupted bool   `json:"interrupted"` // the context ended the run early
}

// Warmup is what is known of the calls sent before the measured window. Calls
// and Errors count as in Result; an interrupted run leaves some without an end.
type Warmup struct {
	DurationS float64 `json:"duration_s"`
	Calls     int64   `json:"calls"`
	Errors    int64   `json:"errors"`
}

// Latency is the time from a call's sending to its end, in microseconds, over the
// calls that succeeded. A figure is nil (null in JSON) if there was no such call,
// or if they are fewer than MinSamples of its quantile.
//
// Min, Mean and Max are exact. A percentile p of n calls is the one of rank
// ceil(p*n/100) in order of latency, less than 0.1 % too high.
type Latency struct {
	Min  *float64 `json:"min"`
	Mean *float64 `json:"mean"`
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	P95  *float64 `json:"p95"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p999"`
	Max  *float64 `json:"max"`
}

// MinSamples returns how many samples it takes until their maximum is, with a
// confidence of 95 %, not below the quantile q of what they were drawn from,
// 0 < q < 1. All n are below it with probability q^n, hence ln(0.05)/ln(q): 299
// for 0.99, 2,995 for 0.999. With fewer there is no upper bound for the quantile
// among the samples.
func MinSamples(q float64) int64 {
	return int64(math.Ceil(math.Log(0.05) / math.Log(q)))
}

// latency reads the figures off the calls that succeeded.
func (t *tally) latency() Latency {
	if t.calls == 0 {
		return Latency{}
	}
	return Latency{
		Min:  microseconds(t.min),
		Mean: microseconds(t.sum / time.Duration(t.calls)),
		P50:  t.quantile(500),
		P90:  t.quantile(900),
		P95:  t.quantile(950),
		P99:  t.quantile(990),
		P999: t.quantile(999),
		Max:  microseconds(t.max),
	}
}

// quantile takes q in thousandths, so that the rank is exact.
func (t *tally) quantile(q int64) *float64 {
	if t.calls < MinSamples(float64(q)/1000) {
		return nil
	}
	rank := (t.calls*q + 999) / 1000
	recorded := t.latencies.TotalCount()
	if rank > recorded {
		return nil
	}
	// The histogram rounds percentile*count to the nearest rank: this is ours.
	v := t.latencies.ValueAtPercentile(100 * float64(rank) / float64(recorded))
	return microseconds(min(max(time.Duration(v), t.min), t.max))
}

func microseconds(d time.Duration) *float64 {
	us := float64(d) / float64(time.Microsecond)
	return &us
}
