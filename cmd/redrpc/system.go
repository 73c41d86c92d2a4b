package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/bench/command"
	"redrpc/broker"
	"redrpc/rpc"
)

// A system is what is measured: a Redis or an in-process broker, clients, and
// mostly a server.
type system struct {
	name      string // of the Redis, for people
	transport string
	version   string
	inProcess bool // the broker is
	atATime   int  // calls, at most
	clients   []*rpc.Client
	server    *rpc.Server // nil if somebody else serves
	trace     *trace      // of calls and of server; nil if the phases are not wanted
	line      *lifeline   // all connections

	load *command.Load // if it is one of commands instead of calls

	admin   redis.UniversalClient // for what is no call
	queues  []string              // keys of those that the calls wait in
	timeout time.Duration         // of a call
	depth   float64               // that was seen last

	note string // if callers that wait by BLPOP could not have a connection each, else ""

	task    string         // what closing does, for people
	within  time.Duration  // how long closing may take
	closers []func() error // in the order of making
}

// assemble connects and starts everything, for so many calls at a time. On an error
// nothing is left.
func assemble(ctx context.Context, f *systemFlags, open bool, atATime int, log *liveLine) (_ *system, err error) {
	sys := &system{task: "closing connections", within: closeWithin, inProcess: f.redis == nil, atATime: atATime}
	var around struct{ server, client []rpc.Interceptor }
	if f.traces(open, atATime) {
		sys.trace = newTrace()
		around.server = []rpc.Interceptor{sys.trace.server}
		around.client = []rpc.Interceptor{sys.trace.client}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.close(log))
		}
	}()
	opt := f.redis
	if opt == nil {
		if opt, err = sys.startBroker(f, atATime); err != nil {
			return nil, err
		}
	} else {
		sys.name = where(opt)
		sys.transport = transportOf(opt)
	}
	sys.line = newLifeline(opt.Dialer)
	opt.Dialer = sys.line.Dial
	if sys.admin, sys.version, err = reach(ctx, opt, reachWithin); err != nil {
		return nil, err
	}
	admin := sys.admin
	sys.closers = append(sys.closers, admin.Close)
	if f.commands.given() {
		return sys, sys.startCommands(ctx, f, opt, open, log)
	}
	each, note, err := f.connectionBudget(ctx, admin).share(atATime, f.clients)
	if err != nil {
		return nil, err
	}
	if sys.note = note; note != "" && f.plain {
		fmt.Fprintf(log, "note: %s\n", sys.note)
	}
	if f.mine {
		sys.task = "deleting this run's keys"
		sys.closers = append(sys.closers, func() error { return deleteKeys(admin, f.prefix) })
	}

	// Clients and servers take its options and connect by themselves.
	rdb := newClient(opt, isCluster(admin))
	sys.closers = append(sys.closers, rdb.Close)
	if !f.noServer {
		if err := sys.startServer(rdb, rpc.ServerOptions{
			Prefix: f.prefix, Kind: "bench", Workers: f.workers,
			Intercept: around.server,
			Logger:    newBriefLog(log),
		}); err != nil {
			return nil, err
		}
	}
	for range f.clients {
		client, err := rpc.NewClient(rdb, rpc.ClientOptions{
			Prefix: f.prefix, Timeout: f.timeout,
			NoExtensions: f.plain, MaxConns: each,
			Intercept: around.client,
			Logger:    slog.New(slog.DiscardHandler), // the report says it
		})
		if err != nil {
			return nil, err
		}
		sys.clients = append(sys.clients, client)
		sys.closers = append(sys.closers, client.Close)
	}
	return sys, nil
}

// open is how many connections the clients have.
func (sys *system) open() int {
	n := 0
	for _, c := range sys.clients {
		n += c.Conns()
	}
	return n
}

const (
	closeQuietly = 300 * time.Millisecond // after it people are told what takes so long
	closeWithin  = 3 * time.Second        // after it the connections are cut
	closeAtLast  = 2 * time.Second        // after that whatever is left is left
)

// close takes everything down, the last made first. A Redis that does not answer
// holds it up for closeWithin, and what was to be done there is not done.
func (sys *system) close(log io.Writer) error {
	ended := make(chan error, 1)
	go func() {
		var errs []error
		for _, end := range slices.Backward(sys.closers) {
			errs = append(errs, end())
		}
		ended <- errors.Join(errs...)
	}()
	if sys.line != nil {
		defer sys.line.cut()
	}
	quiet, within := time.After(closeQuietly), time.After(sys.within)
	var atLast <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-quiet:
			fmt.Fprintf(log, "%s, for up to %v\n", sys.task, sys.within)
		case <-within:
			if sys.line != nil {
				sys.line.cut()
			}
			atLast = time.After(closeAtLast)
		case <-atLast:
			return fmt.Errorf("%s was given up after %v", sys.task, sys.within+closeAtLast)
		}
	}
}

