package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// newEvicting returns a client of a broker that has keys k00, k01 and so on, set a minute apart, of
// which those with an odd number expire, the last one first. It has room for one less.
func newEvicting(t *testing.T, policy string, keys int) (*Broker, *wire) {
	t.Helper()
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxMemoryPolicy: policy})
	w := inMemory(t, b)
	for i := range keys {
		args := []string{"SET", fmt.Sprintf("k%02d", i), "v"}
		if i%2 == 1 {
			args = append(args, "EX", strconv.Itoa(1_000_000-1000*i))
		}
		w.expect(t, "+OK", args...)
		b.Advance(time.Minute)
	}
	return b, w
}

// evict lowers maxmemory by one key after the other, and returns what is evicted, in order.
func evict(t *testing.T, b *Broker, w *wire, n int) (evicted []string) {
	t.Helper()
	names := func() []string { return strings.Fields(strings.Trim(w.do(t, "KEYS", "*"), "[]")) }
	for range n {
		before := names()
		used, _, _ := strings.Cut(strings.TrimPrefix(w.do(t, "INFO", "memory"), `"# Memory\r\nused_memory:`), `\r\n`)
		limit, err := strconv.Atoi(used)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(t, "+OK", "CONFIG", "SET", "maxmemory", strconv.Itoa(limit-1))
		after := names()
		for _, name := range before {
			if !slices.Contains(after, name) {
				evicted = append(evicted, name)
			}
		}
		w.expect(t, "+OK", "CONFIG", "SET", "maxmemory", "0")
	}
	return evicted
}

// Where there are few keys each policy evicts exactly those that it should, in order.
func TestEvictionOrder(t *testing.T) {
	uses := func(b *Broker, w *wire) { // k00 last and only once, k01 most often
		for i, n := range []int{2: 2, 3: 3, 4: 4, 5: 5, 6: 10, 7: 1} {
			for range n {
				w.do(t, "GET", []string{2: "k02", 3: "k03", 4: "k04", 5: "k05", 6: "k01", 7: "k00"}[i])
			}
			b.Advance(time.Minute)
		}
	}
	for _, c := range []struct{ policy, want string }{
		{"noeviction", ""},
		{"allkeys-lru", "k02 k03 k04 k05 k01 k00"},
		{"allkeys-lfu", "k00 k02 k03 k04 k05 k01"},
		{"volatile-lru", "k03 k05 k01"},
		{"volatile-lfu", "k03 k05 k01"},
		{"volatile-ttl", "k05 k03 k01"},
	} {
		b, w := newEvicting(t, c.policy, 6)
		w.do(t, "CONFIG", "SET", "lfu-decay-time", "0", "lfu-log-factor", "0")
		uses(b, w)
		got := strings.Join(evict(t, b, w, 6), " ")
		if got != c.want {
			t.Errorf("%s: evicted %s, want %s", c.policy, got, c.want)
		}
		if n := b.Stats().Evicted; n != int64(len(strings.Fields(got))) {
			t.Errorf("%s: %d keys are counted, %s were evicted", c.policy, n, got)
		}
	}
}

// Policies that choose at random choose the same with the same seed, each key sooner or later, and
// none that does not expire if they are not to.
func TestEvictionSeed(t *testing.T) {
	for _, c := range []struct {
		policy string
		keys   int // that may be evicted, of 10
	}{{"allkeys-random", 10}, {"volatile-random", 5}} {
		first := map[string]bool{}
		for seed := range uint64(40) {
			var orders [2]string
			for i := range orders {
				b, w := newEvicting(t, c.policy, 10)
				b.keys.Seed(seed)
				evicted := evict(t, b, w, 10)
				if len(evicted) != c.keys {
					t.Fatalf("%s: evicted %q, want %d keys", c.policy, evicted, c.keys)
				}
				orders[i] = strings.Join(evicted, " ")
				first[evicted[0]] = true
			}
			if orders[0] != orders[1] {
				t.Errorf("%s, seed %d: evicted %s, and %s", c.policy, seed, orders[0], orders[1])
			}
		}
		if len(first) != c.keys {
			t.Errorf("%s: only %d keys were evicted first", c.policy, len(first))
		}
	}
}

