package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"redrpc/bench"
	"redrpc/bench/report"
	"redrpc/internal/figure"
)

// lookWithin is how long a look at Redis may hold up the goroutine of a run, which
// sends no calls itself.
const lookWithin = 250 * time.Millisecond

// queueDepth is how many calls wait in Redis, of all functions that the run calls. A
// Redis that does not answer leaves it as it was.
func (sys *system) queueDepth() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	n := int64(0)
	for _, key := range sys.queues {
		depth, err := sys.admin.LLen(ctx, key).Result()
		if err != nil {
			return sys.depth
		}
		n += depth
	}
	sys.depth = float64(n)
	return sys.depth
}

// gauges are what there is to see of the system at the end of each interval.
func (sys *system) gauges() []bench.Gauge {
	if sys.load != nil {
		return sys.commandGauges()
	}
	g := []bench.Gauge{{Name: "queue depth", Read: sys.queueDepth}}
	if sys.server != nil {
		g = append(g, bench.Gauge{Name: "busy workers", Read: func() float64 { return float64(sys.server.Stats().InFlight) }})
	}
	return g
}

// workersName is the resource that the workers of the in-process server are.
const workersName = "server workers"

// resources are what calls use up, besides the processors of this process.
func (sys *system) resources(workers int) []bench.Resource {
	var r []bench.Resource
	if sys.server != nil && sys.trace != nil {
		r = append(r, bench.Resource{Name: workersName, Capacity: float64(workers), Used: sys.trace.busy})
	}
	if !sys.inProcess {
		if _, masters := sys.mainThreads(); masters > 0 {
			r = append(r, bench.Resource{Name: "redis main thread", Capacity: float64(masters), Processor: true, Used: func() time.Duration {
				used, _ := sys.mainThreads()
				return used
			}})
		}
	}
	return r
}

// mainThreads is the processor time that the main threads of Redis have used, of all
// masters of a Cluster, and how many they are. A Redis older than 6.2 tells only of the
// whole process.
func (sys *system) mainThreads() (used time.Duration, masters int) {
	sys.eachInfo("cpu", func(info map[string]string) {
		for _, suffix := range []string{"_main_thread", ""} {
			system, err1 := strconv.ParseFloat(info["used_cpu_sys"+suffix], 64)
			user, err2 := strconv.ParseFloat(info["used_cpu_user"+suffix], 64)
			if err1 == nil && err2 == nil {
				used += time.Duration((system + user) * float64(time.Second))
				masters++
				return
			}
		}
	})
	return used, masters
}

// commandStats is how often Redis ran each command, and for how long.
func (sys *system) commandStats() map[string]float64 {
	counters := make(map[string]float64)
	sys.eachInfo("commandstats", func(info map[string]string) {
		for name, text := range info {
			command, ok := strings.CutPrefix(name, "cmdstat_")
			if !ok {
				continue
			}
			for pair := range strings.SplitSeq(text, ",") {
				key, value, _ := strings.Cut(pair, "=")
				n, err := strconv.ParseFloat(value, 64)
				if err == nil && (key == "calls" || key == "usec") {
					counters[command+" "+key] += n
				}
			}
		}
	})
	return counters
}

// facts are what INFO says of Redis that may explain figures.
func (sys *system) facts() []report.Setting {
	names := []string{
		"redis_mode", "os", "arch_bits", "multiplexing_api", "io_threads_active", "hz", // server
		"maxclients", "connected_clients", // clients
		"maxmemory", "maxmemory_policy", "mem_allocator", // memory
		"aof_enabled", "role", "connected_slaves", // persistence, replication
	}
	got := make(map[string]string)
	sys.eachInfo("everything", func(info map[string]string) {
		for _, name := range names {
			if v, ok := info[name]; ok && got[name] == "" {
				got[name] = v
			}
		}
	})
	var facts []report.Setting
	for _, name := range names {
		if got[name] != "" {
			facts = append(facts, report.Setting{Name: "redis_" + strings.TrimPrefix(name, "redis_"), Value: got[name]})
		}
	}
	return facts
}

// eachInfo calls see with a section of INFO of each master, one after the other. What a
// Redis does not tell is left out.
func (sys *system) eachInfo(section string, see func(map[string]string)) {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	var mu sync.Mutex // guards see
	_ = eachMaster(ctx, sys.admin, func(ctx context.Context, master *redis.Client) error {
		sections, err := master.InfoMap(ctx, section).Result()
		if err != nil {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		all := make(map[string]string)
		for _, s := range sections {
			for name, value := range s {
				all[name] = value
			}
		}
		see(all)
		return nil
	})
}

// drained waits until no call waits or runs, those included whose callers have given up. It
// fails if for longer than a caller waits nobody has taken any.
func (sys *system) drained(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	left, since := int64(-1), time.Now()
	for {
		now := int64(sys.queueDepth())
		if sys.server != nil {
			now += int64(sys.server.Stats().InFlight)
		}
		patience := sys.timeout + time.Second
		switch {
		case now == 0:
			return nil
		case now != left:
			left, since = now, time.Now()
		case time.Since(since) > patience:
			return fmt.Errorf("%s calls are left, of which none was taken for %v: does anybody serve them?", figure.Grouped(now), patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// queuesOf are the keys of the queues of functions.
func queuesOf(prefix string, functions ...string) []string {
	var keys []string
	for _, fn := range functions {
		if key := prefix + ":" + fn + ":calls"; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
