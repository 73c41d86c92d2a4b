package rpc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Servers returns the IDs of the servers of a kind that live, sorted. It uses
// rdb itself, a *redis.Client. Where prefix or kind is empty it is the default
// of ServerOptions. A server that died without a farewell is listed until its
// heartbeat expires.
func Servers(ctx context.Context, rdb redis.UniversalClient, prefix, kind string) ([]string, error) {
	single, err := checkClient(rdb)
	if err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	prefix, kind = cmp.Or(prefix, defaultPrefix), cmp.Or(kind, defaultKind)
	if err := checkNoColon(kind, "Servers: kind"); err != nil {
		return nil, err
	}
	const after = ":alive"
	before := strings.TrimSuffix(aliveKey(prefix, kind, ""), after)
	pattern := escapeGlob(before) + "*" + escapeGlob(after)
	var ids []string
	scan := single.Scan(ctx, 0, pattern, 1000).Iterator()
	for scan.Next(ctx) {
		id := strings.TrimSuffix(strings.TrimPrefix(scan.Val(), before), after)
		if !strings.Contains(id, ":") { // else it is another kind's
			ids = append(ids, id)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	slices.Sort(ids) // SCAN may return a key twice
	return slices.Compact(ids), nil
}

// escapeGlob makes a pattern that matches s and nothing else.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
