package rpc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestDialerTimeouts: go-redis gives two values of a timeout a special meaning each time
// that it takes options; ours are the caller's in the end, and go-redis sets none.
func TestDialerTimeouts(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{
		0:               5 * time.Second, // go-redis's default
		-1:              0,
		-2:              0,
		7 * time.Second: 7 * time.Second,
	} {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ReadTimeout: given, WriteTimeout: given})
		d := newDialer(rdb.Options(), nil)
		if d.readTimeout != want || d.writeTimeout != want || d.opt.ReadTimeout != -2 || d.opt.WriteTimeout != -2 {
			t.Errorf("given %v: got read %v, write %v, passed %v and %v, want %v, %v, -2 and -2", given,
				d.readTimeout, d.writeTimeout, d.opt.ReadTimeout, d.opt.WriteTimeout, want, want)
		}
		d.close()
		rdb.Close()
	}
}

func TestBlockFor(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                              "0.001", // 0 would be for ever
		time.Microsecond:               "0.001",
		-time.Hour:                     "0.001",
		20 * time.Millisecond:          "0.020",
		1900 * time.Millisecond:        "1.900",
		time.Second:                    "1", // as Redis before 6.0 takes it
		time.Second - time.Second/5000: "1.000",
	} {
		if got := blockFor(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// TestBackoff: pauses grow up to a limit, and differ.
func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		want := shortestPause
		seen := map[time.Duration]bool{}
		for range 20 {
			start := time.Now()
			if !b.pause(nil, nil) {
				t.Error("a pause was stopped by nobody")
			}
			took := time.Since(start)
			if took < want/2 || took > want {
				t.Errorf("paused for %v, want %v to %v", took, want/2, want)
			}
			seen[took] = true
			want = min(2*want, longestPause)
		}
		if len(seen) < 10 {
			t.Errorf("of 20 pauses only %d differ", len(seen))
		}
		stop, hurry := make(chan struct{}), make(chan struct{}, 1)
		start := time.Now()
		if poke(hurry); !b.pause(hurry, stop) {
			t.Error("a pause that is in a hurry was stopped")
		}
		if close(stop); b.pause(nil, stop) {
			t.Error("a pause was not stopped")
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("pauses that are cut short took %v", took)
		}
	})
}
