package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/internal/redistest"
	"redrpc/internal/tlstest"
)

// onEach runs a test on the broker and on a real Redis.
func onEach(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient)) {
	t.Run("broker", func(t *testing.T) {
		_, rdb := brokertest.Start(t)
		test(t, rdb)
	})
	t.Run("redis", func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr})
		t.Cleanup(func() { rdb.Close() })
		test(t, rdb)
	})
}

func open(t *testing.T, rdb redis.UniversalClient, o Options) *Load {
	t.Helper()
	l, err := Open(t.Context(), rdb, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func commands(texts ...string) (all []Command) {
	for _, text := range texts {
		all = append(all, Command{Text: text})
	}
	return all
}

// run makes calls of a load; those of a batch in batches.
func run(t *testing.T, l *Load, cfg bench.Config) *bench.Result {
	t.Helper()
	if cfg.Do == nil {
		cfg.Do = l.Do
	}
	cfg.Classify = Kind
	if l.Batch {
		cfg.Batch, cfg.DoBatch = l.Pipeline, l.DoBatch
	}
	res, err := bench.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func keysOf(t *testing.T, rdb redis.UniversalClient) []string {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// Every command is sent once, in whatever way, and its keys lie under the prefix until
// they are deleted.
func TestLoad(t *testing.T) {
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		for _, c := range []struct {
			name string
			o    Options
			cfg  bench.Config
		}{
			{"closed", Options{Connections: 3}, bench.Config{Callers: 3}},
			{"RESP3", Options{Connections: 1, Protocol: 3}, bench.Config{}},
			{"more callers than connections", Options{Connections: 2}, bench.Config{Callers: 9}},
			{"pipelines", Options{Connections: 2, Pipeline: 5}, bench.Config{Callers: 10}},
			{"batches", Options{Connections: 2, Pipeline: 5, Batch: true}, bench.Config{Callers: 8}},
			{"open", Options{Connections: 3}, bench.Config{Model: bench.OpenLoop{Profile: bench.Constant(20_000)}}},
			{"open, pipelines", Options{Connections: 2, Pipeline: 50}, bench.Config{Model: bench.OpenLoop{Profile: bench.Constant(20_000)}}},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.o.Commands, c.o.Prefix, c.o.Keys = commands("HINCRBY h:__key__ f 1"), "p", 7
				l := open(t, rdb, c.o)
				c.cfg.Calls = 500
				if res := run(t, l, c.cfg); res.Calls != 500 || res.Errors != 0 {
					t.Fatalf("%d calls, errors %v", res.Calls, res.ErrorSamples)
				}
				sum := int64(0)
				for i := range 7 {
					n, err := rdb.HGet(t.Context(), fmt.Sprintf("p:h:%d", i), "f").Int64()
					if err != nil || n < 40 || n > 100 { // callers of a closed loop are not equally fast
						t.Errorf("key %d was used %d times, %v", i, n, err)
					}
					sum += n
				}
				if sum != 500 {
					t.Errorf("%d commands were run", sum)
				}
				if err := l.Delete(t.Context()); err != nil || len(keysOf(t, rdb)) > 0 {
					t.Errorf("left %v, %v", keysOf(t, rdb), err)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				if err := l.Do(t.Context(), new(bench.Attempt)); err == nil {
					t.Error("a closed load sent a command")
				}
			})
		}
	})
}

// All keys of a command get the prefix, wherever they stand, and nothing else does.
func TestKeysOfCommands(t *testing.T) {
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		for _, c := range []struct{ text, want string }{
			{"PING", "PING"},
			{"ECHO k", "ECHO k"},
			{"SET k k", "SET p:k k"},
			{"MSET a 1 b 2", "MSET p:a 1 p:b 2"},
			{"LMOVE a b LEFT RIGHT", "LMOVE p:a p:b LEFT RIGHT"},
			{"ZUNIONSTORE d 2 2 3 WEIGHTS 1 2", "ZUNIONSTORE p:d 2 p:2 p:3 WEIGHTS 1 2"},
			{"EVAL 'return 1' 1 1 1", "EVAL return 1 1 p:1 1"},
			{"SORT l LIMIT 0 1 STORE d", "SORT p:l LIMIT 0 1 STORE p:d"},
			{"XREAD COUNT 1 STREAMS a 0 0 0", "XREAD COUNT 1 STREAMS p:a p:0 0 0"},
			{"OBJECT ENCODING k", "OBJECT ENCODING p:k"},
			{"PUBLISH k k", "PUBLISH k k"},
		} {
			l := open(t, rdb, Options{Commands: commands(c.text), Prefix: "p", Connections: 1})
			if got := strings.Join(l.templates[0].with(0, ""), " "); got != c.want {
				t.Errorf("%s: got %s, want %s", c.text, got, c.want)
			}
			l.Close()
		}
	})
}

