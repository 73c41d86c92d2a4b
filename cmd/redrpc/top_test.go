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
	b.look(at, nil, nil)
	if got := b.text(nil); got != "calls waiting: 0, servers online: 0\n" {
		t.Errorf("of nothing: got\n%s", got)
	}
	b = board{}
	b.look(at, []rpc.OnlineServer{{Kind: "worker", ID: "one\n", Expires: 1500 * time.Millisecond}}, []rpc.Queue{
		{Func: "few", Depth: 2}, {Func: "many\x1b", Depth: 1000, Oldest: 1234567 * time.Microsecond, Dated: true}})
	want := `calls waiting: 1002, servers online: 1

FUNCTION  WAITING  PER SECOND  OLDEST
many?     1000     -           1.235s
few       2        -           -

KIND    SERVER  EXPIRES IN
worker  one?    1.5s
`
	if got := b.text(nil); got != want {
		t.Errorf("got\n%s", got)
	}
	b.look(at.Add(2*time.Second), nil, []rpc.Queue{{Func: "few", Depth: 5}, {Func: "new", Depth: 3}})
	want = `as of 03:04:07, now: away?really
calls waiting: 8, servers online: 0

FUNCTION  WAITING  PER SECOND  OLDEST
few       5        +1.5        -
new       3        +1.5        -
many?     0        -500.0      -
`
	if got := b.text(errors.New("away\nreally")); got != want {
		t.Errorf("got\n%s", got)
	}
	b.look(at.Add(3*time.Second), nil, nil)
	b.look(at.Add(4*time.Second), nil, nil)
	if got := b.text(nil); !strings.Contains(got, "many?     0        +0.0        -\n") {
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

func TestTop(t *testing.T) {
	rdb, url := startRedis(t)
	if err := rdb.RPush(t.Context(), "p:f:calls", "x", "y").Err(); err != nil {
		t.Fatal(err)
	}
	r := redrpc(t, "top", "-n", "2", "--interval", "1ms", "--prefix", "p", "--redis", url)
	r.want(t, exitOK)
	frame := `\d\d:\d\d:\d\d  ` + regexp.QuoteMeta(url) + `, prefix p, every 1ms
calls waiting: 2, servers online: 0

FUNCTION  WAITING  PER SECOND  OLDEST
f         2        `
	if !regexp.MustCompile("^" + frame + "-           -\n\n" + frame + `\+0\.0        -` + "\n$").MatchString(r.stdout) {
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
