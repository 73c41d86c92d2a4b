package bench_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redrpc/bench"
	"redrpc/broker/brokertest"
	"redrpc/rpc"
)

// echo starts an in-process broker with a server and returns a call of echo.
func echo(t testing.TB) func(context.Context) error {
	_, rdb := brokertest.Start(t)
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Handle(server, "echo", func(_ context.Context, in struct{ X string }) (string, error) { return in.X, nil }); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(context.Background()) }()
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	text := rpc.Args{"x": string(make([]byte, 100))}
	return func(ctx context.Context) error {
		_, err := rpc.Call[string](ctx, client, "echo", text)
		return err
	}
}

// At 10,000 calls/s one call in a hundred is sent at most 1 ms late while a core is free.
// One of some short runs has to show it, if it is known of three that the machine had
// a core for the generator. Calls that do nothing leave it one, also where there are two in all.
// A machine that is too busy for that shows nothing: there the benchmark is what tells.
func TestLagAt10000CallsASecond(t *testing.T) {
	t.Run("nothing", func(t *testing.T) { testLag(t, func(context.Context) error { return nil }) })
	t.Run("echo", func(t *testing.T) { testLag(t, echo(t)) })
}

func testLag(t *testing.T, call func(context.Context) error) {
	best, fair := 0., 0
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		free := coresAreFree()
		res, err := bench.Run(t.Context(), bench.Config{
			Call: call, Model: bench.OpenLoop{Profile: bench.Constant(10_000)},
			Warmup: 50 * time.Millisecond, Duration: 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Intended != 1000 || res.Errors > 0 || res.Missed > 0 {
			t.Fatalf("%d calls, %d errors, %d missed; expected 1,000, 0 and 0", res.Intended, res.Errors, res.Missed)
		}
		p99 := *res.Lag.P99
		if p99 <= 1000 {
			return
		}
		// Under the race detector the calls may need all cores.
		used := 0.
		for _, u := range res.Resources {
			used += u.Busy * u.Capacity
		}
		if used > float64(runtime.GOMAXPROCS(0)-1) || !free || !coresAreFree() {
			continue
		}
		if fair++; fair == 1 || p99 < best {
			best = p99
		}
	}
	if fair < 3 {
		t.Log("no core of this machine was free")
		return
	}
	t.Errorf("the best of %d runs had a p99 of %.0f us between intended and sent; expected at most 1,000", fair, best)
}

// coresAreFree tells if nobody else wants the processors: each can be kept for 5 ms.
func coresAreFree() bool {
	var torn atomic.Bool
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			began := time.Now()
			for last := began; last.Sub(began) < 5*time.Millisecond; {
				now := time.Now()
				if now.Sub(last) > time.Millisecond {
					torn.Store(true)
				}
				last = now
			}
		})
	}
	all.Wait()
	return !torn.Load()
}

// How late calls are sent at 10,000 calls/s.
func BenchmarkLag(b *testing.B) {
	for _, spin := range []bench.Spin{bench.SpinAuto, bench.SpinOn, bench.SpinOff} {
		for _, target := range []string{"nothing", "echo"} {
			b.Run(target+"/spin="+string(spin), func(b *testing.B) {
				call := func(context.Context) error { return nil }
				if target == "echo" {
					call = echo(b)
				}
				res, err := bench.Run(context.Background(), bench.Config{
					Call: call, Spin: spin, Model: bench.OpenLoop{Profile: bench.Constant(10_000)},
					Warmup: time.Second, Duration: 4 * time.Second,
				})
				if err != nil {
					b.Fatal(err)
				}
				if res.Errors > 0 || res.Missed > 0 {
					b.Errorf("%d errors, %d missed", res.Errors, res.Missed)
				}
				b.ReportMetric(*res.Lag.P50, "us-p50-lag")
				b.ReportMetric(*res.Lag.P99, "us-p99-lag")
				b.ReportMetric(*res.Lag.P999, "us-p999-lag")
				b.ReportMetric(*res.Lag.Max, "us-max-lag")
				b.ReportMetric(*res.Latency.P50, "us-p50-response")
			})
		}
	}
}