// What is wrong with a command is known before the run.
func TestRefusedCommands(t *testing.T) {
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		if err := rdb.RPush(t.Context(), "list", "x").Err(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			text string
			o    Options
			want string
		}{
			{text: "NOPE k", want: "this Redis has no command NOPE"},
			{text: "SET k", want: "ERR Invalid number of arguments"},
			{text: "PING a b", want: "ERR"},
			{text: "GET list", want: "WRONGTYPE Operation against a key"},
			{text: "INCRBY k x", want: "ERR value is not an integer"},
			{text: "OBJECT NOPE k", want: "ERR"},
			{text: "FLUSHALL", want: "has to be allowed"},
			{text: "FLUSHDB ASYNC", want: "has to be allowed"},
			{text: "SHUTDOWN", want: "has to be allowed"},
			{text: "DEBUG SLEEP 0", want: "has to be allowed"},
			{text: "CONFIG SET maxmemory 0", want: "has to be allowed"},
			{text: "SWAPDB 0 1", want: "has to be allowed"},
			{text: "SCRIPT FLUSH", want: "has to be allowed"},
			{text: "acl setuser x", want: "has to be allowed"},
			{text: "CLIENT KILL TYPE normal", want: "has to be allowed"},
			{text: "KEYS *", want: "has to be allowed"},
			{text: "SUBSCRIBE c", want: "changes what its connection does"},
			{text: "MULTI", want: "changes what its connection does"},
			{text: "client reply off", want: "changes what its connection does"},
			{text: "BLPOP k 1", o: Options{Pipeline: 2}, want: "expected a pipeline of 1"},
			{text: "XREAD BLOCK 0 STREAMS s 0", o: Options{Pipeline: 2}, want: "expected a pipeline of 1"},
			{text: "BLMOVE k k LEFT LEFT 1", o: Options{Pipeline: 2}, want: "expected a pipeline of 1"},
			{text: "LPUSH __data__ x", want: "in no key"},
			{text: "GET k", o: Options{Prepare: []string{"RPUSH list __nope__"}}, want: "unknown placeholder"},
			{text: "GET k", o: Options{Prepare: []string{"INCR list"}}, want: `to prepare by "INCR list": WRONGTYPE`},
		} {
			c.o.Commands, c.o.Connections = commands(c.text), 1
			l, err := Open(t.Context(), rdb, c.o)
			if err == nil {
				_, err = l.Prepare(t.Context())
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), strings.Fields(c.text)[0]) && !strings.Contains(err.Error(), "to prepare") && c.o.Prepare == nil {
				t.Errorf("%s: got %v, want %q", c.text, err, c.want)
			}
			if IsDangerous(err) != (c.want == "has to be allowed") {
				t.Errorf("%s: IsDangerous is %v", c.text, IsDangerous(err))
			}
		}
		for _, text := range []string{"FLUSHALL", "INFO", "CONFIG GET maxmemory", "BLPOP k 0", "BLPOP k 0.001", "XREAD STREAMS s 0"} {
			l := open(t, rdb, Options{Commands: commands(text), Connections: 1, AllowDangerous: text == "FLUSHALL"})
			if _, err := l.Prepare(t.Context()); err != nil {
				t.Error(err)
			}
			l.Close()
		}
	})
}

// Keys are there before the run, and a command that finds none is noted.
func TestPrepare(t *testing.T) {
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		o := Options{Commands: commands("GET k:__key__"), Prefix: "p", Keys: 2500, Connections: 2, Data: Size{3, 5}}
		l := open(t, rdb, o)
		if notes, err := l.Prepare(t.Context()); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "found nothing") {
			t.Errorf("got %v, %v", notes, err)
		}
		l.Close()
		o.Prepare = []string{"SET k:__key__ __data__", "CONFIG GET maxmemory", "SADD names k"}
		l = open(t, rdb, o)
		if notes, err := l.Prepare(t.Context()); err != nil || len(notes) != 0 {
			t.Fatalf("got %v, %v", notes, err)
		}
		if keys := keysOf(t, rdb); len(keys) != 2501 || l.Names() != 2501 {
			t.Errorf("there are %d keys, and %d known", len(keys), l.Names())
		}
		if n := rdb.StrLen(t.Context(), "p:k:2499").Val(); n < 3 || n > 5 {
			t.Errorf("a value has %d bytes", n)
		}
		if err := l.Delete(t.Context()); err != nil || len(keysOf(t, rdb)) > 0 {
			t.Errorf("left %v, %v", keysOf(t, rdb), err)
		}
	})
}

