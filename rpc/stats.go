package rpc

import "sync/atomic"

// Stats is what a server has done so far.
type Stats struct {
	FuncStats                      // of all functions
	Functions map[string]FuncStats // by name
}

// FuncStats is what a server has done for one function.
type FuncStats struct {
	Calls     uint64 `json:"calls"`     // that were begun
	InFlight  int    `json:"in_flight"` // of them, that still run
	Errors    uint64 `json:"errors"`    // calls that ended with an error
	Panics    uint64 `json:"panics"`    // of them, those that ended with a panic
	Malformed uint64 `json:"malformed"` // messages dropped, as they could not even be answered: no JSON object, or no text for an id
	Expired   uint64 `json:"expired"`   // calls dropped, as they came too late for their callers
}

// counters are what Stats is made from.
type counters struct {
	begun, ended, failed, panicked, malformed, expired atomic.Uint64
}

// Stats returns what s has done so far. The numbers are not of one moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	functions := make(map[string]FuncStats, len(s.functions))
	for name, f := range s.functions {
		functions[name] = f.stats()
	}
	return sum(functions)
}

func sum(functions map[string]FuncStats) Stats {
	all := Stats{Functions: functions}
	for _, one := range functions {
		all.FuncStats = all.plus(one)
	}
	return all
}

func (s FuncStats) plus(o FuncStats) FuncStats {
	return FuncStats{
		s.Calls + o.Calls, s.InFlight + o.InFlight,
		s.Errors + o.Errors, s.Panics + o.Panics,
		s.Malformed + o.Malformed, s.Expired + o.Expired,
	}
}

func (c *counters) stats() FuncStats {
	ended := c.ended.Load() // before begun, so that it is not more
	begun := c.begun.Load()
	return FuncStats{
		Calls: begun, InFlight: int(begun - ended),
		Errors: c.failed.Load(), Panics: c.panicked.Load(),
		Malformed: c.malformed.Load(), Expired: c.expired.Load(),
	}
}
