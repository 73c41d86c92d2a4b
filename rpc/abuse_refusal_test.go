package rpc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestResultRefusedForAWhile: Redis takes no writes at the moment of the answer. The
// caller gets its result when Redis does again, and the function has run once.
func TestResultRefusedForAWhile(t *testing.T) {
	t.Parallel()
	const refused = 100 * time.Millisecond
	var scenarios []scenario
	for _, c := range []struct {
		name    string
		on, off []any
	}{
		{"OOM", []any{"config", "set", "maxmemory", "1"}, []any{"config", "set", "maxmemory", "0"}},
		{"NOREPLICAS", []any{"config", "set", "min-replicas-to-write", "1"}, []any{"config", "set", "min-replicas-to-write", "0"}},
		{"READONLY", []any{"replicaof", "127.0.0.1", "1"}, []any{"replicaof", "no", "one"}},
		{"nothing", []any{"ping"}, []any{"ping"}}, // this is how it is without a refusal
	} {
		scenarios = append(scenarios, scenario{c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
			var ran atomic.Int32
			off := make(chan error, 3) // the refusal has ended
			w := h.employ(rpc.ServerOptions{}, small, offer("f", func(_ context.Context, in struct{ N int }) (int, error) {
				ran.Add(1)
				err := h.rdb.Do(context.Background(), c.on...).Err()
				time.AfterFunc(refused, func() { off <- h.rdb.Do(context.Background(), c.off...).Err() })
				return in.N, err
			}))
			client, ctx := h.newClient(rpc.ClientOptions{Timeout: prompt}), context.Background()
			old := h.newClient(rpc.ClientOptions{Timeout: prompt, NoExtensions: true})
			for n, client := range []*rpc.Client{client, old, client} {
				next(t, h.start(ctx, client, "f", n)).isResult(t)
				if err := next(t, off); err != nil {
					t.Error(err)
				}
				next(t, h.start(ctx, client, "small", n)).isResult(t)
			}
			if ran.Load() != 3 {
				t.Errorf("3 calls ran %d times", ran.Load())
			}
			w.end(t)
		}})
	}
	atOnce(t, scenarios)
}

// Replies with which Redis refuses for a while, and which commands of a server it
// refuses so.
var refusals = []struct{ text, command string }{
	{"OOM command not allowed when used memory > 'maxmemory'.", "rpush"},
	{"NOREPLICAS Not enough good replicas to write.", "rpush"},
	{"READONLY You can't write against a read only replica.", "rpush"},
	{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "rpush"},
	{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "rpush"},
	{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", ""},
	{"LOADING Redis is loading the dataset in memory", ""},
}

// TestResultRefusedByAnyReply is TestResultRefusedForAWhile for what is hard to bring
// about on a redis-server, in fake time.
func TestResultRefusedByAnyReply(t *testing.T) {
	t.Parallel()
	for _, c := range refusals {
		name, _, _ := strings.Cut(c.text, " ")
		for _, inAll := range []bool{false, true} { // what the server sends, or everything
			t.Run(name+map[bool]string{true: " everywhere"}[inAll], func(t *testing.T) {
				inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
					fault := broker.Fault{Error: c.text, Command: c.command, Client: "staff"}
					if inAll {
						fault.Client = ""
					}
					var ran atomic.Int32
					h.named("staff").employ(rpc.ServerOptions{}, small, offer("f", func(_ context.Context, in struct{ N int }) (int, error) {
						ran.Add(1)
						rule, err := b.Inject(fault)
						if err != nil {
							t.Error(err)
							return 0, err
						}
						time.AfterFunc(100*time.Millisecond, rule.Remove)
						return in.N, nil
					}))
					const timeout = 5 * time.Second
					client := h.newClient(rpc.ClientOptions{Timeout: timeout})
					old := h.newClient(rpc.ClientOptions{Timeout: timeout, NoExtensions: true})
					for n, client := range []*rpc.Client{client, old, client, old} {
						(<-h.start(context.Background(), client, "f", n)).isResult(t)
						time.Sleep(time.Second)
					}
					if ran.Load() != 4 {
						t.Errorf("4 calls ran %d times", ran.Load())
					}
				})
			})
		}
	}
}

