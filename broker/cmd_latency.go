package broker

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
	"redrpc/internal/hdr"
)

var latencyCommands = []command.Command{
	{Name: "latency", Arity: -2, Group: "server", Since: "2.8.13", Complexity: "Depends on the sub-command.", Summary: "Commands about the latency of commands.", Subs: []*command.Command{
		{Name: "doctor", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyDoctor), Tips: "nondeterministic_output request_policy:all_nodes response_policy:special", Since: "2.8.13", Complexity: "O(1)", Summary: "Summarizes latency spikes."},
		{Name: "graph", Arity: 3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyGraph), Tips: "nondeterministic_output request_policy:all_nodes response_policy:special", Since: "2.8.13", Complexity: "O(1)", Summary: "Draws the latency spikes of an event."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "2.8.13", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "histogram", Arity: -2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyHistogram), Tips: "nondeterministic_output request_policy:all_nodes response_policy:special", Since: "7.0.0", Complexity: "O(N) where N is the number of commands that ran", Summary: "Returns the latency distribution of commands."},
		{Name: "history", Arity: 3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyHistory), Tips: "nondeterministic_output request_policy:all_nodes response_policy:special", Since: "2.8.13", Complexity: "O(1)", Summary: "Returns the latency spikes of an event."},
		{Name: "latest", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyLatest), Tips: "nondeterministic_output request_policy:all_nodes response_policy:special", Since: "2.8.13", Complexity: "O(1)", Summary: "Returns the latest latency spike of each event."},
		{Name: "reset", Arity: -2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(latencyReset), Tips: "request_policy:all_nodes response_policy:all_succeeded", Since: "2.8.13", Complexity: "O(1)", Summary: "Clears latency spikes."},
	}},
}

// LATENCY: the latency monitor and histograms of commands.
//
// Latency spikes are sampled for three events. Redis has more, for what the broker does
// not do: forks, files, eviction.
const (
	commandSpike     = "command"
	fastCommandSpike = "fast-command"       // a command with the flag fast
	unblockingSpike  = "command-unblocking" // serving a blocked client
)

// spikes are those of one event: the last 160, at most one per second.
type spikes struct {
	ring[spike]
	worst int64 // since the last reset, milliseconds
}

// A spike is the highest latency in one second.
type spike struct{ second, ms int64 }

// addSpike adds to the spikes of an event if the threshold is reached.
func (b *Broker) addSpike(kind string, took int64) {
	ms := took / int64(time.Millisecond)
	if from := int64(b.options.diagnostics.spikeFrom); from == 0 || ms < from {
		return
	}
	s := b.spikes[kind]
	if s == nil {
		s = &spikes{ring: ring[spike]{most: 160}}
		b.spikes[kind] = s
	}
	s.worst = max(s.worst, ms)
	now := b.keys.Now / int64(time.Second)
	if n := len(s.items); n > 0 && s.at(n-1).second == now {
		s.at(n - 1).ms = max(s.at(n-1).ms, ms)
		return
	}
	*s.put() = spike{now, ms}
}

// all returns the spikes, the oldest first.
func (s *spikes) all() []spike {
	list := make([]spike, len(s.items))
	for i := range list {
		list[i] = *s.at(i)
	}
	return list
}

func latencyLatest(c *call, _ [][]byte) resp.Reply {
	kinds := []resp.Reply{}
	for _, kind := range slices.Sorted(maps.Keys(c.spikes)) {
		s := c.spikes[kind]
		last := s.at(len(s.items) - 1)
		kinds = append(kinds, resp.Array(resp.BulkString(kind), resp.Integer(last.second), resp.Integer(last.ms), resp.Integer(s.worst)))
	}
	return resp.Array(kinds...)
}

func latencyHistory(c *call, args [][]byte) resp.Reply {
	pairs := []resp.Reply{}
	if s := c.spikes[string(args[2])]; s != nil {
		for _, spike := range s.all() {
			pairs = append(pairs, resp.Array(resp.Integer(spike.second), resp.Integer(spike.ms)))
		}
	}
	return resp.Array(pairs...)
}

// latencyReset resets some events, or all, and returns how many.
func latencyReset(c *call, args [][]byte) resp.Reply {
	before := len(c.spikes)
	if len(args) == 2 {
		clear(c.spikes)
	}
	for _, kind := range args[2:] {
		delete(c.spikes, string(kind))
	}
	return resp.Int(before - len(c.spikes))
}

// latencyGraph draws a bar for each spike.
func latencyGraph(c *call, args [][]byte) resp.Reply {
	s := c.spikes[string(args[2])]
	if s == nil {
		return resp.Errorf("ERR No samples available for event '%s'", args[2])
	}
	all := s.all()
	highest := slices.MaxFunc(all, func(a, b spike) int { return cmp.Compare(a.ms, b.ms) }).ms
	var out strings.Builder
	fmt.Fprintf(&out, "%s: at most %d ms, ever %d ms\n", args[2], highest, s.worst)
	for _, spike := range all {
		age := time.Duration(c.keys.Now/int64(time.Second)-spike.second) * time.Second
		fmt.Fprintf(&out, "%10v ago %6d ms %s\n", age, spike.ms, strings.Repeat("#", int(max(1, 50*spike.ms/highest))))
	}
	return resp.Verbatim(out.String())
}

