package broker_test

import (
	"fmt"

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

func check(err error) {
	if err != nil {
		panic(err)
	}
}
