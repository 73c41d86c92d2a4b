//go:build unix

package systems

import (
	"os"
	"strings"
	"testing"

	"redrpc/internal/redistest"
)

// node returns the path of Node, where npm's packages are installed, too.
func node(t *testing.T) string {
	t.Helper()
	path := redistest.Program(t, "node")
	if _, err := os.Stat("testdata/node/node_modules"); err != nil {
		redistest.Missing(t, "testdata/node/node_modules") // make systems installs it
	}
	return path
}

// TestNode runs the flows in Node, each of a library of npm's.
func TestNode(t *testing.T) {
	t.Parallel()
	node := node(t)
	for _, flow := range []string{
		"ioredis.js 2",
		"ioredis.js 3",
		"node-redis.js 2",
		"node-redis.js 3",
		"bull.js",
		"bullmq.js ioredis",
		"bullmq.js redis",
		"bee-queue.js",
		"rsmq.js",
		"redlock.js",
		"bottleneck.js",
		"rate-limiter-flexible.js",
		"caches.js",
		"socket.io.js pubsub ioredis",
		"socket.io.js pubsub redis",
		"socket.io.js sharded ioredis",
		"socket.io.js sharded redis",
		"socket.io.js streams ioredis",
		"socket.io.js streams redis",
	} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			onEachByTCP(t, func(t *testing.T, s server) {
				runFlow(t, s, "testdata/node", node, strings.Fields(flow)...)
			})
		})
	}
}
