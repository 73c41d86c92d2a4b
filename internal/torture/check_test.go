package torture

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A planted history has one client, one call every 100 ms from 0 on, and a Redis that is
// killed without its data from 10 to 11 s. Lines with times in milliseconds are added.
func planted(t *testing.T, lines ...string) *History {
	t.Helper()
	begin := time.UnixMilli(0)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	h := &History{
		Clients: []Process{{Name: "client", Begin: begin}, {Name: "dead", Begin: begin, Killed: at(5000)}},
		Incidents: []*Incident{
			{Fault: "Redis killed", Begin: at(10_000), End: at(11_000), NotSent: true, NoResult: true, Forgets: true},
			{Fault: "server killed", Begin: at(30_000), End: at(30_100), NoResult: true, Kills: true, Servers: []string{"victim"}},
			{Fault: "connections killed", Begin: at(50_000), End: at(51_000), NotSent: true, NoResult: true},
			{Fault: "client stopped", Begin: at(60_000), End: at(61_000), NotSent: true, NoResult: true, Stops: true, Clients: []string{"client-2"}},
			{Fault: "slow", Begin: at(70_000), End: at(71_000), NoResult: true, Outlast: 3 * time.Second},
			{Fault: "slow for long", Begin: at(90_000), End: at(94_000), NoResult: true, Outlast: 3 * time.Second},
			{Fault: "failover", Begin: at(80_000), End: at(81_000), NoResult: true, Repeats: true},
		},
	}
	for n := range 1000 {
		if n >= 100 && n < 110 { // Redis is not there
			continue
		}
		lines = append(lines, "begin "+strconv.Itoa(100*n)+" c"+strconv.Itoa(n)+" 1000 result", "end "+strconv.Itoa(100*n+5)+" c"+strconv.Itoa(n)+" result \"\"")
		lines = append(lines, "server: run "+strconv.Itoa(100*n+1)+" c"+strconv.Itoa(n), "server: ran "+strconv.Itoa(100*n+2)+" c"+strconv.Itoa(n))
	}
	for _, line := range lines {
		process := "client"
		if before, after, ok := strings.Cut(line, ": "); ok && !strings.Contains(before, " ") {
			process, line = before, after
		}
		fields := strings.Fields(line)
		fields[1] += "000"
		if fields[0] == "begin" {
			fields[3] += "000"
		}
		if fields[0] == "stall" {
			fields[2] += "000"
		}
		if err := h.add(process, strings.Join(fields, " ")); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestCheck: the checker finds what is planted, and nothing else.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		lines   []string
		promise string // that is broken; none if it is empty
	}{
		{"all is well", nil, ""},
		{"a call runs twice", []string{"other: run 20003 c200", "other: ran 20004 c200"}, promiseNotTwice},
		{"a call runs again after a failover", []string{"other: run 80500 c800"}, ""},
		{"a call runs again, but not after a failover", []string{"other: run 82500 c820"}, promiseNotTwice},
		{"a call runs that nobody made", []string{"server: run 1 ghost"}, promiseNotTwice},
		{"a call that was not sent runs", []string{"begin 10100 x 1000 result", `end 10101 x not-sent "refused"`, "server: run 10150 x"}, promiseNotSent},
		{"a call that was withdrawn runs", []string{"begin 20000 x 1000 cancel", `end 20001 x withdrawn ""`, "server: run 20150 x"}, promiseNotSent},
		{"a call ends twice", []string{`end 20006 c200 result ""`}, promiseOnce},
		{"a call never ends", []string{"begin 20000 x 1000 result"}, promiseOnce},
		{"a call dies with its client", []string{"dead: begin 4900 x 1000 result"}, ""},
		{"a call is lost", []string{"begin 20000 x 1000 result", `end 21000 x no-result "timeout"`}, promiseNotLost},
		{"a call is not sent", []string{"begin 20000 x 1000 result", `end 20001 x not-sent "refused"`}, promiseNotLost},
		{"a call is lost with its server", []string{"begin 29900 x 1000 result", `end 30900 x no-result "timeout"`, "victim: run 29901 x"}, ""},
		{"its result is lost with its server", []string{"begin 29900 x 8000 result", `end 37900 x no-result "timeout"`, "victim: run 29901 x", "victim: ran 29902 x"}, ""},
		{"a call is not sent because a server dies", []string{"begin 29900 x 1000 result", `end 30900 x not-sent "timeout"`}, promiseNotLost},
		{"a result is lost with another server", []string{"begin 29900 x 8000 result", `end 37900 x no-result "timeout"`, "server: run 29901 x", "server: ran 29902 x"}, promiseDelivered},
		{"a result is lost with connections", []string{"begin 50100 x 8000 result", `end 58100 x no-result "timeout"`, "server: run 50101 x", "server: ran 50102 x"}, promiseDelivered},
		{"a result comes too late after connections were lost", []string{"begin 50100 x 1000 result", `end 51100 x no-result "timeout"`, "server: run 50101 x", "server: ran 50102 x"}, ""},
		{"a result of an old server is lost with connections", []string{"begin 50100 x 8000 result", `end 58100 x no-result "timeout"`, "old-server: run 50101 x", "old-server: ran 50102 x"}, ""},
		{"a result of an old server is lost as its client is stopped", []string{"client-2: begin 60100 x 8000 result", `client-2: end 68100 x no-result "timeout"`, "old-server: run 60101 x", "old-server: ran 60102 x"}, promiseDelivered},
		{"a result of an old server is lost in peace", []string{"begin 48000 x 1000 result", `end 49000 x no-result "timeout"`, "old-server: run 48001 x", "old-server: ran 48002 x"}, promiseNotLost},
		{"a result is lost in peace", []string{"begin 48000 x 8000 result", `end 56000 x no-result "timeout"`, "server: run 48001 x", "server: ran 48002 x"}, promiseDelivered},
		{"a result has no time between faults", []string{"begin 50100 x 2500 result", `end 52600 x no-result "timeout"`, "server: run 50101 x", "server: ran 50102 x"}, ""},
		{"a result is lost with Redis", []string{"begin 10100 x 8000 result", `end 18100 x no-result "timeout"`, "server: run 10101 x", "server: ran 10102 x"}, ""},
		{"a call is lost by what happened to another", []string{"begin 60100 x 1000 result", `end 61100 x no-result "timeout"`}, promiseNotLost},
		{"a short call is lost where all is slow", []string{"begin 70100 x 1000 result", `end 71100 x no-result "timeout"`}, ""},
		{"a patient call is lost where all is slow", []string{"begin 70100 x 8000 result", `end 78100 x no-result "timeout"`}, promiseNotLost},
		{"a patient call ends before what is slow for longer", []string{"begin 90100 x 3000 result", `end 93100 x no-result "timeout"`}, ""},
		{"a patient call is lost after all was slow", []string{"begin 90100 x 4000 result", `end 94100 x no-result "timeout"`}, promiseNotLost},
		{"a call is lost as the machine is busy", []string{"begin 20000 x 1000 result", `end 21000 x no-result "timeout"`, "server: stall 20900 600"}, ""},
		{"a caller waits too long", []string{"begin 20000 x 1000 result", `end 21500 x result ""`, "server: run 20001 x", "server: ran 20002 x"}, promisePrompt},
		{"a caller waits long as its process stands", []string{"begin 20000 x 1000 result", `end 21500 x result ""`, "server: run 20001 x", "server: ran 20002 x", "stall 21499 400"}, ""},
		{"a caller waits long as two stalls are one", []string{"begin 20000 x 1000 result", `end 21500 x result ""`, "server: run 20001 x", "server: ran 20002 x", "stall 21400 200", "stall 21400 200"}, promisePrompt},
		{"a failure is a result", []string{"begin 20000 x 1000 failure", `end 20005 x result ""`, "server: run 20001 x", "server: ran 20002 x"}, promiseKind},
		{"a panic is a panic", []string{"begin 20000 x 1000 panic", `end 20005 x remote:panic "oh"`, "server: run 20001 x", "server: ran 20002 x"}, ""},
		{"a panic is another failure", []string{"begin 20000 x 1000 panic", `end 20005 x remote: "oh"`, "server: run 20001 x", "server: ran 20002 x"}, promiseKind},
		{"a result is that of another call", []string{"begin 20000 x 1000 result", `end 20005 x wrong "that of y"`, "server: run 20001 x", "server: ran 20002 x"}, promiseKind},
		{"a result comes from nowhere", []string{"begin 20000 x 1000 result", `end 20005 x result ""`}, promiseKind},
		{"arguments are too long", []string{"begin 20000 x 1000 refusal", `end 20005 x not-sent "too long"`}, ""},
		{"arguments are too long, and lost", []string{"begin 20000 x 1000 refusal", `end 21000 x no-result "timeout"`}, promiseNotLost},
		{"a cancelled call", []string{"begin 20000 x 1000 cancel", `end 20005 x cancelled ""`}, ""},
		{"a cancelled call that nobody has cancelled", []string{"begin 20000 x 1000 result", `end 20005 x cancelled ""`}, promiseKind},
		{"what is sent runs", []string{"begin 20000 x 1000 delivery", `end 20005 x delivered ""`, "server: run 20001 x"}, ""},
		{"what is sent does not run", []string{"begin 20000 x 1000 delivery", `end 20005 x delivered ""`}, promiseNotLost},
		{"a goroutine is left", []string{`left 99000 "one goroutine"`}, promiseNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := planted(t, c.lines...).Check()
			var want []string
			if c.promise != "" {
				want = []string{c.promise}
			}
			if got := slices.Sorted(maps.Keys(v.Violations)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", v.Violations, want)
			}
		})
	}
}