// latencyDoctor summarises the spikes, with advice.
func latencyDoctor(c *call, _ [][]byte) resp.Reply {
	o := &c.options.diagnostics
	switch {
	case o.spikeFrom == 0 && len(c.spikes) == 0:
		return resp.Verbatim("The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n")
	case len(c.spikes) == 0:
		return resp.Verbatim(fmt.Sprintf("No command has taken %d ms or longer.\n", o.spikeFrom))
	}
	var out strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.spikes)) {
		all, sum := c.spikes[kind].all(), int64(0)
		for _, spike := range all {
			sum += spike.ms
		}
		age := time.Duration(c.keys.Now/int64(time.Second)-all[len(all)-1].second) * time.Second
		fmt.Fprintf(&out, "%s: seconds with a spike: %d, %d ms on average, %d ms at worst; the last one %v ago.\n",
			kind, len(all), sum/int64(len(all)), c.spikes[kind].worst, age)
	}
	if o.slowFrom < 0 || o.slowFrom > 1000*o.spikeFrom {
		fmt.Fprintf(&out, "The slow log leaves such commands out: CONFIG SET slowlog-log-slower-than %d has them shown.\n", 1000*o.spikeFrom)
	}
	out.WriteString("SLOWLOG GET tells which commands took long. One that does little, and is seldom slow, was kept by the machine: " +
		"the process had no processor, or its garbage was collected.\n")
	return resp.Verbatim(out.String())
}

// latencyHistogram returns cumulative counts for about 1, 2, 4, ... microseconds.
func latencyHistogram(c *call, args [][]byte) resp.Reply {
	var pairs []resp.Reply
	add := func(cmd *command.Command) {
		h := c.usage[cmd.Index].latency
		if h == nil {
			return
		}
		var buckets []resp.Reply
		for micros, n := range h.powers() {
			buckets = append(buckets, resp.Integer(micros), resp.Integer(n))
		}
		pairs = append(pairs, resp.BulkString(cmd.FullName),
			resp.Map(resp.BulkString("calls"), resp.Integer(h.total()), resp.BulkString("histogram_usec"), resp.Map(buckets...)))
	}
	chosen := c.table.Order
	if len(args) > 2 {
		chosen = nil
		for _, name := range args[2:] {
			if cmd := c.table.Named(name); cmd != nil {
				chosen = append(chosen, cmd)
			}
		}
	}
	for _, cmd := range chosen {
		add(cmd)
		for _, sub := range cmd.Subs {
			add(sub)
		}
	}
	return resp.Map(pairs...)
}

// A histogram is an HDR histogram of nanoseconds with two significant digits, as in Redis:
// a bucket is at most 1/128 of its values wide. Rows of buckets are allocated on demand.
type histogram struct {
	rows [histogramRows]*[histogramRow]int64
}

const (
	histogramRow  = 1 << (hdr.TwoDigits - 1) // buckets in a row
	histogramRows = 64 - 8 + 2               // enough for every int64
)

// add counts a time. As in Redis the least is 1 ns.
func (h *histogram) add(t int64) {
	row, at := bucketOf(max(1, t))
	if h.rows[row] == nil {
		h.rows[row] = new([histogramRow]int64)
	}
	h.rows[row][at]++
}

func bucketOf(t int64) (row, at int) {
	i := hdr.TwoDigits.Bucket(t)
	return i / histogramRow, i % histogramRow
}

// upTo is the largest time in a bucket.
func upTo(row, at int) int64 { return hdr.TwoDigits.Greatest(row*histogramRow + at) }

// percentile is the time that p percent of the times are not above, to the precision of
// its bucket.
func (h *histogram) percentile(p float64) int64 {
	rank := max(1, int64(min(p, 100)/100*float64(h.total())+0.5))
	for row, buckets := range h.rows {
		if buckets == nil {
			continue
		}
		for at, n := range buckets {
			if rank -= n; rank <= 0 {
				return upTo(row, at)
			}
		}
	}
	return 0
}

// powers yields powers of two in microseconds, each with the number of times not above it,
// to the precision of its bucket. A power with the same number as the one before is left
// out.
func (h *histogram) powers() iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		told, total := int64(0), h.total()
		for power := int64(1024); told < total; power *= 2 {
			row, at := bucketOf(power)
			if n := h.count(row, at); n > told {
				told = n
				if !yield(upTo(row, at)/1000, n) {
					return
				}
			}
		}
	}
}

// total is the number of times counted.
func (h *histogram) total() int64 { return h.count(histogramRows-1, histogramRow-1) }

// count is the number of times in a bucket and below it.
func (h *histogram) count(row, at int) int64 {
	sum := int64(0)
	for i, buckets := range h.rows[:row+1] {
		if buckets == nil {
			continue
		}
		end := histogramRow
		if i == row {
			end = at + 1
		}
		for _, n := range buckets[:end] {
			sum += n
		}
	}
	return sum
}
