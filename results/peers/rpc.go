package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

const (
	rpcTool    = "redrpc bench"
	rpcCallers = 1000
)

var rpcLoad = load{rpcCallers, 1}

// calls measures remote procedure calls through the broker and through miniredis,
// both over TCP: client and server of package rpc are one process, redrpc bench.
func calls(p plan, command, dir string) ([]series, error) {
	var all []series
	for _, name := range servers {
		all = append(all, series{Tool: rpcTool, load: rpcLoad, Server: name})
	}
	for round := range p.RPCRounds {
		for i := range servers {
			at := (round + i) % len(servers)
			perSecond, err := callsThrough(servers[at], p.RPCSeconds, command, dir)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", servers[at], err)
			}
			all[at].PerSecond = append(all[at].PerSecond, perSecond)
		}
		progress("  round %d of %d", round+1, p.RPCRounds)
	}
	return all, nil
}

// callsThrough returns the calls a second through a server of their own: what was
// left of a run, such as callers that gave up, would weigh on the next.
func callsThrough(name string, seconds int, command, dir string) (float64, error) {
	s, err := startServer(name, command, dir)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	bench := exec.Command(command, "bench", "--redis", "redis://"+s.addr, "-c", strconv.Itoa(rpcCallers),
		"-d", strconv.Itoa(seconds)+"s", "--payload", strconv.Itoa(valueSize), "--timeout", "30s", "--output", "json")
	bench.Stderr = os.Stderr
	out, err := bench.Output()
	if err != nil {
		return 0, fmt.Errorf("redrpc bench: %w", err)
	}
	var report struct {
		Throughput float64 `json:"throughput"`
		Errors     int     `json:"errors"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return 0, fmt.Errorf("redrpc bench: %w", err)
	}
	if report.Errors > 0 {
		return 0, fmt.Errorf("redrpc bench: %d calls failed: %s", report.Errors, out)
	}
	return report.Throughput, nil
}
