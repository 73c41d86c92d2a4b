package bench

import (
	"context"
	"fmt"
	"time"
)

// Config says what to run. Call or Do is needed, and, but for a Recording, one of
// Duration and Calls.
type Config struct {
	// Call makes one call. It is called from several goroutines at once, and
	// has to return soon after its context ends.
	Call func(context.Context) error

	// Do is Call for those who want to know which call it is, or can tell how
	// long its phases took. The attempt is Do's until it returns.
	Do func(context.Context, *Attempt) error

	// Batch is how many callers of a closed loop send their calls together, as a
	// pipeline does, and the next ones when all of these have ended. If it is more than
	// 1 DoBatch makes the calls instead of Do. It is called from several goroutines at
	// once, and has to return soon after its context ends.
	Batch   int
	DoBatch func(context.Context, *Batch)

	// Phases name the parts of a call that Do can tell, in their order, such as
	// push, queue, run and wake.
	Phases []string

	// Labels name the sorts of calls that there are, such as GET and SET, if they are to
	// be told apart in the Result. Do says by Attempt.Label which a call is.
	Labels []string

	// Model says when calls are sent. Nil is ClosedLoop{}.
	Model Model

	// Seed is that of the model's chance. 0 is a seed, too.
	Seed uint64

	// Callers is how many callers a closed loop has. 0 is 1.
	Callers int

	// MaxInFlight is how many calls of an open loop are in flight at most. One
	// that comes when there are as many is not sent but counted as missed, which
	// makes the measurement invalid. 0 is 10,000.
	MaxInFlight int

	// Instances is how many generators share the load of an open loop, and
	// Instance which of them this is, from 0. Each sends every n-th call of the
	// one schedule, so Model and Seed have to be the same for all. 0 is 1.
	Instance, Instances int

	// StartAt is when the run begins, so that several generators begin at once.
	// Zero is now.
	StartAt time.Time

	// Warmup comes before the measured window. A load whose rate changes over time
	// begins with the window, and has its first rate before it. What of a Recording comes
	// in the warm-up is not measured.
	Warmup time.Duration

	// Duration is the length of the measured window. A call is sent in it or
	// not at all.
	Duration time.Duration

	// Calls is how many calls are measured, if Duration is 0. In an open loop of
	// several instances it is those of all of them.
	Calls int64

	// Drain is how long to wait, once the last call was sent or the run was
	// interrupted, for the calls in flight. After it their context ends, and
	// those that fail then are errors of the kind Unfinished. 0 is 5 s.
	Drain time.Duration

	// Classify names the kind of an error, of which there should be few. Nil,
	// and an empty name, make it "error". It is called from several goroutines
	// at once.
	Classify func(error) string

	// TimeoutKinds are the kinds of errors, beside Unfinished, that mean that a call
	// timed out: had it not, it would have taken at least as long.
	TimeoutKinds []string

	// InProcess tells that who answers the calls runs in this process, too. Then
	// it is no fault of the generator that the process is busy.
	InProcess bool

	// ServersKnown tells that who answers the calls is among Resources, as the main thread
	// of Redis is: what else uses the machine's processors is no part of the test.
	ServersKnown bool

	// RunOn tells to go on with a run that is seen to diverge. Otherwise it ends
	// early, as it has no percentiles to offer however long it lasts.
	RunOn bool

	// Spin is how an open loop keeps its times. The zero value is SpinAuto.
	Spin Spin

	// Interval is the length of the parts into which Result.Intervals divides the
	// run. 0 is 1 s, or in a run of more than 10 minutes as long as makes 600 of them at
	// most.
	Interval time.Duration

	// Gauges are read at the end of each interval; Resources and Counters when
	// the measured window opens and closes. All are read by the goroutine of
	// Run, which they hold up: they have to be quick.
	Gauges    []Gauge
	Resources []Resource
	Counters  func() map[string]float64 // cumulative, such as how often Redis ran a command

	// Progress, if not nil, is called every ProgressEvery from the goroutine of
	// Run, which it holds up: it has to be quick. 0 is 1 s.
	Progress      func(Progress)
	ProgressEvery time.Duration
}

