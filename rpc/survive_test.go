package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redrpc/rpc"
)

// A trial is load whose every call is counted on both sides while something happens
// to Redis: the handler counts how often a call ran, the caller how it ended.
type trial struct {
	name   string
	happen func(*load) // what happens; nothing of it is left when it returns

	// The kinds of error that it may bring, and texts of which each error has to have
	// one, if there are any.
	may   []error
	texts []string
	must  bool // it brings some

	// failover says that a replica takes over, which may not know which calls were popped
	// last: those that do not say until when their callers wait may run again.
	failover bool
}

// A load is calls, as many at a time as there are callers, until it is stopped.
type load struct {
	*house
	client    *rpc.Client
	ctx       context.Context
	functions []string      // that are called in turn
	timeout   time.Duration // of each call
	pause     time.Duration // of a caller, between calls
	servers   []*hand       // that run

	// old, if it is not nil, calls in place of the client every tenth time.
	old func(l *load, fn string, n int) (int, error)

	mu      sync.Mutex // guards what follows
	calls   []*counted // by number
	results int
	errors  int
	goal    int           // of results
	reached chan struct{} // closed at the goal
	stopped bool
}

// A counted call is one whose number is its place in load.calls.
type counted struct {
	ran   atomic.Int32
	ended atomic.Int32
	err   error
}

const (
	loadCallers = 8
	recovery    = patience // longest time, from the end of what happens, to many results
)

// endure puts load on h, lets it happen, sees that the load goes on by itself, and
// checks that each call ended once, ran no more than once, and ran in accordance
// with how it ended.
func (c trial) endure(loads ...*load) {
	var all sync.WaitGroup
	for _, l := range loads {
		l.timeout = patience
		if len(c.may) > 0 { // calls that are lost have to be waited for
			l.timeout = 400 * time.Millisecond
		}
		for range loadCallers {
			all.Go(l.caller)
		}
	}
	for _, l := range loads {
		l.await(loadCallers * 5)
	}
	c.happen(loads[0])
	for _, l := range loads {
		l.await(loadCallers * 10)
	}
	for _, l := range loads {
		l.mu.Lock()
		l.stopped = true
		l.mu.Unlock()
	}
	all.Wait()
	for _, l := range loads {
		l.drain()
		c.check(l)
	}
}

// newLoad makes a client, and two servers with the functions of the load, which run.
// Without names there is one. The pause is such that many loads at the same time leave
// some of the processors.
func newLoad(h *house, functions ...string) *load {
	if len(functions) == 0 {
		functions = []string{"count"}
	}
	l := &load{house: h, client: h.client(rpc.ClientOptions{}), ctx: context.Background(), functions: functions, pause: 20 * time.Millisecond}
	for range 2 {
		l.hireOne()
	}
	return l
}

// hireOne starts another server.
func (l *load) hireOne() {
	var offers []func(*rpc.Server) error
	for _, fn := range l.functions {
		offers = append(offers, offer(fn, l.run))
	}
	l.servers = append(l.servers, l.serve(rpc.ServerOptions{Workers: 8}, offers...))
}

// dismissOne stops the oldest server.
func (l *load) dismissOne() {
	l.servers[0].stop(l.T)
	l.servers = l.servers[1:]
}

// relieve replaces all servers: several times one after the other by a new one, and
// then all of them, so that there is a time with none.
func (l *load) relieve() {
	for range 6 {
		l.hireOne()
		l.dismissOne()
		l.await(loadCallers)
	}
	for len(l.servers) > 0 {
		l.dismissOne()
	}
	for range 2 {
		l.hireOne()
	}
}

// run is the function: it takes 0 to 2 ms.
func (l *load) run(_ context.Context, in struct{ N int }) (int, error) {
	l.mu.Lock()
	c := l.calls[in.N]
	l.mu.Unlock()
	c.ran.Add(1)
	time.Sleep(rand.N(2 * time.Millisecond))
	return in.N, nil
}

