package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// writeText writes what the page says for a terminal, without its charts.
func (p *page) writeText(w io.Writer) error {
	l := &lines{}
	for _, b := range p.Banners() {
		l.banner(b)
	}
	l.paragraph(p.Title)
	for _, s := range p.Subtitles {
		l.paragraph(s)
	}
	l.blank()
	for _, t := range p.Tiles {
		value := strings.TrimSpace(t.Value + " " + t.Unit)
		if t.More != "" {
			value += "  (" + t.More + ")"
		}
		l.line(strings.ToLower(t.Name), "%s", printable(value))
	}
	for _, s := range p.Sections {
		if len(s.Tables) == 0 && s.Note == "" {
			continue
		}
		l.blank()
		l.paragraph(s.Title)
		if s.Note != "" {
			l.paragraph(s.Note)
		}
		for i, t := range s.Tables {
			if i > 0 {
				l.blank()
			}
			l.table(t)
		}
	}
	_, err := io.WriteString(w, l.b.String())
	return err
}

// banner writes one between two bars if it is bad news.
func (l *lines) banner(b *banner) {
	loud := b.Class == "bad"
	if loud {
		l.b.WriteString(strings.Repeat("▄", width) + "\n")
	}
	l.line(strings.ToUpper(b.Title), "%s", printable(b.Text))
	for _, reason := range b.Reasons {
		l.line("", "- %s", printable(reason))
	}
	if loud {
		l.b.WriteString(strings.Repeat("▀", width) + "\n")
	}
	l.blank()
}

func (l *lines) paragraph(text string) {
	for _, part := range wrap(printable(text), width) {
		l.b.WriteString(part + "\n")
	}
}

// table writes columns as wide as what is in them; the last one goes on below itself, and
// if the others leave it no room, they are cut. text/tabwriter does neither, nor does it
// set numbers to the right and names to the left.
func (l *lines) table(t table) {
	rows := [][]string{}
	if len(t.Head) > 0 {
		rows = append(rows, t.Head)
	}
	for _, r := range t.Rows {
		var row []string
		for _, c := range r {
			text := printable(strings.TrimSpace(c.Text + " " + c.Small))
			if c.Bar {
				text = bar(c.Width/100, 16)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	var widths []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = min(max(widths[i], utf8.RuneCountInString(text)), 28)
		}
	}
	before := 0
	for _, w := range widths[:max(0, len(widths)-1)] {
		before += w + 2
	}
	for before > width-20 { // take from the widest
		widest := 0
		for i, w := range widths[:len(widths)-1] {
			if w > widths[widest] {
				widest = i
			}
		}
		widths[widest]--
		before--
	}
	for _, row := range rows {
		var b strings.Builder
		for i, text := range row {
			if i == len(row)-1 && i == len(widths)-1 {
				for n, part := range wrap(text, width-before) {
					if n > 0 {
						b.WriteString("\n" + strings.Repeat(" ", before))
					}
					b.WriteString(part)
				}
				break
			}
			text = short(text, widths[i])
			if i > 0 && !t.Text && !strings.ContainsAny(text, "▏▎▍▌▋▊▉█") {
				fmt.Fprintf(&b, "%*s  ", widths[i], text)
			} else {
				fmt.Fprintf(&b, "%-*s  ", widths[i], text)
			}
		}
		l.b.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	}
}
