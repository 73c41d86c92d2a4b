package broker

import (
	"errors"
	"fmt"

	"redrpc/broker/internal/resp"

	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

var noon = time.Unix(1_700_000_000, 123_456_789)

func TestSnapshot(t *testing.T) {
	b := newBroker(t, Options{ManualTime: noon})
	if got := b.Snapshot(); got != "" {
		t.Errorf("an empty broker: got %q", got)
	}
	long := strings.Repeat("0123456789", 5)
	for _, c := range []struct {
		db   int
		args []any
	}{
		{0, []any{"SET", "plain", "zażółć"}},
		{0, []any{"SET", "", "x"}},
		{0, []any{"SET", "spaces", "a b"}},
		{0, []any{"SET", "json", `{"id": 1, "s": "a\\b"}`}},
		{0, []any{"SET", "quotes", `'"\`}},
		{0, []any{"SET", "apostrophe", `it's`}},
		{0, []any{"SET", "backslash", `\`}},
		{0, []any{"SET", "binary", "\x00\x01\xff\r\n\t\u00a0\u2028\ufffd\x7f"}},
		{0, []any{"SET", "#", "#"}},
		{0, []any{"SET", "expires", "v", "PX", 1500}},
		{0, []any{"SET", "never", "v", "PXAT", int64(1<<63 - 1)}},
		{0, []any{"RPUSH", "short", "a", "", "b c"}},
		{0, []any{"RPUSH", "long", long, "short", long}},
		{0, []any{"EXPIRE", "long", 60}},
		{0, []any{"HSET", "user", "name", "a b", "", "", "age", 5}},
		{0, []any{"HSET", "wide", "one", long, "two", long}},
		{0, []any{"SADD", "members", 3, 1, 20}},
		{0, []any{"ZADD", "scores", "0.1", "b c", "-inf", "a", "1e17", "", "3", "d"}},
		{2, []any{"SET", "other database", "v"}},
	} {
		if _, err := b.DoIn(c.db, c.args...); err != nil {
			t.Fatal(c.args, err)
		}
	}
	b.Advance(time.Millisecond)
	want := `SET "" x
SET # #
SET apostrophe "it's"
SET backslash "\\"
SET binary "\x00\x01\xff\r\n\t\xc2\xa0\xe2\x80\xa8\xef\xbf\xbd\x7f"
SET expires v PX 1499
SET json '{"id": 1, "s": "a\\b"}'
RPUSH long ` + long + `
RPUSH long short
RPUSH long ` + long + `
PEXPIRE long 59999
SADD members 1 3 20
SET never v PX 9223370336854775683
SET plain zażółć
SET quotes "'\"\\"
ZADD scores -inf a 0.10000000000000001 "b c" 3 d 1e+17 ""
RPUSH short a "" "b c"
SET spaces "a b"
HSET user name "a b" "" "" age 5
HSET wide one ` + long + `
HSET wide two ` + long + `
SELECT 2
SET "other database" v
`
	got := b.Snapshot()
	if got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if err := b.Seed("FLUSHALL\n" + got); err != nil {
		t.Fatal(err)
	}
	if again := b.Snapshot(); again != want {
		t.Errorf("after it was seeded: got\n%s\nwant\n%s", again, want)
	}
	b.Advance(time.Minute)
	if got := b.Snapshot(); strings.Contains(got, "expires") || strings.Contains(got, "long") {
		t.Errorf("expired keys are in\n%s", got)
	}
}

func TestSeed(t *testing.T) {
	b := newBroker(t, Options{ManualTime: noon})
	w := inMemory(t, b)
	w.send(t, "BLPOP", "jobs", "0")
	if err := b.Seed(`
		# jobs that wait
		RPUSH jobs one
		lpush jobs 'zero'

		SELECT 3
		SET greeting "hello\n" PX 1500
	`); err != nil {
		t.Fatal(err)
	}
	if got := w.reply(t); got != "[jobs zero]" {
		t.Errorf("the blocked client saw the text half run: got %s", got)
	}
	const want = "RPUSH jobs one\nSELECT 3\nSET greeting \"hello\\n\" PX 1500\n"
	if got := b.Snapshot(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, c := range []struct{ text, want string }{
		{"SET k v\nNONSENSE", "broker: Seed: line 2, NONSENSE: ERR unknown command 'NONSENSE'"},
		{"SET k v\n\n GET ", "broker: Seed: line 3, GET: ERR wrong number of arguments for 'get' command"},
		{"SET k v\nMULTI", "broker: Seed: line 2, MULTI: ERR 'multi' is about"},
		{"SET k v\nSET k \"v", "broker: Seed: line 2, SET k \"v: a quote is not closed"},
		{"SET k v\nSELECT", "broker: Seed: line 2, SELECT: ERR wrong number"},
		{"SELECT 99", "broker: Seed: line 1, SELECT 99: ERR DB index is out of range"},
		{"INCR jobs", "broker: Seed: line 1, INCR jobs: WRONGTYPE"},
	} {
		err := b.Seed(c.text)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s...", c.text, err, c.want)
		}
		var reply Error
		if isReply := !strings.Contains(c.want, "quote"); errors.As(err, &reply) != isReply {
			t.Errorf("%q: is %v an Error? want %v", c.text, err, isReply)
		}
	}
	if got := b.Snapshot(); got != want {
		t.Errorf("texts with errors were run: got\n%s\nwant\n%s", got, want)
	}
	b.Close()
	if err := b.Seed(""); err != ErrClosed {
		t.Errorf("after Close: got %v", err)
	}
}

// A snapshot is what redis-cli takes.
func TestSnapshotForRedis(t *testing.T) {
	cli := redistest.Program(t, "redis-cli")
	server := redistest.Start(t)
	b := newBroker(t, Options{})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	words := []string{"", "plain", "zażółć", " ", "#", `it's`, `{"a": "b"}`, `'"\`, `"\`, `\x41`, `a\`, string(all), "\u2028", "-1", "😀"}
	for i, word := range words {
		if _, err := b.Do("RPUSH", "list of "+word, words[:i+1], word); err != nil {
			t.Fatal(err)
		}
		if _, err := b.DoIn(1, "SET", word, word); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := b.Snapshot()
	_, port, _ := strings.Cut(server.Addr, ":")
	cmd := osexec.Command(cli, "-p", port)
	cmd.Stdin = strings.NewReader(snapshot)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ERR") || strings.Contains(string(out), "Invalid") {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	w, own := newWire(dial(t, server.TCPAddr())), inMemory(t, b)
	for db := range 2 {
		for _, x := range []*wire{w, own} {
			x.expect(t, "+OK", "SELECT", fmt.Sprint(db))
			x.expect(t, fmt.Sprint(len(words)), "DBSIZE")
		}
		for _, word := range words {
			command := []string{"GET", word}
			if db == 0 {
				command = []string{"LRANGE", "list of " + word, "0", "-1"}
			}
			if got, want := w.do(t, command...), own.do(t, command...); got != want {
				t.Errorf("%q: got %s, want %s", command, got, want)
			}
		}
	}
}

// Whatever can be seeded comes back from its snapshot as it was.
func FuzzSeed(f *testing.F) {
	f.Add("SET k v\nRPUSH q a 'b c' \"\\x00\"\nSELECT 15\nSET k v PX 1500\nEXPIRE q 10")
	f.Add("RPUSH q 0123456789012345678901234567890123456789 'it\\'s' \"\\\"'\\\\\" 012345678901234567890123456789012345\nPEXPIREAT q 1700000000124")
	f.Add(" # a comment\r\n\r\nSET \"\\xff\\xc5\" \xff\xc5\xbb PXAT 9223372036854775807\nMULTI")
	f.Add("SET k 'it\nLPUSH q 1 2 3\nLMOVE q q LEFT RIGHT\nSWAPDB 0 1\nCONFIG SET maxmemory 1\nSETRANGE k 1000 x")
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{ManualTime: noon, MaxBulk: 1 << 20}
		b, restored := newBroker(t, o), newBroker(t, o)
		if err := b.Seed(text); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
		snapshot := b.Snapshot()
		if err := restored.Seed(snapshot); err != nil {
			t.Fatalf("%v, in\n%s", err, snapshot)
		}
		if again := restored.Snapshot(); again != snapshot {
			t.Fatalf("got\n%s\nwant\n%s", again, snapshot)
		}
		seed(t, b, snapshot, snapshot)
	})
}

// seed checks that keys which have been seeded anew hold the same.
func seed(t *testing.T, b *Broker, text, want string) {
	t.Helper()
	if err := b.Seed("CONFIG SET maxmemory 0\nFLUSHALL\n" + text); err != nil {
		t.Fatal(err)
	}
	if got := b.Snapshot(); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// Any words come back as they were.
func FuzzWords(f *testing.F) {
	f.Add([]byte("a"), []byte(`it's "b"\`))
	f.Add([]byte("\x00\xff\u2028\r\n"), []byte(""))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		line := resp.AppendQuoted(append(resp.AppendQuoted(nil, first), ' '), second)
		words, closed := resp.SplitLine(line)
		if !closed || len(words) != 2 || string(words[0]) != string(first) || string(words[1]) != string(second) {
			t.Fatalf("%q, %q: got %q from %s", first, second, words, line)
		}
	})
}
