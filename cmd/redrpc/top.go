package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"redrpc/rpc"
)

func newTop(getenv func(string) string) *cobra.Command {
	var conn connFlags
	prefix, interval, times := defaultPrefix, 2*time.Second, 0
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show functions and servers again and again",
		Long: `Show the functions for which calls wait, or have waited since the start: how many
calls wait, by how many that has changed in a second since the look before, and for how
long the call has waited that comes next; and the servers that are online. On a terminal
the table stays in its place until Ctrl-C; elsewhere one follows the other. All keys of
the database are looked at each time, since nothing lists the queues.`,
		Example: `  redrpc top
  redrpc top --interval 500ms --prefix rpc_example
  redrpc top -n 1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			redisOpt, err := conn.options(defaultRedis)
			if err != nil {
				return err
			}
			rdb, _, err := reach(cmd.Context(), redisOpt)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, rdb.Close()) }()
			inspector, err := rpc.NewInspector(rdb, prefix)
			if err != nil {
				return err
			}
			title := fmt.Sprintf("%s, prefix %s, every %v", where(redisOpt), clean(prefix), interval)
			return top(cmd.Context(), inspector, newScreen(cmd.OutOrStdout(), getenv), title, interval, times)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(positive(&interval), "interval", "time from one look to the next")
	flags.VarP(count(&times, 0, 1_000_000_000), "times", "n", "looks until the end, 0 for no end")
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
		servers, err := inspector.Servers(ctx)
		var queues []rpc.Queue
		if err == nil {
			queues, err = inspector.Queues(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (n == 1 || errors.Is(err, redis.ErrClosed)):
			return err
		case err == nil:
			b.look(time.Now(), servers, queues)
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
	servers   []rpc.OnlineServer
	functions map[string]rowOfTop
}

type rowOfTop struct {
	rpc.Queue
	change float64 // in a second
	known  bool    // there was a look before
}

func (b *board) look(now time.Time, servers []rpc.OnlineServer, queues []rpc.Queue) {
	before, first := b.functions, b.at.IsZero()
	seconds := max(now.Sub(b.at), time.Millisecond).Seconds()
	b.functions = map[string]rowOfTop{}
	for name := range before {
		queues = append(queues, rpc.Queue{Func: name}) // empty, unless it came first
	}
	for _, q := range queues {
		if _, ok := b.functions[q.Func]; !ok {
			b.functions[q.Func] = rowOfTop{q, float64(q.Depth-before[q.Func].Depth) / seconds, !first}
		}
	}
	b.at, b.servers = now, servers
}

// text renders the board, and why it is not up to date, if so.
func (b *board) text(trouble error) string {
	var out bytes.Buffer
	if trouble != nil {
		fmt.Fprintf(&out, "as of %s, now: %s\n", b.at.Format(time.TimeOnly), cell(trouble.Error()))
	}
	rows := make([]rowOfTop, 0, len(b.functions))
	waiting := int64(0)
	for _, r := range b.functions {
		rows = append(rows, r)
		waiting += r.Depth
	}
	slices.SortFunc(rows, func(x, y rowOfTop) int {
		return cmp.Or(cmp.Compare(y.Depth, x.Depth), cmp.Compare(x.Func, y.Func))
	})
	fmt.Fprintf(&out, "calls waiting: %d, servers online: %d\n", waiting, len(b.servers))
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	if len(rows) > 0 {
		fmt.Fprintln(table, "\nFUNCTION\tWAITING\tPER SECOND\tOLDEST")
	}
	for _, r := range rows {
		change, oldest := "-", "-"
		if r.known {
			change = fmt.Sprintf("%+.1f", r.change)
		}
		if r.Dated {
			oldest = r.Oldest.Round(time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", cell(r.Func), r.Depth, change, oldest)
	}
	table.Flush() // into memory
	if len(b.servers) > 0 {
		fmt.Fprintln(table, "\nKIND\tSERVER\tEXPIRES IN")
	}
	for _, s := range b.servers {
		fmt.Fprintf(table, "%s\t%s\t%s\n", cell(s.Kind), cell(s.ID), s.Expires.Round(time.Millisecond))
	}
	table.Flush()
	return out.String()
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
		if runes := []rune(line); width > 0 && len(runes) > width {
			lines[i] = string(runes[:width])
		}
	}
	return lines
}
