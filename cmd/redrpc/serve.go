package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redrpc/rpc"
)

func newServe(getenv func(string) string) *cobra.Command {
	var conn connFlags
	opt := rpc.ServerOptions{Prefix: defaultPrefix, Kind: "server", Workers: 64, Tolerance: 10 * time.Millisecond}
	shutdown := 30 * time.Second
	var programs programFlags
	longest := time.Minute
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve programs, or the functions echo, sleep, add and fail",
		Long: `Serve four functions to try calls with, or programs, until SIGINT or SIGTERM. Calls
that were taken by then are finished and answered; a second signal kills the process.

` + functionsHelp + "\n\n" + execHelp,
		Example: `  redrpc serve
  redrpc serve --redis redis://127.0.0.1:6379 --prefix rpc_example --workers 8
  redrpc serve --exec 'upper=tr a-z A-Z' --exec 'greet=sh -c "echo hello $ARG_name"'
  redrpc serve --exec 'backup=/usr/local/bin/backup' --exec-timeout 1h`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			redisOpt, err := conn.options(defaultRedis)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("exec-timeout") && len(programs) == 0 {
				return usagef("--exec-timeout: expected together with --exec")
			}
			opt.Logger = newLog(cmd.ErrOrStderr(), slog.LevelInfo)
			run := &runner{timeout: longest, grace: endGrace, log: opt.Logger}
			return serve(cmd.Context(), redisOpt, opt, programs, run, shutdown)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&programs, "exec", "serve a program as the function NAME (repeatable)")
	flags.Var(notNegative(&longest), "exec-timeout", "maximum run time of a program, whatever its caller allows, 0 = no limit")
	flags.Var(name(&opt.Prefix, "TEXT"), "prefix", "prefix of all keys")
	flags.Var(count(&opt.Workers, 1, 100_000), "workers", "maximum number of calls that run at the same time")
	flags.Var(count(&opt.MaxCalls, 0, 1_000_000_000), "max-calls", "stop after this number of calls, 0 = never")
	flags.Var(positive(&opt.Tolerance), "tolerance", "grace after the caller's deadline within which a call is still run")
	flags.Var(withoutColon(&opt.Kind), "kind", "kind of server, shown by redrpc servers")
	flags.Var(withoutColon(&opt.ID), "id", "name of this server among those of its kind (default a new one)")
	flags.Var(positive(&shutdown), "shutdown-timeout", "grace period for running calls after a signal; then they are interrupted")
	conn.register(flags, getenv, defaultRedis)
	return cmd
}

// serve serves programs, which run runs, or without any the builtin functions, until ctx
// ends and what was taken is answered.
func serve(ctx context.Context, redisOpt *endpoint, opt rpc.ServerOptions, programs []program, run *runner, shutdown time.Duration) (err error) {
	admin, version, err := reach(ctx, redisOpt, reachWithin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	functions, give := slices.Sorted(maps.Keys(builtin)), offer
	if len(programs) > 0 {
		functions = nil
		for _, p := range programs {
			functions = append(functions, p.name)
		}
		defer run.killOnSignal()()
		defer run.wait()
		give = func(s *rpc.Server) error { return run.offer(s, programs) }
	}
	server, ended, err := runServer(admin, opt, give)
	if err != nil {
		return err
	}
	log := opt.Logger
	log.Info("serving "+strings.Join(functions, ", "), "redis", where(redisOpt), "version", version,
		"prefix", opt.Prefix, "kind", opt.Kind, "id", server.ID(), "workers", opt.Workers)
	select {
	case err := <-ended:
		if err == nil {
			log.Info("stopped after --max-calls", "calls", opt.MaxCalls)
			return nil
		}
		return fmt.Errorf("the server ended by itself: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping: finishing the calls that were taken", "shutdown_timeout", shutdown)
	return stopServer(server, ended, shutdown)
}
