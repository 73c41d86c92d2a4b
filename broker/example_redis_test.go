package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// A broker in memory, and a client of it.
func Example() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial})
	defer rdb.Close()

	ctx := context.Background()
	check(rdb.RPush(ctx, "jobs", "one", "two").Err())
	fmt.Println(rdb.BLPop(ctx, time.Second, "jobs").Result())
	fmt.Println(rdb.LRange(ctx, "jobs", 0, -1).Result())
	// Output:
	// [jobs one] <nil>
	// [two] <nil>
}

// A transaction does not run if somebody else has changed a key that it watches.
func Example_transaction() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()

	ctx := context.Background()
	increment := func(meanwhile func()) error {
		return rdb.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, "n").Int()
			if err != nil && err != redis.Nil {
				return err
			}
			meanwhile()
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				return p.Set(ctx, "n", n+1, 0).Err()
			})
			return err
		}, "n")
	}
	fmt.Println(increment(func() {}))
	fmt.Println(increment(func() {
		_, err := b.Do("SET", "n", 41)
		check(err)
	}))
	fmt.Println(b.Do("GET", "n"))
	// Output:
	// <nil>
	// redis: transaction failed
	// 41 <nil>
}

// Subscribers get messages; Do publishes, and says how many have got them.
func Example_pubSub() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()

	ctx := context.Background()
	news := rdb.PSubscribe(ctx, "news:*")
	defer news.Close()
	_, err = news.Receive(ctx) // that it is subscribed
	check(err)

	fmt.Println(b.Do("PUBLISH", "news:local", "rain"))
	message, err := news.ReceiveMessage(ctx)
	check(err)
	fmt.Println(message.Channel, message.Payload)
	// Output:
	// 1 <nil>
	// news:local rain
}

// Client tracking: who has read a key is told when it changes.
func Example_tracking() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	_, err = b.Do("SET", "price", 10)
	check(err)
	conn, err := b.Dial(context.Background(), "", "")
	check(err)
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	show := func(n int) {
		for range n {
			lines.Scan()
			fmt.Print(lines.Text(), " ")
		}
		fmt.Println("end")
	}

	_, err = io.WriteString(conn, "HELLO 3\r\nCLIENT TRACKING ON\r\nGET price\r\n")
	check(err)
	for lines.Scan() && lines.Text() != "*0" { // the end of what HELLO answers
	}
	show(3)

	_, err = b.Do("SET", "price", 11)
	check(err)
	show(6)
	// Output:
	// +OK $2 10 end
	// >2 $10 invalidate *1 $5 price end
}

// CLIENT PAUSE postpones what clients send. WaitBlocked counts the clients that it keeps
// waiting.
func Example_pause() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()

	ctx := context.Background()
	check(rdb.ClientPause(ctx, time.Second).Err())
	set := make(chan error)
	go func() { set <- rdb.Set(ctx, "k", "v", 0).Err() }()
	check(b.WaitBlocked(ctx, 1))
	fmt.Println(b.Do("EXISTS", "k"))

	b.Advance(time.Second)
	fmt.Println(<-set)
	fmt.Println(b.Do("EXISTS", "k"))
	// Output:
	// 0 <nil>
	// <nil>
	// 1 <nil>
}
