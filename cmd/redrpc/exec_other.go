//go:build !unix

package main

import "os/exec"

// inOwnGroup does nothing: the program is killed alone.
func inOwnGroup(*exec.Cmd) {}

// killOnSecondSignal does nothing: the signal reaches the programs by itself.
func (*running) killOnSecondSignal() (undo func()) { return func() {} }

func killGroup(*exec.Cmd) error { return nil }
