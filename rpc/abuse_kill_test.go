package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
	"redrpc/rpc"
)

// A storm is calls whose connections are lost all the time. What may be lost with them is
// a call on its way to its handler, which then never runs. A result is not lost: each
// call that ran has it at its caller.
type storm struct {
	*house
	client  *rpc.Client
	servers []*hand
	ctx     context.Context // of the calls

	mu      sync.Mutex // guards what follows
	calls   []*stormCall
	callers sync.WaitGroup
	stopped bool
}

// A stormCall is one whose number is its place in storm.calls.
type stormCall struct {
	ran   atomic.Int32
	ended atomic.Bool
	err   error // read it when it has ended
}

const (
	stormCallers = 32
	stormTimeout = patience
	stormPause   = 4 * time.Millisecond // of a caller between calls

	// stormWait is after how long a caller makes its next call, while it still waits for
	// the last: so there is load all the time, also if many calls have been lost.
	stormWait = 250 * time.Millisecond
)

// newStorm starts callers. The connections of clients are called "caller", those of
// servers "staff".
func newStorm(h *house, client rpc.ClientOptions, server rpc.ServerOptions) (s *storm, stop func()) {
	s = &storm{house: h, client: h.named("caller").newClient(client)}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	server.Workers = 8
	for range 2 {
		s.servers = append(s.servers, h.named("staff").employ(server, offer("count", s.run)))
	}
	for range stormCallers {
		s.callers.Go(s.caller)
	}
	return s, cancel
}

// run is the function. It takes 0 to 2 ms.
func (s *storm) run(_ context.Context, in struct{ N int }) (int, error) {
	s.mu.Lock()
	c := s.calls[in.N]
	s.mu.Unlock()
	c.ran.Add(1)
	time.Sleep(rand.N(2 * time.Millisecond))
	return in.N, nil
}

func (s *storm) caller() {
	for {
		c := &stormCall{}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			return
		}
		n := len(s.calls)
		s.calls = append(s.calls, c)
		s.mu.Unlock()
		ended := make(chan struct{})
		s.callers.Go(func() {
			got, err := rpc.Call[int](s.ctx, s.client, "count", rpc.Args{"n": n}, rpc.Timeout(stormTimeout))
			if err == nil && got != n {
				err = fmt.Errorf("got the result of call %d", got)
			}
			c.err = err
			c.ended.Store(true)
			close(ended)
		})
		timer := time.NewTimer(stormWait)
		select {
		case <-ended:
		case <-timer.C:
		}
		timer.Stop()
		time.Sleep(stormPause)
	}
}

// all are the calls that there are so far.
func (s *storm) all() []*stormCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[:len(s.calls):len(s.calls)]
}

// settle ends the storm: no calls are made any more, each that still runs ends, and so do
// those whose fate is open, by cancel. Then it checks how each has ended.
func (s *storm) settle(cancel func()) {
	s.Helper()
	defer cancel()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	idle := func() bool {
		if n, err := s.rdb.LLen(context.Background(), s.prefix+":count:calls").Result(); n > 0 || err != nil {
			return false
		}
		for _, w := range s.servers {
			if w.Stats().InFlight > 0 {
				return false
			}
		}
		return true
	}
	// Calls that wait to be sent again may come after that, and one may be on its way
	// from the queue to its handler.
	lost := func() (n int) {
		for _, c := range s.all() {
			if !c.ended.Load() && c.ran.Load() > 0 {
				n++
			}
		}
		return n
	}
	quiet := time.Now()
	for begun := quiet; time.Since(begun) < patience && time.Since(quiet) < 500*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if !idle() || lost() > 0 {
			quiet = time.Now()
		}
	}
	if n := lost(); n > 0 {
		s.Errorf("%d calls have run and have no result", n)
	}
	cancel()
	s.callers.Wait()
	if !idle() {
		s.Error("calls are left in the queue, or run")
	}
	tally := map[string]int{}
	for n, c := range s.all() {
		ran, err := c.ran.Load(), c.err
		switch {
		case err == nil && ran == 1:
			tally["results"]++
		case errors.Is(err, rpc.ErrNotSent) && ran == 0:
			tally["not sent"]++
		case errors.Is(err, rpc.ErrNoResult) && ran == 0:
			tally["never ran"]++
		default:
			if tally["wrong"]++; tally["wrong"] <= 10 {
				s.Errorf("call %d ran %d times, and ended with %v", n, ran, err)
			}
		}
	}
	s.Logf("%d calls: %v", len(s.all()), tally)
	if tally["results"] < len(s.all())/4 { // even on a busy machine
		s.Errorf("only %d of %d calls have got a result", tally["results"], len(s.all()))
	}
	// All is well again.
	for n := range 5 {
		next(s.T, s.start(context.Background(), s.client, "count", n, rpc.Timeout(patience))).isResult(s.T)
	}
}

