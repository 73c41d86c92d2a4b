package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"redrpc/bench"
)

// A figures is what the JSON report promises to have.
type figures struct {
	Settings     map[string]any   `json:"settings"`
	Model        string           `json:"model"`
	Callers      int              `json:"callers"`
	Calls        *int64           `json:"calls"`
	Errors       *int64           `json:"errors"`
	ErrorsByKind map[string]int64 `json:"errors_by_kind"`
	DurationS    *float64         `json:"duration_s"`
	Completed    int64            `json:"completed"`
	Throughput   *float64         `json:"throughput_per_s"`
	LatencyUS    map[string]any
	Latency      json.RawMessage `json:"latency_us"`
	Interrupted  bool            `json:"interrupted"`
}

func readReport(t *testing.T, text string) figures {
	t.Helper()
	var f figures
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	if f.Calls == nil || f.Errors == nil || f.DurationS == nil || f.Throughput == nil || f.ErrorsByKind == nil {
		t.Fatalf("a key is missing in %s", text)
	}
	if err := json.Unmarshal(f.Latency, &f.LatencyUS); err != nil {
		t.Fatalf("no latencies: %v\n%s", err, text)
	}
	for _, key := range []string{"p50", "p90", "p95", "p99", "p999", "max", "min", "mean"} {
		if _, ok := f.LatencyUS[key]; !ok {
			t.Errorf("latency_us.%s is missing in %s", key, text)
		}
	}
	return f
}

// Each is a short run of its own kind.
func TestBench(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testBench(t, "memory") })
	t.Run("tcp", func(t *testing.T) { testBench(t, "tcp", "--transport", "tcp") })
	t.Run("redis", func(t *testing.T) {
		_, url := startRedis(t)
		testBench(t, "tcp", "--redis", url)
	})
}

func testBench(t *testing.T, transport string, broker ...string) {
	for _, flags := range []string{
		"--calls 3000 -c 100",
		"--calls 300 -c 20 --clients 4 --server-workers 2",
		"--calls 20 -c 2 --payload 0",
		"--calls 20 -c 2 --payload 100000",
		"--calls 20 -c 2 --func sleep",
		`--calls 20 -c 2 --func add --args {"a":1.5,"b":12345678901234567890}`,
		`--calls 20 -c 2 --args {"x":[null,"é"]}`,
		"--duration 300ms --warmup 100ms -c 10",
	} {
		t.Run(flags, func(t *testing.T) {
			args := append([]string{"bench", "--output", "json", "--warmup", "20ms"}, broker...)
			r := redrpc(t, append(args, strings.Split(flags, " ")...)...)
			least := int64(20)
			if strings.HasPrefix(flags, "--duration") { // a busy machine may make few calls in it, or none
				least = 1
				for d := time.Second; strings.Contains(r.stderr, "no call was sent") && d < patience; d *= 2 {
					r = redrpc(t, append(args, strings.Split(strings.Replace(flags, "300ms", d.String(), 1), " ")...)...)
				}
			}
			r.want(t, exitOK)
			f := readReport(t, r.stdout)
			if *f.Errors != 0 || *f.Calls < least {
				t.Errorf("%d calls, errors %v", *f.Calls, f.ErrorsByKind)
			}
			version, _ := f.Settings["redis_version"].(string)
			if f.Model != "closed loop" || f.Settings["transport"] != transport || strings.Count(version, ".") != 2 {
				t.Errorf("model %q, transport %q, Redis %q", f.Model, f.Settings["transport"], version)
			}
			if product := *f.Throughput * *f.DurationS; product < float64(f.Completed)-1 || product > float64(f.Completed)+1 {
				t.Errorf("%v calls/s for %v s are not %d calls", *f.Throughput, *f.DurationS, f.Completed)
			}
			if byCalls := strings.HasPrefix(flags, "--calls"); byCalls && f.Completed != *f.Calls || math.Abs(float64(f.Completed-*f.Calls)) > float64(f.Callers) {
				t.Errorf("%d calls, %d completed", *f.Calls, f.Completed)
			}
			if f.LatencyUS["max"] == nil || (f.LatencyUS["p999"] != nil) != (*f.Calls >= bench.MinSamples(0.999)) {
				t.Errorf("%d calls, latencies %s", *f.Calls, f.Latency)
			}
		})
	}
}

