package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// ratios divides two series round by round.
func ratios(a, b series) []float64 {
	out := make([]float64, min(len(a.PerSecond), len(b.PerSecond)))
	for i := range out {
		out[i] = a.PerSecond[i] / b.PerSecond[i]
	}
	return out
}

func (r *results) series(tool string, l load, server, command string) series {
	for _, s := range slices.Concat(r.Throughput, r.RPC) {
		if s.Tool == tool && s.load == l && s.Server == server && s.Command == command {
			return s
		}
	}
	return series{}
}

// against is the median of the paired ratios of the broker to a peer, for each of a tool's
// commands.
func (r *results) against(t tool, l load, peer string) []float64 {
	var out []float64
	for _, c := range t.commands {
		out = append(out, median(ratios(r.series(t.name, l, brokerServer, c), r.series(t.name, l, peer, c))))
	}
	return out
}

func (r *results) memoryOf(server, what string) float64 {
	for _, m := range r.Memory {
		if m.Server == server && m.What == what {
			return m.Bytes
		}
	}
	return math.NaN()
}

func (r *results) startingOf(server, transport string) float64 {
	for _, s := range r.Starting {
		if s.Server == server && s.Transport == transport {
			return s.Median
		}
	}
	return math.NaN()
}

// A target is a number to reach.
type target struct {
	what     string
	measured []float64
	atLeast  float64
	aim      float64
	less     bool // the smaller, the better
	format   string
	why      string // what is known of it where it is not reached
}

func (r *results) targets() []target {
	throughput := func(t tool, l load, peer string, atLeast, aim float64) target {
		return target{
			what:     fmt.Sprintf("%s, %s: times %s, by %s", strings.Join(t.commands, " / "), l, peer, t.name),
			measured: r.against(t, l, peer), atLeast: atLeast, aim: aim, format: "%.2f",
			why: r.limit(t, l, peer),
		}
	}
	var all []target
	for _, t := range tools {
		for _, l := range t.loads {
			atLeast, aim := 0.85, 1.0
			if l.Pipeline > 1 {
				atLeast, aim = 1.0, 1.3
			}
			all = append(all, throughput(t, l, redisServer, atLeast, aim))
		}
	}
	deep := loads[len(loads)-1]
	all = append(all, throughput(tools[0], deep, miniServer, 5, 8), throughput(tools[1], deep, miniServer, 5, 8))
	calls := func(tool string) []float64 {
		return []float64{median(ratios(r.series(tool, rpcLoad, brokerServer, ""), r.series(tool, rpcLoad, miniServer, "")))}
	}
	allocs := 0.0
	for _, a := range r.Allocs {
		allocs = max(allocs, a.Each)
	}
	return append(all,
		target{what: "calls of package rpc, 1,000 at a time, in process: times miniredis", measured: calls(rpcInProcessTool), atLeast: 20, aim: 60,
			format: "%.1f", why: "The processors are shared by callers, functions and broker."},
		target{what: "the same over TCP, a core for the server and one for client and functions: times miniredis", measured: calls(rpcTool),
			atLeast: 20, aim: 60, format: "%.1f", why: "The limit is the core of the calls' client and server, not the broker: " +
				"the calls through redis-server are as many."},
		target{what: "bytes for a 100-byte list element", measured: []float64{r.memoryOf(brokerServer, anElement)}, atLeast: 130, aim: 106,
			less: true, format: "%.0f"},
		target{what: "bytes for an idle connection, TCP and in memory",
			measured: []float64{r.memoryOf(brokerServer, aTCPConnection), r.memoryOf(brokerServer, aMemoryConnection)},
			atLeast:  12_000, aim: 8000, less: true, format: "%.0f"},
		target{what: "ms from New to the first PONG, in memory",
			measured: []float64{r.startingOf(brokerServer, firstPongInMemory) / 1e3}, atLeast: 0.3, aim: 0.1, less: true, format: "%.3f"},
		target{what: "ms to start and stop 1,000 brokers, in memory and over TCP", measured: r.thousandBrokers(), atLeast: 1000, less: true,
			format: "%.0f"},
		target{what: "allocations of PING, GET, SET of an existing key, RPUSH, LPOP", measured: []float64{allocs}, less: true, format: "%.0f"},
	)
}

// limit says what limited a load, as far as the data tell.
func (r *results) limit(t tool, l load, peer string) string {
	ours, theirs := r.series(t.name, l, brokerServer, t.commands[0]), r.series(t.name, l, peer, t.commands[0])
	return fmt.Sprintf("The client was busy for %.0f %% of the time (with %s: %.0f %%); a command cost the broker %.2f us of its core, and %s %.2f us.",
		100*median(ours.ClientBusy), peer, 100*median(theirs.ClientBusy), median(ours.ServerTime), peer, median(theirs.ServerTime))
}

func (r *results) thousandBrokers() []float64 {
	var out []float64
	for _, t := range r.Thousand {
		out = append(out, t.Start+t.Stop)
	}
	return out
}

// worst is the measured number that decides.
func (t target) worst() float64 {
	if t.less {
		return slices.Max(t.measured)
	}
	return slices.Min(t.measured)
}

func (t target) reached() bool {
	if t.less {
		return t.worst() <= t.atLeast
	}
	return t.worst() >= t.atLeast
}

func (l load) String() string {
	return fmt.Sprintf("%s connections, %d in flight", thousands(float64(l.Connections)), l.Pipeline)
}

// thousands writes a number with commas.
func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
