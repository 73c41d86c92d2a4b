package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/rpc"
)

func testSend(t *testing.T, h *house) {
	ctx := context.Background()
	var seen []string
	client := h.client(rpc.ClientOptions{Timeout: patience, Name: "sender", Intercept: []rpc.Interceptor{
		func(ctx context.Context, call *rpc.CallInfo, next func(context.Context) error) error {
			if call.Func == "one" {
				if err := call.SetField("traceparent", "x"); err != nil {
					t.Error(err)
				}
			}
			err := next(ctx)
			if call.Func == "one" {
				seen = append(seen, fmt.Sprint(call.ID, err))
			}
			return err
		},
	}})
	queue := h.prefix + ":one:calls"
	id, err := client.Send(ctx, "one", rpc.Args{"n": 7})
	if err != nil || len(seen) != 1 || seen[0] != id+"<nil>" {
		t.Errorf("got %q, %v, the interceptor saw %q", id, err, seen)
	}
	message := h.rdb.LIndex(ctx, queue, 0).Val()
	var fields map[string]any
	if err := json.Unmarshal([]byte(message), &fields); err != nil {
		t.Fatal(err)
	}
	if fields["id"] != id || fmt.Sprint(fields["kw"]) != "map[n:7]" || fields["traceparent"] != "x" || fields["client"] != "sender" {
		t.Errorf("got message %s", message)
	}
	for _, name := range []string{"timeout_ms", "deadline_ms"} {
		if _, ok := fields[name]; ok {
			t.Errorf("the message has a %s, but nobody gives up: %s", name, message)
		}
	}
	if ttl := h.rdb.TTL(ctx, queue).Val(); ttl <= 0 || ttl > 120*time.Second {
		t.Errorf("the queue lives for %v", ttl)
	}

	const many = 1000
	ids, ran := map[string]bool{}, make(chan int, many)
	var mu sync.Mutex
	var senders sync.WaitGroup
	for n := range many {
		senders.Go(func() {
			id, err := client.Send(ctx, "many", rpc.Args{"n": n})
			mu.Lock()
			defer mu.Unlock()
			if ids[id] = true; err != nil {
				t.Errorf("%d: %v", n, err)
			}
		})
	}
	senders.Wait()
	if len(ids) != many || h.rdb.LLen(ctx, h.prefix+":many:calls").Val() != many {
		t.Errorf("got %d IDs and %d calls, want %d", len(ids), h.rdb.LLen(ctx, h.prefix+":many:calls").Val(), many)
	}
	w := h.serve(rpc.ServerOptions{}, offer("many", func(_ context.Context, in struct{ N int }) (int, error) { ran <- in.N; return in.N, nil }))
	times := map[int]int{}
	for range many {
		times[next(t, ran)]++
	}
	w.stop(t)
	if len(times) != many || len(ran) != 0 {
		t.Errorf("%d of %d ran, and %d more", len(times), many, len(ran))
	}
	for id := range ids {
		if ttl := h.rdb.TTL(ctx, h.prefix+":many:result:"+id).Val(); ttl <= 0 || ttl > 120*time.Second {
			t.Fatalf("the result of %s lives for %v", id, ttl)
		}
	}

	if err := h.rdb.Set(ctx, h.prefix+":wrong:calls", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err = client.Send(ctx, "wrong", nil)
	is(t, err, rpc.ErrNotSent)
	_, err = client.Send(ctx, "one", 7)
	is(t, err, rpc.ErrNotSent)
	ended, end := context.WithCancel(ctx)
	end()
	_, err = client.Send(ended, "one", nil)
	is(t, err, rpc.ErrNotSent, context.Canceled)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	_, err = client.Send(ctx, "one", nil)
	is(t, err, rpc.ErrNotSent, redis.ErrClosed)
	if n := h.rdb.LLen(ctx, queue).Val(); n != 1 {
		t.Errorf("got %d calls, want the first only", n)
	}
}

// What a lost connection leaves unknown is ErrNoResult, and not sent again.
func TestSendOverALostConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		drop    broker.Drop
		waiting int64
	}{{broker.DropBefore, 0}, {broker.DropAfter, 1}} {
		b := newBroker(t)
		h := &house{T: t, rdb: redis.NewClient(inMemory(b)), prefix: "p"}
		client := h.client(rpc.ClientOptions{Timeout: patience})
		if _, err := b.Inject(broker.Fault{Command: "exec", Nth: 1, Drop: c.drop}); err != nil {
			t.Fatal(err)
		}
		_, err := client.Send(context.Background(), "f", nil)
		is(t, err, rpc.ErrNoResult)
		if n := h.rdb.LLen(context.Background(), "p:f:calls").Val(); n != c.waiting {
			t.Errorf("%v: got %d calls, want %d", c.drop, n, c.waiting)
		}
		if _, err := client.Send(context.Background(), "f", nil); err != nil {
			t.Errorf("after it: %v", err)
		}
		if err := h.rdb.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A caller leaves when its time is over, whatever Redis does, and Close does not
// wait for Redis.
func TestSendToAStalledRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		h := newHouse(t, inMemory(b))
		client := h.client(rpc.ClientOptions{Timeout: patience})
		if _, err := client.Send(context.Background(), "f", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Inject(broker.Fault{Command: "exec", Stall: time.Hour}); err != nil {
			t.Fatal(err)
		}
		_, err := client.Send(context.Background(), "f", nil, rpc.Timeout(20*time.Millisecond))
		is(t, err, rpc.ErrNoResult, context.DeadlineExceeded)
		sent := make(chan error, 1)
		go func() {
			_, err := client.Send(context.Background(), "f", nil)
			sent <- err
		}()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := next(t, sent); !errors.Is(err, redis.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}
