package broker

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/internal/redistest"
)

// slowlogWords is what SLOWLOG GET says of each command, without numbers, times and
// addresses.
func slowlogWords(t *testing.T, w *wire) []string {
	t.Helper()
	w.send(t, "SLOWLOG", "GET", "-1")
	var entries []string
	n := length(t, w)
	for range n {
		if length(t, w) != 6 {
			t.Fatal("an entry does not have six parts")
		}
		for range 3 {
			w.reply(t)
		}
		args := w.reply(t)
		w.reply(t)
		entries = append(entries, args+" "+w.reply(t))
	}
	return entries
}

// length reads the head of an array.
func length(t *testing.T, w *wire) (n int) {
	t.Helper()
	line, err := w.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(line, "*%d\r\n", &n); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return n
}

// The slow log has the same entries as Redis's if everything counts as slow.
func TestSlowlogIsThatOfRedis(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, Options{})
	record := func(dial func() net.Conn) []string {
		a, waiting := newWire(dial()), newWire(dial())
		a.do(t, "FLUSHALL")
		many := func(n int) []string {
			words := []string{"LPUSH", "q"}
			for i := range n {
				words = append(words, fmt.Sprint(i))
			}
			return words
		}
		for _, args := range [][]string{
			{"CONFIG", "SET", "slowlog-max-len", "1000", "slowlog-log-slower-than", "0"}, {"SLOWLOG", "RESET"},
			{"PING"}, {"SET", "k", "v"}, {"CLIENT", "SETNAME", "me"}, {"AUTH", "x"}, {"AUTH", "default", "y"},
			{"HELLO", "2", "AUTH", "default", "y", "SETNAME", "you"}, {"CONFIG", "SET", "maxmemory", "0", "RequirePass", "", "timeout", "0"},
			{"MULTI"}, {"GET", "k"}, {"LPUSH", "k", "x"}, {"EXEC"}, {"NOSUCH"}, {"GET"}, {"LPUSH", "k", "x"},
			many(30), many(31), {"SET", "k", strings.Repeat("x", 128)}, {"SET", "k", strings.Repeat("x", 129)}, {"RESET"}, {"BLPOP", "none", "0.001"},
		} {
			a.do(t, args...)
		}
		waiting.send(t, "BLPOP", "work", "0")
		deadline := time.Now().Add(patience)
		for !strings.Contains(a.do(t, "INFO", "clients"), "blocked_clients:1") && time.Now().Before(deadline) { // it has not come yet
		}
		a.do(t, "RPUSH", "work", "x")
		waiting.reply(t)
		words := slowlogWords(t, a)
		a.do(t, "CONFIG", "SET", "slowlog-log-slower-than", "10000")
		return slices.DeleteFunc(words, func(entry string) bool { return strings.HasPrefix(entry, "[INFO") })
	}
	want := record(func() net.Conn { return dial(t, server.TCPAddr()) })
	got := record(func() net.Conn { return inMemory(t, b).Conn })
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// SLOWLOG GET returns the newest first, with the number, the time, how long it took
// and who sent it; SLOWLOG-MAX-LEN holds at once. A sleep counts as what it is for.
func TestSlowlog(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	c := inMemory(t, b)
	c.do(t, "CLIENT", "SETNAME", "me")
	c.send(t, "DEBUG", "SLEEP", "2.5")
	b.Advance(2500 * time.Millisecond)
	c.expect(t, "+OK")
	c.expect(t, "1", "SLOWLOG", "LEN")
	c.send(t, "SLOWLOG", "GET")
	got := c.reply(t)
	var number, at, micros int
	if n, err := fmt.Sscanf(got, "[[%d %d %d [DEBUG", &number, &at, &micros); n != 3 {
		t.Fatalf("%s: %v", got, err)
	}
	if number != 0 || at != 1_700_000_000 || micros < 2_500_000 || micros > 3_500_000 || !strings.Contains(got, ` memory:1 me]`) {
		t.Errorf("got %s", got)
	}
	c.expect(t, "+OK", "SLOWLOG", "RESET")
	c.expect(t, "+OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	for range 5 {
		c.do(t, "PING")
	}
	if _, err := b.Do("ECHO", "from Do"); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "+OK", "CONFIG", "SET", "slowlog-max-len", "2", "slowlog-log-slower-than", "-1")
	c.expect(t, "2", "SLOWLOG", "LEN")
	if got := c.do(t, "SLOWLOG", "GET"); !strings.HasPrefix(got, "[[7 ") || !strings.Contains(got, `[ECHO "from Do"] "" ""] [6 `) {
		t.Errorf("got %s", got)
	}
	c.expect(t, "[]", "SLOWLOG", "GET", "0")
	c.expect(t, "+OK", "CONFIG", "SET", "slowlog-max-len", "0", "slowlog-log-slower-than", "0")
	c.expect(t, "0", "SLOWLOG", "LEN")
}

