//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// inOwnGroup puts a program into a process group of its own, which ends as a whole
// when the program's context does, and which a terminal's Ctrl-C does not reach.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

// killOnSecondSignal makes a second signal, or the end of the terminal, kill the programs,
// too, which it would leave in their groups, and then the command. It is undone by the
// function that it returns.
func (r *running) killOnSecondSignal() (undo func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, stopSignals...)
	if !signal.Ignored(syscall.SIGHUP) { // as by nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		var s os.Signal
		for n := 0; n < 2 && s != syscall.SIGHUP; n++ { // the first is a request to stop, for others to see
			select {
			case s = <-signals:
			case <-done:
				return
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

// killGroup kills what is left of the group.
func killGroup(cmd *exec.Cmd) error {
	if cmd.Process == nil {
		return nil
	}
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
