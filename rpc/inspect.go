package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"redrpc/rpc/internal/wire"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// An Inspector looks at what is in Redis under a prefix: the servers that live, and
// the queues with calls that wait, in a Cluster on all masters. It changes nothing.
type Inspector struct {
	rdb    redis.UniversalClient // *redis.Client or *redis.ClusterClient
	prefix string
}

// An OnlineServer is a server whose heartbeat has not expired.
type OnlineServer struct {
	Kind, ID string

	// Expires is when it counts as gone, if it says nothing until then. 0 is never: then
	// the heartbeat is nobody's whom the protocol knows, but clients count on it.
	Expires time.Duration

	Report *Report // nil if there is none, as from the Python port

	rates map[string]Rate // by function, if it is known from a look before
}

// A Queue is a function for which calls wait.
type Queue struct {
	Func  string
	Depth int64 // calls that wait

	// Oldest is how long the call has waited that comes next, if Dated: by Redis's
	// clock if its client knew it, else by the client's own against Redis's.
	Oldest time.Duration

	// Dated says whether that call tells when it was sent. Calls of the Python port do
	// not: their clock has no zone.
	Dated bool
}

// NewInspector returns an inspector that uses rdb, a *redis.Client or a
// *redis.ClusterClient, itself. An empty prefix is the default of the protocol.
func NewInspector(rdb redis.UniversalClient, prefix string) (*Inspector, error) {
	if err := checkAsked(rdb); err != nil {
		return nil, fmt.Errorf("rpc: NewInspector: %w", err)
	}
	return &Inspector{rdb, cmp.Or(prefix, wire.DefaultPrefix)}, nil
}

// Servers returns the servers of all kinds that live, sorted by kind and id. One
// that died without a farewell is listed until its heartbeat expires.
func (i *Inspector) Servers(ctx context.Context) ([]OnlineServer, error) {
	keys, _, err := i.scan(ctx, ":alive", "")
	if err != nil {
		return nil, fmt.Errorf("rpc: Inspector.Servers: %w", err)
	}
	var servers []OnlineServer
	var expiries []*redis.DurationCmd
	var reports []*redis.StringCmd
	pipe := i.rdb.Pipeline()
	for _, name := range keys {
		kind, id, ok := strings.Cut(name, ":")
		if !ok || strings.Contains(id, ":") { // neither has a colon
			continue
		}
		servers = append(servers, OnlineServer{Kind: kind, ID: id})
		expiries = append(expiries, pipe.PTTL(ctx, wire.AliveKey(i.prefix, kind, id)))
		reports = append(reports, pipe.Get(ctx, wire.StatsKey(i.prefix, kind, id)))
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, fmt.Errorf("rpc: Inspector.Servers: %w", err)
	}
	live := servers[:0]
	for n, s := range servers {
		switch left := expiries[n].Val(); left {
		case -2: // it has gone meanwhile
			continue
		case -1: // it has no expiry
		default:
			s.Expires = max(left, time.Millisecond)
		}
		if message, err := reports[n].Bytes(); err == nil {
			s.Report = readReport(message)
		}
		live = append(live, s)
	}
	return live, nil
}

// Queues returns the functions for which calls wait, sorted by name. It walks all
// keys of the database, as nothing lists the queues.
func (i *Inspector) Queues(ctx context.Context) ([]Queue, error) {
	names, times, err := i.scan(ctx, ":calls", "list")
	if err != nil {
		return nil, fmt.Errorf("rpc: Inspector.Queues: %w", err)
	}
	pipe := i.rdb.Pipeline()
	depths, heads := make([]*redis.IntCmd, len(names)), make([]*redis.StringCmd, len(names))
	for n, name := range names {
		depths[n] = pipe.LLen(ctx, wire.CallsKey(i.prefix, name))
		heads[n] = pipe.LIndex(ctx, wire.CallsKey(i.prefix, name), 0)
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, fmt.Errorf("rpc: Inspector.Queues: %w", err)
	}
	var queues []Queue
	for n, name := range names {
		if heads[n].Err() != nil { // it was emptied meanwhile
			continue
		}
		q := Queue{Func: name, Depth: depths[n].Val()}
		if sent, known := sentAt([]byte(heads[n].Val())); known && !times[name].IsZero() {
			q.Oldest, q.Dated = max(0, times[name].Sub(sent)), true
		}
		queues = append(queues, q)
	}
	return queues, nil
}

// execute runs a pipeline. That a key is gone, or of another type, is no error.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	commands, err := pipe.Exec(ctx)
	if err == nil || len(commands) == 0 {
		return err
	}
	for _, c := range commands {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return err
		}
	}
	return nil
}

// scan returns what stands between the prefix and after in keys of a type, or of any if
// that is empty, sorted, and what the clock of the Redis that has each showed then, or
// zero if it does not say.
func (i *Inspector) scan(ctx context.Context, after, typeName string) ([]string, map[string]*time.Time, error) {
	before := i.prefix + ":"
	var mu sync.Mutex // guards times
	times := map[string]*time.Time{}
	err := eachMaster(ctx, i.rdb, func(ctx context.Context, master *redis.Client) error {
		now := new(time.Time)
		pattern := escapeGlob(before) + "*" + escapeGlob(after)
		scan := master.Scan(ctx, 0, pattern, 1000).Iterator()
		if typeName != "" {
			scan = master.ScanType(ctx, 0, pattern, 1000, typeName).Iterator()
		}
		for scan.Next(ctx) {
			name := strings.TrimSuffix(strings.TrimPrefix(scan.Val(), before), after)
			if len(name)+len(before)+len(after) == len(scan.Val()) { // "prefix:alive" matches too
				mu.Lock()
				times[name] = now
				mu.Unlock()
			}
		}
		if err := scan.Err(); err != nil {
			return err
		}
		var err error
		*now, err = master.Time(ctx).Result() // last, as a scan can take long
		if isReply(err) {                     // it is forbidden, which is no reason to see nothing
			err = nil
		}
		return err
	})
	return slices.Sorted(maps.Keys(times)), times, err
}

// sentAt is when a call was sent: by Redis's clock, if it has a budget and a
// deadline, else by its client's, if that tells its zone.
func sentAt(message []byte) (sent time.Time, known bool) {
	if wire.CheckObject(message) != nil {
		return time.Time{}, false
	}
	var budget, deadline int64
	var hasBudget, hasDeadline bool
	for name, value := range wire.Members(message) {
		switch string(name) {
		case "timeout_ms":
			budget, hasBudget = wholeNumber(value)
		case "deadline_ms":
			deadline, hasDeadline = wholeNumber(value)
		case "ts":
			if wire.KindOf(value) == "string" {
				var err error
				sent, err = time.Parse(time.RFC3339Nano, wire.Unquote(value))
				known = err == nil
			}
		}
	}
	if hasBudget && hasDeadline {
		return time.UnixMilli(deadline - budget), true
	}
	return sent, known
}

func wholeNumber(value []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}
