//go:build !unix

package main

import (
	"os/exec"
	"time"
)

// inOwnGroup does nothing: there are no groups, the program is ended alone.
func inOwnGroup(*exec.Cmd) {}

// killOnSignal does nothing: the signal reaches the programs by itself.
func (*running) killOnSignal() (undo func()) { return func() {} }

// endGroup kills the program at once, as it cannot be asked to end.
func endGroup(cmd *exec.Cmd, _ time.Duration) { killGroup(cmd) }

// killGroup fails if the program has ended, which is as well.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
