package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// A callsPlan says how much is measured of calls.
type callsPlan struct {
	Quick   bool    `json:"quick"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of the window of one measurement

	BenchSeconds int `json:"bench_seconds,omitempty"` // of one by redrpc bench
}

// callsResults are what was measured, as it stands in rpc.json.
type callsResults struct {
	Plan    callsPlan    `json:"plan"`
	Machine machine      `json:"machine"`
	Code    codeSize     `json:"code"`
	Series  []callSeries `json:"series"`
}

// A callCase is what is measured in each round.
type callCase struct {
	Client  string `json:"client"`
	Fleet   string `json:"fleet"` // who answers
	Through string `json:"through"`
	Callers int    `json:"callers"`
	Awake   bool   `json:"awake,omitempty"`   // processors are kept from sleeping
	SlowIn  int    `json:"slow_in,omitempty"` // one in so many calls takes 100 ms, and does not count
	KillMS  int    `json:"kill_ms,omitempty"` // so often the client's connections are killed
}

// A callSeries is what was measured of one case, round by round.
type callSeries struct {
	callCase
	Runs []measured `json:"runs"`
}

const (
	benchClient = "redrpc bench" // the command, with a server in its process
	hindered    = 64             // callers of whom some call what is slow, or whose connections are killed
	awakeLimit  = 30 * time.Second
)

// The cases without their callers.
var (
	oursCase     = callCase{Client: oursClient, Fleet: newServers, Through: redisServer}
	originalCase = callCase{Client: originalClient, Fleet: originalServers, Through: redisServer}
	natsCase     = callCase{Client: natsClient, Fleet: natsServers, Through: natsServer}

	systems      = []callCase{oursCase, originalCase, natsCase}
	callers      = []int{1, 64, 1000, 10_000}
	fleetNames   = []string{newServers, mixedFleet, oldServers, originalServers}
	fleetSizes   = []int{64, 1000} // callers
	fleetClients = []string{oursClient, originalClient}
)

// The cases that are there once.
var (
	inMemory    = callCase{Client: oursClient, Fleet: newServers, Through: brokerServer, Callers: 1}
	withSlow    = callCase{Client: oursClient, Fleet: newServers, Through: redisServer, Callers: hindered, SlowIn: 500}
	withKills   = callCase{Client: oursClient, Fleet: newServers, Through: redisServer, Callers: hindered, KillMS: 100}
	inProcess   = callCase{Client: benchClient, Fleet: newServers, Through: brokerServer, Callers: rpcCallers}
	ofMiniredis = callCase{Client: benchClient, Fleet: newServers, Through: miniServer, Callers: rpcCallers}
)

func (c callCase) by(callers int) callCase { c.Callers = callers; return c }
func (c callCase) awake() callCase         { c.Awake = true; return c }

func (c callCase) on(client, fleet string) callCase { c.Client, c.Fleet = client, fleet; return c }

func (c callCase) String() string {
	s := fmt.Sprintf("%s on %s through %s, callers: %d", c.Client, c.Fleet, c.Through, c.Callers)
	if c.Awake {
		s += ", awake"
	}
	if c.SlowIn > 0 {
		s += fmt.Sprintf(", one call in %d slow", c.SlowIn)
	}
	if c.KillMS > 0 {
		s += fmt.Sprintf(", connections killed every %d ms", c.KillMS)
	}
	return s
}

// callCases are in the order of a round: those that are compared are neighbours.
func callCases() []callCase {
	var all []callCase
	add := func(c callCase) {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	for _, s := range systems {
		add(s.by(1).awake())
	}
	for _, c := range callers {
		for _, s := range systems {
			add(s.by(c))
		}
		if c == hindered {
			add(withSlow)
			add(withKills)
		}
		if slices.Contains(fleetSizes, c) {
			for _, fleet := range fleetNames {
				for _, client := range fleetClients {
					add(oursCase.on(client, fleet).by(c))
				}
			}
		}
	}
	add(inMemory)
	add(inProcess)
	add(ofMiniredis)
	return all
}

// measureCalls measures and writes rpc.json and rpc.md. With a pattern it measures only
// the cases that it matches, and prints each run instead.
func measureCalls(dir string, quick bool, pattern string) error {
	r := &callsResults{Plan: callsPlan{Rounds: 7, Seconds: 2, BenchSeconds: 4}}
	if quick {
		r.Plan = callsPlan{Quick: true, Rounds: 2, Seconds: 1, BenchSeconds: 2}
	}
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	for _, c := range callCases() {
		if wanted.MatchString(c.String()) {
			r.Series = append(r.Series, callSeries{callCase: c})
		}
	}
	if err := observed(&r.Machine, func() error { return r.measure(wanted.MatchString("code")) }); err != nil {
		return err
	}
	if pattern != "" {
		return r.print()
	}
	if err := writeData(callsFile(dir), r); err != nil {
		return err
	}
	return writeCallsPage(dir)
}

func callsFile(dir string) string { return filepath.Join(dir, "rpc.json") }

// A testbed is what the cases need while they are measured.
type testbed struct {
	plan    callsPlan
	dir     string // for files
	command string // the path of redrpc
	through map[string]*server
}

// measure does all rounds, each beginning with another case, and before them looks at
// the code if that is wanted.
func (r *callsResults) measure(code bool) error {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := testbed{plan: r.Plan, dir: dir, through: map[string]*server{}}
	if b.command, err = buildCommand(dir); err != nil {
		return err
	}
	for _, name := range []string{redisServer, natsServer} {
		s, err := startServerOn("", name, "", dir)
		if err != nil {
			return err
		}
		defer s.stop()
		b.through[name] = s
	}
	if code {
		if r.Code, err = measureCode(b.through[redisServer].addr, dir); err != nil {
			return err
		}
	}
	for round := range r.Plan.Rounds {
		for i := range r.Series {
			s := &r.Series[(i+round*len(systems))%len(r.Series)]
			m, err := b.run(s.callCase)
			if err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
			s.Runs = append(s.Runs, m)
		}
		progress("  round %d of %d", round+1, r.Plan.Rounds)
	}
	return nil
}

// run measures a case once, in a process of its own.
func (b *testbed) run(c callCase) (measured, error) {
	if c.Client == benchClient {
		perSecond, err := callsInProcess(c.Through, b.plan.BenchSeconds, b.command, b.dir)
		return measured{PerSecond: digits(perSecond, 0)}, err
	}
	if c.Awake {
		end, err := keepAwake(awakeLimit)
		if err != nil {
			return measured{}, err
		}
		defer end()
	}
	text, err := json.Marshal(c)
	if err != nil {
		return measured{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	run := exec.Command(self, "-case", string(text), "-seconds", fmt.Sprint(b.plan.Seconds))
	if s := b.through[c.Through]; s != nil {
		run.Args = append(run.Args, "-addr", s.addr, "-pid", strconv.Itoa(s.cmd.Process.Pid))
	}
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		return measured{}, err
	}
	var m measured
	err = json.Unmarshal(out, &m)
	return m, err
}

// print writes all runs, a line each.
func (r *callsResults) print() error {
	for _, s := range r.Series {
		for _, m := range s.Runs {
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s\n", s, text)
		}
	}
	if r.Code != (codeSize{}) {
		fmt.Printf("code: %+v\n", r.Code)
	}
	return nil
}

// of returns one figure of each round of a case.
func (r *callsResults) of(c callCase, figure func(measured) float64) []float64 {
	var all []float64
	for _, s := range r.Series {
		if s.callCase == c {
			for _, m := range s.Runs {
				all = append(all, figure(m))
			}
		}
	}
	return all
}

func perSecond(m measured) float64 { return m.PerSecond }
func ownCPU(m measured) float64    { return m.OwnCPU }
func brokerCPU(m measured) float64 { return m.BrokerCPU }
func cpu(m measured) float64       { return m.OwnCPU + m.BrokerCPU }
func p50(m measured) float64       { return m.P50 }
func p99(m measured) float64       { return m.P99 }
func conns(m measured) float64     { return float64(m.Conns) }

// paired divides a figure of one case by that of another, round by round.
func (r *callsResults) paired(a, b callCase, figure func(measured) float64) []float64 {
	x, y := r.of(a, figure), r.of(b, figure)
	ratios := make([]float64, min(len(x), len(y)))
	for i := range ratios {
		ratios[i] = x[i] / y[i]
	}
	return ratios
}

// kills adds up what became of calls whose connections were killed, over all rounds.
func (r *callsResults) kills() killed {
	var sum killed
	for _, s := range r.Series {
		for _, m := range s.Runs {
			if k := m.Killed; k != nil {
				sum = killed{sum.Made + k.Made, sum.Kills + k.Kills, sum.Lost + k.Lost, sum.Doubles + k.Doubles, sum.Failed + k.Failed}
			}
		}
	}
	return sum
}
