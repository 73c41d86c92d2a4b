package rpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// A servedClient is the servers of a house, old ones and new ones, whose function counts how
// often each call ran.
type servedClient struct {
	*house
	client *rpc.Client
	mu     sync.Mutex // guards what follows
	ran    map[int]int
	begun  int  // calls
	broken bool // a call has failed, so no others are made
}

// oldServer and oldPort speak the protocol as it was at first.
var (
	oldServer = rpc.ServerOptions{NoExtensions: true}
	oldPort   = rpc.ClientOptions{NoExtensions: true}
	newServer rpc.ServerOptions
	newClient rpc.ClientOptions
)

// startClient has no servers yet. The client's connections are called "caller".
func startClient(h *house, opt rpc.ClientOptions) *servedClient {
	return &servedClient{house: h, client: h.named("caller").newClient(opt), ran: map[int]int{}}
}

// hireOne starts a server.
func (f *servedClient) hireOne(opt rpc.ServerOptions) *hand {
	return f.employ(opt, offer("count", func(_ context.Context, in struct{ N int }) (int, error) {
		f.mu.Lock()
		f.ran[in.N]++
		f.mu.Unlock()
		return in.N, nil
	}))
}

// call makes the next call, and returns how long it took.
func (f *servedClient) call() time.Duration {
	f.mu.Lock()
	n, broken := f.begun, f.broken
	if !broken {
		f.begun++
	}
	f.mu.Unlock()
	if broken {
		return 0
	}
	o := <-f.start(context.Background(), f.client, "count", n, rpc.Timeout(patience))
	o.isResult(f.T)
	if o.err != nil {
		f.mu.Lock()
		f.broken = true
		f.mu.Unlock()
	}
	return o.took
}

// calls makes calls by several callers, and returns the longest time that one took.
func (f *servedClient) calls(callers, each int) (longest time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				took := f.call()
				mu.Lock()
				longest = max(longest, took)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return longest
}

// load calls by several callers until stop.
func (f *servedClient) load(callers int) (stop func()) {
	end := make(chan struct{})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-time.After(time.Millisecond):
					f.call()
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(end)
		all.Wait()
	})
	f.Cleanup(stop)
	return stop
}

// await waits for so many more calls that run.
func (f *servedClient) await(more int) {
	f.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.ran)
	}
	before := count()
	eventually(f.T, fmt.Sprintf("%d more calls to run", more), func() bool { return count() >= before+more })
}

// check ends everything, and checks that each call ran once and that nothing is left.
func (f *servedClient) check(servers ...*hand) {
	f.Helper()
	for n := range f.begun {
		if got := f.ran[n]; got != 1 {
			f.Errorf("call %d ran %d times", n, got)
		}
	}
	for _, key := range f.keys("client:*") {
		if ttl := f.rdb.TTL(context.Background(), key).Val(); ttl == -1 {
			f.Errorf("%s has no time to live", key)
		}
	}
	closeSoon(f.T, f.client)
	for _, w := range servers {
		w.end(f.T)
	}
	f.awaitNoKeys()
}

