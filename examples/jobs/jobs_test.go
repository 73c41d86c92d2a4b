package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

// Each test has a broker of its own in memory, whose clock stands still until the test moves it.
func start(t *testing.T) (*broker.Broker, *redis.Client) {
	t.Parallel()
	return brokertest.Start(t, broker.Options{Strict: true, ManualTime: time.Unix(1_700_000_000, 0)})
}

// work runs a worker until it has done all jobs, then ends its context, and moves the clock
// so that its wait for another job times out.
func work(t *testing.T, b *broker.Broker, rdb *redis.Client, do func(string) error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Work(ctx, rdb, "one", do) }()
	// No sleep: when this returns, the worker has done all jobs and waits for another.
	if err := b.WaitBlocked(t.Context(), 1, "jobs"); err != nil {
		t.Fatal(err)
	}
	cancel()
	b.Advance(lease / 3)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestJobsAreDone(t *testing.T) {
	b, rdb := start(t)
	if err := b.Seed("RPUSH jobs a b"); err != nil {
		t.Fatal(err)
	}
	done := ""
	work(t, b, rdb, func(job string) error { done += job; return nil })
	if want := "SET alive:one 1 PX 20000\n"; done != "ab" || b.Snapshot() != want {
		t.Errorf("done %q, left\n%s", done, b.Snapshot())
	}
}

func TestFailedJobIsDoneAgain(t *testing.T) {
	b, rdb := start(t)
	if err := b.Seed("RPUSH jobs a b"); err != nil {
		t.Fatal(err)
	}
	done := ""
	work(t, b, rdb, func(job string) error {
		done += job
		if done == "a" {
			return errors.New("not yet")
		}
		return nil
	})
	if done != "aba" {
		t.Errorf("got %q", done)
	}
}

// The connection is lost when Redis has moved the job, before the worker hears of it.
func TestJobOfADeadWorkerIsRescued(t *testing.T) {
	b, rdb := start(t)
	if err := b.Seed("RPUSH jobs a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Inject(broker.Fault{Command: "blmove", Drop: broker.DropAfter}); err != nil {
		t.Fatal(err)
	}
	if err := Work(t.Context(), rdb, "one", nil); err == nil {
		t.Fatal("expected the loss of the connection")
	}
	rescue := func(want int) {
		t.Helper()
		if n, err := Rescue(t.Context(), rdb); n != want || err != nil {
			t.Errorf("rescued %d, %v; expected %d", n, err, want)
		}
	}
	rescue(0) // it may still be at work
	b.Advance(lease)
	rescue(1)
	if got, want := b.Snapshot(), "RPUSH jobs a\n"; got != want {
		t.Errorf("got\n%s", got)
	}
}
