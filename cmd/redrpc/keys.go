package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// deleteKeys deletes the keys that begin with prefix and a colon, and no others,
// within closeWithin.
func deleteKeys(rdb redis.UniversalClient, prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	pattern := escapeGlob.Replace(prefix) + ":*"
	err := eachMaster(ctx, rdb, func(ctx context.Context, master *redis.Client) error {
		var cursor uint64
		for {
			keys, next, err := master.Scan(ctx, cursor, pattern, 1000).Result()
			if err == nil && len(keys) > 0 {
				_, err = master.Pipelined(ctx, func(pipe redis.Pipeliner) error {
					for _, key := range keys { // which may lie in different slots
						pipe.Unlink(ctx, key)
					}
					return nil
				})
			}
			if cursor = next; err != nil || cursor == 0 {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("the keys %s:* could not all be deleted, they expire within two minutes: %w", prefix, err)
	}
	return nil
}

// escapeGlob makes a text match itself alone in a pattern of Redis.
var escapeGlob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
