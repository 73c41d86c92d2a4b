package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// report makes a JSON report of a short run.
func makeReport(t *testing.T, path string, args ...string) {
	t.Helper()
	redrpc(t, append([]string{"bench", "-o", "json", "--out", path, "--warmup", "0s"}, args...)...).want(t, exitOK)
}

// benchInParts runs bench as two generators that share a load, and returns their reports.
// They start together, as soon as this machine has both ready in time.
func benchInParts(t *testing.T, args ...string) []string {
	t.Helper()
	dir := t.TempDir()
	parts, results := make([]string, 2), make([]result, 2)
	for lead := 500 * time.Millisecond; ; lead *= 2 {
		start := time.Now().Add(lead).UTC().Format(time.RFC3339Nano)
		var generators sync.WaitGroup
		for i := range parts {
			parts[i] = filepath.Join(dir, fmt.Sprint(i))
			generators.Go(func() {
				results[i] = redrpc(t, slices.Concat([]string{"bench"}, args, []string{"-o", "json", "--out", parts[i], "--warmup", "0s",
					"--start-at", start, "--instance", fmt.Sprintf("%d/2", i)})...)
			})
		}
		generators.Wait()
		late := slices.ContainsFunc(results, func(r result) bool { return strings.Contains(r.stderr, "expected a time to come") })
		if late && lead < patience {
			continue
		}
		for _, r := range results {
			r.wantMeasured(t)
		}
		return parts
	}
}

// Two generators share a load, each with half of the calls of one schedule.
func TestBenchMerge(t *testing.T) {
	_, url := startRedis(t)
	dir := t.TempDir()
	parts := benchInParts(t, "--redis", url, "--func", "sleep", "--rate", "200", "-d", "300ms")
	r := redrpc(t, append([]string{"bench", "merge", "-o", "json"}, parts...)...)
	whole := readRun(t, r.stdout)
	if whole.Intended != 60 || whole.Instances != 2 || whole.Calls != 60 || setting(whole.Settings, "function") != "sleep" || setting(whole.Settings, "prefix") != "" {
		t.Errorf("exit code %d, %d calls of %d, settings %v\n%s", r.code, whole.Calls, whole.Instances, whole.Settings, r.stderr)
	}
	redrpc(t, "bench", "merge", parts[0]).want(t, exitFailed, "expected all 2 instances, got 1")
	redrpc(t, "bench", "merge", parts[0], parts[0]).want(t, exitFailed, "expected each instance once, got 0 twice")
	redrpc(t, "bench", "merge", parts[0], filepath.Join(dir, "nope")).want(t, exitFailed, "expected a JSON report of redrpc bench: open ")
	other := filepath.Join(dir, "other")
	makeReport(t, other, "--calls", "10", "-c", "1")
	redrpc(t, "bench", "merge", parts[0], other).want(t, exitFailed, `expected reports of one configuration, got function "sleep" and "echo"`)
}

func TestBenchReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.json")
	makeReport(t, path, "--calls", "300", "-c", "1")
	r := redrpc(t, "bench", "report", path)
	r.want(t, exitOK)
	if !strings.Contains(r.stdout, "calls          300\n") || !strings.Contains(r.stdout, "phases ") {
		t.Errorf("got %s", r.stdout)
	}
	r = redrpc(t, "bench", "report", path, "-o", "json", "--report", "html="+filepath.Join(dir, "run.html"), "--slo", "p50=10s")
	r.want(t, exitOK, "report written to ", "SLO p50=10s: ")
	if again := readRun(t, r.stdout); again.Calls != 300 || setting(again.Settings, "function") != "echo" {
		t.Errorf("%v", again.Settings)
	}
	redrpc(t, "bench", "report", path, "--slo", "p50=1ns").want(t, exitMissed, "the SLO p50=1ns was missed: ")
	for name, text := range map[string]string{"broken": `{"schema": 1,`, "foreign": `{"a": 1}`, "array": `[]`, "later": `{"schema": 99}`} {
		wrong := filepath.Join(dir, name)
		if err := os.WriteFile(wrong, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		redrpc(t, "bench", "report", wrong).want(t, exitFailed, wrong+": report: expected ")
	}
}

