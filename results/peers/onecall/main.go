// Command onecall makes one call of package rpc through the Redis at an address, with
// client and server in this process. Built for coverage it tells which functions one
// call runs through, set-up and tear-down included.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: onecall ADDRESS")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

type addArgs struct{ A, B int }

func run(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	if err != nil {
		return err
	}
	if err := rpc.Handle(server, "add", func(_ context.Context, in addArgs) (int, error) { return in.A + in.B, nil }); err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	time.Sleep(300 * time.Millisecond) // until it waits for calls, as it mostly does
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{})
	if err != nil {
		return err
	}
	got, err := rpc.Call[int](ctx, client, "add", rpc.Args{"a": 1, "b": 2})
	if err == nil && got != 3 {
		err = fmt.Errorf("expected 3, got %d", got)
	}
	err = errors.Join(err, client.Close(), server.Stop(ctx))
	return errors.Join(err, <-ran)
}
