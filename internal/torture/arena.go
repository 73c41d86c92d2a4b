package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/internal/redistest"
)

// Options are how an arena is run.
type Options struct {
	Seed     uint64
	Duration time.Duration
	Dir      string // for a directory with journals and logs, see Directory
	Redrpc   string // path of the command; without it the broker runs in a process of the test

	// Script are the faults that are to happen, each once, and shortly. Then nothing depends
	// on how fast the machine is: calls are few and patient, and limits are wide. Nil draws
	// faults for the Duration.
	Script []string
}

// An Arena is a Redis, servers and clients, and what can happen to them.
type Arena struct {
	Name   string
	start  func(*arena) // starts its Redis
	faults []fault
	fleet  []string // roles of servers and clients
}

// A node is a Redis of an arena. A redistest.Server is one.
type node interface {
	Stop()
	Restart(testing.TB)
	Pause(testing.TB)
	Resume(testing.TB)
}

// arena is an Arena that runs.
type arena struct {
	*testing.T
	Options
	base      task // what processes are started with
	history   History
	random    *rand.Rand
	admin     redis.UniversalClient
	node      node              // that faults happen to
	forgets   bool              // the node has no data after a restart
	family    *redistest.Family // with Sentinel
	sentinel  *redis.SentinelClient
	shards    []shard // of a Cluster
	servers   []*process
	clients   []*process
	processes []*process // all that there ever were
	clock     time.Duration

	mu         sync.Mutex // guards promotions
	promotions []time.Time
}

const (
	pause = 40 * time.Millisecond // of a caller between calls
)

