package rpc

import (
	"context"
	"maps"
	"slices"
)

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
	type name struct{ kind, id string }
	last := map[name]OnlineServer{}
	for _, s := range before {
		last[name{s.Kind, s.ID}] = s
	}
	for n := range servers {
		s := &servers[n]
		old := last[name{s.Kind, s.ID}]
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

// functions puts together what is known of each function.
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
