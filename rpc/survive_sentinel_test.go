package rpc_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// TestSurvivesFailover: client and server follow the master, whether it is alive
// when it is replaced, dead, or dead for a while only.
func TestSurvivesFailover(t *testing.T) {
	t.Parallel()
	family := redistest.StartFamily(t, 2, 3)
	opt := &redis.FailoverOptions{MasterName: family.Name, ReadTimeout: time.Second, DialTimeout: time.Second, MaxRetries: -1}
	for _, s := range family.Sentinels {
		opt.SentinelAddrs = append(opt.SentinelAddrs, s.Addr)
	}
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: family.Sentinels[0].Addr})
	defer sentinel.Close()
	master := func(l *load) *redistest.Server {
		l.Helper()
		addr, err := sentinel.GetMasterAddrByName(l.ctx, family.Name).Result()
		if err != nil {
			l.Fatal(err)
		}
		for _, s := range family.Servers {
			if s.Addr == addr[0]+":"+addr[1] {
				return s
			}
		}
		l.Fatalf("the master is %v, which is none of the family", addr)
		return nil
	}
	// awaitOther waits until another server is the master.
	awaitOther := func(l *load, old *redistest.Server) {
		l.Helper()
		for start := time.Now(); master(l) == old; time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > recovery {
				l.Fatalf("the master is still %s", old.Addr)
			}
		}
	}
	for _, c := range []trial{
		{name: "master replaced", failover: true, may: both, happen: func(l *load) {
			old := master(l)
			if err := sentinel.Failover(l.ctx, family.Name).Err(); err != nil {
				l.Fatal(err)
			}
			awaitOther(l, old)
		}},
		{name: "master paused", failover: true, may: both, must: true, happen: func(l *load) {
			old := master(l)
			old.Pause(l.T)
			awaitOther(l, old)
			old.Resume(l.T)
		}},
		{name: "master dead", failover: true, may: both, must: true, happen: func(l *load) {
			old := master(l)
			old.Stop()
			awaitOther(l, old)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb := redis.NewFailoverClient(opt)
			t.Cleanup(func() { rdb.Close() }) // after clients and servers
			var loads []*load
			for _, f := range fleets {
				loads = append(loads, newLoad(&house{T: t, rdb: rdb, prefix: string(f), fleet: f}))
			}
			c.endure(loads...)
		})
	}
}
