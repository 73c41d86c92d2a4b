// Package capacity answers how much a system can take: what it does as its load grows
// (Sweep), the greatest rate that meets an objective (Search), the workers that a rate
// needs (Plan), and whether one version is better than another (Compare).
//
// It knows a trial as a function, and nothing of what the function measures.
package capacity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"redrpc/bench"
	"redrpc/internal/figure"
)

// A Trial measures the system at a load for the length of a measured window, and
// returns what it found. The load is calls per second, or a number of callers where that is
// what varies. A warm-up is the trial's own. Trials are run one after the other.
//
// A trial has to return soon after its context ends; that its Result is Interrupted
// then is no error. One whose calls pile up should stop by itself, as bench.Run
// does, and be Diverging.
type Trial func(ctx context.Context, load float64, length time.Duration) (*bench.Result, error)

// ErrNoSuccess says that no call of a trial succeeded, nor of one before it: then other
// loads are not worth a trial.
var ErrNoSuccess = errors.New("no call succeeded")

// anySuccess tells if any trial so far had a call that succeeded.
type anySuccess bool

// succeeds takes a result in, and returns an error if no call has succeeded so far.
func (f *anySuccess) succeeds(res *bench.Result) error {
	*f = *f || res.Calls+res.Warmup.Calls > 0
	if bool(*f) || res.Interrupted || res.Errors+res.Warmup.Errors == 0 {
		return nil
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(res.ErrorsByKind)) {
		text := fmt.Sprintf("%s %s", figure.Grouped(res.ErrorsByKind[kind]), kind)
		if sample := res.ErrorSamples[kind]; sample != "" {
			text += ", such as: " + sample
		}
		kinds = append(kinds, text)
	}
	return fmt.Errorf("%w: %s", ErrNoSuccess, strings.Join(kinds, "; "))
}

// A Drain waits until the system has no calls left of the trial before. Nil waits
// for nothing.
type Drain func(context.Context) error

func (d Drain) wait(ctx context.Context) error {
	if d == nil {
		return ctx.Err()
	}
	if err := d(ctx); err != nil {
		return fmt.Errorf("capacity: draining between trials: %w", err)
	}
	return ctx.Err()
}

// wrong is the error about the field of an options struct.
func wrong(field, expected string, got any) error {
	return fmt.Errorf("capacity: %s: expected %s, got %v", field, expected, got)
}

// positive reports if x is a number above 0.
func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
