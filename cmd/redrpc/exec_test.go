//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	return executeBy(ctx, t, &runner{grace: time.Minute, log: slog.New(slog.DiscardHandler)}, command, args)
}

func executeBy(ctx context.Context, t *testing.T, r *runner, command, args string) (string, error) {
	t.Helper()
	var f programFlags
	if err := f.Set("f=" + command); err != nil {
		t.Fatal(err)
	}
	defer r.wait()
	out, err := r.call(ctx, f[0], json.RawMessage(args))
	if err == nil && !json.Valid(out) {
		t.Errorf("%s: got %q, which is no JSON", command, out)
	}
	return string(out), err
}

// newFifo makes a named pipe: its reader gets an end of file when no program has it open.
func newFifo(t *testing.T) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo
}

// openFifo waits until a program writes up to it. Neither that nor its end is waited for
// without a limit.
func openFifo(t *testing.T, fifo string) *bufio.Reader {
	t.Helper()
	late := time.AfterFunc(patience, func() { // opening both ends does not block, and unblocks the reader
		if f, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	})
	f, err := os.Open(fifo)
	late.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return r
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
	if _, err := execute(t.Context(), t, `sh -c 'yes; echo "broken pipe" >&2; exit 1'`, "{}"); !errors.Is(err, errTooMuchOutput) {
		t.Errorf("endless output, and a failure because of it: got %v", err)
	}
	_, err := execute(t.Context(), t, `sh -c 'head -c 1000000 /dev/zero | tr "\0" x >&2; echo " end" >&2; exit 1'`, "{}")
	if err == nil || len(err.Error()) != mostStderr-1 || !strings.HasSuffix(err.Error(), "xxx end") {
		t.Errorf("much on stderr: got %.100v", err)
	}
}

// A program is ended with what it started when its call ends: it may clean up, but not
// for longer than the time that it is given. Then the fifo has no writer any more.
func TestProgramsAreEndedAsAGroup(t *testing.T) {
	const short, long = time.Millisecond, time.Hour
	for _, c := range []struct {
		name, command string
		grace         time.Duration
		rest          string // written after SIGTERM
	}{
		{"a child", `sh -c '(echo up; exec sleep 1000) > $ARG_fifo & wait'`, long, ""},
		{"a child that cleans up", `sh -c '(trap "echo cleaned up; exit" TERM; echo up; while :; do sleep 1; done) > $ARG_fifo 2> /dev/null & wait'`, long, "cleaned up\n"},
		{"a program that cleans up", `sh -c 'exec > $ARG_fifo; trap "echo cleaned up; exit" TERM; echo up; while :; do sleep 1; done'`, long, "cleaned up\n"},
		{"a child that refuses", `sh -c '(trap "" TERM; echo up; exec sleep 1000) > $ARG_fifo & wait'`, short, ""},
		{"a program that refuses", `sh -c 'trap "" TERM; echo up > $ARG_fifo; sleep 1000 > $ARG_fifo'`, short, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			fifo, ended := newFifo(t), make(chan error, 1)
			go func() {
				_, err := executeBy(ctx, t, &runner{grace: c.grace, log: slog.New(slog.DiscardHandler)}, c.command, `{"fifo":"`+fifo+`"}`)
				ended <- err
			}()
			r := openFifo(t, fifo)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) || err.Error() != "interrupted: context canceled" {
				t.Errorf("got %v", err)
			}
			if rest, err := io.ReadAll(r); err != nil || string(rest) != c.rest {
				t.Errorf("got %q, %v, expected %q", rest, err, c.rest)
			}
		})
	}
}

