package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"redrpc/internal/terminal"
)

// writeText writes what the page says for a terminal, without its charts. As in the text of
// a run the answer comes first, and again at the end.
func (p *page) writeText(w io.Writer) error {
	l := newLines(w)
	p.writeTo(l)
	_, err := io.WriteString(w, l.b.String())
	return err
}

func (p *page) writeTo(l *lines) {
	for _, b := range p.Banners() {
		l.banner(b)
	}
	l.paragraph(p.Title)
	for _, s := range p.Subtitles {
		l.paragraph(s)
	}
	l.blank()
	for _, t := range p.Tiles {
		l.tile(t)
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
	if len(p.Sections) > 0 && len(p.Banners())+len(p.Tiles) > 0 {
		l.blank()
		for _, b := range p.Banners() {
			l.line(strings.ToUpper(b.Title), "%s", terminal.Quoted(b.Text))
		}
		for _, t := range p.Tiles[:min(1, len(p.Tiles))] {
			l.tile(t)
		}
	}
}

func (l *lines) tile(t tile) {
	value := strings.TrimSpace(t.Value + " " + t.Unit)
	if _, err := time.ParseDuration("1" + t.Unit); err == nil {
		value = t.Value + t.Unit // as in the other times of a text
	}
	if t.More != "" {
		value += "  (" + t.More + ")"
	}
	l.line(strings.ToLower(t.Name), "%s", terminal.Quoted(value))
}

// banner writes one between two bars if it is bad news.
func (l *lines) banner(b *banner) {
	loud := b.Class == "bad"
	if loud {
		l.b.WriteString(strings.Repeat("▄", l.width) + "\n")
	}
	l.line(strings.ToUpper(b.Title), "%s", terminal.Quoted(b.Text))
	for _, reason := range b.Reasons {
		l.line("", "- %s", terminal.Quoted(reason))
	}
	if loud {
		l.b.WriteString(strings.Repeat("▀", l.width) + "\n")
	}
	l.blank()
}

func (l *lines) paragraph(text string) {
	for _, part := range wrap(terminal.Quoted(text), l.width) {
		l.b.WriteString(part + "\n")
	}
}

// table writes columns as wide as what is in them. The last one goes on below itself, and
// texts are cut if the others leave it no room. Numbers are not: a table of them that is too
// wide loses what is small in its cells, and if that is not enough, it is a list. text/tabwriter
// does none of it, nor does it set numbers to the right and names to the left.
func (l *lines) table(t table) {
	rows := l.cells(t, true)
	widths := columnWidths(rows)
	least := 20 // columns of the last one
	if l.narrow() {
		least = 14
	}
	if t.Text && l.narrow() && len(widths) > 2 {
		l.list(t, rows)
		return
	}
	if !t.Text && !l.fit(widths) {
		rows = l.cells(t, false)
		if widths = columnWidths(rows); !l.fit(widths) {
			l.list(t, rows)
			return
		}
	}
	before := 0
	for _, w := range widths[:max(0, len(widths)-1)] {
		before += w + 2
	}
	for t.Text && before > l.width-least { // take from the widest
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
				for n, part := range wrap(text, l.width-before) {
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

// cells are the texts of a table, its head first if it has one.
func (l *lines) cells(t table, small bool) [][]string {
	var rows [][]string
	if len(t.Head) > 0 {
		rows = append(rows, t.Head)
	}
	for _, r := range t.Rows {
		var row []string
		for _, c := range r {
			text := c.Text
			if small {
				text += " " + c.Small
			}
			if text = terminal.Quoted(strings.TrimSpace(text)); c.Bar {
				text = bar(c.Width/100, 16)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

// columnWidths are what the cells of each column need.
func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = min(max(widths[i], utf8.RuneCountInString(text)), 28)
		}
	}
	return widths
}

// fit reports whether columns have room beside each other, the last one wrapped if it is long.
func (l *lines) fit(widths []int) bool {
	all := 0
	for i, w := range widths {
		if i == len(widths)-1 {
			w = min(w, 20)
		}
		all += w + 2
	}
	return all-2 <= l.width
}

// list writes the rows of a table below each other, and of each its cells.
func (l *lines) list(t table, rows [][]string) {
	if len(t.Head) > 0 {
		rows = rows[1:]
	}
	for _, row := range rows {
		l.line(row[0], "")
		for i, text := range row[1:] {
			name := ""
			if i+1 < len(t.Head) {
				name = t.Head[i+1]
			}
			l.line("  "+name, "%s", text)
		}
	}
}
