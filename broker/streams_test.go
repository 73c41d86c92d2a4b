package broker

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

// streamRecipes make streams at the edges of the ways in which they are written.
var streamRecipes = map[string][]string{
	"entries":                  {"XADD k 1-1 f v", "XADD k 2-1 f -5", "XADD k 2-2 g 1 h 2", "XADD k 70000-1 f 4096"},
	"deleted ones":             {"XADD k 1-1 f v", "XADD k 2-1 f v", "XADD k 3-1 f v", "XDEL k 2-1 3-1"},
	"none":                     {"XADD k 1-1 f v", "XDEL k 1-1"},
	"none but a group":         {"XGROUP CREATE k g 0 MKSTREAM"},
	"groups":                   {"XADD k 1-1 f v", "XADD k 2-1 f v", "XGROUP CREATE k 12 $ ENTRIESREAD 2", "XGROUP CREATE k g 0", "XREADGROUP GROUP g alice COUNT 1 STREAMS k >", "XREADGROUP GROUP g 300 STREAMS k >", "XGROUP CREATECONSUMER k g bob"},
	"what was deleted pending": {"XADD k 1-1 f v", "XADD k 2-1 f v", "XGROUP CREATE k g 0", "XREADGROUP GROUP g alice STREAMS k >", "XCLAIM k g bob 0 1-1 TIME 5 RETRYCOUNT 100000", "XDEL k 1-1"},
	"many nodes":               strings.Split(strings.TrimSuffix(strings.Repeat("XADD k 5-* field value-of-some-length;", 250), ";"), ";"),
	"the greatest ID":          {"XADD k 18446744073709551615-18446744073709551615 f v", "XSETID k 18446744073709551615-18446744073709551615 ENTRIESADDED 100 MAXDELETEDID 7-7"},
}

// What the broker dumps of a stream Redis restores, and the other way round: all that XINFO
// shows is the same, its groups with their times included.
func TestStreamsDumpedAndRedis(t *testing.T) {
	redis := newWire(dial(t, redistest.Start(t).TCPAddr()))
	broker := inMemory(t, newBroker(t, Options{}))
	shown := func(w *wire, key string) string { return w.do(t, "XINFO", "STREAM", key, "FULL", "COUNT", "0") }
	for name, commands := range streamRecipes {
		for _, w := range []*wire{redis, broker} {
			w.do(t, "FLUSHALL")
			w.do(t, "CONFIG", "SET", "rdbcompression", "no")
			for _, c := range commands {
				if got := w.do(t, strings.Fields(c)...); strings.HasPrefix(got, "-") {
					t.Fatalf("%s: %s: %s", name, c, got)
				}
			}
		}
		for _, from := range []*wire{redis, broker} {
			dumped := unquoted(t, from.do(t, "DUMP", "k"))
			for _, to := range []*wire{redis, broker} {
				to.expect(t, "+OK", "RESTORE", "copy", "0", dumped, "REPLACE")
				if got, want := shown(to, "copy"), shown(from, "k"); got != want {
					t.Errorf("%s: got %s, want %s", name, got, want)
				}
				if again := unquoted(t, to.do(t, "DUMP", "copy")); again != dumped {
					t.Errorf("%s: got %q, want %q", name, again, dumped)
				}
			}
		}
	}
}

// Snapshot and Seed bring all of a stream back, and so does COPY.
func TestStreamsComeBack(t *testing.T) {
	for name, commands := range streamRecipes {
		b := newBroker(t, Options{ManualTime: noon})
		w := inMemory(t, b)
		for _, c := range commands {
			w.do(t, strings.Fields(c)...)
			b.Advance(time.Second)
		}
		w.expect(t, "1", "COPY", "k", "copy")
		other := newBroker(t, Options{ManualTime: noon})
		if err := other.Seed(b.Snapshot()); err != nil {
			t.Fatal(err)
		}
		want := w.do(t, "XINFO", "STREAM", "k", "FULL", "COUNT", "0")
		for key, w := range map[string]*wire{"copy": w, "k": inMemory(t, other)} {
			if got := w.do(t, "XINFO", "STREAM", key, "FULL", "COUNT", "0"); got != want {
				t.Errorf("%s: %s is %s, expected %s", name, key, got, want)
			}
		}
		if got := other.Snapshot(); got != b.Snapshot() {
			t.Errorf("%s: got %s, want %s", name, got, b.Snapshot())
		}
	}
}

// bare is a reply without the quotes around what begins with a digit.
func bare(reply string) string { return strings.ReplaceAll(reply, `"`, "") }

// plain is expect for a bare reply.
func (w *wire) plain(t testing.TB, want string, args ...string) {
	t.Helper()
	if got := bare(w.do(t, args...)); got != want {
		t.Errorf("%q: got %s, want %s", args, got, want)
	}
}

