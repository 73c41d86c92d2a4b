package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
)

// This file is about what happens to the keys of results before the results come:
// Redis tells of a change although there is none, or does not tell of one.

// must runs a command.
func (h *house) must(args ...any) {
	h.Helper()
	if err := h.rdb.Do(context.Background(), args...).Err(); err != nil {
		h.Fatal(args, err)
	}
}

// in returns a client of another database.
func (h *house) in(db int) *redis.Client {
	opt := *h.rdb.Options()
	opt.DB = db
	opt.PushNotificationProcessor = nil
	rdb := redis.NewClient(&opt)
	h.Cleanup(func() { rdb.Close() })
	return rdb
}

// take plays a server that takes so many calls of f, and returns the keys of their
// results with what was sent as n.
func (h *house) take(calls int) map[string]int {
	h.Helper()
	keys := map[string]int{}
	for range calls {
		element, err := h.rdb.BLPop(context.Background(), 10*time.Second, h.prefix+":f:calls").Result()
		if err != nil {
			h.Fatal(err)
		}
		var call struct {
			ID string
			KW struct{ N int }
		}
		if err := json.Unmarshal([]byte(element[1]), &call); err != nil {
			h.Fatal(err)
		}
		keys[h.prefix+":f:result:"+call.ID] = call.KW.N
	}
	return keys
}

// answer sends the results of calls that were taken, by rdb.
func (h *house) answer(rdb *redis.Client, keys map[string]int) {
	h.Helper()
	for key, n := range keys {
		if err := rdb.RPush(context.Background(), key, fmt.Sprintf(`{"res":%d}`, n)).Err(); err != nil {
			h.Fatal(err)
		}
	}
}

// call makes calls of f, each with another n, and returns where their outcomes come.
func (h *house) call(client *rpc.Client, calls int) <-chan error {
	outcomes := make(chan error, calls)
	for n := range calls {
		go func() {
			got, err := rpc.Call[int](context.Background(), client, "f", rpc.Args{"n": n})
			if err == nil && got != n {
				err = fmt.Errorf("got %d, want %d", got, n)
			}
			outcomes <- err
		}()
	}
	return outcomes
}

// testDeceptions: each call gets its result all the same.
func testDeceptions(t *testing.T, h *house) {
	for _, d := range []struct {
		name   string
		before func(h *house, keys map[string]int) // the results are sent
		send   func(h *house, keys map[string]int) // nil: as usual
	}{
		{name: "none"},
		{name: "FLUSHALL", before: func(h *house, _ map[string]int) { h.must("flushall") }},
		{name: "FLUSHDB of another database", before: func(h *house, _ map[string]int) {
			if err := h.in(1).FlushDB(context.Background()).Err(); err != nil {
				h.Fatal(err)
			}
		}},
		{name: "the keys in another database", before: func(h *house, keys map[string]int) { h.answer(h.in(1), keys) }},
		{name: "keys that come and go", before: func(h *house, keys map[string]int) {
			for key := range keys {
				_, err := h.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
					p.Set(context.Background(), key, "not a list", 0)
					p.Del(context.Background(), key)
					return nil
				})
				if err != nil {
					h.Fatal(err)
				}
			}
		}},
		{name: "lost connections", before: func(h *house, _ map[string]int) { h.must("client", "kill", "type", "normal", "skipme", "yes") }},
		{name: "all at once", before: func(h *house, keys map[string]int) {
			h.answer(h.in(1), keys)
			h.must("flushall")
			h.must("client", "kill", "type", "normal", "skipme", "yes")
			h.must("flushall")
		}},
		{name: "SWAPDB", send: func(h *house, keys map[string]int) {
			h.answer(h.in(1), keys)
			h.must("swapdb", 0, 1)
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			h := &house{T: t, rdb: h.rdb, prefix: strings.ReplaceAll(t.Name(), "/", ":"), wait: h.wait}
			const calls = 20
			outcomes := h.call(h.client(rpc.ClientOptions{Timeout: time.Minute}), calls)
			keys := h.take(calls)
			if d.before != nil {
				d.before(h, keys)
			}
			if d.send != nil {
				d.send(h, keys)
			} else {
				h.answer(h.rdb, keys)
			}
			for range calls {
				if err := next(t, outcomes); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
