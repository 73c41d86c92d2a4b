package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench"
)

// loadFlags are the flags that say how many calls are sent, and when, and after
// check the model of the load.
type loadFlags struct {
	callers int
	think   time.Duration

	rate     float64
	arrivals string
	text     string // of --model
	file     string // of --replay

	duration time.Duration
	calls    int

	pace paceFlags

	given  func(flag string) bool
	model  bench.Model
	replay []recordedCall // by the number of the call; nil if it is no replay
}

// paceFlags are those of any load, however large.
type paceFlags struct {
	warmup      time.Duration
	seed        uint64
	maxInFlight int
	share       share
	startAt     time.Time
	spin        string
	runOn       bool
}

// A recordedCall is what a line of --replay says besides when. What it does not say
// is as the flags say.
type recordedCall struct {
	Func string          `json:"func"`
	Args json.RawMessage `json:"args"`
}

func (f *loadFlags) register(cmd *cobra.Command) {
	f.callers, f.arrivals, f.duration = 1000, "constant", 10*time.Second
	flags := cmd.Flags()
	f.given = flags.Changed
	flags.VarP(count(&f.callers, 1, 1_000_000), "concurrency", "c", "callers of a closed loop, each with one call in flight (with --command by default --connections times --pipeline)")
	flags.Var(notNegative(&f.think), "think", "think time: pause of each closed-loop caller before its next call (default none)")
	flags.VarP(rate(&f.rate), "rate", "r", "open loop: calls per second, sent on schedule whether or not earlier calls have ended")
	flags.Var(oneOf(&f.arrivals, "constant", "poisson"), "arrivals", "with --rate: arrivals at a constant rate, or a Poisson process as of many independent users")
	flags.Var(name(&f.text, "TEXT"), "model", "load profile, such as ramp:100..2000/30s, steps:100,200/10s, burst:100..2000/1s/10s, sine:100..2000/1m; poisson: in front makes arrivals random")
	flags.Var(name(&f.file, "FILE"), "replay", `replay calls recorded as JSON lines, such as {"offset_ms": 12.5, "func": "add", "args": {"a": 1, "b": 2}}`)
	flags.VarP(positive(&f.duration), "duration", "d", "length of the measured window")
	flags.VarP(count(&f.calls, 1, 1_000_000_000), "calls", "n", "number of calls to measure, instead of --duration")
	f.pace.register(cmd)
	flags.Var(shareOf(&f.pace.share), "instance", "this is generator I of N, counted from 0, which share the load of an open loop")
	flags.Var(moment(&f.pace.startAt), "start-at", "time at which to start, such as 2026-01-31T12:00:00Z, so that several generators start together")
}

func (f *paceFlags) register(cmd *cobra.Command) {
	f.warmup, f.seed, f.maxInFlight, f.spin = time.Second, 1, 10_000, string(bench.SpinAuto)
	flags := cmd.Flags()
	flags.Var(notNegative(&f.warmup), "warmup", "time before the measured window, not in the results")
	flags.Var(seed(&f.seed), "seed", "random seed; the same seed gives the same load")
	flags.Var(count(&f.maxInFlight, 1, 1_000_000), "max-in-flight", "maximum number of calls of an open loop in flight; further calls are dropped, which makes the measurement invalid")
	spins := []string{string(bench.SpinAuto), string(bench.SpinOn), string(bench.SpinOff)}
	flags.Var(oneOf(&f.spin, spins...), "spin", "busy-wait for accurate send times of an open loop, which takes a core; auto: while a core is idle")
	flags.BoolVar(&f.runOn, "no-early-stop", false, "do not end a run early when calls pile up")
}

// check is about what the flags' own parsers cannot know.
func (f *loadFlags) check(sys *systemFlags) error {
	if sys.commands.given() {
		if f.given("replay") {
			return usagef("--replay: expected without --command, for it is about calls of functions")
		}
		if !f.given("concurrency") {
			f.callers = sys.commands.connections * sys.commands.pipeline
		}
	}
	kinds := []string{"rate", "model", "replay"}
	var open string
	for _, kind := range kinds {
		if f.given(kind) {
			if open != "" {
				return usagef("--%s and --%s: expected only one of --%s", open, kind, strings.Join(kinds, ", --"))
			}
			open = kind
		}
	}
	if f.given("arrivals") && open != "rate" {
		return usagef("--arrivals: expected together with --rate; a --model has poisson: before it")
	}
	if err := f.chooseModel(open, sys); err != nil {
		return err
	}
	closed := []string{"concurrency", "think"}
	if open == "model" && !f.isOpen() {
		closed = closed[:1]
		if f.given("think") {
			return usagef("--think: expected without --model, which says it as in closed:10ms")
		}
	} else if open == "" {
		closed = nil
	}
	for _, flag := range closed {
		if f.isOpen() && f.given(flag) {
			return usagef("--%s: expected without --%s, for it is about a closed loop", flag, open)
		}
	}
	if !f.isOpen() {
		for _, flag := range []string{"max-in-flight", "spin", "no-early-stop"} {
			if f.given(flag) {
				return usagef("--%s: expected together with --rate, --model or --replay, for it is about an open loop", flag)
			}
		}
	}
	if f.given("duration") && f.given("calls") {
		return usagef("--duration and --calls: expected only one of them")
	}
	if f.calls > 0 || open == "replay" && !f.given("duration") {
		f.duration = 0
	}
	if open == "replay" && !f.given("warmup") {
		f.pace.warmup = 0 // all of it
	}
	if f.given("instance") && sys.redis == nil {
		return usagef("--instance: expected --redis or REDIS_URL too, for generators share no in-process broker")
	}
	if f.given("start-at") && time.Until(f.pace.startAt) <= 0 {
		return usagef("--start-at: expected a time to come, got %s", f.pace.startAt.Format(time.RFC3339))
	}
	if sys.commands.given() {
		return nil
	}
	if sys.clients > f.atATime() {
		if f.isOpen() {
			return usagef("--clients: expected no more than the %d calls of --max-in-flight, got %d", f.atATime(), sys.clients)
		}
		return usagef("--clients: expected no more than the %d callers of --concurrency, got %d", f.atATime(), sys.clients)
	}
	return nil
}

