package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"redrpc/internal/terminal"
	"redrpc/rpc"
)

func newTop(getenv func(string) string) *cobra.Command {
	var conn connFlags
	prefix, interval, times := defaultPrefix, 2*time.Second, 0
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Live view of functions and servers",
		Long: `Live view of the functions that have waiting calls, or had some since the start, or
that servers offer:
  WAITING   calls in the queue
  CHANGE/S  change of WAITING per second since the last refresh
  OLDEST    how long the next call has waited
  CALLS/S   calls started per second, between the last two reports of its servers
  ERRORS/S  calls that failed or were dropped per second, likewise
  BUSY      calls that run
  SERVERS   servers that offer it
Below them the servers that are online. Servers report every 2 s; of those that do not,
such as the Python port, only the heartbeat is known, and their calls are not counted.
Unknown values are shown as -.

On a terminal the view refreshes in place until Ctrl-C; elsewhere each refresh is
printed below the last. Each refresh scans all keys of the database, as nothing lists
the queues.`,
		Example: `  redrpc top
  redrpc top --interval 500ms --prefix rpc_example
  redrpc top -n 1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			redisOpt, err := conn.options(defaultRedis)
			if err != nil {
				return err
			}
			title := fmt.Sprintf("%s, prefix %s, every %v", where(redisOpt), terminal.Line(prefix), interval)
			return withInspector(cmd.Context(), redisOpt, prefix, func(i *rpc.Inspector) error {
				return top(cmd.Context(), i, newScreen(cmd.OutOrStdout(), getenv), title, interval, times)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(positive(&interval), "interval", "time between refreshes")
	flags.VarP(count(&times, 0, 1_000_000_000), "times", "n", "number of refreshes, 0 = forever")
	flags.Var(name(&prefix, "TEXT"), "prefix", "prefix of all keys")
	conn.register(flags, getenv, defaultRedis)
	return cmd
}

// top shows a table at each interval, so many times, until ctx ends. A Redis that
// goes away later is shown, too, and looked at again.
func top(ctx context.Context, inspector *rpc.Inspector, to *screen, title string, interval time.Duration, times int) (err error) {
	if err := to.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var b board
	for n := 1; ; n++ {
		look, err := inspector.Overview(ctx, b.last)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (n == 1 || errors.Is(err, redis.ErrClosed)):
			return err
		case err == nil:
			b.look(time.Now(), look)
		}
		if err := to.show(time.Now().Format(time.TimeOnly) + "  " + title + "\n" + b.text(err)); err != nil || n == times {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// A board is what the last look saw.
type board struct {
	at        time.Time
	last      *rpc.Overview
	functions map[string]rowOfTop
}

type rowOfTop struct {
	rpc.Function
	change float64 // of the calls that wait, in a second
	known  bool    // there was a look before
}

func (b *board) look(now time.Time, l *rpc.Overview) {
	before, seconds := b.functions, max(now.Sub(b.at), time.Millisecond).Seconds()
	b.functions = map[string]rowOfTop{}
	for name := range before {
		b.functions[name] = rowOfTop{Function: rpc.Function{Queue: rpc.Queue{Func: name}}} // unless it is seen again
	}
	for _, f := range l.Functions {
		b.functions[f.Func] = rowOfTop{Function: f}
	}
	for name, r := range b.functions {
		r.change, r.known = float64(r.Depth-before[name].Depth)/seconds, b.last != nil
		b.functions[name] = r
	}
	b.at, b.last = now, l
}

// text renders the board, and why it is not up to date, if so.
func (b *board) text(trouble error) string {
	var out bytes.Buffer
	if trouble != nil {
		fmt.Fprintf(&out, "as of %s, now: %s\n", b.at.Format(time.TimeOnly), terminal.Line(trouble.Error()))
	}
	rows := slices.SortedFunc(maps.Values(b.functions), func(x, y rowOfTop) int {
		return cmp.Or(cmp.Compare(y.Depth, x.Depth), cmp.Compare(y.Rate.Calls, x.Rate.Calls), cmp.Compare(x.Func, y.Func))
	})
	waiting := int64(0)
	for _, r := range rows {
		waiting += r.Depth
	}
	fmt.Fprintf(&out, "calls waiting: %d, servers online: %d, workers busy: %s\n", waiting, len(b.last.Servers), busyOf(b.last.Servers))
	functions := [][]string{{"FUNCTION", "WAITING", "CHANGE/S", "OLDEST", "CALLS/S", "ERRORS/S", "BUSY", "SERVERS"}}
	for _, r := range rows {
		functions = append(functions, r.cells())
	}
	servers := [][]string{append([]string{"KIND", "SERVER"}, serverColumns...)}
	for _, s := range b.last.Servers {
		servers = append(servers, append([]string{s.Kind, s.ID}, serverCells(s)...))
	}
	for _, rows := range [][][]string{functions, servers} {
		if len(rows) > 1 {
			out.WriteString("\n" + table(rows))
		}
	}
	return out.String()
}

// busyOf is how many workers of how many are busy, or - if there are servers of which
// none says.
func busyOf(servers []rpc.OnlineServer) string {
	busy, workers, known := 0, 0, len(servers) == 0
	for _, s := range servers {
		n, of, ok := s.Busy()
		busy, workers, known = busy+n, workers+of, known || ok
	}
	if !known {
		return "-"
	}
	return fmt.Sprintf("%d of %d", busy, workers)
}

// cells is the row in a table: - where something is not known.
func (r rowOfTop) cells() []string {
	change, oldest, calls, errors, busy, servers := "-", "-", "-", "-", "-", "-"
	if r.known {
		change = fmt.Sprintf("%+.1f", r.change)
	}
	if r.Dated {
		oldest = r.Oldest.Round(time.Millisecond).String()
	}
	if r.Rated {
		calls, errors = fmt.Sprintf("%.1f", r.Rate.Calls), fmt.Sprintf("%.1f", r.Rate.Errors+r.Rate.Dropped)
	}
	if r.Servers > 0 {
		busy, servers = fmt.Sprint(r.InFlight), fmt.Sprint(r.Servers)
	}
	return []string{r.Func, fmt.Sprint(r.Depth), change, oldest, calls, errors, busy, servers}
}

// A screen shows texts: on a terminal one in place of the other.
type screen struct {
	w        io.Writer
	terminal *os.File // nil if w is none
	shown    string
}

func newScreen(w io.Writer, getenv func(string) string) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		s.terminal = f
	}
	return s
}

// open takes the terminal's other screen and hides the cursor.
func (s *screen) open() error {
	if s.terminal == nil {
		return nil
	}
	_, err := io.WriteString(s.w, "\x1b[?1049h\x1b[?25l")
	return err
}

// close gives the terminal back, with what was shown last.
func (s *screen) close() error {
	if s.terminal == nil {
		return nil
	}
	_, err := io.WriteString(s.w, "\x1b[?25h\x1b[?1049l"+s.shown)
	return err
}

func (s *screen) show(text string) error {
	if s.terminal == nil {
		if s.shown != "" {
			text = "\n" + text
		}
		s.shown = text
		_, err := io.WriteString(s.w, text)
		return err
	}
	s.shown = text
	width, height, err := term.GetSize(int(s.terminal.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	_, err = io.WriteString(s.w, "\x1b[H"+strings.Join(fitting(text, width, height), "\x1b[K\r\n")+"\x1b[K\x1b[J")
	return err
}

// fitting cuts text into lines that fit.
func fitting(text string, width, height int) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - height; more > 0 && height > 0 {
		lines = append(lines[:height-1:height-1], fmt.Sprintf("... and %d lines more", more+1))
	}
	for i, line := range lines {
		if width > 0 {
			lines[i] = runewidth.Truncate(line, width, "")
		}
	}
	return lines
}
