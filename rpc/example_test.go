package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// A server that adds, a client that lets it, and a Redis in the process for
// both. With a real one, rdb is redis.NewClient(&redis.Options{Addr: "..."}).
func Example() {
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

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	sum, err := rpc.Call[int](context.Background(), client, "add", rpc.Args{"a": 1, "b": 2})
	fmt.Println(sum, err)
	// Output: 3 <nil>
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// In a Cluster nothing differs but the client that the others are made from. The
// functions are spread over the masters by their names; those with a hash tag in
// common, as in {billing}add, share a slot, and so connections.
func ExampleNewServer_cluster() {
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"}})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	for _, fn := range []string{"{billing}add", "{billing}refund", "greet"} {
		check(rpc.Handle(server, fn, func(ctx context.Context, in rpc.Args) (string, error) { return fn, nil }))
	}
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	check(client.Call(context.Background(), "{billing}add", rpc.Args{"cents": 500}, nil))

	inspector, err := rpc.NewInspector(rdb, "")
	check(err)
	look, err := inspector.Overview(context.Background(), nil) // at all masters
	check(err)
	for _, f := range look.Functions {
		fmt.Println(f.Func, f.Depth, f.Servers)
	}
}

// How a call ended decides what to do next.
func ExampleClient_Call() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{})
	check(err)
	defer client.Close()

	err = client.Call(context.Background(), "nobody", nil, nil, rpc.Timeout(2*time.Second))

	var remote *rpc.RemoteError
	switch {
	case errors.As(err, &remote):
		fmt.Println("the function failed:", remote.Message)
	case errors.Is(err, rpc.ErrNotSent):
		fmt.Println("try again: it did not run")
	case errors.Is(err, rpc.ErrBadResult):
		fmt.Println("it ran, and answered what we cannot read")
	case errors.Is(err, rpc.ErrNoResult):
		fmt.Println("it may have run:", err)
	}
	// Output: it may have run: rpc: nobody: no result: timeout of 2s reached
}

// A handler of any arguments takes them as they came.
func ExampleHandle_raw() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "mirror", func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
		return args, nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	var out any
	err = client.Call(context.Background(), "mirror", rpc.Args{"n": int64(1) << 60, "list": []int{1, 2}}, &out)
	fmt.Println(out, err)
	// Output: map[list:[1 2] n:1152921504606846976] <nil>
}

// A call that is only sent runs when a server gets to it.
func ExampleClient_Send() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	_, err = client.Send(context.Background(), "greet", rpc.Args{"name": "Ada"})
	check(err)

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	greeted := make(chan string)
	check(rpc.Handle(server, "greet", func(ctx context.Context, in struct{ Name string }) (any, error) {
		greeted <- in.Name
		return nil, nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	fmt.Println("hello", <-greeted)
	// Output: hello Ada
}

// Any number of calls share a few connections.
func ExampleClient_Conns() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "square", func(ctx context.Context, in struct{ X int }) (int, error) { return in.X * in.X, nil }))
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	defer client.Close()
	var calls sync.WaitGroup
	var sum atomic.Int64
	for x := range 1000 {
		calls.Go(func() {
			square, err := rpc.Call[int64](context.Background(), client, "square", rpc.Args{"x": x})
			check(err)
			sum.Add(square)
		})
	}
	calls.Wait()
	fmt.Println(sum.Load(), client.Conns() <= 4)
	// Output: 332833500 true
}

// What nobody serves waits in its queue.
func ExampleInspector() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{})
	check(err)
	defer client.Close()
	for range 3 {
		_, err := client.Send(context.Background(), "nobody", nil)
		check(err)
	}

	inspector, err := rpc.NewInspector(rdb, "")
	check(err)
	servers, err := inspector.Servers(context.Background())
	check(err)
	fmt.Println("servers:", len(servers))
	queues, err := inspector.Queues(context.Background())
	check(err)
	for _, q := range queues {
		fmt.Printf("%s: %d wait, for up to %v\n", q.Func, q.Depth, q.Oldest.Round(time.Minute))
	}
	// Output:
	// servers: 0
	// nobody: 3 wait, for up to 0s
}

