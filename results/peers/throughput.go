package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A load is a number of connections, each with a number of commands in flight.
type load struct {
	Connections int `json:"connections"`
	Pipeline    int `json:"pipeline"`
}

var (
	loads       = []load{{50, 1}, {1000, 1}, {50, 16}}
	commands    = []string{"SET", "RPUSH", "LPOP"}
	collections = []string{"HSET", "HGET", "SADD", "SPOP"}
	sortedSets  = []string{"ZADD", "ZRANGE", "ZPOPMIN"}
	streams     = []string{"XADD", "XREADGROUP", "XACK"}
)

const (
	valueSize = 100
	patience  = time.Minute // with one run of a tool
)

// A tool sends n of each of its commands in turn, and returns how many a second were
// answered. The elements that RPUSH appends are those that LPOP takes, and the members that
// SADD and ZADD add are those that SPOP and ZPOPMIN take; ZRANGE returns ten. XREADGROUP returns
// one of the entries that XADD adds, and XACK acknowledges it.
type tool struct {
	name     string
	commands []string
	loads    []load
	servers  []string
	run      func(t tool, addr string, l load, n int) (map[string]float64, error)
}

var tools = []tool{
	{"redis-benchmark", commands, loads, servers, redisBenchmark},
	{"driver", commands, loads, servers, drive},
	{"driver of hashes and sets", collections, []load{{50, 1}, {50, 16}}, servers[:2], drive}, // miniredis needs minutes for SPOP
	{"driver of sorted sets", sortedSets, []load{{50, 1}, {50, 16}}, servers[:2], drive},
	{"driver of streams", streams, []load{{50, 1}, {50, 16}}, servers[:2], drive},
	{"driver of scripts", []string{"EVAL"}, []load{{50, 1}, {50, 16}}, servers, drive},
}

// A series is what one server did with one load, round by round.
type series struct {
	Tool string `json:"tool"`
	load
	Server  string `json:"server"`
	Command string `json:"command,omitempty"`

	PerSecond []float64 `json:"per_second"`

	// Over all commands of the load, and with the connecting: what a command cost the
	// server, and the share of its core that the client was busy. Where that is nearly
	// 1 the client was the limit.
	ServerTime []float64 `json:"server_us,omitempty"`
	ClientBusy []float64 `json:"client_busy,omitempty"`
}

// throughput gives all loads to all servers, a round after the other, by the tools whose
// names contain a text.
func throughput(p plan, command, dir, only string) ([]series, error) {
	running := map[string]*server{}
	for _, name := range servers {
		s, err := startServer(name, command, dir)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		running[name] = s
	}
	var all []series
	for _, t := range tools {
		if !strings.Contains(t.name, only) {
			continue
		}
		for _, l := range t.loads {
			some, err := rounds(p, t, l, running)
			if err != nil {
				return nil, fmt.Errorf("%s with %d connections and %d in flight: %w", t.name, l.Connections, l.Pipeline, err)
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// printThroughput measures by the tools whose names contain a text, and prints what there is
// on the page of it.
func printThroughput(p plan, only string) error {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command, err := buildCommand(dir)
	if err != nil {
		return err
	}
	r := &results{Plan: p}
	if r.Throughput, err = throughput(p, command, dir, only); err != nil {
		return err
	}
	for _, t := range tools {
		for _, l := range t.loads {
			if table := r.loadTable(t, l); strings.Contains(t.name, only) {
				fmt.Printf("%s\n%s\n\n", table.Title, strings.Join(table.Rows, "\n"))
			}
		}
	}
	return nil
}

// rounds gives one load to all servers in turn. Each round begins with another
// server. A round before the first, which is not counted, tells how many commands
// take the time that is planned.
func rounds(p plan, t tool, l load, running map[string]*server) ([]series, error) {
	found := map[string]map[string]*series{} // by server, by command
	n := map[string]int{}
	for _, name := range t.servers {
		rates, err := t.run(t, running[name].addr, l, l.share(20_000))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		slowest := rates[t.commands[0]]
		found[name] = map[string]*series{}
		for _, c := range t.commands {
			slowest = min(slowest, rates[c])
			found[name][c] = &series{Tool: t.name, load: l, Server: name, Command: c}
		}
		n[name] = l.share(int(slowest * p.Seconds))
	}
	for round := range p.Rounds {
		for i := range t.servers {
			name := t.servers[(round+i)%len(t.servers)]
			s := running[name]
			before, err := s.cpu()
			if err != nil {
				return nil, err
			}
			began, ours := time.Now(), ourUsage()
			rates, err := t.run(t, s.addr, l, n[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			busy := (ourUsage() - ours) / time.Since(began).Seconds()
			after, err := s.cpu()
			if err != nil {
				return nil, err
			}
			each := (after - before).Seconds() * 1e6 / float64(n[name]*len(t.commands))
			for _, c := range t.commands {
				f := found[name][c]
				f.PerSecond = append(f.PerSecond, math.Round(rates[c]))
				f.ServerTime = append(f.ServerTime, digits(each, 2))
				f.ClientBusy = append(f.ClientBusy, digits(busy, 3))
			}
		}
		progress("  %s, %d connections, %d in flight: round %d of %d", t.name, l.Connections, l.Pipeline, round+1, p.Rounds)
	}
	var all []series
	for _, c := range t.commands {
		for _, name := range t.servers {
			all = append(all, *found[name][c])
		}
	}
	return all, nil
}

// share makes a number of commands one that the connections can share.
func (l load) share(n int) int {
	once := l.Connections * l.Pipeline
	return max(1, n/once) * once
}

// digits keeps n digits behind the point.
func digits(x float64, n int) float64 {
	unit := math.Pow10(n)
	return math.Round(x*unit) / unit
}

// redisBenchmark is the tool that comes with Redis.
func redisBenchmark(t tool, addr string, l load, n int) (map[string]float64, error) {
	_, port, _ := strings.Cut(addr, ":")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-p", port, "--csv", "-d", strconv.Itoa(valueSize),
		"-c", strconv.Itoa(l.Connections), "-P", strconv.Itoa(l.Pipeline), "-n", strconv.Itoa(n),
		"-t", strings.ToLower(strings.Join(t.commands, ","))).Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	rates := map[string]float64{}
	for _, row := range rows {
		if slices.Contains(t.commands, row[0]) {
			if rates[row[0]], err = strconv.ParseFloat(row[1], 64); err != nil {
				return nil, fmt.Errorf("redis-benchmark: %w", err)
			}
		}
	}
	if len(rates) != len(t.commands) {
		return nil, fmt.Errorf("redis-benchmark: expected a row each for %v, got %s", t.commands, out)
	}
	return rates, nil
}
