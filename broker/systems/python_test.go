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

	"redrpc/internal/redistest"
)

// A program is one of Python's, and what it starts.
type program struct {
	*exec.Cmd
	out, err bytes.Buffer
}

// startPython starts a program that finds the server in REDIS_URL. When the test ends it
// is killed with all that it has started; a test that failed logs what it said.
func startPython(t *testing.T, python string, s server, dir string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	p := &program{Cmd: exec.CommandContext(ctx, python, args...)}
	killAll := func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	p.Dir, p.Stdout, p.Stderr, p.Cancel = dir, &p.out, &p.err, killAll
	p.Env = append(os.Environ(), "REDIS_URL=redis://"+s.addr+"/0", "PYTHONDONTWRITEBYTECODE=1")
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ok(t, p.Start())
	t.Cleanup(func() {
		cancel()
		_ = killAll() // fails if they have ended
		if p.ProcessState == nil {
			_ = p.Wait() // it was killed
		}
		if t.Failed() {
			t.Logf("python %s said:\n%s%s", strings.Join(args, " "), &p.out, &p.err)
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

// pythonFlow runs a program that says "fine" when it has found all as it should be.
func pythonFlow(t *testing.T, python string, s server, dir, name string) {
	t.Helper()
	p := startPython(t, python, s, dir, name)
	p.ends(t, name)
	equal(t, name+" said", p.out.String(), "fine\n")
}

func TestCelery(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "celery")
	onEachByTCP(t, func(t *testing.T, s server) {
		worker := startPython(t, python, s, "testdata/celery", "-m", "celery", "-A", "tasks", "worker", "--concurrency=2")
		pythonFlow(t, python, s, "testdata/celery", "flow.py")
		if !t.Failed() { // the flow told the worker to end
			worker.ends(t, "the worker")
		}
	})
}

func TestKombu(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "kombu")
	onEachByTCP(t, func(t *testing.T, s server) { pythonFlow(t, python, s, "testdata", "kombu_flow.py") })
}

func TestDjangoRedis(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "django_redis")
	onEachByTCP(t, func(t *testing.T, s server) { pythonFlow(t, python, s, "testdata", "django_flow.py") })
}

func TestChannelsRedis(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "channels_redis")
	onEachByTCP(t, func(t *testing.T, s server) { pythonFlow(t, python, s, "testdata", "channels_flow.py") })
}
