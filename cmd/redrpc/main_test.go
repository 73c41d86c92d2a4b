package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"redrpc/internal/redistest"
	"redrpc/internal/terminal"
)

// asCommand makes the test program the command itself, for the tests of signals.
const asCommand = "REDRPC_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// patience is the limit for what has to happen, however busy the machine is.
const patience = time.Minute

// A result is what a run of the command left.
type result struct {
	code           int
	stdout, stderr string
}

// redrpc runs the command to its end with an empty environment.
func redrpc(t *testing.T, args ...string) result {
	t.Helper()
	return redrpcIn(t, t.Context(), nil, args...)
}

func redrpcIn(t *testing.T, ctx context.Context, env map[string]string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, &stdout, &stderr, func(name string) string { return env[name] })
	for _, text := range []string{stdout.String(), stderr.String()} {
		checkSafe(t, text)
		if strings.Contains(text, "secret") {
			t.Errorf("a password is printed: %s", text)
		}
	}
	return result{code, stdout.String(), stderr.String()}
}

// checkSafe checks that text has no power over a terminal.
func checkSafe(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !terminal.IsSafe(r) }); i >= 0 || !utf8.ValidString(text) {
		t.Errorf("an unsafe character at %d of %q", i, text)
	}
}

// want checks the exit code and that stderr holds the texts.
func (r result) want(t *testing.T, code int, stderr ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, expected %d\nstdout: %s\nstderr: %s", r.code, code, r.stdout, r.stderr)
	}
	for _, text := range stderr {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("expected %q in stderr, got %s", text, r.stderr)
		}
	}
}

// unanswered makes a call that nobody answers, with the shortest --timeout within which this
// machine sends it, and returns that, too.
func unanswered(t *testing.T, env map[string]string, args ...string) (result, time.Duration) {
	t.Helper()
	for timeout := 250 * time.Millisecond; ; timeout *= 2 {
		r := redrpcIn(t, t.Context(), env, append(args[:len(args):len(args)], "--timeout", timeout.String())...)
		if r.code != exitFailed || timeout > patience {
			return r, timeout
		}
	}
}

// wantMeasured checks that a measurement was made, which a busy machine may have made invalid.
func (r result) wantMeasured(t *testing.T) {
	t.Helper()
	if r.code != exitInvalid {
		r.want(t, exitOK)
	}
}

// A background is a command that runs until it is told to stop.
type background struct {
	t      *testing.T
	stop   context.CancelFunc
	ended  chan struct{}
	code   int
	stdout watched
	stderr watched
}

// start runs the command in the background until stop, or the end of the test.
func start(t *testing.T, env map[string]string, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{t: t, stop: cancel, ended: make(chan struct{})}
	b.stdout.init()
	b.stderr.init()
	go func() {
		defer close(b.ended)
		b.code = run(ctx, args, &b.stdout, &b.stderr, func(name string) string { return env[name] })
	}()
	t.Cleanup(func() {
		cancel()
		b.wait()
	})
	return b
}

// wait returns the exit code.
func (b *background) wait() int {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(5 * patience):
		b.t.Fatalf("the command has not ended within %v, it wrote %q and %q", 5*patience, b.stdout.String(), b.stderr.String())
	}
	return b.code
}

// watched is a buffer that can be waited for.
type watched struct {
	mu      sync.Mutex // guards text
	text    strings.Builder
	changed *sync.Cond
}

func (w *watched) init() { w.changed = sync.NewCond(&w.mu) }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed.Broadcast()
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until text was written, or fails the test if the command ends
// without it.
func (b *background) await(t *testing.T, w *watched, text string) string {
	t.Helper()
	return b.awaitThat(t, w, strconv.Quote(text), func(all string) bool { return strings.Contains(all, text) })
}

// awaitThat waits for what is described.
func (b *background) awaitThat(t *testing.T, w *watched, what string, is func(text string) bool) string {
	t.Helper()
	ended, late := false, false
	limit := time.AfterFunc(5*patience, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		late = true
		w.changed.Broadcast()
	})
	defer limit.Stop()
	go func() { // the end is news, too
		<-b.ended
		w.mu.Lock()
		defer w.mu.Unlock()
		ended = true
		w.changed.Broadcast()
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !is(w.text.String()) {
		if ended {
			t.Fatalf("the command ended with %d without writing %s, it wrote %q", b.code, what, w.text.String())
		}
		if late {
			t.Fatalf("the command has not written %s within %v, it wrote %q", what, 5*patience, w.text.String())
		}
		w.changed.Wait()
	}
	return w.text.String()
}

