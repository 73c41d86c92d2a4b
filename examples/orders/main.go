// Command orders is a service with two functions, price and order, that any client of the
// protocol can call: Go, the Python port, or peer.py beside this file. Its metrics are at
// http://127.0.0.1:9100/metrics.
//
//	go run ./examples/orders
//	python3 examples/orders/peer.py redis://127.0.0.1:6379 order item=tea n=3
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"redrpc/rpc"
	"redrpc/rpc/rpcprom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer rdb.Close()
	if err := run(ctx, rdb, "127.0.0.1:9100"); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, then finishes the calls that it has.
func run(ctx context.Context, rdb *redis.Client, metricsAddr string) error {
	calls := rpcprom.Server()
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{Kind: "orders", Workers: 16, Intercept: []rpc.Interceptor{calls.Intercept}})
	if err != nil {
		return err
	}
	if err := offer(server); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(calls, rpcprom.Dropped(server))
	metrics := &http.Server{Addr: metricsAddr, Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
	go metrics.ListenAndServe() // the service serves even if it cannot serve its metrics
	defer metrics.Close()

	ended := make(chan error, 1)
	go func() { ended <- server.Run(context.Background()) }() // #nosec G118 -- Stop ends it gracefully
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(server.Stop(grace), <-ended)
}

var prices = map[string]int{"tea": 350, "coffee": 420} // in cents

func offer(server *rpc.Server) error {
	return errors.Join(
		rpc.Handle(server, "price", func(_ context.Context, in struct{ Item string }) (int, error) {
			return price(in.Item)
		}),
		rpc.Handle(server, "order", func(_ context.Context, in struct {
			Item string
			N    int
		}) (Order, error) {
			each, err := price(in.Item)
			return Order{in.Item, in.N, in.N * each}, err
		}),
	)
}

// An Order is what order returns.
type Order struct {
	Item  string `json:"item"`
	N     int    `json:"n"`
	Total int    `json:"total"` // in cents
}

func price(item string) (int, error) {
	p, ok := prices[item]
	if !ok {
		return 0, rpc.WithType("no_such_item", errors.New("we do not have "+item))
	}
	return p, nil
}
