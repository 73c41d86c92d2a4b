package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/rpc"
)

func TestBoard(t *testing.T) {
	var b board
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	queue := func(fn string, depth int64) rpc.Function {
		return rpc.Function{Queue: rpc.Queue{Func: fn, Depth: depth}}
	}
	b.look(at, &rpc.Overview{})
	if got := b.text(nil); got != "calls waiting: 0, servers online: 0, workers busy: 0 of 0\n" {
		t.Errorf("of nothing: got\n%s", got)
	}
	b = board{}
	many := queue("many\x1b", 1000)
	many.Oldest, many.Dated, many.Servers, many.InFlight = 1234567*time.Microsecond, true, 2, 3
	report := &rpc.Report{Workers: 64, Stats: rpc.Stats{FuncStats: rpc.FuncStats{InFlight: 3}, Functions: map[string]rpc.FuncStats{"many\x1b": {}, "a": {}}}}
	b.look(at, &rpc.Overview{
		Servers:   []rpc.OnlineServer{{Kind: "worker", ID: "one\n", Expires: 1500 * time.Millisecond, Report: report}, {Kind: "x", ID: "y"}},
		Functions: []rpc.Function{queue("few", 2), many}})
	want := `calls waiting: 1002, servers online: 2, workers busy: 3 of 64

FUNCTION  WAITING  CHANGE/S  OLDEST  CALLS/S  ERRORS/S  BUSY  SERVERS
many?     1000     -         1.235s  -        -         3     2
few       2        -         -       -        -         -     -

KIND    SERVER  EXPIRES IN  BUSY  FUNCTIONS
worker  one?    1.5s        3/64  a, many?
x       y       never       -     -
`
	if got := b.text(nil); got != want {
		t.Errorf("got\n%s", got)
	}
	few := queue("few", 5)
	few.Rate, few.Rated, few.Servers = rpc.Rate{Calls: 1234.56, Errors: 1, Dropped: 0.25}, true, 1
	b.look(at.Add(2*time.Second), &rpc.Overview{Functions: []rpc.Function{few, queue("new", 3)}})
	want = `as of 03:04:07, now: away?really
calls waiting: 8, servers online: 0, workers busy: 0 of 0

FUNCTION  WAITING  CHANGE/S  OLDEST  CALLS/S  ERRORS/S  BUSY  SERVERS
few       5        +1.5      -       1234.6   1.2       0     1
new       3        +1.5      -       -        -         -     -
many?     0        -500.0    -       -        -         -     -
`
	if got := b.text(errors.New("away\nreally")); got != want {
		t.Errorf("got\n%s", got)
	}
	b.look(at.Add(3*time.Second), &rpc.Overview{})
	b.look(at.Add(4*time.Second), &rpc.Overview{})
	if got := b.text(nil); !strings.Contains(got, "many?     0        +0.0 ") {
		t.Errorf("got\n%s", got)
	}
}

func TestFitting(t *testing.T) {
	for _, c := range []struct {
		width, height int
		want          []string
	}{
		{80, 24, []string{"żółw", "2", "", "4"}},
		{2, 4, []string{"żó", "2", "", "4"}},
		{80, 3, []string{"żółw", "2", "... and 2 lines more"}},
		{0, 0, []string{"żółw", "2", "", "4"}},
	} {
		if got := fitting("żółw\n2\n\n4\n", c.width, c.height); !slices.Equal(got, c.want) {
			t.Errorf("%dx%d: got %q", c.width, c.height, got)
		}
	}
}

func TestFittingOfWideText(t *testing.T) {
	if got := fitting("漢字漢字", 5, 24); got[0] != "漢字" {
		t.Errorf("got %q", got)
	}
}