// watchConnections notes the most connections of the client at a time, as the client
// and as Redis count them.
func (f *servedClient) watchConnections() (most func() (own, redis int)) {
	end, ended := make(chan struct{}), make(chan struct{})
	var own, all int
	go func() {
		defer close(ended)
		for {
			own = max(own, f.client.Conns())
			list, _ := f.rdb.ClientList(context.Background()).Result()
			all = max(all, strings.Count(list, " name=caller "))
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	stop := sync.OnceFunc(func() {
		close(end)
		<-ended
	})
	f.Cleanup(stop)
	return func() (int, int) {
		stop()
		return own, all
	}
}

// TestFleets: clients and servers of any version work together, whichever of them they
// meet first.
func TestFleets(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	const (
		callers  = 200
		maxConns = 10
	)
	var scenarios []scenario
	for _, c := range []struct {
		name    string
		client  rpc.ClientOptions
		servers []rpc.ServerOptions
	}{
		{"old servers", newClient, []rpc.ServerOptions{oldServer, oldServer}},
		{"one old server", newClient, []rpc.ServerOptions{oldServer}},
		{"old and new servers", newClient, []rpc.ServerOptions{oldServer, newServer, oldServer, newServer}},
		{"new servers", newClient, []rpc.ServerOptions{newServer, newServer}},
		{"old client, new servers", oldPort, []rpc.ServerOptions{newServer, newServer}},
		{"old client, old and new servers", oldPort, []rpc.ServerOptions{oldServer, newServer}},
	} {
		for _, atFirst := range []int{1, callers} {
			name := fmt.Sprintf("%s, %d", c.name, atFirst)
			scenarios = append(scenarios, scenario{strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				h := newHouse(t, &redis.Options{Addr: addr})
				h.prefix = name
				opt := c.client
				opt.MaxConns = maxConns
				f := startClient(h, opt)
				var servers []*hand
				for _, opt := range c.servers {
					servers = append(servers, f.hireOne(opt))
				}
				most := f.watchConnections()
				first := f.calls(atFirst, 1)
				then := f.calls(atFirst, 1)
				f.calls(8, 25)
				longest := f.calls(callers, 2)
				own, _ := most()
				t.Logf("first call %v, second %v, longest of %d callers %v, %d connections", first, then, callers, longest, own)
				if most := maxConns + 4; own > most { // with those on which no call waits
					t.Errorf("the client had %d connections, want no more than %d", own, most)
				}
				f.check(servers...)
			}})
		}
	}
	atOnce(t, scenarios)
}

// TestConnectionsWithOldServers counts them by Redis, where many calls wait for old
// servers at a time.
func TestConnectionsWithOldServers(t *testing.T) {
	t.Parallel()
	for _, maxConns := range []int{3, 10} {
		h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
		f := startClient(h, rpc.ClientOptions{MaxConns: maxConns})
		const calls = 200
		entered, goOn := make(chan int, calls), make(chan struct{})
		w := h.employ(rpc.ServerOptions{NoExtensions: true, Workers: calls}, offer("wait", func(_ context.Context, in struct{ N int }) (int, error) {
			entered <- in.N
			<-goOn
			return in.N, nil
		}), small)
		f.client.Call(context.Background(), "small", rpc.Args{"n": 1}, nil) // and now it is known what this server is
		most := f.watchConnections()
		var ended []<-chan outcome
		for n := range calls {
			ended = append(ended, h.start(context.Background(), f.client, "wait", n, rpc.Timeout(2*patience)))
		}
		// If each that waits holds a connection not all can be under way.
		for range min(calls, maxConns-2) {
			next(t, entered)
		}
		time.Sleep(50 * time.Millisecond) // for more that there should not be
		close(goOn)
		for _, ended := range ended {
			next(t, ended).isResult(t)
		}
		own, byRedis := most()
		t.Logf("at most %d connections, %d by Redis", own, byRedis)
		if own > maxConns || byRedis > maxConns {
			t.Errorf("the client had %d connections, %d by Redis, want no more than %d", own, byRedis, maxConns)
		}
		closeSoon(t, f.client)
		w.end(t)
		h.awaitNoKeys()
	}
}

// TestFleetReplaced: servers are replaced by such of another version, and back, while
// there is load.
func TestFleetReplaced(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	var scenarios []scenario
	for _, c := range []struct {
		name string
		opt  rpc.ClientOptions
	}{{"new client", newClient}, {"old client", oldPort}} {
		scenarios = append(scenarios, scenario{c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: addr})
			h.prefix = c.name
			f := startClient(h, c.opt)
			w := f.hireOne(newServer)
			stop := f.load(16)
			f.await(100)
			for i := range 6 {
				opt := oldServer
				if i%2 == 1 {
					opt = newServer
				}
				if i < 4 { // both serve for a time
					other := f.hireOne(opt)
					f.await(50)
					w.end(t)
					w = other
				} else { // nobody does
					w.end(t)
					w = f.hireOne(opt)
				}
				f.await(100)
			}
			stop()
			f.check(w)
		}})
	}
	atOnce(t, scenarios)
}

