package rpc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// TestSurvivesRedis: what happens to a redis-server, and what it does to those who
// rely on it.
func TestSurvivesRedis(t *testing.T) {
	t.Parallel()
	do := func(l *load, args ...any) {
		l.Helper()
		if err := l.rdb.WithTimeout(patience).Do(l.ctx, args...).Err(); err != nil {
			l.Errorf("%v: %v", args, err)
		}
	}
	often := func(args ...any) func(*load, *redistest.Server) {
		return func(l *load, _ *redistest.Server) {
			for range 10 {
				do(l, args...)
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	// set changes a setting for a while.
	set := func(name, during, after string) func(*load, *redistest.Server) {
		return func(l *load, _ *redistest.Server) {
			do(l, "config", "set", name, during)
			l.awaitErrors()
			do(l, "config", "set", name, after)
		}
	}
	paused := func(d time.Duration) func(*load, *redistest.Server) {
		return func(l *load, s *redistest.Server) {
			s.Pause(l.T)
			time.Sleep(d)
			s.Resume(l.T)
		}
	}
	// rights takes rights from everybody for a while.
	rights := func(commands ...string) func(*load, *redistest.Server) {
		return func(l *load, _ *redistest.Server) {
			change := func(sign string) {
				args := []any{"acl", "setuser", "default"}
				for _, command := range commands {
					args = append(args, sign+command)
				}
				do(l, args...)
			}
			change("-")
			time.Sleep(time.Second) // longer than calls wait
			change("+")
		}
	}
	for _, c := range []struct {
		trial
		happen func(*load, *redistest.Server)
	}{
		{trial{name: "servers replaced", may: harmless}, func(l *load, _ *redistest.Server) { l.relieve() }},
		{trial{name: "connections killed", may: both}, often("client", "kill", "type", "normal", "skipme", "yes")},
		{trial{name: "restarted", may: both, must: true}, func(l *load, s *redistest.Server) {
			s.Stop()
			l.awaitErrors()
			s.Restart(l.T)
		}},
		{trial{name: "paused", may: harmless}, paused(500 * time.Millisecond)},
		{trial{name: "paused for long", may: both, must: true}, paused(3 * time.Second)},
		{trial{name: "asleep", may: harmless}, func(l *load, _ *redistest.Server) { do(l, "debug", "sleep", "0.5") }},
		{trial{name: "asleep for long", may: both, must: true}, func(l *load, _ *redistest.Server) { do(l, "debug", "sleep", "1.5") }},
		{trial{name: "loading", may: both, must: true}, func(l *load, _ *redistest.Server) {
			do(l, "config", "set", "key-load-delay", "1000", "loading-process-events-interval-bytes", "1024") // 1 ms for each key
			do(l, "debug", "populate", "500", l.prefix+":ballast")
			do(l, "debug", "reload")
		}},
		{trial{name: "pushes forbidden", may: both, must: true, texts: []string{"NOPERM", "timeout"}}, rights("rpush")},
		{trial{name: "pops forbidden", may: both, must: true, texts: []string{"NOPERM", "timeout"}}, rights("blpop", "blmpop", "lpop")},
		{trial{name: "reads forbidden", may: both}, rights("blmove", "brpoplpush", "lrange", "ltrim", "exists", "lindex")},
		{trial{name: "writes paused", may: harmless}, often("client", "pause", 30, "write")},
		{trial{name: "flushed", may: both}, often("flushall")},
		{trial{name: "databases swapped", may: both}, often("swapdb", 0, 1)},
		{trial{name: "out of memory", may: both, must: true}, set("maxmemory", "1", "0")},
		{trial{name: "replica for a while", may: both, must: true}, func(l *load, _ *redistest.Server) {
			do(l, "replicaof", "127.0.0.1", "1")
			l.awaitErrors()
			do(l, "replicaof", "no", "one")
		}},
	} {
		survive(t, []trial{c.trial}, fleets, func(t *testing.T, f fleet, _ trial) {
			t.Parallel()
			s := redistest.Start(t, "--enable-debug-command", "yes")
			opt := &redis.Options{Addr: s.Addr, ReadTimeout: patience, MaxRetries: -1}
			if strings.HasSuffix(c.name, "for long") {
				opt.ReadTimeout = time.Second
			}
			h := newHouse(t, opt)
			h.fleet = f
			trial := c.trial
			trial.happen = func(l *load) { c.happen(l, s) }
			trial.endure(newLoad(h))
		})
	}
}