// TestCheckRecovery: what goes on too late after a fault is seen.
func TestCheckRecovery(t *testing.T) {
	h := planted(t)
	for n := 110; n < 125; n++ {
		delete(h.Calls, "c"+strconv.Itoa(n))
	}
	v := h.Check()
	if n := len(v.Violations[promiseRecovery]); n != 0 {
		t.Errorf("after 1.5 s: got %q", v.Violations)
	}
	if got := v.Recoveries["Redis killed"]; len(got) != 1 || got[0] != 1505*time.Millisecond {
		t.Errorf("got %v, want 1.505s", got)
	}
	for n := 125; n < 140; n++ {
		delete(h.Calls, "c"+strconv.Itoa(n))
	}
	if v := h.Check(); len(v.Violations[promiseRecovery]) != 1 {
		t.Errorf("after 3 s: got %q", v.Violations)
	}
}

// TestJournal: what a process writes is read.
// A stall that is noted twice counts once, in whichever order and however much of it is in both.
func TestStallsOverlap(t *testing.T) {
	for lines, want := range map[string]time.Duration{
		"stall 100 50, stall 300 50":                100 * time.Millisecond,
		"stall 300 100, stall 350 120":              150 * time.Millisecond,
		"stall 350 120, stall 300 100":              150 * time.Millisecond,
		"stall 300 200, stall 200 50":               200 * time.Millisecond,
		"stall 300 50, stall 310 200":               200 * time.Millisecond,
		"stall 100 50, stall 300 50, stall 300 300": 300 * time.Millisecond,
		"stall 300 200, stall 200 50, stall 300 20": 200 * time.Millisecond,
	} {
		c := &checker{h: planted(t, strings.Split(lines, ", ")...)}
		if got := c.stalledIn("client", span{time.UnixMilli(0), time.UnixMilli(1000)}); got != want {
			t.Errorf("%s: got %v, want %v", lines, got, want)
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, "client")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMicro(1_700_000_000_000_001)
	j.add("begin", now, "a", "5000", wantResult)
	j.add("end", now, "a", endNoResult, `"two words\n"`)
	j.add("run", now, "a")
	j.add("ran", now, "a")
	j.add("stall", now, "1000")
	var h History
	if err := h.ReadJournals(dir); err != nil {
		t.Fatal(err)
	}
	c := h.Calls["a"]
	if c == nil || !c.Begin.Equal(now) || c.Timeout != 5*time.Millisecond || c.Want != wantResult || c.Client != "client" || len(c.Ends) != 1 ||
		c.Ends[0] != (End{now, endNoResult, "two words\n"}) || len(c.Runs) != 1 || c.Runs[0] != (Run{"client", now, now}) {
		t.Errorf("got %+v", c)
	}
	if got := h.stalls["client"]; len(got) != 1 || got[0].end.Sub(got[0].begin) != time.Millisecond {
		t.Errorf("got stalls %v", got)
	}
	for _, line := range []string{"begin", "begin x a 1 result", "begin 1 a x result", "end 1 a result unquoted", "stall 1 x", "nonsense 1 2"} {
		if err := os.WriteFile(filepath.Join(dir, "bad"+journalSuffix), []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.ReadJournals(dir); err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: got %v, want an error that has the line", line, err)
		}
	}
}

// TestJournalOnASlowDisk: a write that takes long is noted as a stall, behind its line.
func TestJournalOnASlowDisk(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	j := &journal{file: w}
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer w.Close()                                       // or a line that is missing would be waited for
		j.add("left", time.Now(), strings.Repeat("x", 1<<20)) // more than a pipe holds
		j.add("run", time.Now(), "a")
	}()
	lines := bufio.NewReader(r)
	if _, err := lines.Peek(1); err != nil { // it has begun
		t.Fatal(err)
	}
	time.Sleep(2 * leastStall)
	for _, want := range []string{"left ", "stall ", "run "} {
		if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("got %q, %v, want a line that begins with %q", line[:min(len(line), 50)], err, want)
		}
	}
	<-written
}