func (l *load) caller() {
	for {
		c := &counted{}
		l.mu.Lock()
		if l.stopped {
			l.mu.Unlock()
			return
		}
		n := len(l.calls)
		l.calls = append(l.calls, c)
		l.mu.Unlock()
		got, err := l.call(l.functions[n%len(l.functions)], n)
		if err == nil && got != n {
			err = fmt.Errorf("got the result of call %d", got)
		}
		c.err = err
		c.ended.Add(1)
		l.mu.Lock()
		if err != nil {
			l.errors++
		} else if l.results++; l.results == l.goal {
			close(l.reached)
		}
		l.mu.Unlock()
		time.Sleep(l.pause)
	}
}

func (l *load) call(fn string, n int) (int, error) {
	if l.old != nil && n%10 == 0 {
		return l.old(l, fn, n)
	}
	return rpc.Call[int](l.ctx, l.client, fn, rpc.Args{"n": n}, rpc.Timeout(l.timeout))
}

// await waits until so many more results have come.
func (l *load) await(more int) {
	l.Helper()
	l.mu.Lock()
	l.goal, l.reached = l.results+more, make(chan struct{})
	reached := l.reached
	l.mu.Unlock()
	select {
	case <-reached:
	case <-time.After(recovery):
		l.mu.Lock()
		l.stopped = true
		l.mu.Unlock()
		l.Errorf("no %d results within %v", more, recovery)
	}
}

// awaitErrors waits until an error or more have come for each caller.
func (l *load) awaitErrors() {
	l.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.errors
	}
	before := count()
	eventually(l.T, "errors", func() bool { return count() >= before+loadCallers })
}

// drain waits until the servers have taken all calls from the queue, also those that
// nobody waits for any more.
func (l *load) drain() {
	l.Helper()
	for _, fn := range l.functions {
		for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			n, err := l.redis().LLen(l.ctx, l.prefix+":"+fn+":calls").Result()
			if n == 0 && err == nil {
				break
			}
			if time.Since(start) > recovery {
				l.Errorf("%d calls are left in the queue of %s (%v)", n, fn, err)
				break
			}
		}
	}
}

func (c trial) check(l *load) {
	l.Helper()
	tally := map[string]int{}
	for n, call := range l.calls {
		ran, ended, err := call.ran.Load(), call.ended.Load(), call.err
		kind := "result"
		switch {
		case errors.Is(err, rpc.ErrNotSent):
			kind = rpc.ErrNotSent.Error()
		case errors.Is(err, rpc.ErrNoResult):
			kind = rpc.ErrNoResult.Error()
		case err != nil:
			kind = "another error"
		}
		tally[kind]++
		switch {
		case ended != 1:
			l.Errorf("call %d ended %d times", n, ended)
		case ran > 1 && !(c.failover && l.fleet == oldClient), err == nil && ran == 0, errors.Is(err, rpc.ErrNotSent) && ran > 0:
			l.Errorf("call %d ran %d times and ended with %v", n, ran, err)
		case err != nil && !slices.ContainsFunc(c.may, func(kind error) bool { return errors.Is(err, kind) }):
			l.Errorf("call %d: got %v, expected errors %q", n, err, c.may)
		case err != nil && len(c.texts) > 0 && !slices.ContainsFunc(c.texts, func(text string) bool { return strings.Contains(err.Error(), text) }):
			l.Errorf("call %d: got %v, expected errors with %q", n, err, c.texts)
		}
	}
	if c.must && tally["result"] == len(l.calls) {
		l.Error("got no error, so nothing was tried")
	}
	l.Logf("%s, fleet %s: %d calls: %v", c.name, l.fleet, len(l.calls), tally)
}

// What a fault can bring: no call is lost, calls are lost, or some are and others
// are refused.
var (
	harmless []error
	losses   = []error{rpc.ErrNoResult}
	both     = []error{rpc.ErrNotSent, rpc.ErrNoResult}
)

// survive runs trials for some fleets.
func survive(t *testing.T, trials []trial, fleets []fleet, run func(*testing.T, fleet, trial)) {
	for _, f := range fleets {
		for _, c := range trials {
			t.Run(string(f)+"/"+strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) { run(t, f, c) })
		}
	}
}
