//go:build unix

package systems

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program is a process that uses Redis, and what it starts.
type program struct {
	*exec.Cmd
	out, err bytes.Buffer
}

// startProgram starts a program that finds the server in REDIS_URL.
func startProgram(t *testing.T, s server, dir, name string, args ...string) *program {
	t.Helper()
	return start(t, dir, []string{"REDIS_URL=redis://" + s.addr + "/0"}, name, args...)
}

// start starts a program. When the test ends it is killed with all that it has started; a
// test that failed logs what it said.
func start(t *testing.T, dir string, env []string, name string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	p := &program{Cmd: exec.CommandContext(ctx, name, args...)}
	killAll := func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	p.Dir, p.Stdout, p.Stderr, p.Cancel = dir, &p.out, &p.err, killAll
	p.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ok(t, p.Start())
	t.Cleanup(func() {
		cancel()
		_ = killAll() // fails if they have ended
		if p.ProcessState == nil {
			_ = p.Wait() // it was killed
		}
		if t.Failed() {
			t.Logf("%s %s said:\n%s%s", name, strings.Join(args, " "), &p.out, &p.err)
		}
	})
	return p
}

// ends waits for the end of a program, which has to succeed.
func (p *program) ends(t *testing.T, what string) {
	t.Helper()
	if err := p.Wait(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// runFlow runs a program that says "fine" when it has found all as it should be.
func runFlow(t *testing.T, s server, dir, name string, args ...string) {
	t.Helper()
	p := startProgram(t, s, dir, name, args...)
	what := strings.Join(args, " ")
	p.ends(t, what)
	equal(t, what+" said", p.out.String(), "fine\n")
}
