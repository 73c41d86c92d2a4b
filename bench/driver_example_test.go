package bench_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/broker"
	"redrpc/rpc"
)

// Remote calls, with the time that each waited in its queue and ran, as the server
// says.
func Example_rpc() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "add", func(ctx context.Context, in struct{ A, B int }) (int, error) {
		return in.A + in.B, nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{})
	check(err)
	defer client.Close()

	res, err := bench.Run(context.Background(), bench.Config{
		Call: func(ctx context.Context) error {
			_, err := rpc.Call[int](ctx, client, "add", rpc.Args{"a": 1, "b": 2})
			return err
		},
		Callers:   10,
		Calls:     500,
		InProcess: true,
	})
	check(err)
	fmt.Println(res.Calls, "calls,", res.Errors, "errors")
	// Output: 500 calls, 0 errors
}

// Commands of go-redis at a given rate, and the length of a list over time.
func Example_redis() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	ctx := context.Background()
	res, err := bench.Run(ctx, bench.Config{
		Call:      func(ctx context.Context) error { return rdb.RPush(ctx, "list", "x").Err() },
		Model:     bench.OpenLoop{Profile: bench.Constant(2000)},
		Calls:     400,
		Gauges:    []bench.Gauge{{Name: "length", Read: func() float64 { return float64(rdb.LLen(ctx, "list").Val()) }}},
		InProcess: true,
	})
	check(err)
	fmt.Println(res.Calls, "calls; at the end the list has", res.Intervals[0].Gauges["length"])
	// Output: 400 calls; at the end the list has 400
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
