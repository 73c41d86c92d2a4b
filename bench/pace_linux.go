package bench

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// An alarm is a timer of the kernel's, which is precise to its interrupt: Go's own
// round up to the next millisecond. Whoever waits for it is parked as for a
// connection, so its processor is free for the calls that it has released.
type alarm struct {
	file *os.File
	fd   int // of file
}

func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return &alarm{file: os.NewFile(uintptr(fd), "alarm"), fd: fd}
}

func (a *alarm) close() { _ = a.file.Close() } // it holds nothing

// sleep returns after d, or earlier if the kernel refuses, and false then.
func (a *alarm) sleep(d time.Duration) bool {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if unix.TimerfdSettime(a.fd, 0, &spec, nil) != nil {
		return false
	}
	var expirations [8]byte
	_, err := a.file.Read(expirations[:])
	runtime.KeepAlive(a.file)
	return err == nil
}
