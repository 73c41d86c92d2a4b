package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
	"time"
)

func TestServers(t *testing.T) {
	rdb, url := startRedis(t)
	r := redrpc(t, "servers", "--redis", url)
	r.want(t, exitOK, "no server is online")
	if r.stdout != "" {
		t.Errorf("got %q", r.stdout)
	}
	r = redrpc(t, "servers", "--redis", url, "--output", "json")
	r.want(t, exitOK)
	if r.stdout != "[]\n" || r.stderr != "" {
		t.Errorf("got %q, %q", r.stdout, r.stderr)
	}

	for key, life := range map[string]time.Duration{"p:worker:one:alive": time.Hour, "p:w\x1b[2\n:two:alive": time.Minute, "p:worker:three:alive": 0, "q:worker:three:alive": time.Hour} {
		if err := rdb.Set(t.Context(), key, "1", life).Err(); err != nil {
			t.Fatal(err)
		}
	}
	report := `{"started_ms":1,"uptime_ms":2500,"workers":8,"functions":{"b":{"calls":5,"in_flight":2},"a\u001b":{"calls":1,"in_flight":1}}}`
	if err := rdb.Set(t.Context(), "p:worker:one:stats", report, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	r = redrpc(t, "servers", "--redis", url, "--prefix", "p")
	r.want(t, exitOK)
	want := `^KIND    ID     EXPIRES IN +BUSY  FUNCTIONS\nw\?\[2\?   two    (1m0s|59\.\d+s) +-     -\nworker  one    (1h0m0s|59m59\.\d+s) +3/8   a\?, b\nworker  three  never +-     -\n$`
	if !regexp.MustCompile(want).MatchString(r.stdout) {
		t.Errorf("got\n%s", r.stdout)
	}
	r = redrpc(t, "servers", "--redis", url, "--prefix", "p", "--output", "json")
	r.want(t, exitOK)
	var servers []struct {
		Kind, ID  string
		Expires   *float64 `json:"expires_seconds"`
		Uptime    *float64 `json:"uptime_seconds"`
		Workers   *int
		Functions map[string]map[string]int
	}
	if err := json.Unmarshal([]byte(r.stdout), &servers); err != nil {
		t.Fatal(err)
	}
	if len(servers) != 3 || servers[1].Kind != "worker" || servers[1].ID != "one" || *servers[1].Expires < 3000 || *servers[1].Expires > 3600 ||
		*servers[1].Uptime != 2.5 || *servers[1].Workers != 8 || servers[1].Functions["b"]["in_flight"] != 2 ||
		servers[2].Expires != nil || servers[2].Uptime != nil || servers[2].Workers != nil || servers[2].Functions != nil {
		t.Errorf("got %s", r.stdout)
	}
}

func TestQueues(t *testing.T) {
	rdb, url := startRedis(t)
	r := redrpc(t, "queues", "--redis", url)
	r.want(t, exitOK, "no call is waiting")

	sent := time.Now().Add(-time.Hour).Format(time.RFC3339Nano)
	for queue, messages := range map[string][]any{
		"redis_rpc:go:calls":                            {fmt.Sprintf(`{"id":"1","ts":%q}`, sent), "{}", "{}"},
		"redis_rpc:python\x1b[2J\u009b\u202e\x7f:calls": {`{"id":"1","ts":"2026-01-01T00:00:00.123456"}`},
	} {
		if err := rdb.RPush(t.Context(), queue, messages...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r = redrpc(t, "queues", "--redis", url)
	r.want(t, exitOK)
	if !regexp.MustCompile(`^FUNCTION       WAITING  OLDEST\ngo             3        1h\d+m\d[\d.]*s\npython\?\[2J\?\?\?  1        -\n$`).MatchString(r.stdout) {
		t.Errorf("got\n%s", r.stdout)
	}
	r = redrpc(t, "queues", "--redis", url, "--output", "json")
	r.want(t, exitOK)
	var queues []struct {
		Function string
		Waiting  int
		Oldest   *float64 `json:"oldest_seconds"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &queues); err != nil {
		t.Fatal(err)
	}
	if len(queues) != 2 || queues[0].Function != "go" || queues[0].Waiting != 3 || queues[0].Oldest == nil || *queues[0].Oldest < 3599 || queues[1].Oldest != nil || queues[1].Function != "python\x1b[2J\u009b\u202e\x7f" {
		t.Errorf("got %s", r.stdout)
	}
}

func TestLooksWithoutRedis(t *testing.T) {
	for _, command := range []string{"servers", "queues"} {
		r := redrpc(t, command, "--redis", "redis://127.0.0.1:1")
		r.want(t, exitFailed, "redis://127.0.0.1:1")
	}
}
