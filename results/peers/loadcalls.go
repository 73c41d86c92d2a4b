package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

// What a client and a server of package rpc hold of many calls at a time. Each is a process of
// its own, and all calls run at the same time: none ends before the server is told to release them.

const callsInFlight = 10_000

// held is what a process holds, as samples before, while all calls are in flight, and afterwards.
type held struct {
	Through string `json:"through"`
	Process string `json:"process"`
	Calls   int    `json:"calls"`
	Before  sample `json:"before"`
	During  sample `json:"during"`
	After   sample `json:"after"`
}

// BytesEach is what one call in flight takes.
func (h held) BytesEach() float64 { return float64(h.During.InUse-h.Before.InUse) / float64(h.Calls) }

// holdCalls measures calls through a server.
func holdCalls(name, command, dir string) ([]held, error) {
	through, err := startServerOn("", name, command, dir)
	if err != nil {
		return nil, err
	}
	defer through.stop()
	server, err := startChild("-load-server", "-addr", through.addr)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	client, err := startChild("-load-client", "-addr", through.addr)
	if err != nil {
		return nil, err
	}
	defer client.stop()
	processes := []*child{client, server}
	all := []held{{Through: name, Process: "client", Calls: callsInFlight}, {Through: name, Process: "server", Calls: callsInFlight}}
	for i, p := range processes {
		if all[i].Before, err = p.sample(); err != nil {
			return nil, err
		}
	}
	if err := client.question(askToCall, new(any)); err != nil {
		return nil, err
	}
	for deadline, n := time.Now().Add(patience), 0; n < callsInFlight; time.Sleep(10 * time.Millisecond) {
		if err := server.question(askHowMany, &n); err != nil {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("only %d of %d calls run at a time", n, callsInFlight)
		}
	}
	for i, p := range processes {
		if all[i].During, err = p.sample(); err != nil {
			return nil, err
		}
	}
	if err := server.question(askToRelease, new(any)); err != nil {
		return nil, err
	}
	var answered int
	if err := client.question(askToWait, &answered); err != nil {
		return nil, err
	}
	if answered != callsInFlight {
		return nil, fmt.Errorf("%d of %d calls were answered", answered, callsInFlight)
	}
	for i, p := range processes {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) { // workers end when they have been idle
			if all[i].After, err = p.sample(); err != nil {
				return nil, err
			}
			if all[i].After.Goroutines <= all[i].Before.Goroutines || time.Now().After(deadline) {
				break
			}
		}
	}
	return all, nil
}

// holdingServer is the process of the server.
func holdingServer(addr string) error {
	var running atomic.Int64
	release := make(chan struct{})
	stop, err := serve(endpoint{addr: addr}, rpc.ServerOptions{Workers: callsInFlight + 1, Logger: logger}, func(s *rpc.Server) error {
		return rpc.Handle(s, echo, func(_ context.Context, in echoArgs) (string, error) {
			if in.X == "first" {
				return in.X, nil
			}
			running.Add(1)
			<-release
			return in.X, nil
		})
	})
	if err != nil {
		return err
	}
	defer stop() // the process ends
	return answer(func(q question) (any, error) {
		switch q {
		case askHowMany:
			return running.Load(), nil
		case askToRelease:
			close(release)
			return nil, nil
		}
		return ofThisProcess()
	})
}

// holdingClient is the process of the client. It has made a call when it is asked for a sample.
func holdingClient(addr string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: 5 * time.Minute, Logger: logger})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	if err := client.Call(ctx, echo, echoArgs{"first"}, nil); err != nil {
		return err
	}
	var calls sync.WaitGroup
	var answered atomic.Int64
	return answer(func(q question) (any, error) {
		switch q {
		case askToCall:
			for range callsInFlight {
				calls.Go(func() {
					if got, err := rpc.Call[string](ctx, client, echo, echoArgs{text}); err == nil && got == text {
						answered.Add(1)
					}
				})
			}
			return nil, nil
		case askToWait:
			calls.Wait()
			return answered.Load(), nil
		}
		return ofThisProcess()
	})
}
