package torture

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// startFamily makes a master, two replicas and three sentinels the Redis of an arena.
func startFamily(a *arena) {
	a.Helper()
	a.family = redistest.StartFamily(a, 2, 3)
	a.base.Master = a.family.Name
	for _, s := range a.family.Sentinels {
		a.base.Nodes = append(a.base.Nodes, s.Addr)
	}
	a.admin = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: a.base.Master, SentinelAddrs: a.base.Nodes})
	a.sentinel = redis.NewSentinelClient(&redis.Options{Addr: a.base.Nodes[0]})
	switches := a.sentinel.Subscribe(context.Background(), "+switch-master")
	var running sync.WaitGroup
	running.Go(func() {
		for range switches.Channel() {
			a.promoted(time.Now())
		}
	})
	a.Cleanup(func() {
		switches.Close()
		running.Wait()
		a.sentinel.Close()
	})
}

// promoted notes that a replica has become a master.
func (a *arena) promoted(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.promotions = append(a.promotions, at)
}

// replaces says what the replacement of a master may do.
func (i *Incident) replaces() {
	i.NotSent, i.NoResult, i.Repeats, i.Forgets, i.Settle = true, true, true, true, restoring
}

// addUnasked adds the replacements of masters that nobody meant to happen: on a machine that is
// busy a master may not answer for long enough to be taken for dead.
func (h *History) addUnasked(promotions []time.Time) {
	const before = 3 * time.Second // which it may have taken
	for _, at := range promotions {
		if !slices.ContainsFunc(h.Incidents, func(i *Incident) bool {
			return i.Repeats && !i.Begin.After(at) && i.End.Add(restoring).After(at)
		}) {
			i := &Incident{Fault: "master replaced, unasked", Begin: at.Add(-before), End: at}
			i.replaces()
			h.Incidents = append(h.Incidents, i)
		}
	}
	slices.SortFunc(h.Incidents, func(a, b *Incident) int { return a.Begin.Compare(b.Begin) })
}

// Faults of a master that sentinels watch.
var familyFaults = []fault{
	{"master replaced (Sentinel)", "redis", 0, 0, failover(func(a *arena, _ *redistest.Server) func() {
		if err := a.sentinel.Failover(context.Background(), a.family.Name).Err(); err != nil {
			a.Log(err) // one is going on, perhaps
			return nil
		}
		return func() {}
	})},
	{"master stopped (Sentinel)", "redis", 0, 0, failover(func(a *arena, master *redistest.Server) func() {
		master.Pause(a)
		return func() { master.Resume(a) }
	})},
	{"master killed (Sentinel)", "redis", 0, 0, failover(func(a *arena, master *redistest.Server) func() {
		master.Stop()
		return func() { master.Restart(a) }
	})},
}

// failover does something to the master, and then waits until there is another.
func failover(do func(*arena, *redistest.Server) (undo func())) func(*arena, *Incident) func() {
	return func(a *arena, i *Incident) func() {
		a.Helper()
		var old *redistest.Server
		for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			if old = a.master(); old != nil && a.anyReplica(old) {
				break
			}
			if time.Since(begun) > patience {
				a.Log("the family is not in order")
				return nil
			}
		}
		i.replaces()
		i.Begin = time.Now()
		undo := do(a, old)
		if undo == nil {
			return nil
		}
		a.eventually("another master", func() bool {
			now := a.master()
			return now != nil && now != old
		})
		return undo
	}
}

// master is the one that Sentinel names; nil if it does not answer.
func (a *arena) master() *redistest.Server {
	addr, err := sentinelMaster(a.sentinel, a.family.Name)
	at := slices.IndexFunc(a.family.Servers, func(s *redistest.Server) bool { return s.Addr == addr })
	if err != nil || at < 0 {
		return nil
	}
	return a.family.Servers[at]
}

// anyReplica is whether all sentinels know a replica that can take the place of the master.
func (a *arena) anyReplica(master *redistest.Server) bool {
	text, err := info(master.Addr, "replication")
	if err != nil || !strings.Contains(text, "role:master") || !strings.Contains(text, "state=online") {
		return false
	}
	for _, s := range a.family.Sentinels {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: s.Addr})
		replicas, err1 := sentinel.Replicas(context.Background(), a.family.Name).Result()
		addr, err2 := sentinelMaster(sentinel, a.family.Name)
		sentinel.Close()
		if err1 != nil || err2 != nil || addr != master.Addr || !slices.ContainsFunc(replicas, func(r map[string]string) bool {
			return r["flags"] == "slave" && r["master-link-status"] == "ok"
		}) {
			return false
		}
	}
	return true
}

func sentinelMaster(sentinel *redis.SentinelClient, name string) (string, error) {
	addr, err := sentinel.GetMasterAddrByName(context.Background(), name).Result()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(addr[0], addr[1]), nil
}

// info is a section of what a Redis says about itself.
func info(addr, section string) (string, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer rdb.Close()
	return rdb.Info(context.Background(), section).Result()
}

// eventually waits until a condition holds.
func (a *arena) eventually(what string, holds func() bool) {
	a.Helper()
	for begun := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patience {
			a.Fatalf("expected %s within %v", what, patience)
		}
	}
}
