package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keepAwake keeps every processor that this process may use from sleeping: it starts a
// busy process on each, of the lowest priority (nice 19), so that whatever else wants
// the processor has it. They end when end is called, and by themselves after limit.
func keepAwake(limit time.Duration) (end func(), err error) {
	var busy []*exec.Cmd
	end = func() {
		for _, b := range busy {
			b.Process.Kill() // fails only if it has ended
			b.Wait()         // it was killed, and is not to be blamed
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("asking which processors may be used: %w", err)
	}
	for cpu := 0; len(busy) < allowed.Count(); cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		b := exec.Command(self, "-spin", strconv.Itoa(cpu), "-seconds", fmt.Sprint(limit.Seconds()))
		b.Stderr = os.Stderr
		if err := b.Start(); err != nil {
			end()
			return nil, err
		}
		busy = append(busy, b)
	}
	return end, nil
}

// spin is such a process: it keeps a processor busy for so long.
func spin(cpu int, limit time.Duration) error {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	err := errors.Join(
		unix.SchedSetaffinity(0, &only),
		syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19)) // both are of this thread
	if err != nil {
		return fmt.Errorf("keeping processor %d awake: %w", cpu, err)
	}
	for began := time.Now(); time.Since(began) < limit; {
	}
	return nil
}
