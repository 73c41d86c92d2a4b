package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"unicode"

	"redrpc/bench"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
)

// A page is a document that needs nothing but itself. Its texts are text: the template
// escapes them.
type page struct {
	Title     string
	Subtitles []string
	Answer    *banner // what the reader wants to know, nil if it is in the figures
	Verdict   *banner // how far to trust it
	Tiles     []tile
	Sections  []section
	Footer    string
}

// A banner says how far to trust the rest. Class is valid, warning or bad.
type banner struct {
	Class, Title, Text string
	Reasons            []string
}

// others are how other processes used the machine during several runs.
type others struct {
	runs             int
	disturbed        int // of the runs
	known            int
	sum, most, cores float64 // of the known ones: processors that others used, and that the machine has
}

func (o *others) add(m *bench.Machine, disturbance string) {
	o.runs++
	if disturbance != "" {
		o.disturbed++
	}
	if m != nil && m.OtherCores != nil {
		o.known++
		o.sum, o.most, o.cores = o.sum+*m.OtherCores, max(o.most, *m.OtherCores), m.Cores
	}
}

// notableShare is of the machine's processors. What others use below it changes no figure
// by more than these change from run to run.
const notableShare = 0.05

// text says how much they used, and empty if that was little. so is what it means.
func (o *others) text(so string) string {
	mean := o.sum / max(1, float64(o.known))
	late := ""
	if o.disturbed > 0 {
		late = fmt.Sprintf(" (in %d of %d runs so much that calls may have been late)", o.disturbed, o.runs)
	}
	switch {
	case o.known > 0 && (mean >= notableShare*o.cores || o.disturbed > 0):
		return fmt.Sprintf("other processes used %.2f of the machine's %.0f processors on average, at most %.2f%s: %s", mean, o.cores, o.most, late, so)
	case o.disturbed > 0:
		return "other processes used the machine" + late + ": " + so
	}
	return ""
}

// A tile is a figure to see first.
type tile struct{ Name, Value, Unit, More string }

type section struct {
	Title, Note string
	Charts      []*chart
	Tables      []table
}

// A table has rows of cells; the first of each names it.
type table struct {
	Title, Note string
	Head        []string
	Rows        [][]cell
	Text        bool // its cells are texts, not numbers
	Narrow      bool // as wide as it must be
	Stack       []part
}

// A cell is a text, or a bar of Width per cent.
type cell struct {
	Text, Small, Message, Class string
	Code, Key, Bar              bool
	Beside                      bool // Small has its place, also if it is empty
	Width                       float64
	Color                       int
}

// A part is a piece of a bar, in per cent.
type part struct {
	Name        string
	Color       int
	From, Width float64
}

// write writes the page. Its policy lets no request go out and no script run but its
// own.
func (p *page) write(w io.Writer) error {
	kept := p.Sections[:0]
	id := 0
	for _, s := range p.Sections {
		charts := s.Charts[:0]
		for _, c := range s.Charts {
			if c != nil && c.fit() {
				id++
				c.ID = fmt.Sprintf("chart-%d", id)
				charts = append(charts, c)
			}
		}
		s.Charts = charts
		if len(s.Charts)+len(s.Tables) > 0 {
			kept = append(kept, s)
		}
	}
	p.Sections = kept
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("report: as HTML: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Banners are those that there are, the answer first.
func (p *page) Banners() []*banner {
	return slices.DeleteFunc([]*banner{p.Answer, p.Verdict}, func(b *banner) bool { return b == nil })
}

// Policy is the content security policy.
func (p *page) Policy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS)
}

// Style is the style sheet.
func (p *page) Style() template.CSS { return template.CSS(pageCSS) } // #nosec G203 -- it is ours

// Script is the program that draws.
func (p *page) Script() template.JS { return template.JS(pageJS) } // #nosec G203 -- it is ours

// Charts are all of the page.
func (p *page) Charts() []*chart {
	all := []*chart{} // not null
	for _, s := range p.Sections {
		all = append(all, s.Charts...)
	}
	return all
}

// StackLabel says what a stacked bar shows.
func (p *page) StackLabel(parts []part) string {
	var texts []string
	for _, part := range parts {
		texts = append(texts, fmt.Sprintf("%s %.1f %%", part.Name, part.Width))
	}
	return strings.Join(texts, ", ")
}

// figureTile splits a figure such as 25.3ms into its value and its unit.
func figureTile(name, text, more string) tile {
	i := strings.IndexFunc(text, unicode.IsLetter)
	if i < 0 {
		return tile{name, text, "", more}
	}
	return tile{name, text[:i], text[i:], more}
}

// plain are cells of texts.
func plain(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i].Text = t
	}
	return row
}
