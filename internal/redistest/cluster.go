package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// StartCluster runs a cluster of masters, each with as many slots, until the test
// ends. When it returns all know each other and serve. args are further redis-server
// options.
func StartCluster(t testing.TB, masters int, args ...string) []*Server {
	t.Helper()
	var all []*Server
	var buses []string // ports that the masters talk to each other on
	for range masters {
		s, bus := startNode(t, args)
		all, buses = append(all, s), append(buses, bus)
	}
	for n, s := range all {
		s.do(t, "cluster", "addslotsrange", n*slots/masters, (n+1)*slots/masters-1)
		s.do(t, "cluster", "set-config-epoch", n+1)
	}
	for n, s := range all[1:] {
		all[0].meet(t, s, buses[n+1])
	}
	for _, s := range all {
		await(t, s, "the cluster to be complete", func(text string) bool {
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d\r", masters)) &&
				strings.Contains(text, fmt.Sprintf("cluster_slots_ok:%d\r", slots))
		}, "cluster", "info")
	}
	return all
}

// startNode runs a node and returns it, and the port that others talk to it on.
func startNode(t testing.TB, args []string) (s *Server, bus string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	bus = fmt.Sprint(port)
	return Start(t, append([]string{"--cluster-enabled", "yes", "--cluster-port", bus, "--repl-diskless-sync-delay", "0"}, args...)...), bus
}

func (s *Server) meet(t testing.TB, other *Server, bus string) {
	t.Helper()
	host, port := other.hostPort(t)
	s.do(t, "cluster", "meet", host, port, bus)
}

func (s *Server) hostPort(t testing.TB) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// StartReplica runs a replica of one of the masters of a cluster until the test ends.
// When it returns it has the master's data, and can take its place.
func StartReplica(t testing.TB, cluster []*Server, master *Server, args ...string) *Server {
	t.Helper()
	s, bus := startNode(t, args)
	master.meet(t, s, bus)
	id := master.do(t, "cluster", "myid")
	await(t, s, "the replica to know its master and all slots", func(text string) bool {
		return strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d\r", len(cluster)+1)) &&
			strings.Contains(text, fmt.Sprintf("cluster_slots_ok:%d\r", slots))
	}, "cluster", "info")
	s.do(t, "cluster", "replicate", id)
	await(t, s, "the replica to have the data", func(text string) bool {
		return strings.Contains(text, "master_link_status:up")
	}, "info", "replication")
	own := s.do(t, "cluster", "myid")
	for _, other := range cluster {
		await(t, other, "all to know the replica", func(text string) bool {
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, own) {
					return strings.Contains(line, "slave "+id)
				}
			}
			return false
		}, "cluster", "nodes")
	}
	return s
}

// Promote makes a replica of a cluster the master in its master's place, which becomes
// its replica if it lives. It returns when the replica is the master.
func Promote(t testing.TB, replica *Server) {
	t.Helper()
	replica.do(t, "cluster", "failover")
	AwaitMaster(t, replica)
}

// AwaitMaster waits until a replica has become a master.
func AwaitMaster(t testing.TB, replica *Server) {
	t.Helper()
	await(t, replica, "the replica to be the master", func(text string) bool {
		return strings.Contains(text, "role:master")
	}, "info", "replication")
}

// StartMove begins to move a slot: from then on new keys of it come to the other node.
func StartMove(t testing.TB, from, to *Server, slot int) {
	t.Helper()
	source, target := from.do(t, "cluster", "myid"), to.do(t, "cluster", "myid")
	to.do(t, "cluster", "setslot", slot, "importing", source)
	from.do(t, "cluster", "setslot", slot, "migrating", target)
}

// FinishMove moves what keys there are of a slot, and then the slot. No other slot of the
// cluster may be on that step meanwhile, or keys may be lost.
func FinishMove(t testing.TB, from, to *Server, slot int) {
	t.Helper()
	target := to.do(t, "cluster", "myid")
	host, port := to.hostPort(t)
	rdb := redis.NewClient(&redis.Options{Addr: from.Addr})
	defer rdb.Close()
	for start := time.Now(); ; {
		keys, err := rdb.ClusterGetKeysInSlot(context.Background(), slot, 100).Result()
		if err != nil || time.Since(start) > patience {
			t.Fatalf("moving slot %d: %d keys are left, %v", slot, len(keys), err)
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", host, port, "", 0, 5000, "keys"}
		for _, k := range keys {
			args = append(args, k)
		}
		from.do(t, args...)
	}
	// Another slot that has come to the old node gave it a new epoch, by which it may take
	// this one back before it is told. So it is told again until all agree, and stay so.
	agreed := 0
	for start := time.Now(); agreed < 5; time.Sleep(20 * time.Millisecond) {
		if to.owner(t, slot) == to.Addr && from.owner(t, slot) == to.Addr {
			agreed++
			continue
		}
		if agreed = 0; time.Since(start) > patience {
			t.Fatalf("the nodes do not agree whose slot %d is", slot)
		}
		to.do(t, "cluster", "setslot", slot, "node", target)
		from.do(t, "cluster", "setslot", slot, "node", target)
	}
}

// owner is the address of the master that s takes for that of a slot.
func (s *Server) owner(t testing.TB, slot int) string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer rdb.Close()
	shards, err := rdb.ClusterShards(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range shards {
		for _, r := range shard.Slots {
			for _, node := range shard.Nodes {
				if r.Start <= int64(slot) && int64(slot) <= r.End && node.Role == "master" {
					return net.JoinHostPort(node.IP, fmt.Sprint(node.Port))
				}
			}
		}
	}
	return ""
}

// do runs a command and returns its reply as text.
func (s *Server) do(t testing.TB, args ...any) string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer rdb.Close()
	reply, err := rdb.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return fmt.Sprint(reply)
}
