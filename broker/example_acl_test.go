package broker_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
)

// A worker that may use its own keys and list commands only, as in production. What it
// was denied is in the log.
func Example_accessControl() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	_, err = b.Do("ACL", "SETUSER", "worker", "on", ">open sesame", "~jobs:*", "+@list", "+@connection")
	check(err)

	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial, Username: "worker", Password: "open sesame"})
	defer rdb.Close()
	fmt.Println(rdb.RPush(ctx, "jobs:mail", "one").Result())
	fmt.Println(rdb.RPush(ctx, "secrets", "two").Result())
	fmt.Println(rdb.FlushAll(ctx).Result())

	log, err := b.Do("ACL", "LOG")
	check(err)
	for _, entry := range log.([]any) {
		denied := entry.(map[string]any)
		fmt.Println(denied["username"], denied["reason"], denied["object"])
	}
	// Output:
	// 1 <nil>
	// 0 NOPERM this user has no permissions to access one of the keys used as arguments
	//  NOPERM this user has no permissions to run the 'flushall' command
	// worker command flushall
	// worker key secrets
}
