package report

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	leastWidth, fullWidth = 40, 100 // columns of a text

	narrowWidth = 60 // in fewer columns not all figures have room

	indent = 15 // of what is right of the names
)

// lines are a text of names and what is said of them, in printable characters only.
type lines struct {
	width int // columns
	b     strings.Builder
}

// newLines are as wide as w if it is a terminal. What goes elsewhere has its full width.
func newLines(w io.Writer) *lines {
	l := &lines{width: fullWidth}
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			l.width = min(max(columns, leastWidth), fullWidth)
		}
	}
	return l
}

// row writes one line as it is, but for blanks at its end.
func (l *lines) row(name, format string, args ...any) {
	text := fmt.Sprintf("%-*s %s", indent-1, short(name, indent-1), fmt.Sprintf(format, args...))
	l.b.WriteString(strings.TrimRight(text, " ") + "\n")
}

// line writes a line, and goes on below it where it is too long.
func (l *lines) line(name, format string, args ...any) {
	l.pair(indent, name, fmt.Sprintf(format, args...))
}

// pair is line with a text that begins at a column.
func (l *lines) pair(column int, name, text string) {
	if n := utf8.RuneCountInString(name); n >= column {
		if n+1+utf8.RuneCountInString(text) <= l.width {
			l.b.WriteString(name + " " + text + "\n")
			return
		}
		l.b.WriteString(short(name, l.width) + "\n")
		name = ""
	}
	for _, part := range wrap(text, l.width-column) {
		l.b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s%s", column, name, part), " ") + "\n")
		name = ""
	}
}

// narrow reports whether there are so few columns that not all figures have room.
func (l *lines) narrow() bool { return l.width < narrowWidth }

func (l *lines) blank() { l.b.WriteByte('\n') }

// wrap cuts text into lines of at most n characters, at blanks if there are any.
func wrap(text string, n int) []string {
	var out []string
	runes := []rune(text)
	for len(runes) > n {
		cut := n
		for cut > 0 && runes[cut] != ' ' {
			cut--
		}
		if cut == 0 {
			cut = n
		}
		out = append(out, string(runes[:cut]))
		for runes = runes[cut:]; len(runes) > 0 && runes[0] == ' '; {
			runes = runes[1:]
		}
	}
	return append(out, string(runes))
}

// short is s in at most n characters.
func short(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// bar draws a share of n characters, in eighths.
func bar(share float64, n int) string {
	eighths := int(min(max(share, 0), 1)*float64(n)*8 + 0.5)
	if share > 0 {
		eighths = max(eighths, 1)
	}
	text := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return text
}

// sparkline draws values as columns of one line, from 0 on, and leaves room for those
// that are not known.
func sparkline(values []float64) string {
	top := 0.0
	for _, v := range values {
		if v > top { // NaN is not
			top = v
		}
	}
	var b strings.Builder
	for _, v := range values {
		if math.IsNaN(v) {
			b.WriteByte(' ')
			continue
		}
		level := 0
		if top > 0 && v > 0 {
			level = min(int(v/top*8), 7)
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[level])
	}
	return b.String()
}
