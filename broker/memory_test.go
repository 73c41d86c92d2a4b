package broker

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"redrpc/broker/internal/keyspace"
	"redrpc/internal/redistest"
)

var usedMemory = regexp.MustCompile(`used_memory:(\d+)`)

// redisMemory is what redis-server takes, in bytes.
func redisMemory(t testing.TB, redis *wire) int {
	t.Helper()
	return number(t, usedMemory.FindStringSubmatch(redis.do(t, "INFO", "memory"))[1])
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// heapInUse is what this process takes.
func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a field of a large hash, and a member of a large set, takes beside redis-server; and
// that MEMORY USAGE tells about as much.
func TestMemoryOfElements(t *testing.T) {
	const elements, batch = 20_000, 500
	redis := newWire(dial(t, redistest.Start(t).TCPAddr()))
	for _, c := range []struct {
		command string
		name    string // form of a field's or member's name
		value   string // of a field
	}{
		{"HSET", "f%07d", strings.Repeat("v", 8)},
		{"HSET", "f%07d", strings.Repeat("v", 200)},
		{"HSET", strings.Repeat("f", 100) + "%d", strings.Repeat("v", 1000)},
		{"SADD", "m%07d", ""},
		{"SADD", strings.Repeat("m", 200) + "%d", ""},
	} {
		w := inMemory(t, newBroker(t, Options{}))
		grow := func(w *wire, used func() int) float64 {
			w.do(t, c.command, "k", "before", "v")
			before := used()
			for from := 0; from < elements; from += batch {
				args := []string{c.command, "k"}
				for i := from; i < from+batch; i++ {
					if args = append(args, fmt.Sprintf(c.name, i)); c.value != "" {
						args = append(args, c.value)
					}
				}
				w.do(t, args...)
			}
			return float64(used()-before) / elements
		}
		redis.do(t, "FLUSHALL")
		ours, theirs := grow(w, heapInUse), grow(redis, func() int { return redisMemory(t, redis) })
		told := float64(number(t, w.do(t, "MEMORY", "USAGE", "k"))) / elements
		t.Logf("%s %.10s of %d bytes, with %d: %.1f bytes, in redis-server %.1f (times %.2f); MEMORY USAGE says %.1f", c.command, c.name, len(fmt.Sprintf(c.name, 99999)), len(c.value), ours, theirs, ours/theirs, told)
		if ours > 1.3*theirs {
			t.Errorf("%s: %.1f bytes for each element, in redis-server %.1f", c.command, ours, theirs)
		}
		if told < 0.8*ours || told > 1.2*ours {
			t.Errorf("%s: %.1f bytes for each element, MEMORY USAGE says %.1f", c.command, ours, told)
		}
	}
}

// Clients that ask how much memory is used need not have all of many keys measured each time.
func TestMemoryOfManyKeysIsMeasuredSeldom(t *testing.T) {
	const keys = 20_000
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	used := func() int { b.enter(); defer b.leave(); return b.keys.UsedMemory() }
	w.expect(t, "+OK", "DEBUG", "POPULATE", strconv.Itoa(keys))
	before := used()
	if before < keyspace.EmptyBytes+keys*100 {
		t.Errorf("%d keys take %d bytes", keys, before)
	}
	large := strings.Repeat("v", 1000)
	w.expect(t, "+OK", "SET", "key:0", large)
	if got := used(); got != before {
		t.Errorf("after one key has changed all were measured: %d bytes, before %d", got, before)
	}
	for i := range keys / 16 {
		w.expect(t, "+OK", "SET", fmt.Sprintf("key:%d", i), large)
	}
	if got := used(); got < before+keys/16*900 {
		t.Errorf("after one of 16 keys has become larger %d bytes are used, before %d", got, before)
	}
	w.expect(t, "+OK", "FLUSHALL")
	w.expect(t, "+OK", "SET", "k", large)
	if got := used(); got < keyspace.EmptyBytes+1000 || got > keyspace.EmptyBytes+2000 {
		t.Errorf("one key is measured as %d bytes", got)
	}
}
