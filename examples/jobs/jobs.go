// Package jobs is a small job queue that loses no job: a worker moves a job to a list of
// its own while it works, under a lock that expires when the worker dies. Its tests show
// what a test with the broker looks like: virtual time, faults, snapshots.
package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const lease = 30 * time.Second

// Work takes jobs from the list jobs and does each, until ctx ends. A job that fails, or
// whose worker dies, is done again.
func Work(ctx context.Context, rdb *redis.Client, worker string, do func(job string) error) error {
	mine := "working:" + worker
	for {
		if err := rdb.Set(ctx, "alive:"+worker, "1", lease).Err(); err != nil {
			return err
		}
		job, err := rdb.BLMove(ctx, "jobs", mine, "LEFT", "RIGHT", lease/3).Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return err
		}
		failed := do(job) != nil
		_, err = rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.LRem(ctx, mine, 1, job)
			if failed {
				tx.RPush(ctx, "jobs", job) // after the others
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// Rescue puts back the jobs of workers that have died, and returns how many there were.
func Rescue(ctx context.Context, rdb *redis.Client) (int, error) {
	rescued := 0
	for lists := rdb.Scan(ctx, 0, "working:*", 100).Iterator(); ; {
		if !lists.Next(ctx) {
			return rescued, lists.Err()
		}
		list := lists.Val()
		alive, err := rdb.Exists(ctx, "alive:"+list[len("working:"):]).Result()
		if err != nil {
			return rescued, err
		}
		for alive == 0 {
			err := rdb.LMove(ctx, list, "jobs", "LEFT", "LEFT").Err()
			if errors.Is(err, redis.Nil) {
				break
			}
			if err != nil {
				return rescued, err
			}
			rescued++
		}
	}
}
