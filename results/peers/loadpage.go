package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/template"
)

//go:embed load.md.tmpl
var loadText string

var loadTemplate = template.Must(template.New("load").Parse(loadText))

// What is promised of a load.
const (
	loadTimes = 1.5      // times what it costs redis-server, and
	loadMore  = 16 << 20 // bytes more, as the Go runtime has buffers of its own
	keptLeast = 32 << 20 // bytes that are not given back, or
	keptShare = 0.25     // of what there was before
)

// A loadPage is what the template shows.
type loadPage struct {
	*loadResults
	Rows, Calls               []string
	Wrong                     []string
	KeptShare                 float64
	More, KeptLeast, Settling int
	Others                    string
}

// readLoad reads load.json.
func readLoad(dir string) (r loadResults, err error) {
	data, err := os.ReadFile(loadFile(dir))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s: %w", loadFile(dir), err)
	}
	return r, nil
}

// writeLoadPage writes load.md from load.json.
func writeLoadPage(dir string) error {
	r, err := readLoad(dir)
	if err != nil {
		return err
	}
	p, err := r.page()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := loadTemplate.Execute(&out, p); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "load.md"), out.Bytes(), 0o644)
}

func (r *loadResults) page() (*loadPage, error) {
	p := &loadPage{loadResults: r, More: loadMore >> 20, KeptLeast: keptLeast >> 20, KeptShare: 100 * keptShare,
		Settling: int(givenBackAfter.Seconds()), Others: fmt.Sprintf("%.0f %%", 100*r.Machine.OthersCPU)}
	for _, c := range loadCases {
		ours, err := r.of(brokerServer, c)
		if err != nil {
			return nil, err
		}
		theirs, err := r.of(redisServer, c)
		if err != nil {
			return nil, err
		}
		within, back := "yes", "yes"
		if float64(ours.cost()) > c.mayCost()*float64(theirs.cost())+loadMore {
			within = "**no**"
			p.Wrong = append(p.Wrong, fmt.Sprintf("%s: %d MiB, redis-server %d", c.name, ours.cost()>>20, theirs.cost()>>20))
		}
		if !ours.isGivenBack() {
			back = "**no**"
			p.Wrong = append(p.Wrong, fmt.Sprintf("%s: %d MiB are not given back", c.name, (ours.After-ours.Before)>>20))
		}
		p.Rows = append(p.Rows, fmt.Sprintf("%s | %d | %d | %.2f | %.1f | %s | %d | %d | %s", c.name, ours.cost()>>20, theirs.cost()>>20,
			float64(ours.cost())/float64(theirs.cost()), c.mayCost(), within, (ours.After-ours.Before)>>20, (theirs.After-theirs.Before)>>20, back))
	}
	for _, h := range r.Held {
		p.Calls = append(p.Calls, fmt.Sprintf("%s | %s | %s | %d | %d | %d", h.Process, h.Through, thousands(h.BytesEach()), h.Before.Goroutines, h.During.Goroutines, h.After.Goroutines))
		if h.After.Goroutines > h.Before.Goroutines {
			p.Wrong = append(p.Wrong, fmt.Sprintf("%d goroutines of the %s are left of the calls", h.After.Goroutines-h.Before.Goroutines, h.Process))
		}
	}
	return p, nil
}

func (r *loadResults) of(server string, c loadCase) (borne, error) {
	i := slices.IndexFunc(r.Borne, func(m borne) bool { return m.Server == server && m.Case == c.name })
	if i < 0 {
		return borne{}, fmt.Errorf("nothing was measured of %q on %s: measure again", c.name, server)
	}
	return r.Borne[i], nil
}

// cost is what a load took at its peak.
func (m borne) cost() int64 { return m.Peak - m.Before }

// mayCost is how often what it costs redis-server a load may cost.
func (c loadCase) mayCost() float64 { return cmp.Or(c.times, loadTimes) }

func (m borne) isGivenBack() bool {
	return float64(m.After-m.Before) <= max(keptLeast, keptShare*float64(m.Before))
}
