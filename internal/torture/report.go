package torture

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Report is what was found in a run of several arenas.
type Report struct {
	Seed     uint64                   `json:"seed"`
	Duration time.Duration            `json:"duration_ns"`
	Arenas   map[string]Verdict       `json:"arenas"`
	Total    Verdict                  `json:"total"`
	Recovery map[string]RecoveryTimes `json:"recovery"` // by fault
}

// RecoveryTimes are how long it took clients from the end of a fault to the first success.
type RecoveryTimes struct {
	Faults int           `json:"faults"`
	P50    time.Duration `json:"p50_ns"`
	Max    time.Duration `json:"max_ns"`
}

// NewReport puts the verdicts of arenas together.
func NewReport(seed uint64, duration time.Duration, arenas map[string]Verdict) *Report {
	r := &Report{Seed: seed, Duration: duration, Arenas: arenas, Recovery: map[string]RecoveryTimes{}, Total: Verdict{
		Ended: map[string]int{}, Faults: map[string]int{}, Recoveries: map[string][]time.Duration{}, Violations: map[string][]string{},
	}}
	for _, name := range slices.Sorted(maps.Keys(arenas)) {
		v := arenas[name]
		r.Total.Calls += v.Calls
		r.Total.Runs += v.Runs
		r.Total.Repeated += v.Repeated
		r.Total.Excused += v.Excused
		for k, n := range v.Ended {
			r.Total.Ended[k] += n
		}
		for k, n := range v.Faults {
			r.Total.Faults[k] += n
		}
		for k, times := range v.Recoveries {
			r.Total.Recoveries[k] = append(r.Total.Recoveries[k], times...)
		}
		for k, texts := range v.Violations {
			for _, text := range texts {
				r.Total.Violations[k] = append(r.Total.Violations[k], name+": "+text)
			}
		}
	}
	for fault, times := range r.Total.Recoveries {
		slices.Sort(times)
		r.Recovery[fault] = RecoveryTimes{r.Total.Faults[fault], times[len(times)/2], times[len(times)-1]}
	}
	return r
}

// Broken is how many times a promise was broken.
func (r *Report) Broken() (n int) {
	for _, texts := range r.Total.Violations {
		n += len(texts)
	}
	return n
}

// mostTexts is how many violations of a promise are written out.
const mostTexts = 10

// Write writes the report as tables in Markdown, which is how people read it, too.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Seed %d, %v.\n\n", r.Seed, r.Duration)
	b.WriteString("| arena | calls | executions | results | failures | not sent | no result | cancelled | delivered | lost with their client | faults | violations |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	row := func(name string, v Verdict) {
		faults, broken := 0, 0
		for _, n := range v.Faults {
			faults += n
		}
		for _, texts := range v.Violations {
			broken += len(texts)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", name, v.Calls, v.Runs,
			v.Ended[endResult], v.Ended[endRemote], v.Ended[endNotSent]+v.Ended[endWithdrawn], v.Ended[endNoResult],
			v.Ended[endCancelled], v.Ended[endDelivered], v.Ended["died"], faults, broken)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Arenas)) {
		row(name, r.Arenas[name])
	}
	row("all", r.Total)
	b.WriteString("\n| fault | times | recovery p50 | max |\n|---|---|---|---|\n")
	for _, fault := range slices.Sorted(maps.Keys(r.Total.Faults)) {
		fmt.Fprintf(&b, "| %s | %d ", fault, r.Total.Faults[fault])
		if times, ok := r.Recovery[fault]; ok {
			fmt.Fprintf(&b, "| %d ms | %d ms |\n", times.P50.Milliseconds(), times.Max.Milliseconds())
		} else {
			b.WriteString("| - | - |\n")
		}
	}
	b.WriteString("\n| promise | violations |\n|---|---|\n")
	for _, promise := range Promises {
		fmt.Fprintf(&b, "| %s | %d |\n", promise, len(r.Total.Violations[promise]))
	}
	fmt.Fprintf(&b, "\nCalls that ran again after a replica had taken over, as documented: %d. Calls and recoveries that were late because a process did not get processor time: %d.\n", r.Total.Repeated, r.Total.Excused)
	for _, promise := range Promises {
		texts := r.Total.Violations[promise]
		if len(texts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nBroken, with seed %d: %s\n\n", r.Seed, promise)
		for _, text := range texts[:min(len(texts), mostTexts)] {
			fmt.Fprintf(&b, "- %s\n", text)
		}
		if more := len(texts) - mostTexts; more > 0 {
			fmt.Fprintf(&b, "- and %d more\n", more)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Save writes the report into a directory, as report.md and report.json.
func (r *Report) Save(dir string) error {
	f, err := os.Create(filepath.Join(dir, "report.md"))
	if err != nil {
		return err
	}
	if err := r.Write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.json"), append(text, '\n'), 0o600)
}
