package rpc

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	c := newClock()
	if _, known := c.millis(time.Now()); known || !c.claim(readEvery) || c.claim(readEvery) {
		t.Error("a new clock knows, or is not asked for once")
	}
	at := time.Now()
	const ms = 1_800_000_000_000
	c.read(at, at.Add(20*time.Millisecond), ms*1000) // so it showed ms 10 ms after at
	shows := func(want int64) {
		t.Helper()
		if got, known := c.millis(at.Add(10 * time.Millisecond)); !known || got != want {
			t.Errorf("got %v, %v, want %v", got, known, want)
		}
	}
	shows(ms)
	if got, _ := c.moment(ms + 5); !got.Equal(at.Add(15 * time.Millisecond)) {
		t.Errorf("got %v, want 15 ms after %v", got, at)
	}
	c.read(at, at.Add(40*time.Millisecond), (ms+7)*1000) // 20 ms after at, less exact
	shows(ms)
	c.read(at, at.Add(10*time.Millisecond), (ms-3)*1000) // 5 ms after at, more exact
	shows(ms + 2)
	c.read(at, at.Add(40*time.Millisecond), (ms+60_000)*1000) // another Redis
	shows(ms + 60_000 - 10)
	for _, far := range []int64{0, 1 << 53} {
		if got, known := c.moment(far); !known || got.Sub(at).Abs() < 50*365*24*time.Hour {
			t.Errorf("%d: got %v", far, got)
		}
	}
	if _, known := (*clock)(nil).millis(at); known || (*clock)(nil).claim(0) {
		t.Error("no clock knows")
	}
}

// TestDeadlineContext: it behaves as the context of WithDeadline does.
func TestDeadlineContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		for _, c := range []struct {
			name string
			do   func(b *deadlineContext, cancel context.CancelFunc)
			want error
		}{
			{"nothing", func(*deadlineContext, context.CancelFunc) {}, nil},
			{"time is up", func(*deadlineContext, context.CancelFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded},
			{"cancelled", func(_ *deadlineContext, cancel context.CancelFunc) { cancel() }, context.Canceled},
			{"over", func(b *deadlineContext, _ context.CancelFunc) { b.end() }, context.Canceled},
			{"time is up, then over", func(b *deadlineContext, _ context.CancelFunc) { time.Sleep(2 * time.Second); b.end() }, context.DeadlineExceeded},
		} {
			for _, waited := range []bool{false, true} {
				parent, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, c.name))
				b := &deadlineContext{Context: parent, deadline: time.Now().Add(time.Second)}
				var child context.Context = b
				if waited {
					var stop context.CancelFunc
					child, stop = context.WithCancel(b)
					defer stop()
				}
				c.do(b, cancel)
				synctest.Wait()
				if b.Err() != c.want || child.Err() != c.want || b.Value(key{}) != c.name {
					t.Errorf("%s, waited %v: got %v, %v, want %v", c.name, waited, b.Err(), child.Err(), c.want)
				}
				select {
				case <-b.Done():
					if c.want == nil {
						t.Errorf("%s, waited %v: done", c.name, waited)
					}
				default:
					if c.want != nil {
						t.Errorf("%s, waited %v: not done", c.name, waited)
					}
				}
				b.end()
				cancel()
			}
		}
	})
}
