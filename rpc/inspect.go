package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"redrpc/rpc/internal/resp"
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
		if resp.IsError(err) {                // it is forbidden, which is no reason to see nothing
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
	fields := map[string]string{}
	for name, value := range wire.Members(message) {
		fields[string(name)] = string(value)
	}
	budget, err1 := strconv.ParseInt(fields["timeout_ms"], 10, 64)
	deadline, err2 := strconv.ParseInt(fields["deadline_ms"], 10, 64)
	if err1 == nil && err2 == nil {
		return time.UnixMilli(deadline - budget), true
	}
	sent, err := time.Parse(time.RFC3339Nano, wire.TextField(message, "ts"))
	return sent, err == nil
}

// An Overview is what an Inspector sees at one time.
type Overview struct {
	Servers   []OnlineServer // sorted by kind and ID
	Functions []Function     // sorted by name
}

// A Function is one for which calls wait, or that a server offers. Servers that do
// not report are not known to offer it, and what they do is not counted.
type Function struct {
	Queue          // Depth is 0 if no call waits
	FuncStats      // of all servers that offer it, since each was started
	Servers   int  // that offer it
	Rate      Rate // of all servers of which it is known
	Rated     bool // it is known of one at least
}

// Overview lists servers and functions. Rates are of the time between the last two
// reports that were seen of a server, in this overview and in before, which is the one
// before it, or nil: then no rate is known. A server reports with its heartbeat, so a
// overview that comes sooner sees the rate that was seen before.
func (i *Inspector) Overview(ctx context.Context, before *Overview) (*Overview, error) {
	servers, err := i.Servers(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := i.Queues(ctx)
	if err != nil {
		return nil, err
	}
	if before != nil {
		rate(servers, before.Servers)
	}
	return &Overview{servers, functions(servers, queues)}, nil
}

// rate fills in the rates of servers, which were seen before.
func rate(servers, before []OnlineServer) {
	last := map[string]OnlineServer{}
	for _, s := range before {
		last[s.Kind+":"+s.ID] = s
	}
	for n := range servers {
		s := &servers[n]
		old := last[s.Kind+":"+s.ID]
		if s.Report == nil || old.Report == nil || !s.Report.Started.Equal(old.Report.Started) {
			continue
		}
		over := s.Report.Uptime - old.Report.Uptime
		if over <= 0 { // the same report
			s.rates = old.rates
			continue
		}
		s.rates = map[string]Rate{}
		for fn, stats := range s.Report.Functions {
			s.rates[fn] = stats.rate(old.Report.Functions[fn], over)
		}
	}
}

func functions(servers []OnlineServer, queues []Queue) []Function {
	byName := map[string]*Function{}
	one := func(fn string) *Function {
		if byName[fn] == nil {
			byName[fn] = &Function{Queue: Queue{Func: fn}}
		}
		return byName[fn]
	}
	for _, q := range queues {
		one(q.Func).Queue = q
	}
	for _, s := range servers {
		if s.Report == nil {
			continue
		}
		for fn, stats := range s.Report.Functions {
			f := one(fn)
			f.Servers++
			f.FuncStats = f.FuncStats.plus(stats)
			if rate, ok := s.rates[fn]; ok {
				f.Rate, f.Rated = f.Rate.plus(rate), true
			}
		}
	}
	var all []Function
	for _, fn := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[fn])
	}
	return all
}

// Busy is how many calls the server ran when it reported last, and how many it can run
// at a time. Without a report it is not known.
func (s *OnlineServer) Busy() (busy, workers int, known bool) {
	if s.Report == nil {
		return 0, 0, false
	}
	return s.Report.InFlight, s.Report.Workers, true
}

// Servers returns the IDs of the servers of a kind that live, sorted. It uses
// rdb itself, a *redis.Client or a *redis.ClusterClient, of which it asks all
// masters. Where prefix or kind is empty it is the default of ServerOptions. A server
// that died without a farewell is listed until its heartbeat expires.
func Servers(ctx context.Context, rdb redis.UniversalClient, prefix, kind string) (ids []string, err error) {
	kind = cmp.Or(kind, defaultKind)
	if err := checkNoColon(kind, "Servers: kind"); err != nil {
		return nil, err
	}
	if err := checkAsked(rdb); err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	i := &Inspector{rdb, cmp.Or(prefix, wire.DefaultPrefix)}
	names, _, err := i.scan(ctx, ":alive", "")
	if err != nil {
		return nil, fmt.Errorf("rpc: Servers: %w", err)
	}
	for _, name := range names {
		if id, ok := strings.CutPrefix(name, kind+":"); ok && !strings.Contains(id, ":") { // else it is another kind's
			ids = append(ids, id)
		}
	}
	return ids, nil
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

// A Report is what a server says of itself with each heartbeat, unless it is NoExtensions.
type Report struct {
	Started time.Time     // by the server's clock; another one is another run
	Uptime  time.Duration // since then, when the report was made
	Workers int           // calls that it runs at a time
	Stats                 // since it was started
}

// reportMessage is a report as it is written.
type reportMessage struct {
	Started   int64                `json:"started_ms"` // Unix time
	Uptime    int64                `json:"uptime_ms"`
	Workers   int                  `json:"workers"`
	Functions map[string]FuncStats `json:"functions"`
}

// report returns the message of what r has done so far.
func (r *serverRun) report() string {
	b, err := json.Marshal(reportMessage{
		r.started.UnixMilli(), time.Since(r.started).Milliseconds(), r.opt.Workers, r.Stats().Functions,
	})
	if err != nil {
		panic("rpc: numbers and texts do not encode: " + err.Error())
	}
	return string(b)
}

// readReport returns the report in a message, or nil if it is none.
func readReport(message []byte) *Report {
	const longest = int64(math.MaxInt64 / time.Millisecond)
	var m reportMessage
	if wire.CheckObject(message) != nil || json.Unmarshal(message, &m) != nil || m.Uptime < 0 || m.Uptime > longest || m.Workers < 0 {
		return nil
	}
	return &Report{
		Started: time.UnixMilli(m.Started), Uptime: time.Duration(m.Uptime) * time.Millisecond,
		Workers: m.Workers, Stats: sum(m.Functions),
	}
}

// A Rate is how often something happened in a second.
type Rate struct {
	Calls   float64 // that were begun
	Errors  float64 // of calls
	Dropped float64 // messages, malformed or expired
}

// rate is how often it happened between two counts.
func (s FuncStats) rate(before FuncStats, over time.Duration) Rate {
	a := func(now, before uint64) float64 { return float64(int64(now-before)) / over.Seconds() }
	return Rate{a(s.Calls, before.Calls), a(s.Errors, before.Errors), a(s.Malformed+s.Expired, before.Malformed+before.Expired)}
}

func (r Rate) plus(s Rate) Rate {
	return Rate{r.Calls + s.Calls, r.Errors + s.Errors, r.Dropped + s.Dropped}
}
