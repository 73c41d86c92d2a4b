package rpc

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestLinkTimeouts: go-redis gives two values of a time-out a special meaning
// each time that it takes options; ours are the caller's in the end.
func TestLinkTimeouts(t *testing.T) {
	for _, c := range []struct {
		given, read time.Duration
		timed       bool
		passed      time.Duration // to go-redis
	}{
		{0, 5 * time.Second, true, 5 * time.Second}, // go-redis's default
		{-1, 0, true, -1},
		{-2, 0, false, -2},
		{7 * time.Second, 7 * time.Second, true, 7 * time.Second},
	} {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ReadTimeout: c.given, WriteTimeout: c.given})
		l := newLink(rdb, nil)
		if l.read != c.read || l.write != c.read || l.timed != c.timed || l.opt.ReadTimeout != c.passed || l.opt.WriteTimeout != c.passed {
			t.Errorf("given %v: got read %v, write %v, timed %v, passed %v and %v, want %v, %v, %v, %v", c.given,
				l.read, l.write, l.timed, l.opt.ReadTimeout, l.opt.WriteTimeout, c.read, c.read, c.timed, c.passed)
		}
		l.close()
		rdb.Close()
	}
}

func TestBlockFor(t *testing.T) {
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

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Second: 1, time.Second + 1: 2, 120 * time.Second: 120} {
		if got := seconds(d); got != want {
			t.Errorf("%v: got %d, want %d", d, got, want)
		}
	}
}
