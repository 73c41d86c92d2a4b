package brokertest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// In a test file the functions of this example are called TestWorker and TestLock. They
// need no server, no port and no sleep, and may run in parallel with others.
func Example() {
	// See testWorker and testLock.
}

// work takes jobs until there has been none for a minute.
func work(ctx context.Context, rdb *redis.Client) error {
	for {
		job, err := rdb.BLPop(ctx, time.Minute, "jobs").Result()
		switch {
		case err == redis.Nil:
			return nil
		case err != nil:
			return err
		}
		if err := rdb.Set(ctx, "done:"+job[1], "yes", time.Hour).Err(); err != nil {
			return err
		}
	}
}

func testWorker(t *testing.T) {
	t.Parallel()
	b, rdb := brokertest.Start(t, broker.Options{Strict: true, ManualTime: time.Unix(1_700_000_000, 0)})
	if err := b.Seed(`RPUSH jobs one '{"id": 2}'`); err != nil {
		t.Fatal(err)
	}
	worked := make(chan error)
	go func() { worked <- work(t.Context(), rdb) }()
	if err := b.WaitBlocked(t.Context(), 1, "jobs"); err != nil { // the worker has nothing left to do
		t.Fatal(err)
	}
	const want = `SET done:one yes PX 3600000
SET 'done:{"id": 2}' yes PX 3600000
`
	if got := b.Snapshot(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Advance(time.Minute)
	if err := <-worked; err != nil {
		t.Error(err)
	}
}

func testLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, rdb := brokertest.Start(t)
		if err := rdb.SetNX(t.Context(), "lock", "mine", 30*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*time.Second - time.Millisecond) // of the bubble: it takes no time
		if owner, err := broker.As[string](b.Do("GET", "lock")); err != nil || owner != "mine" {
			t.Errorf("got %q, %v", owner, err)
		}
		time.Sleep(time.Millisecond)
		if owner, err := b.Do("GET", "lock"); err != nil || owner != nil {
			t.Errorf("after it expired: got %v, %v", owner, err)
		}
	})
}
