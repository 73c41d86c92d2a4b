//go:build !linux

package redistest

import "os/exec"

// dieWithThread does nothing: only Linux has it.
func dieWithThread(*exec.Cmd) {}
