package torture

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// Arenas are all there are.
var Arenas = []Arena{
	{"redis", startRedis("--proto-max-bulk-len", "1mb"), slices.Concat(redisFaults, connectionFaults, fleetFaults, linkFaults, clockFaults), twoOfEach},
	{"redis with append-only file", startRedis("--appendonly", "yes"), slices.Concat(redisFaults, connectionFaults, fleetFaults, linkFaults), twoOfEach},
	{"broker", startBroker, slices.Concat(redisFaults, connectionFaults, fleetFaults, linkFaults), twoOfEach},
	{"sentinel", startFamily, slices.Concat(familyFaults, familyFaults, connectionFaults, fleetFaults), twoOfEach},
	{"cluster", startCluster, slices.Concat(clusterFaults, clusterFaults, connectionFaults, fleetFaults), twoOfEach},
	{"old and new", startRedis(), fleetFaults, []string{roleServer, roleClient, roleOldServer, roleOldClient, rolePythonServer, rolePythonClient}},
}

var twoOfEach = []string{roleServer, roleClient, roleServer, roleClient}

// startRedis makes a redis-server the Redis of an arena.
func startRedis(args ...string) func(*arena) {
	return func(a *arena) {
		a.Helper()
		s := redistest.Start(a, args...)
		a.node, a.base.Addr, a.forgets = s, s.Addr, true
		switch strings.Join(args, " ") {
		case "--appendonly yes":
			a.forgets = false
		case "--proto-max-bulk-len 1mb":
			a.base.Limit = 1 << 20
		}
		a.administer()
	}
}

// administer connects the arena itself to its Redis.
func (a *arena) administer() {
	a.admin = redis.NewClient(&redis.Options{Addr: a.base.Addr, PoolSize: 1, MaxRetries: 3})
}

// A brokerNode is a broker in a process of its own.
type brokerNode struct {
	*arena
	process *process
}

// startBroker makes a broker the Redis of an arena.
func startBroker(a *arena) {
	a.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	a.base.Addr, a.forgets = l.Addr().String(), true
	if err := l.Close(); err != nil {
		a.Fatal(err)
	}
	b := &brokerNode{arena: a}
	b.Restart(a)
	a.Cleanup(b.Stop)
	a.node = b
	a.administer()
}

func (b *brokerNode) Stop() { b.process.kill() }

func (b *brokerNode) Restart(tb testing.TB) {
	tb.Helper()
	t := task{Role: roleBroker, Name: roleBroker, Dir: b.base.Dir, Addr: b.base.Addr}
	cmd := exec.Command(b.Redrpc, "broker", "--addr", b.base.Addr)
	if b.Redrpc == "" {
		var err error
		if cmd, err = t.command(); err != nil {
			tb.Fatal(err)
		}
	}
	p, err := spawn(tb, t, cmd)
	if err != nil {
		tb.Fatal(err)
	}
	b.process = p
}

func (b *brokerNode) Pause(t testing.TB) {
	t.Helper()
	if err := b.process.pause(); err != nil {
		t.Fatal(err)
	}
}

func (b *brokerNode) Resume(t testing.TB) {
	t.Helper()
	if err := b.process.resume(); err != nil {
		t.Fatal(err)
	}
}
