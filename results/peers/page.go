package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// writePage writes broker.md from broker.json.
func writePage(dir string) error {
	data, err := os.ReadFile(dataFile(dir))
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", dataFile(dir), err)
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, r.page()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "broker.md"), out.Bytes(), 0o644)
}

// A page is what the template shows: results, and text made of them.
type page struct {
	*results
	Targets              []targetRow
	Loads                []loadTable
	RPC                  []string
	Memory               []string
	Others               string
	ServerCPU, ClientCPU string
}

type targetRow struct {
	What, Measured, AtLeast, Aim, Verdict, Why string
	Reached                                    bool
}

type loadTable struct {
	Title string
	Rows  []string
}

func (r *results) page() page {
	p := page{results: r, ServerCPU: serverCPU, ClientCPU: clientCPU,
		Others: fmt.Sprintf("%.1f %%", 100*r.Machine.OthersCPU)}
	for _, t := range r.targets() {
		p.Targets = append(p.Targets, t.row())
	}
	for _, t := range tools {
		for _, l := range t.loads {
			p.Loads = append(p.Loads, r.loadTable(t, l))
		}
	}
	p.RPC = []string{r.throughputRow("over TCP", rpcTool, rpcLoad, ""), r.throughputRow("in process", rpcInProcessTool, rpcLoad, "")}
	for _, what := range []string{anElement, aTCPConnection, aMemoryConnection} {
		row := []string{"bytes for a " + what}
		if strings.HasPrefix(what, "i") {
			row[0] = "bytes for an " + what
		}
		for _, server := range servers {
			row = append(row, number(r.memoryOf(server, what), thousands))
		}
		p.Memory = append(p.Memory, strings.Join(row, " | "))
	}
	for _, transport := range []string{firstPongInMemory, firstPongOverTCP} {
		row := []string{"us from nothing to the first PONG, in process, " + transport}
		for _, server := range servers {
			row = append(row, number(r.startingOf(server, transport), thousands))
		}
		p.Memory = append(p.Memory, strings.Join(row, " | "))
	}
	return p
}

func (t target) row() targetRow {
	show := func(n float64) string { return fmt.Sprintf(t.format, n) }
	row := targetRow{What: t.what, AtLeast: show(t.atLeast), Aim: show(t.aim), Why: t.why, Reached: t.reached(), Verdict: "**no**"}
	if t.aim == 0 {
		row.Aim = ""
	}
	var measured []string
	for _, n := range t.measured {
		measured = append(measured, show(n))
	}
	row.Measured = strings.Join(measured, " / ")
	if row.Reached {
		row.Verdict = "yes"
	}
	return row
}

// loadTable has a row for each command, and two for the processors.
func (r *results) loadTable(t tool, l load) loadTable {
	table := loadTable{Title: fmt.Sprintf("%s, by %s", l, t.name)}
	for _, c := range t.commands {
		table.Rows = append(table.Rows, r.throughputRow(c, t.name, l, c))
	}
	time, busy := []string{"server's time, us"}, []string{"client busy"}
	for _, server := range servers {
		s := r.series(t.name, l, server, t.commands[0])
		time = append(time, number(median(s.ServerTime), func(n float64) string { return fmt.Sprintf("%.2f", n) }))
		busy = append(busy, number(100*median(s.ClientBusy), func(n float64) string { return fmt.Sprintf("%.0f %%", n) }))
	}
	table.Rows = append(table.Rows, strings.Join(append(time, "", ""), " | "), strings.Join(append(busy, "", ""), " | "))
	return table
}

func (r *results) throughputRow(title, tool string, l load, command string) string {
	row := []string{title}
	for _, server := range servers {
		row = append(row, number(median(r.series(tool, l, server, command).PerSecond), thousands))
	}
	for _, peer := range servers[1:] {
		each := ratios(r.series(tool, l, brokerServer, command), r.series(tool, l, peer, command))
		if len(each) == 0 {
			row = append(row, "-")
			continue
		}
		row = append(row, fmt.Sprintf("%.2f (%.2f-%.2f)", median(each), slices.Min(each), slices.Max(each)))
	}
	return strings.Join(row, " | ")
}

// number is a number as text, or a dash where there is none.
func number(n float64, show func(float64) string) string {
	if n != n {
		return "-"
	}
	return show(n)
}
