package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"redrpc/broker"
)

func newBroker() *cobra.Command {
	addr := "127.0.0.1:6379"
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the in-process Redis broker on its own",
		Long: `Serve the in-process broker, which speaks the Redis protocol and keeps its data in
memory, until SIGINT or SIGTERM. Its URL is the only line on stdout.

There is no password: whoever reaches the address can use it.`,
		Example: `  redrpc broker
  redrpc broker --addr 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			b, err := broker.New(broker.Options{Logger: newLog(cmd.ErrOrStderr())})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.Close()) }()
			at, err := b.Listen("tcp", addr)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%s is taken, perhaps by a Redis: choose another --addr, or port 0 for any: %w", addr, err)
			}
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "redis://%s\n", at); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	cmd.Flags().Var(address(&addr), "addr", "where to listen; port 0 is any free one")
	return cmd
}

// address takes a host and a port.
func address(to *string) value[string] {
	return value[string]{to, "HOST:PORT", func(s string) (string, error) {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return "", errors.New("expected a host and a port, such as 127.0.0.1:6379, :6379 or [::1]:0")
		}
		return s, nil
	}}
}