func TestBenchText(t *testing.T) {
	r := redrpc(t, "bench", "--concurrency", "1000", "--calls", "3000", "--warmup", "0s")
	r.want(t, exitOK)
	for _, text := range []string{
		"load model     closed loop, 1,000 callers\n", "broker         in-process\n", "transport      memory\n",
		"redis version  7.0.15\n", "payload        100 bytes\n", "timeout        5s\n", "server workers 64\n", "clients        1\n",
		"calls          3,000\n", "errors         0\n", "p99.9",
	} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("expected %q in\n%s", text, r.stdout)
		}
	}
}

func TestBenchWithoutASuccess(t *testing.T) {
	r := redrpc(t, "bench", "--func", "fail", "--args", `{"message":"bad\u001b[2J"}`,
		"--calls", "10", "-c", "2", "--warmup", "0s", "-o", "json")
	r.want(t, exitFailed, "no call was answered with success")
	f := readReport(t, r.stdout)
	if *f.Calls != 0 || *f.Errors != 10 || f.ErrorsByKind["remote_error"] != 10 || *f.Throughput != 0 {
		t.Errorf("got %s", r.stdout)
	}
	for key, us := range f.LatencyUS {
		if us != nil {
			t.Errorf("latency_us.%s is %v, expected null", key, us)
		}
	}
	r = redrpc(t, "bench", "--func", "fail", "--args", `{"message":"bad\u001b[2J"}`, "--calls", "10", "-c", "2", "--warmup", "0s")
	r.want(t, exitFailed)
}

// Calls that take longer than the window: what is known is told, and what to do.
func TestBenchOfCallsLongerThanTheWindow(t *testing.T) {
	slow := []string{"bench", "--func", "sleep", "--args", `{"seconds":0.5}`, "-c", "4", "-d", "100ms"}
	r := redrpc(t, append(slow, "--warmup", "100ms")...)
	r.want(t, exitFailed, "no call was sent in the measured window of 100ms: calls take longer than it; lengthen --duration (or shorten --warmup)")
	if !strings.Contains(r.stdout, "latency        none: no call was sent in the measured time\n") {
		t.Errorf("got %s", r.stdout)
	}
	r = redrpc(t, append(slow, "--warmup", "0s", "-o", "json")...)
	r.want(t, exitOK)
	if f := readReport(t, r.stdout); *f.Calls != 4 || *f.Throughput != 0 {
		t.Errorf("%d calls, %v calls/s; expected 4 that were sent in the window, and none answered in it", *f.Calls, *f.Throughput)
	}
}

func TestBenchTimeout(t *testing.T) {
	r := redrpc(t, "bench", "--func", "sleep", "--args", `{"seconds":60}`, "--timeout", "50ms",
		"--calls", "4", "-c", "2", "--warmup", "0s", "-o", "json")
	r.want(t, exitFailed)
	// A busy machine may not have sent them all.
	if f := readReport(t, r.stdout); f.ErrorsByKind[kindTimeout]+f.ErrorsByKind[kindTimeoutUnsent] != 4 {
		t.Errorf("errors %v, expected 4 of kind timeout", f.ErrorsByKind)
	}
}

