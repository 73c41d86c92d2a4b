package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/internal/redistest"
)

func TestUsageOfCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--command", ""}, "expected a command such as 'SET k:__key__ __data__', got an empty one"},
		{[]string{"--command", "GET 'k"}, "expected every quote to be closed"},
		{[]string{"--command", "GET __k__"}, "the unknown placeholder __k__"},
		{[]string{"--prepare", "SET __k__"}, "the unknown placeholder __k__"},
		{[]string{"--weight", "2"}, "expected after the --command that it is about"},
		{[]string{"--command", "PING", "--weight", "0"}, "expected a whole number from 1 to"},
		{[]string{"--command", "PING", "--weight", "1", "--weight", "2"}, "expected once after each --command"},
		{[]string{"--keys", "10"}, "--keys: expected together with --command"},
		{[]string{"--prepare", "PING"}, "--prepare: expected together with --command"},
		{[]string{"--pipeline", "2"}, "--pipeline: expected together with --command"},
		{[]string{"--command", "PING", "--keys", "0"}, "expected a whole number from 1 to"},
		{[]string{"--command", "PING", "--key-pattern", "zipf:-1"}, "expected an exponent above 0 and at most 10"},
		{[]string{"--command", "PING", "--data-size", "10..5"}, "expected bytes from 0 to 536870912, or the least and the most"},
		{[]string{"--command", "PING", "--protocol", "4"}, "expected 2 or 3"},
		{[]string{"--command", "PING", "--raw-keys", "--prefix", "p"}, "--raw-keys and --prefix: expected only one of them"},
		{[]string{"--command", "PING", "--func", "echo"}, "--func: expected without --command"},
		{[]string{"--command", "PING", "--no-server"}, "--no-server: expected without --command"},
		{[]string{"--command", "PING", "--replay", "x"}, "--replay: expected without --command"},
		{[]string{"--command", "PING", "--connections", "2", "--pipeline", "3", "-c", "7"}, "--concurrency: expected no more than the 6 commands"},
	} {
		r := redrpc(t, append([]string{"bench"}, c.args...)...)
		r.want(t, exitUsage, c.want)
		if r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%q: expected one line on stderr and none on stdout, got %q and %q", c.args, r.stderr, r.stdout)
		}
	}
	redrpc(t, "bench", "plan", "--rate", "10", "--slo", "p99=1s", "--command", "PING").want(t, exitUsage, "--command: expected without, for a plan is about the workers")
}

// wantRun checks that there was a run, on a machine that may be busy.
func (r result) wantRun(t *testing.T) {
	t.Helper()
	if r.code != exitInvalid {
		r.want(t, exitOK)
	}
}

// A load of commands runs on everything that calls run on, and leaves no keys.
func TestBenchCommand(t *testing.T) {
	redis, url := startRedis(t)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"memory", nil},
		{"tcp", []string{"--transport", "tcp"}},
		{"redis", []string{"--redis", url}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, more := range [][]string{
				{"-c", "3"},
				{"--connections", "2", "--pipeline", "4"},
				{"--connections", "2", "--pipeline", "4", "--rate", "20000", "--protocol", "3", "--key-pattern", "zipf"},
			} {
				args := []string{"bench", "-o", "json", "--warmup", "0s", "--calls", "300", "--keys", "50", "--data-size", "1..100",
					"--command", "SET k:__key__ __data__", "--weight", "2", "--command", "GET k:__key__", "--prepare", "SET k:__key__ x"}
				r := redrpc(t, append(append(args, c.args...), more...)...)
				r.wantRun(t)
				run := readRun(t, r.stdout)
				if l := run.Labels; len(l) != 2 || l[0].Calls+l[1].Calls != 300 || l[0].Calls < l[1].Calls || l[1].Name != "GET k:__key__" {
					t.Errorf("%q: labels %v", more, l)
				}
				if run.Calls != 300 || run.Errors != 0 || setting(run.Settings, "command") != "SET k:__key__ __data__ (weight 2)" || setting(run.Settings, "function") != "" {
					t.Errorf("%q: %d calls, errors %v, settings %v", more, run.Calls, run.ErrorSamples, run.Settings)
				}
			}
		})
	}
	if keys := redis.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("left %v", keys)
	}
}

// What cannot be measured is said before the run, by exit code 1, and leaves no keys.
func TestBenchCommandRefused(t *testing.T) {
	redis, url := startRedis(t)
	for command, want := range map[string]string{
		"NOPE":             "this Redis has no command NOPE",
		"INCR k:__key__":   "WRONGTYPE Operation against a key",
		"FLUSHALL":         "it may harm others who use this Redis, so it has to be allowed by --allow-dangerous",
		"SUBSCRIBE c":      "it changes what its connection does",
		"SET k:__key__":    "ERR Invalid number of arguments",
		"OBJECT ENCODINGS": "ERR",
	} {
		r := redrpc(t, "bench", "--redis", url, "--command", command, "--prepare", "RPUSH k:__key__ x", "--keys", "5")
		r.want(t, exitFailed, want)
		if r.stdout != "" {
			t.Errorf("%s: a report %s", command, r.stdout)
		}
	}
	if keys := redis.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("left %v", keys)
	}
	if n := redis.Set(t.Context(), "kept", "x", 0); n.Err() != nil {
		t.Fatal(n.Err())
	}
	redrpc(t, "bench", "--redis", url, "--command", "FLUSHALL", "--allow-dangerous", "--calls", "10", "-c", "1", "--warmup", "0s").wantRun(t)
	if n := redis.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("FLUSHALL left %d keys", n)
	}
}

