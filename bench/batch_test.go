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
		cfg := Config{Callers: 7, Batch: 3, Calls: 45, DoBatch: func(_ context.Context, b *Batch) {
			mu.Lock()
			numbers, sizes = append(numbers, b.Numbers...), append(sizes, len(b.Numbers))
			mu.Unlock()
			for i, n := range b.Numbers {
				time.Sleep(10 * ms)
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
		if res.Calls != 44 || res.Errors != 1 || res.Callers != 7 || *res.Latency.Min != 10_000 || *res.Latency.Max != 30_000 {
			t.Errorf("%d calls and %d errors of %d callers, from %v to %v us", res.Calls, res.Errors, res.Callers, *res.Latency.Min, *res.Latency.Max)
		}
	})
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