// The keys of a run are gone when it ends, and those of others stay, also when
// their names look alike.
func TestBenchCleansUp(t *testing.T) {
	rdb, url := startRedis(t)
	others := []string{"redrpc-bench-", "redrpc-bench-x:echo:calls", "other", `p*:echo:calls`}
	for _, key := range others {
		if err := rdb.RPush(t.Context(), key, "element").Err(); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(others)
	check := func(t *testing.T) {
		t.Helper()
		if keys := keysOf(t, rdb); !slices.Equal(keys, others) {
			t.Errorf("keys %q, expected %q", keys, others)
		}
	}
	t.Run("at the end", func(t *testing.T) {
		redrpc(t, "bench", "--redis", url, "--calls", "100", "-c", "10", "--warmup", "0s").wantMeasured(t)
		check(t)
	})
	t.Run("with results that nobody waits for", func(t *testing.T) {
		redrpc(t, "bench", "--redis", url, "--func", "sleep", "--args", `{"seconds":0.1}`, "--timeout", "20ms",
			"--server-workers", "1", "--calls", "20", "-c", "10", "--warmup", "0s").want(t, exitFailed)
		check(t)
	})
	t.Run("when interrupted", func(t *testing.T) {
		b := start(t, nil, "bench", "--redis", url, "--duration", "1h", "-c", "10", "--warmup", "0s")
		b.await(t, &b.stderr, "in flight")
		b.stop()
		if code := b.wait(); code != exitOK {
			t.Errorf("exit code %d, stderr %s", code, b.stderr.String())
		}
		check(t)
	})
	t.Run("when the report cannot be written", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "gone")
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		b := start(t, nil, "bench", "--redis", url, "--duration", "1h", "-c", "10", "--warmup", "0s", "--out", filepath.Join(out, "report"))
		b.await(t, &b.stderr, "in flight")
		if err := os.Remove(out); err != nil {
			t.Fatal(err)
		}
		b.stop()
		if code := b.wait(); code != exitFailed || !strings.Contains(b.stderr.String(), "report cannot be written: ") {
			t.Errorf("exit code %d, stderr %s", code, b.stderr.String())
		}
		check(t)
	})
	t.Run("not with a given prefix", func(t *testing.T) {
		// A result that somebody else will fetch, and a call that somebody else serves.
		theirs := []string{"p:echo:result:1", "p:theirs:calls"}
		for _, key := range theirs {
			if err := rdb.RPush(t.Context(), key, "element").Err(); err != nil {
				t.Fatal(err)
			}
		}
		redrpc(t, "bench", "--redis", url, "--prefix", "p", "--calls", "100", "-c", "10", "--warmup", "0s").wantMeasured(t)
		for _, key := range append(theirs, others...) {
			if n := rdb.LLen(t.Context(), key).Val(); n != 1 {
				t.Errorf("%s has %d elements, expected 1", key, n)
			}
		}
	})
}

