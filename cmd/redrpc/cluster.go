package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// newClient makes a client that connects as opt says, of a Cluster if opt is for a node
// of one.
func newClient(opt *endpoint, isCluster bool) redis.UniversalClient {
	if !isCluster {
		return redis.NewClient(&opt.Options)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{opt.Addr}, Username: opt.Username, Password: opt.Password, ClientName: opt.ClientName,
		Dialer: opt.Dialer, TLSConfig: opt.TLSConfig, MaintNotificationsConfig: opt.MaintNotificationsConfig,
		DialTimeout: opt.DialTimeout, ReadTimeout: opt.ReadTimeout, WriteTimeout: opt.WriteTimeout,
		DialerRetries: opt.DialerRetries, ContextTimeoutEnabled: opt.ContextTimeoutEnabled,
		PoolSize: opt.PoolSize, PoolTimeout: opt.PoolTimeout,
		MaxRedirects: 3, // of what is only read; calls are not sent by it
	})
}

// eachMaster calls f with the one Redis, or with each master of a Cluster.
func eachMaster(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, *redis.Client) error) error {
	switch c := rdb.(type) {
	case *redis.Client:
		return f(ctx, c)
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, f)
	}
	return fmt.Errorf("a client of an unknown kind: %T", rdb)
}
