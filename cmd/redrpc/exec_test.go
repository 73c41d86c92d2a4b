//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"redrpc/rpc"
)

// execute runs a program as a function.
func execute(ctx context.Context, t *testing.T, command, args string) (string, error) {
	t.Helper()
	var f programFlags
	if err := f.Set("f=" + command); err != nil {
		t.Fatal(err)
	}
	out, err := f[0].run(ctx, json.RawMessage(args), new(running), slog.New(slog.DiscardHandler))
	if err == nil && !json.Valid(out) {
		t.Errorf("%s: got %q, which is no JSON", command, out)
	}
	return string(out), err
}

func TestProgramsAsFunctions(t *testing.T) {
	t.Setenv("ARG_own", "of the server")
	for _, c := range []struct{ command, args, want, err string }{
		{"tr a-z A-Z", `{"x":"abc"}`, `{"X":"ABC"}`, ""},
		{"cat", `{"a": [1, {"b": 12345678901234567890}]}`, `{"a": [1, {"b": 12345678901234567890}]}`, ""},
		{`printf 'a <b>\n\n'`, "{}", `"a <b>"`, ""},
		{`printf '17\n'`, "{}", "17", ""},
		{`printf 007`, "{}", `"007"`, ""},
		{`printf '\377'`, "{}", "\"\\ufffd\"", ""},
		{"true", "{}", `""`, ""},
		{`sh -c 'echo "$ARG_a|$ARG_b|$ARG_c|$ARG_d|$ARG_e|$ARG_own"'`, `{"a": "x \"y\" ż", "b" : -1.50, "c": true, "d": null, "e": [1]}`, `"x \"y\" ż|-1.50|true|||"`, ""},
		{`sh -c 'env | grep -c ^ARG_'`, `{"ok_1":1,"no-1":2,"":3,"a=b":4,"nul":"\u0000"}`, "1", ""},
		{`sh -c 'echo no such thing >&2; exit 3'`, "{}", "", "no such thing"},
		{`sh -c 'exit 3'`, "{}", "", "exit status 3"},
		{`sh -c 'kill -9 $$'`, "{}", "", "signal: killed"},
		{`sh -c 'echo only a warning >&2; echo 1'`, "{}", "1", ""},
		{`sh -c 'yes | head -1'`, "{}", `"y"`, ""}, // by SIGPIPE
	} {
		got, err := execute(t.Context(), t, c.command, c.args)
		if c.err == "" && (err != nil || strings.TrimSuffix(got, "\n") != c.want && strings.TrimSuffix(got, "\n") != strings.ReplaceAll(c.want, `\ufffd`, "\uFFFD")) {
			t.Errorf("%s: got %s, %v, expected %s", c.command, got, err, c.want)
		}
		if c.err != "" && (err == nil || err.Error() != c.err || rpc.TypeOf(err) != "exit") {
			t.Errorf("%s: got %s, error %q of type %q, expected %q", c.command, got, err, rpc.TypeOf(err), c.err)
		}
	}
}

// What is large neither blocks the program nor fills the memory.
func TestProgramsWithMuchToSay(t *testing.T) {
	large := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	if got, err := execute(t.Context(), t, "cat", large); err != nil || got != large {
		t.Errorf("cat of 1 MB: got %d bytes, %v", len(got), err)
	}
	if got, err := execute(t.Context(), t, "true", large); err != nil {
		t.Errorf("a program that does not read: got %s, %v", got, err)
	}
	if _, err := execute(t.Context(), t, "yes", "{}"); !errors.Is(err, errTooMuchOutput) {
		t.Errorf("endless output: got %v", err)
	}
	_, err := execute(t.Context(), t, `sh -c 'head -c 1000000 /dev/zero | tr "\0" x >&2; echo " end" >&2; exit 1'`, "{}")
	if err == nil || len(err.Error()) != mostStderr-1 || !strings.HasSuffix(err.Error(), "xxx end") {
		t.Errorf("much on stderr: got %.100v", err)
	}
}

// A program is killed with what it started when its call ends: then the fifo has no
// writer any more.
func TestProgramsAreKilledAsAGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := execute(ctx, t, `sh -c '(echo up; exec sleep 1000) > "$ARG_fifo" & wait'`, `{"fifo":"`+fifo+`"}`)
		ended <- err
	}()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || err.Error() != "interrupted: context canceled" {
		t.Errorf("got %v", err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

// A program that leaves something behind does not keep its call from ending.
func TestProgramsThatLeaveSomethingBehind(t *testing.T) {
	began := time.Now()
	if _, err := execute(t.Context(), t, `sh -c 'sleep 1000 &'`, "{}"); err == nil || !strings.Contains(err.Error(), "still holds its output open") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 500*time.Second {
		t.Errorf("took %v", took)
	}
	if got, err := execute(t.Context(), t, `sh -c 'sleep 0.01 > /dev/null 2>&1 & echo 1'`, "{}"); err != nil || got != "1\n" {
		t.Errorf("in the background, with its output closed: got %s, %v", got, err)
	}
}

func TestServeExec(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--exec", "upper=tr a-z A-Z", "--exec", `greet=sh -c "echo hello $ARG_name"`, "--exec", "boom=sh -c 'echo oh no >&2; exit 1'")
	s.await(t, &s.stderr, "serving upper, greet, boom")
	r := redrpc(t, "call", "upper", "x=abc", "--redis", url)
	r.want(t, exitOK)
	if r.stdout != `{"X":"ABC"}`+"\n" {
		t.Errorf("got %s", r.stdout)
	}
	r = redrpc(t, "call", "greet", "name=Ada", "--redis", url)
	r.want(t, exitOK)
	if r.stdout != `"hello Ada"`+"\n" {
		t.Errorf("got %s", r.stdout)
	}
	redrpc(t, "call", "boom", "--redis", url).want(t, exitFailed, "oh no")
	redrpc(t, "call", "add", "a:=1", "b:=2", "--redis", url, "--timeout", "50ms").want(t, exitFailed, "is add served")
	redrpc(t, "serve", "--redis", url, "--exec", "f=true", "--exec", "f=true").want(t, exitUsage, `expected each function once, got "f" again`)
}
