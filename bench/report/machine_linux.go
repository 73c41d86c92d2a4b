package report

import (
	"os"
	"strconv"
	"strings"
)

// machine returns the kernel's version, the processor's model and the memory.
func machine() (kernel, cpu string, memory int64) {
	kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	for line := range strings.Lines(read("/proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			memory = kib << 10
			break
		}
	}
	return kernel, cpu, memory
}

// read returns a file of the kernel, or nothing.
func read(path string) string {
	text, _ := os.ReadFile(path) // #nosec G304 -- paths of ours, in /proc and /sys
	return string(text)
}
