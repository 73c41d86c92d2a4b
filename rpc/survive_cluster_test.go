package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// A cluster is nodes, and how to reach them.
type cluster struct {
	*testing.T
	nodes []*redistest.Server

	// moving is held while a slot changes hands. A node that gets another one meanwhile
	// would have the newest say of all that it has, also of what it was about to give
	// away, and the new owner would throw away what it has of that.
	moving sync.Mutex
}

func (c *cluster) client(t *testing.T) *redis.ClusterClient {
	opt := &redis.ClusterOptions{ReadTimeout: patience, DialTimeout: patience, MaxRedirects: 3}
	for _, s := range c.nodes {
		opt.Addrs = append(opt.Addrs, s.Addr)
	}
	rdb := redis.NewClusterClient(opt)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// move is a slot that is to go from one node to another.
type move struct {
	from, to *redistest.Server
	slot     int
}

// moves are those of the queues of some functions of a load, each to another node.
func (c *cluster) moves(l *load, functions ...string) (list []move) {
	l.Helper()
	for _, fn := range functions {
		key := l.prefix + ":" + fn + ":calls"
		node, err := l.cluster.MasterForKey(l.ctx, key)
		if err != nil {
			l.Fatal(err)
		}
		at := slices.IndexFunc(c.nodes, func(s *redistest.Server) bool { return s.Addr == node.Options().Addr })
		list = append(list, move{c.nodes[at], c.nodes[(at+1)%len(c.nodes)], int(l.cluster.ClusterKeySlot(l.ctx, key).Val())})
	}
	return list
}

// finish moves what keys there are of a slot that is on its way, and then the slot.
func (c *cluster) finish(l *load, m move) {
	l.Helper()
	c.moving.Lock()
	defer c.moving.Unlock()
	redistest.FinishMove(l.T, m.from, m.to, m.slot)
}

// spread are functions whose queues lie on all nodes, if the prefix has no hash tag.
var spread = []string{"count", "b", "c", "d", "e", "{b}f"}

// callAsOld makes a call as the old ports do: its ID says nothing of where its result
// is to lie.
func callAsOld(l *load, fn string, n int) (int, error) {
	id := uuid.NewString()
	queue, reply := l.prefix+":"+fn+":calls", l.prefix+":"+fn+":result:"+id
	message := fmt.Sprintf(`{"id":%q,"ts":"2026-01-02T03:04:05.678901","kw":{"n":%d}}`, id, n)
	if err := l.redis().LPush(l.ctx, queue, message).Err(); err != nil {
		return 0, fmt.Errorf("LPUSH: %w", err)
	}
	for {
		got, err := l.redis().BLPop(l.ctx, time.Second, reply).Result()
		if err == redis.Nil {
			continue // the load's end is limited
		}
		if err != nil {
			return 0, fmt.Errorf("BLPOP: %w", err)
		}
		var result struct{ Res int }
		err = json.Unmarshal([]byte(got[1]), &result)
		return result.Res, err
	}
}

// TestSurvivesCluster: client and server find the masters of their slots, and follow
// the slots to other ones.
func TestSurvivesCluster(t *testing.T) {
	t.Parallel()
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3)}
	ctx := context.Background()
	for _, trial := range []trial{
		{name: "slots moved", may: harmless, happen: func(l *load) {
			m := c.moves(l, l.functions[0])[0]
			for range 3 {
				redistest.StartMove(l.T, m.from, m.to, m.slot)
				c.finish(l, m)
				m.from, m.to = m.to, c.nodes[(slices.Index(c.nodes, m.to)+1)%len(c.nodes)]
				l.await(loadCallers)
			}
		}},
		{name: "slots long on their way", may: harmless, happen: func(l *load) {
			moves := c.moves(l, l.functions[:(len(l.functions)+2)/3]...)
			for _, m := range moves {
				redistest.StartMove(l.T, m.from, m.to, m.slot)
			}
			for start := time.Now(); time.Since(start) < 2*time.Second; {
				l.await(loadCallers) // so it goes on, also if it takes longer
			}
			for _, m := range moves {
				c.finish(l, m)
			}
		}},
		{name: "connections killed", may: both, happen: func(l *load) {
			for range 10 {
				if err := l.cluster.ForEachMaster(l.ctx, func(ctx context.Context, node *redis.Client) error {
					return node.ClientKillByFilter(ctx, "type", "normal", "skipme", "yes").Err()
				}); err != nil {
					l.Error(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}},
	} {
		t.Run(strings.ReplaceAll(trial.name, " ", "_"), func(t *testing.T) {
			for _, tagged := range []bool{true, false} {
				for _, f := range fleets {
					t.Run(fmt.Sprintf("%s/tagged=%v", f, tagged), func(t *testing.T) {
						if len(trial.may) == 0 { // else it happens to others, too, on the same nodes
							t.Parallel()
						}
						prefix := fmt.Sprint(trial.name, " ", f)
						functions := spread
						if tagged {
							prefix, functions = "{"+prefix+"}", []string{"count"}
						}
						h := &house{T: t, cluster: c.client(t), prefix: prefix, fleet: f}
						l := newLoad(h, functions...)
						if len(trial.may) == 0 { // go-redis would send again what was lost
							l.old = callAsOld
						}
						trial.endure(l)
						ids, err := rpc.Servers(ctx, h.cluster, prefix, "")
						if err != nil || len(ids) != 2 {
							t.Errorf("got servers %q, %v, want two", ids, err)
						}
					})
				}
			}
		})
	}
}

// TestSurvivesClusterFailover: the replica of a master takes its place.
func TestSurvivesClusterFailover(t *testing.T) {
	t.Parallel()
	timeout := []string{"--cluster-node-timeout", "1000"}
	c := &cluster{T: t, nodes: redistest.StartCluster(t, 3, timeout...)}
	replicas := []*redistest.Server{redistest.StartReplica(t, c.nodes, c.nodes[0], timeout...)}
	replicas = append(replicas, redistest.StartReplica(t, append(c.nodes, replicas...), c.nodes[1], timeout...))
	for _, trial := range []trial{
		{name: "master replaced", failover: true, may: both, happen: func(*load) { redistest.Promote(t, replicas[0]) }},
		{name: "master dead", failover: true, may: both, must: true, happen: func(*load) {
			c.nodes[1].Stop()
			redistest.AwaitMaster(t, replicas[1])
		}},
	} {
		t.Run(strings.ReplaceAll(trial.name, " ", "_"), func(t *testing.T) {
			var loads []*load
			for _, f := range fleets {
				loads = append(loads, newLoad(&house{T: t, cluster: c.client(t), prefix: string(f), fleet: f}, spread...))
			}
			trial.endure(loads...)
		})
	}
}

// TestClusterMisuse: what cannot be put where it belongs is refused.
func TestClusterMisuse(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer rdb.Close()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for want, err := range map[string]error{
		"rpc: NewClient: expected a prefix without {}":                       func() error { _, err := rpc.NewClient(rdb, rpc.ClientOptions{Prefix: "a{}b"}); return err }(),
		"rpc: NewServer: expected a prefix without {}":                       func() error { _, err := rpc.NewServer(rdb, rpc.ServerOptions{Prefix: "{}{b}"}); return err }(),
		"rpc: a{}: not sent: expected the name of a function without {}":     client.Call(t.Context(), "a{}", nil, nil),
		"rpc: a{}{b}: not sent: expected the name of a function without {} ": func() error { _, err := client.Send(t.Context(), "a{}{b}", nil); return err }(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
