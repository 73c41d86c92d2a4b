package rpc

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestLinkTimeouts: go-redis gives two values of a time-out a special meaning
// each time that it takes options; ours are the caller's in the end.
func TestLinkTimeouts(t *testing.T) {
	const none, untouched = 0, -1 // what go-redis makes of -1 and -2
	for _, c := range []struct{ given, read, blocking time.Duration }{
		{0, 5 * time.Second, 6 * time.Second}, // go-redis's default
		{-1, none, none},
		{-2, untouched, untouched},
		{7 * time.Second, 7 * time.Second, 8 * time.Second},
	} {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ReadTimeout: c.given, WriteTimeout: c.given})
		l := newLink(rdb, 1)
		if o := l.Options(); o.ReadTimeout != c.read || o.WriteTimeout != c.read || l.blocking.Options().ReadTimeout != c.blocking {
			t.Errorf("given %v: got read %v, write %v, blocking %v, want %v, %v, %v", c.given,
				o.ReadTimeout, o.WriteTimeout, l.blocking.Options().ReadTimeout, c.read, c.read, c.blocking)
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
		time.Second:                    "1.000",
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
