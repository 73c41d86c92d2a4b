package main

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	// memoryConnections is the most that are opened to the in-process broker in
	// memory, where each costs some 50 kB and a few goroutines.
	memoryConnections = 20_000

	// unknownConnections is the most that are opened to a Redis that does not say
	// how many it allows.
	unknownConnections = 1000

	// otherFiles is how many files this process may need besides connections.
	otherFiles = 100
)

// A budget is how many connections the clients of a run may open all together.
type budget struct {
	connections int
	because     string
}

// connectionBudget asks the Redis behind admin, if it is one, how many connections
// it (or some node of a Cluster) has left, keeps some for the server of this run and for others, and regards
// how many files this process may open.
func (f *systemFlags) connectionBudget(ctx context.Context, admin redis.UniversalClient) budget {
	own := 2 // admin's, and one to spare
	if !f.noServer {
		own += 3
	}
	files := maxFiles() - otherFiles - own
	switch {
	case f.redis == nil && f.transport == "memory":
		return budget{memoryConnections, fmt.Sprintf("the in-process broker in memory is given no more than %d", memoryConnections)}
	case f.redis == nil: // both ends are files of this process
		return budget{files/2 - own, "this process may not open more files (ulimit -n)"}
	}
	b := budget{unknownConnections, "this Redis does not say what its maxclients is"}
	if most, used, ok := maxClients(ctx, admin); ok {
		b = budget{most - most/10 - used - own, fmt.Sprintf("maxclients of this Redis is %d with %d in use, and a tenth is left to others", most, used)}
	}
	if files < b.connections {
		b = budget{files, "this process may not open more files (ulimit -n)"}
	}
	return b
}

// maxClients returns how many connections a Redis allows, and how many it has. It
// is not ok if the Redis tells neither by CONFIG nor by INFO.
func maxClients(ctx context.Context, rdb redis.UniversalClient) (most, used int, ok bool) {
	info, err := rdb.InfoMap(ctx, "clients").Result()
	if err != nil {
		return 0, 0, false
	}
	used, err = strconv.Atoi(info["Clients"]["connected_clients"])
	if err != nil {
		return 0, 0, false
	}
	text := info["Clients"]["maxclients"]
	if config, err := rdb.ConfigGet(ctx, "maxclients").Result(); err == nil && config["maxclients"] != "" {
		text = config["maxclients"] // a Redis older than 7 does not have it in INFO
	}
	most, err = strconv.Atoi(text)
	return most, used, err == nil && most > 0
}

// ownConnections is how many connections a client may have on which no call waits.
const ownConnections = 4

// share returns on how many connections each client may have calls wait, and a note for
// people if that is too few for every caller to have one, as the protocol without
// extensions needs. There is an error if not even every client can have one.
func (b budget) share(callers, clients int) (each int, note string, err error) {
	if b.connections < clients*(ownConnections+1) {
		return 0, "", fmt.Errorf("--clients %d is too many: there can be %d connections, of which each client needs up to %d, as %s", clients, max(0, b.connections), ownConnections+1, b.because)
	}
	each = min((callers+clients-1)/clients, b.connections/clients-ownConnections)
	if total := each * clients; total < callers {
		note = fmt.Sprintf("%d callers share %d connections, as %s: the other calls wait inside the client, which is part of their latency", callers, total, b.because)
	}
	return each, note, nil
}

// noLimit stands for any number of files.
const noLimit = math.MaxInt32
