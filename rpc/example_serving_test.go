package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// A server that is stopped finishes what it has taken. What still waits is for the
// next one, so a rolling restart loses no call.
func ExampleServer_Stop() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	taken := make(chan bool, 10)
	start := func() *rpc.Server {
		server, err := rpc.NewServer(rdb, rpc.ServerOptions{Workers: 1})
		check(err)
		check(rpc.Handle(server, "double", func(ctx context.Context, in struct{ X int }) (int, error) {
			taken <- true
			time.Sleep(20 * time.Millisecond)
			return 2 * in.X, nil
		}))
		go server.Run(context.Background())
		return server
	}
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	defer client.Close()

	old := start()
	var sum atomic.Int64
	var calls sync.WaitGroup
	for x := range 4 {
		calls.Go(func() {
			double, err := rpc.Call[int64](context.Background(), client, "double", rpc.Args{"x": x})
			check(err)
			sum.Add(double)
		})
	}
	<-taken
	check(old.Stop(context.Background())) // as on SIGTERM
	next := start()
	defer next.Stop(context.Background())
	calls.Wait()
	fmt.Println(sum.Load(), "with the help of the old one:", old.Stats().Calls > 0)
	// Output: 12 with the help of the old one: true
}

// The context of Stop is how long it may take: when it ends, so do those of the
// handlers.
func ExampleServer_Stop_patience() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	taken := make(chan bool)
	check(rpc.Handle(server, "forever", func(ctx context.Context, _ struct{}) (any, error) {
		close(taken)
		<-ctx.Done()
		return nil, errors.New("the server is stopped")
	}))
	ran := make(chan error)
	go func() { ran <- server.Run(context.Background()) }()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	ended := make(chan error)
	go func() { ended <- client.Call(context.Background(), "forever", nil, nil) }()
	<-taken

	patience, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(errors.Is(server.Stop(patience), context.DeadlineExceeded))
	fmt.Println(<-ended)
	fmt.Println(<-ran)
	// Output:
	// true
	// rpc: forever: the server is stopped
	// <nil>
}

// Servers are found by their heartbeats, those of the Python port, too.
func ExampleServers() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	for _, id := range []string{"one", "two"} {
		server, err := rpc.NewServer(rdb, rpc.ServerOptions{Kind: "worker", ID: id})
		check(err)
		check(rpc.Handle(server, "nothing", func(ctx context.Context, _ struct{}) (any, error) { return nil, nil }))
		go server.Run(context.Background())
		defer server.Stop(context.Background())
	}
	var ids []string
	for len(ids) < 2 { // they have just been started
		ids, err = rpc.Servers(context.Background(), rdb, "", "worker")
		check(err)
	}
	fmt.Println(ids)
	// Output: [one two]
}

// A function may have a limit of its own, within the workers of its server.
func ExampleConcurrency() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Workers: 16})
	check(err)
	var now, most atomic.Int64
	check(rpc.Handle(server, "heavy", func(ctx context.Context, _ struct{}) (any, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return nil, nil
	}, rpc.Concurrency(2)))
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	defer client.Close()
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() { check(client.Call(context.Background(), "heavy", nil, nil)) })
	}
	calls.Wait()
	fmt.Println("no more than", most.Load(), "at a time")
	// Output: no more than 2 at a time
}

// Calls whose callers have given up are dropped, not run.
func ExampleStats() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Workers: 1, Tolerance: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	taken, goOn := make(chan bool), make(chan bool)
	check(rpc.Handle(server, "slow", func(ctx context.Context, _ struct{}) (any, error) {
		taken <- true
		<-goOn
		return nil, nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	ended := make(chan error)
	go func() { ended <- client.Call(context.Background(), "slow", nil, nil) }()
	<-taken // so the only worker is busy
	err = client.Call(context.Background(), "slow", nil, nil, rpc.Timeout(2*time.Second))
	fmt.Println(errors.Is(err, rpc.ErrNoResult))
	time.Sleep(100 * time.Millisecond) // much more than the Tolerance
	goOn <- true
	fmt.Println(<-ended)
	for server.Stats().Expired == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("run:", server.Stats().Calls, "dropped:", server.Stats().Expired)
	// Output:
	// true
	// <nil>
	// run: 1 dropped: 1
}

// What is added to the protocol of the Python and Go ports can be left out.
func ExampleClientOptions_noExtensions() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	for _, plain := range []bool{true, false} {
		client, err := rpc.NewClient(rdb, rpc.ClientOptions{NoExtensions: plain, Name: "shop"})
		check(err)
		for range 2 {
			_ = client.Call(context.Background(), "nobody", nil, nil, rpc.Timeout(500*time.Millisecond))
		}
		check(client.Close())
		message, err := rdb.RPop(context.Background(), "redis_rpc:nobody:calls").Bytes()
		check(err)
		var fields map[string]any
		check(json.Unmarshal(message, &fields))
		fmt.Println(slices.Sorted(maps.Keys(fields)))
	}
	// Output:
	// [id kw ts]
	// [client deadline_ms id kw reply_to timeout_ms ts]
}

// A client of Sentinel, or of a Cluster, is all that is needed for either.
func ExampleNewClient() {
	family := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:    "mymaster",
		SentinelAddrs: []string{"10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"},
	})
	defer family.Close() // after the client: connections follow the master as long as it is open
	client, err := rpc.NewClient(family, rpc.ClientOptions{})
	check(err)
	defer client.Close() // so far nothing has been sent

	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"10.0.0.4:6379", "10.0.0.5:6379"}})
	defer cluster.Close()
	spread, err := rpc.NewClient(cluster, rpc.ClientOptions{Prefix: "shop"}) // functions lie on all masters
	check(err)
	defer spread.Close()
	together, err := rpc.NewClient(cluster, rpc.ClientOptions{Prefix: "{shop}"}) // all on one
	check(err)
	defer together.Close()
	fmt.Println(client.Conns(), spread.Conns(), together.Conns())
	// Output: 0 0 0
}