// Servers report what they do with each heartbeat: from two looks one knows how many
// calls of each function they take in a second.
func ExampleInspector_Overview() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{ID: "one", Workers: 8, Heartbeat: 50 * time.Millisecond})
	check(err)
	check(rpc.Handle(server, "fail", func(context.Context, struct{}) (int, error) { return 0, errors.New("no") }))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	inspector, err := rpc.NewInspector(rdb, "")
	check(err)

	_ = client.Call(context.Background(), "fail", nil, nil)
	var last *rpc.Overview
	for last == nil || len(last.Functions) == 0 || last.Functions[0].Rate.Errors == 0 {
		last, err = inspector.Overview(context.Background(), last)
		check(err)
		_ = client.Call(context.Background(), "fail", nil, nil)
		time.Sleep(10 * time.Millisecond)
	}
	f := last.Functions[0]
	fmt.Println(f.Func, "is offered by", f.Servers, "and", f.Depth, "of its calls wait")
	fmt.Println("a rate is known:", f.Rated, "and it fails:", f.Rate.Errors > 0)
	for _, s := range last.Servers {
		busy, workers, _ := s.Busy()
		fmt.Println("server", s.ID, "has", workers, "workers, of which are busy no more than that:", busy <= workers)
	}
	// Output:
	// fail is offered by 1 and 0 of its calls wait
	// a rate is known: true and it fails: true
	// server one has 8 workers, of which are busy no more than that: true
}

// An interceptor counts and measures calls, and carries a trace from the client
// to the server in a field of the message.
func ExampleInterceptor() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			err := next(ctx)
			fmt.Println("served", call.Func, "within", call.Field("traceparent"), "error:", err)
			return err
		},
	}})
	check(err)
	check(rpc.Handle(server, "half", func(ctx context.Context, in struct{ N int }) (int, error) {
		if in.N%2 != 0 {
			return 0, rpc.WithType("odd", fmt.Errorf("%d is odd", in.N))
		}
		return in.N / 2, nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			call.SetField("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			return next(ctx)
		},
	}})
	check(err)
	defer client.Close()
	_, err = rpc.Call[int](context.Background(), client, "half", rpc.Args{"n": 3})
	if e, ok := errors.AsType[*rpc.RemoteError](err); ok {
		fmt.Println("type:", e.Type)
	}
	// Output:
	// served half within 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 error: 3 is odd
	// type: odd
}

// A server counts what it does. Its functions can have weights and limits.
func ExampleServer_Stats() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	// It takes three calls, then Run returns.
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{MaxCalls: 3, MaxResultBytes: 1 << 20})
	check(err)
	repeat := func(ctx context.Context, in struct{ N int }) (string, error) {
		return strings.Repeat("x", in.N), nil
	}
	check(rpc.Handle(server, "urgent", repeat, rpc.Weight(3)))     // first in three of four turns
	check(rpc.Handle(server, "heavy", repeat, rpc.Concurrency(2))) // no more than two at a time
	ran := make(chan error)
	go func() { ran <- server.Run(context.Background()) }()

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()
	check(client.Call(context.Background(), "urgent", rpc.Args{"n": 1}, nil))
	check(client.Call(context.Background(), "heavy", rpc.Args{"n": 2}, nil))
	err = client.Call(context.Background(), "heavy", rpc.Args{"n": 2 << 20}, nil)
	if e, ok := errors.AsType[*rpc.RemoteError](err); ok {
		fmt.Println(e.Type)
	}
	check(<-ran)

	s := server.Stats()
	fmt.Println(s.Calls, "calls, of heavy", s.Functions["heavy"].Calls, "with errors", s.Functions["heavy"].Errors)
	// Output:
	// too_large
	// 3 calls, of heavy 2 with errors 1
}

// The handler's context ends when its caller gives up, on whatever machine that
// is: both go by Redis's clock.
func ExampleTimeout() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	gaveUp := make(chan error, 1)
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "wait", func(ctx context.Context, _ struct{}) (int, error) {
		<-ctx.Done()
		gaveUp <- ctx.Err()
		return 0, ctx.Err()
	}))
	go server.Run(context.Background())

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Name: "shop"})
	check(err)
	defer client.Close()
	err = client.Call(context.Background(), "wait", nil, nil, rpc.Timeout(2*time.Second))
	check(server.Stop(context.Background()))
	close(gaveUp)
	fmt.Println(errors.Is(err, rpc.ErrNoResult), <-gaveUp)
	// Output: true context deadline exceeded
}
