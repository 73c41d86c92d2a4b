package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

func TestServeAndCall(t *testing.T) {
	_, url := startRedis(t)
	env := map[string]string{"REDIS_URL": url}
	s := start(t, env, "serve", "--id", "one", "--workers", "4", "--shutdown-timeout", "10ms")
	s.await(t, &s.stderr, "id=one workers=4")
	for _, c := range []struct {
		args   []string
		result string // of a success
		err    string // of a failure
	}{
		{[]string{"echo", "x=some text"}, `"some text"`, ""},
		{[]string{"echo", "x=a=b:=c"}, `"a=b:=c"`, ""},
		{[]string{"echo", `x:={"a": [1, 2.50, 12345678901234567890, null]}`}, `{"a":[1,2.50,12345678901234567890,null]}`, ""},
		{[]string{"echo", "x=<>&"}, `"<>&"`, ""},
		{[]string{"echo", `x:={"<":"\\u003c \u003C\n\u0026\\\u003e\u003d"}`}, `{"<":"\\u003c <\n&\\>\u003d"}`, ""},
		{[]string{"echo", `x:="\u007f\u009b31m \u202ecod\u2069 \u00e9 \u200d \ufffd"`}, "\"\\u007f\\u009b31m \\u202ecod\\u2069 \\u00e9 \\u200d \\ufffd\"", ""},
		{[]string{"echo", "x=\u007f\u009b31m \u202ecod\u2069 \u00e9 \ufffd"}, `"\u007f\u009b31m \u202ecod\u2069 é ` + "\ufffd" + `"`, ""},
		{[]string{"echo", "x:=null"}, "null", ""},
		{[]string{"echo"}, "", `missing argument "x"`},
		{[]string{"echo", "y=1"}, "", `unknown argument "y", expected x`},
		{[]string{"add", "a:=1", "b:=2"}, "3", ""},
		{[]string{"add", "a:=-1.5", "b:=2"}, "0.5", ""},
		{[]string{"add", "a:=9007199254740993", "b:=9223372036854775807"}, "9232379236109516800", ""},
		{[]string{"add", "a:=1e308", "b:=1e308"}, "", "the sum of 1e+308 and 1e+308 is too large"},
		{[]string{"add", "a:=1e999", "b:=1"}, "", "expected two numbers"},
		{[]string{"sleep", "seconds:=0.001"}, "0.001", ""},
		{[]string{"sleep", "seconds:=-1"}, "", "seconds: expected a number from 0 to 3600, got -1"},
		{[]string{"sleep", "seconds:=60"}, "", "is sleep served under the prefix redis_rpc at " + url},
		{[]string{"fail"}, "", "failed, as asked"},
		{[]string{"fail", "message=no\x1b[2J good"}, "", "no?[2J good"},
		{[]string{"nobody"}, "", "is nobody served under the prefix redis_rpc at " + url},
		{[]string{"echo", "x=1", "--prefix", "other"}, "", "under the prefix other"},
	} {
		args := append([]string{"call"}, c.args...)
		if strings.Contains(c.err, "under the prefix") {
			r, timeout := unanswered(t, env, args...)
			r.want(t, exitNoResult, c.err, fmt.Sprintf("timeout of %v reached: ", timeout))
			continue
		}
		r := redrpcIn(t, t.Context(), env, args...)
		if c.err != "" {
			r.want(t, exitRemote, c.err)
			if r.stdout != "" {
				t.Errorf("call %q: stdout %s", c.args, r.stdout)
			}
			continue
		}
		r.want(t, exitOK)
		if r.stdout != c.result+"\n" {
			t.Errorf("call %q: got %s, expected %s", c.args, r.stdout, c.result)
		}
	}
}

// Arguments that are too long for the command line, or secret, come from files.
func TestCallWithFiles(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url)
	s.await(t, &s.stderr, "serving")
	file := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct{ arg, content, want string }{
		{"x=@" + file, "some \"text\"\n", `"some \"text\"\n"`},
		{"x=@" + file, "", `""`},
		{"x:=@" + file, "{\n  \"a\": [1, 2]\n}\n", `{"a":[1,2]}`},
		{"x=@" + file, strings.Repeat("x", 300_000), `"` + strings.Repeat("x", 300_000) + `"`},
		{"x=@-", "some text", `"some text"`},
		{"x:=@-", " 17\n", "17"},
		{`x:="@file"`, "", `"@file"`},
	} {
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout strings.Builder
		cmd := newCall(func(string) string { return "" })
		cmd.SetArgs([]string{"echo", c.arg, "--redis", url})
		cmd.SetIn(strings.NewReader(c.content))
		cmd.SetOut(&stdout)
		if err := cmd.ExecuteContext(t.Context()); err != nil || stdout.String() != c.want+"\n" {
			t.Errorf("%s: got %.100s, %v, expected %.100s", c.arg, stdout.String(), err, c.want)
		}
	}
}

