package rpc_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// TestSurvivesCluster: client and server find the master of their slot, and follow
// the slot to another one.
func TestSurvivesCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	opt := &redis.ClusterOptions{ReadTimeout: 2 * time.Second, MaxRedirects: 3}
	for _, s := range nodes {
		opt.Addrs = append(opt.Addrs, s.Addr)
	}
	ctx := context.Background()
	newCluster := func(t *testing.T) *redis.ClusterClient {
		own := *opt // as go-redis writes defaults into it
		rdb := redis.NewClusterClient(&own)
		t.Cleanup(func() { rdb.Close() })
		return rdb
	}
	master := func(t *testing.T, rdb *redis.ClusterClient, key string) *redistest.Server {
		node, err := rdb.MasterForKey(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return nodes[slices.IndexFunc(nodes, func(s *redistest.Server) bool { return s.Addr == node.Options().Addr })]
	}

	for _, c := range []trial{
		{name: "slot moved", may: harmless, happen: func(l *load) {
			slot := int(l.cluster.ClusterKeySlot(ctx, l.prefix).Val())
			from := master(l.T, l.cluster, l.prefix)
			for range 3 {
				to := nodes[(slices.Index(nodes, from)+1)%len(nodes)]
				redistest.MoveSlot(l.T, from, to, slot)
				from = to
				l.await(loadCallers)
			}
		}},
		{name: "connections killed", may: both, happen: func(l *load) {
			node, err := l.cluster.MasterForKey(ctx, l.prefix)
			for range 10 {
				if err == nil {
					err = node.ClientKillByFilter(ctx, "type", "normal", "skipme", "yes").Err()
				}
				time.Sleep(20 * time.Millisecond)
			}
			if err != nil {
				l.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, way := range ways {
				t.Run(string(way), func(t *testing.T) {
					if len(c.may) == 0 { // else it happens to others, too, on the same node
						t.Parallel()
					}
					prefix := "{" + c.name + string(rune('a'+n)) + "}"
					h := &house{T: t, cluster: newCluster(t), prefix: prefix, wait: way}
					l := newLoad(h)
					c.endure(l)
					ids, err := rpc.Servers(ctx, h.cluster, prefix, "")
					if err != nil || len(ids) != 2 {
						t.Errorf("got servers %q, %v, want two", ids, err)
					}
				})
			}
		})
	}
	rdb := newCluster(t)
	for want, err := range map[string]error{
		"rpc: NewClient: expected a prefix with a hash tag": func() error { _, err := rpc.NewClient(rdb, rpc.ClientOptions{}); return err }(),
		"rpc: NewServer: expected a prefix with a hash tag": func() error { _, err := rpc.NewServer(rdb, rpc.ServerOptions{Prefix: "a{}b"}); return err }(),
		"rpc: NewInspector: expected a non-nil":             func() error { _, err := rpc.NewInspector(rdb, "{a}"); return err }(),
	} {
		if err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
