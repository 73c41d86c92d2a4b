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

// This file is about what happens to the lists of results before the results come.

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

// A taken call is one that a test answers in place of a server.
type taken struct {
	id, list string // where the result goes
	n        int
}

// take plays a server of the fleet that takes so many calls of f.
func (h *house) take(calls int) (all []taken) {
	h.Helper()
	for range calls {
		element, err := h.rdb.BLPop(context.Background(), 10*time.Second, h.prefix+":f:calls").Result()
		if err != nil {
			h.Fatal(err)
		}
		var call struct {
			ID      string
			KW      struct{ N int }
			ReplyTo string `json:"reply_to"`
		}
		if err := json.Unmarshal([]byte(element[1]), &call); err != nil {
			h.Fatal(err)
		}
		one := taken{call.ID, h.prefix + ":f:result:" + call.ID, call.KW.N}
		if call.ReplyTo != "" && (h.fleet == newFleet || h.fleet == mixedFleet && call.KW.N%2 == 0) {
			one.list = h.prefix + ":client:" + call.ReplyTo + ":results"
		}
		all = append(all, one)
	}
	return all
}

// answer sends the results of calls that were taken, by rdb.
func (h *house) answer(rdb *redis.Client, calls []taken) {
	h.Helper()
	for _, c := range calls {
		if err := rdb.RPush(context.Background(), c.list, fmt.Sprintf(`{"id":%q,"res":%d}`, c.id, c.n)).Err(); err != nil {
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

// testChangedKeys: each call gets its result all the same.
func testChangedKeys(t *testing.T, h *house) {
	for _, d := range []struct {
		name   string
		before func(h *house, calls []taken) // the results are sent
		send   func(h *house, calls []taken) // nil: as usual
	}{
		{name: "none"},
		{name: "FLUSHALL", before: func(h *house, _ []taken) { h.must("flushall") }},
		{name: "FLUSHDB of another database", before: func(h *house, _ []taken) {
			if err := h.in(1).FlushDB(context.Background()).Err(); err != nil {
				h.Fatal(err)
			}
		}},
		{name: "the keys in another database", before: func(h *house, calls []taken) { h.answer(h.in(1), calls) }},
		{name: "keys that come and go", before: func(h *house, calls []taken) {
			for _, c := range calls {
				_, err := h.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
					p.Set(context.Background(), c.list, "not a list", 0)
					p.Del(context.Background(), c.list)
					return nil
				})
				if err != nil {
					h.Fatal(err)
				}
			}
		}},
		{name: "lost connections", before: func(h *house, _ []taken) { h.must("client", "kill", "type", "normal", "skipme", "yes") }},
		{name: "all at once", before: func(h *house, calls []taken) {
			h.answer(h.in(1), calls)
			h.must("flushall")
			h.must("client", "kill", "type", "normal", "skipme", "yes")
			h.must("flushall")
		}},
		{name: "SWAPDB", send: func(h *house, calls []taken) {
			h.answer(h.in(1), calls)
			h.must("swapdb", 0, 1)
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			h := &house{T: t, rdb: h.rdb, prefix: strings.ReplaceAll(t.Name(), "/", ":"), fleet: h.fleet}
			const calls = 20
			outcomes := h.call(h.client(rpc.ClientOptions{Timeout: time.Minute}), calls)
			taken := h.take(calls)
			if d.before != nil {
				d.before(h, taken)
			}
			if d.send != nil {
				d.send(h, taken)
			} else {
				h.answer(h.rdb, taken)
			}
			for range calls {
				if err := next(t, outcomes); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