// TestKillStorm closes the connections of clients and servers all the time.
func TestKillStorm(t *testing.T) {
	t.Parallel()
	const (
		lasts = 2 * time.Second       // or longer, until there were enough kills
		least = 50 * time.Millisecond // between two kills
		most  = 100 * time.Millisecond
		kills = 10 // of each name
	)
	var scenarios []scenario
	for _, c := range []struct {
		name  string
		kills []string // names of the connections
		opt   rpc.ClientOptions
	}{
		{name: "client", kills: []string{"caller"}},
		{name: "server", kills: []string{"staff"}},
		{name: "both", kills: []string{"caller", "staff"}},
		{name: "nobody"}, // this is how it is without kills
	} {
		scenarios = append(scenarios, scenario{c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
			s, cancel := newStorm(h, c.opt, rpc.ServerOptions{})
			eventually(t, "calls to be answered", func() bool { return len(s.all()) > 5*stormCallers })
			killed := map[string]int{}
			few := func(name string) bool { return killed[name] < kills }
			for begun := time.Now(); time.Since(begun) < lasts || time.Since(begun) < patience && slices.ContainsFunc(c.kills, few); time.Sleep(least + rand.N(most-least)) {
				for _, name := range c.kills {
					killed[name] += h.kill(name)
				}
			}
			for _, name := range c.kills {
				if few(name) {
					t.Errorf("closed %d connections of %s, want %d", killed[name], name, kills)
				}
			}
			t.Logf("connections closed: %v", killed)
			s.settle(cancel)
			closeSoon(t, s.client)
			for _, w := range s.servers {
				w.end(t)
			}
		}})
	}
	atOnce(t, scenarios)
}

// TestDropStorm closes connections now and then before or after a command of a kind has
// run, or in the midst of its reply, in fake time.
func TestDropStorm(t *testing.T) {
	t.Parallel()
	const (
		lasts = 150 * time.Millisecond
		often = 0.08
	)
	for _, c := range []struct {
		name     string
		client   string // whose connections
		commands []string
	}{
		{"client's reads", "caller", []string{"lrange"}},
		{"client's trims", "caller", []string{"ltrim"}},
		{"client's waits", "caller", []string{"blmove"}},
		{"client's pushes", "caller", []string{"rpush"}},
		{"client's transactions", "caller", []string{"exec"}},
		{"server's pushes", "staff", []string{"rpush"}},
		{"server's transactions", "staff", []string{"exec"}},
		{"all pushes and transactions", "", []string{"rpush", "expire", "exec"}},
		{"all of them", "", []string{"lrange", "ltrim", "blmove", "rpush", "exec"}},
	} {
		for _, drop := range []broker.Drop{broker.DropBefore, broker.DropAfter, broker.DropHalf} {
			if drop == broker.DropHalf && len(c.commands) == 1 { // it is a kind of DropAfter
				continue
			}
			t.Run(c.name+"/"+drop.String(), func(t *testing.T) {
				seed := uint64(time.Now().UnixNano()) // outside of the bubble, where it is always the same
				t.Logf("seed %d", seed)
				inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
					s, cancel := newStorm(h, rpc.ClientOptions{}, rpc.ServerOptions{})
					time.Sleep(50 * time.Millisecond)
					var rules []*broker.Rule
					for i, command := range c.commands {
						rule, err := b.Inject(broker.Fault{Command: command, Client: c.client, Drop: drop, Probability: often, Seed: seed + uint64(i)})
						if err != nil {
							t.Fatal(err)
						}
						rules = append(rules, rule)
					}
					time.Sleep(lasts)
					for _, rule := range rules {
						rule.Remove()
						if rule.Matched() == 0 {
							t.Errorf("%s: no command matched", rule)
						}
					}
					s.settle(cancel)
				})
			})
		}
	}
}

// TestKillsOfOldVersions: the same for an old client, or an old server, as far as they can:
// a result that was popped and did not arrive is lost, but no call runs twice, and each
// ends.
func TestKillsOfOldVersions(t *testing.T) {
	t.Parallel()
	var scenarios []scenario
	for _, c := range []struct {
		name   string
		client rpc.ClientOptions
		server rpc.ServerOptions
	}{
		{"old client", rpc.ClientOptions{NoExtensions: true}, rpc.ServerOptions{}},
		{"old server", rpc.ClientOptions{}, rpc.ServerOptions{NoExtensions: true}},
	} {
		scenarios = append(scenarios, scenario{c.name, func(t *testing.T) {
			h := newHouse(t, &redis.Options{Addr: redistest.Start(t).Addr})
			c.client.Timeout = time.Second
			client := h.named("caller").newClient(c.client)
			const calls = 400
			var ran [calls]atomic.Int32
			w := h.named("staff").employ(c.server, offer("count", func(_ context.Context, in struct{ N int }) (int, error) {
				ran[in.N].Add(1)
				return in.N, nil
			}))
			outcomes := make(chan outcome, calls)
			for n := range calls {
				go func() {
					time.Sleep(time.Duration(n) * 2 * time.Millisecond)
					outcomes <- <-h.start(context.Background(), client, "count", n)
				}()
			}
			for range 10 {
				h.kill("caller")
				h.kill("staff")
				time.Sleep(60 * time.Millisecond)
			}
			tally := map[string]int{}
			for range calls {
				o := next(t, outcomes)
				switch {
				case o.err == nil && o.got == o.n:
					tally["results"]++
				case errors.Is(o.err, rpc.ErrNotSent):
					tally["not sent"]++
					if n := ran[o.n].Load(); n != 0 {
						t.Errorf("call %d ran %d times and ended with %v", o.n, n, o.err)
					}
				case errors.Is(o.err, rpc.ErrNoResult):
					tally["no result"]++
				default:
					t.Errorf("call %d: got %v, %v", o.n, o.got, o.err)
				}
			}
			t.Logf("%v", tally)
			for n := range ran {
				if got := ran[n].Load(); got > 1 {
					t.Errorf("call %d ran %d times", n, got)
				}
			}
			next(t, h.start(context.Background(), client, "count", 0, rpc.Timeout(patience))).isResult(t)
			w.end(t)
		}})
	}
	atOnce(t, scenarios)
}
