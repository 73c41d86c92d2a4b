package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"redrpc/bench/stats"
)

//go:embed soak.md.tmpl
var soakText string

var soakTemplate = template.Must(template.New("soak").Parse(soakText))

// Soak figures are flat if, without the warm-up, they do not drift up, as stats.Drifting says, or
// by little.
const (
	warmUp        = 1.0 / 3 // of the time
	soakTolerance = 0.05    // between the medians of the halves of the rest
	leftAtEnd     = 8 << 20 // bytes that a process may keep when all clients are gone and all keys deleted
)

// A soakFigure is one of those that are sampled.
type soakFigure struct {
	name   string
	of     func(sample) float64
	show   func(float64) string
	little float64 // that the medians may differ by: on a busy machine more is under way at a time
}

var soakFigures = []soakFigure{
	{"heap and stacks", func(s sample) float64 { return float64(s.InUse) }, mebibytes, 1 << 20},
	{"resident memory", func(s sample) float64 { return float64(s.Resident) }, mebibytes, 8 << 20},
	{"descriptors", func(s sample) float64 { return float64(s.Files) }, plain, 5},
	{"goroutines", func(s sample) float64 { return float64(s.Goroutines) }, plain, 5},
}

func mebibytes(n float64) string { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }
func plain(n float64) string     { return fmt.Sprintf("%.0f", n) }

// A soakRow is what one figure of a process did.
type soakRow struct {
	Process, Figure           string
	Start, First, Second, End string // before the load, medians of the two halves behind the warm-up, afterwards
	Most                      string
	Change, P                 float64 // between the halves, in percent; of the trend
	Verdict                   string
	grows                     bool
}

// A soakPage is what the template shows.
type soakPage struct {
	*soakRun
	Rows             []soakRow
	Wrong            []string // why the test has failed
	Duration, Warm   time.Duration
	Tasks            []string
	CPUPercent       float64
	Tolerance, AtEnd float64
	Others           string
	FaultSeconds     float64
	Between          string  // how many things were done between the middles of the halves
	Each             float64 // bytes of each that would be found
	TooShort         bool
}

// writeSoakPage writes soak.md and soak.svg from soak.json, and returns an error if something has
// grown.
func writeSoakPage(dir string) error {
	data, err := os.ReadFile(soakFile(dir))
	if err != nil {
		return err
	}
	var r soakRun
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", soakFile(dir), err)
	}
	p, err := r.page()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := soakTemplate.Execute(&out, p); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "soak.md"), out.Bytes(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "soak.svg"), r.picture(), 0o644); err != nil {
		return err
	}
	if len(p.Wrong) > 0 {
		return fmt.Errorf("the soak test failed: %s", strings.Join(p.Wrong, "; "))
	}
	return nil
}

func (r *soakRun) page() (*soakPage, error) {
	p := &soakPage{soakRun: r, Duration: time.Duration(r.Seconds * float64(time.Second)), CPUPercent: 100 * r.CPU, FaultSeconds: faultLasts.Seconds(),
		Tolerance: 100 * soakTolerance, AtEnd: leftAtEnd >> 20, Others: fmt.Sprintf("%.0f %%", 100*r.Machine.OthersCPU)}
	p.Warm = time.Duration(float64(p.Duration) * warmUp).Round(time.Second)
	for i, process := range []struct {
		name    string
		samples []sample
	}{{"broker", r.Broker}, {"clients", r.Clients}} {
		for _, f := range soakFigures {
			row, err := r.judge(f, process.samples)
			if err != nil {
				return nil, err
			}
			row.Process, row.Start, row.End = process.name, f.show(f.of(r.Start[i])), f.show(f.of(r.End[i]))
			p.Rows = append(p.Rows, row)
			if row.grows {
				p.Wrong = append(p.Wrong, fmt.Sprintf("the %s of the %s: %s at first and %s then", f.name, process.name, row.First, row.Second))
			}
			p.TooShort = p.TooShort || row.Verdict == tooShort
		}
		start, end := r.Start[i], r.End[i]
		if end.InUse > start.InUse+leftAtEnd || end.Files > start.Files || end.Goroutines > start.Goroutines {
			p.Wrong = append(p.Wrong, fmt.Sprintf("something is left of the %s at the end: %+v, before %+v", process.name, end, start))
		}
	}
	if r.Calls.Wrong > 0 {
		p.Wrong = append(p.Wrong, fmt.Sprintf("%d calls had another result than theirs", r.Calls.Wrong))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Done)) {
		p.Tasks = append(p.Tasks, fmt.Sprintf("%s | %s | %s", name, thousands(float64(r.Done[name])), thousands(float64(r.Failed[name]))))
	}
	done := 0
	for _, n := range r.Done {
		done += n
	}
	between := max(1, float64(done)*(1-warmUp)/2)
	p.Between, p.Each = thousands(between), digits((1<<20)/between, 0)
	return p, nil
}

