package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestBroker(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0")
	url := strings.TrimSpace(b.await(t, &b.stdout, "\n"))
	rdb := connectTo(t, url)
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	taken := strings.TrimPrefix(url, "redis://")
	redrpc(t, "broker", "--addr", taken).want(t, exitFailed, taken+" is taken, perhaps by a Redis: choose another --addr, or port 0 for any")

	s := start(t, nil, "serve", "--redis", url)
	s.await(t, &s.stderr, "serving")
	r := redrpc(t, "call", "add", "a:=40", "b:=2", "--redis", url)
	r.want(t, exitOK)
	if r.stdout != "42\n" {
		t.Errorf("got %s", r.stdout)
	}
	s.stop()
	if code := s.wait(); code != exitOK {
		t.Errorf("serve: exit code %d: %s", code, s.stderr.String())
	}
	b.stop()
	if code := b.wait(); code != exitOK || b.stderr.String() != "" {
		t.Errorf("broker: exit code %d: %s", code, b.stderr.String())
	}
}

// lines returns what a background command has written to stdout, when it has
// written so many lines.
func (b *background) lines(t *testing.T, n int) []string {
	t.Helper()
	text := b.awaitThat(t, &b.stdout, fmt.Sprint(n, " lines"), func(text string) bool { return strings.Count(text, "\n") >= n })
	return strings.Split(strings.TrimSpace(text), "\n")
}

// The broker serves each address that it was given, and prints a URL for each, which
// reaches it, without the password.
func TestBrokerListens(t *testing.T) {
	dir := t.TempDir()
	socket, passwordFile := filepath.Join(dir, "broker.sock"), filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := newAuthority(t, dir)
	cert, key := authority.issue(t, dir, "broker")
	clientCert, clientKey := authority.issue(t, dir, "client")
	tls := []string{"--tls-ca", authority.file, "--tls-cert", clientCert, "--tls-key", clientKey}

	for _, c := range []struct {
		name, env string
		args      []string
		prefixes  []string // of the URLs
		with      []string // flags of a client over TCP
	}{
		{"the defaults but for the port", "", []string{"--addr", ":0"}, []string{"redis://127.0.0.1:"}, nil},
		{"several addresses", "", []string{"--addr", "127.0.0.1:0", "--addr", "127.0.0.1:0", "--unix", socket},
			[]string{"redis://127.0.0.1:", "redis://127.0.0.1:", "unix://" + socket}, nil},
		{"a Unix socket alone", "", []string{"--unix", socket, "--unix-mode", "0600"}, []string{"unix://" + socket}, nil},
		{"a password in the environment", "secret", []string{"--addr", "127.0.0.1:0"}, []string{"redis://127.0.0.1:"}, nil},
		{"a password in a file", "wrong", []string{"--addr", "127.0.0.1:0", "--password-file", passwordFile}, []string{"redis://127.0.0.1:"}, nil},
		{"TLS", "", []string{"--addr", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--unix", socket}, []string{"rediss://127.0.0.1:", "unix://" + socket}, tls[:2]},
		{"TLS with client certificates", "", []string{"--addr", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--tls-ca", authority.file},
			[]string{"rediss://127.0.0.1:"}, tls},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, map[string]string{"REDRPC_PASSWORD": c.env}, append([]string{"broker"}, c.args...)...)
			urls := b.lines(t, len(c.prefixes))
			for i, url := range urls {
				if !strings.HasPrefix(url, c.prefixes[i]) || strings.Contains(url, "secret") {
					t.Errorf("got the URL %s, expected %s...", url, c.prefixes[i])
				}
				if strings.Contains(c.name, "password") {
					redrpc(t, "bench", "--redis", url).want(t, exitFailed, "NOAUTH")
					url = strings.Replace(url, "://", "://:secret@", 1)
				}
				args := []string{"bench", "--redis", url, "--calls", "20", "--concurrency", "2", "--warmup", "0s"}
				if strings.HasPrefix(url, "redis") {
					args = append(args, c.with...)
				}
				redrpc(t, args...).want(t, exitOK)
				if len(c.with) == len(tls) {
					redrpc(t, append(args[:len(args)-len(tls)], tls[:2]...)...).want(t, exitFailed, "certificate")
				}
			}
			b.stop()
			if code := b.wait(); code != exitOK || b.stderr.String() != "" {
				t.Errorf("exit code %d: %s", code, b.stderr.String())
			}
			if _, err := os.Lstat(socket); err == nil {
				t.Error("the Unix socket was left behind")
			}
		})
	}
}

func TestBrokerSocketMode(t *testing.T) {
	for _, c := range []struct {
		args []string
		want fs.FileMode
	}{{nil, 0o700}, {[]string{"--unix-mode", "0660"}, 0o660}} {
		socket := filepath.Join(t.TempDir(), "s")
		b := start(t, nil, append([]string{"broker", "--unix", socket}, c.args...)...)
		b.lines(t, 1)
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != c.want {
			t.Errorf("%q: got %v, %v, expected %v", c.args, info.Mode(), err, c.want)
		}
		redrpc(t, "broker", "--unix", socket).want(t, exitFailed, "somebody serves it")
	}
}

