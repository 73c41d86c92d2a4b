package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/template"
)

//go:embed calls.md.tmpl
var callsText string

var callsTemplate = template.Must(template.New("calls").Parse(callsText))

// A callsPage is what the template shows.
type callsPage struct {
	*callsResults
	Targets       []targetRow
	Loads, Fleets []loadTable
	InProcess     string
	Kills         killed
	Others        string
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
	for _, c := range callCases() {
		if len(r.of(c, perSecond)) == 0 {
			return fmt.Errorf("%s has no run of %s: measure again", callsFile(dir), c)
		}
	}
	var out bytes.Buffer
	if err := callsTemplate.Execute(&out, r.page()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rpc.md"), out.Bytes(), 0o644)
}

func (r *callsResults) page() callsPage {
	p := callsPage{callsResults: r, Kills: r.kills(), Others: fmt.Sprintf("%.1f %%", 100*r.Machine.OthersCPU)}
	for _, t := range r.targets() {
		p.Targets = append(p.Targets, t.row())
	}
	p.Loads = append(p.Loads, r.loadTable("1 caller, processors kept awake", 1, true), r.loadTable("1 caller, the machine as it is", 1, false))
	for _, c := range callers[1:] {
		p.Loads = append(p.Loads, r.loadTable(thousands(float64(c))+" callers", c, false))
	}
	for _, c := range fleetSizes {
		p.Fleets = append(p.Fleets, r.fleetTable(c))
	}
	p.InProcess = fmt.Sprintf("%s | %s | %s", thousands(r.median(inProcess, perSecond)), thousands(r.median(ofMiniredis, perSecond)),
		spread(r.paired(inProcess, ofMiniredis, perSecond)))
	return p
}

func (r *callsResults) targets() []target {
	var all []target
	for _, t := range []struct {
		callers      int
		atLeast, aim float64
	}{{64, 1, 1.3}, {1000, 0.9, 1.1}, {10_000, 0.9, 1.1}} {
		mine, peer := oursCase.by(t.callers), natsCase.by(t.callers)
		all = append(all, target{
			what:     fmt.Sprintf("calls/s, %s callers: times NATS", thousands(float64(t.callers))),
			measured: []float64{median(r.paired(mine, peer, perSecond))}, atLeast: t.atLeast, aim: t.aim, format: "%.2f",
			why: fmt.Sprintf("A call took %.1f us of processor time in client and server and %.1f in Redis, with NATS %.1f and %.1f.",
				r.median(mine, ownCPU), r.median(mine, brokerCPU), r.median(peer, ownCPU), r.median(peer, brokerCPU)),
		})
	}
	thousand, one := oursCase.by(1000), oursCase.by(1).awake()
	most := 0.0
	for _, c := range callers {
		most = slices.Max(append(r.of(oursCase.by(c), conns), most))
	}
	kills := r.kills()
	return append(all,
		target{what: "processor time of a call, 1,000 callers, client, server and Redis, us", measured: []float64{r.median(thousand, cpu)},
			atLeast: 9.3, aim: 7, less: true, format: "%.1f",
			why: fmt.Sprintf("Client and server took %.1f us of it, Redis %.1f.", r.median(thousand, ownCPU), r.median(thousand, brokerCPU))},
		target{what: "p50 of one caller, processors kept awake: times the original's algorithm",
			measured: []float64{median(r.paired(one, originalCase.by(1).awake(), p50))}, atLeast: 0.75, aim: 0.65, less: true, format: "%.2f",
			why: fmt.Sprintf("It was %.0f us, with the original's algorithm %.0f, with NATS %.0f. A call took %.0f us of processor time in client and server and %.0f in Redis, with the original's algorithm %.0f and %.0f.",
				r.median(one, p50), r.median(originalCase.by(1).awake(), p50), r.median(natsCase.by(1).awake(), p50),
				r.median(one, ownCPU), r.median(one, brokerCPU), r.median(originalCase.by(1).awake(), ownCPU), r.median(originalCase.by(1).awake(), brokerCPU))},
		target{what: "p50 of one caller through the broker in memory, us", measured: []float64{r.median(inMemory, p50)}, atLeast: 20, aim: 10,
			less: true, format: "%.0f", why: fmt.Sprintf("A call took %.0f us of processor time.", r.median(inMemory, ownCPU))},
		target{what: "calls/s in process through the broker in memory, 1,000 callers: times miniredis",
			measured: []float64{median(r.paired(inProcess, ofMiniredis, perSecond))}, atLeast: 35, aim: 60, format: "%.1f",
			why: "Callers, functions and the broker share the processors."},
		target{what: "connections of a client with new servers, the most at any number of callers", measured: []float64{most}, atLeast: 3, aim: 2,
			less: true, format: "%.0f"},
		target{what: fmt.Sprintf("results lost in all rounds while the client's connections are killed every %d ms", withKills.KillMS), measured: []float64{float64(kills.Lost)},
			less: true, format: "%.0f", why: fmt.Sprintf("%s calls were made and %s connections killed.", thousands(float64(kills.Made)), thousands(float64(kills.Kills)))},
		target{what: fmt.Sprintf("p99 of %d callers when one call in %d takes 100 ms, of the others: times that without them", hindered, withSlow.SlowIn),
			measured: []float64{median(r.paired(withSlow, oursCase.by(hindered), p99))}, atLeast: 1.5, less: true, format: "%.2f",
			why: fmt.Sprintf("It was %.0f us, and %.0f without them.", r.median(withSlow, p99), r.median(oursCase.by(hindered), p99))},
		target{what: "lines of package rpc, without tests, rpcprom and rpcotel", measured: []float64{float64(r.Code.Lines)}, atLeast: 6000, aim: 5000,
			less: true, format: "%.0f"},
		target{what: "functions that one call runs through, set-up and tear-down included", measured: []float64{float64(r.Code.Functions)}, atLeast: 150, aim: 110,
			less: true, format: "%.0f"},
		target{what: "files that these stand in", measured: []float64{float64(r.Code.Files)}, atLeast: 22, aim: 15, less: true, format: "%.0f"},
	)
}

// loadTable has a row for each system.
func (r *callsResults) loadTable(title string, callers int, awake bool) loadTable {
	t := loadTable{Title: title}
	at := func(c callCase) callCase { c.Callers, c.Awake = callers, awake; return c }
	for _, s := range systems {
		c := at(s)
		t.Rows = append(t.Rows, fmt.Sprintf("%s | %s | %s | %s | %.0f | %.0f | %.1f | %.1f | %.0f", s.Client, thousands(r.median(c, perSecond)),
			spread(r.paired(c, at(originalCase), perSecond)), spread(r.paired(c, at(natsCase), perSecond)),
			r.median(c, p50), r.median(c, p99), r.median(c, ownCPU), r.median(c, brokerCPU), slices.Max(r.of(c, conns))))
	}
	return t
}

// fleetTable has a row for each fleet, which both clients call.
func (r *callsResults) fleetTable(callers int) loadTable {
	t := loadTable{Title: thousands(float64(callers)) + " callers"}
	for _, fleet := range fleetNames {
		ours, theirs := oursCase.on(oursClient, fleet).by(callers), oursCase.on(originalClient, fleet).by(callers)
		t.Rows = append(t.Rows, fmt.Sprintf("%s | %s | %s | %s | %.0f | %.0f | %.1f | %.1f | %.0f | %.0f", fleet,
			thousands(r.median(ours, perSecond)), thousands(r.median(theirs, perSecond)), spread(r.paired(ours, theirs, perSecond)),
			r.median(ours, p50), r.median(theirs, p50), r.median(ours, cpu), r.median(theirs, cpu), slices.Max(r.of(ours, conns)), slices.Max(r.of(theirs, conns))))
	}
	return t
}

func (r *callsResults) median(c callCase, figure func(measured) float64) float64 {
	return median(r.of(c, figure))
}

// spread is the median of ratios, with the least and the most of them.
func spread(ratios []float64) string {
	return fmt.Sprintf("%.2f (%.2f-%.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}
