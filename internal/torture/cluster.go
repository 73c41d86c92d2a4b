package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/keyslot"
	"redrpc/internal/redistest"
)

// A shard is a master of a Cluster and its replica, whichever of them is which.
type shard [2]*redistest.Server

// startCluster makes three masters and their replicas the Redis of an arena.
func startCluster(a *arena) {
	a.Helper()
	timeout := []string{"--cluster-node-timeout", "1500"}
	masters := redistest.StartCluster(a, 3, timeout...)
	all := masters
	for _, m := range masters {
		r := redistest.StartReplica(a, all, m, timeout...)
		all = append(all, r)
		a.shards = append(a.shards, shard{m, r})
	}
	for _, s := range all {
		a.base.Nodes = append(a.base.Nodes, s.Addr)
	}
	a.base.Functions = []string{"work", "b", "c", "d", "e", "{b}f"} // which lie on all masters
	a.admin = redis.NewClusterClient(&redis.ClusterOptions{Addrs: a.base.Nodes})
	a.Cleanup(a.noteRoles(all))
}

// noteRoles notes when replicas become masters, until it is stopped.
func (a *arena) noteRoles(nodes []*redistest.Server) (stop func()) {
	var clients []*redis.Client
	roles := make([]any, len(nodes))
	for _, s := range nodes {
		clients = append(clients, redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 100 * ms, DialTimeout: 100 * ms}))
	}
	end := a.repeat(20*ms, 50*ms, func(*rand.Rand) {
		for n, rdb := range clients {
			role, err := rdb.Do(context.Background(), "role").Slice()
			if err != nil || len(role) == 0 {
				continue
			}
			if role[0] == "master" && roles[n] == "slave" {
				a.promoted(time.Now())
			}
			roles[n] = role[0]
		}
	})
	return func() {
		end()
		for _, rdb := range clients {
			rdb.Close()
		}
	}
}

// Faults of a Cluster.
var clusterFaults = []fault{
	{"slot moved", "redis", 0, 1500 * ms, func(a *arena, i *Incident) func() {
		a.Helper()
		from, to, slot := a.move()
		if from == nil {
			return nil
		}
		i.Begin = time.Now() // nothing of what is refused meanwhile was done, so nothing is lost
		if err := a.try(func(tb testing.TB) { redistest.StartMove(tb, from, to, slot) }); err != nil {
			a.Log(err)
		}
		return func() {
			a.eventually("a slot to be moved", func() bool {
				err := a.try(func(tb testing.TB) { redistest.FinishMove(tb, from, to, slot) })
				if err != nil {
					a.Log(err)
				}
				return err == nil
			})
		}
	}},
	{"master replaced (Cluster)", "redis", 0, 0, replace(func(_, replica *redistest.Server, tb testing.TB) func() {
		redistest.Promote(tb, replica)
		return func() {}
	})},
	{"master stopped (Cluster)", "redis", 0, 0, replace(func(master, replica *redistest.Server, tb testing.TB) func() {
		master.Pause(tb)
		redistest.AwaitMaster(tb, replica)
		return func() { master.Resume(tb) }
	})},
	{"master killed (Cluster)", "redis", 0, 0, replace(func(master, replica *redistest.Server, tb testing.TB) func() {
		master.Stop()
		redistest.AwaitMaster(tb, replica)
		return func() { master.Restart(tb) }
	})},
}

// replace does something to a shard by which its replica becomes the master.
func replace(do func(master, replica *redistest.Server, tb testing.TB) (undo func())) func(*arena, *Incident) func() {
	return func(a *arena, i *Incident) func() {
		a.Helper()
		master, replica := a.settled(a.shards[a.random.IntN(len(a.shards))])
		if master == nil {
			return nil
		}
		i.replaces()
		i.Begin = time.Now()
		return do(master, replica, a.T)
	}
}

// settled is who is who in a shard, when the replica has all; nil if that takes too long.
func (a *arena) settled(s shard) (master, replica *redistest.Server) {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(20 * time.Millisecond) {
		for n, replica := range s {
			master := s[1-n]
			_, port, err := net.SplitHostPort(master.Addr)
			if err != nil {
				a.Fatal(err)
			}
			of, err1 := info(replica.Addr, "replication")
			its, err2 := info(master.Addr, "replication")
			if err1 == nil && err2 == nil && strings.Contains(of, "role:slave") && strings.Contains(of, "master_link_status:up") &&
				strings.Contains(of, fmt.Sprintf("master_port:%s\r", port)) && strings.Contains(its, "role:master") {
				return master, replica
			}
		}
	}
	a.Log("a shard of the Cluster is not in order")
	return nil, nil
}

// move is a slot of one of the functions, where it is, and where it is to go; nil if the Cluster
// is not in order.
func (a *arena) move() (from, to *redistest.Server, slot int) {
	a.Helper()
	var masters []*redistest.Server
	for _, s := range a.shards {
		master, _ := a.settled(s)
		if master == nil {
			return nil, nil, 0
		}
		masters = append(masters, master)
	}
	key := a.base.Prefix + ":" + a.base.Functions[a.random.IntN(len(a.base.Functions))] + ":calls"
	for n, master := range masters {
		rdb := redis.NewClient(&redis.Options{Addr: master.Addr, MaxRetries: -1})
		err := rdb.Exists(context.Background(), key).Err() // MOVED from all but one
		rdb.Close()
		if err == nil {
			return master, masters[(n+1+a.random.IntN(len(masters)-1))%len(masters)], keyslot.Of(key)
		}
	}
	return nil, nil, 0
}
