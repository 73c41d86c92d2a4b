package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// The systems that make calls, in the order of the page's columns.
const (
	oursSystem     = "redrpc" // with a way of waiting behind it, "redrpc-blpop", that is used
	memorySystem   = "redrpc in memory"
	originalSystem = "original"
	natsSystem     = "NATS"
)

var systems = []string{oursSystem, originalSystem, natsSystem}

const (
	workers     = 64 // that serve at a time
	loops       = 16 // of the original's server
	callTimeout = time.Minute
	napTime     = 100 * time.Millisecond
)

// A system is a client and a server of one function, an echo, in this process, and
// what they call through, mostly in another.
type system struct {
	call  func(context.Context) error // one call, with its answer compared
	nap   func(context.Context) error // a call that takes napTime; nil if there is none
	conns func() int                  // connections of the client
	close func() error
}

// text is what is echoed.
var text = strings.Repeat("x", valueSize)

var errWrongEcho = errors.New("not the echo of what was sent")

type echoArgs struct {
	X string `json:"x"`
}

// startSystem starts a system for so many callers, which calls through addr.
func startSystem(name, addr string, callers int) (*system, error) {
	switch name {
	case natsSystem:
		return startNATS(addr)
	case originalSystem:
		return startOriginal(addr, callers)
	case memorySystem:
		return startOursInMemory()
	}
	way, ok := strings.CutPrefix(name, oursSystem)
	if !ok {
		return nil, fmt.Errorf("no system %q", name)
	}
	return startOurs(&redis.Options{Addr: addr}, rpc.Wait(strings.TrimPrefix(way, "-")))
}

// startOursInMemory is package rpc through a broker in this process, in memory.
func startOursInMemory() (*system, error) {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return nil, err
	}
	s, err := startOurs(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial}, rpc.WaitAuto)
	if err != nil {
		return nil, err
	}
	end := s.close
	s.close = func() error { return errors.Join(end(), b.Close()) }
	return s, nil
}

// startOurs is package rpc.
func startOurs(opt *redis.Options, way rpc.Wait) (*system, error) {
	rdb := redis.NewClient(opt)
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Workers: workers})
	if err != nil {
		return nil, err
	}
	if err := rpc.Handle(server, "echo", func(_ context.Context, in echoArgs) (string, error) { return in.X, nil }); err != nil {
		return nil, err
	}
	if err := rpc.Handle(server, "nap", func(context.Context, struct{}) (any, error) { time.Sleep(napTime); return nil, nil }); err != nil {
		return nil, err
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(context.Background()) }()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{
		Wait: way, Timeout: callTimeout, MaxConns: 20_000,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	return &system{
		call: func(ctx context.Context) error {
			got, err := rpc.Call[string](ctx, client, "echo", echoArgs{text})
			if err == nil && got != text {
				err = errWrongEcho
			}
			return err
		},
		nap:   func(ctx context.Context) error { return client.Call(ctx, "nap", nil, nil) },
		conns: client.Conns,
		close: func() error {
			err := errors.Join(client.Close(), server.Stop(context.Background()))
			return errors.Join(err, <-ran, rdb.Close())
		},
	}, nil
}

// startOriginal does what the Go port of the protocol does: the client waits for
// each result by BLPOP on a connection of its own, the server has loops that pop a
// call, run it and answer it, pushes are not atomic, and messages are maps.
func startOriginal(addr string, callers int) (*system, error) {
	const prefix, life = "original", 2 * time.Minute
	clientDB := redis.NewClient(plainOptions(addr, callers))
	serverDB := redis.NewClient(plainOptions(addr, loops))
	queue := prefix + ":echo:calls"
	push := func(ctx context.Context, rdb *redis.Client, key string, message map[string]any) error {
		data, err := json.Marshal(message)
		if err != nil {
			return err
		}
		pipe := rdb.Pipeline()
		pipe.RPush(ctx, key, data)
		pipe.Expire(ctx, key, life)
		_, err = pipe.Exec(ctx)
		return err
	}
	now := func() string { return time.Now().Format(time.RFC3339) }
	ctx, cancel := context.WithCancel(context.Background())
	serve := func() error {
		got, err := serverDB.BLPop(ctx, time.Second, queue).Result()
		if err == redis.Nil {
			return nil
		}
		if err != nil {
			return err
		}
		var c struct {
			ID string         `json:"id"`
			KW map[string]any `json:"kw"`
		}
		if err := json.Unmarshal([]byte(got[1]), &c); err != nil {
			return err
		}
		return push(ctx, serverDB, prefix+":echo:result:"+c.ID, map[string]any{"ts": now(), "res": c.KW["x"]})
	}
	call := func(ctx context.Context) error {
		id := uuid.NewString()
		if err := push(ctx, clientDB, queue, map[string]any{"id": id, "ts": now(), "kw": map[string]any{"x": text}}); err != nil {
			return err
		}
		for {
			got, err := clientDB.BLPop(ctx, time.Second, prefix+":echo:result:"+id).Result()
			if err == redis.Nil {
				continue
			}
			if err != nil {
				return err
			}
			var result map[string]any
			if err := json.Unmarshal([]byte(got[1]), &result); err != nil {
				return err
			}
			if result["res"] != text {
				return errWrongEcho
			}
			return nil
		}
	}
	var running sync.WaitGroup
	for range loops {
		running.Go(func() {
			for {
				if err := serve(); err != nil {
					if ctx.Err() == nil {
						panic(err)
					}
					return
				}
			}
		})
	}
	return &system{
		call:  call,
		conns: func() int { return int(clientDB.PoolStats().TotalConns) },
		close: func() error {
			cancel()
			err := errors.Join(clientDB.Close(), serverDB.Close())
			running.Wait()
			return err
		},
	}, nil
}

// plainOptions are go-redis's defaults, but for the number of connections.
func plainOptions(addr string, conns int) *redis.Options {
	return &redis.Options{Addr: addr, PoolSize: conns + 1, PoolTimeout: callTimeout}
}

// startNATS is request and reply of NATS, with the text as it is: nothing is
// encoded or decoded.
func startNATS(addr string) (*system, error) {
	url := "nats://" + addr
	serverConn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	clientConn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	messages := make(chan *nats.Msg, workers)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for m := range messages {
				if err := m.Respond(m.Data); err != nil {
					panic(err)
				}
			}
		})
	}
	subscription, err := serverConn.Subscribe("echo", func(m *nats.Msg) { messages <- m })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(subscription.SetPendingLimits(-1, -1), serverConn.Flush()); err != nil {
		return nil, err
	}
	data := []byte(text)
	return &system{
		call: func(ctx context.Context) error {
			got, err := clientConn.RequestWithContext(ctx, "echo", data)
			if err == nil && string(got.Data) != text {
				err = errWrongEcho
			}
			return err
		},
		conns: func() int { return 1 },
		close: func() error {
			clientConn.Close()
			err := subscription.Unsubscribe()
			serverConn.Close()
			close(messages)
			running.Wait()
			return err
		},
	}, nil
}
