package rpc

import "sync/atomic"

// Stats is what a server has done so far.
type Stats struct {
	FuncStats                      // of all functions
	Functions map[string]FuncStats // by name
}

// FuncStats is what a server has done for one function.
type FuncStats struct {
	Calls     uint64 // that were begun
	InFlight  int    // of them, that still run
	Errors    uint64 // calls that ended with an error
	Panics    uint64 // of them, those that ended with a panic
	Malformed uint64 // messages dropped, as they could not even be answered: no JSON object, or no text for an id
	Expired   uint64 // calls dropped, as they came too late for their callers
}

// counters are what Stats is made from.
type counters struct {
	begun, ended, failed, panicked, malformed, expired atomic.Uint64
}

// Stats returns what s has done so far. The numbers are not of one moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Stats{Functions: make(map[string]FuncStats, len(s.functions))}
	for name, f := range s.functions {
		one := f.stats()
		all.Functions[name] = one
		all.Calls += one.Calls
		all.InFlight += one.InFlight
		all.Errors += one.Errors
		all.Panics += one.Panics
		all.Malformed += one.Malformed
		all.Expired += one.Expired
	}
	return all
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