// Times are those of the broker's clock, which a test moves.
func TestStreamsInManualTime(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.UnixMilli(1000)})
	w, other := inMemory(t, b), inMemory(t, b)
	w.plain(t, "1000-0", "XADD", "s", "*", "f", "1")
	w.plain(t, "1000-1", "XADD", "s", "*", "f", "2")
	b.Advance(time.Second)
	w.plain(t, "2000-0", "XADD", "s", "*", "f", "3")
	w.plain(t, "5000-0", "XADD", "s", "5000-*", "f", "4")
	w.plain(t, "5000-1", "XADD", "s", "*", "f", "5")
	w.plain(t, "+OK", "XGROUP", "CREATE", "s", "g", "0")
	w.plain(t, "[[s [[1000-0 [f 1]]]]]", "XREADGROUP", "GROUP", "g", "alice", "COUNT", "1", "STREAMS", "s", ">")
	b.Advance(500 * time.Millisecond)
	w.plain(t, "[[s [[1000-1 [f 2]]]]]", "XREADGROUP", "GROUP", "g", "bob", "COUNT", "1", "STREAMS", "s", ">")
	b.Advance(250 * time.Millisecond)
	w.plain(t, "[[1000-0 alice 750 1] [1000-1 bob 250 1]]", "XPENDING", "s", "g", "-", "+", "10")
	w.plain(t, "[[1000-0 alice 750 1]]", "XPENDING", "s", "g", "IDLE", "500", "-", "+", "10")
	w.plain(t, "[[name alice pending 1 idle 750] [name bob pending 1 idle 250]]", "XINFO", "CONSUMERS", "s", "g")
	w.plain(t, "[0-0 [[1000-0 [f 1]]] []]", "XAUTOCLAIM", "s", "g", "bob", "500", "0")
	w.plain(t, "[]", "XCLAIM", "s", "g", "alice", "500", "1000-1")
	w.plain(t, "[[1000-1 [f 2]]]", "XCLAIM", "s", "g", "alice", "250", "1000-1", "IDLE", "100")
	w.plain(t, "[[1000-0 bob 0 2] [1000-1 alice 100 2]]", "XPENDING", "s", "g", "-", "+", "10")
	other.send(t, "XREAD", "BLOCK", "100", "STREAMS", "s", "$")
	if err := b.WaitBlocked(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b.Advance(99 * time.Millisecond)
	if err := b.WaitBlocked(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b.Advance(time.Millisecond)
	if got := other.reply(t); got != "nil-list" {
		t.Errorf("got %s, want nil-list", got)
	}
}

// Over every kind of connection: who waits for entries gets them, in order, and who has gone
// gets none that another of the group would.
func TestBlockedOnStreams(t *testing.T) {
	transports(t, Options{}, func(t *testing.T, b *Broker, dial func(testing.TB) net.Conn) {
		w := newWire(dial(t))
		w.plain(t, "+OK", "XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
		for round := range 20 {
			first, second, reader := newWire(dial(t)), newWire(dial(t)), newWire(dial(t))
			first.send(t, "XREADGROUP", "GROUP", "g", "first", "BLOCK", "0", "STREAMS", "s", ">")
			if err := b.WaitBlocked(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			second.send(t, "XREADGROUP", "GROUP", "g", "second", "BLOCK", "0", "STREAMS", "s", ">")
			reader.send(t, "XREAD", "BLOCK", "0", "STREAMS", "s", "$")
			if err := b.WaitBlocked(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("%d-0", round+1)
			w.plain(t, id, "XADD", "s", id, "n", "x")
			want := fmt.Sprintf("[[s [[%s [n x]]]]]", id)
			if got := bare(second.reply(t)); got != want {
				t.Errorf("the second of the group got %s, want %s", got, want)
			}
			if got := bare(reader.reply(t)); got != want {
				t.Errorf("the reader got %s, want %s", got, want)
			}
			w.plain(t, "1", "XACK", "s", "g", id)
		}
		w.plain(t, "[0 nil nil nil-list]", "XPENDING", "s", "g")
	})
}

// What an entry takes, and one that is pending, beside redis-server; and that MEMORY USAGE tells
// about as much.
func TestMemoryOfStreams(t *testing.T) {
	const entries = 20_000
	redis := newWire(dial(t, redistest.Start(t).TCPAddr()))
	b := newBroker(t, Options{})
	w := inMemory(t, b)
	usage := func() int { return number(t, w.do(t, "MEMORY", "USAGE", "k")) }
	redis.do(t, "XGROUP", "CREATE", "k", "g", "0", "MKSTREAM")
	w.do(t, "XGROUP", "CREATE", "k", "g", "0", "MKSTREAM")
	for _, c := range []struct{ name, script, value string }{
		{"an entry of 8 bytes", "for i = 1, 20000 do redis.call('XADD', 'k', i .. '-1', 'field', ARGV[1]) end", strings.Repeat("v", 8)},
		{"an entry of 200 bytes", "for i = 1, 20000 do redis.call('XADD', 'k', 30000 + i .. '-1', 'field', ARGV[1]) end", strings.Repeat("v", 200)},
		{"a pending entry", "redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 20000, 'STREAMS', 'k', '>')", ""},
	} {
		grow := func(w *wire, used func() int) float64 {
			before := used()
			w.expect(t, "nil", "EVAL", c.script, "1", "k", c.value)
			return float64(used()-before) / entries
		}
		told := usage()
		ours, theirs := grow(w, heapInUse), grow(redis, func() int { return redisMemory(t, redis) })
		said := float64(usage()-told) / entries
		t.Logf("%s: %.1f bytes, in redis-server %.1f (times %.2f); MEMORY USAGE says %.1f", c.name, ours, theirs, ours/theirs, said)
		if ours > 1.3*theirs {
			t.Errorf("%s: %.1f bytes, in redis-server %.1f", c.name, ours, theirs)
		}
		if said < 0.8*ours || said > 1.2*ours {
			t.Errorf("%s: %.1f bytes, MEMORY USAGE says %.1f", c.name, ours, said)
		}
	}
}

// Do returns entries as lists, and what several streams have as a map.
func TestStreamsByDo(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.UnixMilli(5)})
	do := func(want string, args ...any) {
		t.Helper()
		got, err := b.Do(args...)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, %v, want %s", args, got, err, want)
		}
	}
	do("5-0", "XADD", "s", "*", "f", "v", "g", 7)
	do("5-1", "XADD", "s", "*", "f", "w")
	do("[[5-0 [f v g 7]] [5-1 [f w]]]", "XRANGE", "s", "-", "+")
	do("map[s:[[5-1 [f w]]]]", "XREAD", "STREAMS", "s", "missing", "5-0", "0")
	do("<nil>", "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
}