// What the flags say of limits is what the broker holds to.
func TestBrokerLimits(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--maxclients", "7", "--databases", "3", "--timeout", "5m", "--notify-keyspace-events", "xE", "--unprotected", "--log-level", "error")
	rdb := connectTo(t, b.lines(t, 1)[0])
	for setting, want := range map[string]string{"maxmemory": "104857600", "maxmemory-policy": "allkeys-lru", "maxclients": "7", "databases": "3", "timeout": "300", "notify-keyspace-events": "xE", "protected-mode": "no"} {
		if got := rdb.ConfigGet(t.Context(), setting).Val()[setting]; got != want {
			t.Errorf("%s is %s, expected %s", setting, got, want)
		}
	}
}

// With --test-commands a test looks in and lets time pass; without it, it cannot.
func TestBrokerTestCommands(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0", "--test-commands", "--manual-time=2026-01-31T12:00:00Z")
	rdb, ctx := connectTo(t, b.lines(t, 1)[0]), t.Context()
	if at := rdb.Time(ctx).Val(); at.UTC().String() != "2026-01-31 12:00:00 +0000 UTC" {
		t.Errorf("the clock says %v", at)
	}
	if err := rdb.Do(ctx, "REDRPC.SEED", "SET k v PX 1500").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Do(ctx, "REDRPC.ADVANCE", 1499).Err(); err != nil {
		t.Fatal(err)
	}
	if got := rdb.Do(ctx, "REDRPC.SNAPSHOT").Val(); got != "SET k v PX 1\n" {
		t.Errorf("got %q", got)
	}
	b = start(t, nil, "broker", "--addr", "127.0.0.1:0")
	if err := connectTo(t, b.lines(t, 1)[0]).Do(ctx, "REDRPC.SNAPSHOT").Err(); !redis.HasErrorPrefix(err, "unknown command") {
		t.Errorf("without --test-commands: got %v", err)
	}
}

// What the broker has to say of a client is logged from --log-level on.
func TestBrokerLogLevel(t *testing.T) {
	for level, want := range map[string]bool{"info": true, "warn": false} {
		b := start(t, nil, "broker", "--addr", "127.0.0.1:0", "--log-level", level)
		opt, err := redis.ParseURL(b.lines(t, 1)[0])
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial(opt.Network, opt.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("*x\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		b.stop()
		b.wait()
		if got := strings.Contains(b.stderr.String(), "protocol error"); got != want {
			t.Errorf("at level %s: %q", level, b.stderr.String())
		}
	}
}

// Where other machines might reach a broker without a password, it says that they
// are refused.
func TestReachable(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:6379": false, "[::1]:6379": false, "[::]:6379": true, "0.0.0.0:6379": true, "192.0.2.1:6379": true} {
		if got := (&listenFlags{addrs: []string{addr}}).reachable(); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	for addr, want := range map[string]string{"0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "192.0.2.1:1": "192.0.2.1:1"} {
		if got := dialable(addr); got != want {
			t.Errorf("%s is reached at %s, expected %s", addr, got, want)
		}
	}
}

// A client's SHUTDOWN ends the command.
func TestBrokerShutdown(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0")
	rdb := connectTo(t, strings.TrimSpace(b.await(t, &b.stdout, "\n")))
	if err := rdb.Do(t.Context(), "SHUTDOWN", "NOSAVE").Err(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, expected that there is no answer", err)
	}
	if code := b.wait(); code != exitOK || !strings.Contains(b.stderr.String(), "SHUTDOWN") {
		t.Errorf("exit code %d: %s", code, b.stderr.String())
	}
}

// With --fault things go wrong as the rules say, for the first client already.
func TestBrokerFaults(t *testing.T) {
	b := start(t, nil, "broker", "--addr", "127.0.0.1:0",
		"--fault", `command=incr nth=2 error='READONLY You can\'t write'`, "--fault", "command=lpush drop=after", "--fault", "refuse nth=1")
	url := b.lines(t, 1)[0]
	ctx := t.Context()
	if err := connectTo(t, url).Ping(ctx).Err(); err == nil {
		t.Error("the first connection was not refused")
	}
	rdb := connectTo(t, url)
	if got, err := rdb.Incr(ctx, "n").Result(); got != 1 || err != nil {
		t.Errorf("the first INCR: %d, %v", got, err)
	}
	if err := rdb.Incr(ctx, "n").Err(); err == nil || err.Error() != "READONLY You can't write" {
		t.Errorf("the second INCR: %v", err)
	}
	if err := rdb.LPush(ctx, "q", "x").Err(); err == nil {
		t.Error("LPUSH was answered")
	}
	if n := rdb.LLen(ctx, "q").Val(); n != 1 {
		t.Errorf("the list has %d elements, expected that LPUSH has run once", n)
	}
}