// A signal ends the run, which then deletes its keys; keys of others and raw ones stay.
func TestBenchCommandInterrupted(t *testing.T) {
	redis, url := startRedis(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	go func() {
		for ctx.Err() == nil && redis.DBSize(ctx).Val() < 2 { // the first is of the attempt before the run
			time.Sleep(time.Millisecond)
		}
		interrupt()
	}()
	r := redrpcIn(t, ctx, nil, "bench", "--redis", url, "-d", "1m", "--warmup", "0s", "-c", "2", "-o", "json", "--command", "SET k:__key__ x")
	if run := readRun(t, r.stdout); !run.Interrupted {
		t.Errorf("exit code %d, not interrupted: %s", r.code, r.stderr)
	}
	if keys := redis.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("left %v", keys)
	}
	redrpc(t, "bench", "--redis", url, "--calls", "20", "--warmup", "0s", "-c", "1", "--keys", "2", "--raw-keys", "--command", "SET k:__key__ x").wantRun(t)
	redrpc(t, "bench", "--redis", url, "--calls", "20", "--warmup", "0s", "-c", "1", "--keys", "2", "--prefix", "p", "--command", "SET k:__key__ x").wantRun(t)
	if n := redis.Exists(t.Context(), "k:0", "k:1", "p:k:0", "p:k:1").Val(); n != 4 {
		t.Errorf("%d of 4 keys are there: %v", n, redis.Keys(t.Context(), "*").Val())
	}
}

// The sub-commands take commands, too.
func TestBenchCommandElsewhere(t *testing.T) {
	command := []string{"--command", "INCR k:__key__", "--keys", "10"}
	bench := func(args ...string) result {
		t.Helper()
		return redrpc(t, slices.Concat([]string{"bench"}, args, command)...)
	}
	dir := t.TempDir()
	r := bench("search", "--slo", "p50=10s", "--start", "2000", "--max-rate", "2000", "-d", "200ms", "--confirm", "300ms", "--warmup", "10ms", "-o", "json")
	r.wantRun(t)
	var found struct{ Settings map[string]any }
	if err := json.Unmarshal([]byte(r.stdout), &found); err != nil || !strings.Contains(r.stdout, "INCR k:__key__") {
		t.Errorf("search: %v, %s", err, r.stdout)
	}
	bench("sweep", "-c", "1,3,5", "-d", "50ms", "--warmup", "10ms", "--pipeline", "2").wantRun(t)
	for _, name := range []string{"one", "two"} {
		bench("--calls", "50", "-c", "2", "--warmup", "0s", "-o", "json", "--out", filepath.Join(dir, name)).wantRun(t)
	}
	r = redrpc(t, "bench", "report", filepath.Join(dir, "one"), "-o", "gobench")
	r.wantRun(t)
	if r.code == exitOK && !strings.Contains(r.stdout, "BenchmarkRedrpc/INCR/") {
		t.Errorf("gobench: %s", r.stdout)
	}
	_, url := startRedis(t)
	parts := benchInParts(t, "--command", "INCR k:__key__", "--redis", url, "--rate", "200", "-d", "300ms")
	r = redrpc(t, "bench", "merge", "-o", "json", parts[0], parts[1])
	if whole := readRun(t, r.stdout); whole.Calls != 60 || setting(whole.Settings, "command") != "INCR k:__key__" {
		t.Errorf("%d calls, %v: %s", whole.Calls, whole.Settings, r.stderr)
	}
	r = redrpc(t, "bench", "compare", "--runs", "4", "--metrics", "mean", "--a", "--data-size 1", "--b", "--data-size 2", "--",
		"--command", "SET k:__key__ __data__", "--calls", "50", "-c", "1", "--warmup", "0s")
	if r.code != exitOK && r.code != exitMissed || !strings.Contains(r.stdout, "data") {
		t.Errorf("compare: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

// In a Cluster keys are deleted at all masters.
func TestBenchCommandInCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	for _, pipeline := range []string{"1", "4"} {
		redrpc(t, "bench", "--redis", "redis://"+nodes[1].Addr, "--calls", "300", "--warmup", "0s", "--connections", "2", "--pipeline", pipeline,
			"--command", "SET k:__key__ __data__", "--keys", "100").wantRun(t)
	}
	for _, n := range nodes {
		if left := connectTo(t, "redis://"+n.Addr).DBSize(t.Context()).Val(); left > 0 {
			t.Errorf("%d keys are left", left)
		}
	}
}
