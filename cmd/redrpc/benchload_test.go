package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"redrpc/bench"
	"redrpc/bench/report"
)

// readRun reads a JSON report as another program of ours does.
func readRun(t *testing.T, text string) report.Report {
	t.Helper()
	rep, err := report.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return rep
}

// In an open loop calls have three times, phases, and what gave first is watched. With
// so few calls per second, a limit of 4 is only reached if the machine stands still.
func TestBenchOpenLoop(t *testing.T) {
	for _, c := range []struct{ model, flags string }{
		{"constant:200", "--rate 200 --arrivals constant"},
		{"poisson:200", "--rate 200/s --arrivals poisson --seed 7"},
		{"ramp:100..300/1s", "--model ramp:100..300/1s"},
		{"poisson:steps:100,300/100ms", "--model poisson:steps:100,300/100ms --clients 2"},
	} {
		t.Run(c.flags, func(t *testing.T) {
			r := redrpc(t, append([]string{"bench", "-o", "json", "--warmup", "50ms", "--calls", "50", "--spin", "off", "--func", "sleep", "--args", `{"seconds":0.002}`}, strings.Split(c.flags, " ")...)...)
			res := readRun(t, r.stdout)
			if res.Model != c.model || !res.OpenLoop || res.Intended != 50 || res.Calls != 50 || res.Samples.Lag.Count != 50 {
				t.Errorf("exit code %d, %s: intended %d, calls %d, errors %v\n%s", r.code, res.Model, res.Intended, res.Calls, res.ErrorsByKind, r.stderr)
			}
			var sum float64
			for i, name := range phases {
				if res.Phases[i].Name != name || res.Phases[i].Calls != 50 {
					t.Fatalf("phase %d is %s of %d calls", i, res.Phases[i].Name, res.Phases[i].Calls)
				}
				sum += *res.Phases[i].Latency.Mean
			}
			if run := *res.Phases[1].Latency.Min; run < 2000 {
				t.Errorf("a handler that sleeps for 2 ms ran for %v us", run)
			}
			if service := *res.Service.Mean; sum > service || sum < service/10 {
				t.Errorf("the phases last for %v us of the %v us of the calls", sum, service)
			}
			if busy := res.Resources; len(busy) == 0 || res.Counters["rpush calls"] < 1 {
				t.Errorf("resources %v, counters %v", busy, res.Counters)
			}
			if _, ok := res.Intervals[0].Gauges["queue depth"]; !ok {
				t.Errorf("gauges %v", res.Intervals[0].Gauges)
			}
		})
	}
}

// In a closed loop of many callers tracing would cost too much, unless it is asked for.
func TestBenchPhases(t *testing.T) {
	for flags, want := range map[string]int{"-c 100": 3, "-c 101": 0, "-c 101 --phases on": 3, "-c 1 --phases off": 0} {
		r := redrpc(t, append([]string{"bench", "-o", "json", "--calls", "200", "--warmup", "0s"}, strings.Split(flags, " ")...)...)
		if res := readRun(t, r.stdout); len(res.Phases) != want {
			t.Errorf("%s: %d phases, expected %d", flags, len(res.Phases), want)
		}
	}
}

// A recording calls what it says, with the defaults of the flags for what it leaves out.
func TestBenchReplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"offset_ms": 3, "func": "fail", "args": {"message": "as recorded"}}
{"offset_ms": 0}
{"offset_ms": 1.5, "func": "add", "args": {"a": 1, "b": 2}}

