package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// A system is what is measured: a Redis or an in-process broker, clients, and
// mostly a server.
type system struct {
	name      string // of the Redis, for people
	transport string
	version   string
	clients   []*rpc.Client

	closers []func() error // in the order of making
}

// assemble connects and starts everything. On an error nothing is left.
func assemble(ctx context.Context, f *benchFlags, log *liveLine) (_ *system, err error) {
	sys := &system{}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.close())
		}
	}()
	opt := f.redis
	if opt == nil {
		if opt, err = sys.startBroker(f.transport); err != nil {
			return nil, err
		}
	} else {
		sys.name = where(opt)
		sys.transport = transportOf(opt)
	}
	var admin *redis.Client
	if admin, sys.version, err = reach(ctx, opt); err != nil {
		return nil, err
	}
	sys.closers = append(sys.closers, admin.Close)
	if f.mine {
		sys.closers = append(sys.closers, func() error { return deleteKeys(admin, f.prefix) })
	}

	// Clients and servers take its options and connect by themselves.
	rdb := redis.NewClient(opt)
	sys.closers = append(sys.closers, rdb.Close)
	if !f.noServer {
		if err := sys.startServer(rdb, rpc.ServerOptions{
			Prefix: f.prefix, Kind: "bench", Workers: f.workers,
			Logger: newBriefLog(log),
		}); err != nil {
			return nil, err
		}
	}
	for range f.clients {
		client, err := rpc.NewClient(rdb, rpc.ClientOptions{Prefix: f.prefix, Timeout: f.timeout})
		if err != nil {
			return nil, err
		}
		sys.clients = append(sys.clients, client)
		sys.closers = append(sys.closers, client.Close)
	}
	return sys, nil
}

// close takes everything down, the last made first.
func (sys *system) close() error {
	var errs []error
	for len(sys.closers) > 0 {
		last := len(sys.closers) - 1
		errs = append(errs, sys.closers[last]())
		sys.closers = sys.closers[:last]
	}
	return errors.Join(errs...)
}

func (sys *system) startBroker(transport string) (*redis.Options, error) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return nil, err
	}
	sys.closers = append(sys.closers, b.Close)
	sys.name, sys.transport = "in-process", transport
	opt := withoutSurprises(&redis.Options{Addr: "127.0.0.1:0"})
	if transport == "memory" {
		opt.Dialer = b.Dial
		return opt, nil
	}
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	opt.Addr = addr.String()
	return opt, nil
}

// startServer serves the builtin functions until the system is closed.
func (sys *system) startServer(rdb *redis.Client, opt rpc.ServerOptions) error {
	server, err := rpc.NewServer(rdb, opt)
	if err != nil {
		return err
	}
	if err := offer(server); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(context.Background()) }()
	sys.closers = append(sys.closers, func() error {
		return stopServer(server, ended, time.Second)
	})
	return nil
}

// stopServer stops a server whose Run reports to ended. Calls that run for longer
// than patience have their contexts cancelled.
func stopServer(server *rpc.Server, ended <-chan error, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := server.Stop(ctx)
	if runErr := <-ended; runErr != nil {
		return errors.Join(err, runErr)
	}
	return err
}

func transportOf(opt *redis.Options) string {
	switch {
	case opt.Network == "unix":
		return "unix"
	case opt.TLSConfig != nil:
		return "tls"
	}
	return "tcp"
}

// caller returns the call to measure.
func (sys *system) caller(f *benchFlags) func(context.Context) error {
	var expected json.RawMessage // unknown if somebody else serves
	if f.fn == "echo" && !f.noServer && f.payload >= 0 {
		expected = payload(f.payload)
	}
	var turn atomic.Uint64
	return func(ctx context.Context) error {
		client := sys.clients[0]
		if len(sys.clients) > 1 {
			client = sys.clients[turn.Add(1)%uint64(len(sys.clients))]
		}
		var got json.RawMessage
		if err := client.Call(ctx, f.fn, f.args, &got); err != nil {
			return err
		}
		if expected != nil && !bytes.Equal(got, expected) {
			return fmt.Errorf("%w: expected %d bytes back, got %d", errWrongAnswer, len(expected), len(got))
		}
		return nil
	}
}

var errWrongAnswer = errors.New("not the echo of what was sent")

// kindOf sorts the errors of calls for the report.
func kindOf(err error) string {
	_, remote := errors.AsType[*rpc.RemoteError](err)
	switch {
	case remote:
		return "remote_error"
	case errors.Is(err, errWrongAnswer):
		return "wrong_answer"
	case errors.Is(err, rpc.ErrNotSent):
		return "not_sent"
	case errors.Is(err, rpc.ErrBadResult):
		return "bad_result"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, rpc.ErrNoResult):
		return "no_result"
	}
	return "other"
}