// Run runs the arena, which ends with the test, and returns what happened.
func (kind Arena) Run(t *testing.T, opt Options) *History {
	t.Helper()
	dir := filepath.Join(opt.Dir, Directory(kind.Name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := &arena{T: t, Options: opt, random: rand.New(rand.NewPCG(opt.Seed, 1))}
	a.base = task{Dir: dir, Prefix: "torture", Functions: []string{"work"}, Callers: 6, Pause: pause, Expiry: 10 * time.Second}
	if opt.Script != nil {
		a.base.Callers, a.base.Patient, a.base.Expiry = 2, true, 5*time.Second
		a.history.Prompt, a.history.Recovery = 10*time.Second, 20*time.Second
	}
	t.Cleanup(func() {
		for _, p := range a.processes {
			p.kill()
		}
	})
	kind.start(a)
	t.Cleanup(func() { a.admin.Close() })
	for _, role := range kind.fleet {
		a.add(role)
	}
	j, err := openJournal(dir, arenaJournal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.watch()) // when the arena itself does not get on
	a.history.Failures = append(a.history.Failures, a.play(kind.faults)...)
	a.finish()
	if err := a.history.saveIncidents(dir); err != nil {
		t.Fatal(err)
	}
	if err := a.history.ReadJournals(dir); err != nil {
		t.Fatal(err)
	}
	return &a.history
}

// Directory is the name of an arena's directory.
func Directory(kind string) string { return strings.ReplaceAll(kind, " ", "-") }

// play lets faults happen: those of the script, or all in turn, in an order that is drawn
// again and again.
func (a *arena) play(faults []fault) (unknown []string) {
	for _, name := range a.Script {
		n := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if n < 0 {
			unknown = append(unknown, fmt.Sprintf("expected a fault of the arena, got %q", name))
			continue
		}
		f := faults[n]
		f.most = min(f.most, f.least+300*time.Millisecond)
		a.suffer(f)
	}
	var deck []fault
	for end := time.Now().Add(a.Duration); time.Now().Before(end); {
		if len(deck) < 2 {
			deck = slices.Clone(faults)
			a.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		if a.random.IntN(4) == 0 && deck[0].of != deck[1].of {
			a.suffer(deck[:2]...)
			deck = deck[2:]
		} else {
			a.suffer(deck[0])
			deck = deck[1:]
		}
	}
	return unknown
}

// add starts a server or a client.
func (a *arena) add(role string) *process {
	a.Helper()
	t := a.base
	t.Role, t.Name, t.Seed = role, fmt.Sprintf("%s%d", role, len(a.processes)+1), a.random.Uint64()
	var through *proxy
	switch {
	case role == rolePythonServer || role == rolePythonClient: // which is not made for networks that fail
		t.Python = redistest.Python(a, "redis")
	case t.Addr != "":
		var err error
		if through, err = startProxy(t.Addr, t.Seed); err != nil {
			a.Fatal(err)
		}
		through.set(func(w *weather) { w.clock = a.clock })
		t.Addr = through.addr()
	}
	cmd, err := t.command()
	if err != nil {
		a.Fatal(err)
	}
	p, err := spawn(a, t, cmd)
	if err != nil {
		a.Fatal(err)
	}
	p.proxy = through
	a.processes = append(a.processes, p)
	if p.isServer() {
		a.servers = append(a.servers, p)
	} else {
		a.clients = append(a.clients, p)
	}
	return p
}

// remove takes a process out of the arena, as it is killed or told to end.
func (a *arena) remove(p *process) {
	is := func(o *process) bool { return o == p }
	a.servers, a.clients = slices.DeleteFunc(a.servers, is), slices.DeleteFunc(a.clients, is)
}

// retire tells a process to end.
func (a *arena) retire(p *process) {
	a.remove(p)
	if err := p.end(); err != nil {
		a.fail(err)
	}
}

func (a *arena) fail(err error) { a.history.Failures = append(a.history.Failures, err.Error()) }

// A trying testing.TB gives up what it does, not the test.
type trying struct{ testing.TB }

type givenUp string

func (t trying) Fatal(args ...any)                 { panic(givenUp(fmt.Sprint(args...))) }
func (t trying) Fatalf(format string, args ...any) { panic(givenUp(fmt.Sprintf(format, args...))) }

// try does what may fail on a machine that is busy.
func (a *arena) try(do func(testing.TB)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case givenUp:
			err = errors.New(string(r))
		default:
			panic(r)
		}
	}()
	do(trying{a.T})
	return nil
}

// any is one of some processes.
func (a *arena) any(of []*process) *process { return of[a.random.IntN(len(of))] }

// between is a time from least to most.
func (a *arena) between(least, most time.Duration) time.Duration {
	return least + time.Duration(a.random.Int64N(int64(most-least)+1))
}

// suffer lets faults happen at the same time, and waits until all goes on.
func (a *arena) suffer(chosen ...fault) {
	time.Sleep(a.between(100*time.Millisecond, 700*time.Millisecond))
	var incidents []*Incident
	var stops []func()
	var lasts, settle time.Duration
	for _, f := range chosen {
		i := &Incident{Fault: f.name, Begin: time.Now()}
		stop := f.start(a, i)
		if stop == nil { // it cannot happen now
			continue
		}
		incidents, stops = append(incidents, i), append(stops, stop)
		lasts = max(lasts, a.between(f.least, f.most))
		if !i.Grace {
			settle = max(settle, i.Settle)
		}
	}
	if len(incidents) == 0 {
		return
	}
	time.Sleep(lasts)
	for n, i := range slices.Backward(incidents) {
		stops[n]()
		i.End = time.Now()
	}
	a.history.Incidents = append(a.history.Incidents, incidents...)
	a.await(incidents[0].End)
	if a.random.IntN(3) == 0 && a.Script == nil { // long enough for all results that are there to arrive
		settle += restoring + 500*time.Millisecond
	}
	time.Sleep(settle)
}

// await waits until all clients have had a success since a time, or for a while.
func (a *arena) await(since time.Time) {
	for begun := time.Now(); time.Since(begun) < 3*a.history.recovery(); time.Sleep(5 * time.Millisecond) {
		for _, p := range slices.Concat(a.servers, a.clients) {
			if p.gone() {
				a.fail(fmt.Errorf("%s ended by itself: %v", p.name, p.err))
				a.remove(p)
				a.add(p.role)
			}
		}
		if !slices.ContainsFunc(a.clients, func(p *process) bool { return p.success.Load() < since.UnixMicro() }) {
			return
		}
	}
}

// finish ends clients and servers, and looks at what is left.
func (a *arena) finish() {
	a.Helper()
	for _, p := range slices.Clone(a.clients) {
		a.history.Leftovers = append(a.history.Leftovers, a.crowds()...)
		a.retire(p)
	}
	for _, fn := range a.base.Functions {
		queue := a.base.Prefix + ":" + fn + ":calls"
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			n, err := a.admin.LLen(context.Background(), queue).Result()
			if err == nil && n == 0 {
				break
			}
			if time.Since(begun) > patience {
				a.history.Leftovers = append(a.history.Leftovers, fmt.Sprintf("%d calls in the queue of %s (%v)", n, fn, err))
				break
			}
		}
	}
	for _, p := range slices.Clone(a.servers) {
		a.retire(p)
	}
	a.leftKeys()
	a.mu.Lock()
	a.history.addUnasked(a.promotions)
	a.mu.Unlock()
	for _, p := range a.processes {
		if !p.isServer() {
			a.history.Clients = append(a.history.Clients, Process{p.name, p.begun, p.killed})
		}
	}
}

