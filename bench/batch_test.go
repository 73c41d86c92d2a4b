package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Calls of a batch are sent at once, each ends by itself, and the next ones are sent when
// all have. Each is counted once, with a number of its own.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var numbers []int64
		var sizes []int
		odd := errors.New("odd")
		cfg := Config{Callers: 7, Batch: 3, Calls: 45, Labels: []string{"even", "odd"}, DoBatch: func(_ context.Context, b *Batch) {
			mu.Lock()
			numbers, sizes = append(numbers, b.Numbers...), append(sizes, len(b.Numbers))
			mu.Unlock()
			for i, n := range b.Numbers {
				time.Sleep(10 * ms)
				b.Label(i, int(n%2))
				if n == 4 {
					b.Done(i, odd)
				} else {
					b.Done(i, nil)
				}
			}
		}}
		res := measure(t, t.Context(), cfg)
		slices.Sort(numbers)
		if len(numbers) != 45 || len(slices.Compact(numbers)) != 45 || slices.Max(sizes) != 3 {
			t.Errorf("calls %v in batches of %v", numbers, sizes)
		}
		if l := res.Labels; len(l) != 2 || l[0].Calls+l[1].Calls != 44 || l[1].Calls < 20 {
			t.Errorf("labels %+v", l)
		}
		if res.Calls != 44 || res.Errors != 1 || res.Callers != 7 || *res.Latency.Min != 10_000 || *res.Latency.Max != 30_000 {
			t.Errorf("%d calls and %d errors of %d callers, from %v to %v us", res.Calls, res.Errors, res.Callers, *res.Latency.Min, *res.Latency.Max)
		}
	})
}

// Each label has its own calls.
func TestLabels(t *testing.T) {
	for _, model := range []Model{ClosedLoop{}, OpenLoop{Profile: Constant(100)}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{Model: model, Calls: 400, Labels: []string{"quick", "slow", "never"}, Do: func(_ context.Context, a *Attempt) error {
				if a.Label != 0 {
					t.Errorf("call %d begins with label %d", a.Number, a.Label)
				}
				a.Label = int(a.Number % 4 / 3)
				time.Sleep(time.Duration(a.Label+1) * ms)
				return nil
			}}
			l := measure(t, t.Context(), cfg).Labels
			if len(l) != 3 || l[0].Name != "quick" || l[0].Calls != 300 || *l[0].Latency.Max != 1000 ||
				l[1].Name != "slow" || l[1].Calls != 100 || *l[1].Latency.Min != 2000 || l[2].Calls != 0 {
				t.Errorf("%v: labels %+v", model, l)
			}
		})
	}
}

// A window ends batches as it ends calls, and so does an interruption.
func TestBatchesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Callers: 10, Batch: 5, Warmup: 100 * ms, Duration: time.Second, DoBatch: func(_ context.Context, b *Batch) {
			time.Sleep(10 * ms)
			for i := range b.Numbers {
				b.Done(i, nil)
			}
		}}
		if res := measure(t, t.Context(), cfg); res.Calls != 1000 || res.Throughput != 1000 || res.Warmup.Calls != 100 {
			t.Errorf("%d calls, %v/s, %d in the warm-up", res.Calls, res.Throughput, res.Warmup.Calls)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 495*ms)
		defer cancel()
		if res := measure(t, ctx, cfg); !res.Interrupted || res.Calls != 400 {
			t.Errorf("interrupted %v, %d calls", res.Interrupted, res.Calls)
		}
	})
}
