package command_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/bench/command"
	"redrpc/broker"
)

// Reads and writes at a given rate, of keys of which some are hot.
func Example() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	ctx := context.Background()
	load, err := command.Open(ctx, rdb, command.Options{
		Commands: []command.Command{
			{Text: "GET user:__key__", Weight: 9},
			{Text: "SET user:__key__ __data__", Weight: 1},
		},
		Prepare:     []string{"SET user:__key__ __data__"},
		Prefix:      "example",
		Keys:        1000,
		Pattern:     command.Zipf(0.99),
		Data:        command.Size{Min: 10, Max: 200},
		Connections: 10,
	})
	check(err)
	defer load.Close()
	_, err = load.Prepare(ctx)
	check(err)
	res, err := bench.Run(ctx, bench.Config{
		Do:           load.Do,
		Classify:     command.Kind,
		TimeoutKinds: []string{command.KindTimeout},
		Model:        bench.OpenLoop{Profile: bench.Constant(2000), Arrivals: bench.Poisson},
		Calls:        400,
		InProcess:    true,
	})
	check(err)
	check(load.Delete(ctx))
	fmt.Println(res.Calls, "calls,", res.Errors, "errors,", rdb.DBSize(ctx).Val(), "keys left")
	// Output: 400 calls, 0 errors, 0 keys left
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