// mostConns is how many connections a client or a server may have for each slot that it uses: two,
// two while messages are long or Redis was lost, and some for what is rare.
const mostConns = 12

// crowds are processes that have more connections than they need. Where old servers answer
// calls wait on one each.
func (a *arena) crowds() (names []string) {
	if slices.ContainsFunc(a.processes, func(p *process) bool { return !isOurs(p.name) }) {
		return nil
	}
	for name, n := range a.connections() {
		if n > mostConns*len(a.base.Functions) {
			names = append(names, fmt.Sprintf("%s has %d connections", name, n))
		}
	}
	return names
}

// connections counts those of each process.
func (a *arena) connections() map[string]int {
	count := map[string]int{}
	ours := map[string]bool{}
	for _, p := range a.processes {
		ours[p.name] = true
	}
	var mu sync.Mutex // guards count
	_ = a.each(func(ctx context.Context, one *redis.Client) error {
		list, err := one.ClientList(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		for _, field := range strings.Fields(list) {
			if name, ok := strings.CutPrefix(field, "name="); ok && ours[name] {
				count[name]++
			}
		}
		return err
	}) // a Redis that does not answer is seen otherwise
	return count
}

// each does something with each master, at the same time.
func (a *arena) each(do func(context.Context, *redis.Client) error) error {
	switch admin := a.admin.(type) {
	case *redis.ClusterClient:
		return admin.ForEachMaster(context.Background(), do)
	case *redis.Client:
		return do(context.Background(), admin)
	}
	return fmt.Errorf("expected a client or a client of a Cluster, got %T", a.admin)
}

// leftKeys looks at what is in Redis when all have ended. What those have left who were
// killed, and results of Send, has to expire.
func (a *arena) leftKeys() {
	left := func(forever bool) (keys []string) {
		var mu sync.Mutex // guards keys
		if err := a.each(func(ctx context.Context, one *redis.Client) error {
			names, err := one.Keys(ctx, "*").Result()
			mu.Lock()
			defer mu.Unlock()
			for _, key := range names {
				if ttl, err := one.PTTL(ctx, key).Result(); err != nil {
					return err
				} else if forever && ttl == -1 || ttl > a.base.Expiry {
					keys = append(keys, fmt.Sprintf("key %s (expires in %v)", key, ttl))
				} else if !forever && ttl != -2 {
					keys = append(keys, key)
				}
			}
			return err
		}); err != nil {
			keys = append(keys, err.Error())
		}
		return keys
	}
	a.history.Leftovers = append(a.history.Leftovers, left(true)...)
	var keys []string
	for begun := time.Now(); time.Since(begun) < a.base.Expiry+3*time.Second; time.Sleep(50 * time.Millisecond) {
		if keys = left(false); len(keys) == 0 {
			break
		}
	}
	for _, key := range keys {
		a.history.Leftovers = append(a.history.Leftovers, fmt.Sprintf("key %s, %v after the end", key, a.base.Expiry))
	}
	for name, n := range a.connections() {
		a.history.Leftovers = append(a.history.Leftovers, fmt.Sprintf("%d connections of %s, which has ended", n, name))
	}
}
