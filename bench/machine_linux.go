package bench

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// machineTime is what the machine's processors have been busy for since it started,
// by all processes, and what its hypervisor gave to others of it; false if that is
// not known.
func machineTime() (busy, stolen time.Duration, known bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	return parseStat(string(stat))
}

// tick is the unit of /proc/stat: user space is told of 100 in a second on all
// architectures that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads the first line of /proc/stat (proc_stat(5)): cpu user nice system
// idle iowait irq softirq steal guest guest_nice. Guests are in user and nice, too.
func parseStat(stat string) (busy, stolen time.Duration, known bool) {
	line, _, _ := strings.Cut(stat, "\n")
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, 0, false
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * tick, time.Duration(steal) * tick, true
}