// judge looks at a figure without the warm-up.
func (r *soakRun) judge(f soakFigure, samples []sample) (soakRow, error) {
	var xs []float64
	for _, s := range samples[int(float64(len(samples))*warmUp):] {
		xs = append(xs, f.of(s))
	}
	if len(xs) == 0 {
		return soakRow{Figure: f.name, Verdict: tooShort}, nil
	}
	d, err := stats.Drifting(xs, time.Duration(r.Every*float64(time.Second)), soakTolerance)
	row := soakRow{Figure: f.name, First: f.show(d.First), Second: f.show(d.Second), Most: f.show(slices.Max(xs)),
		Change: 100 * d.Change, P: d.P, Verdict: "flat", grows: d.Verdict == stats.DriftingUp && d.Second-d.First > f.little}
	switch {
	case row.grows:
		row.Verdict = "**grows**"
	case d.Verdict == stats.TooShort:
		row.Verdict = tooShort
	}
	return row, err
}

const tooShort = string(stats.TooShort)

// picture draws the figures of both processes over time, one below the other.
func (r *soakRun) picture() []byte {
	const (
		width, left, right = 820, 110, 20
		top, height, gap   = 84, 90, 40
		plot               = width - left - right
	)
	total := top + len(soakFigures)*(height+gap)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">
<title id="t">Soak test of %s</title>
<desc id="d">Heap, resident memory, descriptors and goroutines of a broker and of its clients under mixed load and faults.</desc>
<style>
  text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}.name{font-weight:600}.small{font-size:12px;fill:#57606a}
  .axis{stroke:#d0d7de}.warm{fill:#f6f8fa}.line{fill:none;stroke-width:1.4}.broker{stroke:#0969da}.clients{stroke:#bc4c00}.swatch{stroke-width:3}
  @media(prefers-color-scheme:dark){
    text{fill:#e6edf3}.small{fill:#9198a1}.axis{stroke:#3d444d}.warm{fill:#161b22}.broker{stroke:#58a6ff}.clients{stroke:#f0883e}
  }
</style>
<text class="name" x="%d" y="26">Soak test: %s of mixed load and faults</text>
<path class="swatch broker" d="M%d 44h24"/><text x="%d" y="48">broker</text>
<path class="swatch clients" d="M%d 44h24"/><text x="%d" y="48">clients, and servers of rpc</text>
<text class="small" x="%d" y="48" text-anchor="end">shaded: warm-up</text>
`, width, total, duration(r.Seconds), left, duration(r.Seconds), left, left+32, left+110, left+142, width-right)
	x := func(i, n int) float64 { return left + float64(plot)*float64(i+1)/float64(max(n, 1)) }
	for i, f := range soakFigures {
		y0 := top + i*(height+gap) // of the upper edge
		most := 1.0
		for _, s := range slices.Concat(r.Broker, r.Clients) {
			most = max(most, f.of(s))
		}
		fmt.Fprintf(&b, "<rect class=\"warm\" x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%d\"/>\n", left, y0, plot*warmUp, height)
		fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%d %dh%dM%d %dh%d\"/>\n", left, y0, plot, left, y0+height, plot)
		fmt.Fprintf(&b, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", left, y0-6, f.name)
		fmt.Fprintf(&b, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", left-8, y0+5, f.show(most))
		fmt.Fprintf(&b, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n", left-8, y0+height+4)
		for _, process := range []struct {
			class   string
			samples []sample
		}{{"broker", r.Broker}, {"clients", r.Clients}} {
			var points []string
			for i, s := range process.samples {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(i, len(process.samples)), float64(y0+height)-height*f.of(s)/most))
			}
			fmt.Fprintf(&b, "<polyline class=\"line %s\" points=\"%s\"/>\n", process.class, strings.Join(points, " "))
		}
	}
	bottom := total - gap + 18
	for i := range 4 {
		anchor := []string{"start", "middle", "middle", "end"}[i]
		fmt.Fprintf(&b, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", left+plot*i/3, bottom, anchor, duration(r.Seconds*float64(i)/3))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// duration is a time in minutes, or seconds if it is short.
func duration(seconds float64) string {
	if seconds == 0 {
		return "0"
	}
	if seconds < 120 {
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.0f min", seconds/60)
}