// An Attempt is one call as Do sees it.
type Attempt struct {
	// Number tells the calls of a run apart. In an open loop it is the place in
	// the schedule, from 0: call n of a Recording is entry n.
	Number int64

	// Phases has an entry for each of Config.Phases, which is below 0 until Do
	// sets it: not known.
	Phases []time.Duration

	// Label is the place in Config.Labels of what the call is. It is 0 until Do sets it.
	Label int
}

// A Gauge is something of the moment, such as the depth of a queue.
type Gauge struct {
	Name string
	Read func() float64
}

// A Resource is something that calls use up.
type Resource struct {
	Name     string
	Capacity float64              // seconds of it that a second has: cores, workers
	Used     func() time.Duration // so far

	// Processor tells that this is the processor time of another process of the
	// system that is measured, such as Redis's, which then counts as no stranger.
	Processor bool
}

// Spin is how an open loop waits for the last microseconds before a call: asleep,
// from which it wakes up some 50 us late, or reading the clock all the time, which
// takes up to a core.
type Spin string

const (
	// SpinAuto reads the clock while a core is free for it.
	SpinAuto Spin = "auto"
	SpinOn   Spin = "on"
	SpinOff  Spin = "off"
)

// check fills in the defaults.
func (cfg *Config) check() error {
	wrong := func(field, expected string, got any) error {
		return fmt.Errorf("bench: Config.%s: expected %s, got %v", field, expected, got)
	}
	if cfg.Model == nil {
		cfg.Model = ClosedLoop{}
	}
	if err := checkModel(cfg.Model); err != nil {
		return fmt.Errorf("bench: Config.Model: %w", err)
	}
	_, whole := cfg.Model.(Recording) // unless told otherwise
	switch {
	case cfg.Call == nil && cfg.Do == nil && cfg.Batch < 2:
		return wrong("Call", "a function", "nil")
	case cfg.Call != nil && cfg.Do != nil:
		return wrong("Call", "either Call or Do", "both")
	case cfg.Do == nil && len(cfg.Phases) > 0:
		return wrong("Phases", "Do, which tells them", "Call")
	case cfg.Batch < 0:
		return wrong("Batch", "1 or more, or 0 for 1", cfg.Batch)
	case cfg.Batch > 1 && cfg.open():
		return wrong("Batch", "0 in an open loop", cfg.Batch)
	case cfg.Batch > 1 && (cfg.DoBatch == nil || len(cfg.Phases) > 0):
		return wrong("DoBatch", "a function, and no Phases, if Batch is more than 1", "none, or Phases")
	case cfg.Callers < 0:
		return wrong("Callers", "1 or more, or 0 for 1", cfg.Callers)
	case cfg.Callers > 0 && cfg.open():
		return wrong("Callers", "0 in an open loop", cfg.Callers)
	case cfg.MaxInFlight < 0:
		return wrong("MaxInFlight", "1 or more, or 0 for 10,000", cfg.MaxInFlight)
	case cfg.MaxInFlight > 0 && !cfg.open():
		return wrong("MaxInFlight", "0 in a closed loop", cfg.MaxInFlight)
	case cfg.Instances < 0:
		return wrong("Instances", "1 or more, or 0 for 1", cfg.Instances)
	case cfg.Instance < 0 || cfg.Instance >= max(cfg.Instances, 1):
		return wrong("Instance", fmt.Sprintf("0 to %d", max(cfg.Instances, 1)-1), cfg.Instance)
	case cfg.Warmup < 0:
		return wrong("Warmup", "0 or more", cfg.Warmup)
	case cfg.Duration < 0:
		return wrong("Duration", "more than 0, or 0 if Calls is set", cfg.Duration)
	case cfg.Calls < 0:
		return wrong("Calls", "1 or more, or 0 if Duration is set", cfg.Calls)
	case cfg.Duration > 0 && cfg.Calls > 0, cfg.Duration == 0 && cfg.Calls == 0 && !whole:
		return wrong("Duration", "either Duration or Calls",
			fmt.Sprintf("Duration %v and Calls %d", cfg.Duration, cfg.Calls))
	case cfg.Drain < 0:
		return wrong("Drain", "more than 0, or 0 for 5 s", cfg.Drain)
	case cfg.Interval < 0:
		return wrong("Interval", "more than 0, or 0 for the default", cfg.Interval)
	case cfg.ProgressEvery < 0:
		return wrong("ProgressEvery", "more than 0, or 0 for 1 s", cfg.ProgressEvery)
	}
	switch cfg.Spin {
	case "":
		cfg.Spin = SpinAuto
	case SpinAuto, SpinOn, SpinOff:
	default:
		return wrong("Spin", fmt.Sprintf("%q, %q or %q", SpinAuto, SpinOn, SpinOff), fmt.Sprintf("%q", cfg.Spin))
	}
	for i, g := range cfg.Gauges {
		if g.Name == "" || g.Read == nil {
			return wrong(fmt.Sprintf("Gauges[%d]", i), "a name and a function", fmt.Sprintf("%q", g.Name))
		}
	}
	for i, r := range cfg.Resources {
		if r.Name == "" || r.Used == nil || !(r.Capacity > 0) {
			return wrong(fmt.Sprintf("Resources[%d]", i), "a name, a function and a capacity of more than 0",
				fmt.Sprintf("%q, %v", r.Name, r.Capacity))
		}
	}
	if m, ok := cfg.Model.(OpenLoop); ok {
		cfg.Model = m.after(cfg.Warmup)
	}
	if cfg.StartAt.IsZero() {
		cfg.StartAt = time.Now()
	} else if late := time.Since(cfg.StartAt); late > 0 {
		return wrong("StartAt", "a time to come, or zero", fmt.Sprintf("%v, which was %v ago", cfg.StartAt, late))
	}

	if cfg.open() {
		cfg.MaxInFlight = orElse(cfg.MaxInFlight, 10_000)
	} else {
		cfg.Callers = orElse(cfg.Callers, 1)
	}
	if cfg.Call != nil {
		call := cfg.Call
		cfg.Do = func(ctx context.Context, _ *Attempt) error { return call(ctx) }
	}
	if cfg.Duration == 0 && cfg.Calls == 0 {
		cfg.Calls = measurable(cfg.Model.(Recording), cfg.Warmup)
		if cfg.Calls == 0 {
			return wrong("Warmup", "less than the length of the recording", cfg.Warmup)
		}
	}
	cfg.Instances = orElse(cfg.Instances, 1)
	cfg.Drain = orElse(cfg.Drain, 5*time.Second)
	if cfg.Interval == 0 {
		cfg.Interval = intervalOf(cfg.length())
	}
	cfg.ProgressEvery = orElse(cfg.ProgressEvery, time.Second)
	return nil
}

// open reports whether the load is an open loop.
func (cfg *Config) open() bool { return cfg.Model.Times(cfg.Seed) != nil }

// length is how long the run takes until the last call is intended, and 0 if that is not
// known beforehand.
func (cfg *Config) length() time.Duration {
	if cfg.Duration > 0 {
		return cfg.Warmup + cfg.Duration
	}
	switch m := cfg.Model.(type) {
	case OpenLoop: // of random arrivals on the average
		if d, ok := m.Profile.When(m.Profile.Calls(cfg.Warmup) + float64(cfg.Calls)); ok {
			return d
		}
		return m.Profile.ends()
	case Recording:
		return m[len(m)-1].Offset
	}
	return 0
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// measurable returns how many calls of a recording come after the warm-up.
func measurable(r Recording, warmup time.Duration) int64 {
	var n int64
	for _, c := range r {
		if c.Offset >= warmup {
			n++
		}
	}
	return n
}
