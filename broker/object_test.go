package broker

import (
	"strings"
	"testing"
	"time"
)

// A key is idle since it was read or written last; who only asks about it does not
// use it.
func TestIdleTime(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1e9, 0)})
	w := inMemory(t, b)
	for _, c := range []struct{ made, then, want string }{
		{"SET k v", "EXISTS k", "10"},
		{"SET k v", "TYPE k", "10"},
		{"SET k v", "PTTL k", "10"},
		{"SET k v", "OBJECT ENCODING k", "10"},
		{"SET k v", "MEMORY USAGE k", "10"},
		{"SET k v", "KEYS *", "10"},
		{"SET k v", "SCAN 0", "10"},
		{"SET k v", "RANDOMKEY", "10"},
		{"SET k v", "TOUCH k", "0"},
		{"SET k v", "GET k", "0"},
		{"SET k v", "SET k w", "0"},
		{"SET k v", "SETNX k v", "0"},
		{"SET k v", "APPEND k v", "0"},
		{"SET k v", "EXPIRE k 100", "0"},
		{"SET k v", "RENAME k k2", "0"},
		{"SET k v", "COPY k copied", "0"},
		{"HSET h f v", "HSCAN h 0", "0"},
		{"HSET h f v", "HGET h f", "0"},
		{"SADD s a", "SADD s a", "0"},
		{"SADD s a", "SCARD s", "0"},
		{"RPUSH l 1 2", "LLEN l", "0"},
		{"RPUSH l 1 2", "LPOP l", "0"},
		{"RPUSH l 1 2", "RPUSH l 3", "0"},
	} {
		w.do(t, "FLUSHALL")
		w.do(t, strings.Fields(c.made)...)
		b.Advance(10 * time.Second)
		w.do(t, strings.Fields(c.then)...)
		key := strings.Fields(c.made)[1]
		if strings.HasPrefix(c.then, "RENAME") {
			key = "k2"
		}
		if got := w.do(t, "OBJECT", "IDLETIME", key); got != c.want {
			t.Errorf("%s, 10 s, %s: idle for %s s, expected %s", c.made, c.then, got, c.want)
		}
	}
}
