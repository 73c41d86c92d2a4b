package rpc

import (
	"context"
	"encoding/json"
	"fmt"
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
			client, err := NewClient(rdb, ClientOptions{Timeout: 30 * time.Second})
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
