package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithThread lets the system kill the program when the thread that starts it ends.
func dieWithThread(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
