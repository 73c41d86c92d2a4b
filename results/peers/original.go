package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// This file does what the Go port of the protocol does: the client waits for each
// result by BLPOP on a connection of its own, the server has loops that pop a call,
// run it and answer it, pushes are not atomic, and messages are maps.

const (
	loops        = 16 // of a server
	originalLife = 2 * time.Minute
)

func startOriginalClient(at endpoint, callers int) (*echoClient, error) {
	rdb := redis.NewClient(at.originalOptions(callers))
	call := func(ctx context.Context) error {
		id := uuid.NewString()
		if err := originalPush(ctx, rdb, prefix+":"+echo+":calls", map[string]any{"id": id, "kw": map[string]any{"x": text}}); err != nil {
			return err
		}
		for {
			got, err := rdb.BLPop(ctx, time.Second, originalResult(id)).Result()
			if err == redis.Nil {
				continue
			}
			if err != nil {
				return err
			}
			var result map[string]any
			if err := json.Unmarshal([]byte(got[1]), &result); err != nil {
				return err
			}
			if result["res"] != text {
				return errWrongEcho
			}
			return nil
		}
	}
	return &echoClient{call: call, conns: func() int { return int(rdb.PoolStats().TotalConns) }, close: rdb.Close}, nil
}

func startOriginalServer(at endpoint) (stop func() error, err error) {
	rdb := redis.NewClient(at.originalOptions(loops))
	ctx, cancel := context.WithCancel(context.Background())
	serve := func() error {
		got, err := rdb.BLPop(ctx, time.Second, prefix+":"+echo+":calls").Result()
		if err == redis.Nil {
			return nil
		}
		if err != nil {
			return err
		}
		var c struct {
			ID string         `json:"id"`
			KW map[string]any `json:"kw"`
		}
		if err := json.Unmarshal([]byte(got[1]), &c); err != nil {
			return err
		}
		return originalPush(ctx, rdb, originalResult(c.ID), map[string]any{"res": c.KW["x"]})
	}
	var running sync.WaitGroup
	for range loops {
		running.Go(func() {
			for {
				if err := serve(); err != nil {
					if ctx.Err() == nil {
						panic(err)
					}
					return
				}
			}
		})
	}
	return func() error {
		cancel()
		err := rdb.Close()
		running.Wait()
		return err
	}, nil
}

// originalOptions are go-redis's defaults, but for the number of connections.
func (e endpoint) originalOptions(conns int) *redis.Options {
	opt := e.options()
	opt.PoolSize, opt.PoolTimeout = conns+1, callTimeout
	return opt
}

func originalResult(id string) string { return prefix + ":" + echo + ":result:" + id }

func originalPush(ctx context.Context, rdb *redis.Client, key string, message map[string]any) error {
	message["ts"] = time.Now().Format(time.RFC3339)
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	pipe := rdb.Pipeline()
	pipe.RPush(ctx, key, data)
	pipe.Expire(ctx, key, originalLife)
	_, err = pipe.Exec(ctx)
	return err
}
