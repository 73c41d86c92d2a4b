// Command peers measures the broker beside redis-server and miniredis, in one run,
// and writes what it measured as data and as a page. `make results` runs it. With
// -calls it does so for package rpc beside the original's algorithm and NATS, as
// `make calls` does; with -generator for package bench beside redis-benchmark, as
// `make generator` does; with -load for memory under extreme loads, as `make load` does. With
// -soak it is a soak test of the broker and package rpc, as in `make soak`.
//
// The servers run as processes of their own on one core, whatever loads them on
// another. Each round gives every load to every server in turn, so that what
// disturbs the machine disturbs all of them.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	out := flag.String("out", "..", "directory for the data and the page")
	rpc := flag.Bool("calls", false, "measure package rpc, for rpc.json and rpc.md, rather than the broker")
	generator := flag.Bool("generator", false, "measure package bench, for bench.json and bench.md, rather than the broker")
	load := flag.Bool("load", false, "measure the memory of the broker under extreme loads, for load.json and load.md")
	holding := map[*bool]func(addr string) error{
		flag.Bool("load-server", false, "serve calls that wait, for -load, through -addr"): holdingServer,
		flag.Bool("load-client", false, "make calls that wait, for -load, through -addr"):  holdingClient,
	}
	quick := flag.Bool("quick", false, "short rounds: for a look, not for the page")
	only := flag.Bool("page", false, "measure nothing: write the page again, from the data")
	pattern := flag.String("only", "", "with -calls, measure only the cases that this pattern matches, print each run, and write nothing; with -load, measure only the loads whose names contain this, and keep what there is of others")
	by := flag.String("by", "", "measure only the throughput, by the tools whose names contain this, print the tables, and write nothing")
	spinning := flag.Int("spin", -1, "keep this processor busy, at the lowest priority, for -seconds")
	miniredis := flag.Bool("miniredis", false, "serve miniredis on a free port, print its address, and wait for SIGTERM")
	nats := flag.Bool("nats", false, "serve nats-server in the same way")
	var callers callersFlags
	callers.register()
	var one generatorFlags
	one.register()
	var soak soakFlags
	soak.register()
	flag.Parse()
	for is, run := range holding {
		if *is {
			return run(callers.addr)
		}
	}
	switch {
	case callers.text != "":
		return callers.run()
	case one.text != "":
		return one.run(callers.addr, callers.seconds)
	case *spinning >= 0:
		return spin(*spinning, time.Duration(callers.seconds*float64(time.Second)))
	case *miniredis:
		return serveMiniredis()
	case *nats:
		return serveNATS()
	case *only && soak.duration > 0:
		return writeSoakPage(*out)
	case soak.broker:
		return soak.serveBroker()
	case soak.duration > 0:
		return soak.run(*out)
	case *only && *load:
		return writeLoadPage(*out)
	case *load:
		return measureLoad(*out, *pattern)
	case *only && *rpc:
		return writeCallsPage(*out)
	case *only && *generator:
		return writeGeneratorPage(*out)
	case *only:
		return writePage(*out)
	case *rpc:
		return measureCalls(*out, *quick, *pattern)
	case *generator:
		return measureGenerator(*out, *quick)
	}
	if err := pin(); err != nil {
		return err
	}
	plan := plan{Rounds: 9, Seconds: 0.3, RPCRounds: 3, RPCSeconds: 4, Elements: 1_000_000, Idle: 1000, Starts: 1001}
	if *quick {
		plan.Quick = true
		plan.Rounds, plan.RPCRounds, plan.RPCSeconds = 3, 1, 2
	}
	if *by != "" {
		return printThroughput(plan, *by)
	}
	results, err := measure(plan)
	if err != nil {
		return err
	}
	if err := writeData(dataFile(*out), results); err != nil {
		return err
	}
	return writePage(*out)
}

func dataFile(dir string) string { return filepath.Join(dir, "broker.json") }

func writeData(file string, results any) error {
	data, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(compact(data), '\n'), 0o644)
}

// compact puts each list of numbers on one line.
func compact(data []byte) []byte {
	lines := strings.Split(string(data), "\n")
	var b strings.Builder
	for i, line := range lines {
		text := strings.TrimSpace(line)
		if i == 0 {
			b.WriteString(line)
			continue
		}
		inList := text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9')
		closing := strings.HasPrefix(text, "]")
		before := strings.TrimSpace(lines[i-1])
		wasNumber := before != "" && (before[0] == '-' || before[0] >= '0' && before[0] <= '9')
		switch {
		case inList && wasNumber:
			b.WriteString(" " + text)
		case inList, closing && wasNumber:
			b.WriteString(text)
		default:
			b.WriteString("\n" + line)
		}
	}
	return []byte(b.String())
}

// A plan says how much is measured.
type plan struct {
	Quick      bool    `json:"quick"`
	Rounds     int     `json:"rounds"`
	Seconds    float64 `json:"seconds"` // a command of a load, about
	RPCRounds  int     `json:"rpc_rounds"`
	RPCSeconds int     `json:"rpc_seconds"`
	Elements   int     `json:"elements"` // of the list whose memory is measured
	Idle       int     `json:"idle"`     // connections
	Starts     int     `json:"starts"`   // of a broker
}

// results are all that was measured, as it stands in broker.json.
type results struct {
	Plan       plan          `json:"plan"`
	Machine    machine       `json:"machine"`
	Throughput []series      `json:"throughput"`
	RPC        []series      `json:"rpc"`
	Memory     []memory      `json:"memory"`
	Starting   []starting    `json:"starting"`
	Thousand   []thousand    `json:"thousand_brokers"`
	Allocs     []allocations `json:"allocations"`
}

func measure(p plan) (*results, error) {
	r := &results{Plan: p}
	err := observed(&r.Machine, func() error { return r.measure(p) })
	return r, err
}

// observed measures, and describes the machine and what else it did meanwhile.
func observed(m *machine, measure func() error) error {
	usage, began := startUsage(), time.Now()
	if err := measure(); err != nil {
		return err
	}
	var err error
	*m, err = describe(usage, time.Since(began))
	return err
}

func (r *results) measure(p plan) error {
	bin, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	command, err := buildCommand(bin)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"start and memory, in process", func() error { return r.inProcess(p) }},
		{"memory of redis-server", func() error { return r.redisMemory(p, bin) }},
		{"throughput", func() (err error) { r.Throughput, err = throughput(p, command, bin, ""); return }},
		{"rpc", func() (err error) { r.RPC, err = calls(p, command, bin); return }},
	} {
		progress("%s", step.name)
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// buildCommand builds redrpc in a directory and returns its path.
func buildCommand(dir string) (string, error) {
	command := filepath.Join(dir, "redrpc")
	build := exec.Command("go", "build", "-o", command, "./cmd/redrpc")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building redrpc: %w\n%s", err, out)
	}
	return command, nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// serverCPU and clientCPU are where the servers run, and what loads them.
const (
	serverCPU = "0"
	clientCPU = "1"
)

// pin makes this process run on clientCPU, and with it all that it starts except
// the servers. The process is started again for that, as the Go runtime looks at
// the processors it may use when it starts.
func pin() error {
	const done = "PEERS_PINNED"
	if os.Getenv(done) != "" {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return errors.New("taskset is needed (Debian: util-linux), to give servers and clients a core each")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"taskset", "-c", clientCPU, self}, os.Args[1:]...)
	return fmt.Errorf("starting on processor %s: %w", clientCPU, syscall.Exec(taskset, args, append(os.Environ(), done+"=1")))
}
