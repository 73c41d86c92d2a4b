package systems

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"redrpc/broker"
	"redrpc/broker/brokertest"
)

func TestReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, rdb := brokertest.Start(t, broker.Options{Strict: true}) // in the bubble
		client := asynq.NewClientFromRedisClient(rdb)
		_, err := client.Enqueue(asynq.NewTask("remind", nil), asynq.ProcessIn(time.Hour))
		if err != nil {
			t.Fatal(err)
		}

		reminded := make(chan time.Duration)
		worker := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Concurrency:    1,
			LogLevel:       asynq.FatalLevel,
			RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 10 * time.Minute },
		})
		tries := 0
		err = worker.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			if tries++; tries == 1 {
				return errors.New("not now")
			}
			reminded <- time.Since(start)
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		// An hour, ten minutes until the second attempt, and some seconds until the worker looks.
		if after := <-reminded; after < 70*time.Minute || after > 71*time.Minute {
			t.Errorf("reminded after %v, want 70 min", after)
		}
		worker.Shutdown()
	})
}
