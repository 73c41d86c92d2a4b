package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/bench/command"
)

// generatorResults are what was measured of package bench, as it stands in bench.json.
type generatorResults struct {
	Plan    callsPlan         `json:"plan"`
	Machine machine           `json:"machine"`
	Series  []generatorSeries `json:"series"`
}

// A generatorCase is what is measured in each round.
type generatorCase struct {
	// Against is a command that redis-benchmark and package bench send to the same
	// redis-server, 50 connections with so many commands in flight each. Tool
	// says which of them.
	Against  string `json:"against,omitempty"`
	Pipeline int    `json:"pipeline,omitempty"`
	Tool     string `json:"tool,omitempty"`

	// Callers of a closed loop or, if that is 0, Rate of an open one send calls to Target.
	Target  string     `json:"target,omitempty"`
	Callers int        `json:"callers,omitempty"`
	Rate    float64    `json:"rate,omitempty"`
	Spin    bench.Spin `json:"spin,omitempty"`
}

type generatorSeries struct {
	generatorCase
	Runs []generated `json:"runs"`
}

// generated is what one run found out. The times are those of calls.
type generated struct {
	PerSecond float64 `json:"per_second"` // commands, with Against
	CPU       float64 `json:"cpu_us,omitempty"`
	Spinless  float64 `json:"cpu_without_spinning_us,omitempty"`
	Allocs    float64 `json:"allocations,omitempty"`
	LagP50    float64 `json:"lag_p50_us,omitempty"`
	LagP99    float64 `json:"lag_p99_us,omitempty"`
	LagP999   float64 `json:"lag_p999_us,omitempty"`
	Verdict   string  `json:"verdict,omitempty"`
}

const (
	generatorConns = 50
	lagRate        = 10_000
	benchmarkTool  = "redis-benchmark"
	benchTool      = "bench"
	nothing        = "nothing"
	setCommand     = "SET on redis-server"
	setRate        = 50_000 // about half of what redis-benchmark reaches
)

func generatorCases() []generatorCase {
	var all []generatorCase
	for _, pipeline := range []int{1, 16} {
		for _, command := range []string{"PING", "SET"} {
			for _, tool := range []string{benchmarkTool, benchTool} {
				all = append(all, generatorCase{Against: command, Pipeline: pipeline, Tool: tool})
			}
		}
	}
	for _, callers := range []int{1, 64} {
		all = append(all, generatorCase{Target: nothing, Callers: callers})
	}
	for _, target := range []string{nothing, memorySystem} {
		for _, spin := range []bench.Spin{bench.SpinAuto, bench.SpinOn, bench.SpinOff} {
			all = append(all, generatorCase{Target: target, Rate: lagRate, Spin: spin})
		}
	}
	return append(all, generatorCase{Target: setCommand, Rate: setRate, Spin: bench.SpinAuto})
}

// generatorFlags are those of a process that measures one case.
type generatorFlags struct{ text string }

func (f *generatorFlags) register() {
	flag.StringVar(&f.text, "generate", "", "measure this case of the generator, JSON, and print what was measured")
}

// measureGenerator measures and writes bench.json and bench.md.
func measureGenerator(dir string, quick bool) error {
	r := &generatorResults{Plan: callsPlan{Rounds: 5, Seconds: 1.2}}
	if quick {
		r.Plan = callsPlan{Quick: true, Rounds: 2, Seconds: 0.5}
	}
	if err := observed(&r.Machine, r.measure); err != nil {
		return err
	}
	if err := writeData(generatorFile(dir), r); err != nil {
		return err
	}
	return writeGeneratorPage(dir)
}

func generatorFile(dir string) string { return filepath.Join(dir, "bench.json") }

func (r *generatorResults) measure() error {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	redis, err := startServer(redisServer, "", dir)
	if err != nil {
		return err
	}
	defer redis.stop()
	for _, c := range generatorCases() {
		r.Series = append(r.Series, generatorSeries{generatorCase: c})
	}
	for round := range r.Plan.Rounds {
		// The two tools of a pair are neighbours, and take turns to be the first.
		for i := range r.Series {
			s := &r.Series[i]
			if s.Against != "" && round%2 == 1 {
				s = &r.Series[i^1]
			}
			g, err := s.run(redis.addr, r.Plan.Seconds)
			if err != nil {
				return fmt.Errorf("%+v: %w", s.generatorCase, err)
			}
			s.Runs = append(s.Runs, g)
		}
		progress("  round %d of %d", round+1, r.Plan.Rounds)
	}
	return nil
}

