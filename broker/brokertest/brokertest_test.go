package brokertest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(t *testing.T) {
	t.Parallel()
	_, rdb := brokertest.Start(t)
	if err := rdb.RPush(t.Context(), "jobs", "one").Err(); err != nil {
		t.Fatal(err)
	}
	got, err := rdb.BLPop(t.Context(), time.Second, "jobs").Result()
	if err != nil || fmt.Sprint(got) != "[jobs one]" {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestStartWithPassword(t *testing.T) {
	t.Parallel()
	_, rdb := brokertest.Start(t, broker.Options{Password: "secret"})
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// Through go-redis and the in-memory transport, a BLPOP that times out after 5 s
// takes exactly 5 s in a bubble, and next to nothing outside.
func TestFakeTime(t *testing.T) {
	started := time.Now()
	synctest.Test(t, func(t *testing.T) {
		_, rdb := brokertest.Start(t)
		from := time.Now()
		err := rdb.BLPop(t.Context(), time.Hour, "nothing").Err()
		if err != redis.Nil {
			t.Fatalf("got %v, want redis.Nil", err)
		}
		if took := time.Since(from); took != time.Hour {
			t.Errorf("took %v of fake time, want exactly 1h", took)
		}
	})
	if took := time.Since(started); took > time.Minute { // however busy the machine is
		t.Errorf("took %v of real time, expected milliseconds", took)
	} else {
		t.Logf("an hour took %v", took)
	}
}

// Keys expire at their deadline, by the bubble's clock.
func TestFakeExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := brokertest.Start(t)
		ctx := t.Context()
		if err := rdb.Set(ctx, "k", "v", 4*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		<-time.After(4*time.Second - time.Millisecond) // fake time
		if n := rdb.Exists(ctx, "k").Val(); n != 1 {
			t.Error("the key expired too early")
		}
		<-time.After(time.Millisecond)
		if n := rdb.Exists(ctx, "k").Val(); n != 0 {
			t.Error("the key did not expire at its deadline")
		}
	})
}
