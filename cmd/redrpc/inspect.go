package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"redrpc/internal/terminal"
	"redrpc/rpc"
)

// newServers and newQueues show what an rpc.Inspector sees.

func newServers(getenv func(string) string) *cobra.Command {
	cmd := newLook(getenv, look[rpc.OnlineServer]{
		see:    (*rpc.Inspector).Servers,
		header: append([]string{"KIND", "ID"}, serverColumns...),
		row: func(s rpc.OnlineServer) []string {
			return append([]string{s.Kind, s.ID}, serverCells(s)...)
		},
		object: serverObject,
		none:   "no server is online",
	})
	cmd.Use, cmd.Short = "servers", "List the servers that are online"
	cmd.Long = `List the servers that are online: when the heartbeat of each expires unless it is
renewed, how many of its workers are busy, and which functions it offers, as it reports
every 2 s (- if it does not, such as the Python port). A server that died is listed until
its heartbeat expires. Servers of the Go port have no heartbeat, and are not listed.`
	cmd.Example = `  redrpc servers
  redrpc servers --redis redis://127.0.0.1:6379 --prefix rpc_example --output json`
	return cmd
}

var serverColumns = []string{"EXPIRES IN", "BUSY", "FUNCTIONS"}

// serverCells is what a table says of a server besides its name.
func serverCells(s rpc.OnlineServer) []string {
	expires, busy, functions := "never", "-", "-"
	if s.Expires > 0 {
		expires = s.Expires.Round(time.Millisecond).String()
	}
	if n, workers, ok := s.Busy(); ok {
		busy = fmt.Sprintf("%d/%d", n, workers)
		functions = strings.Join(slices.Sorted(maps.Keys(s.Report.Functions)), ", ")
	}
	return []string{expires, busy, functions}
}

func serverObject(s rpc.OnlineServer) any {
	o := struct {
		Kind      string                   `json:"kind"`
		ID        string                   `json:"id"`
		Expires   *float64                 `json:"expires_seconds"` // null: never
		Uptime    *float64                 `json:"uptime_seconds"`  // null, as what follows: it does not say
		Workers   *int                     `json:"workers"`
		Busy      *int                     `json:"busy"`
		Functions map[string]rpc.FuncStats `json:"functions"`
	}{Kind: s.Kind, ID: s.ID}
	if s.Expires > 0 {
		seconds := s.Expires.Seconds()
		o.Expires = &seconds
	}
	if busy, workers, ok := s.Busy(); ok {
		uptime := s.Report.Uptime.Seconds()
		o.Uptime, o.Workers, o.Busy, o.Functions = &uptime, &workers, &busy, s.Report.Functions
	}
	return o
}

func newQueues(getenv func(string) string) *cobra.Command {
	cmd := newLook(getenv, look[rpc.Queue]{
		see:    (*rpc.Inspector).Queues,
		header: []string{"FUNCTION", "WAITING", "OLDEST"},
		row: func(q rpc.Queue) []string {
			oldest := "-"
			if q.Dated {
				oldest = q.Oldest.Round(time.Millisecond).String()
			}
			return []string{q.Func, fmt.Sprint(q.Depth), oldest}
		},
		object: func(q rpc.Queue) any {
			var oldest *float64
			if q.Dated {
				seconds := q.Oldest.Seconds()
				oldest = &seconds
			}
			return struct {
				Func   string   `json:"function"`
				Depth  int64    `json:"waiting"`
				Oldest *float64 `json:"oldest_seconds"` // null: it does not say
			}{q.Func, q.Depth, oldest}
		},
		none: "no call is waiting",
	})
	cmd.Use, cmd.Short = "queues", "List the functions with waiting calls"
	cmd.Long = `List the functions with waiting calls: how many wait, and for how long the next one has
waited (- if it does not say when it was sent). This scans all keys of the database, as
nothing lists the queues.`
	cmd.Example = `  redrpc queues
  redrpc queues --prefix rpc_example --output json`
	return cmd
}

// A look is a command that shows a list.
type look[T any] struct {
	see    func(*rpc.Inspector, context.Context) ([]T, error)
	header []string // of a table
	row    func(T) []string
	object func(T) any // for JSON
	none   string      // what to say on stderr of an empty list
}

func newLook[T any](getenv func(string) string, l look[T]) *cobra.Command {
	var conn connFlags
	prefix, format := defaultPrefix, "text"
	cmd := &cobra.Command{
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			redisOpt, err := conn.options(defaultRedis)
			if err != nil {
				return err
			}
			var list []T
			err = withInspector(cmd.Context(), redisOpt, prefix, func(i *rpc.Inspector) (err error) {
				list, err = l.see(i, cmd.Context())
				return err
			})
			if err != nil {
				return err
			}
			if format == "json" {
				return l.writeJSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), l.none)
				return nil
			}
			return l.writeTable(cmd.OutOrStdout(), list)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(name(&prefix, "TEXT"), "prefix", "prefix of all keys")
	flags.Var(oneOf(&format, "text", "json"), "output", "format of the list")
	conn.register(flags, getenv, defaultRedis)
	return cmd
}

// withInspector gives use an inspector.
func withInspector(ctx context.Context, redisOpt *endpoint, prefix string, use func(*rpc.Inspector) error) (err error) {
	rdb, _, err := reach(ctx, redisOpt, reachWithin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()
	inspector, err := rpc.NewInspector(rdb, prefix)
	if err != nil {
		return err
	}
	return use(inspector)
}

// widest is how many columns a cell takes that is not the last of its row.
const widest = 40

// table lines up cells, the first row of which is the header. Text in cells is made
// harmless, and cut where it would push the other columns away.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			text = terminal.Line(text)
			if i < len(row)-1 {
				text = runewidth.Truncate(text, widest, "…")
			}
			row[i], widths[i] = text, max(widths[i], runewidth.StringWidth(text))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		last := len(row) - 1
		for i, text := range row[:last] {
			out.WriteString(runewidth.FillRight(text, widths[i]+2))
		}
		out.WriteString(row[last] + "\n")
	}
	return out.String()
}

func (l look[T]) writeTable(w io.Writer, list []T) error {
	rows := [][]string{l.header}
	for _, item := range list {
		rows = append(rows, l.row(item))
	}
	_, err := io.WriteString(w, table(rows))
	return err
}

func (l look[T]) writeJSON(w io.Writer, list []T) error {
	objects := make([]any, len(list))
	for i, item := range list {
		objects[i] = l.object(item)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	if err := e.Encode(objects); err != nil {
		return err
	}
	_, err := w.Write(terminal.JSON(text.Bytes()))
	return err
}
