package bench_test

import (
	"context"
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
	client, err := rpc.NewClient(rdb, rpc.ClientOptions{Timeout: time.Minute})
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

// At 10,000 calls/s every call is sent, on time or late. How late is for the benchmark to
// tell: one in a hundred is to be at most 1 ms late while a core is free.
func TestAllAreSentAt10000CallsASecond(t *testing.T) {
	for name, call := range map[string]func(context.Context) error{
		"nothing": func(context.Context) error { return nil }, "echo": echo(t),
	} {
		t.Run(name, func(t *testing.T) {
			if res := shortRun(t, call); res.Intended != 1000 || res.Errors > 0 || res.Dropped > 0 {
				t.Errorf("%d calls, %d errors, %d missed; expected 1,000, 0 and 0", res.Intended, res.Errors, res.Dropped)
			}
		})
	}
}

func shortRun(t testing.TB, call func(context.Context) error) *bench.Result {
	res, err := bench.Run(t.Context(), bench.Config{
		Call: call, Model: bench.OpenLoop{Profile: bench.Constant(10_000)},
		Warmup: 50 * time.Millisecond, Calls: 1000, // however long that takes
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
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
				if res.Errors > 0 || res.Dropped > 0 {
					b.Errorf("%d errors, %d missed", res.Errors, res.Dropped)
				}
				for unit, us := range map[string]*float64{"us-p50-lag": res.Lag.P50, "us-p99-lag": res.Lag.P99, "us-p999-lag": res.Lag.P999,
					"us-max-lag": res.Lag.Max, "us-p50-response": res.Latency.P50} {
					if us == nil {
						b.Fatalf("no %s: %v", unit, res.Verdict.Reasons)
					}
					b.ReportMetric(*us, unit)
				}
			})
		}
	}
}