func (sys *system) startBroker(f *systemFlags, atATime int) (*endpoint, error) {
	// Callers, workers, and what else connects.
	b, err := broker.New(broker.Options{MaxClients: max(atATime, f.commands.connections) + f.clients + f.workers + 100})
	if err != nil {
		return nil, err
	}
	sys.closers = append(sys.closers, b.Close)
	sys.name, sys.transport = "in-process", f.transport
	opt := &endpoint{Options: *withoutSurprises(&redis.Options{Addr: "127.0.0.1:0"})}
	if f.transport == "memory" {
		opt.Dialer = b.Dial
		return opt, nil
	}
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	opt.Addr = addr.String()
	opt.Dialer = dialerFor(opt)
	return opt, nil
}

// startServer serves the builtin functions until the system is closed.
func (sys *system) startServer(rdb redis.UniversalClient, opt rpc.ServerOptions) error {
	server, ended, err := runServer(rdb, opt, offer)
	if err != nil {
		return err
	}
	sys.server = server
	sys.closers = append(sys.closers, func() error {
		return stopServer(server, ended, time.Second)
	})
	return nil
}

// runServer makes a server run with the functions that offer gives it. What its Run
// returns comes over ended.
func runServer(rdb redis.UniversalClient, opt rpc.ServerOptions, offer func(*rpc.Server) error) (server *rpc.Server, ended <-chan error, err error) {
	if server, err = rpc.NewServer(rdb, opt); err != nil {
		return nil, nil, err
	}
	if err := offer(server); err != nil {
		return nil, nil, err
	}
	result := make(chan error, 1)
	go func() { result <- server.Run(context.Background()) }()
	return server, result, nil
}

// stopServer stops a server whose Run reports to ended. Calls that run for longer
// than grace have their contexts cancelled.
func stopServer(server *rpc.Server, ended <-chan error, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Stop(ctx)
	if runErr := <-ended; runErr != nil {
		return errors.Join(err, runErr)
	}
	return err
}

func transportOf(opt *endpoint) string {
	switch {
	case opt.Network == "unix":
		return "unix"
	case opt.TLSConfig != nil:
		return "tls"
	}
	return "tcp"
}

// caller returns the call to measure: that of the flags, or of replay by its number.
func (sys *system) caller(f *systemFlags, replay []recordedCall) func(context.Context, *bench.Attempt) error {
	if sys.load != nil {
		return sys.load.Do
	}
	var expected json.RawMessage // unknown if somebody else serves
	if f.fn == "echo" && !f.noServer && f.payload >= 0 && replay == nil {
		expected = payload(f.payload)
	}
	one := func(ctx context.Context, client *rpc.Client, a *bench.Attempt) error {
		fn, args := f.fn, f.args
		if replay != nil {
			fn, args = replay[a.Number].Func, replay[a.Number].Args
		}
		if sys.trace != nil {
			ctx = &traced{ctx, a}
		}
		var got json.RawMessage
		if err := client.Call(ctx, fn, args, &got); err != nil {
			return err
		}
		if expected != nil && !bytes.Equal(got, expected) {
			return fmt.Errorf("%w: expected %d bytes back, got %d", errWrongAnswer, len(expected), len(got))
		}
		return nil
	}
	if len(sys.clients) == 1 {
		return func(ctx context.Context, a *bench.Attempt) error { return one(ctx, sys.clients[0], a) }
	}
	// A seat of a client for each call at a time, so that none has more in flight than
	// its part.
	seats := make(chan *rpc.Client, sys.atATime)
	for i := range sys.atATime {
		seats <- sys.clients[i%len(sys.clients)]
	}
	return func(ctx context.Context, a *bench.Attempt) error {
		client := <-seats
		defer func() { seats <- client }()
		return one(ctx, client, a)
	}
}

var errWrongAnswer = errors.New("not the echo of what was sent")

// The kinds of calls that were given up when their time was over: had they not been,
// they would have taken longer. Some of them had not even been sent.
const (
	kindTimeout       = "timeout"
	kindTimeoutUnsent = "timeout_not_sent"
)

// kindOf sorts the errors of calls for the report.
func kindOf(err error) string {
	_, remote := errors.AsType[*rpc.RemoteError](err)
	givenUp := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case remote:
		return "remote_error"
	case errors.Is(err, errWrongAnswer):
		return "wrong_answer"
	case errors.Is(err, rpc.ErrNotSent) && givenUp:
		return kindTimeoutUnsent
	case errors.Is(err, rpc.ErrNotSent):
		return "not_sent"
	case errors.Is(err, rpc.ErrBadResult):
		return "bad_result"
	case givenUp:
		return kindTimeout
	case errors.Is(err, rpc.ErrNoResult):
		return "no_result"
	}
	return "other"
}
