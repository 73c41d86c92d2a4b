package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is where and with what was measured.
type machine struct {
	When      string  `json:"when"`
	Took      float64 `json:"took_s"`
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	Memory    float64 `json:"memory_gib"`
	Kernel    string  `json:"kernel"`
	Go        string  `json:"go"`
	Broker    string  `json:"broker"` // revision
	Redis     string  `json:"redis"`
	Miniredis string  `json:"miniredis"`
	NATS      string  `json:"nats_server"`

	// OthersCPU is the share of all processors' time that was used by programs which
	// have no part in this.
	OthersCPU float64 `json:"others_cpu"`
}

// A usage is what processors did since the machine started: all of them for anybody, and
// any of them for this process and its children.
type usage struct{ all, ours float64 } // seconds

func startUsage() usage { return usage{allUsage(), ourUsage()} }

// allUsage leaves out what the kernel does for no process.
func allUsage() float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	total := 0.0
	for _, f := range strings.Fields(strings.SplitN(string(stat), "\n", 2)[0])[1:4] { // user, nice, system
		n, _ := strconv.ParseFloat(f, 64)
		total += n / 100
	}
	return total
}

func ourUsage() float64 {
	total := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			total += time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
		}
	}
	return total
}

// describe is called when all children have ended.
func describe(began usage, took time.Duration) (machine, error) {
	m := machine{
		When: time.Now().UTC().Format("2006-01-02"), Took: digits(took.Seconds(), 0),
		CPU: line("/proc/cpuinfo", "model name"), Go: runtime.Version(),
		Cores: strings.Count(file("/proc/cpuinfo"), "processor\t"), Kernel: strings.TrimSpace(file("/proc/sys/kernel/osrelease")),
	}
	var kib float64
	fmt.Sscanf(line("/proc/meminfo", "MemTotal"), "%f", &kib)
	m.Memory = digits(kib/(1<<20), 1)
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		switch d.Path {
		case "github.com/alicebob/miniredis/v2":
			m.Miniredis = d.Version
		case "github.com/nats-io/nats-server/v2":
			m.NATS = d.Version
		}
	}
	redis, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return m, err
	}
	_, m.Redis, _ = strings.Cut(strings.Fields(string(redis))[2], "=")
	revision, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return m, fmt.Errorf("git describe: %w", err)
	}
	m.Broker = strings.TrimSpace(string(revision))
	now := startUsage()
	others := (now.all - began.all - (now.ours - began.ours)) / took.Seconds() / float64(m.Cores)
	m.OthersCPU = digits(max(0, others), 3)
	return m, nil
}

func file(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// line is the text behind a name and a colon in a file of /proc.
func line(path, name string) string {
	_, rest, _ := strings.Cut(file(path), name)
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
}
