package broker

import (
	"maps"
	"math/rand/v2"
	"redrpc/internal/redistest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Scripts can make any number of error codes, of which only so many are counted by themselves.
func TestErrorCodesAreBounded(t *testing.T) {
	b := newBroker(t, Options{})
	for i := range 3000 {
		b.Do("EVAL", "return redis.error_reply('CODE' .. ARGV[1] .. string.rep(' x', 1000))", 0, i) // its error is what is counted
	}
	s := b.Stats()
	if len(s.ErrorCodes) != maxErrorCodes || s.Errors != 3000 || s.ErrorCodes["CODE0"] != 1 {
		t.Errorf("%d codes of %d errors are counted, expected %d of 3000", len(s.ErrorCodes), s.Errors, maxErrorCodes)
	}
	b.Do("EVAL", "return redis.error_reply('CODE0 again')", 0)
	if n := b.Stats().ErrorCodes["CODE0"]; n != 2 {
		t.Errorf("a code that is known is counted %d times, expected 2", n)
	}
}

// What INFO and Stats tell of commands that ran, failed and were refused. The
// differential test compares more of it with redis-server.
func TestStats(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxClients: 3})
	a, waiting := inMemory(t, b), inMemory(t, b)
	for _, args := range [][]string{
		{"SET", "k", "v"}, {"GET", "k"}, {"GET", "none"}, {"GET"}, {"LPUSH", "k", "v"}, {"NOSUCH"}, {"CLIENT", "NOSUCH"},
		{"MULTI"}, {"INCR", "n"}, {"LPUSH", "k", "v"}, {"EXEC"},
		{"MULTI"}, {"GET"}, {"EXEC"},
	} {
		a.do(t, args...)
	}
	waiting.send(t, "BLPOP", "q", "0")
	a.do(t, "RPUSH", "q", "x")
	waiting.reply(t)
	waiting.send(t, "BLPOP", "q", "0")
	if _, err := b.Do("LPUSH", "k", "v"); err == nil {
		t.Error("LPUSH of a string: expected an error")
	}
	inMemory(t, b)
	if _, err := inMemory(t, b).read(); err != nil {
		t.Fatal(err)
	}

	s := b.Stats()
	for name, c := range map[string]struct{ got, want int64 }{
		"Clients":     {int64(s.Clients), 3},
		"Blocked":     {int64(s.Blocked), 1},
		"Connections": {s.Connections, 4},
		"Rejected":    {s.Rejected, 1},
		"Commands":    {s.Commands, 14},
		"Unknown":     {s.Unknown, 2},
		"Errors":      {s.Errors, 8},
		"WRONGTYPE":   {s.ErrorCodes["WRONGTYPE"], 3},
		"EXECABORT":   {s.ErrorCodes["EXECABORT"], 1},
		"ERR":         {s.ErrorCodes["ERR"], 4},
		"Hits":        {s.Hits, 1},
		"Misses":      {s.Misses, 1},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", name, c.got, c.want)
		}
	}
	want := map[string]CommandStats{
		"set": {Calls: 1}, "get": {Calls: 2, Rejected: 2}, "lpush": {Calls: 3, Failed: 3}, "incr": {Calls: 1},
		"multi": {Calls: 2}, "exec": {Calls: 2, Failed: 1}, "blpop": {Calls: 2}, "rpush": {Calls: 1},
	}
	for name, c := range s.ByCommand {
		c.Took = 0
		s.ByCommand[name] = c
	}
	if !maps.Equal(s.ByCommand, want) {
		t.Errorf("by command: got %v, want %v", s.ByCommand, want)
	}

	a.expect(t, "+OK", "CONFIG", "RESETSTAT")
	if s := b.Stats(); s.Commands != 1 || s.Errors != 0 || len(s.ErrorCodes) != 0 || s.Connections != 0 || s.Blocked != 1 {
		t.Errorf("after CONFIG RESETSTAT: %+v", s)
	}
}

// The sections of INFO, and fields whose values depend on nothing.
func TestInfo(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0), MaxMemory: 2 << 20})
	c := inMemory(t, b)
	ask := func(sections ...string) string {
		t.Helper()
		text, err := b.Do("INFO", sections)
		if err != nil {
			t.Fatal(err)
		}
		return text.(string)
	}
	c.do(t, "SET", "k", strings.Repeat("x", 1<<20))
	c.do(t, "DEL", "k")
	c.do(t, "PING")
	info := ask("everything")
	for _, line := range []string{
		"# Server", "redis_version:7.0.15", "tcp_port:0", "server_time_usec:1700000000000000", "config_file:",
		"# Clients", "connected_clients:1", "client_recent_max_output_buffer:7",
		"# Memory", "used_memory:1048576", "used_memory_human:1.00M", "used_memory_peak_human:2.00M", "used_memory_dataset:0", "maxmemory_human:2.00M",
		"# Persistence", "loading:0", "# Replication", "role:master", "# CPU", "# Modules",
		"# Commandstats", "# Errorstats", "# Latencystats", "# Cluster", "# Keyspace",
	} {
		if !strings.Contains("\r\n"+info, "\r\n"+line+"\r\n") {
			t.Errorf("INFO has no line %q:\n%s", line, info)
		}
	}
	if got := ask("latencystats"); !strings.Contains(got, "latency_percentiles_usec_ping:p50=") || !strings.Contains(got, ",p99.9=") {
		t.Errorf("got %q", got)
	}
	c.do(t, "CONFIG", "SET", "latency-tracking", "no")
	if got := ask("latencystats"); got != "# Latencystats\r\n" {
		t.Errorf("without latency-tracking: got %q", got)
	}
	addr := listen(t, b, "tcp", "").String()
	if got := ask("server"); !strings.Contains(got, "tcp_port:"+addr[strings.LastIndex(addr, ":")+1:]+"\r\n") {
		t.Errorf("listening on %s: got %s", addr, got)
	}
}

