//go:build unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// inOwnGroup puts a program into a process group of its own, which is ended as a whole,
// and which a terminal's Ctrl-C does not reach.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// killOnSignal makes a second signal, Ctrl-\ or the end of the terminal kill the
// programs, too, which it would leave in their groups, and then the command. It is
// undone by the function that it returns.
func (r *running) killOnSignal() (undo func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, stopSignals...)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // as SIGHUP by nohup
			signal.Notify(signals, s)
		}
	}
	go func() {
		var s os.Signal
		for asked := false; ; asked = true { // the first of stopSignals is a request, for others to see
			select {
			case s = <-signals:
			case <-done:
				return
			}
			if asked || !slices.Contains(stopSignals, s) {
				break
			}
		}
		r.kill()
		signal.Reset(s)
		_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
		time.Sleep(time.Second) // if we live on, it was ignored when we were started
		os.Exit(exitFailed)
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// endGroup sends SIGTERM to what is left of a program's group, and SIGKILL to what is
// left of it after grace.
func endGroup(cmd *exec.Cmd, grace time.Duration) {
	over := time.NewTimer(grace)
	defer over.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for there := signalGroup(cmd, syscall.SIGTERM); there; there = signalGroup(cmd, 0) {
		select {
		case <-look.C:
		case <-over.C:
			killGroup(cmd)
			return
		}
	}
}

// killGroup kills what is left of a program's group.
func killGroup(cmd *exec.Cmd) { signalGroup(cmd, syscall.SIGKILL) }

// signalGroup reports whether there was anything left of the group to send a signal to.
func signalGroup(cmd *exec.Cmd, s syscall.Signal) bool {
	return syscall.Kill(-cmd.Process.Pid, s) == nil
}
