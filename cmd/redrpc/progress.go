package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"redrpc/bench"
)

// A liveLine shows on stderr how far a run has come: on a terminal in a line that
// is written over and over, elsewhere in plain lines. What else goes to stderr
// meanwhile is written to it, too.
type liveLine struct {
	terminal *os.File // nil if w is none

	mu sync.Mutex // guards w
	w  io.Writer
}

func newLiveLine(w io.Writer, getenv func(string) string) *liveLine {
	l := &liveLine{w: w}
	if f, ok := w.(*os.File); ok && getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		l.terminal = f
	}
	return l
}

// interval is how often show is worth calling.
func (l *liveLine) interval() time.Duration {
	if l.terminal != nil {
		return 250 * time.Millisecond
	}
	return time.Second
}

// show shows p behind a note, which may be empty. That it could not be shown is no reason to end a run.
func (l *liveLine) show(note string, p bench.Progress) {
	if l.terminal == nil {
		fmt.Fprintln(l, progressLine(note, p, math.MaxInt))
		return
	}
	width, _, err := term.GetSize(int(l.terminal.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	fmt.Fprint(l, progressLine(note, p, width-1)) // a line that wraps could not be written over
}

// progressLine is a note, which may be empty, and p in so many columns at most.
func progressLine(note string, p bench.Progress, columns int) string {
	if note != "" {
		note += " "
	}
	text := p.Within(columns - utf8.RuneCountInString(note))
	if note != "" {
		text = note + strings.TrimLeft(text, " ")
	}
	runes := []rune(text)
	return string(runes[:max(0, min(len(runes), columns))])
}

// Write writes p in place of the live line.
func (l *liveLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal != nil {
		if _, err := l.w.Write([]byte(clearLine)); err != nil {
			return 0, err
		}
	}
	return l.w.Write(p)
}

// end leaves the terminal's line empty.
func (l *liveLine) end() {
	fmt.Fprint(l, "")
}

const clearLine = "\r\x1b[K"
