package bench

import (
	"context"
	"fmt"
	"time"
)

// Config says what to run. Call and one of Duration and Calls are needed.
type Config struct {
	// Call makes one call. It is called from several goroutines at once, and
	// has to return soon after its context ends.
	Call func(context.Context) error

	// Model says when each caller sends. Nil is ClosedLoop{}.
	Model Model

	// Callers is how many calls are in flight at most. 0 is 1.
	Callers int

	// Warmup comes before the measured window.
	Warmup time.Duration

	// Duration is the length of the measured window. A call is sent in it or
	// not at all.
	Duration time.Duration

	// Calls is how many calls are measured, if Duration is 0.
	Calls int64

	// Drain is how long to wait, once the last call was sent or the run was
	// interrupted, for the calls in flight. After it their context ends, and
	// those that fail then are errors of the kind Unfinished. 0 is 5 s.
	Drain time.Duration

	// Classify names the kind of an error, of which there should be few. Nil,
	// and an empty name, make it "error". It is called from several goroutines
	// at once.
	Classify func(error) string

	// Progress, if not nil, is called every Interval from the goroutine of Run,
	// which it holds up: it has to be quick. An Interval of 0 is 1 s.
	Progress func(Progress)
	Interval time.Duration
}

// check fills in the defaults.
func (cfg *Config) check() error {
	wrong := func(field, expected string, got any) error {
		return fmt.Errorf("bench: Config.%s: expected %s, got %v", field, expected, got)
	}
	switch {
	case cfg.Call == nil:
		return wrong("Call", "a function", "nil")
	case cfg.Callers < 0:
		return wrong("Callers", "1 or more, or 0 for 1", cfg.Callers)
	case cfg.Warmup < 0:
		return wrong("Warmup", "0 or more", cfg.Warmup)
	case cfg.Duration < 0:
		return wrong("Duration", "more than 0, or 0 if Calls is set", cfg.Duration)
	case cfg.Calls < 0:
		return wrong("Calls", "1 or more, or 0 if Duration is set", cfg.Calls)
	case (cfg.Duration == 0) == (cfg.Calls == 0):
		return wrong("Duration", "either Duration or Calls",
			fmt.Sprintf("Duration %v and Calls %d", cfg.Duration, cfg.Calls))
	case cfg.Drain < 0:
		return wrong("Drain", "more than 0, or 0 for 5 s", cfg.Drain)
	case cfg.Interval < 0:
		return wrong("Interval", "more than 0, or 0 for 1 s", cfg.Interval)
	}
	cfg.Callers = max(cfg.Callers, 1)
	if cfg.Model == nil {
		cfg.Model = ClosedLoop{}
	}
	if cfg.Drain == 0 {
		cfg.Drain = 5 * time.Second
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	return nil
}
