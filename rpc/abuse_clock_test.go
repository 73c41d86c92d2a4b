package rpc_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redrpc/broker"
	"redrpc/rpc"
)

// TestClockStep: the clock of Redis's machine is set while servers and clients run, which
// learn of it at different times, in fake time. What it says of deadlines is wrong then.
// Calls go on.
func TestClockStep(t *testing.T) {
	t.Parallel()
	const (
		step    = 45 * time.Second  // when it is set
		end     = 125 * time.Second // both have read it again
		timeout = time.Second       // of a call
		callers = 2                 // of each client
		trouble = 2 * time.Second   // after the first call that failed no other does
	)
	alive := offer("small", func(ctx context.Context, in struct{ N int }) (int, error) {
		return in.N, ctx.Err() // which has a deadline by Redis's clock
	})
	for _, by := range []time.Duration{30 * time.Second, -30 * time.Second, 1500 * time.Millisecond, -1500 * time.Millisecond} {
		for _, c := range []struct {
			name                string
			client, otherClient time.Duration // when they begin, if not 0
			server              time.Duration // when it ends, if not 0; it has begun at first
			otherServer         time.Duration // when it begins, if not 0
		}{
			{name: "server reads first", client: 40 * time.Second},
			{name: "client reads first", client: time.Millisecond, server: 40 * time.Second, otherServer: 39 * time.Second},
			{name: "both read at the same time", client: time.Millisecond},
			{name: "another server begins later", client: time.Second, otherServer: 50 * time.Second},
			{name: "another server takes over later", client: time.Second, server: 51 * time.Second, otherServer: 50 * time.Second},
			{name: "another client begins later", client: time.Second, otherClient: 50 * time.Second},
		} {
			t.Run(fmt.Sprintf("%v/%s", by, c.name), func(t *testing.T) {
				inFakeTime(t, func(t *testing.T, h *house, b *broker.Broker) {
					var offset atomic.Int64
					if _, err := b.Inject(broker.Fault{Command: "time", Func: func(c *broker.Command) broker.Verdict {
						now := b.Now().Add(time.Duration(offset.Load()))
						return c.Answer([]string{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)})
					}}); err != nil {
						t.Fatal(err)
					}
					begun := time.Now()
					var events sync.WaitGroup
					defer events.Wait()
					at := func(d time.Duration, do func()) {
						events.Go(func() {
							time.Sleep(d)
							do()
						})
					}
					w := h.hire(rpc.ServerOptions{}, alive)
					servers := []*hand{w}
					w.run(context.Background())
					if c.server > 0 {
						at(c.server, func() { w.end(t) })
					}
					if c.otherServer > 0 {
						w := h.hire(rpc.ServerOptions{}, alive)
						servers = append(servers, w)
						at(c.otherServer, func() { w.run(context.Background()) })
					}
					at(step, func() { offset.Store(int64(by)) })

					var mu sync.Mutex // guards what follows
					var failures []string
					var first, calls = time.Duration(0), 0 // when the first began that failed
					var all sync.WaitGroup
					for _, d := range []time.Duration{c.client, c.otherClient} {
						if d == 0 {
							continue
						}
						client := h.newClient(rpc.ClientOptions{Timeout: timeout})
						for range callers {
							all.Go(func() {
								time.Sleep(d)
								for n := 0; time.Since(begun) < end; n++ {
									at := time.Since(begun)
									o := <-h.start(context.Background(), client, "small", n)
									mu.Lock()
									calls++
									if o.err != nil {
										if first == 0 {
											first = at
										}
										if at > first+trouble {
											failures = append(failures, fmt.Sprintf("%v: %v", at, o.err))
										}
									}
									mu.Unlock()
									time.Sleep(700 * time.Millisecond)
								}
							})
						}
					}
					all.Wait()
					events.Wait()
					if len(failures) > 0 {
						t.Errorf("%d of %d calls failed more than %v after the first, at %v: the first of them at %s", len(failures), calls, trouble, first, failures[0])
					}
					expired := uint64(0)
					for _, w := range servers {
						expired += w.Stats().Expired
						w.end(t)
					}
					if expired > 2*callers { // all that were made within one timeout
						t.Errorf("%d calls were dropped as expired", expired)
					}
					t.Logf("%d calls, %d dropped as expired", calls, expired)
				})
			})
		}
	}
}