// INFO has the fields of redis-server, in its order.
func TestInfoFields(t *testing.T) {
	server := newWire(dial(t, redistest.Start(t).TCPAddr()))
	own := inMemory(t, newBroker(t, Options{}))
	fields := func(w *wire, section string) (names []string) {
		text, err := strconv.Unquote(w.do(t, "INFO", section))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			if name, _, isField := strings.Cut(line, ":"); isField && !slices.Contains([]string{"used_memory_heap", "faults_refused_connections", "faults_dropped_clients"}, name) {
				names = append(names, name)
			}
		}
		return names
	}
	for _, section := range []string{"server", "clients", "memory", "persistence", "stats", "replication", "cpu", "cluster", "modules"} {
		if section == "cpu" && runtime.GOOS != "linux" {
			continue
		}
		if got, want := fields(own, section), fields(server, section); !slices.Equal(got, want) {
			t.Errorf("INFO %s: fields\n%q, want\n%q", section, got, want)
		}
	}
}

// Rates are those of the last 1.6 s, without a timer that ticks.
func TestRate(t *testing.T) {
	b := newBroker(t, Options{ManualTime: time.Unix(1_700_000_000, 0)})
	c := inMemory(t, b)
	check := func(when string, want float64) {
		t.Helper()
		if got := b.Stats().Rate; got != want {
			t.Errorf("%s: %v commands a second, want %v", when, got, want)
		}
	}
	for range 16 {
		c.do(t, "PING")
	}
	check("at once", 10)
	b.Advance(1600 * time.Millisecond)
	check("after 1.6 s", 10)
	b.Advance(time.Millisecond)
	check("later", 0)
	for range 100 { // a steady load
		c.do(t, "PING")
		b.Advance(50 * time.Millisecond)
	}
	check("with 20 commands a second", 20)
	b.Advance(time.Hour)
	check("an hour later", 0)
}

// In a bubble, whose clock stands still while a command runs, commands take no
// time.
func TestTookInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := b.Do("PING"); err != nil {
			t.Fatal(err)
		}
		if ping := b.Stats().ByCommand["ping"]; ping.Calls != 1 || ping.Took != 0 {
			t.Errorf("got %+v", ping)
		}
	})
}

func TestRecent(t *testing.T) {
	var r recent
	second := int64(time.Second)
	for _, c := range []struct{ at, n, want int64 }{
		{100, 5, 5}, {101, 3, 5}, {103, 9, 9}, {104, 1, 9}, {107, 2, 9}, {108, 0, 2}, {120, 0, 0},
	} {
		r.note(c.at*second, int(c.n))
		if got := r.most(c.at * second); got != int(c.want) {
			t.Errorf("after %d s: got %d, want %d", c.at, got, c.want)
		}
	}
}

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 1 << 20: "1.00M", 3 << 29: "1.50G", 1 << 50: "1.00P"} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// A percentile is that of the sorted times, no more than 1/128 too large.
func TestHistogram(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var h histogram
	var times []int64
	for range 10_000 {
		n := random.Int64() >> random.IntN(63)
		h.add(n)
		times = append(times, max(1, n))
	}
	slices.Sort(times)
	for _, p := range []float64{0.01, 1, 12.5, 50, 99, 99.9, 100} {
		want := times[max(0, int(p/100*float64(len(times))+0.5)-1)]
		if got := h.percentile(p); got < want || got-want > want/128 {
			t.Errorf("%v %%: got %d, want %d or a little more", p, got, want)
		}
	}
}

func TestRing(t *testing.T) {
	r := ring[int]{most: 3}
	contents := func() (all []int) {
		for i := range r.items {
			all = append(all, *r.at(i))
		}
		return all
	}
	for i, want := range [][]int{{1}, {1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}} {
		if *r.put() = i + 1; !slices.Equal(contents(), want) {
			t.Errorf("got %v, want %v", contents(), want)
		}
	}
	for _, c := range []struct {
		most int
		want []int
	}{{5, []int{3, 4, 5}}, {2, []int{4, 5}}, {0, nil}} {
		if r.resize(c.most); !slices.Equal(contents(), c.want) {
			t.Errorf("resized to %d: got %v, want %v", c.most, contents(), c.want)
		}
	}
}
