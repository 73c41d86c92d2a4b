package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
)

// Stats are what INFO tells, in Go types.
func ExampleBroker_Stats() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()

	b.Do("SET", "greeting", "hello")
	b.Do("LPUSH", "greeting", "world")
	b.Do("FLY")

	s := b.Stats()
	fmt.Println(s.Commands, "commands, unknown:", s.Unknown, "errors:", s.ErrorCodes)
	lpush := s.ByCommand["lpush"]
	fmt.Println("LPUSH failed", lpush.Failed, "time in", lpush.Calls)
	// Output:
	// 2 commands, unknown: 1 errors: map[ERR:1 WRONGTYPE:1]
	// LPUSH failed 1 time in 1
}

// The log says what happened, in which order and how it ended; a loop picks what a test
// wants to know.
func ExampleBroker_Log() {
	b, err := broker.New(broker.Options{LogSize: 1000, ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	ctx := context.Background()
	worker := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", Dialer: b.Dial, ClientName: "worker"})
	defer worker.Close()
	got := make(chan []string)
	go func() { got <- worker.BLPop(ctx, 0, "jobs").Val() }()
	check(b.WaitBlocked(ctx, 1))

	b.Advance(250 * time.Millisecond)
	_, err = b.Do("RPUSH", "jobs", "one", "two")
	check(err)
	<-got
	_, err = b.Do("INCR", "jobs")
	fmt.Println(err)

	for _, r := range b.Log() {
		if slices.Contains(r.Args, "jobs") {
			fmt.Println(r)
		}
	}
	// Output:
	// WRONGTYPE Operation against a key holding the wrong kind of value
	// 6 22:13:20.000000 client 1 (worker) db 0: blpop jobs 0 -> blocked
	// 7 22:13:20.250000 Do db 0: RPUSH jobs one two -> value
	// 8 22:13:20.250000 client 1 (worker) db 0: blpop jobs 0 -> value after 250ms
	// 9 22:13:20.250000 Do db 0: INCR jobs -> failed: WRONGTYPE Operation against a key holding the wrong kind of value
}

// MONITOR shows a connection every command that runs, those of administrators excepted.
func Example_monitor() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()
	conn, err := b.Dial(context.Background(), "", "")
	check(err)
	defer conn.Close()

	fmt.Fprintln(conn, "MONITOR")
	_, err = b.Do("SET", "greeting", "hello world")
	check(err)

	lines := bufio.NewScanner(conn)
	for range 2 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	// Output:
	// +OK
	// +1700000000.000000 [0 Do] "SET" "greeting" "hello world"
}

// SLOWLOG has the commands that took long: here, all.
func Example_slowlog() {
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()

	_, err = b.Do("CONFIG", "SET", "slowlog-log-slower-than", 0)
	check(err)
	_, err = b.Do("RPUSH", "jobs", "one", "two")
	check(err)
	entries, err := b.Do("SLOWLOG", "GET", 1)
	check(err)
	for _, entry := range entries.([]any) {
		fmt.Println(entry.([]any)[3])
	}
	// Output: [RPUSH jobs one two]
}

// With latency-monitor-threshold LATENCY tells when commands took long.
func Example_latency() {
	b, err := broker.New(broker.Options{ManualTime: time.Unix(1_700_000_000, 0)})
	check(err)
	defer b.Close()

	_, err = b.Do("CONFIG", "SET", "latency-monitor-threshold", 1000)
	check(err)
	_, err = b.Do("DEBUG", "SLEEP", 1.5)
	check(err)
	latest, err := b.Do("LATENCY", "LATEST")
	check(err)
	kind := latest.([]any)[0].([]any)
	fmt.Println(kind[0], "at", kind[1], kind[2].(int64)/100, "tenths of a second")
	// Output: command at 1700000000 15 tenths of a second
}