// Names of any width leave the other columns in their places.
func TestTableOfWideNames(t *testing.T) {
	got := table([][]string{{"NAME", "N"}, {"漢字", "1"}, {"ab\n", "2"}, {strings.Repeat("w", 200), "3"}, {strings.Repeat("字", 200), "last " + strings.Repeat("x", 200)}})
	pad := func(n int) string { return strings.Repeat(" ", n) }
	want := "NAME" + pad(38) + "N\n漢字" + pad(38) + "1\nab?" + pad(39) + "2\n" + strings.Repeat("w", 39) + "…  3\n" + strings.Repeat("字", 19) + "… " + pad(2) + "last " + strings.Repeat("x", 200) + "\n"
	if got != want {
		t.Errorf("got\n%s, expected\n%s", got, want)
	}
}

// Of servers that tell nothing but that they are there, nobody knows who is busy.
func TestBusyOf(t *testing.T) {
	known := rpc.OnlineServer{Report: &rpc.Report{Workers: 4, Stats: rpc.Stats{FuncStats: rpc.FuncStats{InFlight: 1}}}}
	for want, servers := range map[string][]rpc.OnlineServer{
		"0 of 0": nil,
		"-":      {{Kind: "worker", ID: "w1"}},
		"1 of 4": {{Kind: "worker", ID: "w1"}, known},
	} {
		if got := busyOf(servers); got != want {
			t.Errorf("%v: got %s, expected %s", servers, got, want)
		}
	}
}

func TestTop(t *testing.T) {
	rdb, url := startRedis(t)
	if err := rdb.RPush(t.Context(), "p:f:calls", "x", "y").Err(); err != nil {
		t.Fatal(err)
	}
	r := redrpc(t, "top", "-n", "2", "--interval", "1ms", "--prefix", "p", "--redis", url)
	r.want(t, exitOK)
	frame := `\d\d:\d\d:\d\d  ` + regexp.QuoteMeta(url) + `, prefix p, every 1ms
calls waiting: 2, servers online: 0, workers busy: 0 of 0

FUNCTION  WAITING  CHANGE/S  OLDEST  CALLS/S  ERRORS/S  BUSY  SERVERS
f         2        `
	const unknown = `       -        -         -     -`
	if !regexp.MustCompile("^" + frame + "-         -" + unknown + "\n\n" + frame + `\+0\.0      -` + unknown + "\n$").MatchString(r.stdout) {
		t.Errorf("got\n%s", r.stdout)
	}

	s := start(t, nil, "top", "--interval", "1h", "--redis", url)
	s.await(t, &s.stdout, "calls waiting: 0")
	s.stop()
	if code := s.wait(); code != exitOK || strings.Contains(s.stdout.String(), "\x1b") {
		t.Errorf("exit code %d, %q, %q", code, s.stdout.String(), s.stderr.String())
	}
	redrpc(t, "top", "--redis", "redis://127.0.0.1:1").want(t, exitFailed, "redis://127.0.0.1:1")
}

// What servers do is shown as they report it.
func TestTopOfServers(t *testing.T) {
	_, url := startRedis(t)
	server := start(t, nil, "serve", "--redis", url, "--kind", "k", "--id", "one", "--workers", "7")
	server.await(t, &server.stderr, "serving add, echo, fail, sleep")
	s := start(t, nil, "top", "--interval", "100ms", "--redis", url)
	await := func(pattern string) {
		t.Helper()
		s.awaitThat(t, &s.stdout, pattern, regexp.MustCompile(pattern).MatchString)
	}
	await(`\nk +one +\d[\d.]*m?s +0/7 +add, echo, fail, sleep\n`) // so what it reports next has a rate
	for range 3 {
		redrpc(t, "call", "fail", "--redis", url).want(t, exitRemote)
	}
	await(`\nfail +0 +\+0\.0 +- +([1-9]\d*\.\d|0\.[1-9]) +([1-9]\d*\.\d|0\.[1-9]) +0 +1\n`)

	r := redrpc(t, "servers", "--redis", url)
	r.want(t, exitOK)
	if !regexp.MustCompile(`^KIND  ID   EXPIRES IN  BUSY  FUNCTIONS\nk     one  \S+ +0/7   add, echo, fail, sleep\n$`).MatchString(r.stdout) {
		t.Errorf("got\n%s", r.stdout)
	}
}
