package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A thread is an operating system's thread of one goroutine's own, which can sleep
// for less than a timer.
type thread struct {
	spin bool
}

func (t *thread) open(spin Spin) bool {
	t.spin = spin == SpinOn || spin == SpinAuto && runtime.GOMAXPROCS(0) > 1
	runtime.LockOSThread()
	return true
}

func (t *thread) close() { runtime.UnlockOSThread() }

// wait waits for a part of what is left, at least.
func (t *thread) wait(left, at time.Duration, elapsed func() time.Duration) {
	if !t.spin {
		sleep(left)
		return
	}
	if left > spinMargin {
		sleep(left - spinMargin)
		return
	}
	for elapsed() < at {
	}
}

func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // who was interrupted looks at the clock, too
}
