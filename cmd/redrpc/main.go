// Command redrpc measures, serves and makes remote procedure calls through Redis
// lists, and runs an in-process Redis broker on its own. See redrpc --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"redrpc/internal/terminal"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // could not run, or nothing succeeded
	exitUsage   = 2 // a wrong flag or argument
	exitMissed  = 3 // an objective was missed, or something is worse
	exitInvalid = 4 // the measurement is invalid or inconclusive

	exitRemote   = 5 // the function that was called failed
	exitNoResult = 6 // no result of a call came, it may have run
)

// stopSignals are requests to stop in good order; a second one kills.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	context.AfterFunc(ctx, stop) // so that a second signal kills at once
	// A reader who goes away is not to keep a run from cleaning up. Ignoring SIGPIPE
	// would do, too, but programs that are run would inherit it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv))
}

// run is the whole command; it returns the exit code. The end of ctx is a request
// to stop in good order, as is SIGINT.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	root := newRoot(getenv)
	started := false // errors before it are about flags and arguments
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	checkOwnArgs(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "redrpc: %s\n", terminal.Text(err.Error()))
	if !started || errors.As(err, new(usageError)) {
		return exitUsage
	}
	if of, ok := errors.AsType[coded](err); ok {
		return of.code
	}
	return exitFailed
}

func newRoot(getenv func(string) string) *cobra.Command {
	root := &cobra.Command{
		Use:   "redrpc",
		Short: "Remote procedure calls through Redis lists: measure, serve, call",
		Long: `redrpc makes, serves and measures remote procedure calls through Redis lists, in
the protocol of Codility/redis-rpc. It measures Redis commands, too, and has a Redis for
tests, redrpc broker, which redrpc bench uses unless it is given another.

Exit codes: 0 success, 1 could not run or nothing succeeded, 2 wrong flag or argument; of
redrpc bench and its sub-commands also 3 an SLO was missed or something is worse, 4 the
measurement is invalid or inconclusive; of redrpc call also 5 the function failed, 6 no
result came.`,
		Example: `  redrpc bench
  redrpc bench --redis redis://127.0.0.1:6379 --concurrency 100 --duration 30s
  redrpc serve &
  redrpc call add a:=1 b:=2`,
		Version:       version(),
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("redrpc {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newBench(getenv), newBroker(getenv), newServe(getenv), newCall(getenv), newServers(getenv), newQueues(getenv), newTop(getenv), newVersion(), newMan())
	setUsage(root)
	completeFlags(root)
	return root
}

// A usageError is a wrong flag or argument: what was expected, what came.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// nameOf is a command's name behind redrpc, with which each error begins.
func nameOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasAvailableSubCommands() {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		word := args[0]
		if !quotable(word) {
			word = ""
		}
		return didYouMean(fmt.Errorf("unknown command %s", shown(args[0])), word, names)
	}
	return usagef("%s: expected flags only, got %s", nameOf(cmd), shown(args[0]))
}

// checkOwnArgs makes the commands that cobra adds by itself refuse wrong
// arguments as ours do. It is to be called when root knows its output.
func checkOwnArgs(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return noArgs(root, append(rest, args...))
				}
				return nil
			}
		case "completion":
			cmd.Args = noArgs
			cmd.RunE = root.RunE
			for _, shell := range cmd.Commands() {
				shell.Args = noArgs
			}
		}
	}
}