{"offset_ms": 9, "func": "sleep"}
`)
	r := redrpc(t, "bench", "--replay", path, "-o", "json", "--spin", "off")
	res := readRun(t, r.stdout)
	if res.Intended != 4 || res.Calls != 3 || res.ErrorSamples["remote_error"] == "" || !strings.Contains(res.ErrorSamples["remote_error"], "as recorded") {
		t.Errorf("exit code %d, calls %d, errors %v\n%s", r.code, res.Calls, res.ErrorSamples, r.stderr)
	}
	for text, want := range map[string]string{
		`{"offset_ms": 0, "func": "nope"}`: `func: expected one of add, echo, fail, sleep`,
		`{"offset_ms": 0, "func": 1}`:      `expected "func" as a text and "args" as an object`,
		`{"offset_ms": 0, "args": [1]}`:    `expected "args" as an object`,
		`{"offset_ms": -1}`:                `offset_ms: expected a number of 0 or more`,
		"":                                 "expected at least one line, got none",
	} {
		write(text)
		redrpc(t, "bench", "--replay", path).want(t, exitUsage, "--replay: ", want)
	}
}

// One worker takes 10 ms for each call, so 400 calls per second pile up. How soon that is sure,
// and what else is a bottleneck, depends on how busy the machine is: bench tests it in fake
// time.
func TestBenchDiverging(t *testing.T) {
	overload := []string{"bench", "--rate", "400", "--func", "sleep", "--server-workers", "1", "-d", "20s", "--warmup", "0s", "--spin", "off", "-o", "json", "--timeout", "2s"}
	r := redrpc(t, overload...)
	r.want(t, exitInvalid, "calls pile up, so there are no percentiles")
	res := readRun(t, r.stdout)
	if res.Verdict.State != bench.Diverging || res.Latency.P99 != nil {
		t.Errorf("%+v", res.Verdict)
	}
}

func TestBenchSLO(t *testing.T) {
	run := []string{"bench", "-c", "1", "--warmup", "0s", "--calls", "300", "--func", "sleep", "--args", `{"seconds":0.001}`, "--slo"}
	r := redrpc(t, append(run, "p99=10m,errors=0%,throughput=0.1/s")...)
	r.want(t, exitOK, "SLO p99=10m0s: ", "SLO errors=0%")
	redrpc(t, append(run, "p99=1us")...).want(t, exitMissed, "the SLO p99=1µs was missed: ")
	redrpc(t, append(run, "p999=10m")...).want(t, exitInvalid, "whether the SLO p999=10m0s was met is not known: ")
}

// A run that the generator spoiled is of no use, whatever it measured.
func TestBenchMissedCalls(t *testing.T) {
	r := redrpc(t, "bench", "--rate", "1000", "--max-in-flight", "1", "--func", "sleep", "--calls", "50", "--warmup", "0s", "--spin", "off", "-o", "json")
	r.want(t, exitInvalid, "the measurement is invalid: ", "were dropped")
	if res := readRun(t, r.stdout); res.Dropped == 0 {
		t.Errorf("%+v", res.Verdict)
	}
}

// Every form comes out of one run, each into its file.
func TestBenchForms(t *testing.T) {
	dir := t.TempDir()
	args := []string{"bench", "--calls", "300", "-c", "2", "--warmup", "0s"}
	for _, form := range runForms {
		args = append(args, "--report", form+"="+filepath.Join(dir, form))
	}
	r := redrpc(t, args...)
	r.want(t, exitOK, "report written to "+filepath.Join(dir, "html"))
	for form, want := range map[string]string{
		"text": "load model", "csv": "start_s,", "hlog": "#[Histogram log format version 1.3]", "hgrm": "Value", "gobench": "BenchmarkRedrpc/echo/callers=2", "html": "<!doctype html>",
	} {
		text, err := os.ReadFile(filepath.Join(dir, form))
		if err != nil || !strings.Contains(strings.ToLower(string(text)), strings.ToLower(want)) {
			t.Errorf("%s: expected %q, got %.100q, %v", form, want, text, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "json"))
	if err != nil || !json.Valid(text) {
		t.Fatal(err)
	}
	if rep := readRun(t, string(text)); rep.Calls != 300 || rep.Environment == nil || len(rep.Environment.More) == 0 {
		t.Errorf("%d calls, environment %+v", rep.Calls, rep.Environment)
	}
	// What a run does not support is no file, and said.
	r = redrpc(t, "bench", "--calls", "2", "-c", "1", "--warmup", "0s", "--func", "fail", "-o", "gobench")
	r.want(t, exitFailed, "gobench: ", "no call was answered with success")
}
