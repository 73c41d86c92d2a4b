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
// ends. When it returns all know each other and serve.
func StartCluster(t testing.TB, masters int) []*Server {
	t.Helper()
	var all []*Server
	var buses []string // ports that the masters talk to each other on
	for range masters {
		bus, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		buses = append(buses, fmt.Sprint(bus))
		all = append(all, Start(t, "--cluster-enabled", "yes", "--cluster-port", fmt.Sprint(bus)))
	}
	for n, s := range all {
		s.do(t, "cluster", "addslotsrange", n*slots/masters, (n+1)*slots/masters-1)
		s.do(t, "cluster", "set-config-epoch", n+1)
	}
	for n, s := range all[1:] {
		host, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		all[0].do(t, "cluster", "meet", host, port, buses[n+1])
	}
	for _, s := range all {
		await(t, s, "the cluster to be complete", func(text string) bool {
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d\r", masters)) &&
				strings.Contains(text, fmt.Sprintf("cluster_slots_ok:%d\r", slots))
		}, "cluster", "info")
	}
	return all
}

// MoveSlot moves a slot with all its keys, as redis-cli does.
func MoveSlot(t testing.TB, from, to *Server, slot int) {
	t.Helper()
	source, target := from.do(t, "cluster", "myid"), to.do(t, "cluster", "myid")
	host, port, err := net.SplitHostPort(to.Addr)
	if err != nil {
		t.Fatal(err)
	}
	to.do(t, "cluster", "setslot", slot, "importing", source)
	from.do(t, "cluster", "setslot", slot, "migrating", target)
	rdb := redis.NewClient(&redis.Options{Addr: from.Addr})
	defer rdb.Close()
	for start := time.Now(); ; {
		keys, err := rdb.ClusterGetKeysInSlot(context.Background(), slot, 100).Result()
		if err != nil || time.Since(start) > 10*time.Second {
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
	to.do(t, "cluster", "setslot", slot, "node", target)
	from.do(t, "cluster", "setslot", slot, "node", target)
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
