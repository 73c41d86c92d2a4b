package rpc

import (
	"encoding/json"
	"math"
	"redrpc/rpc/internal/wire"
	"time"
)

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
func (r *shift) report() string {
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