// startRedis starts a real Redis and connects to it.
func startRedis(t *testing.T, args ...string) (*redis.Client, string) {
	t.Helper()
	server := redistest.Start(t, args...)
	return connectTo(t, "redis://"+server.Addr), "redis://" + server.Addr
}

func connectTo(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := parseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(withoutSurprises(&opt.Options))
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return rdb
}

// keysOf returns the names of all keys, sorted.
func keysOf(t *testing.T, rdb *redis.Client) []string {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

func TestHelpAndVersion(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "Available Commands:"},
		{"--help", "Available Commands:"},
		{"--version", "redrpc "},
		{"version", "redrpc "},
		{"bench --help", "--concurrency"},
		{"broker --help", "127.0.0.1:6379"},
		{"serve --help", "echo x=VALUE"},
		{"serve --help", "--exec NAME=PROGRAM"},
		{"call --help", "NAME:=JSON"},
		{"servers --help", "heartbeat"},
		{"queues --help", "waited"},
		{"top --help", "Ctrl-C"},
		{"completion bash", "bash completion"},
		{"__complete bench --output ", "json\n"},
		{"__complete queues --output ", "json\n"},
		{"__complete broker --log-level ", "debug\ninfo\nwarn\nerror\n:4\n"},
		{"__complete bench sweep --knee ", "p99\n"},
		{"__complete bench --duration ", ":4\n"},
		{"__complete bench --replay ", ":0\n"},
		{"__complete bench --redi", "--redis\tthe Redis,"},
		{"__complete bench --func ", "add\necho\nfail\nsleep\n"},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, " ")
		}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, &stdout, &stderr, func(string) string { return "" })
		if code != exitOK || !strings.Contains(stdout.String(), c.want) {
			t.Errorf("redrpc %s: exit code %d, expected %q in %s", c.args, code, c.want, stdout.String())
		}
	}
}

// The help of each command shows its flags as other programs do, and examples.
func TestHelpOfAll(t *testing.T) {
	var all func(cmd *cobra.Command)
	all = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			all(c)
		}
		var help strings.Builder
		cmd.SetOut(&help)
		cmd.InitDefaultHelpFlag()
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for _, not := range []string{"[=true|false]", "`", "(default [])", "FILE FILE"} {
			if strings.Contains(help.String(), not) {
				t.Errorf("%s --help has %s", cmd.CommandPath(), not)
			}
		}
		if !regexp.MustCompile(`(?m)^  -h, --help {2,}help for`).MatchString(help.String()) {
			t.Errorf("%s --help has no -h, --help:\n%s", cmd.CommandPath(), help.String())
		}
		if cmd.Example == "" && cmd.Name() != "version" {
			t.Errorf("%s --help has no examples", cmd.CommandPath())
		}
	}
	all(newRoot(func(string) string { return "" }))
}

// Each command that help lists has a manual page with what its help says.
func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	redrpc(t, "man", dir).want(t, exitOK)
	for page, want := range map[string][]string{
		"redrpc.1":             {"redrpc-bench(1)", "Exit codes: 0 success"},
		"redrpc-top.1":         {`WAITING   calls in the queue`, `\fB-n\fP, \fB--times\fP`, "redrpc top -n 1"},
		"redrpc-bench-sweep.1": {"redrpc-bench(1)"},
		"redrpc-serve.1":       {"ARG_name", "REDRPC_*"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(strings.ReplaceAll(string(text), `\-`, "-"), w) {
				t.Errorf("%s: expected %q in\n%s", page, w, text)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "redrpc-man.1")); err == nil {
		t.Error("a hidden command has a page")
	}
	redrpc(t, "man").want(t, exitUsage, "man: expected one directory, got 0")
}

func TestBuiltinFunctionsAreThoseInTheHelp(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(builtin)) {
		if !strings.Contains(functionsHelp, "  "+name+" ") {
			t.Errorf("%s is missing in the help", name)
		}
	}
}