// One side sleeps for 1 ms and the other for 300, which is longer than what a busy machine adds.
func TestBenchCompare(t *testing.T) {
	const fast, slow = `--args '{"seconds":0.001}'`, `--args '{"seconds":0.3}'`
	both := []string{"--", "--func", "sleep", "--calls", "10", "-c", "10", "--warmup", "0s"}
	run := func(a, b string) result {
		return redrpc(t, append([]string{"bench", "compare", "--runs", "4", "--metrics", "p50", "--a", a, "--b", b}, both...)...)
	}
	r := run(fast, slow)
	r.want(t, exitMissed, `B (--args {"seconds":0.3}) is worse than A (--args {"seconds":0.001}): p50: `)
	if !strings.Contains(r.stdout, "WORSE") {
		t.Errorf("got %s", r.stdout)
	}
	run(slow, fast).want(t, exitOK)
	run(slow, "--func nope").want(t, exitUsage, "--b: --func: expected one of add")
	redrpc(t, append([]string{"bench", "compare", "--runs", "2", "--metrics", "p50", "--a", fast, "--b", slow}, both...)...).want(t, exitUsage, "--runs: expected 4 or more")

	dir := t.TempDir()
	for _, side := range []struct{ name, args string }{{"a", `{"seconds":0.3}`}, {"b", `{"seconds":0.001}`}} {
		if err := os.Mkdir(filepath.Join(dir, side.name), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			makeReport(t, filepath.Join(dir, side.name, fmt.Sprintf("%d.json", i)), "--func", "sleep", "--args", side.args, "--calls", "10", "-c", "10")
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b", "*")
	redrpc(t, "bench", "compare", a, b, "--metrics", "p50").want(t, exitFailed, "if that is what you compare, say --may-differ args")
	r = redrpc(t, "bench", "compare", a, b, "--metrics", "p50", "--may-differ", "args", "-o", "json")
	r.want(t, exitOK)
	var got struct {
		Comparison struct {
			RunsA   int `json:"runs_a"`
			Metrics []struct{ Judgement string }
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if c := got.Comparison; c.RunsA != 4 || len(c.Metrics) != 1 || c.Metrics[0].Judgement != "better" {
		t.Errorf("%+v", got)
	}
}

// 100 calls/s of 20 ms keep 2 workers busy, so it takes 3 or a few more.
func TestBenchPlan(t *testing.T) {
	dir := t.TempDir()
	run := filepath.Join(dir, "run.json")
	reportInBubble(t, run, 300, 16, "--func", "sleep", "--args", `{"seconds":0.02}`)
	for _, c := range []struct {
		from []string
		most int
	}{
		{[]string{"--from", run}, 6},
		{[]string{"--func", "sleep", "--args", `{"seconds":0.02}`, "-c", "16", "-d", "800ms", "--warmup", "0s"}, 10_000}, // of a busy machine, too
	} {
		r := redrpc(t, append([]string{"bench", "plan", "--rate", "100", "--slo", "p99=1s", "--simulate", "20000", "-o", "json"}, c.from...)...)
		if c.from[0] != "--from" && r.code == exitInvalid { // on a machine where calls wait for each other
			continue
		}
		r.want(t, exitOK)
		var got struct{ Plan struct{ Workers int } }
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.Plan.Workers < 2 || got.Plan.Workers > c.most {
			t.Errorf("%v: %d workers, %v", c.from, got.Plan.Workers, err)
		}
	}
	redrpc(t, "bench", "plan", "--rate", "100", "--slo", "p99=1ms", "--simulate", "20000", "--from", run).want(t, exitMissed, "no number of workers does")
	without := filepath.Join(dir, "without.json")
	text, err := os.ReadFile(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(without, []byte(strings.ReplaceAll(string(text), `"run": {`, `"other": {`)), 0o600); err != nil {
		t.Fatal(err)
	}
	redrpc(t, "bench", "plan", "--rate", "100", "--slo", "p99=1s", "--from", without).want(t, exitFailed, "expected a run with the phases queue, run and wake")
	redrpc(t, "bench", "plan", "--rate", "100", "--slo", "p999=1s", "--from", run).want(t, exitInvalid, "expected 2,995 calls or more for p999=1s, got 300")
	for _, state := range []string{"invalid", "diverging"} {
		spoiled := filepath.Join(dir, state+".json")
		if err := os.WriteFile(spoiled, []byte(strings.Replace(string(text), `"state": "valid"`, `"state": "`+state+`"`, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		redrpc(t, "bench", "plan", "--rate", "100", "--slo", "p99=1s", "--from", spoiled).want(t, exitInvalid, "expected a valid run, got one that is "+state)
	}
	waits := filepath.Join(dir, "waits.json")
	reportInBubble(t, waits, 300, 16, "--func", "sleep", "--args", `{"seconds":0.001}`, "--server-workers", "1")
	redrpc(t, "bench", "plan", "--rate", "100", "--slo", "p99=1s", "--from", waits).want(t, exitInvalid, "expected a run whose calls do not wait for each other")
}

// The check starts as many workers as the plan says.
func TestBenchPlanCheck(t *testing.T) {
	plan := []string{"bench", "plan", "--rate", "100", "--slo", "p50=1s", "--simulate", "20000", "--func", "sleep", "-c", "8", "-d", "300ms", "--check", "300ms", "--warmup", "0s", "--spin", "off", "-o", "json"}
	r := redrpc(t, plan...)
	for tries := 1; r.stdout == "" && tries < 20; tries++ { // on a busy machine, where calls wait for each other
		r.want(t, exitInvalid, "expected a run whose calls do not wait for each other")
		r = redrpc(t, plan...)
	}
	if r.code != exitOK && r.code != exitInvalid { // a busy machine
		t.Errorf("exit code %d", r.code)
	}
	if !strings.Contains(r.stderr, "SLO p50=1s: ") || !strings.Contains(r.stdout, `"objective": {`) {
		t.Errorf("%s\n%s", r.stderr, r.stdout)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := redrpc(t, "bench", "report", path); again.code != r.code {
		t.Errorf("exit code %d of the report, %d of the plan", again.code, r.code)
	}
}
