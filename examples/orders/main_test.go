package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/internal/redistest"
	"redrpc/rpc"
)

func TestOrders(t *testing.T) {
	b, rdb := brokertest.Start(t, broker.Options{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- run(ctx, rdb, "127.0.0.1:0") }()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	order, err := rpc.Call[Order](ctx, client, "order", rpc.Args{"item": "tea", "n": 3})
	if want := (Order{"tea", 3, 1050}); err != nil || order != want {
		t.Errorf("got %v, %v", order, err)
	}
	_, err = rpc.Call[int](ctx, client, "price", rpc.Args{"item": "gold"})
	if failed, ok := errors.AsType[*rpc.RemoteError](err); !ok || failed.Type != "no_such_item" {
		t.Errorf("got %v", err)
	}
	t.Run("from Python", func(t *testing.T) {
		python := redistest.Python(t, "redis")
		addr, err := b.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		peer := func(args ...string) string {
			out, _ := exec.Command(python, append([]string{"peer.py", "redis://" + addr.String()}, args...)...).CombinedOutput() // its text says what failed
			return strings.TrimSpace(string(out))
		}
		if got := peer("order", "item=coffee", "n=2"); got != `{"item": "coffee", "n": 2, "total": 840}` {
			t.Errorf("got %s", got)
		}
		if got := peer("price", "item=gold"); got != "we do not have gold" {
			t.Errorf("got %s", got)
		}
	})
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