// TestGivenUpCallsOfOldServers: what a call leaves behind that nobody waits for any more
// has a time to live, whichever server answers it.
func TestGivenUpCallsOfOldServers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h *house) {
		for i, opt := range []rpc.ServerOptions{oldServer, newServer} {
			h := &house{T: t, rdb: h.rdb, prefix: fmt.Sprint("p", i)}
			add, entered, goOn := blocked("f")
			w := h.employ(opt, add, small)
			client := h.newClient(rpc.ClientOptions{})
			next(t, h.start(context.Background(), client, "small", 1, rpc.Timeout(patience))).isResult(t)
			ctx, cancel := context.WithCancel(context.Background())
			var ended []<-chan outcome
			const calls = 10
			for n := range calls {
				ended = append(ended, h.start(ctx, client, "f", n, rpc.Timeout(patience)))
			}
			for range calls {
				next(t, entered)
			}
			cancel()
			for _, ended := range ended {
				is(t, next(t, ended).err, rpc.ErrNoResult, context.Canceled)
			}
			close(goOn)
			for n := range 20 {
				next(t, h.start(context.Background(), client, "small", n, rpc.Timeout(patience))).isResult(t)
			}
			w.end(t)
			closeSoon(t, client)
			for _, key := range h.keys("*") {
				ttl, err := h.rdb.TTL(context.Background(), key).Result()
				if err != nil || ttl <= 0 && ttl != -2 || ttl > 120*time.Second || strings.Contains(key, ":client:") {
					t.Errorf("%s is left, for %v, %v", key, ttl, err)
				}
			}
		}
	})
}

// TestPythonBesideNewServer: a program that behaves as the Python port serves the same
// functions as a new server.
func TestPythonBesideNewServer(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "redis")
	for name, opt := range map[string]rpc.ClientOptions{"new client": newClient, "old client": oldPort} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
			peer := startPeer(t, python, h.rdb.Options().Addr, h.prefix, "serve")
			if line := peer.line(t); line != "ready" {
				t.Fatalf("the Python peer said %q, want ready", line)
			}
			client, ctx := h.newClient(opt), context.Background()
			add := func(n int) error {
				got, err := rpc.Call[int](ctx, client, "add", rpc.Args{"a": n, "b": 1}, rpc.Timeout(patience))
				if err == nil && got != n+1 {
					err = fmt.Errorf("got %d, want %d", got, n+1)
				}
				return err
			}
			many := func(calls int) {
				var all sync.WaitGroup
				for n := range calls {
					all.Go(func() {
						if err := add(n); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			begun := time.Now()
			if err := add(0); err != nil {
				t.Error(err)
			}
			first := time.Since(begun)
			many(50)
			var ran atomic.Int32
			w := h.employ(rpc.ServerOptions{}, offer("add", func(_ context.Context, in struct{ A, B int }) (int, error) {
				ran.Add(1)
				return in.A + in.B, nil
			}))
			eventually(t, "the new server to take part", func() bool {
				many(20)
				return ran.Load() > 0
			})
			many(200)
			w.end(t)
			many(20)
			t.Logf("first call of the Python server %v; the new server ran %d calls", first, ran.Load())
			if keys := append(h.keys("*:result:*"), h.keys("client:*")...); len(keys) != 0 {
				for _, key := range keys {
					if ttl := h.rdb.TTL(ctx, key).Val(); ttl == -1 {
						t.Errorf("%s has no time to live", key)
					}
				}
			}
			closeSoon(t, client)
			eventually(t, "no key of a result or a client", func() bool { // what ends a BLPOP lives for up to 1 s
				return len(append(h.keys("*:result:*"), h.keys("client:*")...)) == 0
			})
		})
	}
}
