package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A function that nobody serves, and one that always fails, is no answer, and soon so.
func TestBenchNobodyServes(t *testing.T) {
	_, url := startRedis(t)
	elsewhere := []string{"--no-server", "--redis", url, "--func", "none", "--timeout", "150ms", "--warmup", "0s", "--prefix"}
	for i, command := range [][]string{
		{"search", "--slo", "p99=20ms"},
		{"search", "--slo", "p99=20ms", "--start", "20", "-d", "200ms"},
		{"sweep", "-c", "1,2,3", "-d", "100ms"},
		{"sweep", "--rates", "20,40", "-d", "200ms"},
		{"compare", "--a", "-c 1", "--b", "-c 2", "--runs", "50", "--", "-d", "100ms"},
		{"plan", "--rate", "10", "--slo", "p99=1s", "-d", "100ms"},
	} {
		r := redrpc(t, slices.Concat([]string{"bench"}, command, elsewhere, []string{fmt.Sprint("none", i)})...)
		if r.code != exitFailed || !strings.Contains(r.stderr, "no call") || strings.Contains(r.stdout, "Valid") {
			t.Errorf("%v: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
		}
	}
	// Calls are still in the queue.
	r := redrpc(t, slices.Concat([]string{"bench", "sweep", "--rates", "20"}, elsewhere, []string{"none3"})...)
	r.want(t, exitFailed, "calls are left, of which none was taken for 1.15s: does anybody serve them?")
	r = redrpc(t, "bench", "sweep", "-c", "1,2", "-d", "50ms", "--warmup", "0s", "--func", "fail")
	r.want(t, exitFailed, "no call succeeded: ")
}

// A search whose every trial is spoiled knows no bound, and one that has no time for a
// trial no answer.
func TestBenchSearchWithoutAnswer(t *testing.T) {
	spoiled := []string{"bench", "search", "--slo", "p99=20ms", "--start", "400", "--max-in-flight", "1", "--func", "sleep", "--args", `{"seconds":0.01}`,
		"-d", "100ms", "--warmup", "0s", "--budget", "4s", "-o", "json"}
	r := redrpc(t, spoiled...)
	r.want(t, exitInvalid, "no answer")
	if !strings.Contains(r.stdout, `"lowest_missed_per_s": null`) || !strings.Contains(r.stdout, `"highest_met_per_s": null`) || !strings.Contains(r.stdout, "were dropped") {
		t.Errorf("got %s", r.stdout)
	}
	path := filepath.Join(t.TempDir(), "search.json")
	if err := os.WriteFile(path, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	again := redrpc(t, "bench", "report", path)
	again.want(t, exitInvalid, "no answer")
	if !strings.Contains(again.stdout, "NO ANSWER") || strings.Contains(again.stdout, "load model") {
		t.Errorf("got %s", again.stdout)
	}
	redrpc(t, "bench", "report", path, "-o", "csv").want(t, exitUsage, "csv: expected text, json, html")
	redrpc(t, "bench", "report", path, "--slo", "p99=1s").want(t, exitUsage, "--slo: expected the report of a run")
	redrpc(t, "bench", "merge", path).want(t, exitFailed, "expected the report of a run, got that of a search")
	redrpc(t, "bench", "plan", "--rate", "1", "--slo", "p99=1s", "--from", path).want(t, exitFailed, "expected the report of a run, got that of a search")
	redrpc(t, "bench", "search", "--slo", "p99=20ms", "--start", "100", "--budget", "50ms").want(t, exitInvalid, "the time budget of 50ms was used up")
}

// An interrupted search says so.
func TestBenchSearchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	trials := 0
	out := &signalled{do: func(text string) {
		if strings.Contains(text, "calibration: ") {
			trials++
			cancel()
		}
	}}
	var stdout strings.Builder
	code := run(ctx, []string{"bench", "search", "--slo", "p99=10s", "-d", "300ms", "--warmup", "0s"}, &stdout, out, func(string) string { return "" })
	if code != exitInvalid || !strings.Contains(stdout.String(), "the search stopped early: it was interrupted") || trials != 1 {
		t.Errorf("exit code %d\n%s", code, stdout.String())
	}
}

// signalled calls do with all that is written to it.
type signalled struct{ do func(string) }

func (s *signalled) Write(p []byte) (int, error) {
	s.do(string(p))
	return len(p), nil
}

// Each report has a file of its own; - is stdout. What is there by its name is no
// pattern.
func TestBenchFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	small := []string{"bench", "-c", "1", "-n", "20", "--warmup", "0s"}
	for _, more := range [][]string{
		{"--out", "f", "--report", "json=f"},
		{"--out", "f", "--report", "json=./f"},
		{"--report", "json=f", "--report", "html=" + filepath.Join(dir, "f")},
		{"--report", "json=-"},
	} {
		redrpc(t, slices.Concat(small, more)...).want(t, exitUsage, "--report: expected a file for each report, got two for ")
	}
	r := redrpc(t, slices.Concat(small, []string{"--out", "f", "--report", "json=-"})...)
	r.want(t, exitOK)
	if _, err := os.Stat("-"); err == nil || !strings.HasPrefix(r.stdout, "{") {
		t.Errorf("got %.100s, %v", r.stdout, err)
	}
	for _, name := range []string{"runs[1]", "a,b"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(name, "0,1.json")
		if err := os.WriteFile(path, []byte(r.stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{name, path, filepath.Join("runs[1]", "*.json"), filepath.Join("runs[1]", "0*")} {
			if paths, err := reportPaths(text); err != nil || len(paths) != 1 {
				t.Errorf("%s: got %q, %v", text, paths, err)
			}
		}
	}
	redrpc(t, "bench", "compare", "runs[1]", "a,b").want(t, exitFailed, "are one run, which counts once")
}

// A plan stops when it is told to, however much it is to simulate.
func TestBenchPlanInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.json")
	reportInBubble(t, path, 300, 4, "--func", "sleep", "--args", `{"seconds":0.005}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var stdout, stderr strings.Builder
	code := run(ctx, []string{"bench", "plan", "--rate", "500", "--slo", "p99=1s", "--simulate", "1000000000", "--from", path}, &stdout, &stderr, func(string) string { return "" })
	if code != exitFailed || stdout.String() != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}
