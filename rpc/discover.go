package rpc

import (
	"cmp"
	"context"
	"fmt"
	"redrpc/rpc/internal/wire"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Servers returns the IDs of the servers of a kind that live, sorted. It uses
// rdb itself, a *redis.Client or a *redis.ClusterClient, of which it asks all
// masters. Where prefix or kind is empty it is the default of ServerOptions. A server
// that died without a farewell is listed until its heartbeat expires.
func Servers(ctx context.Context, rdb redis.UniversalClient, prefix, kind string) ([]string, error) {
	prefix, kind = cmp.Or(prefix, wire.DefaultPrefix), cmp.Or(kind, defaultKind)
	if err := checkNoColon(kind, "Servers: kind"); err != nil {
		return nil, err
	}
	if err := checkAsked(rdb); err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	var mu sync.Mutex // guards ids
	var ids []string
	err := eachMaster(ctx, rdb, func(ctx context.Context, master *redis.Client) error {
		found, err := servers(ctx, master, prefix, kind)
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	slices.Sort(ids) // SCAN may return a key twice
	return slices.Compact(ids), nil
}

func servers(ctx context.Context, rdb *redis.Client, prefix, kind string) (ids []string, err error) {
	const after = ":alive"
	before := strings.TrimSuffix(wire.AliveKey(prefix, kind, ""), after)
	scan := rdb.Scan(ctx, 0, escapeGlob(before)+"*"+escapeGlob(after), 1000).Iterator()
	for scan.Next(ctx) {
		id := strings.TrimSuffix(strings.TrimPrefix(scan.Val(), before), after)
		if !strings.Contains(id, ":") { // else it is another kind's
			ids = append(ids, id)
		}
	}
	return ids, scan.Err()
}

// eachMaster calls f with the one Redis, or with each master of a Cluster, at the same
// time.
func eachMaster(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, *redis.Client) error) error {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, rdb.(*redis.Client))
}

// escapeGlob makes a pattern that matches s and nothing else.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