// Without a prefix keys are as they stand there, and are left.
func TestRawKeys(t *testing.T) {
	_, rdb := brokertest.Start(t)
	l := open(t, rdb, Options{Commands: commands("SET k:__key__ x"), Keys: 3, Connections: 1})
	run(t, l, bench.Config{Calls: 10})
	if err := l.Delete(t.Context()); err != nil || fmt.Sprint(keysOf(t, rdb)) != "[k:0 k:1 k:2]" {
		t.Errorf("left %v, %v", keysOf(t, rdb), err)
	}
}

// Errors are counted by kind, and what follows them is not disturbed.
func TestErrors(t *testing.T) {
	for _, way := range []Options{{Connections: 2}, {Connections: 2, Pipeline: 4}, {Connections: 2, Pipeline: 4, Batch: true}} {
		for _, c := range []struct {
			fault  broker.Fault
			kind   string
			others bool // of the same pipeline fail, too
		}{
			{broker.Fault{Command: "set", Times: 3, Error: "OOM command not allowed"}, "OOM", false},
			{broker.Fault{Command: "set", Times: 3, Error: "odd"}, "error", false},
			{broker.Fault{Command: "set", Times: 3, Drop: broker.DropBefore}, "connection", true},
			{broker.Fault{Command: "set", Times: 3, Drop: broker.DropHalf}, "connection", true},
			{broker.Fault{Command: "set", Times: 3, Delay: broker.Fixed(time.Hour)}, KindTimeout, true},
		} {
			t.Run(fmt.Sprintf("%d,%v,%s", way.Pipeline, way.Batch, c.fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, rdb := brokertest.Start(t)
					o := way
					o.Commands, o.Timeout = commands("SET k:__key__ v"), time.Second
					l := open(t, rdb, o)
					if _, err := b.Inject(c.fault); err != nil {
						t.Fatal(err)
					}
					res := run(t, l, bench.Config{Callers: o.Connections * max(1, o.Pipeline), Calls: 500})
					failed := res.ErrorsByKind[c.kind]
					if res.Calls+failed != 500 || failed < 3 && !c.others || failed == 0 || failed > 3 && (!c.others || failed > 12) {
						t.Errorf("%d calls, errors %v, such as %v", res.Calls, res.ErrorsByKind, res.ErrorSamples)
					}
					l.Close()
				})
			})
		}
	}
}

// A command ends soon after its context does, also one that waits for its turn.
func TestCanceled(t *testing.T) {
	for _, pipeline := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			_, rdb := brokertest.Start(t)
			l := open(t, rdb, Options{Commands: commands("GET k"), Connections: 1, Pipeline: pipeline, Timeout: time.Minute})
			stall := rdb.ClientPause(t.Context(), time.Hour)
			if stall.Err() != nil {
				t.Fatal(stall.Err())
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ended := make(chan error)
			for range pipeline + 1 {
				go func() { ended <- l.Do(ctx, new(bench.Attempt)) }()
			}
			began := time.Now()
			for range pipeline + 1 {
				if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || Kind(err) != "canceled" {
					t.Errorf("got %v", err)
				}
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("they ended after %v", took)
			}
			l.Close()
		})
	}
}

// To connect takes no longer than a command may.
func TestStalledRedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, rdb := brokertest.Start(t)
		l := open(t, rdb, Options{Commands: commands("GET k"), Connections: 1, Timeout: time.Second})
		b.Stall(time.Hour)
		for i := range 3 {
			began := time.Now()
			if err := l.Do(t.Context(), new(bench.Attempt)); Kind(err) != KindTimeout {
				t.Errorf("attempt %d: got %v", i, err)
			}
			if took := time.Since(began); took < time.Second || took > 1200*time.Millisecond {
				t.Errorf("attempt %d ended after %v", i, took)
			}
		}
		l.Close()
	})
}