// Spikes are the longest of each second, by kind; DOCTOR and GRAPH tell of them.
func TestLatency(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	c := inMemory(t, b)
	sleep := func(d time.Duration) {
		t.Helper()
		c.send(t, "DEBUG", "SLEEP", fmt.Sprint(d.Seconds()))
		b.Advance(d)
		c.expect(t, "+OK")
	}
	sleep(time.Second)
	c.expect(t, "[]", "LATENCY", "LATEST")
	doctor := func(want string) {
		t.Helper()
		if got := c.do(t, "LATENCY", "DOCTOR"); !strings.Contains(got, want) {
			t.Errorf("got %s, want something with %q", got, want)
		}
	}
	doctor("CONFIG SET latency-monitor-threshold")
	c.expect(t, "+OK", "CONFIG", "SET", "latency-monitor-threshold", "60000")
	doctor("No command has taken 60000 ms")
	sleep(100 * time.Second)
	sleep(300 * time.Second)
	c.expect(t, "+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	got := c.do(t, "LATENCY", "LATEST")
	var at, last, worst int
	if n, err := fmt.Sscanf(got, "[[command %d %d %d]]", &at, &last, &worst); n != 3 {
		t.Fatalf("%s: %v", got, err)
	}
	if at != 1_700_000_101 || last < 300_000 || last > 330_000 || worst != last {
		t.Errorf("got %s", got)
	}
	if got := c.do(t, "LATENCY", "HISTORY", "command"); !strings.HasPrefix(got, "[[1700000001 10") || !strings.Contains(got, "] [1700000101 30") {
		t.Errorf("got %s", got)
	}
	doctor("command: seconds with a spike: 2, 200")
	doctor("CONFIG SET slowlog-log-slower-than 60000000")
	if got := c.do(t, "LATENCY", "GRAPH", "command"); !strings.Contains(got, "5m0s ago") || !strings.Contains(got, strings.Repeat("#", 50)) {
		t.Errorf("got %s", got)
	}
	c.expect(t, "1", "LATENCY", "RESET", "command", "fast-command")
	c.expect(t, "[]", "LATENCY", "HISTORY", "command")
}

// LATENCY HISTOGRAM counts runs up to powers of two.
func TestHistogramPowers(t *testing.T) {
	var h histogram
	for _, n := range []int64{0, 5, 1027, 1028, 1032, 2000, 2060, 1 << 20, 1 << 40} {
		h.add(n)
	}
	var got []string
	for micros, n := range h.powers() {
		got = append(got, fmt.Sprint(micros, ":", n))
	}
	if want := "[1:4 2:7 1056:8 1108101562:9]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Who monitors without reading is closed as any other client is.
func TestMonitorThatDoesNotRead(t *testing.T) {
	b := newBroker(t, Options{Pending: PendingLimit{Hard: 1 << 20}})
	m, c := inMemory(t, b), inMemory(t, b)
	m.expect(t, "+OK", "MONITOR")
	value := strings.Repeat("x", 100_000)
	for range 20 {
		c.expect(t, "+OK", "SET", "k", value)
	}
	if _, err := io.Copy(io.Discard, m.in); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Clients()); n != 1 {
		t.Errorf("%d clients", n)
	}
	b.enter()
	defer b.leave()
	if b.observed || len(b.monitors) > 0 {
		t.Error("there is still a monitor")
	}
}

// What MONITOR quotes can be typed.
func TestWriteQuoted(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	var out strings.Builder
	writeQuoted(&out, all)
	words, ok := resp.SplitLine([]byte(out.String()))
	if !ok || len(words) != 1 || string(words[0]) != string(all) {
		t.Errorf("%s was read as %q", out.String(), words)
	}
}