// chooseModel makes the model of the flag that names one, or a closed loop.
func (f *loadFlags) chooseModel(from string, sys *systemFlags) error {
	switch from {
	case "rate":
		f.model = atRate(f.rate, f.arrivals)
	case "model":
		model, err := bench.ParseModel(f.text)
		if err != nil {
			return usagef("--model: %w", err)
		}
		f.model = model
	case "replay":
		rec, calls, err := readReplay(f.file, sys)
		if err != nil {
			return usagef("--replay: %w", err)
		}
		f.model, f.replay = rec, calls
	default:
		f.model = bench.ClosedLoop{Think: f.think}
	}
	return nil
}

// atRate is the model of a rate with arrivals as of --arrivals.
func atRate(rate float64, arrivals string) bench.OpenLoop {
	m := bench.OpenLoop{Profile: bench.Constant(rate), Arrivals: bench.Even}
	if arrivals == "poisson" {
		m.Arrivals = bench.Poisson
	}
	return m
}

func (f *loadFlags) isOpen() bool {
	_, closed := f.model.(bench.ClosedLoop)
	return !closed
}

// atATime is how many calls are in flight at most.
func (f *loadFlags) atATime() int {
	if f.isOpen() {
		return f.pace.maxInFlight
	}
	return f.callers
}

// readReplay reads a recording, and of each call what is to be called.
func readReplay(path string, sys *systemFlags) (bench.Recording, []recordedCall, error) {
	file, err := os.Open(path) // #nosec G304 -- the user names the file
	if err != nil {
		return nil, nil, fmt.Errorf("expected a file of JSON lines: %w", err)
	}
	defer file.Close()
	rec, err := bench.ReadRecording(file)
	if err != nil {
		return nil, nil, err
	}
	calls := make([]recordedCall, len(rec))
	for i, r := range rec {
		call := recordedCall{Func: sys.fn}
		if err := json.Unmarshal(r.Raw, &call); err != nil || call.Func == "" {
			return nil, nil, fmt.Errorf(`expected "func" as a text and "args" as an object, got %.100s`, r.Raw)
		}
		switch {
		case call.Args == nil && call.Func == sys.fn:
			call.Args = sys.args
		case call.Args == nil && !sys.noServer:
			call.Args = builtin[call.Func]
		case call.Args == nil:
			call.Args = json.RawMessage(`{}`)
		case call.Args[0] != '{':
			return nil, nil, fmt.Errorf(`expected "args" as an object, got %.100s`, r.Raw)
		}
		if err := sys.checkServed("func", call.Func); err != nil {
			return nil, nil, err
		}
		calls[i] = call
	}
	return rec, calls, nil
}

// A share is the part of the load that one of several generators sends.
type share struct{ instance, instances int }

func (s share) String() string {
	if s.instances == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.instance, s.instances)
}

func shareOf(to *share) value[share] {
	return value[share]{to, "I/N", func(s string) (share, error) {
		i, n, _ := strings.Cut(s, "/")
		instance, err1 := strconv.Atoi(i)
		instances, err2 := strconv.Atoi(n)
		if errors.Join(err1, err2) != nil || instance < 0 || instance >= instances {
			return share{}, errors.New("expected the number of this generator, from 0, and how many there are, such as 0/4 to 3/4")
		}
		return share{instance, instances}, nil
	}}
}

// rate takes calls per second.
func rate(to *float64) value[float64] {
	return value[float64]{to, "N", func(s string) (float64, error) {
		r, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
		if err != nil || !(r > 0 && r <= 1e9) {
			return 0, errors.New("expected calls per second, more than 0, such as 1000 or 0.5")
		}
		return r, nil
	}}
}

func seed(to *uint64) value[uint64] {
	return value[uint64]{to, "N", func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, errors.New("expected a whole number of 0 or more")
		}
		return n, nil
	}}
}

func moment(to *time.Time) value[time.Time] {
	return value[time.Time]{to, "TIME", func(s string) (time.Time, error) {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return time.Time{}, errors.New("expected a moment such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.5+01:00")
		}
		return at, nil
	}}
}