// TestResultRefusedForLong: Redis takes no results until callers have given up. They
// learn that there is none in time; the workers of the server are free again when it is
// over, and a Stop before that ends.
func TestResultRefusedForLong(t *testing.T) {
	t.Parallel()
	const (
		workers = 2
		timeout = 300 * time.Millisecond
		refused = 10 * time.Second
	)
	for _, c := range refusals {
		name, _, _ := strings.Cut(c.text, " ")
		for _, stopped := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " and stopped"}[stopped], func(t *testing.T) {
				inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
					add, entered, goOn := blocked("f")
					w := h.named("staff").employ(rpc.ServerOptions{Workers: workers}, small, add)
					client, ctx := h.newClient(rpc.ClientOptions{Timeout: timeout}), context.Background()
					for n := range 2 { // after which both sides know Redis's clock
						(<-h.start(ctx, client, "small", n)).isResult(t)
					}
					var ended []<-chan outcome
					for n := range workers {
						ended = append(ended, h.start(ctx, client, "f", n))
						<-entered
					}
					rule, err := b.Inject(broker.Fault{Error: c.text, Command: c.command, Client: "staff"})
					if err != nil {
						t.Fatal(err)
					}
					defer rule.Remove()
					close(goOn)
					for _, ended := range ended {
						o := <-ended
						is(t, o.err, rpc.ErrNoResult, context.DeadlineExceeded)
						if o.took != timeout {
							t.Errorf("a call ended after %v, want %v", o.took, timeout)
						}
					}
					if stopped {
						begun := time.Now()
						w.end(t) // within its limit, and Run, too
						if took := time.Since(begun); took > 2*refused {
							t.Errorf("Stop took %v, with callers that have given up", took)
						}
						return
					}
					time.Sleep(refused)
					rule.Remove()
					time.Sleep(3 * time.Second) // a server tries again with pauses
					for n := range 3 * workers {
						(<-h.start(ctx, client, "f", n)).isResult(t)
					}
					if n := w.Stats().InFlight; n != 0 {
						t.Errorf("%d calls are in flight", n)
					}
				})
			})
		}
	}
}

// TestMaxClients: where Redis takes no more connections, calls say so, and were not
// sent; calls over connections that there are go on; and all do when there is room.
func TestMaxClients(t *testing.T) {
	t.Parallel()
	h := newHouse(t, &redis.Options{Addr: redistest.Start(t, "--maxclients", "20").Addr})
	h.employ(rpc.ServerOptions{}, small)
	ctx := context.Background()
	lucky := h.newClient(rpc.ClientOptions{MaxConns: 3})
	for n := range 5 {
		next(t, h.start(ctx, lucky, "small", n, rpc.Timeout(prompt))).isResult(t)
	}
	steady := h.callSteadily(lucky, "small")
	steady.await(5)

	// Whoever is full is told so, and closed.
	const full = "-ERR max number of clients reached"
	var crowd []net.Conn
	leave := func() {
		for _, conn := range crowd {
			conn.Close()
		}
		crowd = nil
	}
	defer leave()
	fill := func() {
		t.Helper()
		for begun := time.Now(); time.Since(begun) < patience; {
			conn, err := net.Dial("tcp", h.rdb.Options().Addr)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			reply := make([]byte, len(full))
			_, err = conn.Write([]byte("PING\r\n"))
			n := 0
			if err == nil {
				n, err = conn.Read(reply)
			}
			if err == nil && strings.HasPrefix(string(reply[:n]), "+PONG") {
				crowd = append(crowd, conn)
				continue
			}
			conn.Close()
			return
		}
		t.Fatal("Redis does not get full")
	}
	for _, opt := range []rpc.ClientOptions{{}, {NoExtensions: true}} {
		fill()
		opt.Timeout = prompt
		client := h.newClient(opt)
		refused := func(err error) {
			t.Helper()
			is(t, err, rpc.ErrNotSent)
			if err != nil && !strings.Contains(err.Error(), "max number of clients reached") {
				t.Errorf("got %v, want Redis's reason", err)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want to be told at once", err)
			}
		}
		for n := range 5 {
			refused(next(t, h.start(ctx, client, "small", n)).err)
		}
		var many []<-chan outcome
		for n := range 20 {
			many = append(many, h.start(ctx, client, "small", n))
		}
		for _, ended := range many {
			refused(next(t, ended).err)
		}
		_, err := client.Send(ctx, "small", rpc.Args{"n": 1})
		refused(err)
		steady.await(5)
		leave()
		eventually(t, "calls to be answered", func() bool {
			return client.Call(ctx, "small", rpc.Args{"n": 1}, nil) == nil
		})
		for n := range 5 {
			next(t, h.start(ctx, client, "small", n)).isResult(t)
		}
	}
	steady.stop()
}