// Of many keys samples are looked at. Those that are evicted are mostly those that should be.
func TestEvictionSamples(t *testing.T) {
	const keys, evictions = 2000, 200
	for _, policy := range []string{"allkeys-lru", "volatile-lru", "volatile-ttl"} {
		b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxMemoryPolicy: policy})
		w := inMemory(t, b)
		blocked := inMemory(t, b) // whose timeout is among the alarms
		blocked.send(t, "BLPOP", "q", "100000000")
		for i := range keys {
			w.do(t, "SET", fmt.Sprintf("%04d", i), "v", "EX", strconv.Itoa(10_000_000+i))
			b.Advance(time.Minute)
			if i%2 == 0 {
				w.do(t, "SET", "always used", "v", "EX", "100000000")
			}
		}
		w.expect(t, "+OK", "CONFIG", "SET", "maxmemory", strconv.Itoa(1<<30))
		used := b.keys.UsedMemory()
		w.do(t, "CONFIG", "SET", "maxmemory", strconv.Itoa(used-evictions*(used-1<<20)/keys))
		w.expect(t, "v", "GET", "always used")
		gone, early := 0, 0
		for i := range keys {
			if b.keys.DBs[0].Get(fmt.Sprintf("%04d", i)) == nil {
				if gone++; i < keys/2 {
					early++
				}
			}
		}
		if gone < evictions-5 || gone > evictions+5 || early < gone*9/10 {
			t.Errorf("%s: %d keys were evicted, of which %d are of the half to be evicted first", policy, gone, early)
		}
	}
}

// A counter of uses grows ever more slowly, and decays.
func TestFrequency(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	w := inMemory(t, b)
	w.do(t, "SET", "old", "v")
	w.do(t, "CONFIG", "SET", "maxmemory-policy", "volatile-lfu")
	w.expect(t, "5", "OBJECT", "FREQ", "old") // as if it were new
	w.do(t, "SET", "k", "v")
	frequency := func() int {
		n, err := strconv.Atoi(w.do(t, "OBJECT", "FREQ", "k"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct{ uses, least, most int }{{1, 6, 6}, {99, 7, 15}, {900, 12, 30}} {
		for range step.uses {
			w.do(t, "GET", "k")
		}
		if n := frequency(); n < step.least || n > step.most {
			t.Errorf("after %d uses more: %d, want %d to %d", step.uses, n, step.least, step.most)
		}
	}
	before := frequency()
	b.Advance(3 * time.Minute)
	if n := frequency(); n != before-3 {
		t.Errorf("%d after three minutes, %d before", n, before)
	}
	w.do(t, "CONFIG", "SET", "lfu-decay-time", "0")
	b.Advance(time.Hour)
	if n := frequency(); n != before {
		t.Errorf("%d where nothing decays, want %d", n, before)
	}
	w.do(t, "CONFIG", "SET", "lfu-decay-time", "1")
	if n := frequency(); n != 0 {
		t.Errorf("%d after an hour, want 0", n)
	}
}

// A limit that is lowered evicts keys although no command comes.
func TestEvictionWithoutCommand(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxMemoryPolicy: "allkeys-lru"})
	w := inMemory(t, b)
	w.do(t, "SET", "k", "v")
	w.do(t, "CONFIG", "SET", "maxmemory", "1")
	b.Advance(1)
	if got := b.Snapshot(); got != "" {
		t.Errorf("there is still %s", got)
	}
}

func TestMaxMemoryPolicyOption(t *testing.T) {
	if _, err := New(Options{MaxMemoryPolicy: "lru"}); err == nil || !strings.Contains(err.Error(), "Options.MaxMemoryPolicy") {
		t.Errorf("got %v", err)
	}
}
