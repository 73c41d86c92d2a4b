package rpcprom

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"redrpc/rpc"
)

// Dropped returns a collector of the calls that a server dropped instead of
// answering them. Several servers of one process need a label each, as by
// prometheus.WrapRegistererWith.
func Dropped(server *rpc.Server) prometheus.Collector {
	return dropped{
		server:    server,
		malformed: describe("server", "malformed_total", "Messages dropped because they could not even be answered.", "function"),
		expired:   describe("server", "expired_total", "Calls dropped because they came too late for their callers.", "function"),
	}
}

type dropped struct {
	server             *rpc.Server
	malformed, expired *prometheus.Desc
}

func (d dropped) Describe(ch chan<- *prometheus.Desc) { ch <- d.malformed; ch <- d.expired }

func (d dropped) Collect(ch chan<- prometheus.Metric) {
	for name, f := range d.server.Stats().Functions { // which are those that it offers
		ch <- prometheus.MustNewConstMetric(d.malformed, prometheus.CounterValue, float64(f.Malformed), name)
		ch <- prometheus.MustNewConstMetric(d.expired, prometheus.CounterValue, float64(f.Expired), name)
	}
}

// Queues returns a collector that looks at Redis when it is asked, for up to 5 s:
// one process is enough for each Redis and prefix. A function without calls that
// wait is not listed; of more than MostValues the deepest are.
func Queues(inspector *rpc.Inspector) prometheus.Collector {
	return queues{
		inspector: inspector,
		depth:     describe("queue", "depth", "Calls that wait, by function.", "function"),
		oldest:    describe("queue", "oldest_seconds", "How long the call has waited that comes next.", "function"),
		servers:   describe("servers", "online", "Servers that are online, by kind.", "kind"),
		up:        describe("inspection", "up", "Whether Redis could be looked at."),
	}
}

const patience = 5 * time.Second

type queues struct {
	inspector                  *rpc.Inspector
	depth, oldest, servers, up *prometheus.Desc
}

func (q queues) Describe(ch chan<- *prometheus.Desc) {
	ch <- q.depth
	ch <- q.oldest
	ch <- q.servers
	ch <- q.up
}

func (q queues) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := q.inspector.Queues(ctx)
	var online []rpc.OnlineServer
	if err == nil {
		online, err = q.inspector.Servers(ctx)
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if err != nil {
		gauge(q.up, 0)
		return
	}
	gauge(q.up, 1)
	for _, f := range few(list) {
		gauge(q.depth, float64(f.Depth), f.Func)
		if f.Dated {
			gauge(q.oldest, f.Oldest.Seconds(), f.Func)
		}
	}
	kinds := map[string]int{}
	for _, s := range online {
		s.Kind = strings.ToValidUTF8(s.Kind, "\uFFFD")
		if kinds[s.Kind] == 0 && len(kinds) >= MostValues {
			s.Kind = other
		}
		kinds[s.Kind]++
	}
	for kind, n := range kinds {
		gauge(q.servers, float64(n), kind)
	}
}

// few makes one queue of those that are not among the deepest, and of those whose
// names are no text.
func few(list []rpc.Queue) []rpc.Queue {
	slices.SortStableFunc(list, func(a, b rpc.Queue) int { return cmp.Compare(b.Depth, a.Depth) })
	rest := rpc.Queue{Func: other}
	var own []rpc.Queue
	for _, q := range list {
		if len(own) < MostValues && utf8.ValidString(q.Func) && q.Func != other {
			own = append(own, q)
			continue
		}
		rest.Depth += q.Depth
		rest.Oldest, rest.Dated = max(rest.Oldest, q.Oldest), rest.Dated || q.Dated
	}
	if rest.Depth > 0 {
		own = append(own, rest)
	}
	return own
}

func describe(subsystem, name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("redrpc", subsystem, name), help, labels, nil)
}
