package main

import (
	"time"

	"github.com/spf13/cobra"

	"redrpc/bench/capacity"
)

// benchFlags are the flags of redrpc bench.
type benchFlags struct {
	system systemFlags
	load   loadFlags
	out    reportFlags
	slo    capacity.SLO
}

func newBench(getenv func(string) string) *cobra.Command {
	f := new(benchFlags)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput and latency of calls or Redis commands",
		Long: `Measure how many calls per second are answered, and how fast.

In a closed loop each of --concurrency callers sends its next call when its last one
has ended: that measures the maximum throughput. In an open loop calls are sent on
schedule, whether or not earlier calls have ended, at a --rate, by a --model or from a
--replay: that measures what independent users see. Response time is measured from the
intended send time, which avoids coordinated omission; service time from the actual one.

Without --redis and REDIS_URL the calls go through an in-process broker to an
in-process server. With a Redis they go through it, still to an in-process server, or
with --no-server to the servers that offer --func under --prefix.

With --command any Redis command is sent instead of calls, on its own --connections.
__key__ in it stands for a number below --keys, and __data__ for random bytes. Its keys
get a prefix that is new for each run, and are deleted at the end. Each command is tried
once before the run. Commands that may harm other users need --allow-dangerous. The
default of --concurrency is then --connections times --pipeline.

Calls, errors and latencies are those of the calls intended in the measured window,
which follows the warm-up. Throughput is the number of successful replies within the window
divided by its length; with --calls it is that number of calls divided by the time from
the end of the warm-up to the last reply.

A call has phases: queue is the way to Redis and the wait for a worker, run is the
handler, wake is the way back. External servers report the wait in whole milliseconds.

The first signal (Ctrl-C) ends the run early and reports what was measured; a second
one kills the process. Progress goes to stderr, the report to stdout or --out.

With --no-extensions each caller has its own connection, as far as the broker or Redis
allows; otherwise the report says so. The keys of the run are deleted after the report,
within 3 s at most. Keys under a --prefix of your own are left to expire, as others may
use it too.

` + formsHelp + `

Functions of the in-process server:
` + functionsHelp + `

` + exitCodesHelp,
		Example: `  redrpc bench
  redrpc bench --redis redis://127.0.0.1:6379 --concurrency 100 --duration 30s
  redrpc bench --rate 5000 --arrivals poisson --slo p99=20ms,errors=0.1%
  redrpc bench --model steps:1000,2000,4000/10s -d 30s --report html=run.html
  redrpc bench --func sleep --args '{"seconds": 0.005}' --calls 10000
  redrpc bench --redis redis://127.0.0.1 --command 'SET k:__key__ __data__' --pipeline 16
  redrpc bench --redis redis://127.0.0.1 --command 'GET k:__key__' --prepare 'SET k:__key__ __data__' --rate 20000 --slo p99=1ms
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
	f.load.register(cmd)
	flags.Var(slo(&f.slo), "slo", "service level objective, such as p99=20ms,errors=0.1%; exit code 3 if it is missed")
	f.system.register(cmd, getenv, 5*time.Second)
	f.out.register(cmd, runForms)
	cmd.AddCommand(newSweep(getenv), newSearch(getenv), newPlan(getenv), newCompare(getenv), newMerge(getenv), newReport(getenv))
	return cmd
}

// check is about what the flags' own parsers cannot know.
func (f *benchFlags) check() error {
	if err := f.system.check(); err != nil {
		return err
	}
	return f.load.check(&f.system)
}

// completeChoices tells the shell which values a flag has.
func completeChoices(cmd *cobra.Command, flag string, choices ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}