// A connection may be idle for long, and a command block for as long as its timeout.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := brokertest.Start(t)
		for _, way := range []Options{{}, {Pipeline: 2}, {Pipeline: 2, Batch: true}} {
			way.Commands, way.Connections, way.Timeout = commands("BLPOP k 40"), 1, time.Minute
			if way.Pipeline > 1 {
				way.Commands = commands("GET k")
			}
			l := open(t, rdb, way)
			for range 3 {
				time.Sleep(time.Hour)
				if err := l.Do(t.Context(), new(bench.Attempt)); err != nil {
					t.Errorf("pipeline of %d: %v", way.Pipeline, err)
				}
			}
			l.Close()
		}
	})
}

// If one connection cannot be made there is no load, and none is left.
func TestTooManyConnections(t *testing.T) {
	_, rdb := brokertest.Start(t, broker.Options{MaxClients: 60})
	if _, err := Open(t.Context(), rdb, Options{Commands: commands("GET k"), Connections: 100}); err == nil {
		t.Error("100 connections were made where 60 are allowed")
	}
}

// A stall of 1 s is what most see who arrive regardless, and hardly any of those who wait
// for each other.
func TestStall(t *testing.T) {
	check := func(t *testing.T, open, closed *bench.Result) {
		t.Helper()
		if open.Errors+closed.Errors > 0 || *open.Latency.P99 < 0.5e6 {
			t.Errorf("open loop: p99 %v us, errors %v", *open.Latency.P99, open.ErrorSamples)
		}
		if *closed.Latency.P99 > 0.5e6 || *closed.Latency.Max < 0.9e6 {
			t.Errorf("closed loop: p99 %v us, max %v us", *closed.Latency.P99, *closed.Latency.Max)
		}
	}
	openLoop := bench.Config{Model: bench.OpenLoop{Profile: bench.Constant(200)}, Calls: 400, RunOn: true}
	closedLoop := bench.Config{Callers: 2, Calls: 1000}
	// after calls stall once a hundred commands were sent.
	after := func(l *Load, stall func()) func(context.Context, *bench.Attempt) error {
		var sent atomic.Int64
		return func(ctx context.Context, a *bench.Attempt) error {
			if sent.Add(1) == 100 {
				stall()
			}
			return l.Do(ctx, a)
		}
	}
	t.Run("broker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, rdb := brokertest.Start(t)
			l := open(t, rdb, Options{Commands: commands("INCR k:__key__"), Connections: 10})
			measure := func(cfg bench.Config) *bench.Result {
				cfg.Do = after(l, func() { b.Stall(time.Second) })
				return run(t, l, cfg)
			}
			check(t, measure(openLoop), measure(closedLoop))
			l.Close()
		})
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
		defer rdb.Close()
		l := open(t, rdb, Options{Commands: commands("INCR k:__key__"), Connections: 10})
		measure := func(cfg bench.Config) *bench.Result {
			resumed := make(chan struct{})
			cfg.Do = after(l, func() {
				server.Pause(t)
				time.AfterFunc(time.Second, func() {
					server.Resume(t)
					close(resumed)
				})
			})
			res := run(t, l, cfg)
			<-resumed
			return res
		}
		check(t, measure(openLoop), measure(closedLoop))
	})
}

// Connections are made as the options of the client say, by any transport.
func TestTransports(t *testing.T) {
	b, rdb := brokertest.Start(t, broker.Options{Password: "secret"})
	certificate, pool := tlstest.Certificate()
	secure, err := b.ListenTLS("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := b.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for i, opt := range []*redis.Options{
		{Addr: secure.String(), TLSConfig: &tls.Config{RootCAs: pool}},
		{Network: "unix", Addr: socket.String()},
	} {
		opt.Password, opt.DB, opt.ClientName = "secret", i+1, "load"
		client := redis.NewClient(opt)
		l := open(t, client, Options{Commands: commands("INCRBY n __key__"), Keys: 2, Connections: 2, Pipeline: 3, Batch: i == 0})
		if res := run(t, l, bench.Config{Callers: 6, Calls: 100}); res.Errors > 0 {
			t.Errorf("%d: errors %v", i, res.ErrorSamples)
		}
		if clients := rdb.ClientList(t.Context()).Val(); strings.Count(clients, "name=load") < 2 {
			t.Errorf("%d: clients %s", i, clients)
		}
		if n, err := client.Get(t.Context(), "n").Int(); err != nil || n == 0 {
			t.Errorf("%d: got %d, %v in database %d", i, n, err, i+1)
		}
		l.Close()
		client.Close()
	}
	wrong := redis.NewClient(&redis.Options{Network: "unix", Addr: socket.String(), Password: "other"})
	defer wrong.Close()
	if _, err := Open(t.Context(), wrong, Options{Commands: commands("PING")}); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
}