// A script can tell by the exit code whether it may call again.
func TestExitCodesOfCalls(t *testing.T) {
	rdb, url := startRedis(t)
	if err := rdb.Set(t.Context(), "redis_rpc:wrong:calls", "a string, no list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, "serve", "--redis", url)
	s.await(t, &s.stderr, "serving")
	for _, c := range []struct {
		args string
		code int
	}{
		{"echo x=1", exitOK},
		{"echo", exitRemote},
		{"fail", exitRemote},
		{"nobody", exitNoResult},
		{"sleep seconds:=60", exitNoResult},
		{"wrong", exitFailed},
		{"--async wrong", exitFailed},
		{"--async nobody", exitOK},
		{"echo x=1 --redis redis://127.0.0.1:1", exitFailed},
		{"echo x", exitUsage},
	} {
		env, args := map[string]string{"REDIS_URL": url}, append([]string{"call"}, strings.Split(c.args, " ")...)
		if c.code == exitNoResult {
			r, _ := unanswered(t, env, args...)
			r.want(t, c.code)
			continue
		}
		redrpcIn(t, t.Context(), env, args...).want(t, c.code)
	}
}

// A call that is only sent waits for whoever comes.
func TestCallAsync(t *testing.T) {
	rdb, url := startRedis(t)
	r := redrpc(t, "call", "--async", "echo", "x=1", "--redis", url)
	r.want(t, exitOK)
	message := rdb.LIndex(t.Context(), "redis_rpc:echo:calls", 0).Val()
	id := strings.TrimSuffix(r.stdout, "\n")
	if len(id) != 36 || !strings.Contains(message, `"id":"`+id+`"`) || !strings.Contains(message, `"x":"1"`) {
		t.Errorf("got %q, and the message %s", r.stdout, message)
	}
	s := start(t, nil, "serve", "--redis", url)
	if result, err := rdb.BLPop(t.Context(), 0, "redis_rpc:echo:result:"+id).Result(); err != nil || !strings.Contains(result[1], `"res":"1"`) {
		t.Errorf("got %q, %v", result, err)
	}
	s.stop()

	if err := rdb.Set(t.Context(), "redis_rpc:wrong:calls", "", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r = redrpc(t, "call", "--async", "wrong", "--redis", url)
	r.want(t, exitFailed, "rpc: wrong: not sent: WRONGTYPE")
	if r.stdout != "" {
		t.Errorf("got %q", r.stdout)
	}
}

// A traceback is shown above the error.
func TestCallShowsTheTraceback(t *testing.T) {
	rdb, url := startRedis(t)
	c := start(t, nil, "call", "boom", "--redis", url)
	call, err := rdb.BLPop(t.Context(), 0, "redis_rpc:boom:calls").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(call[1], `"id":`)
	id = strings.Split(id, `"`)[1]
	err = rdb.RPush(t.Context(), "redis_rpc:boom:result:"+id,
		`{"ts": "", "err": "KeyError: 'x'", "err_traceback": "  File \"s.py\"\n\tdef boom()\u001b[2J\n"}`).Err()
	if err != nil {
		t.Fatal(err)
	}
	if code := c.wait(); code != exitRemote {
		t.Errorf("exit code %d", code)
	}
	if want := "  File \"s.py\"\n\tdef boom()?[2J\nredrpc: rpc: boom: KeyError: 'x'\n"; c.stderr.String() != want {
		t.Errorf("got %q, expected %q", c.stderr.String(), want)
	}
}

// --max-calls ends the server by itself, with what it took answered.
func TestServeMaxCalls(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--max-calls", "2", "--tolerance", "1s")
	for range 2 {
		redrpcIn(t, t.Context(), nil, "call", "--redis", url, "add", "a:=1", "b:=2").want(t, exitOK)
	}
	if code := s.wait(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	s.await(t, &s.stderr, "stopped after --max-calls")
}

// What was taken when the signal came is answered.
func TestServeDrains(t *testing.T) {
	rdb, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--prefix", "p", "--kind", "k", "--id", "i")
	s.await(t, &s.stderr, "serving")
	c := start(t, nil, "call", "sleep", "seconds:=0.5", "--redis", url, "--prefix", "p")
	awaitTaken(t, url)
	s.stop()
	s.await(t, &s.stderr, "stopping")
	if code := s.wait(); code != exitOK {
		t.Errorf("serve: exit code %d: %s", code, s.stderr.String())
	}
	if code := c.wait(); code != exitOK || c.stdout.String() != "0.5\n" {
		t.Errorf("call: exit code %d: %s %s", code, c.stdout.String(), c.stderr.String())
	}
	if keys := keysOf(t, rdb); len(keys) != 0 {
		t.Errorf("left: %q", keys)
	}
}

func TestServeAfterShutdownTimeout(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--shutdown-timeout", "50ms")
	s.await(t, &s.stderr, "serving")
	c := start(t, nil, "call", "sleep", "seconds:=3600", "--redis", url)
	awaitTaken(t, url)
	s.stop()
	if code := s.wait(); code != exitFailed || !strings.Contains(s.stderr.String(), "calls are still running") {
		t.Errorf("serve: exit code %d: %s", code, s.stderr.String())
	}
	if code := c.wait(); code != exitRemote || !strings.Contains(c.stderr.String(), "interrupted: context canceled") {
		t.Errorf("call: exit code %d: %s %s", code, c.stdout.String(), c.stderr.String())
	}
}

// awaitTaken waits until the only call was pushed and popped, by watching what
// Redis runs.
func awaitTaken(t *testing.T, url string) {
	t.Helper()
	rdb := connectTo(t, url)
	for {
		stats, err := rdb.InfoMap(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		if stats["Commandstats"]["cmdstat_rpush"] != "" && rdb.Exists(t.Context(), "p:sleep:calls", "redis_rpc:sleep:calls").Val() == 0 {
			return
		}
	}
}

// A call reaches a server through the Redis's Unix socket as well.
func TestCallThroughAUnixSocket(t *testing.T) {
	server := redistest.Start(t)
	s := start(t, nil, "serve", "--redis", "redis://"+server.Addr)
	s.await(t, &s.stderr, "serving")
	r := redrpc(t, "call", "echo", "x=1", "--redis", "unix://"+server.Socket)
	r.want(t, exitOK)
	if r.stdout != "\"1\"\n" {
		t.Errorf("got %s", r.stdout)
	}
}