// run measures a case once, in a process of its own, with a core of its own if there
// is a server.
func (c generatorCase) run(addr string, seconds float64) (generated, error) {
	if c.Tool == benchmarkTool {
		return c.runBenchmark(addr, seconds)
	}
	text, err := json.Marshal(c)
	if err != nil {
		return generated{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return generated{}, err
	}
	args := []string{self, "-generate", string(text), "-addr", addr, "-seconds", fmt.Sprint(seconds)}
	if c.Against != "" || c.Target == setCommand {
		args = append([]string{"taskset", "-c", clientCPU}, args...)
	}
	run := exec.Command(args[0], args[1:]...)
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		return generated{}, err
	}
	var g generated
	err = json.Unmarshal(out, &g)
	return g, err
}

// runBenchmark has redis-benchmark send as many commands as take the time, about.
func (c generatorCase) runBenchmark(addr string, seconds float64) (generated, error) {
	_, port, _ := strings.Cut(addr, ":")
	name := map[string]string{"PING": "ping_mbulk", "SET": "set"}[c.Against]
	rate := map[int]float64{1: 80_000, 16: 700_000}[c.Pipeline]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "taskset", "-c", clientCPU, "redis-benchmark", "-p", port, "--csv", "-d", strconv.Itoa(valueSize),
		"-c", strconv.Itoa(generatorConns), "-P", strconv.Itoa(c.Pipeline), "-n", strconv.Itoa(int(rate*seconds)), "-t", name).Output()
	if err != nil {
		return generated{}, fmt.Errorf("redis-benchmark: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 2 || !strings.EqualFold(rows[1][0], name) {
		return generated{}, fmt.Errorf("redis-benchmark: expected a head and a row for %s, got %s (%w)", name, out, err)
	}
	perSecond, err := strconv.ParseFloat(rows[1][1], 64)
	return generated{PerSecond: digits(perSecond, 0)}, err
}

// run measures in this process.
func (f *generatorFlags) run(addr string, seconds float64) error {
	var c generatorCase
	if err := json.Unmarshal([]byte(f.text), &c); err != nil {
		return err
	}
	cfg := bench.Config{
		Call:   func(context.Context) error { return nil },
		Warmup: time.Duration(seconds / 4 * float64(time.Second)), Duration: time.Duration(seconds * float64(time.Second)),
		Callers: c.Callers, Spin: c.Spin, InProcess: c.Target == memorySystem,
	}
	switch {
	case c.Against != "":
		load, end, err := openLoad(addr, c.Against, c.Pipeline, true)
		if err != nil {
			return err
		}
		defer end()
		cfg.Call, cfg.Do, cfg.Callers = nil, load.Do, generatorConns*c.Pipeline
		if load.Batch {
			cfg.Batch, cfg.DoBatch = c.Pipeline, load.DoBatch
		}
	case c.Target == setCommand:
		load, end, err := openLoad(addr, "SET", 1, false)
		if err != nil {
			return err
		}
		defer end()
		cfg.Call, cfg.Do = nil, load.Do
	case c.Target == memorySystem:
		s, err := startSystem(inMemory, "")
		if err != nil {
			return err
		}
		defer s.close()
		cfg.Call = s.call
	}
	if c.Rate > 0 {
		cfg.Model = bench.OpenLoop{Profile: bench.Constant(c.Rate)}
	}
	heap := make([]byte, 64<<20) // as redrpc bench has it, so that the garbage collector seldom runs
	defer runtime.KeepAlive(heap)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := ourUsage()
	res, err := bench.Run(context.Background(), cfg)
	if err != nil {
		return err
	}
	cpu = ourUsage() - cpu
	runtime.ReadMemStats(&after)
	if res.Errors > 0 || res.Dropped > 0 {
		return fmt.Errorf("%d errors, %d dropped: %v", res.Errors, res.Dropped, res.ErrorSamples)
	}
	calls := float64(res.Calls + res.Warmup.Calls)
	g := generated{
		PerSecond: digits(res.Throughput, 0),
		CPU:       digits(cpu*1e6/calls, 3),
		Allocs:    digits(float64(after.Mallocs-before.Mallocs)/calls, 3),
		Verdict:   string(res.Verdict.State),
	}
	for _, u := range res.Resources {
		g.Spinless = digits(u.Utilization*u.Capacity*1e6/res.Throughput, 3) // the generator is the only one
	}
	if c.Rate > 0 {
		g.LagP50, g.LagP99, g.LagP999 = *res.Lag.P50, *res.Lag.P99, *res.Lag.P999
	}
	return json.NewEncoder(os.Stdout).Encode(g)
}

// openLoad makes a load of SET or PING, as redis-benchmark sends them.
func openLoad(addr, name string, pipeline int, closed bool) (load *command.Load, end func(), err error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2})
	text := map[string]string{"PING": "PING", "SET": "SET key:generator __data__"}[name]
	load, err = command.Open(context.Background(), rdb, command.Options{
		Commands: []command.Command{{Text: text}}, Data: command.Size{Min: valueSize, Max: valueSize},
		Connections: generatorConns, Pipeline: pipeline, Batch: closed && pipeline > 1,
	})
	if err != nil {
		return nil, nil, errors.Join(err, rdb.Close())
	}
	return load, func() { load.Close(); rdb.Close() }, nil
}

