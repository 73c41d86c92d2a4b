package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// Whose client makes the calls.
const (
	oursClient     = "redrpc"
	originalClient = "original"
	natsClient     = "NATS"

	memorySystem = "redrpc in memory" // as the page of the generator names it
)

// Who answers them.
const (
	newServers      = "new servers"
	mixedFleet      = "mixed fleet"
	oldServers      = "old servers"
	originalServers = "the original's servers"
	natsServers     = "NATS"
)

const (
	workers     = 64 // that serve at a time, in a fleet
	callTimeout = time.Minute
	slowTime    = 100 * time.Millisecond
	prefix      = "redis_rpc"
	echo        = "echo"
)

// An endpoint is what client and servers call through.
type endpoint struct {
	addr string
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
}

func (e endpoint) options() *redis.Options { return &redis.Options{Addr: e.addr, Dialer: e.dial} }

// An echoClient makes calls of one function, an echo.
type echoClient struct {
	call  func(context.Context) error // one call, with its answer compared
	slow  func(context.Context) error // a call that takes slowTime; nil if there is none
	conns func() int                  // connections of the client
	close func() error
}

// clients start one for so many callers.
var clients = map[string]func(at endpoint, callers int) (*echoClient, error){
	oursClient:     startOurClient,
	originalClient: startOriginalClient,
	natsClient:     startNATSClient,
}

// A startServing starts a server and returns what stops it.
type startServing func(at endpoint) (stop func() error, err error)

// fleets have the servers of each. An old one knows nothing that the protocol did not
// have at first.
var fleets = map[string][]startServing{
	newServers: {ourServer(rpc.ServerOptions{Workers: workers})},
	mixedFleet: {
		ourServer(rpc.ServerOptions{Workers: workers / 2}),
		ourServer(rpc.ServerOptions{Workers: workers / 2, NoExtensions: true}),
	},
	oldServers:      {ourServer(rpc.ServerOptions{Workers: workers, NoExtensions: true})},
	originalServers: {startOriginalServer},
	natsServers:     {startNATSServer},
}

// A system is a client and the servers of a fleet in this process.
type system struct {
	*echoClient
	stops []func() error // of the servers, and of what they call through if it is in this process
}

// startSystem starts the system of a case, which calls through addr, or through a broker in
// memory.
func startSystem(c callCase, addr string) (*system, error) {
	s := new(system)
	at := endpoint{addr: addr}
	if c.Through == brokerServer {
		b, err := broker.New(broker.Options{})
		if err != nil {
			return nil, err
		}
		at = endpoint{"127.0.0.1:0", b.Dial}
		defer func() { s.stops = append(s.stops, b.Close) }() // behind those of the servers
	}
	fleet, start := fleets[c.Fleet], clients[c.Client]
	if fleet == nil || start == nil {
		return nil, fmt.Errorf("no client %q or no servers %q", c.Client, c.Fleet)
	}
	for _, serve := range fleet {
		stop, err := serve(at)
		if err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
	}
	var err error
	s.echoClient, err = start(at, c.Callers)
	return s, err
}

func (s *system) close() error {
	err := s.echoClient.close()
	for _, stop := range s.stops {
		err = errors.Join(err, stop())
	}
	return err
}

// text is what is echoed.
var text = strings.Repeat("x", valueSize)

var errWrongEcho = errors.New("not the echo of what was sent")

type echoArgs struct {
	X string `json:"x"`
}

// logger tells what goes wrong.
var logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

// startOurClient is the client of package rpc.
func startOurClient(at endpoint, _ int) (*echoClient, error) {
	rdb := redis.NewClient(at.options())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: callTimeout, MaxConns: 20_000, Logger: logger})
	if err != nil {
		return nil, err
	}
	return &echoClient{
		call: func(ctx context.Context) error {
			got, err := rpc.Call[string](ctx, client, echo, echoArgs{text})
			if err == nil && got != text {
				err = errWrongEcho
			}
			return err
		},
		slow:  func(ctx context.Context) error { return client.Call(ctx, "slow", nil, nil) },
		conns: client.Conns,
		close: func() error { return errors.Join(client.Close(), rdb.Close()) },
	}, nil
}

// ourServer is a server of package rpc.
func ourServer(opt rpc.ServerOptions) startServing {
	return func(at endpoint) (stop func() error, err error) {
		return serve(at, opt, func(s *rpc.Server) error {
			return errors.Join(
				rpc.Handle(s, echo, func(_ context.Context, in echoArgs) (string, error) { return in.X, nil }),
				rpc.Handle(s, "slow", func(context.Context, struct{}) (any, error) { time.Sleep(slowTime); return nil, nil }))
		})
	}
}

// serve runs a server of package rpc with the functions that handle adds.
func serve(at endpoint, opt rpc.ServerOptions, handle func(*rpc.Server) error) (stop func() error, err error) {
	rdb := redis.NewClient(at.options())
	server, err := rpc.NewServer(rdb, opt)
	if err != nil {
		return nil, err
	}
	if err := handle(server); err != nil {
		return nil, err
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(context.Background()) }()
	return func() error {
		err := server.Stop(context.Background())
		return errors.Join(err, <-ran, rdb.Close())
	}, nil
}
