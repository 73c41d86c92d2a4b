package brokertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// These tests are the code of docs/testing-with-the-broker.md.

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, rdb := brokertest.Start(t)
		check(t, rdb.Set(t.Context(), "config", "v1", 0).Err())

		down, err := b.Inject(broker.Fault{Refuse: true}) // nobody can connect
		check(t, err)
		_, err = b.Do("CLIENT", "KILL", "TYPE", "normal") // and all connections are lost
		check(t, err)
		time.AfterFunc(time.Minute, func() { down.Remove() })

		began := time.Now()
		for rdb.Get(t.Context(), "config").Err() != nil { // the code under test: it tries every 10 s
			time.Sleep(10 * time.Second)
		}
		if took := time.Since(began); took < time.Minute || took > 72*time.Second {
			t.Errorf("it was back after %v", took)
		}
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	b, rdb := brokertest.Start(t)
	check(t, rdb.RPush(t.Context(), "jobs", "one").Err())
	saved := b.Snapshot()
	check(t, rdb.RPush(t.Context(), "jobs", "two").Err())

	// Redis crashes, and starts again with what it had saved.
	check(t, b.Seed("FLUSHALL\n"+saved))
	_, err := b.Do("CLIENT", "KILL", "TYPE", "normal")
	check(t, err)
	_, err = b.Inject(broker.Fault{Command: "lrange", Times: 1, Error: "LOADING Redis is loading the dataset in memory"})
	check(t, err)

	var errs []error
	for range 3 {
		jobs, err := rdb.LRange(t.Context(), "jobs", 0, -1).Result()
		errs = append(errs, err)
		if err == nil && len(jobs) != 1 {
			t.Errorf("got %v", jobs)
		}
	}
	if errs[0] == nil || !redis.HasErrorPrefix(errs[1], "LOADING") || errs[2] != nil {
		t.Errorf("got %v", errs)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b, _ := brokertest.Start(t)
	for _, fault := range []broker.Fault{
		{Command: "blpop", Key: "jobs", Nth: 3, Drop: broker.DropAfter},        // the third pop is lost with its connection
		{Command: "set", Probability: 0.1, Seed: 7, Error: "OOM no memory"},    // one SET in ten fails, the same ones in each run
		{Command: "set", Error: "READONLY You can't write against a replica."}, // after a failover
		{Command: "exec", Times: 1, Drop: broker.DropHalf},                     // the reply is cut in the middle
		{Client: "worker-*", Delay: broker.Exponential{Mean: 20 * time.Millisecond}},
		{Client: "far-*", RTT: 40 * time.Millisecond, Upload: 64 << 10}, // a slow network, in bytes per second
		{Command: "get", Nth: 100, Stall: time.Second},                  // the whole server stops for a second
	} {
		rule, err := b.Inject(fault)
		check(t, err)
		t.Logf("%v fired %d times", rule, rule.Fired())
		rule.Remove()
	}
}
