package command

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/internal/keyslot"
	"redrpc/internal/redistest"
)

// clusterKeys is how many keys the masters of a Cluster have.
func clusterKeys(t *testing.T, rdb *redis.ClusterClient) (each []int64) {
	t.Helper()
	var mu sync.Mutex // guards each
	err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
		n, err := master.DBSize(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		each = append(each, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return each
}

// Commands go to the masters of their keys, also while and after a slot is moved, whether
// its connections have pipelines or not.
func TestCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Addr}})
	t.Cleanup(func() { rdb.Close() })
	from := 0
	const key = "p:k:1" // of the slot that is moved
	slot := keyslot.Of(key)
	master, err := rdb.MasterForKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		if n.Addr == master.Options().Addr {
			from = i
		}
	}
	for _, pipeline := range []int{1, 8} {
		o := Options{
			Commands: commands("INCR k:__key__", "PING"), Prepare: []string{"SET k:__key__ 5"},
			Prefix: "p", Keys: 30, Connections: 2, Pipeline: pipeline, Batch: true,
		}
		l := open(t, rdb, o)
		if _, err := l.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, n := range clusterKeys(t, rdb) {
			if n == 0 {
				t.Error("a master has no key")
			}
		}
		to := (from + 1) % 3
		var sent atomic.Int64
		res := run(t, l, bench.Config{Callers: 2 * pipeline, Calls: 1500, Do: func(ctx context.Context, a *bench.Attempt) error {
			switch sent.Add(1) {
			case 300:
				redistest.StartMove(t, nodes[from], nodes[to], slot)
			case 600:
				rdb.Del(ctx, key) // so that the node sends who comes on by ASK
			case 900:
				redistest.FinishMove(t, nodes[from], nodes[to], slot)
			}
			return l.Do(ctx, a)
		}})
		if res.Calls != 1500 {
			t.Errorf("pipeline of %d: %d calls, errors %v", pipeline, res.Calls, res.ErrorSamples)
		}
		if err := l.Delete(t.Context()); err != nil {
			t.Error(err)
		}
		for _, n := range clusterKeys(t, rdb) {
			if n > 0 {
				t.Errorf("%d keys are left", n)
			}
		}
		l.Close()
		from = to
	}
	testFailover(t, rdb, nodes)
	l := open(t, rdb, Options{Commands: commands("MGET a b c"), Connections: 1})
	if _, err := l.Prepare(t.Context()); err == nil || Kind(err) != "CROSSSLOT" {
		t.Errorf("keys of several slots: got %v", err)
	}
}

// testFailover: who has the slots of a master that is gone is found out.
func testFailover(t *testing.T, rdb *redis.ClusterClient, nodes []*redistest.Server) {
	l := open(t, rdb, Options{Commands: commands("SET k:__key__ x"), Keys: 30, Connections: 2})
	replica := redistest.StartReplica(t, nodes, nodes[0])
	redistest.Promote(t, replica)
	nodes[0].Stop()
	for began := time.Now(); ; {
		res := run(t, l, bench.Config{Callers: 2, Calls: 100})
		if res.Errors == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("errors %v", res.ErrorSamples)
		}
	}
}

// Sentinel says which Redis is the master.
func TestSentinel(t *testing.T) {
	family := redistest.StartFamily(t, 0, 1)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: family.Name, SentinelAddrs: []string{family.Sentinels[0].Addr}})
	defer rdb.Close()
	l := open(t, rdb, Options{Commands: commands("INCR k:__key__"), Connections: 2})
	if res := run(t, l, bench.Config{Callers: 2, Calls: 50}); res.Calls != 50 {
		t.Errorf("%d calls, errors %v", res.Calls, res.ErrorSamples)
	}
	l.Close()
}

// When a Redis is no master any more its connections are made anew, to who is.
func TestNewMaster(t *testing.T) {
	old, master := redistest.Start(t), redistest.Start(t)
	addr := atomic.Pointer[string]{}
	addr.Store(&old.Addr)
	rdb := redis.NewClient(&redis.Options{Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", *addr.Load())
	}})
	defer rdb.Close()
	l := open(t, rdb, Options{Commands: commands("INCR k"), Connections: 3})
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Do(t.Context(), "replicaof", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	addr.Store(&master.Addr)
	res := run(t, l, bench.Config{Callers: 3, Calls: 100})
	if refused := res.ErrorsByKind["READONLY"]; refused != 3 || res.Calls != 97 {
		t.Errorf("%d calls, errors %v", res.Calls, res.ErrorSamples)
	}
	l.Close()
}
