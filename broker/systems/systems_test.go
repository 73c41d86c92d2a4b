// Package systems tests the broker with programs that use Redis: queues, locks, rate
// limiters, caches, sessions and clients. A flow uses one of them as its users do, and runs
// on redis-server and on a broker in strict mode, with the same assertions.
//
// They are a module of their own because of the libraries that they need.
package systems

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/internal/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// scs.New begins with a store in memory, whose goroutine cannot be ended for sure.
		goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"),
		// A subscriber of watermill that was closed sleeps for half a second.
		goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream.(*Subscriber).read"))
}

// A server is what a flow runs on: redis-server, or a broker.
type server struct {
	addr string
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// onEach runs a flow on redis-server and on a broker without a port. With -v the test says
// which commands the flow needs, with -short it runs on the broker only.
func onEach(t *testing.T, flow func(*testing.T, server)) {
	onRedis(t, flow)
	t.Run("broker", func(t *testing.T) {
		t.Parallel()
		b, _ := brokertest.Start(t, broker.Options{Strict: true})
		flow(t, server{"127.0.0.1:0", b.Dial})
	})
}

// onEachByTCP is onEach for programs that need a port.
func onEachByTCP(t *testing.T, flow func(*testing.T, server)) {
	onRedis(t, flow)
	t.Run("broker", func(t *testing.T) {
		t.Parallel()
		b, _ := brokertest.Start(t, broker.Options{Strict: true})
		addr, err := b.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		flow(t, server{addr.String(), new(net.Dialer).DialContext})
	})
}

func onRedis(t *testing.T, flow func(*testing.T, server)) {
	if testing.Short() {
		return
	}
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		s := server{redistest.Start(t).Addr, new(net.Dialer).DialContext}
		rdb := s.client(t)
		flow(t, s)
		t.Logf("%s: %s", t.Name(), commandsUsed(t, rdb))
	})
}

// commandsUsed lists the commands that a server has run, but for those that clients open
// connections with.
func commandsUsed(t *testing.T, rdb *redis.Client) string {
	t.Helper()
	stats, err := rdb.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(stats) {
		name, isStat := strings.CutPrefix(line, "cmdstat_")
		name, _, _ = strings.Cut(name, ":")
		if isStat && !slices.Contains([]string{"hello", "client|setinfo", "info"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// client returns a client with the defaults of go-redis, which the test closes.
func (s server) client(t *testing.T) *redis.Client { return s.clientIn(t, 0) }

// clientIn is client in another database.
func (s server) clientIn(t *testing.T, db int) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: s.addr, Dialer: s.dial, DB: db})
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return rdb
}

// ok fails the test if there is an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal reports a value that is not as it should be.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// patience is how long a test waits for what has to come.
const patience = 60 * time.Second

// bounded returns a context that ends when a test has waited too long.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for a value, or the end, of a channel.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited too long for %s", what)
		panic("not reached")
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