//go:embed generator.md.tmpl
var generatorText string

var generatorTemplate = template.Must(template.New("generator").Parse(generatorText))

// A generatorPage is what the template shows.
type generatorPage struct {
	*generatorResults
	Targets              []targetRow
	Against, Cost, Lag   []string
	Others               string
	ServerCPU, ClientCPU string
}

// writeGeneratorPage writes bench.md from bench.json.
func writeGeneratorPage(dir string) error {
	data, err := os.ReadFile(generatorFile(dir))
	if err != nil {
		return err
	}
	var r generatorResults
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", generatorFile(dir), err)
	}
	p := generatorPage{generatorResults: &r, ServerCPU: serverCPU, ClientCPU: clientCPU, Others: fmt.Sprintf("%.1f %%", 100*r.Machine.OthersCPU)}
	var worst []float64
	for i, s := range r.Series {
		of := func(figure func(generated) float64) float64 { return median(s.figures(figure)) }
		cost := fmt.Sprintf("%.0f | %.2f", 1000*of(func(g generated) float64 { return g.Spinless }), of(func(g generated) float64 { return g.Allocs }))
		switch {
		case s.Tool == benchmarkTool:
			ours := r.Series[i+1]
			a, b := ours.figures(rateOf), s.figures(rateOf)
			if len(a) != len(b) || len(a) == 0 {
				return errors.New("bench.json: a round is missing")
			}
			each := make([]float64, len(a))
			for i := range a {
				each[i] = a[i] / b[i]
			}
			worst = append(worst, median(each))
			p.Against = append(p.Against, fmt.Sprintf("%s, %d in flight | %s | %s | %.2f (%.2f-%.2f)", s.Against, s.Pipeline,
				thousands(median(b)), thousands(median(a)), median(each), slices.Min(each), slices.Max(each)))
		case s.Callers > 0:
			p.Cost = append(p.Cost, fmt.Sprintf("closed loop, callers: %d | %s", s.Callers, cost))
		case s.Rate > 0:
			if s.Target == nothing {
				p.Cost = append(p.Cost, fmt.Sprintf("open loop, %s calls/s, spin %s | %s", thousands(s.Rate), s.Spin, cost))
			}
			p.Lag = append(p.Lag, fmt.Sprintf("%s, %s/s, spin %s | %.1f | %.1f | %.0f | %.2f", s.Target, thousands(s.Rate), s.Spin,
				of(func(g generated) float64 { return g.LagP50 }), of(lagP99), of(func(g generated) float64 { return g.LagP999 }),
				of(func(g generated) float64 { return g.CPU * g.PerSecond / 1e6 })))
		}
	}
	for _, t := range []target{
		{what: "commands/s of a closed loop, times those of redis-benchmark: PING / SET, 1 in flight; PING / SET, 16 in flight", measured: worst, atLeast: 0.9, aim: 1, format: "%.2f",
			why: "Both have one core. A Go program pays for the network through its scheduler and poller, redis-benchmark is one loop in C."},
		{what: "ms between intended and sent, p99, at 10,000 calls/s through the broker in memory, spin auto", measured: []float64{r.lag(memorySystem) / 1000}, atLeast: 1, aim: 0.2, less: true, format: "%.3f",
			why: "While other programs or the calls themselves want all cores, none is free for the generator."},
		{what: "ms between intended and sent, p99, of 50,000 SET/s on redis-server, which has a core of its own as the generator has", measured: []float64{r.lag(setCommand) / 1000}, atLeast: 0.5, aim: 0.2, less: true, format: "%.3f",
			why: "On one core the generator does not spin, and its calls delay each other."},
	} {
		p.Targets = append(p.Targets, t.row())
	}
	var out bytes.Buffer
	if err := generatorTemplate.Execute(&out, p); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bench.md"), out.Bytes(), 0o644)
}

func rateOf(g generated) float64 { return g.PerSecond }
func lagP99(g generated) float64 { return g.LagP99 }

func (s *generatorSeries) figures(figure func(generated) float64) []float64 {
	var all []float64
	for _, g := range s.Runs {
		all = append(all, figure(g))
	}
	return all
}

// lag is the p99 of a target, and no number if that was not measured.
func (r *generatorResults) lag(target string) float64 {
	for _, s := range r.Series {
		if s.Target == target && s.Spin == bench.SpinAuto {
			return median(s.figures(lagP99))
		}
	}
	return math.NaN()
}
