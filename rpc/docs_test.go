package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"redrpc/broker/brokertest"
	"redrpc/rpc"
)

// The messages in docs/protocol.md are understood: the server answers the call, and the
// client takes the results.
func TestMessagesOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for i, block := range strings.Split(string(page), "```") {
		if lines, isJSON := strings.CutPrefix(block, "json\n"); isJSON && i%2 == 1 {
			messages = append(messages, strings.Split(strings.TrimSpace(lines), "\n")...)
		}
	}
	if len(messages) != 3 {
		t.Fatalf("expected a call, a result and a failure, got %q", messages)
	}
	_, rdb := brokertest.Start(t)
	ctx := t.Context()

	server, err := rpc.NewServer(rdb, rpc.ServerOptions{MaxCalls: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Handle(server, "add", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil }); err != nil {
		t.Fatal(err)
	}
	if err := rdb.RPush(ctx, "redis_rpc:add:calls", messages[0]).Err(); err != nil {
		t.Fatal(err)
	}
	if err := server.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var call struct{ ID string }
	if err := json.Unmarshal([]byte(messages[0]), &call); err != nil {
		t.Fatal(err)
	}
	var result struct{ Res int }
	text, err := rdb.LPop(ctx, "redis_rpc:add:result:"+call.ID).Bytes()
	if err != nil || json.Unmarshal(text, &result) != nil || result.Res != 3 {
		t.Errorf("the call was answered with %s, %v", text, err)
	}

	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute, NoExtensions: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answered := func(message string) (int, error) {
		go func() {
			var call struct{ ID string }
			sent, err := rdb.BLPop(ctx, time.Minute, "redis_rpc:add:calls").Result()
			if err == nil {
				err = json.Unmarshal([]byte(sent[1]), &call)
			}
			if err == nil {
				err = rdb.RPush(ctx, "redis_rpc:add:result:"+call.ID, message).Err()
			}
			if err != nil {
				t.Error(err)
			}
		}()
		return rpc.Call[int](ctx, client, "add", rpc.Args{"a": 1, "b": 2})
	}
	if sum, err := answered(messages[1]); sum != 3 || err != nil {
		t.Errorf("the result is %d, %v", sum, err)
	}
	_, err = answered(messages[2])
	if failed, ok := errors.AsType[*rpc.RemoteError](err); !ok || failed.Message != "division by zero" || failed.Type != "exit" {
		t.Errorf("the failure is %v", err)
	}
}