// A program has a limit of its own. A shorter one of its caller is obeyed, too.
func TestProgramsThatRunForTooLong(t *testing.T) {
	var log strings.Builder
	r := &runner{timeout: 50 * time.Millisecond, grace: time.Minute, log: newLog(&log, slog.LevelInfo)}
	_, err := executeBy(t.Context(), t, r, "sleep 1000", "{}")
	if want := "the program was ended after 50ms, the longest that it may run (--exec-timeout)"; err == nil || err.Error() != want || rpc.TypeOf(err) != "timeout" {
		t.Errorf("got %v of type %q, expected %s", err, rpc.TypeOf(err), want)
	}
	if !strings.Contains(log.String(), `msg="a program was ended by --exec-timeout" func=f after=50ms`) {
		t.Errorf("log: %s", log.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.timeout = time.Hour
	if _, err := executeBy(ctx, t, r, "sleep 1000", "{}"); !errors.Is(err, context.DeadlineExceeded) || rpc.TypeOf(err) != "" {
		t.Errorf("got %v of type %q", err, rpc.TypeOf(err))
	}
}

// What does not fit into the environment is on stdin only, and the program is told.
func TestArgumentsInTheEnvironment(t *testing.T) {
	many := func(n int, value string) string {
		args := map[string]string{}
		for i := range n {
			args[fmt.Sprintf("a%d", i)] = value
		}
		text, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct {
		name, args         string
		variables, omitted int
	}{
		{"none", "{}", 0, 0},
		{"simple", `{"a": "x", "b": 1, "c": true, "d": false, "": 1}`, 4, 1},
		{"not simple", `{"a": null, "b": [1], "c": {"d": 1}, "e-f": 1, "g": "\u0000", "h": ""}`, 1, 5},
		{"the longest", `{"a": "` + strings.Repeat("x", mostVariable) + `"}`, 1, 0},
		{"a longer one", `{"a": "` + strings.Repeat("x", mostVariable+1) + `", "b": 1}`, 1, 1},
		{"as many as fit", many(1000, "v"), 1000, 0},
		{"many", many(100_000, "v"), 0, 100_000},
		{"large ones", many(3000, strings.Repeat("v", 900)), 0, 3000},
		{"some of the longest", many(70, strings.Repeat("v", mostVariable)), 0, 70},
		{"a long name", `{"` + strings.Repeat("n", 200_000) + `": 1, "b": 2}`, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fmt.Sprintf("%d of %d, %d bytes\n", c.variables, c.omitted, len(c.args))
			got, err := execute(t.Context(), t, `sh -c 'echo "$(env | grep -c ^ARG_) of $ARGS_OMITTED, $(wc -c) bytes"'`, c.args)
			if want, _ := resultOf([]byte(want)); err != nil || got != string(want) {
				t.Errorf("got %s, %v, expected %s", got, err, want)
			}
		})
	}
}

// The passwords of the command are not for the programs.
func TestProgramsGetNoPasswords(t *testing.T) {
	for name, value := range map[string]string{"REDIS_URL": "redis://:secret@h", "REDRPC_PASSWORD": "secret", "REDRPC_OTHER": "secret", "REDISH": "seen", argsOmitted: "old"} {
		t.Setenv(name, value)
	}
	got, err := execute(t.Context(), t, "env", "{}")
	if err != nil || strings.Contains(got, "secret") || strings.Contains(got, "=old") || !strings.Contains(got, "REDISH=seen") {
		t.Errorf("got %s, %v", got, err)
	}
}

// What a program leaves behind does not keep its call from ending, and is ended if the
// program failed, or if it holds the program's output open: then the fifo has no writer
// any more.
func TestProgramsThatLeaveSomethingBehind(t *testing.T) {
	for _, c := range []struct{ name, command, err string }{
		{"with its output open", `sh -c 'exec 3> $ARG_fifo; echo up >&3; sleep 1000 &'`, "the program ended, but something that it started still holds its output open"},
		{"and fails", `sh -c 'exec 3> $ARG_fifo; echo up >&3; sleep 1000 > /dev/null 2>&1 & exit 3'`, "exit status 3"},
		{"with its output open, and fails", `sh -c 'exec 3> $ARG_fifo; echo up >&3; sleep 1000 & echo no >&2; exit 3'`, "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fifo, ended := newFifo(t), make(chan error, 1)
			go func() {
				_, err := executeBy(t.Context(), t, &runner{grace: 10 * time.Millisecond, log: slog.New(slog.DiscardHandler)}, c.command, `{"fifo":"`+fifo+`"}`)
				ended <- err
			}()
			r := openFifo(t, fifo)
			if err := <-ended; err == nil || err.Error() != c.err {
				t.Errorf("got %v, expected %s", err, c.err)
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
				t.Errorf("got %q, %v", rest, err)
			}
		})
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
	redrpc(t, "call", "boom", "--redis", url).want(t, exitRemote, "oh no")
	r, _ = unanswered(t, nil, "call", "add", "a:=1", "b:=2", "--redis", url)
	r.want(t, exitNoResult, "is add served")
	redrpc(t, "serve", "--redis", url, "--exec", "f=true", "--exec", "f=true").want(t, exitUsage, `expected each function once, got "f" again`)
}

// Calls of the old ports tell no timeout. Programs that hang on them do not keep the
// workers for ever, and the caller learns why there is no result.
func TestServeExecOfAnOldPort(t *testing.T) {
	rdb, url := startRedis(t)
	for n := range 2 {
		if err := rdb.RPush(t.Context(), "redis_rpc:hang:calls", fmt.Sprintf(`{"id": "%d", "ts": "2026-01-31T12:00:00.000000", "kw": {}}`, n)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	start(t, nil, "serve", "--redis", url, "--workers", "2", "--exec", "hang=sleep 1000", "--exec", "ok=echo fine", "--exec-timeout", "500ms")
	for n := range 2 {
		result, err := rdb.BLPop(t.Context(), 0, fmt.Sprintf("redis_rpc:hang:result:%d", n)).Result()
		if err != nil || !strings.Contains(result[1], "the program was ended after 500ms, the longest that it may run") || !strings.Contains(result[1], `"timeout"`) {
			t.Errorf("got %q, %v", result, err)
		}
	}
	call := func() result { return redrpc(t, "call", "ok", "--redis", url, "--timeout", "1m") }
	r := call()
	for begun := time.Now(); r.code == exitRemote && time.Since(begun) < patience; r = call() { // on a busy machine
		t.Log(r.stderr)
	}
	r.want(t, exitOK)
	if r.stdout != `"fine"`+"\n" {
		t.Errorf("got %s", r.stdout)
	}
}

// After --shutdown-timeout the programs may clean up.
func TestServeExecAfterShutdownTimeout(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--shutdown-timeout", "1ms", "--exec", `wait=sh -c 'exec > $ARG_fifo; trap "echo cleaned up; exit" TERM; echo up; while :; do sleep 1; done'`)
	s.await(t, &s.stderr, "serving wait")
	fifo := newFifo(t)
	redrpc(t, "call", "--async", "wait", "fifo="+fifo, "--redis", url).want(t, exitOK)
	r := openFifo(t, fifo)
	s.stop()
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "cleaned up\n" {
		t.Errorf("got %q, %v", rest, err)
	}
	if code := s.wait(); code != exitFailed || !strings.Contains(s.stderr.String(), "calls are still running") {
		t.Errorf("exit code %d: %s", code, s.stderr.String())
	}
}
