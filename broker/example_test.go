package broker_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
)

// Do runs a command without a connection, and As gives its result a type.
func ExampleBroker_Do() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()

	_, err = b.Do("RPUSH", "jobs", "one", "two")
	check(err)
	n, err := broker.As[int](b.Do("LLEN", "jobs"))
	fmt.Println(n, err)

	jobs, err := broker.As[[]string](b.Do("LRANGE", "jobs", 0, -1))
	fmt.Println(jobs, err)

	_, err = b.Do("INCR", "jobs")
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// [one two] <nil>
	// WRONGTYPE Operation against a key holding the wrong kind of value
}

// A snapshot is the commands that bring about what the broker holds. A test can keep it
// as a golden file, write one by hand, or pipe it into redis-cli.
func ExampleBroker_Snapshot() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	check(b.Seed(`
		# what the last run left
		RPUSH jobs '{"id": 1}' '{"id": 2}'
		SET lock worker-1 PX 1500
	`))

	b.Advance(time.Second)
	saved := b.Snapshot()
	fmt.Print(saved)

	b.Advance(time.Second)
	_, err = b.Do("LPOP", "jobs")
	check(err)
	fmt.Println("---")
	fmt.Print(b.Snapshot())

	check(b.Seed("FLUSHALL\n" + saved)) // back to what it was
	fmt.Println("---", b.Snapshot() == saved)
	// Output:
	// RPUSH jobs '{"id": 1}' '{"id": 2}'
	// SET lock worker-1 PX 500
	// ---
	// RPUSH jobs '{"id": 2}'
	// --- true
}

// With KeyspaceEvents a client hears of what happens to keys: here, that one expires.
func ExampleOptions_keyspaceEvents() {
	b, err := broker.New(broker.Options{KeyspaceEvents: "Ex", ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	ctx := context.Background()
	events := rdb.Subscribe(ctx, "__keyevent@0__:expired")
	defer events.Close()
	_, err = events.Receive(ctx) // that it is subscribed
	check(err)

	_, err = b.Do("SET", "session:7", "somebody", "EX", 60)
	check(err)
	b.Advance(time.Minute)

	event, err := events.ReceiveMessage(ctx)
	check(err)
	fmt.Println(event.Channel, event.Payload)
	// Output: __keyevent@0__:expired session:7
}

// A test waits until a worker waits, lets time pass, and sees what has become of it,
// without a sleep.
func ExampleBroker_WaitBlocked() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	ctx := context.Background()
	worker := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial, ReadTimeout: -1})
	defer worker.Close()
	gaveUp := make(chan error)
	go func() { gaveUp <- worker.BLPop(ctx, time.Minute, "jobs").Err() }()

	check(b.WaitBlocked(ctx, 1, "jobs"))
	b.Advance(time.Minute)
	fmt.Println(<-gaveUp)
	// Output: redis: nil
}

// Strict mode tells of what a client gets away with in Redis.
func ExampleBroker_Violations() {
	b, err := broker.New(broker.Options{Strict: true, ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	conn, err := b.Dial(context.Background(), "", "")
	check(err)
	for _, command := range []string{"SET k v", "NONSENSE k", "WATCH k"} {
		_, err := fmt.Fprintf(conn, "%s\r\n", command)
		check(err)
	}
	check(conn.Close())
	for _, v := range b.Violations() {
		fmt.Println(v.Record)
		fmt.Println(v.Left)
	}
	// Output:
	// 2 22:13:20.000000 client 1 db 0: NONSENSE k -> refused: ERR unknown command 'NONSENSE'
	//
	// 3 22:13:20.000000 client 1 db 0: WATCH k -> value
	// before EXEC or UNWATCH (watched: 1)
}

// A client's SHUTDOWN closes the broker, which whoever runs it on its own waits for.
func ExampleBroker_Done() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()

	_, err = b.Do("SHUTDOWN", "NOSAVE")
	check(err)
	<-b.Done()
	_, err = b.Do("PING")
	fmt.Println(err)
	// Output:
	// broker: closed
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
