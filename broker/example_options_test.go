package broker_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// With a password, clients that have not given it can do nothing else.
func ExampleOptions_password() {
	b, err := broker.New(broker.Options{Password: "open sesame"})
	check(err)
	defer b.Close()

	for _, password := range []string{"", "wrong", "open sesame"} {
		rdb := redis.NewClient(brokertest.ClientOptions(b, password))
		fmt.Println(rdb.Ping(context.Background()).Err())
		check(rdb.Close())
	}
	// Output:
	// NOAUTH Authentication required.
	// WRONGPASS invalid username-password pair or user is disabled.
	// <nil>
}

// With MaxMemory a test sees what happens when Redis is full.
func ExampleOptions_maxMemory() {
	b, err := broker.New(broker.Options{MaxMemory: 2 << 20})
	check(err)
	defer b.Close()

	_, err = b.Do("SET", "large", strings.Repeat("x", 1<<20))
	fmt.Println(err)
	_, err = b.Do("SET", "more", "y")
	fmt.Println(err)
	_, err = b.Do("DEL", "large")
	fmt.Println(err)
	_, err = b.Do("SET", "more", "y")
	fmt.Println(err)
	// Output:
	// <nil>
	// OOM command not allowed when used memory > 'maxmemory'.
	// <nil>
	// <nil>
}

// Who subscribes and does not read is closed at the limit of PendingPubSub.
func ExampleOptions_pendingPubSub() {
	b, err := broker.New(broker.Options{PendingPubSub: broker.PendingLimit{Hard: 1 << 20}})
	check(err)
	defer b.Close()
	conn, err := b.Dial(context.Background(), "", "")
	check(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "SUBSCRIBE news\r\n")
	check(err)

	message := strings.Repeat("x", 400_000)
	for range 4 {
		n, err := b.Do("PUBLISH", "news", message)
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 1 <nil>
	// 0 <nil>
}

// Suites in other languages let time pass and look in by commands.
func ExampleOptions_testCommands() {
	b, err := broker.New(broker.Options{TestCommands: true, ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()

	ctx := context.Background()
	check(rdb.Do(ctx, "REDRPC.SEED", "SET lock worker-1 PX 1500").Err())
	check(rdb.Do(ctx, "REDRPC.ADVANCE", 1000).Err())
	snapshot, err := rdb.Do(ctx, "REDRPC.SNAPSHOT").Text()
	check(err)
	fmt.Print(snapshot)
	check(rdb.Do(ctx, "REDRPC.FAULT", "ADD", "command=get error='ERR broken'").Err())
	fmt.Println(rdb.Get(ctx, "lock").Result())
	// Output:
	// SET lock worker-1 PX 500
	//  ERR broken
}

// Advance moves a manual clock. What is due on the way happens, each at its own time.
func ExampleBroker_Advance() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	_, err = b.Do("SET", "lock", "mine", "PX", 1500)
	check(err)

	b.Advance(1499 * time.Millisecond)
	fmt.Println(b.Do("PTTL", "lock"))
	b.Advance(time.Millisecond)
	fmt.Println(b.Do("GET", "lock"))
	fmt.Println(b.Now().UTC().Format(time.TimeOnly))
	// Output:
	// 1 <nil>
	// <nil> <nil>
	// 22:13:21
}
