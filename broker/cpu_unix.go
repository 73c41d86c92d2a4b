//go:build unix

package broker

import (
	"fmt"
	"strings"
	"syscall"
)

// infoCPU writes the CPU time of the process, and of its children that have ended. There is no
// main thread: the time of all stands in its place.
func (b *Broker) infoCPU(out *strings.Builder) {
	for _, who := range []struct {
		id     int
		suffix string
	}{{syscall.RUSAGE_SELF, ""}, {syscall.RUSAGE_CHILDREN, "_children"}, {syscall.RUSAGE_SELF, "_main_thread"}} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who.id, &u); err != nil {
			continue
		}
		seconds := func(t syscall.Timeval) string { return fmt.Sprintf("%.6f", float64(t.Nano())/1e9) }
		writeFields(out,
			field{"used_cpu_sys" + who.suffix, seconds(u.Stime)},
			field{"used_cpu_user" + who.suffix, seconds(u.Utime)},
		)
	}
}
