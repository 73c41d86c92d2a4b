package bench

import "time"

// Unfinished is the kind of error of a call that was still in flight when the run
// stopped waiting. Whether it would have succeeded is unknown.
const Unfinished = "unfinished"

// Schema is the version of the JSON that a Result is written as. A name may be added
// in it; one that is removed or changes its meaning makes a new version.
const Schema = 2

// A Result is what a run measured. Its JSON names are stable.
//
// A call has three times: when the load model intended it, when it was sent, and
// when it was done. Response time is from intended to done and what a user waits;
// service time is from sent to done; lag is from intended to sent. A caller of a
// closed loop intends a call when it sends it, so there the first two are equal,
// and queueing in front of the callers is in neither.
//
// A call belongs to the period in which it was intended. Those of the warm-up are
// only in Warmup, even if they ended later. Each of those of the measured window,
// which begins when the warm-up ends, is counted once: in Calls, in Errors, or, if
// it was never sent, in Dropped. Only Completed, and so Throughput, is by when calls
// ended.
type Result struct {
	Schema    int       `json:"schema"`
	StartedAt time.Time `json:"started_at"` // of the run, with its warm-up

	Model       string  `json:"model"`
	OpenLoop    bool    `json:"open_loop"`
	Callers     int     `json:"callers"`       // of a closed loop, else 0
	MaxInFlight int     `json:"max_in_flight"` // of an open loop, else 0
	Seed        uint64  `json:"seed"`
	Instance    int     `json:"instance"`           // of Instances, from 0
	Instances   int     `json:"instances"`          // that share the load, 1 or more
	OfferedRate float64 `json:"offered_rate_per_s"` // intended calls a second of the window; 0 in a closed loop

	Intended int64 `json:"intended"` // calls of the window: Calls + Errors + Dropped
	Calls    int64 `json:"calls"`    // answered with success
	Errors   int64 `json:"errors"`   // failed or unfinished
	Dropped  int64 `json:"dropped"`  // never sent: MaxInFlight were in flight, or the run ended first

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
	Throughput float64 `json:"throughput_per_s"`

	// ThroughputMargin is about how far Throughput can be from the rate of a long
	// run, as the window cuts one call of each caller: Callers/DurationS, in calls
	// per second. It is 0 with Config.Calls, which cuts none, in an open loop, and
	// if the window never opened.
	ThroughputMargin float64 `json:"throughput_margin_per_s"`

	// Of Calls alone, never of Errors; Lag of every call that was sent.
	Latency Latency `json:"latency_us"` // response time
	Service Latency `json:"service_us"`
	Lag     Latency `json:"lag_us"`

	// Phases are parts of the service time, in their order, of the calls for which
	// they are known.
	Phases []Phase `json:"phases"`

	// Labels are the sorts of calls that there were, in their order; none if they were
	// not told apart.
	Labels []Label `json:"labels,omitempty"`

	// TimedOut is about calls that timed out: they would have taken at least as
	// long as they did. It is nil if there were none.
	TimedOut *TimedOut `json:"timed_out"`

	// Unrecorded counts the calls that took more than an hour. The percentiles
	// that they would decide are null; Max and Mean include them.
	Unrecorded int64 `json:"unrecorded"`

	Warmup      Warmup `json:"warmup"`
	Interrupted bool   `json:"interrupted"` // the context ended the run early

	StoppedEarly bool `json:"stopped_early"` // the run ended itself, as it was diverging

	Verdict    Verdict            `json:"verdict"`
	Resources  []Usage            `json:"resources"`         // how busy each was in the window, the busiest first
	Machine    *Machine           `json:"machine,omitempty"` // nil if it is not known
	Bottleneck string             `json:"bottleneck"`        // what limited the rate, as text; empty if no limit was found
	Counters   map[string]float64 `json:"counters"`          // how much each grew in the window

	IntervalS float64    `json:"interval_s"` // how long each interval is, but the last
	Intervals []Interval `json:"intervals"`  // of the whole run, in order

	// Samples are what the figures were read off. They make it possible to merge
	// results and to draw every percentile.
	Samples ResultSamples `json:"samples"`
}

// ResultSamples are the times of the calls of the measured window.
type ResultSamples struct {
	Response *Samples            `json:"response"`
	Service  *Samples            `json:"service"`
	Lag      *Samples            `json:"lag"`
	Phases   map[string]*Samples `json:"phases"`
	Labels   map[string]*Samples `json:"labels,omitempty"` // response time, by label
	Errors   map[string]*Samples `json:"errors"`           // response time of failed calls, by kind
}

// A Label is one sort of the calls that were answered with success.
type Label struct {
	Name    string  `json:"name"`
	Calls   int64   `json:"calls"`
	Latency Latency `json:"latency_us"` // response time
}

// A Phase is a part of the service time of calls, such as the wait in a queue.
type Phase struct {
	Name    string  `json:"name"`
	Calls   int64   `json:"calls"` // for which it is known
	Latency Latency `json:"latency_us"`
}

