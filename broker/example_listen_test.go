package broker_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redis/go-redis/v9"

	"redrpc/broker"
	"redrpc/internal/tlstest"
)

// A broker on a Unix socket that only this user can connect to.
func ExampleBroker_ListenUnix() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	b, err := broker.New(broker.Options{Password: "open sesame"})
	check(err)
	defer b.Close()
	addr, err := b.ListenUnix(filepath.Join(dir, "redis.sock"), 0o600)
	check(err)

	info, err := os.Stat(addr.String())
	check(err)
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: addr.String(), Password: "open sesame"})
	defer rdb.Close()
	fmt.Println(info.Mode(), rdb.Ping(context.Background()).Val())
	// Output: Srw------- PONG
}

// A broker that speaks TLS, and serves only clients with a certificate that it knows.
func ExampleBroker_ListenTLS() {
	pair, known := tlstest.Certificate() // of the server, and here of the client, too
	b, err := broker.New(broker.Options{})
	check(err)
	defer b.Close()
	addr, err := b.ListenTLS("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    known,
	})
	check(err)

	rdb := redis.NewClient(&redis.Options{
		Addr:      addr.String(),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: known},
	})
	defer rdb.Close()
	fmt.Println(rdb.Ping(context.Background()).Val())
	// Output: PONG
}
