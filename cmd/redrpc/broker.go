package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"redrpc/broker"
)

func newBroker(getenv func(string) string) *cobra.Command {
	var at listenFlags
	var secret passwordFlag
	var faults faultFlags
	opt := broker.Options{Databases: 16, MaxClients: 10_000}
	level := slog.LevelInfo
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the in-process Redis broker on its own",
		Long: `Serve the in-process broker, which speaks the Redis protocol and keeps its data in
memory, until SIGINT, SIGTERM or a client's SHUTDOWN. Stdout has a line for each
address, with a URL for clients; the log goes to stderr.

A password comes from a file or from REDRPC_PASSWORD, and is not part of the URLs.
Without a password anyone on this machine can use the broker, and clients on other
machines are refused, as in Redis's protected mode.

` + faultHelp(),
		Example: `  redrpc broker
  redrpc broker --addr 127.0.0.1:0 --unix /tmp/broker.sock
  REDRPC_PASSWORD=... redrpc broker --addr 0.0.0.0:6379 --tls-cert broker.pem --tls-key broker.key
  redrpc broker --maxmemory 100mb --timeout 5m --log-level debug
  redrpc broker --fault "command=blpop key='jobs:*' nth=3 drop=after"
  redrpc broker --fault 'rtt=40ms upload=64kb' --fault 'command=set probability=0.1 error="OOM no"'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := at.check(); err != nil {
				return err
			}
			if !opt.ManualTime.IsZero() && !opt.TestCommands {
				return usagef("--manual-time: expected together with --test-commands, which move the clock")
			}
			if opt.Password, err = secret.read(); err != nil {
				return err
			}
			opt.Logger = newLog(cmd.ErrOrStderr(), level)
			b, err := broker.New(opt)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.Close()) }()
			if err := faults.inject(b); err != nil {
				return err
			}
			urls, err := at.listen(b)
			if err != nil {
				return err
			}
			if opt.Password == "" && !opt.Unprotected && at.reachable() {
				opt.Logger.Warn("clients on other machines are refused, as there is no password: see --password-file and --unprotected")
			}
			for _, url := range urls {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), url); err != nil {
					return err
				}
			}
			var giving sync.WaitGroup
			ctx, stop := context.WithCancel(cmd.Context())
			defer giving.Wait()
			defer stop()
			giving.Go(func() { giveBackMemory(ctx) })
			select {
			case <-cmd.Context().Done():
			case <-b.Done(): // a client's SHUTDOWN
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	at.register(flags)
	secret.register(flags, getenv)
	flags.BoolVar(&opt.Unprotected, "unprotected", false, "serve clients on other machines even without a password")
	flags.Var(memory(&opt.MaxMemory), "maxmemory", "maximum memory for data, such as 100mb or 1gb (default no limit)")
	flags.Var(evictionPolicy(&opt.MaxMemoryPolicy), "maxmemory-policy", "which keys are evicted beyond --maxmemory, such as allkeys-lru (default none)")
	flags.Var(count(&opt.MaxClients, 1, 1_000_000), "maxclients", "maximum number of clients connected at the same time")
	flags.Var(count(&opt.Databases, 1, 1_000_000), "databases", "number of databases, for SELECT")
	flags.Var(wholeSeconds(&opt.IdleTimeout), "timeout", "close clients that are idle for this long, 0s = never")
	flags.Var(keyspaceEvents(&opt.KeyspaceEvents), "notify-keyspace-events", "keyspace events to publish, in Redis's letters, such as KEA for all (default none)")
	flags.BoolVar(&opt.TestCommands, "test-commands", false, "enable the test-control commands REDRPC.*: snapshots, faults, virtual time")
	flags.Var(momentOrNow(&opt.ManualTime), "manual-time", "virtual time: the clock stands at this moment until REDRPC.ADVANCE moves it")
	flags.Lookup("manual-time").NoOptDefVal = "now"
	flags.Var(&faults, "fault", "inject a fault, see above (repeatable)")
	flags.Var(logLevel(&level), "log-level", "lowest level to log")
	return cmd
}
