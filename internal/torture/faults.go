package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fault is something that can happen in an arena.
type fault struct {
	name        string
	of          string        // what it happens to: two at a time are of different things
	least, most time.Duration // how long it lasts

	// start lets it begin, says in the incident what it may do to calls, and returns what
	// ends it; nil if it cannot happen now.
	start func(*arena, *Incident) (stop func())
}

const ms = time.Millisecond

// Faults of Redis.
var redisFaults = []fault{
	{"Redis killed", "redis", 0, 1500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult, i.Forgets = true, true, a.forgets
		a.node.Stop()
		return func() { a.node.Restart(a) }
	}},
	{"Redis stopped", "redis", 20 * ms, 2500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult = true, true
		a.node.Pause(a)
		return func() { a.node.Resume(a) }
	}},
	{"maxclients reached", "redis", 200 * ms, 1000 * ms, maxClients},
	{"maxmemory reached", "redis", 100 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult = true, true
		a.do("config", "set", "maxmemory", "1")
		return func() { a.do("config", "set", "maxmemory", "0") }
	}},
	{"maxmemory reached now and then", "redis", 500 * ms, 2000 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult = true, true
		stop := a.repeat(10*ms, 150*ms, func(random *rand.Rand) {
			a.do("config", "set", "maxmemory", strconv.Itoa(random.IntN(2)))
		})
		return func() {
			stop()
			a.do("config", "set", "maxmemory", "0")
		}
	}},
}

// Faults of connections to any kind of Redis.
var connectionFaults = []fault{
	{"connections killed", "redis", 100 * ms, 1000 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult = true, true
		return a.repeat(5*ms, 100*ms, func(*rand.Rand) {
			a.do("client", "kill", "type", "normal", "skipme", "yes")
		})
	}},
}

// Faults of servers and clients.
var fleetFaults = []fault{
	{"server killed", "servers", 0, 300 * ms, func(a *arena, i *Incident) func() {
		return a.kill(i, a.any(a.servers))
	}},
	{"all servers killed", "servers", 0, 300 * ms, func(a *arena, i *Incident) func() {
		return a.kill(i, a.servers...)
	}},
	{"server stopped", "servers", 50 * ms, 3000 * ms, func(a *arena, i *Incident) func() {
		p := a.any(a.servers)
		i.NoResult, i.Servers = true, []string{p.name} // of what it has taken
		return a.hold(p)
	}},
	{"servers replaced", "servers", 0, 0, func(a *arena, i *Incident) func() {
		for _, p := range slices.Clone(a.servers) {
			a.add(p.role)
			a.retire(p)
		}
		return func() {}
	}},
	{"no server for a while", "servers", 0, 300 * ms, func(a *arena, i *Incident) func() {
		i.NoResult, i.Waiting, i.Outlast = true, true, 3*time.Second // until others run
		all := slices.Clone(a.servers)
		for _, p := range all {
			a.retire(p)
		}
		return func() {
			for _, p := range all {
				a.add(p.role)
			}
		}
	}},
	{"client killed", "clients", 0, 100 * ms, func(a *arena, i *Incident) func() {
		p := a.any(a.clients)
		i.Clients = []string{p.name}
		a.remove(p)
		p.kill()
		return func() { a.add(p.role) }
	}},
	{"client stopped", "clients", 50 * ms, 3000 * ms, func(a *arena, i *Incident) func() {
		p := a.any(a.clients)
		i.Clients, i.NotSent, i.NoResult, i.Stops = []string{p.name}, true, true, true
		return a.hold(p)
	}},
	{"calls cancelled", "clients", 300 * ms, 1500 * ms, all("cancel")},
	{"long messages", "clients", 100 * ms, 400 * ms, func(a *arena, i *Incident) func() {
		i.NoResult, i.NotSent, i.Outlast = true, true, 3*time.Second // on a machine that is busy with them
		return all("long")(a, i)
	}},
}

// Faults of the network between a process and Redis.
var linkFaults = []fault{
	{"network delays", "links", 300 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		by := a.between(2*ms, 80*ms)
		i.NotSent, i.NoResult, i.Outlast = true, true, 3*time.Second
		return a.storm(i, func(w *weather) { w.delay = by })
	}},
	{"network trickles", "links", 200 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		rate := 1000 << a.random.IntN(6)
		i.NotSent, i.NoResult = true, true
		return a.storm(i, func(w *weather) { w.rate = rate })
	}},
	{"network swallows what goes to Redis", "links", 100 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult, i.Settle = true, true, restoring
		return a.storm(i, func(w *weather) { w.up = true })
	}},
	{"network swallows what comes from Redis", "links", 100 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult, i.Settle = true, true, restoring
		return a.storm(i, func(w *weather) { w.down = true })
	}},
	{"connections cut in the middle", "links", 200 * ms, 1500 * ms, func(a *arena, i *Incident) func() {
		i.NotSent, i.NoResult = true, true
		links := a.links(i)
		stop := a.repeat(10*ms, 150*ms, func(random *rand.Rand) { links[random.IntN(len(links))].cut() })
		return func() {
			stop()
			calm(links)
		}
	}},
}

