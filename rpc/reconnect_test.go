package rpc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"redrpc/broker"
	"redrpc/rpc"
)

// TestFewDials: while Redis refuses, calls fail by the thousand and connections are
// tried one by one, with pauses; when it is well again, so are calls.
func TestFewDials(t *testing.T) {
	t.Parallel()
	const (
		callers = 32
		trouble = 20 * time.Second
	)
	for _, f := range []fleet{newFleet, oldClient} {
		for name, fault := range map[string]broker.Fault{
			"LOADING":  {Error: "LOADING no"},
			"READONLY": {Error: "READONLY no", Command: "rpush"},
			"refused":  {Refuse: true},
		} {
			t.Run(string(f)+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBroker(t)
					h := newHouse(t, inMemory(b))
					h.fleet = f
					client, ctx := h.client(rpc.ClientOptions{Timeout: 10 * time.Second}), context.Background()
					rule, err := b.Inject(fault)
					if err != nil {
						t.Fatal(err)
					}
					begun, before := time.Now(), b.Stats()
					var all sync.WaitGroup
					var failed [callers]int
					for n := range callers {
						all.Go(func() {
							for time.Since(begun) < trouble {
								err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil)
								if !errors.Is(err, rpc.ErrNotSent) || errors.Is(err, context.DeadlineExceeded) || name != "refused" && !strings.Contains(err.Error(), name) {
									t.Errorf("got %v", err)
								}
								failed[n]++
								time.Sleep(time.Millisecond)
							}
						})
					}
					all.Wait()
					// The first wave, then pauses of 5 ms and more, which soon are 250 to 500 ms.
					dials, most := b.Stats().Connections+b.Stats().Refused-before.Connections-before.Refused, callers+10+int64(trouble/(250*time.Millisecond))
					if dials < int64(trouble/(500*time.Millisecond)) || dials > most {
						t.Errorf("got %d dials in %v, want no more than %d", dials, trouble, most)
					}
					sum := 0
					for _, n := range failed {
						sum += n
					}
					if sum < callers*20 {
						t.Errorf("only %d calls have failed", sum)
					}
					t.Logf("%d calls failed, %d dials", sum, dials)

					rule.Remove()
					h.serve(rpc.ServerOptions{}, echo)
					begun = time.Now()
					for range callers {
						all.Go(func() {
							if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
					if took := time.Since(begun); took > time.Second {
						t.Errorf("calls took %v when Redis was well again", took)
					}
				})
			})
		}
	}
}

// TestCallersThatLeave: whoever leaves while Redis is away keeps nobody from going on when
// it is back.
func TestCallersThatLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		h := newHouse(t, inMemory(b))
		h.fleet = oldClient
		client, ctx := h.client(rpc.ClientOptions{}), context.Background()
		rule, err := b.Inject(broker.Fault{Error: "LOADING no"})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				for range 5 {
					is(t, client.Call(ctx, "echo", rpc.Args{"x": 1}, nil, rpc.Timeout(time.Duration(1+n)*time.Millisecond)), rpc.ErrNotSent)
				}
			})
		}
		all.Wait()
		rule.Remove()
		h.serve(rpc.ServerOptions{}, echo)
		for range 50 {
			all.Go(func() {
				if err := client.Call(ctx, "echo", rpc.Args{"x": 1}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()

		// Close does not wait for the end of a pause.
		if rule, err = b.Inject(broker.Fault{Refuse: true}); err != nil {
			t.Fatal(err)
		}
		other := h.client(rpc.ClientOptions{})
		for range 20 {
			is(t, other.Call(ctx, "echo", rpc.Args{"x": 1}, nil), rpc.ErrNotSent)
		}
		go other.Call(ctx, "echo", rpc.Args{"x": 1}, nil)
		synctest.Wait()
		begun := time.Now()
		other.Close()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Close took %v", took)
		}
		rule.Remove()
	})
}
