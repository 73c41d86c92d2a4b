package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/redistest"
)

// BenchmarkCall echoes 100 bytes in a closed loop of c callers.
func BenchmarkCall(b *testing.B) {
	b.Run("redis-server", func(b *testing.B) {
		benchmarkCall(b, &redis.Options{Addr: redistest.Start(b).Addr})
	})
	b.Run("memory", func(b *testing.B) {
		broker, err := broker.New(broker.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer broker.Close()
		benchmarkCall(b, &redis.Options{Addr: "127.0.0.1:0", Dialer: broker.Dial})
	})
}

func benchmarkCall(b *testing.B, opt *redis.Options) {
	for _, c := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("c=%d", c), func(b *testing.B) {
			rdb := redis.NewClient(opt)
			defer rdb.Close()
			server, err := NewServer(rdb, ServerOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if err := Handle(server, "echo", func(_ context.Context, in struct{ X string }) (string, error) { return in.X, nil }); err != nil {
				b.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(func() {
				if err := server.Run(context.Background()); err != nil {
					b.Error(err)
				}
			})
			client, err := NewClient(rdb, ClientOptions{Timeout: 30 * time.Second, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			args := json.RawMessage(`{"x":"` + strings.Repeat("x", 100) + `"}`)
			loop := func(n int) {
				var callers sync.WaitGroup
				for i := range c {
					callers.Go(func() {
						for j := i; j < n; j += c {
							if _, err := Call[string](context.Background(), client, "echo", args); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				callers.Wait()
			}
			loop(c * 4) // connections
			b.ResetTimer()
			loop(b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			if err := client.Close(); err != nil {
				b.Error(err)
			}
			if err := server.Stop(context.Background()); err != nil {
				b.Error(err)
			}
			running.Wait()
		})
	}
}

// BenchmarkSlowCalls is 64 callers of whom one call in 500 takes 100 ms, or none: the
// time of the others is to be about the same.
func BenchmarkSlowCalls(b *testing.B) {
	addr := redistest.Start(b).Addr
	for _, slowIn := range []int{0, 500} {
		b.Run(fmt.Sprintf("one in %d", slowIn), func(b *testing.B) {
			const callers = 64
			rdb := redis.NewClient(&redis.Options{Addr: addr})
			defer rdb.Close()
			server, err := NewServer(rdb, ServerOptions{})
			if err != nil {
				b.Fatal(err)
			}
			nap := func(_ context.Context, in struct{ D time.Duration }) (int, error) { time.Sleep(in.D); return 0, nil }
			if err := Handle(server, "nap", nap); err != nil {
				b.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(func() { _ = server.Run(context.Background()) })
			client, err := NewClient(rdb, ClientOptions{Timeout: 30 * time.Second, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			took := make([][]time.Duration, callers)
			var callersDone sync.WaitGroup
			for c := range callers {
				callersDone.Go(func() {
					for i := c; i < b.N; i += callers {
						d := time.Duration(0)
						if slowIn > 0 && i%slowIn == 0 {
							d = 100 * time.Millisecond
						}
						start := time.Now()
						if err := client.Call(context.Background(), "nap", Args{"d": d}, nil); err != nil {
							b.Error(err)
							return
						}
						if d == 0 {
							took[c] = append(took[c], time.Since(start))
						}
					}
				})
			}
			callersDone.Wait()
			all := slices.Concat(took...)
			slices.Sort(all)
			if len(all) >= 299 { // what p99 needs
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
			}
			if err := client.Close(); err != nil {
				b.Error(err)
			}
			if err := server.Stop(context.Background()); err != nil {
				b.Error(err)
			}
			running.Wait()
		})
	}
}