// Faults of Redis's clock, as the proxies show it.
var clockFaults = []fault{
	{"Redis's clock set", "servers", 0, 1000 * ms, func(a *arena, i *Incident) func() {
		// Who has asked for the time before goes by the old one for up to a minute.
		i.NoResult, i.Grace, i.Settle = true, true, 65*time.Second
		a.clock = time.Duration(a.random.IntN(80)-40) * time.Second
		for _, p := range slices.Concat(a.servers, a.clients) {
			p.proxy.set(func(w *weather) { w.clock = a.clock })
		}
		return func() { // one has the new time
			p := a.any(a.servers)
			a.add(p.role)
			a.retire(p)
		}
	}},
}

// do runs a command on each Redis. Whether it has succeeded shows in what it does.
func (a *arena) do(args ...any) {
	_ = a.each(func(ctx context.Context, one *redis.Client) error { return one.Do(ctx, args...).Err() })
}

// repeat does something now and then until it is stopped.
func (a *arena) repeat(least, most time.Duration, do func(*rand.Rand)) (stop func()) {
	random := rand.New(rand.NewPCG(a.random.Uint64(), 4))
	stopping := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-stopping:
				return
			case <-timer.C:
			}
			do(random)
			timer.Reset(least + time.Duration(random.Int64N(int64(most-least))))
		}
	})
	return func() {
		close(stopping)
		running.Wait()
	}
}

// kill ends servers at once, and starts others in their place.
func (a *arena) kill(i *Incident, servers ...*process) (replace func()) {
	i.NoResult, i.Kills = true, true
	servers = slices.Clone(servers)
	for _, p := range servers {
		i.Servers = append(i.Servers, p.name)
		a.remove(p)
		p.kill()
	}
	return func() {
		for _, p := range servers {
			a.add(p.role)
		}
	}
}

// hold stops a process for a while.
func (a *arena) hold(p *process) (resume func()) {
	if err := p.pause(); err != nil {
		a.Fatal(err)
	}
	return func() {
		if err := p.resume(); err != nil {
			a.Fatal(err)
		}
	}
}

// all tells all clients to do something for a while.
func all(what string) func(*arena, *Incident) func() {
	return func(a *arena, _ *Incident) func() {
		tell := func(how string) {
			for _, p := range a.clients {
				p.tell(what + how)
			}
		}
		tell(" on")
		return func() { tell(" off") }
	}
}

// links are those of one process, or of all servers, which may all be gone.
func (a *arena) links(i *Incident) (links []*proxy) {
	hurt := a.clients
	if len(a.servers) > 0 && a.random.IntN(2) == 0 {
		hurt = a.servers
	}
	if a.random.IntN(2) == 0 || !hurt[0].isServer() {
		hurt = []*process{a.any(hurt)}
	}
	for _, p := range hurt {
		links = append(links, p.proxy)
		if p.isServer() {
			i.Servers = append(i.Servers, p.name)
		} else {
			i.Clients = append(i.Clients, p.name)
		}
	}
	return links
}

// storm is bad weather on some links.
func (a *arena) storm(i *Incident, change func(*weather)) (stop func()) {
	links := a.links(i)
	for _, l := range links {
		l.set(change)
	}
	return func() { calm(links) }
}

func calm(links []*proxy) {
	for _, l := range links {
		l.calm()
	}
}

// maxClients lets strangers take all connections that Redis has to give.
func maxClients(a *arena, i *Incident) func() {
	i.NotSent, i.NoResult = true, true
	ours := 0
	for _, n := range a.connections() {
		ours += n
	}
	a.do("config", "set", "maxclients", fmt.Sprint(ours+5))
	var crowd []net.Conn
	enter := func() bool {
		conn, err := net.Dial("tcp", a.base.Addr)
		if err != nil {
			return false
		}
		crowd = append(crowd, conn)
		_ = conn.SetDeadline(time.Now().Add(time.Second)) // it is new
		reply := make([]byte, 5)
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return false
		}
		_, err = conn.Read(reply)
		return err == nil && strings.HasPrefix(string(reply), "+PONG")
	}
	kill := true
	stop := a.repeat(5*ms, 50*ms, func(*rand.Rand) {
		for n := 0; n < 100 && enter(); n++ {
		}
		if kill {
			a.do("client", "kill", "type", "normal", "skipme", "yes")
			kill = false
		}
	})
	return func() {
		stop()
		for _, conn := range crowd {
			conn.Close()
		}
		a.do("config", "set", "maxclients", "10000")
	}
}