// TimedOut is the response time of all calls that succeeded or timed out, the
// latter counted with what they waited. A percentile that reaches AtLeast says no
// more than that: the call's end was not seen.
type TimedOut struct {
	Kinds   []string `json:"kinds"` // of errors, of those that there were
	Calls   int64    `json:"calls"` // that timed out
	AtLeast float64  `json:"at_least_us"`
	Latency Latency  `json:"latency_us"`
}

// A Verdict is what the run says of itself.
type Verdict struct {
	// State is Valid, Invalid (the generator spoiled the measurement) or Diverging
	// (more was offered than is answered, so latencies grow for as long as one
	// measures).
	State   State    `json:"state"`
	Reasons []string `json:"reasons"` // sentences; empty if Valid
	Checks  []Check  `json:"checks"`

	// Disturbance says how much of the machine's processors others used, if that was so
	// much that late calls may be due to CPU starvation. It is empty if they did not, or
	// if those that answer the calls may be among them.
	Disturbance string `json:"disturbance,omitempty"`
}

// A State is the outcome of a Verdict.
type State string

// The states of a Verdict.
const (
	Valid     State = "valid"
	Invalid   State = "invalid"
	Diverging State = "diverging"
)

// A Check is one thing that a run looked at to judge itself.
type Check struct {
	Name   string      `json:"name"` // such as "lag", "stationary", "littles_law"
	Result CheckResult `json:"result"`
	Text   string      `json:"text"` // what was found, with figures, a sentence
}

// A CheckResult is how a Check ended: OK, Warning (read the figures with care),
// Failed (the verdict is not Valid) or Unknown (could not be told).
type CheckResult string

// The outcomes of a Check.
const (
	OK      CheckResult = "ok"
	Warning CheckResult = "warning"
	Failed  CheckResult = "failed"
	Unknown CheckResult = "unknown"
)

// Usage is how busy a resource was.
type Usage struct {
	Name        string  `json:"name"`        // such as "redis main thread"
	Capacity    float64 `json:"capacity"`    // seconds of it that a second has: cores, workers
	Utilization float64 `json:"utilization"` // share of it that was used, 0 to 1
}

// A Machine is how many of the machine's processors were used, on average in the window.
type Machine struct {
	Cores      float64 `json:"cores"`       // that it has
	BusyCores  float64 `json:"busy_cores"`  // by all processes
	StealCores float64 `json:"steal_cores"` // of BusyCores: those that the hypervisor gave to other machines

	// OtherCores are of BusyCores those of processes that are no part of the test, nil if
	// those that answer the calls may be among them.
	OtherCores *float64 `json:"other_cores"`
}

// An Interval is a part of a run. Calls and times are of those that ended in it, and of
// its own period: one begins when the measured window opens, those before it are of the
// calls of the warm-up, and the others of those of the window, whose Calls add up to the
// Result's.
type Interval struct {
	StartS    float64 `json:"start_s"` // since the run began
	EndS      float64 `json:"end_s"`
	WarmingUp bool    `json:"warming_up"` // it began before the measured window
	Draining  bool    `json:"draining"`   // it began after it

	Intended int64            `json:"intended"`
	Sent     int64            `json:"sent"`
	Calls    int64            `json:"calls"`
	Errors   map[string]int64 `json:"errors"` // by kind
	Dropped  int64            `json:"dropped"`
	InFlight int64            `json:"in_flight"` // at its end

	// LateWarmupCalls are those of the warm-up that were answered in it after the window
	// had opened. They are in no other figure but the rate at which calls were answered.
	LateWarmupCalls int64 `json:"late_warmup_calls"`

	Gauges map[string]float64 `json:"gauges"` // at its end, such as "queue depth"

	Latency Latency `json:"latency_us"` // response time of Calls
	Service Latency `json:"service_us"`

	ResponseSamples *Samples `json:"response_samples"`
	ServiceSamples  *Samples `json:"service_samples"`
}

// Rate is how many calls a second were answered with success, whenever they were sent.
func (i *Interval) Rate() float64 {
	if i.EndS <= i.StartS {
		return 0
	}
	return float64(i.Calls+i.LateWarmupCalls) / (i.EndS - i.StartS)
}

// Warmup is what is known of the calls sent before the measured window. Calls
// and Errors count as in Result; an interrupted run leaves some without an end.
type Warmup struct {
	DurationS float64 `json:"duration_s"`
	Calls     int64   `json:"calls"`
	Errors    int64   `json:"errors"`
}

// Latency is what samples say, in microseconds. A figure is nil (null in JSON) if
// there was no sample, or if they are fewer than MinSamples of its quantile.
//
// Min, Mean and Max are exact. A percentile p of n samples is the one of
// rank ceil(p*n/100) in order of time, less than 0.1 % too high.
type Latency struct {
	Min  *float64 `json:"min"`
	Mean *float64 `json:"mean"`
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	P95  *float64 `json:"p95"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p999"`
	Max  *float64 `json:"max"`

	// CI95 is for each percentile that is not nil, by its JSON name, the interval
	// that holds it with a confidence of 95 % or more, by order statistics. An upper
	// end that the samples do not support is nil.
	CI95 map[string][2]*float64 `json:"ci95"`
}