func TestDeleteKeysTakesThePrefixLiterally(t *testing.T) {
	rdb, _ := startRedis(t)
	for i, prefix := range []string{`a*`, `a?`, `a[bc]`, `a\`, `ab`, `a\*`} {
		for n := range 2500 { // more than one round of SCAN
			if err := rdb.Set(t.Context(), fmt.Sprintf("%s:%d", prefix, n), "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rdb.MSet(t.Context(), "abc:x", 1, "ab*:x", 1, "a", 1, "a*", 1, `a\x:1`, 1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := deleteKeys(rdb, prefix); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, rdb); len(keys) != 5 {
			t.Errorf("%d, prefix %s: left %q, expected the five others", i, prefix, keys)
		}
	}
}

func TestBenchInterrupted(t *testing.T) {
	for name, warmup := range map[string]string{"in the window": "0s", "in the warm-up": "1h"} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil, "bench", "--duration", "1h", "-c", "10", "--warmup", warmup, "-o", "json")
			b.await(t, &b.stderr, "in flight")
			b.stop()
			code := b.wait()
			f := readReport(t, b.stdout.String())
			if want := map[string]int{"0s": exitOK, "1h": exitFailed}[warmup]; code != want || !f.Interrupted || *f.Errors != 0 {
				t.Errorf("exit code %d, expected %d; %s", code, want, b.stdout.String())
			}
		})
	}
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		redrpcIn(t, ctx, nil, "bench").want(t, exitFailed, "context canceled")
	})
}

func TestBenchNoServer(t *testing.T) {
	_, url := startRedis(t)
	s := start(t, nil, "serve", "--redis", url, "--prefix", "elsewhere")
	s.await(t, &s.stderr, "serving")
	r := redrpc(t, "bench", "--redis", url, "--no-server", "--prefix", "elsewhere", "--func", "echo",
		"--payload", "10", "--calls", "100", "-c", "10", "--warmup", "0s", "-o", "json")
	if r.code != exitOK && r.code != exitInvalid { // a busy machine
		t.Fatal(r.stderr)
	}
	if f := readReport(t, r.stdout); *f.Calls != 100 || f.Settings["server"] != "elsewhere" || f.Settings["server_workers"] != nil {
		t.Errorf("got %s", r.stdout)
	}
}

func TestBenchOut(t *testing.T) {
	dir := t.TempDir()
	short := []string{"bench", "--calls", "10", "-c", "2", "--warmup", "0s", "-o", "json", "--out"}
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(dir, "report.json")
		for range 2 { // the second replaces the first
			r := redrpc(t, append(short, path)...)
			r.want(t, exitOK, "report written to "+path)
			if r.stdout != "" {
				t.Errorf("stdout: %s", r.stdout)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			readReport(t, string(content))
		}
	})
	t.Run("through a link", func(t *testing.T) {
		link := filepath.Join(dir, "link.json")
		if err := os.Symlink("report.json", link); err != nil {
			t.Fatal(err)
		}
		redrpc(t, append(short, link)...).want(t, exitOK)
		if target, err := os.Readlink(link); err != nil || target != "report.json" {
			t.Errorf("the link was replaced: %q, %v", target, err)
		}
	})
	t.Run("what is no regular file", func(t *testing.T) {
		redrpc(t, append(short, os.DevNull)...).want(t, exitOK)
		if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
			t.Errorf("%s was replaced: %v, %v", os.DevNull, info, err)
		}
	})
	for name, c := range map[string]struct{ path, want string }{
		"no directory": {filepath.Join(dir, "nope", "report"), "no such file or directory"},
		"a directory":  {dir, "it is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			// Told before the run, which would end with the test's own time.
			redrpc(t, "bench", "--duration", "1h", "--out", c.path).want(t, exitFailed, "--out "+c.path+" cannot be written: ", c.want)
		})
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

// The garbage collector, which holds up the generator, runs seldom: thousands of calls are made
// between two of its runs.
func TestBenchSeldomCollectsGarbage(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	redrpc(t, "bench", "-c", "4", "--calls", "3000", "--warmup", "0s").wantMeasured(t)
	runtime.ReadMemStats(&after)
	runs, megabytes := after.NumGC-before.NumGC, (after.TotalAlloc-before.TotalAlloc)>>20
	if most := 2 + megabytes/32; uint64(runs) > most {
		t.Errorf("it ran %d times for %d MiB, expected %d at most", runs, megabytes, most)
	}
}

// A line that is longer than the terminal would wrap, and could not be written over.
func TestProgressLine(t *testing.T) {
	p := bench.Progress{Elapsed: time.Minute, Rate: 12345, TargetRate: 12345, InFlight: 100}
	for columns, want := range map[int]string{
		99: "run 10 of 12, B: 60.0s  12,345/s  in flight 100  p50 -  p99 -  errors 0  0.0s left",
		79: "run 10 of 12, B: 60.0s  12,345/s  p50 -  p99 -  errors 0  0.0s left",
		50: "run 10 of 12, B: 60.0s  12,345/s  p99 -  errors 0",
		20: "run 10 of 12, B: 60.",
		0:  "",
	} {
		if got := progressLine("run 10 of 12, B:", p, columns); got != want {
			t.Errorf("%d columns: got %q, expected %q", columns, got, want)
		}
	}
	p.Elapsed = 1000 * time.Second
	if got, want := progressLine("B:", p, 20), "B: 1000.0s  12,345/s"; got != want {
		t.Errorf("got %q, expected %q", got, want)
	}
}

func TestLiveLine(t *testing.T) {
	var b bytes.Buffer
	l := &liveLine{w: &b, terminal: os.Stdin}
	l.show("", bench.Progress{WarmingUp: true, Rate: 10})
	fmt.Fprintln(l, "a message")
	l.end()
	want := "\r\x1b[K  0.0s  10/s  in flight 0  warming up" + "\r\x1b[Ka message\n" + "\r\x1b[K"
	if b.String() != want {
		t.Errorf("got %q, expected %q", b.String(), want)
	}
}
