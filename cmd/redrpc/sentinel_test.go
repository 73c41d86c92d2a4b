package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

func TestSentinelURLs(t *testing.T) {
	for text, want := range map[string]string{
		"redis-sentinel://h?master_name=m":                                               "redis-sentinel://h:26379?master_name=m",
		"redis-sentinel://u:secret@h:1,[::1]:2,i/3?master_name=m%20n":                    "redis-sentinel://h:1,[::1]:2,i:26379/3?master_name=m+n",
		"rediss-sentinel://:secret@h:1?sentinel_password=secret&master_name=m&db=4":      "rediss-sentinel://h:1/4?master_name=m",
		"REDIS-SENTINEL://:se,cret%40secret@h:1,i:2/?master_name=m&sentinel_username=s1": "redis-sentinel://h:1,i:2?master_name=m",
	} {
		e, err := parseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := where(e); got != want {
			t.Errorf("%s is shown as %s, expected %s", text, got, want)
		}
	}
	e, err := parseURL("rediss-sentinel://u:p@h:1,i:2/3?master_name=m&sentinel_username=su&sentinel_password=sp&client_name=c")
	if err != nil {
		t.Fatal(err)
	}
	if s := e.sentinels; e.Username != "u" || e.Password != "p" || e.DB != 3 || e.ClientName != "c" || e.TLSConfig == nil || e.TLSConfig.ServerName != "" ||
		s.master != "m" || s.user != "su" || s.password != "sp" || strings.Join(s.addrs, " ") != "h:1 i:2" {
		t.Errorf("got %+v, %+v", e, s)
	}
	for text, want := range map[string]string{
		"redis-sentinel://:secret@h:1":                                 "without the name of the master: ?master_name=NAME",
		"redis-sentinel://:secret@h:1?master_name=":                    "without the name of the master",
		"redis-sentinel://?master_name=m":                              "whose hosts or ports cannot be read",
		"redis-sentinel://:secret@h,?master_name=m":                    "whose hosts or ports cannot be read",
		"redis-sentinel://:secret@h:1:2?master_name=m":                 "whose hosts or ports cannot be read",
		"redis-sentinel://:sec/secret@h?master_name=m":                 "whose hosts or ports cannot be read",
		"redis-sentinel://:secret@h,i:99999?master_name=m":             "with a port that is no number from 1 to 65535",
		"redis-sentinel://h/secret?master_name=m":                      "whose database",
		"redis-sentinel://h?master_name=m&password=secret":             "whose options after the ?",
		"redis-sentinel://h?master_name=m&sentinel_password=%zzsecret": "whose options after the ?",
		"redis-sentinel://h/0#secret?master_name=m":                    "master_name",
		"redis-sentinel://h?master_name=m#secret":                      "with a #",
		"redis-sentinel:secret":                                        "got text that begins otherwise",
	} {
		redrpc(t, "call", "f", "--redis", text).want(t, exitUsage, "--redis: expected a URL such as", want)
	}
	redrpc(t, "call", "f", "--redis", "redis-sentinel://h?master_name=m", "--tls-ca", "x").want(t, exitUsage, "--tls-ca: expected together with a rediss:// or rediss-sentinel:// URL")
}

// Every command finds the master by Sentinels, also by those that are left when one is
// silent, and follows it.
func TestSentinel(t *testing.T) {
	t.Parallel()
	family := redistest.StartFamily(t, 1, 3)
	var addrs []string
	for _, s := range family.Sentinels {
		addrs = append(addrs, s.Addr)
	}
	url := "redis-sentinel://" + strings.Join(addrs, ",") + "?master_name=" + family.Name
	env := map[string]string{"REDIS_URL": url}
	server := start(t, env, "serve", "--id", "one")
	server.await(t, &server.stderr, "serving ")
	for _, c := range []struct{ args, stdout string }{
		{"call add a:=1 b:=2", "3\n"},
		{"servers", "one"},
		{"top -n 1", "servers online: 1"},
		{"queues --output json", "[]\n"},
		{"bench --calls 50 --warmup 0s --concurrency 2 --output json", url},
		{"bench --command PING --calls 50 --warmup 0s --concurrency 2", "PING"},
	} {
		r := redrpcIn(t, t.Context(), env, strings.Fields(c.args)...)
		r.wantMeasured(t)
		if !strings.Contains(r.stdout, c.stdout) {
			t.Errorf("%s: expected %s in %s", c.args, c.stdout, r.stdout)
		}
	}

	redrpc(t, "call", "f", "--redis", "redis-sentinel://"+addrs[0]+"?master_name=other").
		want(t, exitFailed, "cannot reach Redis at redis-sentinel://"+addrs[0]+"?master_name=other: no Sentinel names the master: "+addrs[0]+`: it knows no master "other"`)
	redrpc(t, "call", "f", "--redis", "redis://"+addrs[0]).want(t, exitFailed, "is a Sentinel: expected the URL of a Redis, or redis-sentinel://"+addrs[0]+"?master_name=NAME")
	redrpc(t, "call", "f", "--redis", "redis-sentinel://:secret@127.0.0.1:1,127.0.0.1:2?master_name=m&sentinel_password=secret").
		want(t, exitFailed, "no Sentinel names the master: 127.0.0.1:1: ", "; 127.0.0.1:2: ", "connection refused")
	redrpc(t, "call", "f", "--redis", "redis-sentinel://:secret@"+family.Servers[0].Addr+"?master_name=m").
		want(t, exitFailed, "no Sentinel names the master: "+family.Servers[0].Addr+": it is no Sentinel")

	family.Sentinels[0].Pause(t)
	redrpcIn(t, t.Context(), env, "call", "add", "a:=1", "b:=2").want(t, exitOK)
	silent, err := parseURL("redis-sentinel://" + addrs[0] + "?master_name=" + family.Name)
	if err != nil {
		t.Fatal(err)
	}
	redrpc(t, "call", "f", "--timeout", "100ms", "--redis", where(silent)).want(t, exitFailed, "no answer within 100ms")
	family.Sentinels[0].Resume(t)

	sentinel := redis.NewSentinelClient(&redis.Options{Addr: addrs[1]})
	defer sentinel.Close()
	if err := sentinel.Failover(t.Context(), family.Name).Err(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		at, err := sentinel.GetMasterAddrByName(t.Context(), family.Name).Result()
		if err == nil && net.JoinHostPort(at[0], at[1]) == family.Servers[1].Addr {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the master is still at %v, %v", at, err)
		}
	}
	redrpcIn(t, t.Context(), env, "call", "add", "a:=1", "b:=2", "--timeout", "1m").want(t, exitOK)
}
