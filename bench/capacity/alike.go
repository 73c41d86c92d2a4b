package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"redrpc/bench"
)

// A Difference is a setting that two sides do not share. Its values are as in JSON; one
// that is not set is empty.
type Difference struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// A DifferentError is about two sides that were not measured alike, and so cannot be
// compared.
type DifferentError struct {
	Differences []Difference
}

func (e *DifferentError) Error() string {
	texts := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		texts[i] = fmt.Sprintf("%s is %s and %s", d.Name, orNothing(d.A), orNothing(d.B))
	}
	return "capacity: the sides differ in more than they may: " + strings.Join(texts, ", ")
}

func orNothing(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}

// alike returns the settings that differ as they may, or a *DifferentError if one does that
// may not. How a run was made is read off its result, too, and has to be the same in each run
// of a side.
func alike(a, b Side, may []string) ([]Difference, error) {
	var all [2]map[string]string
	for i, side := range []Side{a, b} {
		for j, r := range side.Runs {
			of, err := made(side.Settings, r)
			if err != nil {
				return nil, fmt.Errorf("capacity: settings of %s: %w", side.Name, err)
			}
			if j == 0 {
				all[i] = of
				continue
			}
			if ds := differences(all[i], of, nil); len(ds) > 0 {
				return nil, fmt.Errorf("capacity: run %d of %s: expected one like the first, got one whose %s is %s and not %s",
					j+1, side.Name, ds[0].Name, orNothing(ds[0].B), orNothing(ds[0].A))
			}
		}
	}
	if ds := differences(all[0], all[1], may); len(ds) > 0 {
		return nil, &DifferentError{ds}
	}
	return differences(all[0], all[1], nil), nil
}

// made is how a run was made: names and values in JSON.
func made(settings map[string]any, r *bench.Result) (map[string]string, error) {
	all := map[string]any{
		"load_model":    r.Model,
		"callers":       r.Callers,
		"max_in_flight": r.MaxInFlight,
		"instances":     r.Instances,
		"warmup_s":      r.Warmup.DurationS,
	}
	maps.Copy(all, settings)
	of := map[string]string{}
	for name, value := range all {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		of[name] = string(text)
	}
	return of, nil
}

func differences(a, b map[string]string, may []string) []Difference {
	names := maps.Clone(a)
	maps.Copy(names, b)
	var ds []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] && !slices.Contains(may, name) {
			ds = append(ds, Difference{name, a[name], b[name]})
		}
	}
	return ds
}

// ErrInvalid says that a run was invalid, and so was its repetition.
var ErrInvalid = errors.New("the run is invalid")

// Interleave runs A and B as often as pairs says, taking turns, so that what changes on the
// machine meanwhile meets both. Which of a pair comes first is drawn with the seed. An invalid
// run is repeated once. If ctx ends or a run fails, or is invalid again, it returns the runs so
// far and the error, which matches ErrNoSuccess or ErrInvalid for such a run.
func Interleave(ctx context.Context, pairs int, seed uint64, drain Drain, a, b func(context.Context) (*bench.Result, error)) (as, bs []*bench.Result, err error) {
	if pairs < 1 {
		return nil, nil, wrong("pairs", "1 or more", pairs)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	one := func(name string, run func(context.Context) (*bench.Result, error), to *[]*bench.Result) error {
		for attempt := 0; ; attempt++ {
			if err := drain.wait(ctx); err != nil {
				return err
			}
			res, err := run(ctx)
			if err == nil && res == nil {
				err = errors.New("expected a result or an error, got neither")
			}
			if ctx.Err() != nil {
				return context.Cause(ctx) // it was cut short
			}
			if err == nil {
				err = new(anySuccess).succeeds(res)
			}
			if invalid := err == nil && res.Verdict.State == bench.Invalid; invalid && attempt == 0 {
				continue
			} else if invalid {
				err = fmt.Errorf("%w, twice: %s", ErrInvalid, strings.Join(res.Verdict.Reasons, "; "))
			}
			if err != nil {
				return fmt.Errorf("capacity: run %d of %s: %w", len(*to)+1, name, err)
			}
			*to = append(*to, res)
			return nil
		}
	}
	for range pairs {
		turns := []func() error{
			func() error { return one("A", a, &as) },
			func() error { return one("B", b, &bs) },
		}
		if rng.IntN(2) == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return as, bs, err
			}
		}
	}
	return as, bs, nil
}
