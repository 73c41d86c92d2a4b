package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"redrpc/bench"
	"redrpc/bench/report"
	"redrpc/rpc"
)

// benchFlags are the flags of redrpc bench, and after check what to run.
type benchFlags struct {
	conn connFlags

	callers, clients, workers int
	duration, warmup, timeout time.Duration
	calls                     int

	fn      string
	args    json.RawMessage
	payload int

	prefix    string
	noServer  bool
	transport string
	wait      string
	format    string
	out       string

	given func(flag string) bool
	redis *redis.Options // nil: the in-process broker
	mine  bool           // the prefix is of this run alone
}

func newBench(getenv func(string) string) *cobra.Command {
	f := &benchFlags{
		callers: 1000, clients: 1, workers: 64,
		duration: 10 * time.Second, warmup: time.Second, timeout: 5 * time.Second,
		fn: "echo", payload: 100, transport: "memory", wait: "auto", format: "text",
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput and latency of calls",
		Long: `Measure how many calls a second are answered, and how fast, in a closed loop:
each of --concurrency callers sends its next call when its last one has ended.

Without --redis and REDIS_URL the calls go through an in-process broker to an
in-process server. With a Redis they go through it, to an in-process server
still, or with --no-server to whoever serves --func under --prefix.

Calls, errors and latencies are of the calls sent in the measured window, which
comes after the warm-up. The throughput is what was answered with success within
the window, whenever it was sent, divided by its length; with --calls it is those
calls divided by the time from the end of the warm-up to the last answer.

The first signal (Ctrl-C) ends the run early and reports what was measured, the
second one kills. Progress goes to stderr, the report to stdout or --out.

Callers that wait by BLPOP (--wait blpop, or where tracking does not work) have a
connection each as long as the broker or Redis allows it; where it does not, the
report says so. After the report the keys of this run
are deleted, which a Redis that does not answer holds up for no more than 3 s.
The keys of a --prefix of your own are left to expire, as others may use it, too.

Functions of the in-process server:
` + functionsHelp,
		Example: `  redrpc bench
  redrpc bench --redis redis://127.0.0.1:6379 --concurrency 100 --duration 30s
  redrpc bench --func sleep --args '{"seconds": 0.005}' --calls 10000
  redrpc bench --redis redis://127.0.0.1 --no-server --prefix redis_rpc --func add --args '{"a": 1, "b": 2}'
  redrpc bench --output json --out report.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return runBench(cmd.Context(), f, cmd.OutOrStdout(), newLiveLine(cmd.ErrOrStderr(), getenv))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.given = flags.Changed
	flags.VarP(count(&f.callers, 1, 1_000_000), "concurrency", "c", "callers, each with one call in flight")
	flags.VarP(positive(&f.duration), "duration", "d", "length of the measured window")
	flags.VarP(count(&f.calls, 1, 1_000_000_000), "calls", "n", "measure this number of calls instead of for a --duration")
	flags.Var(notNegative(&f.warmup), "warmup", "time before the measured window")
	flags.Var(positive(&f.timeout), "timeout", "how long a call may take, and how long to wait for the last ones")
	flags.Var(name(&f.fn, "NAME"), "func", "function to call")
	flags.Var(count(&f.payload, 0, 64<<20), "payload", "bytes of text to send as the argument x")
	flags.Var(object(&f.args), "args", "arguments of every call, instead of --payload")
	flags.Var(count(&f.clients, 1, 100_000), "clients", "clients with connections of their own, which the callers share")
	flags.Var(oneOf(&f.wait, waits...), "wait", waitHelp)
	flags.Var(count(&f.workers, 1, 100_000), "server-workers", "calls that the in-process server runs at a time")
	flags.Var(oneOf(&f.transport, "memory", "tcp"), "transport", "of the in-process broker, instead of $REDIS_URL")
	f.conn.register(flags, getenv, "an in-process broker")
	flags.Var(name(&f.prefix, "TEXT"), "prefix", "prefix of all keys (default a new one, whose keys are deleted at the end)")
	flags.BoolVar(&f.noServer, "no-server", false, "the function is served elsewhere: give --redis, --prefix and --func")
	flags.VarP(oneOf(&f.format, "text", "json"), "output", "o", "format of the report")
	flags.Var(name(&f.out, "FILE"), "out", "write the report to this file instead of stdout")
	completeChoices(cmd, "output", "text", "json")
	completeChoices(cmd, "transport", "memory", "tcp")
	completeChoices(cmd, "wait", waits...)
	completeChoices(cmd, "func", slices.Sorted(maps.Keys(builtin))...)
	return cmd
}

// completeChoices tells the shell which values a flag has.
func completeChoices(cmd *cobra.Command, flag string, choices ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}

// check is about what the flags' own parsers cannot know, and fills in what
// follows from other flags.
func (f *benchFlags) check() error {
	if f.given("transport") {
		if f.given("redis") {
			return usagef("--transport: expected without --redis, for it is about the in-process broker")
		}
		if err := f.conn.checkTLS(nil); err != nil {
			return err
		}
	} else {
		var err error
		if f.redis, err = f.conn.options(""); err != nil {
			return err
		}
	}
	if f.noServer {
		if f.redis == nil {
			return usagef("--no-server: expected --redis or REDIS_URL too, for nobody else serves the in-process broker")
		}
		for _, flag := range []string{"prefix", "func"} {
			if !f.given(flag) {
				return usagef("--no-server: expected --prefix and --func too, to know what is served elsewhere; --%s is missing", flag)
			}
		}
		if f.given("server-workers") {
			return usagef("--server-workers: expected without --no-server, for it is about the in-process server")
		}
	} else if _, ok := builtin[f.fn]; !ok {
		return usagef("--func: expected one of %s, which the in-process server has, or --no-server; got %s",
			strings.Join(slices.Sorted(maps.Keys(builtin)), ", "), shown(f.fn))
	}
	if f.given("duration") && f.given("calls") {
		return usagef("--duration and --calls: expected only one of them")
	}
	if f.given("payload") && f.given("args") {
		return usagef("--payload and --args: expected only one of them")
	}
	if f.clients > f.callers {
		return usagef("--clients: expected no more than the %d callers of --concurrency, got %d", f.callers, f.clients)
	}
	if f.calls > 0 {
		f.duration = 0
	}
	if f.mine = !f.given("prefix"); f.mine {
		f.prefix = "redrpc-bench-" + strings.ToLower(rand.Text()[:16])
	}
	f.completeArgs()
	return nil
}

// completeArgs decides what is sent: a payload, or else a payload of -1 bytes and
// args.
func (f *benchFlags) completeArgs() {
	switch {
	case f.given("args"):
		f.payload = -1
	case f.given("payload") || f.fn == "echo":
		f.args = json.RawMessage(`{"x":` + string(payload(f.payload)) + `}`)
	case f.noServer:
		f.payload, f.args = -1, json.RawMessage(`{}`)
	default:
		f.payload, f.args = -1, builtin[f.fn]
	}
}

// payload returns a JSON text of n bytes.
func payload(n int) json.RawMessage {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	return json.RawMessage(`"` + strings.Repeat(alphabet, n/len(alphabet)+1)[:n] + `"`)
}

// failure says why a run gave no latencies, if it did not.
func (f *benchFlags) failure(res *bench.Result) error {
	switch {
	case res.Calls > 0:
		return nil
	case res.Errors > 0:
		return errors.New("no call was answered with success")
	case res.Interrupted:
		return errors.New("nothing was measured: interrupted before a call was sent in the measured window")
	}
	return fmt.Errorf("no call was sent in the measured window of %v: calls take longer than it; lengthen --duration (or shorten --warmup)", f.duration)
}

// runBench measures and reports. Whatever it made is gone when it returns.
func runBench(ctx context.Context, f *benchFlags, stdout io.Writer, live *liveLine) (err error) {
	out := output{f.out, stdout}
	if err := out.check(); err != nil {
		return err
	}
	sys, err := assemble(ctx, f, live)
	if err != nil {
		return err
	}
	told := false
	progress := func(p bench.Progress) {
		if ctx.Err() != nil && p.Draining && !told {
			told = true
			fmt.Fprintf(live, "interrupted: waiting up to %v for the last calls, a second signal kills\n", f.timeout)
		}
		live.show(p)
	}
	res, err := bench.Run(ctx, bench.Config{
		Call:          sys.caller(f),
		Callers:       f.callers,
		Warmup:        f.warmup,
		Duration:      f.duration,
		Calls:         int64(f.calls),
		Drain:         f.timeout + time.Second, // so that each call ends by its own time-out
		Classify:      kindOf,
		Progress:      progress,
		ProgressEvery: live.interval(),
		InProcess:     !f.noServer,
	})
	live.end()
	if err == nil {
		err = f.report(res, sys, out, live)
	}
	// After the report, which nobody is to wait for longer than needed.
	if err := sys.close(live); err != nil {
		fmt.Fprintf(live, "redrpc: %s\n", clean(err.Error()))
	}
	return err
}

// report writes what was measured, and returns why it is of no use if it is not.
func (f *benchFlags) report(res *bench.Result, sys *system, out output, live *liveLine) error {
	rep := report.Report{Settings: f.settings(sys), Environment: report.Capture(os.Args), Result: res}
	write := rep.WriteText
	if f.format == "json" {
		write = rep.WriteJSON
	}
	if err := out.write(write); err != nil {
		return err
	}
	if f.out != "" {
		fmt.Fprintf(live, "report written to %s\n", f.out)
	}
	return f.failure(res)
}

// settings is what was run.
func (f *benchFlags) settings(sys *system) report.Settings {
	way, why := sys.clients[0].Waiting()
	set := report.Settings{
		{Name: "broker", Value: sys.name},
		{Name: "transport", Value: sys.transport},
		{Name: "redis_version", Value: sys.version},
		{Name: "clients", Value: f.clients},
		{Name: "waiting", Value: way},
		{Name: "connections", Value: sys.open()},
		{Name: "function", Value: f.fn},
	}
	if f.payload >= 0 {
		set = append(set, report.Setting{Name: "payload_bytes", Value: f.payload})
	} else {
		set = append(set, report.Setting{Name: "args", Value: f.args})
	}
	if f.noServer {
		set = append(set, report.Setting{Name: "server", Value: "elsewhere"})
	} else {
		set = append(set, report.Setting{Name: "server", Value: "in-process"},
			report.Setting{Name: "server_workers", Value: f.workers})
	}
	if f.wait != string(way) {
		set = append(set, report.Setting{Name: "waiting_because", Value: why})
	}
	if sys.note != "" && way == rpc.WaitBLPOP {
		set = append(set, report.Setting{Name: "note", Value: sys.note})
	}
	return append(set,
		report.Setting{Name: "prefix", Value: f.prefix},
		report.Setting{Name: "timeout_s", Value: f.timeout.Seconds()},
		report.Setting{Name: "redrpc", Value: version()},
		report.Setting{Name: "processors", Value: runtime.GOMAXPROCS(0)},
	)
}
