package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

// A struct says what a function takes. What does not fit is the caller's error and
// names the argument; numbers keep their digits.
func ExampleHandle_arguments() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	type order struct {
		Item  string `json:"item"`
		Count uint64 `json:"count"`
		Note  string `json:"note,omitempty"` // may be left out
	}
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "order", func(ctx context.Context, in order) (string, error) {
		return fmt.Sprintf("%d of %s", in.Count, in.Item), nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()

	for _, args := range []rpc.Args{
		{"item": "nails", "count": uint64(18446744073709551615)},
		{"item": "nails"},
		{"item": "nails", "count": "many"},
		{"item": "nails", "count": 1, "colour": "red"},
	} {
		answer, err := rpc.Call[string](context.Background(), client, "order", args)
		fmt.Println(answer, err)
	}
	// Output:
	// 18446744073709551615 of nails <nil>
	//  rpc: order: missing argument "count", expected item, count, note
	//  rpc: order: argument "count": expected uint64, got string
	//  rpc: order: unknown argument "colour", expected item, count, note
}

// A failure of a function has a text for people, and may have a type for programs. A
// panic is one, too, with its traceback, and leaves the server as it was.
func ExampleRemoteError() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	check(err)
	stock := map[string]int{"nails": 7}
	check(rpc.Handle(server, "take", func(ctx context.Context, in struct{ Item string }) (int, error) {
		n, ok := stock[in.Item]
		if !ok {
			return 0, rpc.WithType("no_such_item", errors.New("we do not have "+in.Item))
		}
		return 100 / (n - 7), nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()

	for _, item := range []string{"glue", "nails"} {
		err := client.Call(context.Background(), "take", rpc.Args{"item": item}, nil)
		if e, ok := errors.AsType[*rpc.RemoteError](err); ok {
			fmt.Printf("%s, of type %s; traceback: %v\n", e.Message, e.Type, strings.Contains(e.Traceback, "example_failures_test.go"))
		}
	}
	// Output:
	// we do not have glue, of type no_such_item; traceback: false
	// panic: runtime error: integer divide by zero, of type panic; traceback: true
}

// A result that cannot be encoded, or is longer than the server's limit, is answered
// with an error of the server.
func ExampleServerOptions_results() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{MaxResultBytes: 1000})
	check(err)
	check(rpc.Handle(server, "ratio", func(ctx context.Context, in struct{ A, B float64 }) (float64, error) { return in.A / in.B, nil }))
	check(rpc.Handle(server, "line", func(ctx context.Context, in struct{ Length int }) (string, error) {
		return strings.Repeat("-", in.Length), nil
	}))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()

	ratio, err := rpc.Call[float64](context.Background(), client, "ratio", rpc.Args{"a": 1, "b": 8})
	fmt.Println(ratio, err)
	for _, call := range []struct {
		fn   string
		args rpc.Args
	}{
		{"ratio", rpc.Args{"a": 1, "b": 0}},
		{"line", rpc.Args{"length": 10_000}},
	} {
		err := client.Call(context.Background(), call.fn, call.args, nil)
		if e, ok := errors.AsType[*rpc.RemoteError](err); ok {
			fmt.Printf("%s: %s\n", e.Type, e.Message)
		}
	}
	// Output:
	// 0.125 <nil>
	// bad_result: the result cannot be encoded: json: unsupported value: +Inf
	// too_large: the result has 10002 bytes, this server sends no more than 1000
}

// A call that matches ErrNotSent has not run, and never will: to try again is safe.
func ExampleErrNotSent() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	check(err)
	check(rpc.Handle(server, "add", func(ctx context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }))
	go server.Run(context.Background())
	defer server.Stop(context.Background())
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	check(err)
	defer client.Close()

	// Redis has no memory left for the first call.
	_, err = b.Inject(broker.Fault{Command: "rpush", Times: 1, Error: "OOM command not allowed when used memory > 'maxmemory'."})
	check(err)
	for {
		sum, err := rpc.Call[int](context.Background(), client, "add", rpc.Args{"a": 1, "b": 2})
		fmt.Println(sum, err)
		if !errors.Is(err, rpc.ErrNotSent) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	// Output:
	// 0 rpc: add: not sent: OOM command not allowed when used memory > 'maxmemory'.
	// 3 <nil>
}

// What a server cannot answer it drops, counts and logs.
func ExampleServerOptions_logger() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	b.Seed(`RPUSH redis_rpc:add:calls "no JSON" '{"id": "1", "kw": {"a": 1, "b": 2}}'`)
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{ID: "one", Logger: log, MaxCalls: 2})
	check(err)
	check(rpc.Handle(server, "add", func(ctx context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }))
	check(server.Run(context.Background()))
	fmt.Print(text.String())
	fmt.Println("malformed:", server.Stats().Malformed, "calls:", server.Stats().Calls)
	// Output:
	// level=WARN msg="rpc: malformed calls dropped" server=one count=1 last_func=add last_reason="expected JSON: invalid character 'o' in literal null (expecting 'u')" last_message="no JSON"
	// malformed: 1 calls: 1
}
