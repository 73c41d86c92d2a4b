package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// A callsPlan says how much is measured of calls.
type callsPlan struct {
	Quick   bool    `json:"quick"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of the window of one measurement
}

// callsResults are what was measured, as it stands in rpc.json.
type callsResults struct {
	Plan    callsPlan    `json:"plan"`
	Machine machine      `json:"machine"`
	Series  []callSeries `json:"series"`
}

// A callCase is what is measured in each round.
type callCase struct {
	System  string `json:"system"`
	Callers int    `json:"callers"`
	Napping int    `json:"napping,omitempty"` // one in so many calls takes 100 ms
}

// A callSeries is what was measured of one case, round by round.
type callSeries struct {
	callCase
	Runs []measured `json:"runs"`
}

var callers = []int{1, 64, 1000, 10_000}

const (
	nappers  = 64  // callers of whom some nap
	oneNapIn = 500 // calls
)

// callCases are in the order of a round: those that are compared are neighbours.
func callCases() []callCase {
	var all []callCase
	for _, c := range callers {
		for _, s := range systems {
			all = append(all, callCase{System: s, Callers: c})
		}
		if c < callers[len(callers)-1] { // how the ways differ shows without the last
			all = append(all, callCase{System: oursSystem + "-tracking", Callers: c}, callCase{System: oursSystem + "-blpop", Callers: c})
		}
	}
	return append(all,
		callCase{System: memorySystem, Callers: 1},
		callCase{System: oursSystem + "-auto", Callers: nappers},
		callCase{System: oursSystem + "-auto", Callers: nappers, Napping: oneNapIn})
}

// measureCalls measures and writes rpc.json and rpc.md.
func measureCalls(dir string, quick bool) error {
	r := &callsResults{Plan: callsPlan{Rounds: 7, Seconds: 2}}
	if quick {
		r.Plan = callsPlan{Quick: true, Rounds: 2, Seconds: 1}
	}
	if err := observed(&r.Machine, r.measure); err != nil {
		return err
	}
	if err := writeData(callsFile(dir), r); err != nil {
		return err
	}
	return writeCallsPage(dir)
}

func callsFile(dir string) string { return filepath.Join(dir, "rpc.json") }

// measure does all rounds. Each begins with another case.
func (r *callsResults) measure() error {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	through := map[string]*server{}
	for _, name := range []string{redisServer, natsServer} {
		s, err := startServerOn("", name, "", dir)
		if err != nil {
			return err
		}
		defer s.stop()
		through[name] = s
	}
	for _, c := range callCases() {
		r.Series = append(r.Series, callSeries{callCase: c})
	}
	for round := range r.Plan.Rounds {
		for i := range r.Series {
			s := &r.Series[(i+round*len(systems))%len(r.Series)]
			m, err := s.run(through, r.Plan.Seconds)
			if err != nil {
				return fmt.Errorf("%s with %d callers: %w", s.System, s.Callers, err)
			}
			s.Runs = append(s.Runs, m)
		}
		progress("  round %d of %d", round+1, r.Plan.Rounds)
	}
	return nil
}

// run measures a case once, in a process of its own.
func (c callCase) run(through map[string]*server, seconds float64) (measured, error) {
	s := through[redisServer]
	if c.System == natsSystem {
		s = through[natsServer]
	}
	self, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	pid := s.cmd.Process.Pid
	if c.System == memorySystem {
		pid = 0
	}
	run := exec.Command(self, "-system", c.System, "-addr", s.addr, "-pid", strconv.Itoa(pid), "-c", strconv.Itoa(c.Callers),
		"-napping", strconv.Itoa(c.Napping), "-seconds", fmt.Sprint(seconds))
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		return measured{}, err
	}
	var m measured
	err = json.Unmarshal(out, &m)
	return m, err
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
func cpu(m measured) float64       { return m.OwnCPU + m.BrokerCPU }
func brokerCPU(m measured) float64 { return m.BrokerCPU }
func p50(m measured) float64       { return m.P50 }
func p99(m measured) float64       { return m.P99 }

// paired divides a figure of one case by that of another, round by round.
func (r *callsResults) paired(a, b callCase, figure func(measured) float64) []float64 {
	x, y := r.of(a, figure), r.of(b, figure)
	ratios := make([]float64, min(len(x), len(y)))
	for i := range ratios {
		ratios[i] = x[i] / y[i]
	}
	return ratios
}

func (r *callsResults) targets() []target {
	times := func(callers int, atLeast float64) target {
		ours, original, nats := callCase{System: oursSystem, Callers: callers}, callCase{System: originalSystem, Callers: callers}, callCase{System: natsSystem, Callers: callers}
		return target{
			what:     fmt.Sprintf("calls a second, %s callers: times the original's algorithm (aim: NATS)", thousands(float64(callers))),
			measured: []float64{median(r.paired(ours, original, perSecond))}, atLeast: atLeast,
			aim: median(r.paired(nats, original, perSecond)), format: "%.1f",
			why: fmt.Sprintf("A call cost %.1f us of processor time in client, server and Redis together, one of the original's algorithm %.1f us, and one "+
				"through NATS %.1f us: where the processors are the limit, as here, the ratios of these are those of throughput.",
				median(r.of(ours, cpu)), median(r.of(original, cpu)), median(r.of(nats, cpu))),
		}
	}
	conns := 0.0
	for _, c := range callers {
		conns = max(conns, slices.Max(r.of(callCase{System: oursSystem, Callers: c}, func(m measured) float64 { return float64(m.Conns) })))
	}
	alone := func(system string) callCase { return callCase{System: system, Callers: 1} }
	awake := callCase{System: oursSystem + "-auto", Callers: nappers}
	napping := awake
	napping.Napping = oneNapIn
	return []target{
		times(1000, 5),
		times(10_000, 11),
		{what: "connections of a client, the most at any number of callers", measured: []float64{conns}, atLeast: 8, aim: 3, less: true, format: "%.0f"},
		{what: "time of a call of one caller, p50: times the original's algorithm", less: true, atLeast: 1, aim: 0.8, format: "%.2f",
			measured: []float64{median(r.paired(alone(oursSystem), alone(originalSystem), p50))},
			why: fmt.Sprintf("A call of one caller cost %.0f us of processor time, at 1,000 callers %.0f: on a machine that does nothing else the processors sleep between "+
				"the steps of a call, and waking them is most of it. Redis itself took %.0f us for a call, in the original's algorithm %.0f: our server asks for the next call while "+
				"a worker is busy with this one, which wakes Redis once more, and saves a round trip when there are more calls.",
				median(r.of(alone(oursSystem), cpu)), median(r.of(callCase{System: oursSystem, Callers: 1000}, cpu)),
				median(r.of(alone(oursSystem), brokerCPU)), median(r.of(alone(originalSystem), brokerCPU)))},
		{what: "us for a call of one caller through the broker in memory, p50", less: true, atLeast: 60, aim: 25, format: "%.0f",
			measured: []float64{median(r.of(alone(memorySystem), p50))}},
		{what: fmt.Sprintf("p99 of %d callers when one call in %d takes 100 ms, of the others: times that without them", nappers, oneNapIn), less: true, atLeast: 1.5, format: "%.2f",
			measured: []float64{median(r.paired(napping, awake, p99))}},
	}
}

//go:embed calls.md.tmpl
var callsText string

var callsTemplate = template.Must(template.New("calls").Parse(callsText))

// A callsPage is what the template shows.
type callsPage struct {
	*callsResults
	Targets []targetRow
	Tables  []loadTable
	Others  string
}

// writeCallsPage writes rpc.md from rpc.json.
func writeCallsPage(dir string) error {
	data, err := os.ReadFile(callsFile(dir))
	if err != nil {
		return err
	}
	var r callsResults
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", callsFile(dir), err)
	}
	p := callsPage{callsResults: &r, Others: fmt.Sprintf("%.1f %%", 100*r.Machine.OthersCPU)}
	for _, t := range r.targets() {
		p.Targets = append(p.Targets, t.row())
	}
	for _, c := range callers {
		p.Tables = append(p.Tables, r.table(c))
	}
	var out bytes.Buffer
	if err := callsTemplate.Execute(&out, p); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rpc.md"), out.Bytes(), 0o644)
}

// table has a row for each system and way.
func (r *callsResults) table(callers int) loadTable {
	t := loadTable{Title: thousands(float64(callers)) + " callers"}
	if callers == 1 {
		t.Title = "1 caller"
	}
	original := callCase{System: originalSystem, Callers: callers}
	for _, s := range r.Series {
		if s.Callers != callers || s.System == memorySystem || strings.HasSuffix(s.System, "-auto") {
			continue
		}
		ratios := r.paired(s.callCase, original, perSecond)
		figure := func(of func(measured) float64) float64 { return median(r.of(s.callCase, of)) }
		t.Rows = append(t.Rows, fmt.Sprintf("%s | %s | %.2f (%.2f-%.2f) | %.0f | %.0f | %.1f | %.1f | %.0f", s.System,
			thousands(figure(perSecond)), median(ratios), slices.Min(ratios), slices.Max(ratios), figure(p50), figure(p99),
			figure(func(m measured) float64 { return m.OwnCPU }), figure(func(m measured) float64 { return m.BrokerCPU }),
			slices.Max(r.of(s.callCase, func(m measured) float64 { return float64(m.Conns) }))))
	}
	return t
}
