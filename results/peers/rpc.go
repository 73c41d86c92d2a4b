package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"redrpc/bench/report"
)

const (
	rpcTool          = "redrpc bench"
	rpcInProcessTool = "redrpc bench, in process"
	rpcCallers       = 1000
)

var rpcLoad = load{rpcCallers, 1}

// calls measures remote procedure calls through the servers, over TCP: client and
// server of package rpc are one process, redrpc bench. And it measures them as a test
// in one process makes them, with all processors for all: through the broker in memory,
// and through miniredis, which has only TCP.
func calls(p plan, command, dir string) ([]series, error) {
	var all []series
	for _, name := range servers {
		all = append(all, series{Tool: rpcTool, load: rpcLoad, Server: name})
	}
	for _, name := range []string{brokerServer, miniServer} {
		all = append(all, series{Tool: rpcInProcessTool, load: rpcLoad, Server: name})
	}
	for round := range p.RPCRounds {
		for i := range all {
			s := &all[(round+i)%len(all)]
			through := callsThrough
			if s.Tool == rpcInProcessTool {
				through = callsInProcess
			}
			perSecond, err := through(s.Server, p.RPCSeconds, command, dir)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Server, err)
			}
			s.PerSecond = append(s.PerSecond, perSecond)
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
	return benchCalls(seconds, command, "bench", "--redis", "redis://"+s.addr)
}

// callsInProcess returns the calls a second of a test in one process. The broker is in
// that of redrpc bench; miniredis has one of its own, which can use all processors too.
func callsInProcess(name string, seconds int, command, dir string) (float64, error) {
	bench := []string{"-c", serverCPU + "," + clientCPU, command, "bench"}
	if name == miniServer {
		s, err := startServerOn(serverCPU+","+clientCPU, name, command, dir)
		if err != nil {
			return 0, err
		}
		defer s.stop()
		bench = append(bench, "--redis", "redis://"+s.addr)
	}
	return benchCalls(seconds, "taskset", bench...)
}

// benchCalls runs redrpc bench and returns its throughput.
func benchCalls(seconds int, program string, args ...string) (float64, error) {
	bench := exec.Command(program, append(args, "-c", strconv.Itoa(rpcCallers),
		"-d", strconv.Itoa(seconds)+"s", "--payload", strconv.Itoa(valueSize), "--timeout", "30s", "--output", "json")...)
	bench.Stderr = os.Stderr
	out, err := bench.Output()
	if err != nil {
		return 0, fmt.Errorf("redrpc bench: %w", err)
	}
	r, err := report.Read(bytes.NewReader(out))
	if err != nil {
		return 0, fmt.Errorf("redrpc bench: %w", err)
	}
	if r.Result.Errors > 0 || r.Result.Throughput <= 0 {
		return 0, fmt.Errorf("redrpc bench: %d calls failed, %g were answered a second: %s", r.Result.Errors, r.Result.Throughput, out)
	}
	return r.Result.Throughput, nil
}
