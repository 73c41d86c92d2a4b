package broker_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// A worker whose BLPOP is lost after the pop has lost the job: the third is neither in
// the queue nor with the worker.
func ExampleBroker_Inject() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	check(b.Seed("RPUSH jobs one two three four"))
	rule, err := b.Inject(broker.Fault{Command: "blpop", Key: "jobs", Nth: 3, Drop: broker.DropAfter})
	check(err)

	ctx := context.Background()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()
	for range 4 {
		job, err := rdb.BLPop(ctx, time.Second, "jobs").Result()
		fmt.Println(job, err)
	}
	fmt.Println("fired:", rule.Fired())
	rule.Remove()
	// Output:
	// [jobs one] <nil>
	// [jobs two] <nil>
	// [] EOF
	// [jobs four] <nil>
	// fired: 1
}

// Faults can be given as text, on a command line for example.
func ExampleParseFault() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	for _, text := range []string{
		`command=set times=1 error="OOM command not allowed"`,
		`client=worker-* delay=normal(20ms,5ms) probability=0.5 seed=7`,
		`rtt=40ms upload=64kb`,
		`comand=get drop=after`,
	} {
		fault, err := broker.ParseFault(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		_, err = b.Inject(fault)
		check(err)
	}
	for _, rule := range b.Rules() {
		fmt.Println(rule.ID(), rule)
	}
	// Output:
	// broker: the fault "comand=get drop=after" has the word "comand": expected command, key, client, nth, times, probability, seed, stall, delay, error, drop, refuse, rtt, upload or download
	// 1 command=set times=1 error="OOM command not allowed"
	// 2 client=worker-* probability=0.5 seed=7 delay=normal(20ms,5ms)
	// 3 rtt=40ms upload=65536
}

// A function sees every command, and answers it, fails it, drops the connection or
// passes it on. Here it stands for a service that is not there.
func ExampleBroker_Intercept() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	rule, err := b.Intercept(func(c *broker.Command) broker.Verdict {
		switch {
		case c.Name == "get" && c.Args[0] == "config":
			return c.Answer(`{"limit": 10}`)
		case c.Name == "set" && c.Args[0] == "config":
			return c.Fail("NOPERM the configuration cannot be changed")
		}
		return c.Pass()
	})
	check(err)

	ctx := context.Background()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()
	fmt.Println(rdb.Get(ctx, "config").Val())
	fmt.Println(rdb.Set(ctx, "config", "{}", 0).Err())
	fmt.Println(rdb.Set(ctx, "other", "1", 0).Val())
	rule.Remove()
	fmt.Println(rdb.Get(ctx, "config").Err())
	// Output:
	// {"limit": 10}
	// NOPERM the configuration cannot be changed
	// OK
	// redis: nil
}

// A stall stops the broker as DEBUG SLEEP does; with a manual clock it ends when the
// test says so.
func ExampleBroker_Stall() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	rdb := redis.NewClient(brokertest.ClientOptions(b, ""))
	defer rdb.Close()

	b.Stall(10 * time.Second)
	answered := make(chan string)
	go func() { answered <- rdb.Echo(context.Background(), "hello").Val() }()
	b.Advance(10 * time.Second)
	fmt.Println(<-answered)
	// Output: hello
}

// A slow network, by the broker's clock: what a client sends is there half a round trip
// later, and so is the reply.
func ExampleFault_slowNetwork() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	_, err = b.Inject(broker.Fault{RTT: 40 * time.Millisecond})
	check(err)
	conn, err := b.Dial(context.Background(), "", "")
	check(err)
	defer conn.Close()

	_, err = fmt.Fprintln(conn, "SET k v")
	check(err)
	fmt.Println(b.Do("GET", "k"))
	b.Advance(20 * time.Millisecond)
	fmt.Println(b.Do("GET", "k"))
	b.Advance(20 * time.Millisecond)
	reply := make([]byte, 5)
	n, err := conn.Read(reply)
	fmt.Printf("%q %v\n", reply[:n], err)
	// Output:
	// <nil> <nil>
	// v <nil>
	// "+OK\r\n" <nil>
}
