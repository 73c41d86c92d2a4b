package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker/brokertest"
)

// hostile is a name that would clear the screen, change colours, reverse text, and be
// invisible in parts; hostileBytes has C1 controls as bytes.
const (
	hostile      = "q\x1b[2J\a\r\n\t\x7f\u0085\u009b31m\u202e\u2066\u200f\u061c\u200b\ufeff\u3164<script>"
	hostileBytes = "q\x9b2J\x85\xff"
)

// startBroker starts a broker that listens, and connects to it.
func startBroker(t *testing.T) (*redis.Client, string) {
	b, rdb := brokertest.Start(t)
	addr, err := b.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return rdb, "redis://" + addr.String()
}

// Whatever others have written into Redis, or into files, what is printed has no power
// over a terminal. (redrpcIn checks all that is printed.)
func TestHostileNames(t *testing.T) {
	rdb, url := startBroker(t)
	ctx := t.Context()
	stats, err := json.Marshal(map[string]any{"started_ms": 1, "uptime_ms": 2500, "workers": 8,
		"functions": map[string]any{hostile: map[string]int{"calls": 5, "in_flight": 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{hostile, hostileBytes} {
		for _, err := range []error{
			rdb.RPush(ctx, "redis_rpc:"+name+":calls", name).Err(),
			rdb.Set(ctx, "redis_rpc:"+name+":"+name+":alive", "1", 0).Err(),
			rdb.Set(ctx, "redis_rpc:"+name+":"+name+":stats", stats, 0).Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "a\x1b[2J\u202e\u009b")
	if err := os.WriteFile(file, []byte(hostile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"queues", "queues --output json", "servers", "servers --output json", "top -n 1", "top -n 1 --prefix NAME",
		"call NAME --timeout 20ms", "call f NAME", "call f x=@NAME", "call f x:=NAME", "serve --exec NAME=nosuch",
		"bench report FILE", "bench merge FILE FILE", "bench --calls 3 --warmup 0s --replay FILE",
		"bench --calls 3 --warmup 0s --timeout 20ms --no-server --prefix p --func NAME",
		"bench --calls 3 --warmup 0s --timeout 20ms --no-server --prefix p --func NAME --output json",
		"bench --calls 300 --warmup 0s --output csv --out FILE", "broker --addr NAME", "broker --unix /nonexistent/NAME",
		"NAME", "bench --NAME",
	} {
		for _, name := range []string{hostile, hostileBytes} {
			words := strings.Fields(args)
			for i := range words {
				words[i] = strings.NewReplacer("NAME", name, "FILE", file).Replace(words[i])
			}
			redrpcIn(t, ctx, map[string]string{"REDIS_URL": url}, words...)
		}
	}
}

// Results, errors and tracebacks of others, and what a server logs of them.
func TestHostileResults(t *testing.T) {
	rdb, url := startBroker(t)
	text, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		result string
		code   int
	}{
		{`{"res":` + string(text) + `}`, exitOK},
		{`{"res":{` + string(text) + `:"` + "\u009b\u202e\u200b" + `"}}`, exitOK},
		{`{"err":` + string(text) + `,"err_traceback":` + string(text) + `}`, exitRemote},
		{`{"res":"` + hostile + `"}`, exitNoResult},
		{`{"res":"` + hostileBytes + `"}`, exitNoResult},
		{hostile, exitNoResult},
	} {
		answered := make(chan error, 1)
		go func() {
			call, err := rdb.BLPop(t.Context(), time.Minute, "redis_rpc:f:calls").Result()
			if err == nil {
				var sent struct{ ID string }
				if err = json.Unmarshal([]byte(call[1]), &sent); err == nil {
					err = rdb.RPush(t.Context(), "redis_rpc:f:result:"+sent.ID, c.result).Err()
				}
			}
			answered <- err
		}()
		redrpc(t, "call", "f", "--no-extensions", "--timeout", "1m", "--redis", url).want(t, c.code)
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
	server := start(t, nil, "serve", "--redis", url, "--prefix", "p"+hostile, "--id", "q"+hostile)
	server.await(t, &server.stderr, "serving ")
	if err := rdb.RPush(t.Context(), "p"+hostile+":echo:calls", hostile).Err(); err != nil {
		t.Fatal(err)
	}
	server.await(t, &server.stderr, "malformed")
	server.stop()
	server.wait()
	checkSafe(t, server.stderr.String())
}
